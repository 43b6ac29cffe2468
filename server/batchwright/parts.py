"""Requests to parts within the limits of one batch. Pure: knows neither files nor the network."""

from collections.abc import Iterable, Iterator

from batchwright.errors import InvalidInput
from batchwright.model import Limits


def numbered(lines: Iterable[tuple[bytes, int]], limits: Limits) -> Iterator[tuple[int, bytes]]:
    """Give each line the number of its part, counted from 1: parts are filled in order, each within *limits*.

    Args:
        lines: An encoded request, newline included, and how many embedding inputs it holds (1 for other endpoints).
        limits: Of one batch.

    Raises:
        InvalidInput: A single request is larger than a whole batch may be.
    """
    part = 1
    requests = size = inputs = 0
    for row, (line, line_inputs) in enumerate(lines, 1):
        if len(line) > limits.max_bytes or line_inputs > limits.max_inputs:
            raise InvalidInput(
                f"The request of row {row} has {len(line):,} bytes and {line_inputs:,} inputs; "
                f"a whole batch may have {limits.max_bytes:,} and {limits.max_inputs:,}. Send less of the row."
            )
        is_full = (
            requests + 1 > limits.max_requests
            or size + len(line) > limits.max_bytes
            or inputs + line_inputs > limits.max_inputs
        )
        if is_full:
            part += 1
            requests = size = inputs = 0
        requests += 1
        size += len(line)
        inputs += line_inputs
        yield part, line
