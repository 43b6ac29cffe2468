"""Tokens to money, as Decimal US dollars. Pure: knows neither the network nor the clock.

The prices are OpenAI's, from the data that comes with genai-prices. The newest price in it counts, whatever its date:
a batch price begins there on the day when it was checked, and a wrong clock would bring the standard price back.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from batchwright.checks.names import near
from batchwright.core.model import OPENAI_HOST, Endpoint, ProviderInfo

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

Processing = Literal["batch", "standard"]
BatchBasis = Literal["listed", "half_of_standard", "standard"]
"""Where a batch price comes from; `standard` means that it is not known, and at most that."""

CACHEABLE_TOKENS = 1024
"""A shorter prompt never enters OpenAI's prompt cache (its prompt caching guide)."""
REGIONAL = Decimal("1.1")
"""What the models since March 2026 cost at OpenAI's regional addresses, as a multiple (its data residency guide)."""
_BEFORE_MARCH_2026 = re.compile(
    r"(chat)?gpt-(3|4|oss)|gpt-5(\.[0-3])?(?![.\d])|o\d|codex-mini|computer-use|(text-)?(embedding|ada|babbage|curie|davinci)"
)
_NEWEST = datetime.max.replace(tzinfo=UTC)
_NOT_BY_TEXT = frozenset(
    {"audio", "deep", "image", "live", "moderation", "realtime", "search", "transcribe", "tts", "whisper"}
)
"""Words in the names of models that are free, or sold by more than text tokens, as by web searches."""
_OPEN_WEIGHTS = "gpt-oss"
"""Every host of them has a price of its own, and the data has that of one."""


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars per million tokens, for requests of at least *from_input_tokens*."""

    from_input_tokens: int
    input_usd: Decimal
    output_usd: Decimal
    cache_write_usd: Decimal | None = None
    """Of input that the provider, unasked, writes to its prompt cache; None: no price of its own."""

    def times(self, factor: Decimal) -> "Rates":
        """Return the same, each as a multiple."""
        written = None if self.cache_write_usd is None else self.cache_write_usd * factor
        return Rates(self.from_input_tokens, self.input_usd * factor, self.output_usd * factor, written)

    def charge(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return the price of so many tokens, none of them from the prompt cache."""
        return (self.input_usd * input_tokens + self.output_usd * output_tokens).scaleb(-6)

    @property
    def with_cache_writes(self) -> "Rates":
        """The same, with all input at the rate of what is written to the cache."""
        return replace(self, input_usd=max(self.input_usd, self.cache_write_usd or self.input_usd))


@dataclass(frozen=True, slots=True)
class Price:
    """What OpenAI takes for the text tokens of a model.

    Attributes:
        standard, batch: Rates by the length of a request's input, the first from 0 tokens on.
        source: The package and the entry that they come from.
        batch_checked: The day when a listed batch price was checked, where the data says it.
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
        """Whether `batch` is the batch price, and not only the most that it may be."""
        return self.batch_basis != "standard"

    def rates(self, processing: Processing) -> tuple[Rates, ...]:
        """Return the rates of one way of processing."""
        return self.batch if processing == "batch" else self.standard


class RequestTokens(NamedTuple):
    """The tokens of one request before it is sent, and the names of what was not, or not surely, counted.

    Attributes:
        margin: How many more input tokens there may be at most.
    """

    input_tokens: int
    output_bound: int | None
    uncounted: frozenset[str] = frozenset()
    approximated: frozenset[str] = frozenset()
    margin: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """The tokens of many requests. The longest input decides whether a higher rate may apply.

    Attributes:
        input_margin: How many more input tokens there may be at most.
    """

    input_tokens: int = 0
    output_tokens_bound: int | None = 0
    largest_input_tokens: int = 0
    uncounted: frozenset[str] = frozenset()
    approximated: frozenset[str] = frozenset()
    input_margin: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        bounds = self.output_tokens_bound, other.output_tokens_bound
        return Totals(
            self.input_tokens + other.input_tokens,
            None if None in bounds else sum(bound or 0 for bound in bounds),
            max(self.largest_input_tokens, other.largest_input_tokens),
            self.uncounted | other.uncounted,
            self.approximated | other.approximated,
            self.input_margin + other.input_margin,
        )


@dataclass(frozen=True, slots=True)
class CostRange:
    """US dollars. The lowest cost is without any output, the highest with all that is allowed, at the highest rate."""

    low_usd: Decimal | None
    """Nothing read from the prompt cache, which makes it cheaper still; None: the price is not known."""
    high_usd: Decimal | None
    """None: nothing bounds it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job will cost, as far as it can be known before it runs.

    Attributes:
        is_exact: Whether OpenAI would count the same input.
        output_tokens_bound: None: not bounded.
        cost_batch_usd, cost_standard_usd: None: the model has no known price, which is never a cost of 0.
        sentences: What is not certain, in words for the user.
    """

    input_tokens: int
    is_exact: bool
    output_tokens_bound: int | None
    cost_batch_usd: CostRange | None
    cost_standard_usd: CostRange | None
    count_notes: tuple[str, ...]
    """What is not certain about the tokens, in words."""
    price_notes: tuple[str, ...]
    """What is not certain about the cost, in words."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """All that is not certain, in words."""
        return self.count_notes + self.price_notes


def price(model: str, *, endpoint: Endpoint) -> Price | None:
    """Return what OpenAI takes for *model*; None if that is not known, or is not a price of text tokens alone.

    A tuned model has its own price or none, never that of its base. A model without a batch price has its standard
    price in that place, as the most it may cost; only embeddings are halved, as OpenAI's pricing page does.
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
    """Return what *provider* takes for *model*, where it takes OpenAI's prices; None if that is not known."""
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
    """Return the models whose price is known, without their other names."""
    from genai_prices.data_snapshot import get_snapshot

    listed = get_snapshot().find_provider(None, "openai", None).models
    return tuple(entry.id for entry in listed if is_priced(entry.id))


def closest_priced_name(model: str) -> str | None:
    """Return the name with a price that *model* seems to mean; None: it has one itself, or is like none."""
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


def cost_of_totals(price: Price, totals: Totals, output_tokens: int, *, processing: Processing = "batch") -> Decimal:
    """Return the cost of many requests from their sums, in US dollars.

    It equals `cost` where all inputs are of one rate, and is above it where a few are so long that they cost more.
    """
    return _rates_of(price, totals, processing).charge(totals.input_tokens, output_tokens)


class Tally:
    """Adds up the tokens of requests as they go by, without keeping them."""

    def __init__(self) -> None:
        self._input = self._largest = self._margin = 0
        self._bound: int | None = 0
        self._uncounted: set[str] = set()
        self._approximated: set[str] = set()

    def add(self, request: RequestTokens) -> None:
        """Count one request."""
        tokens = request.input_tokens
        self._input += tokens
        self._largest = max(self._largest, tokens + request.margin)
        self._margin += request.margin
        if self._bound is not None:
            self._bound = None if request.output_bound is None else self._bound + request.output_bound
        if request.uncounted:
            self._uncounted |= request.uncounted
        if request.approximated:
            self._approximated |= request.approximated

    @property
    def totals(self) -> Totals:
        """The tokens of all requests so far."""
        names = frozenset(self._uncounted), frozenset(self._approximated)
        return Totals(self._input, self._bound, self._largest, *names, self._margin)


def add_up(requests: Iterable[RequestTokens]) -> Totals:
    """Add up the tokens of requests, in one pass."""
    tally = Tally()
    for request in requests:
        tally.add(request)
    return tally.totals


def estimate(price: Price | None, totals: Totals) -> Estimate:
    """Return what requests with *totals* will cost, and say in words what is not certain."""
    return Estimate(
        input_tokens=totals.input_tokens,
        is_exact=not totals.uncounted and not totals.approximated,
        output_tokens_bound=totals.output_tokens_bound,
        cost_batch_usd=_cost_range(price, totals, "batch") if price else None,
        cost_standard_usd=_cost_range(price, totals, "standard") if price else None,
        count_notes=tuple(_count_notes(totals)),
        price_notes=tuple(_price_notes(price, totals)),
    )


def _cost_range(price: Price, totals: Totals, processing: Processing) -> CostRange:
    low = high = None
    if processing == "standard" or price.is_batch_price_known:
        low = price.rates(processing)[0].charge(totals.input_tokens, 0)
    if totals.output_tokens_bound is not None and not totals.uncounted:
        rates = _rates_of(price, totals, processing)
        dearest = rates.with_cache_writes if totals.largest_input_tokens >= CACHEABLE_TOKENS else rates
        high = dearest.charge(totals.input_tokens + totals.input_margin, totals.output_tokens_bound)
    return CostRange(low, high)


def _count_notes(totals: Totals) -> Iterator[str]:
    if totals.uncounted:
        yield f"Not counted: {', '.join(sorted(totals.uncounted))}. Their cost comes on top."
    if totals.approximated:
        yield (
            f"Counted only approximately: {', '.join(sorted(totals.approximated))}. "
            "The highest cost takes all that it may be."
        )


def _price_notes(price: Price | None, totals: Totals) -> Iterator[str]:
    if totals.output_tokens_bound is None:
        yield (
            "Output is not bounded: the answers cost more on top of the input. "
            "Set max_completion_tokens, or max_output_tokens for /v1/responses, to bound it."
        )
    if price is None:
        yield "The price of this model is not known: its cost is unknown, not 0."
        return
    if price.is_regional:
        yield "At a regional address this model costs a tenth more, which is included."
    if price.batch_basis == "standard":
        yield f"The batch price of {price.model} is not known: its standard price is taken as the most it may be."
    if price.batch_basis == "half_of_standard":
        yield "The batch price is half of the standard price, as OpenAI has it for embeddings."
    longer = _rates_of(price, totals, "batch")
    if longer.from_input_tokens:
        yield (
            f"A request with {longer.from_input_tokens:,} input tokens or more has a higher rate: "
            "the highest cost takes that for all."
        )
    if longer.with_cache_writes != longer and totals.largest_input_tokens >= CACHEABLE_TOKENS:
        yield (
            f"Prompts of {CACHEABLE_TOKENS:,} tokens or more may be written to the prompt cache, at a higher rate: "
            "the highest cost takes that for all input."
        )


def _rates_of(price: Price, totals: Totals, processing: Processing) -> Rates:
    """Return the rates of the longest input."""
    return [rates for rates in price.rates(processing) if rates.from_input_tokens <= totals.largest_input_tokens][-1]


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
    # Some entries match a tuned model by a word in its name, or by the name of its base.
    return found if name.startswith("ft:") == found.id.startswith("ft:") else None


def _starts(*prices: "ModelPrice") -> list[int]:
    """Return the input tokens from which on another rate applies, the first 0."""
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
    # Where only the standard price is known for long requests, it is the most that they may cost.
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
