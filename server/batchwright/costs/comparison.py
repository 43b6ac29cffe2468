"""What the same requests cost on several models, standard and batch. Pure: it takes token counts and reads nothing."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from batchwright.checks.deprecations import shutdown_notes
from batchwright.checks.names import explain
from batchwright.core.errors import InvalidInput
from batchwright.core.model import Endpoint
from batchwright.core.untrusted import model_name, one_line
from batchwright.costs.prices import Price, Processing, closest_priced_name, cost, price
from batchwright.costs.tokens import RequestTokens
from batchwright.costs.totals import CACHEABLE_TOKENS

CHAT_MODELS = ("gpt-6-luna", "gpt-5.4-mini", "gpt-6.1-terra", "gpt-6.1-sol", "gpt-6-astra")
"""Compared by default: from the cheapest to the most capable, all with a listed batch price."""
EMBEDDING_MODELS = ("text-embedding-3-small", "text-embedding-3-large")
MAX_MODELS = 20
MAX_ROWS = 1_000_000_000
MAX_TOKENS = 10_000_000

OutputBasis = Literal["given", "measured", "bound", "open"]
"""Where output tokens come from: the user, the job's answers, the longest allowed; or some have no limit."""


@dataclass(frozen=True, slots=True)
class MeanOutput:
    """The output tokens of some requests together, spread evenly over each request."""

    tokens: int
    requests: int = 1

    def of(self, number: int) -> int:
        """Return those of one request, numbered from 0: whole tokens that add up to the total."""
        return self.tokens * (number + 1) // self.requests - self.tokens * number // self.requests


@dataclass(frozen=True, slots=True)
class Load:
    """Requests, as a model's tokenizer counts them.

    Attributes:
        sizes: The number of requests of each size: input and output tokens.
        is_open: Whether some have output without a limit, which is not counted.
    """

    sizes: Mapping[tuple[int, int], int]
    is_open: bool = False
    uncounted: frozenset[str] = frozenset()
    approximated: frozenset[str] = frozenset()

    @property
    def requests(self) -> int:
        """The number of requests."""
        return sum(self.sizes.values())

    @property
    def mean(self) -> tuple[int, int]:
        """The average input and output tokens of a request, rounded."""
        requests = max(1, self.requests)
        into, out = (sum(size[place] * count for size, count in self.sizes.items()) for place in (0, 1))
        return round(into / requests), round(out / requests)

    @property
    def longest(self) -> int:
        """The input tokens of the longest request."""
        return max((size[0] for size in self.sizes), default=0)

    def cost(self, price: Price, processing: Processing) -> Decimal:
        """Return the cost in US dollars, each request at the rate for its own length."""
        each = (cost(price, [size], processing=processing) * count for size, count in self.sizes.items())
        return sum(each, Decimal(0))


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What the requests cost on one model, in US dollars."""

    model: str
    standard_usd: Decimal
    batch_usd: Decimal | None
    """None: its batch price is unknown."""

    @property
    def highest_usd(self) -> Decimal:
        """The higher of the two."""
        return max(self.standard_usd, self.batch_usd or Decimal(0))

    @property
    def saving_percent(self) -> int | None:
        """What the batch saves; None if that is unknown."""
        if self.batch_usd is None or not self.standard_usd:
            return None
        return int((100 * (1 - self.batch_usd / self.standard_usd)).quantize(Decimal(1), ROUND_HALF_UP))


@dataclass(frozen=True, slots=True)
class Comparison:
    """What requests cost on several models.

    Attributes:
        subject: The requests, in words.
        costs: The cheapest batch first, unknown batch prices last.
        unpriced: Models whose price is unknown.
        source: Where the prices come from, with their date.
        notes: What is uncertain, in sentences.
        is_open: Whether output without a limit comes on top.
    """

    subject: str
    costs: tuple[ModelCost, ...]
    unpriced: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()
    is_open: bool = False


def models_to_compare(models: Iterable[str], default: Sequence[str]) -> tuple[str, ...]:
    """Return the models to compare, each once; *default* if none are named.

    Raises:
        InvalidInput: There are too many, or one is not the name of a model.
    """
    given = [model_name(model.strip()) for model in models if model.strip()]
    names = tuple(dict.fromkeys(given or map(one_line, default)))
    if len(names) > MAX_MODELS:
        raise InvalidInput(f"{len(names):,} models are too many: at most {MAX_MODELS}. Compare fewer at a time.")
    return names


def prices_of(models: Iterable[str], endpoint: Endpoint | None = None) -> dict[str, Price | None]:
    """Return each model's price; without an *endpoint*, at whichever has one."""
    endpoints: tuple[Endpoint, ...] = (endpoint,) if endpoint else ("/v1/chat/completions", "/v1/embeddings")
    found = {model: [price(model, endpoint=each) for each in endpoints] for model in models}
    return {model: next(filter(None, prices), None) for model, prices in found.items()}


def load_of(requests: Iterable[RequestTokens], output: MeanOutput | None) -> Load:
    """Count requests by size; without *output*, each has as much as it is allowed."""
    sizes: Counter[tuple[int, int]] = Counter()
    uncounted, approximated, is_open = set[str](), set[str](), False
    for number, request in enumerate(requests):
        out = output.of(number) if output else request.output_bound
        is_open = is_open or out is None
        sizes[request.input_tokens, out or 0] += 1
        uncounted |= request.uncounted
        approximated |= request.approximated
    return Load(sizes, is_open, frozenset(uncounted), frozenset(approximated))


def check(name: str, value: int, *, least: int, most: int) -> None:
    """Refuse a number outside its range.

    Raises:
        InvalidInput: It is outside.
    """
    if not least <= value <= most:
        raise InvalidInput(f"{name} is {value:,}. Give a number from {least:,} to {most:,}.")


def compare_tokens(
    models: Iterable[str],
    *,
    rows: int | None,
    input_tokens: int | None,
    output_tokens: int | None,
    today: date,
) -> Comparison:
    """Compare the costs of *rows* equal requests; without *output_tokens*, only the cost of their input.

    Raises:
        InvalidInput: A number is missing or out of range, or there are too many models.
    """
    if rows is None or input_tokens is None:
        raise InvalidInput(
            "Nothing to compare. Give a job_id, or rows with the input_tokens and output_tokens of one request."
        )
    check("rows", rows, least=1, most=MAX_ROWS)
    check("input_tokens", input_tokens, least=1, most=MAX_TOKENS)
    check("output_tokens", output_tokens or 0, least=0, most=MAX_TOKENS)
    load = Load({(input_tokens, output_tokens or 0): rows}, is_open=output_tokens is None)
    prices = prices_of(models_to_compare(models, CHAT_MODELS))
    loads = {model: load for model, known in prices.items() if known}
    out = "" if output_tokens is None else f" and {output_tokens:,} output"
    each = " each" if rows > 1 else ""
    subject = f"{rows:,} {'requests' if rows > 1 else 'request'} of {input_tokens:,} input{out} tokens{each}"
    return compare(prices, loads, subject=subject, output="open" if output_tokens is None else "given", today=today)


def compare(
    prices: Mapping[str, Price | None],
    loads: Mapping[str, Load],
    *,
    subject: str,
    output: OutputBasis,
    today: date,
    elsewhere: str | None = None,
) -> Comparison:
    """Compare the costs of requests; *loads* has an entry for each priced model, counted by its tokenizer.

    The model *elsewhere* is not OpenAI's, so its name may be anything.
    """
    known = {model: found for model, found in prices.items() if found}
    costs = [
        ModelCost(
            model,
            loads[model].cost(found, "standard"),
            loads[model].cost(found, "batch") if found.is_batch_price_known else None,
        )
        for model, found in known.items()
    ]
    unpriced = tuple(model for model in prices if model not in known)
    notes = [*_token_notes(loads, output), *_price_notes(known, loads)]
    if unpriced:
        notes.append(f"No known price (unknown, not free): {', '.join(unpriced)}.")
    notes += [explain(model, name) for model in unpriced if model != elsewhere and (name := closest_priced_name(model))]
    notes += shutdown_notes([model for model in prices if model != elsewhere], today)
    is_open = any(load.is_open for load in loads.values())
    source = _source(known.values())
    return Comparison(subject, tuple(sorted(costs, key=_order)), unpriced, source, tuple(notes), is_open)


def _order(line: ModelCost) -> tuple[bool, Decimal, str]:
    return line.batch_usd is None, line.standard_usd if line.batch_usd is None else line.batch_usd, line.model


def _token_notes(loads: Mapping[str, Load], output: OutputBasis) -> Iterator[str]:
    has_output = any(load.mean[1] for load in loads.values())
    if any(load.is_open for load in loads.values()):
        yield "Output without a limit is not counted and comes on top. Give the output tokens of one request."
    elif output == "bound" and has_output:
        yield "The output is the longest allowed, so this is the most. If known, give the output tokens of one request."
    elif output == "measured" and has_output:
        yield "The output is as measured on this job; another model may write, or reason, more or less."
    elif has_output:
        yield "The same output is assumed for every model; reasoning models also bill their reasoning tokens."
    uncounted = frozenset[str]().union(*(load.uncounted for load in loads.values()))
    if uncounted:
        yield f"Not counted: {', '.join(sorted(uncounted))}. Their cost comes on top."
    approximated: dict[str, list[str]] = {}
    for model, load in loads.items():
        for what in sorted(load.approximated):
            approximated.setdefault(what, []).append(model)
    for what, models in approximated.items():
        which = "" if len(models) == len(loads) else f" for {', '.join(models)}"
        yield f"Counted only approximately{which}: {what}."


def _price_notes(prices: Mapping[str, Price], loads: Mapping[str, Load]) -> Iterator[str]:
    def those(*, basis: str) -> str:
        return ", ".join(model for model, found in prices.items() if found.batch_basis == basis)

    if unknown := those(basis="standard"):
        yield f"No batch price is known: {unknown}."
    if halved := those(basis="half_of_standard"):
        yield f"The batch price is half the standard price, as OpenAI charges for embeddings: {halved}."
    standard_when_long = [
        model
        for model, found in prices.items()
        if found.batch_basis == "listed"
        and any(
            0 < batch.from_input_tokens <= loads[model].longest and batch == standard
            for batch, standard in zip(found.batch, found.standard, strict=True)
        )
    ]
    if standard_when_long:
        models = ", ".join(standard_when_long)
        yield f"For the longest requests only the standard price is known, and it is used for batch too: {models}."
    cached = [
        model
        for model, found in prices.items()
        if loads[model].longest >= CACHEABLE_TOKENS
        and any(rates.with_cache_writes != rates for rates in (*found.standard, *found.batch))
    ]
    if cached:
        yield (
            f"Prompts of {CACHEABLE_TOKENS:,} tokens or more may be written to the prompt cache, at a higher rate that "
            f"is not counted: {', '.join(cached)}."
        )


def _source(prices: Iterable[Price]) -> str:
    """Say where the prices come from, with the day of the batch prices: standard prices have none."""
    found = list(prices)
    packages = dict.fromkeys(each.source.split(",")[0] for each in found)
    days = sorted({each.batch_checked for each in found if each.batch_checked})
    checked = f", batch prices checked on {days[0]}" + (f" to {days[-1]}" if len(days) > 1 else "") if days else ""
    return f"OpenAI's prices, {', '.join(packages)}{checked}" if found else "no prices known"
