"""Submitted jobs on their way: each part is moved on as far as it goes. One process at a time works on a job."""

import logging
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import anyio
import anyio.to_thread
from filelock import Timeout

from batchwright.core.crash_points import OnPoint, pass_by
from batchwright.core.errors import BatchwrightError, NotReady, ProviderError, ProviderGone
from batchwright.core.job_folder import JobFolder
from batchwright.core.model import LIVE_STATES, Job, Part, ProviderInfo
from batchwright.core.problem import Problem
from batchwright.jobs.collection import RESTING, Collection, table, table_so_far
from batchwright.jobs.confirmation import Confirmation
from batchwright.jobs.recovery import LEAVING, Step, is_overdue, is_stuck, next_step
from batchwright.jobs.submission import Rules, Submission
from batchwright.results.table import ResultTable

if TYPE_CHECKING:
    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI, Look

log = logging.getLogger(__name__)

_RESTING_STEPS: frozenset[Step] = frozenset({"rest", "wait_for_user"})


class Runs:
    """Moves submitted jobs on. One process at a time works on a job; the others see what it did."""

    def __init__(
        self,
        journal: "Journal",
        api: "BatchAPI",
        jobs_folder: Path,
        *,
        rules: Rules,
        now: Callable[[], datetime],
        on_point: OnPoint = pass_by,
    ) -> None:
        self._journal = journal
        self._api = api
        self._jobs_folder = jobs_folder
        self._now = now
        self.submission = Submission(journal, api, rules=rules, on_point=on_point)
        self._confirmation = Confirmation(journal, api, quiet_seconds=rules.waiting.quiet_seconds)
        self._collection = Collection(journal, api, self.submission, now=now, on_point=on_point)

    def folder(self, job_id: str) -> JobFolder:
        """Give the folder with a job's files."""
        return JobFolder(self._jobs_folder / job_id)

    def folders(self) -> Sequence[JobFolder]:
        """Give the folders of all jobs, and of drafts that were cut off."""
        return list(map(JobFolder, sorted(self._jobs_folder.iterdir()))) if self._jobs_folder.exists() else ()

    def table(self, job: Job) -> ResultTable:
        """Give the joined results of a job that has ended."""
        return table(job, self.folder(job.id))

    def table_so_far(self, job: Job, place: Path) -> ResultTable:
        """Give the joined results of a job that runs, as far as its parts have ended, writing them to *place*."""
        return table_so_far(job, self.folder(job.id), place)

    def has_results(self, job: Job) -> bool:
        """Whether the job has ended before, so that there are joined results."""
        return self.folder(job.id).results.exists()

    async def advance(self, job_id: str, look: "Look | None" = None) -> Job:
        """Do all that can be done for a job now, without waiting for answers, and give it as it stands then.

        Its batches are seen by *look*; without it, each is asked for. A job that another process is working on is left
        to it; so is one that was made for another provider.
        """
        job = self._journal.job(job_id)
        if job.submitted_at is None or (job.ended_at and not self._journal.attempts.may_show_up(job_id)):
            return job
        if not self.is_answered_here(job):
            return self.shown(job)
        with self.held(job_id) as is_held:
            if is_held:
                await self._advance_parts(job_id, look or self._api.batch)
        job = self._journal.job(job_id)
        self._journal.history.note(job)
        return job

    async def resend(self, job_id: str) -> Job:
        """Have the unconfirmed parts of a job sent again, by the user's word.

        Raises:
            NotReady: None is unconfirmed, it is too early, the job is for another provider, or another process works
                on it just now.
        """

        def unknown(job: Job) -> list[Part]:
            return [part for part in job.parts if part.state == "unknown"]

        if self.is_answered_here(job := self._journal.job(job_id)):
            advice = "Start the server with the former settings, or draft it anew with create_batch_file."
            self.refuse_changed(job, advice)
        nothing = f"{job_id} has nothing unconfirmed: nothing is to be sent again. See `check_job`."
        return await self._decide(job_id, unknown, self._confirmation.resent, nothing)

    async def give_up(self, job_id: str) -> Job:
        """Leave what is stuck in a job by the user's word, once what can move on has done so.

        Raises:
            NotReady: Nothing is stuck, it is too early, the job is for another provider, or another process works on
                it just now.
        """
        was_over = self._journal.job(job_id).ended_at is not None
        if (job := await self.advance(job_id)).ended_at and not was_over:
            return job
        nothing = (
            f"{job_id} has nothing stuck, so nothing is given up: see `check_job`. `cancel_job` ends a job early; what "
            "does not end then can be given up."
        )
        return await self._decide(job_id, self.stuck, self._confirmation.give_up, nothing)

    def stuck(self, job: Job) -> list[Part]:
        """Give the parts of a job that may never move on by themselves; one that was cancelled waits for no batch."""
        if job.submitted_at is None or job.ended_at is not None:
            return []
        live = LIVE_STATES if job.cancelled_at else ()
        return [part for part in job.running_parts if part.state in live or is_stuck(part, self._now())]

    async def _decide(
        self, job_id: str, of: Callable[[Job], list[Part]], act: Callable[[Part], Awaitable[Part]], nothing: str
    ) -> Job:
        """Do with parts of a job what only the user may decide, and move the job on.

        Raises:
            NotReady: There is *nothing* of the kind, the job is for another provider, or another process works on it.
        """
        if not self.is_answered_here(self._journal.job(job_id)):
            raise NotReady(
                f"{job_id} was sent to another provider than this server has: whether it arrived can only be seen "
                "there. Start the server with the former settings."
            )
        with self.held(job_id) as is_held:
            if not is_held:
                raise NotReady(f"{job_id} is being worked on just now. Try again in a moment.")
            if not (parts := of(self._journal.job(job_id))):
                raise NotReady(nothing)
            for part in parts:
                await act(part)
        return await self.advance(job_id)

    def is_answered_here(self, job: Job) -> bool:
        """Whether this server's provider is the one that the job was drafted for: no other may answer in its name."""
        try:
            return self._api.answering(job.recipe.model, job.recipe.endpoint).is_same(job.provider)
        except BatchwrightError:
            return False

    def refuse_changed(self, job: Job, advice: str) -> None:
        """Refuse to send a job whose provider is another, or takes other prices, than when it was drafted.

        Only what sends asks this: a job that runs goes on with a new key.

        Raises:
            NotReady: It is.
        """
        now = self._api.answering(job.recipe.model, job.recipe.endpoint)
        if changed := _differences(now, job.provider):
            names = " and ".join(changed)
            has = "have" if len(changed) > 1 or names == "prices" else "has"
            raise NotReady(f"The {names} of {now.host} {has} changed since {job.id} was drafted. {advice}")

    def shown(self, job: Job) -> Job:
        """Give a job with a note, where it does not go on since it was made for another provider."""
        if job.submitted_at is None or job.ended_at is not None or self.is_answered_here(job):
            return job
        words = (
            f"it was made for {job.provider.model} at {job.provider.host}, and this server has another provider; "
            "it goes on where a server is started with the former settings"
        )
        elsewhere = Problem.found("other_provider", words)
        return replace(job, parts=tuple(replace(part, problem=elsewhere) for part in job.parts))

    async def cancel(self, job_id: str) -> None:
        """Have a job end early: parts that were not submitted never are, the others' batches are cancelled.

        What was stuck before, and is again when it is looked at once more, is given up.
        """
        before = self._unending(self._journal.job(job_id))
        self._journal.mark_cancelled(job_id)
        job = await self.advance(job_id)
        if before & self._unending(job):

            def unending(job: Job) -> list[Part]:
                return [part for part in job.running_parts if part.number in before & self._unending(job)]

            await self._decide(job_id, unending, self._confirmation.give_up, f"{job_id} goes on. See `check_job`.")

    def _unending(self, job: Job) -> set[int]:
        """Give the parts whose results cannot be had now, or whose batch does not end though it was cancelled."""
        now = self._now()
        return {
            part.number
            for part in job.running_parts
            if part.state == "ended" or (part.state == "cancelling" and is_overdue(part, now))
        }

    async def discard(self, job: Job) -> None:
        """Remove what is only drafted, with its files: a draft as a whole, or the retry of a job that has ended.

        Raises:
            NotReady: It was submitted meanwhile, or another process works on it.
        """
        folder, was_submitted = self.folder(job.id), job.submitted_at is not None
        with self.held(job.id) as is_held:
            if not is_held:
                raise NotReady(f"{job.id} is being worked on just now. Try again in a moment.")
            if not was_submitted:
                # First: with it, the folder of a draft that is forgotten would be taken for a lost job's.
                folder.job_file.unlink(missing_ok=True)
            is_forgotten = self._journal.forget_draft(job)
            if was_submitted or not is_forgotten:
                folder.save_job(self._journal.job(job.id))
            if not is_forgotten:
                raise NotReady(f"{job.id} was submitted meanwhile, so nothing was discarded. See `check_job`.")
            if was_submitted:
                for part in job.drafted_parts:
                    folder.requests(part).unlink(missing_ok=True)
                    folder.members(part).unlink(missing_ok=True)
            else:
                await anyio.to_thread.run_sync(folder.remove)

    async def _advance_parts(self, job_id: str, look: "Look") -> None:
        while True:
            was_cancelled = self._journal.is_cancelled(job_id)
            await self._confirmation.cancel_late(self._journal.job(job_id))
            job = self._journal.job(job_id)
            if job.ended_at is not None:
                return
            # Those that are on their way first: where they have ended, others may follow.
            for part in sorted(job.running_parts, key=lambda part: part.state not in {*LIVE_STATES, "ended"}):
                await self._advance_part(job, part, look)
            after = self._journal.job(job_id)
            if self._journal.is_cancelled(job_id) == was_cancelled and len(after.parts) == len(job.parts):
                break
        if all(part.state in RESTING for part in after.running_parts):
            # Once begun it is brought to its end: on a large job it may take longer than the call that began it.
            with anyio.CancelScope(shield=True):
                await self._collection.finish(after, self.folder(job_id))

    @contextmanager
    def held(self, job_id: str) -> Generator[bool]:
        """Hold a job for this process, if no other does; says whether it is held."""
        lock = self.folder(job_id).lock()
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    async def _advance_part(self, job: Job, part: Part, look: "Look") -> None:
        was_looked_for = False
        is_left = self._journal.is_cancelled(job.id) and self._confirmation.is_quiet(part)
        while (step := next_step(part, was_looked_for=was_looked_for, is_left=is_left)) not in _RESTING_STEPS:
            before = part
            was_looked_for = was_looked_for or step == "look_for_batch"
            try:
                part = await self._step(step, job, part, look)
            except (ProviderError, OSError) as error:
                self._stopped(job, part.number, error)
                return
            if part == before and step != "look_for_batch":
                return

    async def _step(self, step: Step, job: Job, part: Part, look: "Look") -> Part:
        folder = self.folder(job.id)
        match step:
            case "upload":
                return await self.submission.uploaded(job, part, folder)
            case "create":
                return await self.submission.created(job, part)
            case "look_for_batch" | "give_up":
                sought = self._confirmation
                return await (sought.looked_for if step == "look_for_batch" else sought.give_up)(part)
            case "poll":
                return await self._collection.polled(job, part, folder, look)
            case "collect":
                return await self._collection.collected(job, part, folder)
            case "rest" | "wait_for_user":
                return part
            case _:
                assert_never(step)

    def _stopped(self, job: Job, number: int, error: ProviderError | OSError) -> None:
        """Record why a part does not go on now."""
        # Read again: the step may have brought the part further before it failed.
        part = next(part for part in self._journal.job(job.id).parts if part.number == number)
        if not isinstance(error, ProviderGone):
            place = isinstance(error, OSError) and (error.filename or self.folder(job.id).path)
            reason = f"{error.strerror} ({place})" if isinstance(error, OSError) else str(error)
            if part.state == "ended":
                reason = f"its results are not here yet: {reason} {LEAVING}"
            stopped = (
                Problem.found("disk", reason) if isinstance(error, OSError) else replace(error.problem, words=reason)
            )
            self._journal.save_part(replace(part, problem=stopped))
        elif self._api.lists_everything or self._journal.is_cancelled(job.id):
            again = f"; if another key shows batch {part.batch_id}, adopt_batch takes it up" if part.batch_id else ""
            gone = Problem.found("gone", f"it is gone at the provider: {error}{again}")
            self._journal.save_part(replace(part, state="failed", problem=gone), "gone")
        else:
            # With another key or project the provider does not show it either, and it may be paid for.
            words = (
                f"the provider does not show batch {part.batch_id} ({error}): start the server with the key and "
                "project that it was made with, or give it up with cancel_job"
            )
            self._journal.save_part(replace(part, problem=Problem.found("not_shown", words)))


def _differences(now: ProviderInfo, drafted: ProviderInfo) -> list[str]:
    """Name what would make others pay for a job than it was drafted for, or at other prices."""
    if drafted.url is None:  # it was drafted before this was written down
        return []
    changed = {
        "address": now.url != drafted.url,
        "key": now.key_print != drafted.key_print,
        "prices": now.charges != drafted.charges,
    }
    return [name for name, is_other in changed.items() if is_other]
