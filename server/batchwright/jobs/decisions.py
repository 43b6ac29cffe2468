"""What only the user decides about a job: submit it, resend or give up what is stuck, cancel it, discard it."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import anyio.to_thread

from batchwright.core.crash_points import OnPoint
from batchwright.core.errors import NotReady, OverLimit
from batchwright.core.job_folder import JobFolders
from batchwright.core.model import Job, Part, SpendingLimits, UserSays
from batchwright.core.money import format_most, format_usd
from batchwright.costs.spending import job_budget
from batchwright.jobs.advance import Runs
from batchwright.jobs.confirmation import Confirmation
from batchwright.jobs.overview import Overviews
from batchwright.jobs.recovery import stuck_parts, unending_parts
from batchwright.jobs.restoring import Restoring
from batchwright.jobs.terms import SubmissionTerms

if TYPE_CHECKING:
    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI


class Decisions:
    """Carries out what the user decides, and advances the job."""

    def __init__(  # noqa: PLR0913  # a decision touches money, files and the provider
        self,
        journal: "Journal",
        api: "BatchAPI",
        folders: JobFolders,
        runs: Runs,
        confirmation: Confirmation,
        *,
        restoring: Restoring,
        terms: SubmissionTerms,
        overviews: Overviews,
        limits: SpendingLimits,
        now: Callable[[], datetime],
        on_point: OnPoint,
    ) -> None:
        self._journal, self._api, self._folders = journal, api, folders
        self._runs = runs
        self._confirmation = confirmation
        self._restoring = restoring
        self._terms = terms
        self._overviews = overviews
        self._limits = limits
        self._now = now
        self._on_point = on_point

    async def submit(
        self, job_id: str, *, max_cost_usd: Decimal | None = None, user_says: UserSays = ""
    ) -> tuple[Job, bool]:
        """Submit a draft or a drafted retry; return also whether it was submitted before: then nothing is sent again.

        Raises:
            NotReady: The job is for another provider, nothing may be submitted now, or there is nothing to resend.
            OverLimit: It may cost more than the user or the operator allows.
            InvalidInput: Nothing bounds the cost, and no maximum is given.
        """
        job = self._journal.job(job_id)
        if user_says == "resend":
            return await self._resend(job, max_cost_usd), False
        if user_says == "give_up":
            return await self._give_up(job_id), True
        if user_says == "go_on":
            self._journal.freezes.lift()
        drafted = self._overviews.as_drafted(job)
        if not drafted.parts:
            return await self._runs.advance(job_id), True
        if not self._runs.is_answered_here(drafted):
            raise NotReady(
                f"{job_id} was made for {drafted.provider.model} at {drafted.provider.host}, and this server has "
                "another provider now. Draft it again with `create_batch_file`."
            )
        self._runs.refuse_changed(drafted, "Draft it again with `create_batch_file`.")
        await self._restoring.meet(drafted.provider.host)
        await self._restoring.look_again(job)
        self._journal.elapsed.keep(self._api.told.now())
        if self._journal.job(job_id).submitted_at != job.submitted_at:
            return await self._runs.advance(job_id), True
        agreed = job_budget(drafted, drafted.parts, max_cost_usd, self._limits)
        was_new = self._journal.agree(job, agreed.shares, agreed_usd=agreed.agreed_usd, limits=self._limits)
        self._on_point("agreed")
        return await self._runs.advance(job_id), not was_new

    async def cancel(self, job_id: str) -> Job:
        """End a job early: submit no more parts, and cancel the batches of the others.

        Answers are kept. What was stuck before, and is still stuck after another poll, is given up.

        Raises:
            NotReady: The job is not running.
        """
        job = self._journal.job(job_id)
        if job.submitted_at is None:
            raise NotReady(f"{job_id} is a draft: nothing runs, and nothing was spent. There is nothing to cancel.")
        if job.ended_at is not None:
            raise NotReady(f"{job_id} has already finished: {job.status}. `get_results` has its results.")
        before = {part.number for part in unending_parts(job, self._now())}
        self._journal.mark_cancelled(job_id)
        job = await self._runs.advance(job_id)
        if any(part.number in before for part in unending_parts(job, self._now())):
            await self._decide(
                job_id,
                lambda job: [part for part in unending_parts(job, self._now()) if part.number in before],
                self._confirmation.give_up,
                f"{job_id} continues. See `check_job`.",
            )
        return self._journal.job(job_id)

    async def discard(self, job: Job) -> Job | None:
        """Remove a draft, or the drafted retry of a finished job, with its files.

        Return the draft, or the job that stays; None: nothing was only drafted.

        Raises:
            NotReady: It was submitted since it was seen as *job*, or another process works on it.
        """
        if not job.drafted_parts:
            return None
        job_id, was_submitted = job.id, job.submitted_at is not None
        folder = self._folders.of(job_id)
        with folder.held() as is_held:
            if not is_held:
                raise NotReady(f"{job_id} is being worked on just now. Try again in a moment.")
            if not was_submitted:
                # First: otherwise the folder of a forgotten draft would look like that of a lost job.
                folder.job_file.unlink(missing_ok=True)
            is_forgotten = self._journal.forget_draft(job)
            if was_submitted or not is_forgotten:
                folder.save_job(self._journal.job(job_id))
            if not is_forgotten:
                raise NotReady(f"{job_id} was submitted meanwhile, so nothing was discarded. See `check_job`.")
            for part in job.drafted_parts if was_submitted else ():
                folder.requests(part).unlink(missing_ok=True)
                folder.members(part).unlink(missing_ok=True)
        if was_submitted:
            return self._journal.job(job_id)
        await anyio.to_thread.run_sync(folder.remove)
        return job

    async def _resend(self, job: Job, max_cost_usd: Decimal | None) -> Job:
        """Send the unconfirmed parts of a job again."""
        again = self._terms.unconfirmed_usd(job) + (job.agreed_usd or Decimal(0))
        if max_cost_usd is not None and max_cost_usd < again:
            raise OverLimit(
                f"If {job.id} is sent again and both are paid, it may cost up to {format_most(again)}, above "
                f"max_cost_usd {format_usd(max_cost_usd)}. Ask the user for that much, or omit max_cost_usd."
            )
        if self._runs.is_answered_here(job):
            advice = "Start the server with the former settings, or draft it again with create_batch_file."
            self._runs.refuse_changed(job, advice)
        nothing = f"{job.id} has nothing unconfirmed, so there is nothing to resend. See `check_job`."
        return await self._decide(job.id, _unknown_parts, self._confirmation.resend, nothing)

    async def _give_up(self, job_id: str) -> Job:
        """Give up what is stuck in a job, after everything else has advanced."""
        was_over = self._journal.job(job_id).ended_at is not None
        if (job := await self._runs.advance(job_id)).ended_at and not was_over:
            return job
        nothing = (
            f"{job_id} has nothing stuck, so nothing is given up: see `check_job`. `cancel_job` ends a job early; "
            "parts that do not end then can be given up."
        )
        return await self._decide(
            job_id, lambda job: stuck_parts(job, self._now()), self._confirmation.give_up, nothing
        )

    async def _decide(
        self, job_id: str, of: Callable[[Job], list[Part]], act: Callable[[Part], Awaitable[Part]], nothing: str
    ) -> Job:
        """Do with some parts of a job what only the user may decide, and advance it; without parts, say *nothing*."""
        if not self._runs.is_answered_here(self._journal.job(job_id)):
            raise NotReady(
                f"{job_id} was sent to a provider that this server does not have, and only that provider knows whether "
                "it arrived. Start the server with the former settings."
            )
        with self._folders.of(job_id).held() as is_held:
            if not is_held:
                raise NotReady(f"{job_id} is being worked on just now. Try again in a moment.")
            if not (parts := of(self._journal.job(job_id))):
                raise NotReady(nothing)
            for part in parts:
                await act(part)
        return await self._runs.advance(job_id)


def _unknown_parts(job: Job) -> list[Part]:
    return [part for part in job.parts if part.state == "unknown"]
