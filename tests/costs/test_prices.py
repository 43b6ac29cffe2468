"""Money: OpenAI's prices, what a job costs, and what is said where it is not known."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.model import Endpoint
from batchwright.costs.prices import Price, Rates, cost, cost_of_sums, price
from batchwright.costs.tokens import RequestTokens
from batchwright.costs.totals import CostRange, Totals, add_up, estimate

CHAT: Endpoint = "/v1/chat/completions"
EMBEDDINGS: Endpoint = "/v1/embeddings"
LONG = 272_001
"""Input tokens from which on the newer models cost more."""

counts = st.lists(st.tuples(st.integers(0, 400_000), st.integers(0, 100_000)), max_size=20)
priced = st.sampled_from(["gpt-5-mini", "gpt-4o", "gpt-5.5-pro", "gpt-6-sol", "o1-mini", "ft:gpt-4o-2024-08-06:a::b"])
ways = st.sampled_from(["batch", "standard"])


def known(model: str, endpoint: Endpoint = CHAT) -> Price:
    """Give the price of a model that has one."""
    found = price(model, endpoint=endpoint)
    assert found is not None
    return found


def of(requests: int, input_tokens: int, output_bound: int | None) -> Totals:
    """Give the totals of equal requests."""
    return add_up([RequestTokens(input_tokens, output_bound)] * requests)


@pytest.mark.parametrize(
    "models",
    [
        pytest.param("gpt-9 llama3.2  gpt-4o-2099-01-01 openai/gpt-4o", id="unknown"),
        pytest.param(
            "ft:gpt-4-0613:org::id ft:gpt-4o-mini:org::id ft:gpt-4.1-mini-2025-04-14:org::id "
            "ft:gpt-4.1-2025-04-14:org:moderation:id",
            id="fine-tuned: up to twice the price of the base",
        ),
        pytest.param(
            "omni-moderation-latest tts-1 gpt-4o-audio-preview gpt-4o-mini-search-preview o3-deep-research",
            id="charged for more than text tokens, or free",
        ),
        pytest.param("gpt-oss-120b", id="open weights: each host has its own price"),
        pytest.param("text-embedding-3-small", id="of another endpoint: its output would cost 0"),
    ],
)
def test_a_model_without_a_certain_price_has_none(models: str) -> None:
    """None leads to a question; 0, or a price of something else, would be spent."""
    assert [model for model in models.split(" ") if price(model, endpoint=CHAT)] == []
    assert price("gpt-4o", endpoint=EMBEDDINGS) is None


@pytest.mark.parametrize(
    ("name", "same_as"), [("gpt-4o-mini-2024-07-18", "gpt-4o-mini"), ("GPT-4o", "gpt-4o"), ("gpt-6-sol", "gpt-6-sol")]
)
def test_a_dated_model_has_the_price_of_its_entry(name: str, same_as: str) -> None:
    """Only dates that the data knows: another snapshot may have another price."""
    assert known(name).standard == known(same_as).standard


def test_a_tuned_model_with_a_price_of_its_own_has_that() -> None:
    """The price list names a few of them."""
    tuned = known("ft:gpt-4o-mini-2024-07-18:org:search:id")

    assert tuned.standard[0].input_usd == 2 * known("gpt-4o-mini").standard[0].input_usd
    assert tuned.is_batch_price_known


def test_the_source_names_the_data_and_the_entry() -> None:
    """Whoever doubts a cost must be able to look it up."""
    source = known("gpt-3.5-turbo-0125").source

    assert source.startswith("genai-prices ")
    assert source.endswith(", gpt-3.5-turbo")


@pytest.mark.parametrize(("model", "is_dated"), [("gpt-5-mini", True), ("o1-mini", False), ("gpt-6.1-terra", False)])
def test_the_day_of_a_batch_price_is_that_of_the_data(model: str, is_dated: bool) -> None:  # noqa: FBT001
    """A price is true on a day; where the data names none, none is made up."""
    assert (known(model).batch_checked is not None) is is_dated


def test_without_a_batch_price_the_standard_price_is_only_the_most_it_may_be() -> None:
    """The price list gives the standard price in silence; half of it would be a guess."""
    found = known("o1-mini")
    expected = estimate(found, of(10, 1000, 100))

    assert (found.is_batch_price_known, found.batch) == (False, found.standard)
    assert expected.cost_batch_usd == CostRange(None, cost(found, [(1000, 100)] * 10, processing="standard"))
    assert expected.price_notes == (
        "The batch price of o1-mini is not known: its standard price counts as the most it may be.",
    )


def test_a_batch_price_that_equals_the_standard_price_is_known() -> None:
    """OpenAI's batch table lists this one so."""
    found = known("gpt-3.5-turbo-1106")

    assert (found.is_batch_price_known, found.batch) == (True, found.standard)


def test_embeddings_are_halved_and_it_is_said() -> None:
    """The price list has no batch price for them, OpenAI has."""
    found = known("text-embedding-3-small", EMBEDDINGS)
    expected = estimate(found, of(1000, 1000, 0))

    assert expected.cost_standard_usd == CostRange(Decimal("0.02"), Decimal("0.02"))
    assert expected.cost_batch_usd == CostRange(Decimal("0.01"), Decimal("0.01"))
    assert expected.price_notes == ("The batch price is half the standard price, as OpenAI charges for embeddings.",)


def test_a_long_request_costs_more_and_the_sum_of_short_ones_does_not() -> None:
    """A tier is reached by a request; 50,000 short ones together have a hundred million tokens."""
    found = known("gpt-5.5")
    base, longer = found.batch

    assert longer.from_input_tokens == LONG
    assert cost(found, [(LONG - 1, 0)]) == base.charge(LONG - 1, 0)
    assert cost(found, [(LONG, 10)]) == longer.charge(LONG, 10)
    assert cost(found, [(2000, 100)] * 50_000) == base.charge(100_000_000, 5_000_000)


def test_a_batch_price_without_the_higher_rate_takes_the_standard_one_for_long_requests() -> None:
    """For gpt-5.5-pro the list has only the rate of short requests in a batch; it may be that there is another."""
    found = known("gpt-5.5-pro")

    assert found.batch[0].input_usd < found.standard[0].input_usd
    assert found.batch[1] == found.standard[1]


def test_an_estimate_takes_the_rate_of_the_longest_request_for_all() -> None:
    """Sums do not tell how many are long, and the highest cost must hold."""
    found = known("gpt-5.5")
    expected = estimate(found, add_up([RequestTokens(LONG, 10), RequestTokens(500, 10)]))

    assert expected.cost_batch_usd == CostRange(
        low_usd=found.batch[0].charge(LONG + 500, 0), high_usd=found.batch[1].charge(LONG + 500, 20)
    )
    assert "272,001 input tokens or more" in expected.price_notes[0]


def test_the_highest_cost_counts_writes_to_the_prompt_cache() -> None:
    """Newer models take 1.25 times the price of input for it, unasked, where a prompt is long enough."""
    found = known("gpt-6-sol")
    short, long = estimate(found, of(1, 1000, 0)), estimate(found, of(1, 2000, 0))

    assert short.cost_standard_usd == CostRange(Decimal("0.002"), Decimal("0.002"))
    assert short.price_notes == ()
    assert long.cost_standard_usd == CostRange(Decimal("0.004"), Decimal("0.005"))
    assert "prompt cache" in long.price_notes[0]


def test_an_unpriced_job_costs_the_unknown_and_not_0() -> None:
    """A limit on spending must not read it as free."""
    expected = estimate(None, of(10, 1000, 100))

    assert (expected.cost_batch_usd, expected.cost_standard_usd) == (None, None)
    assert (expected.input_tokens, expected.output_tokens_bound) == (10_000, 1000)
    assert expected.price_notes == ("The price of this model is not known: its cost is unknown, not 0.",)


def test_unbounded_output_has_no_highest_cost() -> None:
    """One request without a bound is enough; the input is then the least that is paid."""
    found = known("gpt-5-mini")
    expected = estimate(found, add_up([RequestTokens(1000, 100), RequestTokens(1000, None)]))

    assert expected.output_tokens_bound is None
    assert expected.cost_batch_usd == CostRange(cost(found, [(2000, 0)]), None)
    assert expected.price_notes[0].startswith("The output has no limit")


def test_what_was_not_counted_leaves_the_highest_cost_open_and_is_named() -> None:
    """An image may cost more than all the text."""
    images = RequestTokens(1000, 100, uncounted=frozenset({"images"}))
    expected = estimate(known("gpt-5-mini"), add_up([images, RequestTokens(1000, 100)]))

    assert expected.cost_batch_usd is not None
    assert expected.cost_batch_usd.high_usd is None
    assert expected.count_notes == ("Not counted: images. Their cost comes on top.",)


def test_what_was_counted_approximately_is_named() -> None:
    """An exact count and a near one are not told apart by their digits."""
    near = RequestTokens(1000, 100, approximated=frozenset({"the output schema"}))
    expected = estimate(known("gpt-5-mini"), add_up([near]))

    assert expected.count_notes == (
        "Counted only approximately: the output schema. The highest cost allows for the most that it can be.",
    )


def test_a_certain_estimate_says_nothing() -> None:
    """A warning on every job is read on none."""
    expected = estimate(known("gpt-5-mini"), of(10, 2000, 100))

    assert (expected.count_notes, expected.price_notes) == ((), ())


@given(model=priced, requests=counts, others=counts, way=ways)
def test_cost_is_additive_to_the_last_digit(
    model: str, requests: list[tuple[int, int]], others: list[tuple[int, int]], way: str
) -> None:
    """The parts of a job must cost what the job costs."""
    found, processing = known(model), "batch" if way == "batch" else "standard"
    together = cost(found, requests + others, processing=processing)

    assert together == cost(found, requests, processing=processing) + cost(found, others, processing=processing)


@given(model=priced, request=st.tuples(st.integers(0, 400_000), st.integers(0, 100_000)), more=st.integers(1, 100_000))
def test_cost_rises_with_every_token_and_is_never_0_for_one(model: str, request: tuple[int, int], more: int) -> None:
    """A cost of nothing would pass every limit."""
    found, (input_tokens, output_tokens) = known(model), request
    before = cost(found, [request])

    assert cost(found, [(input_tokens + more, output_tokens)]) > before >= 0
    assert cost(found, [(input_tokens, output_tokens + more)]) > before
    assert cost(found, [(1, 0)]) > 0


@given(model=priced, requests=counts)
def test_the_sums_never_cost_less_than_the_requests(model: str, requests: list[tuple[int, int]]) -> None:
    """A limit is checked against the sums; below the higher rates both are equal."""
    found = known(model)
    totals = add_up(RequestTokens(*request) for request in requests)
    sums = totals.input_tokens, sum(output for _, output in requests)
    exact, summed = cost(found, requests), cost_of_sums(found, *sums, longest=totals.largest_input_tokens)

    assert summed >= exact
    if totals.largest_input_tokens < LONG:
        assert summed == exact


@given(model=priced, requests=counts)
def test_the_cost_lies_within_the_estimate(model: str, requests: list[tuple[int, int]]) -> None:
    """Whatever the rows are like, if every answer is as long as it may be."""
    found = known(model)
    expected = estimate(found, add_up(RequestTokens(*request) for request in requests)).cost_batch_usd

    assert expected is not None
    assert expected.high_usd is not None
    assert (expected.low_usd or 0) <= cost(found, requests) <= expected.high_usd


def test_rates_keep_every_digit() -> None:
    """A thousandth of a cent a request is dollars over a job."""
    rates = Rates(0, Decimal("0.0625"), Decimal("0.375"))

    assert rates.charge(1, 1) == Decimal("0.0000004375")
