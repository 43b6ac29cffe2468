"""Costs on several models: the guide's chart, what is not known, and tokens that are not whole."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.errors import InvalidInput
from batchwright.core.money import format_usd
from batchwright.costs.comparison import (
    CHAT_MODELS,
    EMBEDDING_MODELS,
    Comparison,
    Load,
    MeanOutput,
    compare,
    compare_tokens,
    load_of,
    models_to_compare,
    prices_of,
)
from batchwright.costs.prices import cost, price
from batchwright.costs.tokens import RequestTokens

GUIDE = ("gpt-3.5-turbo-0125", "gpt-4-turbo", "gpt-4", "gpt-5-mini")
LONG = 272_001
TODAY = date(2026, 11, 30)


def of(*models: str, rows: int = 50_000, input_tokens: int = 2048, output_tokens: int | None = 158) -> Comparison:
    """Compare equal requests, those of the guide's chart."""
    return compare_tokens(models, rows=rows, input_tokens=input_tokens, output_tokens=output_tokens, today=TODAY)


def said(comparison: Comparison, words: str) -> list[str]:
    """Give the notes with these words."""
    return [note for note in comparison.notes if words in note]


def test_the_chart_of_the_guide_comes_out_to_the_cent() -> None:
    """The guide of the Batch API shows it, and users compare."""
    comparison = of(*GUIDE)

    assert [
        (line.model, format_usd(line.standard_usd), format_usd(line.batch_usd or Decimal(0)), line.saving_percent)
        for line in comparison.costs
    ] == [
        ("gpt-5-mini", "$41.40", "$20.70", 50),
        ("gpt-3.5-turbo-0125", "$63.05", "$31.53", 50),
        ("gpt-4-turbo", "$1,261.00", "$630.50", 50),
        ("gpt-4", "$3,546.00", "$1,773.00", 50),
    ]
    assert comparison.subject == "50,000 requests of 2,048 input and 158 output tokens each"
    assert comparison.unpriced == ()


def test_the_source_names_the_data_and_the_day() -> None:
    """A price is true on a day."""
    source = of("gpt-5-mini").source

    assert source.startswith("OpenAI's prices, genai-prices ")
    assert source.split("batch prices checked on ")[1].startswith("20")


def test_an_unpriced_model_is_named_and_has_no_cost() -> None:
    """0 would win every comparison."""
    comparison = of("gpt-5-mini", "llama3.2", "gpt-9")

    assert [line.model for line in comparison.costs] == ["gpt-5-mini"]
    assert comparison.unpriced == ("llama3.2", "gpt-9")
    assert said(comparison, "No known price (unknown, not free): llama3.2, gpt-9.")


def test_without_any_price_nothing_is_compared() -> None:
    """There is then nothing to show, and it is said."""
    comparison = of("llama3.2")

    assert (comparison.costs, comparison.source) == ((), "no prices known")


def test_an_unknown_batch_price_is_said_and_comes_last() -> None:
    """The data gives the standard price in its place, in silence; half of it would be a guess."""
    comparison = of("o1-mini", "gpt-4", "gpt-5-mini")

    assert [line.model for line in comparison.costs] == ["gpt-5-mini", "gpt-4", "o1-mini"]
    assert (comparison.costs[2].batch_usd, comparison.costs[2].saving_percent) == (None, None)
    assert comparison.costs[2].standard_usd > 0
    assert said(comparison, "No batch price is known: o1-mini.")


def test_a_batch_price_like_the_standard_price_saves_nothing() -> None:
    """OpenAI lists one so."""
    assert of("gpt-3.5-turbo-1106").costs[0].saving_percent == 0


def test_embeddings_are_halved_and_it_is_said() -> None:
    """The data has no batch price for them, OpenAI has."""
    comparison = of("text-embedding-3-small", output_tokens=0)

    assert comparison.costs[0].saving_percent == 50
    assert not said(comparison, "output")
    assert said(comparison, "half the standard price, as OpenAI charges for embeddings: text-embedding-3-small.")


def test_many_short_requests_have_the_rate_of_short_ones() -> None:
    """A higher rate is reached by one request, not by their sum."""
    found = price("gpt-5.5", endpoint="/v1/chat/completions")
    assert found is not None

    assert of("gpt-5.5").costs[0].batch_usd == found.batch[0].charge(2048, 158) * 50_000


def test_long_requests_whose_batch_price_is_not_known_have_the_standard_one() -> None:
    """For gpt-5.5-pro the data has only the rate of short requests in a batch."""
    comparison = of("gpt-5.5-pro", "gpt-5.5", rows=1, input_tokens=LONG)

    assert said(comparison, "only the standard price is known, and it is used for batch too: gpt-5.5-pro.")
    assert not said(of("gpt-5.5-pro", input_tokens=LONG - 1), "only the standard price")


def test_a_prompt_cache_that_charges_for_writing_is_named() -> None:
    """It may raise the cost above what is shown."""
    assert said(of("gpt-6-sol", "gpt-5-mini", input_tokens=1024), "is not counted: gpt-6-sol.")
    assert not said(of("gpt-6-sol", input_tokens=1023), "prompt cache")


def test_without_output_tokens_the_input_alone_is_compared_and_it_is_said() -> None:
    """Half a cost must not pass for a whole one."""
    comparison = of("gpt-5-mini", output_tokens=None)

    assert format_usd(comparison.costs[0].standard_usd) == "$25.60"
    assert comparison.subject == "50,000 requests of 2,048 input tokens each"
    assert said(comparison, "comes on top. Give the output tokens of one request.")


@pytest.mark.parametrize("models", [CHAT_MODELS, EMBEDDING_MODELS])
def test_the_models_that_are_compared_by_themselves_have_a_batch_price(models: tuple[str, ...]) -> None:
    """A comparison that nobody chose must not begin with excuses."""
    prices = prices_of(models)

    assert all(found is not None and found.is_batch_price_known for found in prices.values())
    if models == CHAT_MODELS:
        assert {found.batch_basis for found in prices.values() if found} == {"listed"}


def test_models_are_taken_once_and_checked() -> None:
    """Names come from the conversation, and go into answers, terminals and charts."""
    assert models_to_compare([" gpt-4 ", "gpt-4", ""], ("x",)) == ("gpt-4",)
    assert models_to_compare(["", " "], ("x", "x", "y\u200b")) == ("x", "y")
    with pytest.raises(InvalidInput, match="'ab c' is not the name of a model"):
        models_to_compare(["a\x1b[31m\u202eb\nc"], ("x",))


@pytest.mark.parametrize(
    ("rows", "input_tokens", "output_tokens"),
    [(None, 1, 1), (1, None, 1), (0, 1, 1), (1, 0, 1), (1, 1, -1), (10**10, 1, 1), (1, 10**8, 1), (1, 1, 10**8)],
)
def test_numbers_that_are_missing_or_cannot_be_are_refused(
    rows: int | None, input_tokens: int | None, output_tokens: int | None
) -> None:
    """A cost of nothing would be shown."""
    with pytest.raises(InvalidInput, match="Give "):
        compare_tokens((), rows=rows, input_tokens=input_tokens, output_tokens=output_tokens, today=TODAY)


def test_each_model_has_the_tokens_that_it_counts() -> None:
    """Older models count the same text otherwise."""
    prices = prices_of(["gpt-4", "gpt-4o"])
    approximated = Load({(20, 1): 1}, approximated=frozenset({"the text"}), uncounted=frozenset({"images"}))
    loads = {"gpt-4": Load({(10, 1): 3}), "gpt-4o": approximated}
    comparison = compare(prices, loads, subject="s", output="bound", today=TODAY)
    found = prices["gpt-4"]
    assert found is not None

    assert comparison.costs[1].batch_usd == cost(found, [(10, 1)] * 3)
    assert said(comparison, "Counted only approximately for gpt-4o: the text.")
    assert said(comparison, "Not counted: images. Their cost comes on top.")
    assert said(comparison, "so this is the most")


def test_a_load_keeps_what_is_not_certain() -> None:
    """One request without a bound leaves the whole open."""
    requests = [RequestTokens(5, 7), RequestTokens(5, None, frozenset({"images"}), frozenset({"the output schema"}))]
    load = load_of(requests, None)

    assert load == Load(
        {(5, 7): 1, (5, 0): 1},
        is_open=True,
        uncounted=frozenset({"images"}),
        approximated=frozenset({"the output schema"}),
    )
    assert (load.requests, load.longest, load.mean) == (2, 5, (5, 4))
    assert load_of(requests, MeanOutput(3)).is_open is False


@given(tokens=st.integers(0, 10**9), requests=st.integers(1, 500))
def test_a_mean_that_is_not_whole_adds_up_to_what_was_measured(tokens: int, requests: int) -> None:
    """158.3 tokens a request over 50,000 is 15,000 tokens more than 158."""
    mean = MeanOutput(tokens, requests)
    each = [mean.of(number) for number in range(requests)]

    assert sum(each) == tokens
    assert max(each) - min(each) <= 1
