"""What only the dashboard reads: it goes into `_meta`, which hosts do not show to the model."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from batchwright.core.money import format_most, format_usd
from batchwright.core.untrusted import clean, inert_value, one_line
from batchwright.mcp_server.views.view import known, present

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchwright.core.model import Job, Json
    from batchwright.jobs.overview import Offer, Overview

KEY = "batchwright/dashboard"
MAX_PROMPT_CHARACTERS = 400


def of_job(overview: "Overview", now: datetime) -> "dict[str, Json]":
    """Return a job's context: source, times, money, progress over time and what may be submitted."""
    job = overview.job
    facts = known(
        at=_time(now),
        source=one_line(job.source.name),
        model=one_line(job.recipe.model),
        prompt=clean(job.recipe.prompt or "", MAX_PROMPT_CHARACTERS) or None,
        created_at=_time(job.created_at),
        submitted_at=_time(job.submitted_at),
        ended_at=_time(job.ended_at),
        round=job.round,
        money=_money(overview),
        offer=_offer(overview.offer) if overview.offer else None,
        course=[[round(point.at.timestamp(), 1), {**point.counts}] for point in overview.course] or None,
    )
    return {KEY: inert_value(facts)}


def of_jobs(jobs: "Iterable[Job]", now: datetime) -> "dict[str, Json]":
    """Return the rows of several jobs by outcome."""
    return {KEY: {"at": _time(now), "counts": {job.id: present(job.counts) for job in jobs}}}


def _money(overview: "Overview") -> "Json":
    job, limits = overview.job, overview.limits
    if job.provider.charges == "nothing" and not job.spent_usd:
        return None
    amounts = {
        "spent": job.spent_usd,
        "job_limit": limits.job_usd,
        "day": overview.day_usd,
        "day_limit": limits.day_usd,
    }
    if job.agreed_usd is not None:
        amounts["agreed"] = job.agreed_usd
    return {name: _amount(amount) for name, amount in amounts.items()}


def _offer(offer: "Offer") -> "Json":
    most = offer.most_usd
    return known(
        requests=offer.requests,
        answered_by=offer.provider.sentence,
        charges=offer.provider.charges,
        is_here=True if offer.provider.kind == "embedded" else None,
        most=None if most is None else {"text": format_most(most), "usd": float(most)},
    )


def _amount(amount: Decimal) -> "Json":
    """Write an amount as replies do; the number is only for the length of a bar."""
    return {"text": format_usd(amount), "usd": float(amount)}


def _time(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
