"""What a draft may cost, and what a job cost and was agreed for, in words: never 0 because a price is missing."""

from decimal import Decimal
from typing import TYPE_CHECKING, Self

from batchwright.core.calls import OPEN, Advice, Call
from batchwright.core.model import Job
from batchwright.core.money import format_most, format_usd
from batchwright.costs.prices import price
from batchwright.costs.spending import ceiling_usd
from batchwright.mcp_server.views.view import Name, Next, Sentence, View

if TYPE_CHECKING:
    from batchwright.costs.comparison import Comparison, ModelCost
    from batchwright.costs.totals import CostRange
    from batchwright.jobs.build import Draft
    from batchwright.jobs.costs import Compared


_FREE = "0: it runs on this machine"


def draft_cost(draft: "Draft") -> str:
    """Describe what a draft may cost: never 0 because a price is missing."""
    provider, expected = draft.job.provider, draft.estimate
    notes = expected.price_notes
    match provider.charges:
        case "nothing" if provider.kind == "embedded":
            return _FREE
        case "nothing":
            return f"not counted: {provider.host} has its own prices"
        case "unknown":
            return f"not known: the prices of {provider.host} are not known, so it is unpriced, not free"
        case "standard":
            amount = _range(expected.cost_standard_usd, ceiling_usd(draft.job.parts))
            return " ".join([f"{amount}, at OpenAI's standard prices: requests go one at a time.", *notes])
        case "batch":
            batch = _range(expected.cost_batch_usd, ceiling_usd(draft.job.parts))
            standard = _range(expected.cost_standard_usd)
            return " ".join([f"{batch} as a batch; {standard} one at a time.", *notes])


def _range(known: "CostRange | None", ceiling: Decimal | None = None) -> str:
    """Write a range, up to the *ceiling* of the parts if it is given, each part rounded up."""
    high = ceiling or (known.high_usd if known else None)
    if known is None or known.low_usd is None:
        return "not known" if high is None else f"up to {format_most(high)}"
    low = format_usd(known.low_usd)
    return f"{low} and more" if high is None else f"{low} to {format_most(high)}"


def job_cost(job: Job) -> str | None:
    """Describe what a submitted job cost, and what was agreed; None if nothing is charged."""
    if job.submitted_at is None or (job.provider.charges == "nothing" and not job.spent_usd):
        return None
    ended = [part for part in job.parts if part.state in {"verified", "failed"} and part.batch_id is not None]
    left = [part for part in job.parts if part.state == "given_up"]
    said: list[str] = []
    if job.provider.charges == "unknown":
        said.append(f"not known: {job.provider.host} has its own prices")
    elif left:
        ceiling = ceiling_usd(left)
        most = "the amount agreed" if ceiling is None else f"up to {format_most(ceiling)}"
        said.append(f"{format_usd(job.spent_usd)} is known; {most} counts as paid for batches that were given up")
    elif any(part.cost_usd is None for part in ended):
        is_priced = price(job.recipe.model, endpoint=job.recipe.endpoint) is not None
        why = "the provider does not report all tokens" if is_priced else f"{job.provider.model} has no known price"
        known = f"; {format_usd(job.spent_usd)} of it is known" if job.spent_usd else ""
        said.append(f"not known: {why}{known}")
    elif job.ended_at is not None:
        said.append(format_usd(job.spent_usd))
    elif job.spent_usd or price(job.recipe.model, endpoint=job.recipe.endpoint):
        said.append(f"{format_usd(job.spent_usd)} so far")
    if job.agreed_usd is not None:
        said.append(_describe_agreement(job, job.agreed_usd))
    return "; ".join(said) or None


def submit_notes(job: Job, agreed_now: Decimal | None, *, was_submitted: bool) -> list[str]:
    """Note what a submission did not do, and what was agreed if nobody named an amount."""
    agreed = job.agreed_usd
    if was_submitted:
        is_other = agreed is not None and agreed_now not in {None, agreed}
        kept = (
            [f"The amount agreed then still applies: {format_most(agreed)}."] if agreed is not None and is_other else []
        )
        return ["Already submitted: nothing was sent again.", *kept]
    if agreed is None or agreed_now is not None:
        return []
    return ["No max_cost_usd was given, so the most that the draft may cost counts as agreed. Tell the user."]


def line_cost(job: Job) -> str | None:
    """Say briefly what a job cost, or what a draft may cost; None if nothing is charged."""
    if job.submitted_at is not None or job.provider.charges == "nothing":
        return (job_cost(job) or "").partition(";")[0] or None
    ceiling = ceiling_usd(job.parts)
    return "not bounded" if ceiling is None else f"up to {format_most(ceiling)}"


def _describe_agreement(job: Job, agreed: Decimal) -> str:
    """Say what was agreed for the current round: a maximum only if prices and lengths bound it."""
    is_bounded = job.provider.charges != "unknown" and all(part.ceiling_usd is not None for part in job.running_parts)
    said = f"at most {format_most(agreed)} agreed" if is_bounded else f"{format_most(agreed)} agreed, not enforced"
    costs = [part.cost_usd for part in job.parts if part.round == job.round and part.cost_usd is not None]
    spent = sum(costs, Decimal(0))
    if job.round > 1:
        said += f" for this retry, which cost {format_usd(spent)}" if job.ended_at else " for this retry"
    if spent > agreed:
        said += f": it cost {format_most(spent - agreed)} more, since nothing bounds the answers' length"
    return said


class CostsView(View):
    """Costs on several models, the cheapest batch first."""

    compared: Sentence
    costs: list[dict[str, Name]]
    prices: Sentence
    saved_as: Sentence | None = None
    notes: list[Sentence] | None = None
    next: Next

    @classmethod
    def of(cls, compared: "Compared") -> Self:
        """Show a comparison."""
        job, comparison = compared.job, compared.comparison
        cheapest = comparison.costs[0].model if comparison.costs else None
        draft = Call("create_batch_file", source="FILE", prompt="...", model=cheapest)
        return cls(
            compared=comparison.subject,
            costs=[_cost_line(line, comparison) for line in comparison.costs],
            prices=comparison.source,
            saved_as=compared.saved_as,
            notes=[*comparison.notes, *compared.notes] or None,
            next=(*(_go_on(job) if job else ()), draft, ", or with the model that the user chooses"),
        )


def _go_on(job: Job) -> Advice:
    """Return the next call for a compared job: for a draft, comparing the answers."""
    if job.submitted_at is None:
        return Call("try_requests", job_id=job.id, models=[OPEN]), " compares how they answer, or another draft: "
    return Call("check_job", job_id=job.id), ", or another draft: "


def _cost_line(line: "ModelCost", comparison: "Comparison") -> dict[str, str]:
    """Return a model's costs, without those that are not known."""
    more = " and more" if comparison.is_open else ""
    shown = {"model": line.model, "standard": f"{format_usd(line.standard_usd)}{more}"}
    if line.batch_usd is not None:
        shown["batch"] = f"{format_usd(line.batch_usd)}{more}"
    if line.saving_percent is not None:
        shown["saving"] = f"{line.saving_percent}%"
    return shown
