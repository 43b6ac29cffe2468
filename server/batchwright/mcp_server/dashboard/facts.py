"""What only the dashboard reads of an answer: it goes into `_meta`, which hosts keep from the model."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from batchwright.core.money import format_most, format_usd
from batchwright.core.untrusted import clean, inert_value, one_line
from batchwright.mcp_server.views.view import present

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchwright.core.model import Job, Json
    from batchwright.jobs.overview import Offer, Overview
    from batchwright.journal.history import Point

KEY = "batchwright/dashboard"
MAX_PROMPT_CHARACTERS = 400


def of_job(overview: "Overview", now: datetime) -> "dict[str, Json]":
    """Return what surrounds a job: where it comes from, its times, its money, its course and what may be submitted."""
    job = overview.job
    facts: dict[str, Json] = {
        "at": _time(now),
        "source": one_line(job.source.name),
        "model": one_line(job.recipe.model),
        "prompt": clean(job.recipe.prompt or "", MAX_PROMPT_CHARACTERS) or None,
        "created_at": _time(job.created_at),
        "submitted_at": _time(job.submitted_at),
        "ended_at": _time(job.ended_at),
        "round": job.round,
        "money": _money(overview),
        "offer": _offer(overview.offer) if overview.offer else None,
        "course": [_point(point) for point in overview.course] or None,
    }
    return {KEY: inert_value({name: value for name, value in facts.items() if value is not None})}


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
    facts: dict[str, Json] = {
        "requests": offer.requests,
        "answered_by": offer.provider.sentence,
        "charges": offer.provider.charges,
    }
    if offer.provider.kind == "embedded":
        facts["is_here"] = True
    if offer.most_usd is not None:
        facts["most"] = {"text": format_most(offer.most_usd), "usd": float(offer.most_usd)}
    return facts


def _amount(amount: Decimal) -> "Json":
    """Write an amount as the answers do; the number is only for the length of a bar."""
    return {"text": format_usd(amount), "usd": float(amount)}


def _point(point: "Point") -> "Json":
    return [round(point.at.timestamp(), 1), {**point.counts}]


def _time(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
