"""Requests to parts within the limits of one batch: numbered, written, hashed, counted and priced in one pass."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from operator import itemgetter
from typing import NamedTuple, Protocol

import msgspec

from batchwright.core import files
from batchwright.core.crash_points import OnPoint
from batchwright.core.errors import InvalidInput
from batchwright.core.job_folder import JobFolder
from batchwright.core.jsonl import decode_request
from batchwright.core.model import Limits, Part, ProviderInfo, Recipe, Request
from batchwright.costs.prices import price_at
from batchwright.costs.totals import Estimate, Totals, estimate
from batchwright.requests.measure import Line


class Digest(Protocol):
    """An unfinished hash from `hashlib`."""

    def update(self, data: bytes, /) -> None: ...  # noqa: D102  # hashlib's own

    def hexdigest(self) -> str: ...  # noqa: D102  # hashlib's own


@dataclass(frozen=True, slots=True)
class PartPlan:
    """Where and for what parts are written.

    Attributes:
        first_number: The number of the first part.
        round: The round that they belong to.
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
    """The parts that were written, and the estimated cost of all."""

    parts: tuple[Part, ...]
    estimate: Estimate


def write_parts(plan: PartPlan, lines: Iterable[Line], whole: Digest | None = None) -> Written:
    """Write *lines* to as many parts as the limits need, in order.

    Args:
        plan: Where and for what.
        lines: The requests.
        whole: A new hash, to be updated with all lines.

    Raises:
        InvalidInput: A single request is larger than a whole batch may be.
    """
    parts: list[Part] = []
    totals = Totals()
    for number, group in itertools.groupby(number_parts(lines, plan.limits), key=itemgetter(0)):
        part = Part(plan.job_id, plan.first_number + number - 1, "built", "", 0, 0, round=plan.round)
        # The first part's lines are the first of all lines: most jobs have only this part, and need no second hash.
        digest, *more = [whole] if whole and not parts else [hashlib.sha256(), *([whole] if whole else [])]
        part, of_part = _write(plan, part, map(itemgetter(1), group), digest.update, *(each.update for each in more))
        parts.append(replace(part, sha256=digest.hexdigest()))
        totals += of_part
    plan.on_point("part_written")
    return Written(tuple(parts), _estimate(plan, totals))


def _write(plan: PartPlan, part: Part, lines: Iterable[Line], *also: Callable[[bytes], None]) -> tuple[Part, Totals]:
    """Write one part, and pass each line to *also*."""
    size, requests, load, totals, members = 0, 0, 0, Totals(), bytearray()
    path = plan.folder.requests(part)
    with path.open("wb", buffering=files.CHUNK_BYTES) as file:
        for line in lines:
            file.write(line.data)
            for take in also:
                take(line.data)
            size += len(line.data)
            load += line.load
            requests += 1
            totals.add(line.tokens)
            if line.members:
                members += msgspec.json.encode(line.members) + b"\n"
            plan.on_point("part_writing")
    files.sync(path)
    if members:
        files.write_whole(plan.folder.members(part), bytes(members))
    expected = _estimate(plan, totals)
    known = expected.cost_standard_usd if plan.provider.charges == "standard" else expected.cost_batch_usd
    # Reserved in whole micro-dollars.
    ceiling = _micro(known.high_usd) if known else None
    least = _micro(known.low_usd) if known else None
    part = replace(part, size_bytes=size, requests=requests, load=load, ceiling_usd=ceiling, least_usd=least)
    return part, totals


def _micro(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.quantize(Decimal("1e-6"), ROUND_CEILING)


def _estimate(plan: PartPlan, totals: Totals) -> Estimate:
    """Return the estimate; only OpenAI's prices are known."""
    return estimate(price_at(plan.provider, plan.provider.model, endpoint=plan.recipe.endpoint), totals)


def first_request(folder: JobFolder, parts: Iterable[Part]) -> Request:
    """Return the first request of the first part."""
    return decode_request(next(files.lines(folder.requests(next(iter(parts))))))


OnRows = Callable[[int, int], None]
"""Called with the number of rows done, and of all rows."""


def number_parts(lines: Iterable[Line], limits: Limits) -> Iterator[tuple[int, Line]]:
    """Yield each line with the number of its part, from 1: parts are filled in order, each within *limits*.

    A single request over the enqueued limit becomes a separate part: only the provider can refuse it.

    Raises:
        InvalidInput: A single request is larger than a whole batch may be.
    """
    part = 1
    requests = size = inputs = load = 0
    most_load = float("inf") if limits.max_load is None else limits.max_load
    for number, line in enumerate(lines, 1):
        length = len(line.data)
        if is_oversize(line, limits):
            refuse_oversize(line, limits, f"Request {number}")
        is_full = (
            requests + 1 > limits.max_requests
            or size + length > limits.max_bytes
            or inputs + line.inputs > limits.max_inputs
            or (requests > 0 and load + line.load > most_load)
        )
        if is_full:
            part += 1
            requests = size = inputs = load = 0
        requests += 1
        size += length
        inputs += line.inputs
        load += line.load
        yield part, line


def is_oversize(line: Line, limits: Limits) -> bool:
    """Whether no batch can hold a request."""
    return len(line.data) > limits.max_bytes or line.inputs > limits.max_inputs


def refuse_oversize(line: Line, limits: Limits, name: str) -> None:
    """Refuse a request that no batch can hold.

    Raises:
        InvalidInput: It is one; the sentence begins with *name*.
    """
    if is_oversize(line, limits):
        raise InvalidInput(
            f"{name} has {len(line.data):,} bytes and {line.inputs:,} inputs; "
            f"a whole batch may have {limits.max_bytes:,} and {limits.max_inputs:,}. Send less of the row."
        )
