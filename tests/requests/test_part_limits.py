"""Requests fill parts: in order, each within the limits of one batch, none lost."""

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.errors import InvalidInput
from batchwright.core.model import Limits
from batchwright.costs.tokens import RequestTokens
from batchwright.requests.measure import Line
from batchwright.requests.parts import number_parts


def made(data: bytes, inputs: int = 1, load: int = 0) -> Line:
    """Return an encoded request; its tokens do not matter here."""
    return Line(data, inputs, load, RequestTokens(0, 0))


SMALL = Limits(max_requests=3, max_bytes=10, max_inputs=4, max_load=100)
lines_that_fit = st.lists(
    st.builds(made, st.binary(min_size=1, max_size=10), st.integers(0, 4), st.integers(0, SMALL.max_load or 0))
)


def filled(lines: Sequence[Line], limits: Limits) -> list[list[Line]]:
    """Give the lines of each part."""
    return [[line for _, line in group] for _, group in groupby(number_parts(lines, limits), key=itemgetter(0))]


def is_over(lines: Sequence[Line], limits: Limits) -> bool:
    """Whether the lines are too much for one part."""
    return (
        len(lines) > limits.max_requests
        or sum(len(line.data) for line in lines) > limits.max_bytes
        or sum(line.inputs for line in lines) > limits.max_inputs
        or (limits.max_load is not None and sum(line.load for line in lines) > limits.max_load)
    )


@given(lines=lines_that_fit)
def test_parts_put_end_to_end_are_the_input(lines: list[Line]) -> None:
    """Every row is asked once, and results can be matched to rows in order."""
    assert [line for _, line in number_parts(lines, SMALL)] == lines


@given(lines=lines_that_fit)
def test_no_part_is_over_a_limit(lines: list[Line]) -> None:
    """One request too many, and the provider refuses the whole batch."""
    assert not any(is_over(part, SMALL) for part in filled(lines, SMALL))


@given(lines=lines_that_fit)
def test_parts_are_counted_from_one_without_a_gap(lines: list[Line]) -> None:
    """The number names the part's file; a gap would look like a lost file."""
    numbers = [number for number, _ in groupby(number_parts(lines, SMALL), key=itemgetter(0))]

    assert numbers == list(range(1, len(numbers) + 1))


@given(lines=lines_that_fit)
def test_a_new_part_is_begun_only_when_the_next_request_does_not_fit(lines: list[Line]) -> None:
    """Batches an hour are limited too, so none is left half empty."""
    parts = filled(lines, SMALL)

    assert all(is_over([*part, following[0]], SMALL) for part, following in pairwise(parts))


def test_each_limit_may_be_reached_exactly() -> None:
    """The provider's limits are inclusive: a batch of 50,000 requests is taken."""
    by_requests = [made(b"a", 0)] * 4
    by_bytes = [made(b"a" * 5, 0)] * 3
    by_inputs = [made(b"a", 2)] * 3
    by_load = [made(b"a", 1, 50)] * 3

    assert [len(part) for part in filled(by_requests, SMALL)] == [3, 1]
    assert [len(part) for part in filled(by_bytes, SMALL)] == [2, 1]
    assert [len(part) for part in filled(by_inputs, SMALL)] == [2, 1]
    assert [len(part) for part in filled(by_load, SMALL)] == [2, 1]


def test_a_limit_that_is_not_known_bounds_nothing() -> None:
    """Until the provider has said how much may be enqueued, parts are as large as a batch may be."""
    assert [len(part) for part in filled([made(b"a", 1, 10**9)] * 3, Limits())] == [3]


def test_a_request_over_the_enqueued_limit_is_a_part_of_its_own() -> None:
    """It cannot be made smaller, and only the provider may say that it does not take it."""
    lines = [made(b"a", 1, 1), made(b"b", 1, 101), made(b"c", 1, 1), made(b"d", 1, 1)]

    assert filled(lines, SMALL) == [[lines[0]], [lines[1]], lines[2:]]


def test_a_request_over_the_enqueued_limit_that_comes_first_leaves_no_empty_part() -> None:
    """An empty file would be refused by the provider."""
    assert list(number_parts([made(b"a", 1, 101)], SMALL)) == [(1, made(b"a", 1, 101))]


def test_no_requests_make_no_parts() -> None:
    """An empty file would be refused by the provider."""
    assert filled([], SMALL) == []


@pytest.mark.parametrize(("line", "said"), [(made(b"a" * 11, 1), "11 bytes and 1 inputs"), (made(b"a", 5), "5 inputs")])
def test_a_request_larger_than_a_batch_is_refused_by_its_row(line: Line, said: str) -> None:
    """No part could hold it; the row's number leads to the text that must be shortened."""
    with pytest.raises(InvalidInput, match=rf"Request 2 has .*{said}.*a whole batch may have 10 and 4\. "):
        filled([made(b"a"), line], SMALL)


def test_parts_are_given_while_requests_still_come() -> None:
    """A million rows must not be held in memory: the second request is not asked for before the first is given."""
    asked: list[int] = []

    def lines() -> Iterator[Line]:
        for number in range(3):
            asked.append(number)
            yield made(b"a")

    first = next(number_parts(lines(), SMALL))

    assert first == (1, made(b"a"))
    assert asked == [0]
