"""The most that a request may cost holds at a regional address of OpenAI's."""

from decimal import Decimal

import pytest

from batchwright.core.model import ProviderInfo
from batchwright.costs.prices import price, price_at
from batchwright.costs.tokens import RequestTokens
from batchwright.costs.totals import add_up, estimate

CHAT = "/v1/chat/completions"
REGIONAL = ProviderInfo("service", "eu.api.openai.com", "m", charges="batch")
WORLDWIDE = ProviderInfo("service", "api.openai.com", "m", charges="batch")


@pytest.mark.parametrize("model", ["gpt-5.4-mini", "gpt-5.6-sol", "gpt-6-luna", "gpt-chat-latest"])
def test_a_regional_address_costs_a_tenth_more(model: str) -> None:
    """OpenAI's data residency guide says so of models since March 2026."""
    worldwide, regional = price_at(WORLDWIDE, model, endpoint=CHAT), price_at(REGIONAL, model, endpoint=CHAT)
    assert worldwide is not None
    assert regional is not None
    totals = add_up([RequestTokens(2_000, 100)])
    before, now = estimate(worldwide, totals).cost_standard_usd, estimate(regional, totals).cost_standard_usd

    assert before is not None
    assert now is not None
    assert now.low_usd == (before.low_usd or 0) * Decimal("1.1")
    assert now.high_usd == (before.high_usd or 0) * Decimal("1.1")
    assert "costs a tenth more, which is included." in estimate(regional, totals).price_notes[0]


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5-mini", "gpt-5.2", "gpt-5.3-codex", "o3", "gpt-3.5-turbo"])
def test_older_models_cost_the_same_at_a_regional_address(model: str) -> None:
    """So their jobs are not refused for money that nobody takes."""
    assert price_at(REGIONAL, model, endpoint=CHAT) == price(model, endpoint=CHAT) is not None


def test_what_takes_other_prices_has_none_here() -> None:
    """OpenAI's prices say nothing of others."""
    for charges in ("nothing", "unknown"):
        provider = ProviderInfo("endpoint", "a.example", "gpt-4o", charges=charges)
        assert price_at(provider, "gpt-4o", endpoint=CHAT) is None
