"""OpenAI's prices, and what tokens cost at them, as Decimal US dollars. Pure: knows neither the network nor the clock.

The prices are in the data that comes with genai-prices. The newest price there counts, whatever its date: a batch price
is dated by the day it was checked, and a wrong clock would bring the standard price back.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Literal, get_args

from batchwright.checks.names import near
from batchwright.core.model import OPENAI_HOST, Endpoint, ProviderInfo

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

Processing = Literal["batch", "standard"]
BatchBasis = Literal["listed", "half_of_standard", "standard"]
"""Where a batch price comes from; `standard`: it is unknown, and at most the standard price."""

REGIONAL = Decimal("1.1")
"""What models since March 2026 cost at OpenAI's regional addresses, as a multiple (its data residency guide)."""
_BEFORE_MARCH_2026 = re.compile(
    r"(chat)?gpt-(3|4|oss)|gpt-5(\.[0-3])?(?![.\d])|o\d|codex-mini|computer-use|(text-)?(embedding|ada|babbage|curie|davinci)"
)
_NEWEST = datetime.max.replace(tzinfo=UTC)
_NOT_BY_TEXT = frozenset(
    {"audio", "deep", "image", "live", "moderation", "realtime", "search", "transcribe", "tts", "whisper"}
)
"""Words in the names of models that are free, or that charge for more than text tokens, such as web searches."""
_OPEN_WEIGHTS = "gpt-oss"
"""Each host sets its own price for them, and the data has only one host's."""


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars per million tokens, for requests of at least *from_input_tokens*."""

    from_input_tokens: int
    input_usd: Decimal
    output_usd: Decimal
    cache_write_usd: Decimal | None = None
    """For input that the provider, unasked, writes to its prompt cache; None: no separate price."""

    def times(self, factor: Decimal) -> "Rates":
        """Return the rates multiplied by *factor*."""
        written = None if self.cache_write_usd is None else self.cache_write_usd * factor
        return Rates(self.from_input_tokens, self.input_usd * factor, self.output_usd * factor, written)

    def charge(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return what these tokens cost if none comes from the prompt cache."""
        return (self.input_usd * input_tokens + self.output_usd * output_tokens).scaleb(-6)

    @property
    def with_cache_writes(self) -> "Rates":
        """The same, with all input at the rate of what is written to the cache."""
        return replace(self, input_usd=max(self.input_usd, self.cache_write_usd or self.input_usd))


@dataclass(frozen=True, slots=True)
class Price:
    """What OpenAI charges for the text tokens of a model.

    Attributes:
        standard, batch: Rates by the length of a request's input, the first from 0 tokens on.
        source: The package and its entry.
        batch_checked: The day when a listed batch price was checked, if the data names it.
        is_regional: Whether the rates are those of a regional address.
    """

    model: str
    standard: tuple[Rates, ...]
    batch: tuple[Rates, ...]
    batch_basis: BatchBasis
    source: str
    batch_checked: date | None = None
    is_regional: bool = False

    @property
    def is_batch_price_known(self) -> bool:
        """Whether `batch` is the batch price, and not only an upper limit."""
        return self.batch_basis != "standard"

    def rates(self, processing: Processing) -> tuple[Rates, ...]:
        """Return the rates of one way of processing."""
        return self.batch if processing == "batch" else self.standard

    def rates_for(self, input_tokens: int, processing: Processing) -> Rates:
        """Return the rates of a request with *input_tokens*."""
        return [rates for rates in self.rates(processing) if rates.from_input_tokens <= input_tokens][-1]


def price(model: str, *, endpoint: Endpoint) -> Price | None:
    """Return what OpenAI charges for *model*; None if that is unknown, or not a price of text tokens alone.

    A fine-tuned model has a price of its own or none, never that of its base. Without a batch price, the standard
    price stands in as the upper limit; only embeddings are halved, as on OpenAI's pricing page.
    """
    import genai_prices

    info = _entry(model)
    if info is None:
        return None
    standard = info.get_prices(_NEWEST)
    if not standard.input_mtok or (standard.output_mtok is None) != (endpoint == "/v1/embeddings"):
        return None
    listed = [variant for variant in info.price_variants or () if variant.when == {"processing": "batch"}]
    batch = info.get_prices(_NEWEST, {"processing": "batch"})
    rates = tuple(_rates(standard, start) for start in _starts(standard, batch))
    basis: BatchBasis = "listed" if listed else "half_of_standard" if endpoint == "/v1/embeddings" else "standard"
    source = f"genai-prices {genai_prices.__version__}, {info.id}"
    days = [day for variant in listed if (day := getattr(variant.constraint, "start_date", None)) is not None]
    return Price(model, rates, _batch_rates(rates, batch, basis), basis, source, max(days, default=None))


def price_at(provider: ProviderInfo, model: str, *, endpoint: Endpoint) -> Price | None:
    """Return what *provider* charges for *model* if it charges OpenAI's prices; None if that is unknown."""
    if provider.charges not in {"batch", "standard"} or (known := price(model, endpoint=endpoint)) is None:
        return None
    is_regional = provider.is_openai and provider.host.partition(":")[0] != OPENAI_HOST
    if not is_regional or _BEFORE_MARCH_2026.match(model.lower().removeprefix("ft:")):
        return known
    standard, batch = (tuple(rates.times(REGIONAL) for rates in tier) for tier in (known.standard, known.batch))
    return replace(known, standard=standard, batch=batch, is_regional=True)


def is_priced(model: str) -> bool:
    """Whether the price of *model* is known for some endpoint."""
    return any(price(model, endpoint=endpoint) for endpoint in get_args(Endpoint))


@cache
def priced_models() -> tuple[str, ...]:
    """Return the models whose price is known, without their aliases."""
    from genai_prices.data_snapshot import get_snapshot

    listed = get_snapshot().find_provider(None, "openai", None).models
    return tuple(entry.id for entry in listed if is_priced(entry.id))


def closest_priced_name(model: str) -> str | None:
    """Return the priced name that *model* seems to mean; None if it has a price itself, or resembles none."""
    return near(model, priced_models, is_priced)


def cost(price: Price, counts: Iterable[tuple[int, int]], *, processing: Processing = "batch") -> Decimal:
    """Return the cost of requests in US dollars, without the prompt cache, each at the rate of its own length.

    *counts* are the input and output tokens of each request; the sum of several is not a request.
    """
    tiers = price.rates(processing)
    starts = [rates.from_input_tokens for rates in tiers]
    sums = [[0, 0] for _ in tiers]
    for input_tokens, output_tokens in counts:
        tier = sums[bisect_right(starts, input_tokens) - 1]
        tier[0] += input_tokens
        tier[1] += output_tokens
    return sum((rates.charge(*tier) for rates, tier in zip(tiers, sums, strict=True)), Decimal(0))


def cost_of_sums(
    price: Price, input_tokens: int, output_tokens: int, *, longest: int, processing: Processing = "batch"
) -> Decimal:
    """Return the cost of many requests from their sums, all at the rate of the *longest* input.

    It equals `cost` if all inputs have one rate, and is above it if a few are long enough to cost more.
    """
    return price.rates_for(longest, processing).charge(input_tokens, output_tokens)


def _entry(model: str) -> "ModelInfo | None":
    from genai_prices import Usage, calc_price

    name = model.lower()
    base = name.removeprefix("ft:").split(":")[0]
    if _NOT_BY_TEXT & set(base.split("-")) or base.startswith(_OPEN_WEIGHTS):
        return None
    nothing = Usage(input_tokens=0, output_tokens=0)
    try:
        found = calc_price(nothing, name, provider_id="openai", genai_request_timestamp=_NEWEST).model
    except LookupError:
        return None
    # Some entries match a fine-tuned model by a word in its name, or by the name of its base.
    return found if name.startswith("ft:") == found.id.startswith("ft:") else None


def _starts(*prices: "ModelPrice") -> list[int]:
    """Return the numbers of input tokens at which a rate begins, the first 0."""
    listed = [each for price in prices for each in (price.input_mtok, price.output_mtok, price.cache_write_mtok)]
    tiered = [each for each in listed if each is not None and not isinstance(each, Decimal)]
    # A tier is for requests longer than its start.
    return sorted({0, *(tier.start + 1 for each in tiered for tier in each.tiers)})


def _rates(prices: "ModelPrice", start: int) -> Rates:
    written = None if prices.cache_write_mtok is None else _rate(prices.cache_write_mtok, start)
    return Rates(start, _rate(prices.input_mtok, start), _rate(prices.output_mtok, start), written)


def _batch_rates(standard: tuple[Rates, ...], batch: "ModelPrice", basis: BatchBasis) -> tuple[Rates, ...]:
    if basis == "standard":
        return standard
    if basis == "half_of_standard":
        return tuple(replace(rates, input_usd=rates.input_usd / 2) for rates in standard)
    # If only the standard price is known for long requests, it is the most that they may cost.
    has_tiers = not isinstance(batch.input_mtok, Decimal)
    return tuple(
        _rates(batch, rates.from_input_tokens) if has_tiers or not rates.from_input_tokens else rates
        for rates in standard
    )


def _rate(listed: "Decimal | TieredPrices | None", input_tokens: int) -> Decimal:
    if listed is None or isinstance(listed, Decimal):
        return listed or Decimal(0)
    reached = [tier.price for tier in listed.tiers if input_tokens > tier.start]
    return reached[-1] if reached else listed.base
