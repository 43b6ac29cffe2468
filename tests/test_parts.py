"""Requests fill parts: in order, each within the limits of one batch, none lost."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.errors import InvalidInput
from batchwright.model import Limits
from batchwright.parts import numbered

SMALL = Limits(max_requests=3, max_bytes=10, max_inputs=4)
lines_that_fit = st.lists(st.tuples(st.binary(min_size=1, max_size=10), st.integers(0, 4)))


def filled(lines: list[tuple[bytes, int]], limits: Limits) -> list[list[bytes]]:
    """Give the lines of each part."""
    return [[line for _, line in group] for _, group in groupby(numbered(lines, limits), key=itemgetter(0))]


@given(lines=lines_that_fit)
def test_parts_put_end_to_end_are_the_input(lines: list[tuple[bytes, int]]) -> None:
    """Every row is asked once, and results can be matched to rows in order."""
    assert [line for _, line in numbered(lines, SMALL)] == [line for line, _ in lines]


@given(lines=lines_that_fit)
def test_no_part_is_over_a_limit(lines: list[tuple[bytes, int]]) -> None:
    """One request too many, and the provider refuses the whole batch."""
    parts: dict[int, list[tuple[bytes, int]]] = {}
    for (part, _), item in zip(numbered(lines, SMALL), lines, strict=True):
        parts.setdefault(part, []).append(item)

    for part in parts.values():
        assert len(part) <= SMALL.max_requests
        assert sum(len(line) for line, _ in part) <= SMALL.max_bytes
        assert sum(inputs for _, inputs in part) <= SMALL.max_inputs


@given(lines=lines_that_fit)
def test_parts_are_counted_from_one_without_a_gap(lines: list[tuple[bytes, int]]) -> None:
    """The number names the part's file; a gap would look like a lost file."""
    numbers = [number for number, _ in groupby(numbered(lines, SMALL), key=itemgetter(0))]

    assert numbers == list(range(1, len(numbers) + 1))


@given(lines=lines_that_fit)
def test_a_new_part_is_begun_only_when_the_next_request_does_not_fit(lines: list[tuple[bytes, int]]) -> None:
    """Batches an hour are limited too, so none is left half empty."""
    parts: dict[int, list[tuple[bytes, int]]] = {}
    for (part, _), item in zip(numbered(lines, SMALL), lines, strict=True):
        parts.setdefault(part, []).append(item)

    for number in range(1, len(parts)):
        with_next = [*parts[number], parts[number + 1][0]]
        assert (
            len(with_next) > SMALL.max_requests
            or sum(len(line) for line, _ in with_next) > SMALL.max_bytes
            or sum(inputs for _, inputs in with_next) > SMALL.max_inputs
        )


def test_each_limit_may_be_reached_exactly() -> None:
    """The provider's limits are inclusive: a batch of 50,000 requests is taken."""
    by_requests = [(b"a", 0)] * 4
    by_bytes = [(b"a" * 5, 0)] * 3
    by_inputs = [(b"a", 2)] * 3

    assert filled(by_requests, SMALL) == [[b"a"] * 3, [b"a"]]
    assert filled(by_bytes, SMALL) == [[b"aaaaa"] * 2, [b"aaaaa"]]
    assert filled(by_inputs, SMALL) == [[b"a"] * 2, [b"a"]]


def test_no_requests_make_no_parts() -> None:
    """An empty file would be refused by the provider."""
    assert filled([], SMALL) == []


@pytest.mark.parametrize(("line", "inputs", "said"), [(b"a" * 11, 1, "11 bytes and 1 inputs"), (b"a", 5, "5 inputs")])
def test_a_request_larger_than_a_batch_is_refused_by_its_row(line: bytes, inputs: int, said: str) -> None:
    """No part could hold it; the row's number leads to the text that must be shortened."""
    with pytest.raises(InvalidInput, match=rf"The request of row 2 has .*{said}.*a whole batch may have 10 and 4\. "):
        filled([(b"a", 1), (line, inputs)], SMALL)


def test_parts_are_given_while_requests_still_come() -> None:
    """A million rows must not be held in memory: the second request is not asked for before the first is given."""
    asked: list[int] = []

    def lines() -> Iterator[tuple[bytes, int]]:
        for number in range(3):
            asked.append(number)
            yield b"a", 1

    first = next(numbered(lines(), SMALL))

    assert first == (1, b"a")
    assert asked == [0]
