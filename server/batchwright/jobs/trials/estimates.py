"""Which rows are tried, what a few answers say about all rows, and how far answers agree. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import sqrt
from random import Random
from statistics import fmean, stdev
from typing import Literal

from batchwright.core.model import Json, Result
from batchwright.costs.prices import Price, Processing, cost_of_sums
from batchwright.results.equality import are_same, comparable

Which = Literal["random", "first"]

MAX_ROWS = 20
FEW = 5
"""With fewer answers an interval is so wide that their least and most say more."""

_T95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093),
)
"""Student's t for 95%, both sides, by degrees of freedom from 1 to MAX_ROWS - 1."""


def choose_places(total: int, count: int, *, which: Which, seed: int) -> list[int]:
    """Return places among *total* rows, from 0 and in order: the same ones for the same arguments."""
    if which == "first":
        return list(range(min(count, total)))
    return sorted(Random(f"{seed} {total}").sample(range(total), min(count, total)))  # noqa: S311  # no secret


@dataclass(frozen=True, slots=True)
class Spread:
    """How many output tokens a request has on average, estimated from some answers.

    Attributes:
        low, high: The range of that average, if it has one.
        basis: What the estimate rests on, in words.
    """

    low: float
    mean: float
    high: float
    basis: str
    has_range: bool = True


def estimate_output(counts: Sequence[int], *, total: int, most: int | None, which: Which | None) -> Spread | None:
    """Estimate from the output tokens of some of *total* requests how many all have on average; None without counts.

    *most* bounds one request. *which* is how the requests were chosen: only a random choice represents the others.
    """
    if not counts:
        return None
    mean, answers = fmean(counts), len(counts)
    if answers >= total:
        found = Spread(mean, mean, mean, "all of them measured", has_range=False)
    elif answers == 1:
        found = Spread(mean, mean, mean, "of 1 answer: try more rows for a range", has_range=False)
    elif which == "random" and answers >= FEW:
        rest = sqrt((total - answers) / (total - 1))
        half = _T95[answers - 2] * stdev(counts) / sqrt(answers) * rest
        found = Spread(mean - half, mean, mean + half, f"95% t-interval of {answers} answers")
    else:
        found = Spread(min(counts), mean, max(counts), f"the least and the most of {answers} answers")
    bound = float("inf") if most is None else most
    low, mean, high = (min(max(value, 0.0), bound) for value in (found.low, found.mean, found.high))
    return replace(found, low=low, mean=mean, high=high)


@dataclass(frozen=True, slots=True)
class Projection:
    """What all requests are expected to cost, in US dollars, with a range."""

    low_usd: Decimal
    mean_usd: Decimal
    high_usd: Decimal


def project_cost(
    price: Price, output: Spread, *, requests: int, input_usd: Decimal, longest: int, processing: Processing
) -> Projection:
    """Project the cost of *requests* whose input costs *input_usd*; *longest* is the most input tokens of one."""

    def at(each: float) -> Decimal:
        tokens = round(each * requests)
        return input_usd + cost_of_sums(price, 0, tokens, longest=longest, processing=processing)

    return Projection(at(output.low), at(output.mean), at(output.high))


def answers_of(result: Result) -> Mapping[str, Json]:
    """Return a good answer by property; without an output schema its one property is `answer`."""
    return result.values if result.values is not None else {"answer": result.text}


def count_alike(one: Sequence[Result], other: Sequence[Result]) -> dict[str, tuple[int, int]]:
    """Count per property the rows in which two variants agree, and the rows in which both have a good answer."""
    same, both = Counter[str](), Counter[str]()
    for first, second in zip(one, other, strict=True):
        if first.outcome == second.outcome == "answered":
            values = answers_of(second)
            for name, value in answers_of(first).items():
                both[name] += 1
                same[name] += are_same(value, values.get(name))
    return {name: (same[name], count) for name, count in both.items()}


def count_right(results: Iterable[Result], truths: Iterable[Json], name: str) -> tuple[int, int]:
    """Count the rows in which the property *name* is right, and the rows that have a right answer at all."""
    right = known = 0
    for result, truth in zip(results, truths, strict=True):
        if comparable(truth):
            known += 1
            right += result.outcome == "answered" and are_same(answers_of(result).get(name), truth)
    return right, known
