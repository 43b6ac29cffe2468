"""What the user is asked before anything is sent, and what is refused if nobody can be asked."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from batchwright.core.calls import OPEN, Call
from batchwright.core.model import Job, SpendingLimits, UserSays
from batchwright.core.money import format_most
from batchwright.core.untrusted import one_line
from batchwright.costs.spending import ceiling_usd, job_budget, question, resend_question
from batchwright.jobs.recovery import stuck_parts

if TYPE_CHECKING:
    from batchwright.jobs.overview import Overviews
    from batchwright.journal.journal import Journal

_MAX_REASON_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class Terms:
    """What the user has to agree to before something is done.

    Attributes:
        question: None: the operator allows it without asking.
        refusal: If nobody can be asked, and no maximum was named; None: it is allowed.
    """

    question: str | None
    refusal: str | None = None


class SubmissionTerms:
    """Sets the terms of submissions by the operator's limits."""

    def __init__(
        self, journal: "Journal", overviews: "Overviews", limits: SpendingLimits, *, now: Callable[[], datetime]
    ) -> None:
        self._journal = journal
        self._overviews = overviews
        self._limits = limits
        self._now = now

    def of(self, job_id: str, *, max_cost_usd: Decimal | None, user_says: UserSays) -> Terms:
        """Return what the user has to agree to before a submission.

        Raises:
            OverLimit: It may cost more than the user or the operator allows.
            InvalidInput: Nothing bounds the cost, and no maximum is given.
        """
        job = self._journal.job(job_id)
        asked = self._question(job, max_cost_usd, user_says)
        return Terms(asked, self._refusal(job, user_says) if max_cost_usd is None else None)

    def _question(self, job: Job, max_cost_usd: Decimal | None, user_says: UserSays) -> str | None:
        if user_says == "resend":
            return resend_question(job, self.unconfirmed_usd(job))
        if user_says == "give_up":
            return self._question_to_leave(job)
        asked: list[str] = []
        if (drafted := self._overviews.as_drafted(job)).parts:
            agreed = job_budget(drafted, drafted.parts, max_cost_usd, self._limits)
            duplicate = self._journal.queries.same_job(job) if job.submitted_at is None else None
            if not agreed.is_bounded or agreed.total_usd > self._limits.ask_above_usd:
                asked.append(question(drafted, drafted.parts, agreed, duplicate=duplicate))
        if user_says == "go_on" and (reason := self._journal.freezes.reason()):
            asked.append(f"Continue submitting? {one_line(reason, _MAX_REASON_CHARACTERS)}")
        return " ".join(asked) or None

    def _refusal(self, job: Job, user_says: UserSays) -> str | None:
        drafted = self._overviews.as_drafted(job)
        is_charged = drafted.provider.charges != "nothing"
        most = (ceiling_usd(drafted.parts) if is_charged else None) or Decimal(0)
        if user_says == "resend":
            most = self.unconfirmed_usd(job)
        if most <= self._limits.ask_above_usd:
            return None
        said = "resend" if user_says == "resend" else None
        return (
            f"{job.id} may cost up to {format_most(most)}, and no maximum was named. Nothing was sent. Ask the user, "
            f"then {Call('submit_job', job_id=job.id, user_says=said, max_cost_usd=OPEN)}."
        )

    def unconfirmed_usd(self, job: Job) -> Decimal:
        """Return what it costs to send a job's unconfirmed parts again."""
        return sum((self._journal.ledger.reserved(part) for part in job.parts if part.state == "unknown"), Decimal(0))

    def _question_to_leave(self, job: Job) -> str | None:
        """Return the question before stuck parts are given up; None: none is stuck."""
        if not (stuck := stuck_parts(job, self._now())):
            return None
        rows = sum(part.requests for part in stuck)
        counted = sum((self._journal.ledger.reserved(part) for part in stuck), Decimal(0))
        cost = f", and up to {format_most(counted)} counts as paid" if counted else ""
        return (
            f"Give up {rows:,} requests of {job.id}? They may be answered and paid for: their rows become unconfirmed"
            f"{cost}. Nothing is deleted at the provider."
        )
