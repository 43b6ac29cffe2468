"""Submitted jobs on their way: each part is moved on as far as it goes. One process at a time works on a job."""

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

import anyio

from batchwright.core.errors import BatchwrightError, NotReady, ProviderError, ProviderGone
from batchwright.core.job_folder import JobFolders
from batchwright.core.model import LIVE_STATES, Job, Part, ProviderInfo
from batchwright.core.problem import Problem
from batchwright.jobs.collection import RESTING, Collection
from batchwright.jobs.confirmation import Confirmation
from batchwright.jobs.recovery import LEAVING, Step, next_step
from batchwright.jobs.submission import Submission

if TYPE_CHECKING:
    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI, Look

log = logging.getLogger(__name__)

_RESTING_STEPS: frozenset[Step] = frozenset({"rest", "wait_for_user"})


@dataclass(frozen=True, slots=True)
class Steps:
    """Who does each step of a part."""

    submission: Submission
    confirmation: Confirmation
    collection: Collection


class Runs:
    """Moves submitted jobs on. One process at a time works on a job; the others see what it did."""

    def __init__(
        self,
        journal: "Journal",
        api: "BatchAPI",
        folders: JobFolders,
        steps: Steps,
    ) -> None:
        self._journal = journal
        self._api = api
        self._folders = folders
        self._steps = steps

    async def advance(self, job_id: str, look: "Look | None" = None) -> Job:
        """Do all that can be done for a job now, without waiting for answers, and give it as it stands then.

        Its batches are seen by *look*; without it, each is asked for. A job that another process is working on is left
        to it; so is one that was made for another provider.
        """
        job = self._journal.job(job_id)
        if job.submitted_at is None or (job.ended_at and not self._journal.attempts.may_show_up(job_id)):
            return job
        if not self.is_answered_here(job):
            return self.with_note(job)
        with self._folders.of(job_id).held() as is_held:
            if is_held:
                await self._advance_parts(job_id, look or self._api.batch)
        job = self._journal.job(job_id)
        self._journal.history.note(job)
        return job

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

    def with_note(self, job: Job) -> Job:
        """Return a job with a note, where it does not go on since it was made for another provider."""
        if job.submitted_at is None or job.ended_at is not None or self.is_answered_here(job):
            return job
        words = (
            f"it was made for {job.provider.model} at {job.provider.host}, and this server has another provider; "
            "it goes on where a server is started with the former settings"
        )
        elsewhere = Problem.found("other_provider", words)
        return replace(job, parts=tuple(replace(part, problem=elsewhere) for part in job.parts))

    async def _advance_parts(self, job_id: str, look: "Look") -> None:
        while True:
            was_cancelled = self._journal.queries.is_cancelled(job_id)
            await self._steps.confirmation.cancel_late(self._journal.job(job_id))
            job = self._journal.job(job_id)
            if job.ended_at is not None:
                return
            # Those that are on their way first: where they have ended, others may follow.
            for part in sorted(job.running_parts, key=lambda part: part.state not in {*LIVE_STATES, "ended"}):
                await self._advance_part(job, part, look)
            after = self._journal.job(job_id)
            if self._journal.queries.is_cancelled(job_id) == was_cancelled and len(after.parts) == len(job.parts):
                break
        if all(part.state in RESTING for part in after.running_parts):
            # Once begun it is brought to its end: on a large job it may take longer than the call that began it.
            with anyio.CancelScope(shield=True):
                await self._steps.collection.finish(after, self._folders.of(job_id))

    async def _advance_part(self, job: Job, part: Part, look: "Look") -> None:
        was_looked_for = False
        is_left = self._journal.queries.is_cancelled(job.id) and self._steps.confirmation.is_quiet(part)
        while (step := next_step(part, was_looked_for=was_looked_for, is_left=is_left)) not in _RESTING_STEPS:
            before = part
            was_looked_for = was_looked_for or step == "look_for_batch"
            try:
                part = await self._step(step, job, part, look)
            except (ProviderError, OSError) as error:
                self._record_stop(job, part.number, error)
                return
            if part == before and step != "look_for_batch":
                return

    async def _step(self, step: Step, job: Job, part: Part, look: "Look") -> Part:
        folder = self._folders.of(job.id)
        match step:
            case "upload":
                return await self._steps.submission.upload(job, part, folder)
            case "create":
                return await self._steps.submission.create_batch(job, part)
            case "look_for_batch" | "give_up":
                sought = self._steps.confirmation
                return await (sought.look_for_batch if step == "look_for_batch" else sought.give_up)(part)
            case "poll":
                return await self._steps.collection.poll(job, part, folder, look)
            case "collect":
                return await self._steps.collection.collect(job, part, folder)
            case "rest" | "wait_for_user":
                return part
            case _:
                assert_never(step)

    def _record_stop(self, job: Job, number: int, error: ProviderError | OSError) -> None:
        """Record why a part does not go on now."""
        # Read again: the step may have brought the part further before it failed.
        part = next(part for part in self._journal.job(job.id).parts if part.number == number)
        if not isinstance(error, ProviderGone):
            place = isinstance(error, OSError) and (error.filename or self._folders.of(job.id).path)
            reason = f"{error.strerror} ({place})" if isinstance(error, OSError) else str(error)
            if part.state == "ended":
                reason = f"its results are not here yet: {reason} {LEAVING}"
            stopped = (
                Problem.found("disk", reason) if isinstance(error, OSError) else replace(error.problem, words=reason)
            )
            self._journal.parts.save(replace(part, problem=stopped))
        elif self._api.lists_everything or self._journal.queries.is_cancelled(job.id):
            again = f"; if another key shows batch {part.batch_id}, adopt_batch takes it up" if part.batch_id else ""
            gone = Problem.found("gone", f"it is gone at the provider: {error}{again}")
            self._journal.parts.save(replace(part, state="failed", problem=gone), "gone")
        else:
            # With another key or project the provider does not show it either, and it may be paid for.
            words = (
                f"the provider does not show batch {part.batch_id} ({error}): start the server with the key and "
                "project that it was made with, or give it up with cancel_job"
            )
            self._journal.parts.save(replace(part, problem=Problem.found("not_shown", words)))


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
