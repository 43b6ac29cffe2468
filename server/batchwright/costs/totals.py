"""The tokens of many requests, and what they will cost. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from batchwright.costs.prices import Price, Processing
from batchwright.costs.tokens import RequestTokens

CACHEABLE_TOKENS = 1024
"""A shorter prompt never enters OpenAI's prompt cache (its prompt caching guide)."""


@dataclass(slots=True)
class Totals:
    """The tokens of many requests, added up as they go by.

    Attributes:
        output_bound: None: not bounded.
        largest_input_tokens: Of a single request: it decides whether a higher rate may apply.
        margin: The most input tokens that may come on top.
    """

    input_tokens: int = 0
    output_bound: int | None = 0
    largest_input_tokens: int = 0
    uncounted: frozenset[str] = frozenset()
    approximated: frozenset[str] = frozenset()
    margin: int = 0

    def add(self, request: RequestTokens) -> None:
        """Count one request."""
        self.input_tokens += request.input_tokens
        self.largest_input_tokens = max(self.largest_input_tokens, request.input_tokens + request.margin)
        self._add_up(request)

    def __iadd__(self, other: "Totals") -> Self:
        self.input_tokens += other.input_tokens
        self.largest_input_tokens = max(self.largest_input_tokens, other.largest_input_tokens)
        self._add_up(other)
        return self

    def _add_up(self, other: "Totals | RequestTokens") -> None:
        self.margin += other.margin
        if self.output_bound is not None:
            self.output_bound = None if other.output_bound is None else self.output_bound + other.output_bound
        if other.uncounted:
            self.uncounted |= other.uncounted
        if other.approximated:
            self.approximated |= other.approximated


def add_up(requests: Iterable[RequestTokens]) -> Totals:
    """Add up the tokens of requests, in one pass."""
    totals = Totals()
    for request in requests:
        totals.add(request)
    return totals


@dataclass(frozen=True, slots=True)
class CostRange:
    """US dollars, from no output at all to the longest allowed, at the highest rate."""

    low_usd: Decimal | None
    """Reading from the prompt cache would make it cheaper still; None: the price is unknown."""
    high_usd: Decimal | None
    """None: nothing bounds it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job will cost, as far as that is known before it runs.

    Attributes:
        cost_batch_usd, cost_standard_usd: None: the model has no known price, which never means a cost of 0.
        count_notes, price_notes: What is uncertain about the tokens and about the cost, in sentences.
    """

    input_tokens: int
    output_tokens_bound: int | None
    cost_batch_usd: CostRange | None
    cost_standard_usd: CostRange | None
    count_notes: tuple[str, ...]
    price_notes: tuple[str, ...]


def estimate(price: Price | None, totals: Totals) -> Estimate:
    """Estimate what requests with *totals* will cost, and say what is uncertain."""
    return Estimate(
        input_tokens=totals.input_tokens,
        output_tokens_bound=totals.output_bound,
        cost_batch_usd=_cost_range(price, totals, "batch") if price else None,
        cost_standard_usd=_cost_range(price, totals, "standard") if price else None,
        count_notes=tuple(_count_notes(totals)),
        price_notes=tuple(_price_notes(price, totals)),
    )


def _cost_range(price: Price, totals: Totals, processing: Processing) -> CostRange:
    low = high = None
    if processing == "standard" or price.is_batch_price_known:
        low = price.rates(processing)[0].charge(totals.input_tokens, 0)
    if totals.output_bound is not None and not totals.uncounted:
        rates = price.rates_for(totals.largest_input_tokens, processing)
        highest = rates.with_cache_writes if totals.largest_input_tokens >= CACHEABLE_TOKENS else rates
        high = highest.charge(totals.input_tokens + totals.margin, totals.output_bound)
    return CostRange(low, high)


def _count_notes(totals: Totals) -> Iterator[str]:
    if totals.uncounted:
        yield f"Not counted: {', '.join(sorted(totals.uncounted))}. Their cost comes on top."
    if totals.approximated:
        yield (
            f"Counted only approximately: {', '.join(sorted(totals.approximated))}. "
            "The highest cost allows for the most that it can be."
        )


def _price_notes(price: Price | None, totals: Totals) -> Iterator[str]:
    if totals.output_bound is None:
        yield (
            "The output has no limit, so the answers cost more than the input alone. "
            "Set max_completion_tokens, or max_output_tokens for /v1/responses, to limit it."
        )
    if price is None:
        yield "The price of this model is not known: its cost is unknown, not 0."
        return
    if price.is_regional:
        yield "At a regional address this model costs a tenth more, which is included."
    if price.batch_basis == "standard":
        yield f"The batch price of {price.model} is not known: its standard price counts as the most it may be."
    if price.batch_basis == "half_of_standard":
        yield "The batch price is half the standard price, as OpenAI charges for embeddings."
    longer = price.rates_for(totals.largest_input_tokens, "batch")
    if longer.from_input_tokens:
        yield (
            f"Requests with {longer.from_input_tokens:,} input tokens or more have a higher rate: "
            "the highest cost applies it to all."
        )
    if longer.with_cache_writes != longer and totals.largest_input_tokens >= CACHEABLE_TOKENS:
        yield (
            f"Prompts of {CACHEABLE_TOKENS:,} tokens or more may be written to the prompt cache, at a higher rate: "
            "the highest cost applies it to all input."
        )
