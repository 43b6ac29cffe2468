"""Parts on disk: encoded requests go by once, and are written, hashed, counted and priced. Synchronous."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from batchwright.core import files
from batchwright.core.crash_points import OnPoint
from batchwright.core.job_folder import JobFolder
from batchwright.core.jsonl import decode_request, encode_request, inputs_of
from batchwright.core.model import Endpoint, Json, Limits, Part, ProviderInfo, Recipe, Request
from batchwright.costs.prices import Estimate, RequestTokens, Tally, Totals, estimate, price_at
from batchwright.costs.tokens import counter, output_bound, text_counter
from batchwright.requests.measure import numbered
from batchwright.requests.recipe import shared_body, texts_of


class Digest(Protocol):
    """A hash that is being made, as `hashlib` gives it."""

    def update(self, data: bytes, /) -> None: ...  # noqa: D102  # hashlib's own

    def hexdigest(self) -> str: ...  # noqa: D102  # hashlib's own


class Line(NamedTuple):
    """An encoded request, newline included, and what it takes.

    Attributes:
        members: The ids of the rows whose inputs it packs; empty: it is one row's.
    """

    data: bytes
    inputs: int
    load: int
    tokens: RequestTokens
    members: tuple[str, ...] = ()


class Measure:
    """Weighs requests: their tokens, and what they take of the enqueued limit."""

    def __init__(self, model: str, endpoint: Endpoint) -> None:
        self._endpoint: Endpoint = endpoint
        self._count = counter(model)

    def line(self, data: bytes, body: Mapping[str, Json]) -> Line:
        """Weigh an encoded request, given with its body."""
        count = self._count(body, self._endpoint)
        bound = output_bound(body, self._endpoint)
        tokens = RequestTokens(count.input_tokens, bound, count.uncounted, count.approximated, count.margin)
        if self._endpoint == "/v1/embeddings":
            inputs = inputs_of(data)
            return Line(data, inputs, inputs, tokens)
        return Line(data, 1, count.input_tokens, tokens)

    def request(self, request: Request) -> Line:
        """Encode a request, and weigh it."""
        return self.line(encode_request(request, self._endpoint), request.body)

    def lines(self, path: Path) -> Iterator[Line]:
        """Weigh the requests of a part's file again."""
        for line in files.lines(path):
            yield self.line(line + b"\n", decode_request(line).body)


class RecipeMeasure:
    """Weighs the requests of one recipe as `Measure` does, but counts only their texts: all else is the same in all."""

    def __init__(self, recipe: Recipe) -> None:
        self._endpoint: Endpoint = recipe.endpoint
        shared = shared_body(recipe)
        frame = counter(recipe.model)(shared, recipe.endpoint)
        self._count = text_counter(recipe.model)
        bound = output_bound(shared, recipe.endpoint)
        self._frame = RequestTokens(frame.input_tokens, bound, frame.uncounted, frame.approximated, frame.margin)
        self._load = 1 if recipe.endpoint == "/v1/embeddings" else None

    def request(self, request: Request) -> Line:
        """Encode a request that the recipe made, and weigh it."""
        return self.line(encode_request(request, self._endpoint), texts_of(request.body, self._endpoint))

    def line(self, data: bytes, texts: Iterable[str]) -> Line:
        """Weigh an encoded request, given with its texts."""
        frame = self._frame
        tokens, margin = frame.input_tokens, frame.margin
        for text in texts:
            counted, more = self._count(text)
            tokens += counted
            margin += more
        weighed = RequestTokens(tokens, frame.output_bound, frame.uncounted, frame.approximated, margin)
        return Line(data, 1, self._load or tokens, weighed)


@dataclass(frozen=True, slots=True)
class PartPlan:
    """Where parts are written to, and as what.

    Attributes:
        folder: The job's.
        first_number: Of the parts to write.
        round: That they belong to.
    """

    job_id: str
    folder: JobFolder
    recipe: Recipe
    provider: ProviderInfo
    limits: Limits
    on_point: OnPoint
    first_number: int = 1
    round: int = 1


class Written(NamedTuple):
    """Parts that were written, and what all will cost."""

    parts: tuple[Part, ...]
    estimate: Estimate


def write_parts(plan: PartPlan, lines: Iterable[Line], whole: Digest | None = None) -> Written:
    """Write *lines* to as many parts as the limits need, in order.

    Args:
        plan: Of the parts.
        lines: The requests.
        whole: A new hash, to be made that of all lines.

    Raises:
        InvalidInput: A single request is larger than a whole batch may be.
    """
    parts: list[Part] = []
    sums: list[Totals] = []
    for number, group in itertools.groupby(numbered(lines, plan.limits), key=itemgetter(0)):
        part = Part(plan.job_id, plan.first_number + number - 1, "built", "", 0, 0, round=plan.round)
        # What the first part is made of is the beginning of all: most jobs have no other, and need no second hash.
        digest, *more = [whole] if whole and not parts else [hashlib.sha256(), *([whole] if whole else [])]
        part, totals = _written(plan, part, map(itemgetter(1), group), digest.update, *(each.update for each in more))
        parts.append(replace(part, sha256=digest.hexdigest()))
        sums.append(totals)
    plan.on_point("part_written")
    return Written(tuple(parts), _estimate(plan, sum(sums[1:], sums[0]) if sums else Totals()))


def _written(plan: PartPlan, part: Part, lines: Iterable[Line], *also: Callable[[bytes], None]) -> tuple[Part, Totals]:
    """Write one part, and give each line *also* to these."""
    size, requests, load, tally, members = 0, 0, 0, Tally(), bytearray()
    path = plan.folder.requests(part)
    with path.open("wb", buffering=files.CHUNK_BYTES) as file:
        for line in lines:
            file.write(line.data)
            for take in also:
                take(line.data)
            size += len(line.data)
            load += line.load
            requests += 1
            tally.add(line.tokens)
            if line.members:
                members += msgspec.json.encode(line.members) + b"\n"
            plan.on_point("part_writing")
    files.sync(path)
    if members:
        files.write_whole(plan.folder.members(part), bytes(members))
    expected = _estimate(plan, tally.totals)
    known = expected.cost_standard_usd if plan.provider.charges == "standard" else expected.cost_batch_usd
    # In whole micro-dollars, as it is reserved.
    ceiling = _micro(known.high_usd) if known else None
    least = _micro(known.low_usd) if known else None
    part = replace(part, size_bytes=size, requests=requests, load=load, ceiling_usd=ceiling, least_usd=least)
    return part, tally.totals


def _micro(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.quantize(Decimal("1e-6"), ROUND_CEILING)


def _estimate(plan: PartPlan, totals: Totals) -> Estimate:
    """Give the estimate; only OpenAI's prices are known."""
    return estimate(price_at(plan.provider, plan.provider.model, endpoint=plan.recipe.endpoint), totals)


def first_request(folder: JobFolder, parts: Iterable[Part]) -> Request:
    """Give the first request of the first part."""
    return decode_request(next(files.lines(folder.requests(next(iter(parts))))))


OnRows = Callable[[int, int], None]
"""Told how many rows of how many are done."""
