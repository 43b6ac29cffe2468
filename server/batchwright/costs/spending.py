"""What a job may cost, and what to ask the user first. Pure: it decides, and reserves nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from batchwright.checks.parameters import TOKEN_LIMITS
from batchwright.core.errors import InvalidInput, OverLimit
from batchwright.core.model import Job, Part, SpendingLimits
from batchwright.core.money import format_most, format_usd, share_out
from batchwright.core.untrusted import quote_name, quote_names

LEAST_TOKENS = 16
"""Of an answer: some endpoints accept no lower limit, and few answers are shorter."""
DEAREST_INPUT = Decimal("1.3")
"""The most that input may cost, as a multiple of the least: writing to the prompt cache costs a quarter more."""

TRIAL_USD = Decimal("0.10")
"""The most that a trial may cost unless the user names another maximum."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that the user lets a round cost, and the share of each of its parts.

    Attributes:
        agreed_usd: None: nothing is charged.
        is_bounded: Whether no part can cost more than its share; otherwise the budget is only an expectation.
    """

    agreed_usd: Decimal | None
    shares: dict[int, Decimal]
    is_bounded: bool

    @property
    def total_usd(self) -> Decimal:
        """What is reserved."""
        return sum(self.shares.values(), Decimal(0))


_FREE = Budget(None, {}, is_bounded=True)


def job_budget(job: Job, parts: Sequence[Part], max_cost_usd: Decimal | None, limits: SpendingLimits) -> Budget:
    """Return what *parts* of a job may cost, given the maximum that the user named.

    Raises:
        OverLimit: They may cost more than the user or the operator allows.
        InvalidInput: Nothing limits the cost, or the price is unknown, and the user named no maximum.
    """
    if job.provider.charges == "nothing":
        return _FREE
    ceiling = ceiling_usd(parts)
    # A maximum of 0 is no agreement to pay.
    wanted = (max_cost_usd or None) if ceiling is None else ceiling
    if wanted is None:
        raise _needs_maximum(job, "it")
    if ceiling is not None and max_cost_usd is not None and ceiling > max_cost_usd:
        shorter = _length_within(job, parts, max_cost_usd)
        raise OverLimit(
            f"{job.id} may cost up to {format_most(ceiling)}, above max_cost_usd {format_usd(max_cost_usd)}. Nothing "
            f"was sent. Ask the user for more, or draft it with fewer rows, shorter answers{shorter} or a cheaper "
            "model, which compare_costs finds."
        )
    least = sum((part.least_usd for part in parts if part.least_usd is not None), Decimal(0))
    if least > wanted:
        raise OverLimit(
            f"The input alone of {job.id} costs {format_most(least)}, above max_cost_usd {format_usd(wanted)}. Nothing "
            "was sent. Ask the user for more, or draft it with fewer rows."
        )
    if wanted > limits.job_usd:
        raise OverLimit(
            f"{job.id} may cost up to {format_most(wanted)}, and the operator allows "
            f"{format_usd(limits.job_usd)} a job. Draft it with fewer rows, or have BATCHWRIGHT_MAX_JOB_USD raised."
        )
    known = {part.number: part.ceiling_usd for part in parts if part.ceiling_usd is not None}
    shares = known if ceiling is not None else share_out(wanted, {part.number: part.requests for part in parts})
    return Budget(max_cost_usd or wanted, shares, is_bounded=ceiling is not None)


def trial_budget(job: Job, ceilings: Sequence[Decimal | None], max_cost_usd: Decimal | None) -> Budget:
    """Return what trying requests of a job may cost, given the ceiling of each and the maximum that the user named.

    Raises:
        OverLimit: They may cost more than that maximum, or than the default one.
        InvalidInput: Nothing limits the cost, or the price is unknown, and the user named no maximum.
    """
    if job.provider.charges == "nothing":
        return _FREE
    known = [ceiling for ceiling in ceilings if ceiling is not None]
    is_bounded = len(known) == len(ceilings)
    wanted = sum(known, Decimal(0)) if is_bounded else max_cost_usd or None
    if wanted is None:
        raise _needs_maximum(job, "trying it")
    most = TRIAL_USD if max_cost_usd is None else max_cost_usd
    if wanted > most:
        raise OverLimit(
            f"Trying {len(ceilings)} requests of {job.id} may cost up to {format_most(wanted)}, above max_cost_usd "
            f"{format_usd(most)}. Nothing was sent. Try fewer rows, or pass as much as the user agrees to."
        )
    shares = dict(enumerate(known)) if is_bounded else share_out(wanted, dict.fromkeys(range(len(ceilings)), 1))
    return Budget(wanted, shares, is_bounded=is_bounded)


def ceiling_usd(parts: Sequence[Part]) -> Decimal | None:
    """Return the most that parts may cost together; None: nothing limits it, or the price is unknown."""
    ceilings = [part.ceiling_usd for part in parts]
    known = [ceiling for ceiling in ceilings if ceiling is not None]
    return sum(known, Decimal(0)) if len(known) == len(ceilings) else None


def question(job: Job, parts: Sequence[Part], agreed: Budget, *, duplicate: str | None) -> str:
    """Return the question to ask before a job is submitted: the cost, then rows, model and host, each in quotes."""
    requests = sum(part.requests for part in parts)
    what = "rows" if job.source.requests is None else "requests for the rows"
    again = f" The same data and prompt were run before, as {duplicate}." if duplicate else ""
    sent = f"{requests:,} {what} of {quote_name(job.source.name)} to {_ask_about(job, [job.provider.model])}"
    return f"{_spend(job, agreed, 'on')} It sends {sent}.{again}"


def trial_question(job: Job, models: Iterable[str], agreed: Budget) -> str:
    """Return the question to ask before requests of a job are tried: the cost, then models and host, in quotes."""
    sent = f"{len(agreed.shares)} requests now to {_ask_about(job, models)}"
    return f"{_spend(job, agreed, 'to try')} It sends {sent}."


def resend_question(job: Job, most_usd: Decimal) -> str:
    """Return the question to ask before a batch that may exist already is sent again."""
    again = f"Spend at most {format_most(most_usd)} more to send" if most_usd else "Send"
    return f"{again} {job.id} again? It is not known whether it was sent: it may then be paid twice."


def _length_within(job: Job, parts: Sequence[Part], max_cost_usd: Decimal) -> str:
    """Name an output limit that keeps a job within *max_cost_usd*, if there is one."""
    named = ((name, job.recipe.parameters.get(name)) for name in TOKEN_LIMITS)
    name, bound = next(((name, bound) for name, bound in named if type(bound) is int), ("", 0))
    ceiling, least = ceiling_usd(parts), [part.least_usd for part in parts]
    known = [amount for amount in least if amount is not None]
    if not bound or ceiling is None or len(known) < len(least):
        return ""
    inputs = sum(known, Decimal(0))
    fitting = int(bound * (max_cost_usd - inputs * DEAREST_INPUT) / (ceiling - inputs))
    return f" ({name} {fitting})" if fitting >= LEAST_TOKENS else ""


def _spend(job: Job, agreed: Budget, why: str) -> str:
    """Ask for the amount, before any name, so that no name can pass for it."""
    most = format_most(agreed.total_usd)
    if agreed.is_bounded:
        return f"Spend at most {most} {why} {job.id}?"
    return f"Spend {most} {why} {job.id}, which may cost more? {_explain_unbounded(job)}"


def _ask_about(job: Job, models: Iterable[str]) -> str:
    return f"{quote_names(dict.fromkeys(models))} at {quote_name(job.provider.host)}"


def _needs_maximum(job: Job, what: str) -> InvalidInput:
    return InvalidInput(
        f"{_explain_unbounded(job)} Ask the user how much {what} may cost, and pass that as max_cost_usd."
    )


def _explain_unbounded(job: Job) -> str:
    if job.provider.charges == "unknown":
        return f"The prices of {quote_name(job.provider.host)} are not known here: {job.id} is unpriced, not free."
    return (
        f"Nothing bounds what {job.id} may cost: its model has no known price, its answers have no maximum length "
        "(max_completion_tokens; for /v1/responses max_output_tokens), or its requests hold what cannot be counted."
    )
