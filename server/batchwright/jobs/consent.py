"""What the user is asked before anything is sent, and what is not sent unless somebody was asked."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from batchwright.core.errors import NotAgreed
from batchwright.core.model import Job, SpendingLimits, UserSays
from batchwright.core.money import shown_most
from batchwright.core.untrusted import one_line
from batchwright.costs.spending import agreement, ceiling_usd, question, resend_question
from batchwright.jobs.recovery import stuck_parts

if TYPE_CHECKING:
    from batchwright.jobs.overview import Overviews
    from batchwright.journal.journal import Journal

_MAX_REASON_CHARACTERS = 600


class Consent:
    """Questions to the user, and refusals where nobody can be asked."""

    def __init__(
        self, journal: "Journal", overviews: "Overviews", limits: SpendingLimits, *, now: Callable[[], datetime]
    ) -> None:
        self._journal = journal
        self._overviews = overviews
        self._limits = limits
        self._now = now

    def question(self, job_id: str, *, max_cost_usd: Decimal | None, user_says: UserSays) -> str | None:
        """Say what the user is to be asked before a submission; None: the operator lets it go without.

        Raises:
            OverLimit: It may cost more than the user or the operator allows.
            InvalidInput: Nothing bounds the cost, and no maximum is given.
        """
        job = self._journal.job(job_id)
        if user_says == "resend":
            return resend_question(job, self.unconfirmed_usd(job))
        if user_says == "give_up":
            return self._question_to_leave(job)
        asked: list[str] = []
        if (drafted := self._overviews.drafted(job)).parts:
            agreed = agreement(drafted, drafted.parts, max_cost_usd, self._limits)
            duplicate = self._journal.same_job(job) if job.submitted_at is None else None
            if not agreed.is_bounded or agreed.total_usd > self._limits.ask_above_usd:
                asked.append(question(drafted, drafted.parts, agreed, duplicate=duplicate))
        if user_says == "go_on" and (reason := self._journal.standing.frozen()):
            asked.append(f"Go on with submitting? {one_line(reason, _MAX_REASON_CHARACTERS)}")
        return " ".join(asked) or None

    def refuse_unnamed(self, job_id: str, *, user_says: UserSays) -> None:
        """Refuse to submit what nobody can be asked about, and nobody named a maximum for.

        Raises:
            NotAgreed: It may cost more than the operator lets go without a question.
        """
        job = self._journal.job(job_id)
        drafted = self._overviews.drafted(job)
        is_charged = drafted.provider.charges != "nothing"
        most = (ceiling_usd(drafted.parts) if is_charged else None) or Decimal(0)
        if user_says == "resend":
            most = self.unconfirmed_usd(job)
        if most > self._limits.ask_above_usd:
            said = ', user_says="resend"' if user_says == "resend" else ""
            raise NotAgreed(
                f"{job_id} may cost up to {shown_most(most)}, and no maximum was named. Nothing was sent. Ask the "
                f'user, then submit_job(job_id="{job_id}"{said}, max_cost_usd=...).'
            )

    def unconfirmed_usd(self, job: Job) -> Decimal:
        """Give what it costs to send the unconfirmed parts of a job once more."""
        return sum((self._journal.share_of(part) for part in job.parts if part.state == "unknown"), Decimal(0))

    def _question_to_leave(self, job: Job) -> str | None:
        """Say what is asked before stuck parts are given up; None: none is stuck."""
        if not (stuck := stuck_parts(job, self._now())):
            return None
        rows = sum(part.requests for part in stuck)
        counted = sum((self._journal.share_of(part) for part in stuck), Decimal(0))
        cost = f", and up to {shown_most(counted)} counts as paid" if counted else ""
        return (
            f"Give up {rows:,} requests of {job.id}? They may be answered and paid for: their rows are then unconfirmed"
            f"{cost}. Nothing is deleted at the provider."
        )
