"""Which rows are tried, what a few answers say of all, and which answers are the same."""

from decimal import Decimal
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.model import Result
from batchwright.costs.prices import price
from batchwright.jobs.trials.estimates import (
    FEW,
    MAX_ROWS,
    Which,
    choose_places,
    count_alike,
    count_right,
    estimate_output,
    project_cost,
)

COUNTS = st.lists(st.integers(0, 100_000), min_size=1, max_size=MAX_ROWS)


def answered(value: Any, *, is_text: bool = True) -> Result:
    """Give a good answer: a text, or the property `label`."""
    return Result("a", "answered", text=value) if is_text else Result("a", "answered", text="{}", values=value)


@given(total=st.integers(1, 1_000_000), count=st.integers(1, MAX_ROWS), seed=st.integers())
def test_chosen_places_are_there_each_once_in_order_and_the_same_again(total: int, count: int, seed: int) -> None:
    """A repeated call shows the same rows, so that a changed prompt is compared on them."""
    chosen = choose_places(total, count, which="random", seed=seed)

    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(total, count)
    assert 0 <= chosen[0] <= chosen[-1] < total
    assert choose_places(total, count, which="random", seed=seed) == chosen


def test_another_seed_gives_other_places_and_every_place_has_its_chance() -> None:
    """A sample that leaves out some rows for ever says nothing about them."""
    seen = {place for seed in range(400) for place in choose_places(50, 3, which="random", seed=seed)}

    assert seen == set(range(50))


def test_the_first_are_the_first() -> None:
    """They are what the user sees on top of the table."""
    assert choose_places(10, 3, which="first", seed=7) == [0, 1, 2]
    assert choose_places(2, 3, which="first", seed=7) == [0, 1]


@given(counts=COUNTS, more=st.integers(0, 1_000_000), most=st.none() | st.integers(1, 200_000), which=st.data())
def test_a_range_holds_its_mean_and_no_more_than_is_allowed(
    counts: list[int], more: int, most: int | None, which: st.DataObject
) -> None:
    """What a request may have at most is certain; what it has on average is a guess."""
    how: Which | None = which.draw(st.sampled_from(["random", "first", None]))
    found = estimate_output(counts, total=len(counts) + more, most=most, which=how)

    assert found is not None
    assert 0 <= found.low <= found.mean <= found.high
    if most is not None:
        assert found.high <= most
    if more == 0:
        assert not found.has_range


def test_few_answers_and_those_that_were_not_drawn_at_random_have_no_interval() -> None:
    """Student's t speaks of a random sample, and of three answers it says next to nothing."""
    few = estimate_output([10, 30], total=100, most=None, which="random")
    first = estimate_output([10, 30, 20, 20, 20], total=100, most=None, which="first")
    one = estimate_output([10], total=100, most=None, which="random")

    assert few is not None
    assert first is not None
    assert one is not None
    assert (few.low, few.mean, few.high, few.basis) == (10, 20, 30, "the least and the most of 2 answers")
    assert first.basis == "the least and the most of 5 answers"
    assert (one.has_range, one.basis) == (False, "of 1 answer: try more rows for a range")
    assert estimate_output([], total=100, most=None, which="random") is None


def test_the_interval_is_students() -> None:
    """Five answers of 10 to 50: the table's t is 2.776, the standard error 7.07; of all rows there is no doubt."""
    wide = estimate_output([10, 20, 30, 40, 50], total=10**9, most=None, which="random")
    narrow = estimate_output([10, 20, 30, 40, 50], total=6, most=None, which="random")

    assert wide is not None
    assert narrow is not None
    assert (round(wide.low, 2), wide.mean, round(wide.high, 2)) == (10.37, 30, 49.63)
    assert wide.basis == "95% t-interval of 5 answers"
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2


@pytest.mark.slow
@given(population=st.lists(st.integers(1, 500), min_size=200, max_size=200), seed=st.integers(0, 10_000))
def test_an_interval_of_a_sample_is_never_empty(population: list[int], seed: int) -> None:
    """It is made for any answers, also for those that are all alike."""
    sample = [population[place] for place in choose_places(200, MAX_ROWS, which="random", seed=seed)]
    found = estimate_output(sample, total=200, most=None, which="random")

    assert found is not None
    assert found.low <= fmean(sample) <= found.high


def test_most_intervals_hold_the_true_mean() -> None:
    """That is what 95% means, as far as answers are not too odd."""
    population = [10 + place * 7919 % 200 for place in range(1_000)]
    held = 0
    for seed in range(400):
        sample = [population[place] for place in choose_places(1_000, 10, which="random", seed=seed)]
        found = estimate_output(sample, total=1_000, most=None, which="random")
        held += found is not None and found.low <= fmean(population) <= found.high

    assert 0.9 <= held / 400 <= 1.0
    assert FEW <= 10


def test_a_projection_is_the_input_and_all_outputs_at_the_price() -> None:
    """A thousand requests of 100 tokens of gpt-5-mini cost 10 cents as a batch, and their input comes on top."""
    known = price("gpt-5-mini", endpoint="/v1/chat/completions")
    output = estimate_output([50, 150], total=1_000, most=None, which="random")
    assert known is not None
    assert output is not None

    batch = project_cost(known, output, requests=1_000, input_usd=Decimal("0.5"), longest=10, processing="batch")
    standard = project_cost(known, output, requests=1_000, input_usd=Decimal("0.5"), longest=10, processing="standard")

    assert (batch.low_usd, batch.mean_usd, batch.high_usd) == (Decimal("0.55"), Decimal("0.6"), Decimal("0.65"))
    assert standard.mean_usd == Decimal("0.7")


def test_agreement_counts_the_rows_that_both_answered_well() -> None:
    """A variant that failed says nothing else; it says nothing."""
    one = [answered("a"), answered("b"), Result("a", "failed"), answered("d")]
    other = [answered("A"), answered("c"), answered("c"), Result("a", "not_fitting", text="d")]

    assert count_alike(one, other) == {"answer": (1, 2)}
    values = [answered({"x": 1, "y": "q"}, is_text=False)], [answered({"x": 1, "y": "r"}, is_text=False)]
    assert count_alike(*values) == {"x": (1, 1), "y": (0, 1)}


def test_a_row_without_a_good_answer_is_not_right_and_one_without_a_truth_not_counted() -> None:
    """Of two models the one that answers is the better one."""
    results = [answered("a"), Result("a", "failed"), answered("x"), answered("x")]

    assert count_right(results, ["A", "b", None, " "], "answer") == (1, 2)
