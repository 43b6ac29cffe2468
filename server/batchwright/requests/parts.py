"""Requests to parts within the limits of one batch: numbered, written, hashed, counted and priced in one pass."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from operator import itemgetter
from typing import NamedTuple, Protocol, TypeVar

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
    """A hash that is being made, as `hashlib` gives it."""

    def update(self, data: bytes, /) -> None: ...  # noqa: D102  # hashlib's own

    def hexdigest(self) -> str: ...  # noqa: D102  # hashlib's own


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
    totals = Totals()
    for number, group in itertools.groupby(number_parts(lines, plan.limits), key=itemgetter(0)):
        part = Part(plan.job_id, plan.first_number + number - 1, "built", "", 0, 0, round=plan.round)
        # What the first part is made of is the beginning of all: most jobs have no other, and need no second hash.
        digest, *more = [whole] if whole and not parts else [hashlib.sha256(), *([whole] if whole else [])]
        part, of_part = _write(plan, part, map(itemgetter(1), group), digest.update, *(each.update for each in more))
        parts.append(replace(part, sha256=digest.hexdigest()))
        totals += of_part
    plan.on_point("part_written")
    return Written(tuple(parts), _estimate(plan, totals))


def _write(plan: PartPlan, part: Part, lines: Iterable[Line], *also: Callable[[bytes], None]) -> tuple[Part, Totals]:
    """Write one part, and give each line *also* to these."""
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
    # In whole micro-dollars, as it is reserved.
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
"""Told how many rows of how many are done."""


class Sized(Protocol):
    """What is looked at of an encoded request.

    Attributes:
        data: Its line, newline included.
        inputs: How many embedding inputs it holds; 1 for other endpoints.
        load: What it takes of the enqueued limit.
    """

    @property
    def data(self) -> bytes: ...  # noqa: D102  # the class says it

    @property
    def inputs(self) -> int: ...  # noqa: D102  # the class says it

    @property
    def load(self) -> int: ...  # noqa: D102  # the class says it


AnyLine = TypeVar("AnyLine", bound=Sized)


def number_parts(lines: Iterable[AnyLine], limits: Limits) -> Iterator[tuple[int, AnyLine]]:
    """Give each line the number of its part, counted from 1: parts are filled in order, each within *limits*.

    A single request that is over the enqueued limit is a part of its own: only the provider can refuse it.

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


def is_oversize(line: Sized, limits: Limits) -> bool:
    """Whether no batch can hold a request."""
    return len(line.data) > limits.max_bytes or line.inputs > limits.max_inputs


def refuse_oversize(line: Sized, limits: Limits, name: str) -> None:
    """Refuse a request that no batch can hold.

    Raises:
        InvalidInput: It is one; the sentence begins with *name*.
    """
    if is_oversize(line, limits):
        raise InvalidInput(
            f"{name} has {len(line.data):,} bytes and {line.inputs:,} inputs; "
            f"a whole batch may have {limits.max_bytes:,} and {limits.max_inputs:,}. Send less of the row."
        )
