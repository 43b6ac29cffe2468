"""Several embedding inputs in one request: packed, their rows recorded beside the part, and split again if too large.

A request that packs several rows has the custom_id of the first; vectors are matched to rows by index.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import msgspec

from batchwright.core import files
from batchwright.core.job_folder import JobFolder
from batchwright.core.jsonl import decode_request, encode_request
from batchwright.core.model import Json, Limits, Part, Request
from batchwright.costs.tokens import RequestTokens
from batchwright.requests.measure import Line, Measure

MAX_REQUEST_TOKENS = 300_000
"""For all inputs of one request, from OpenAI's embeddings reference."""
MAX_INPUT_TOKENS = 8_192
"""For one input: a longer one fails its whole request."""


def pack(lines: Iterable[Line], most: int, limits: Limits, *, alone: Collection[str] = ()) -> Iterator[Line]:
    """Pack up to *most* of *lines*, each of one input, into one request, in order.

    Lines with an id in *alone*, and those that are sure to be refused, get a request each: a request that fails does
    so for all its rows.
    """
    most = min(most, limits.max_inputs, limits.max_load or most)
    waiting: list[tuple[Request, Line]] = []
    tokens = size = 0
    for line in lines:
        request = decode_request(line.data)
        if request.custom_id in alone or not request.body["input"] or line.tokens.input_tokens > MAX_INPUT_TOKENS:
            yield from _pack([(request, line)])
            continue
        is_full = (
            len(waiting) >= most
            or tokens + line.tokens.input_tokens > MAX_REQUEST_TOKENS
            or size + len(line.data) > limits.max_bytes
        )
        if is_full:
            yield from _pack(waiting)
            waiting, tokens, size = [], 0, 0
        waiting.append((request, line))
        tokens += line.tokens.input_tokens
        size += len(line.data)
    yield from _pack(waiting)


def _pack(waiting: Sequence[tuple[Request, Line]]) -> Iterator[Line]:
    if not waiting:
        return
    first, inputs = waiting[0][0], [request.body["input"] for request, _ in waiting]
    found = [line.tokens for _, line in waiting]
    tokens = RequestTokens(
        sum(each.input_tokens for each in found),
        0,
        frozenset[str]().union(*(each.uncounted for each in found)),
        frozenset[str]().union(*(each.approximated for each in found)),
        sum(each.margin for each in found),
    )
    data = encode_request(Request(first.custom_id, {**first.body, "input": inputs}), "/v1/embeddings")
    yield Line(data, len(inputs), len(inputs), tokens, tuple(request.custom_id for request, _ in waiting))


def members_of(folder: JobFolder, part: Part) -> Mapping[str, tuple[str, ...]]:
    """Return the row ids of each request of a part, by the request's custom_id; empty if each request has one row."""
    path = folder.members(part)
    return dict(_members(path)) if path.exists() else {}


def lines_again(folder: JobFolder, part: Part, measure: Measure, limits: Limits) -> Iterator[Line]:
    """Measure the requests of a part again, and split packed ones that exceed the enqueued limit."""
    members, most = members_of(folder, part), limits.max_load
    for line in measure.lines(folder.requests(part)):
        request = decode_request(line.data)
        rows = members.get(request.custom_id, ())
        if not rows or most is None or line.load <= most:
            yield line._replace(members=rows)
            continue
        inputs = cast("list[Json]", request.body["input"])
        for start in range(0, len(rows), most):
            ids, body = rows[start : start + most], {**request.body, "input": inputs[start : start + most]}
            yield measure.request(Request(ids[0], body))._replace(members=ids)


def _members(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    for line in files.lines(path):
        ids = msgspec.json.decode(line, type=tuple[str, ...])
        yield ids[0], ids
