"""Requests to parts within the limits of one batch. Pure: knows neither files nor the network."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from batchwright.core.errors import InvalidInput
from batchwright.core.model import Limits


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


Line = TypeVar("Line", bound=Sized)


def numbered(lines: Iterable[Line], limits: Limits) -> Iterator[tuple[int, Line]]:
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
