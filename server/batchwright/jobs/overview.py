"""What the dashboard shows of a job beside its facts: its progress over time, the limits, and what submitting costs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_UP, Decimal
from typing import TYPE_CHECKING

from batchwright.core.model import Job
from batchwright.costs.spending import ceiling_usd
from batchwright.jobs.adoption import ForeignBatch

if TYPE_CHECKING:
    from batchwright.core.model import ProviderInfo, SpendingLimits
    from batchwright.journal.history import Point
    from batchwright.journal.journal import Journal


@dataclass(frozen=True, slots=True)
class Offer:
    """What `submit_job` would run: a draft, or a drafted retry.

    Attributes:
        most_usd: What the user agrees to, rounded up to cents; None: nothing is charged, or nothing bounds it.
    """

    requests: int
    provider: "ProviderInfo"
    most_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """A job with what surrounds it.

    Attributes:
        course: Its progress over time, oldest first.
        day_usd: What all jobs have reserved, or spent within 24 hours.
        offer: None: nothing is drafted.
    """

    job: "Job"
    course: "Sequence[Point]"
    limits: "SpendingLimits"
    day_usd: Decimal
    offer: Offer | None


class Overviews:
    """Builds overviews from the journal."""

    def __init__(self, journal: "Journal", limits: "SpendingLimits") -> None:
        self._journal = journal
        self._limits = limits

    def of(self, job: "Job") -> Overview:
        """Return the current overview of a job."""
        course, day = self._journal.history.of(job.id), self._journal.ledger.taken_of_day()
        return Overview(job, course, self._limits, day, self._offer(job))

    def as_drafted(self, job: "Job") -> "Job":
        """Return a job with the parts, recipe and provider of the round that `submit_job` would run."""
        recipe, provider = self._journal.queries.drafted_round(job)
        return replace(job, recipe=recipe, provider=provider, parts=job.drafted_parts)

    def _offer(self, job: "Job") -> Offer | None:
        # A job that runs again has no draft.
        if not job.drafted_parts or not self._journal.queries.has_job(job.id):
            return None
        drafted = self.as_drafted(job)
        charges = drafted.provider.charges != "nothing"
        most = ceiling_usd(drafted.parts) if charges else None
        cents = most.quantize(Decimal("0.01"), ROUND_UP) if most is not None else None
        return Offer(sum(part.requests for part in drafted.parts), drafted.provider, cents)


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs, how many there are in all, and what else is at the provider.

    Attributes:
        others: Batches that this journal does not know; None: the provider could not be asked.
    """

    jobs: Sequence[Job]
    total: int
    others: Sequence[ForeignBatch] | None
    frozen: str | None
