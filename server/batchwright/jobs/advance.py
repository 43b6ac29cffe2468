"""Submitted jobs, advanced: each part as far as it goes now. One process at a time works on a job."""

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

import anyio

from batchwright.core import transitions
from batchwright.core.errors import BatchwrightError, NotReady, ProviderError, ProviderGone
from batchwright.core.job_folder import JobFolders
from batchwright.core.model import Job, Part
from batchwright.core.problem import Problem
from batchwright.jobs.collection import RESTING, Collection
from batchwright.jobs.confirmation import Confirmation
from batchwright.jobs.recovery import LEAVING, WAITING, Action, Shown, next_actions
from batchwright.jobs.submission import Submission

if TYPE_CHECKING:
    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI, Look

log = logging.getLogger(__name__)

_TOGETHER: frozenset[Action] = frozenset({"poll", "look_for_batch", "cancel", "record", "end", "leave_out"})
"""These come first, for all parts. Anything else takes time and room, so after each it is decided anew."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Who carries out the actions on a part."""

    submission: Submission
    confirmation: Confirmation
    collection: Collection


class Runs:
    """Advances submitted jobs. One process at a time works on a job; the others see what it did."""

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
        """Do all that can be done for a job now, without waiting for answers, and return the job.

        Batches are polled with *look*, by default one by one. A job that another process is working on, or that was
        made for another provider, is left alone.
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
        """Refuse to send a job whose provider, or its prices, changed since it was drafted.

        Only for what sends: a running job continues with a new key.

        Raises:
            NotReady: They changed.
        """
        now, drafted = self._api.answering(job.recipe.model, job.recipe.endpoint), job.provider
        compared = {
            "address": (now.url, drafted.url),
            "key": (now.key_print, drafted.key_print),
            "prices": (now.charges, drafted.charges),
        }
        changed = [name for name, (new, old) in compared.items() if new != old]
        if changed and drafted.url is not None:  # None: it was drafted before this was recorded
            has = "have" if len(changed) > 1 or changed == ["prices"] else "has"
            raise NotReady(
                f"The {' and '.join(changed)} of {now.host} {has} changed since {job.id} was drafted. {advice}"
            )

    def with_note(self, job: Job) -> Job:
        """Return a job, with a note if it cannot continue because it was made for another provider."""
        if job.submitted_at is None or job.ended_at is not None or self.is_answered_here(job):
            return job
        words = (
            f"it was made for {job.provider.model} at {job.provider.host}, and this server has another provider; "
            "it continues when a server starts with the former settings"
        )
        elsewhere = Problem.found("other_provider", words)
        return replace(job, parts=tuple(replace(part, problem=elsewhere) for part in job.parts))

    async def _advance_parts(self, job_id: str, look: "Look") -> None:
        shown: dict[int, Shown] = {}
        was_cancelled: bool | None = None
        while True:
            job = self._journal.job(job_id)
            if was_cancelled is not (is_cancelled := job.cancelled_at is not None):
                # At first, and anew when the user cancels the job meanwhile.
                shown, was_cancelled = {}, is_cancelled
                await self._steps.confirmation.cancel_late(job)
                job = self._journal.job(job_id)
            if job.ended_at is not None:
                return
            actions = next_actions(job, shown, self._steps.submission.room(job))
            to_do = [each for each in actions if each[1] not in WAITING]
            if not to_do:
                break
            together = [each for each in to_do if each[1] in _TOGETHER]
            for part, action in together or to_do[:1]:
                shown[part.number] = await self._carry_out(action, job, part, shown.get(part.number), look)
        for part, action in actions:
            if action == "wait_for_room":
                self._steps.submission.note_wait(job, part)
        if all(part.state in RESTING for part in job.running_parts):
            # On a large job, this may take longer than the call that began it.
            with anyio.CancelScope(shield=True):
                await self._steps.collection.finish(job, self._folders.of(job_id))

    async def _carry_out(self, action: Action, job: Job, part: Part, shown: Shown | None, look: "Look") -> Shown:
        """Carry out what was decided for a part, and return what is known about it now."""
        try:
            if action == "poll":
                seen = await self._steps.collection.poll(job, part, look)
                return Shown(seen, is_done=seen is None)
            after = await self._change(action, job, part, (shown and shown.part) or part)
        except (ProviderError, OSError) as error:
            self._record_stop(job, part.number, error)
            return Shown(is_done=True)
        if action == "look_for_batch" and after.state == "unknown":
            return Shown(has_no_batch=True, is_quiet=self._steps.confirmation.is_quiet(after))
        # An action that changed nothing would change nothing again.
        return Shown(is_done=after.state == part.state)

    async def _change(self, action: Action, job: Job, part: Part, seen: Part) -> Part:  # noqa: C901, PLR0911, PLR0912  # an action each
        folder = self._folders.of(job.id)
        submission, confirmation, collection = self._steps.submission, self._steps.confirmation, self._steps.collection
        match action:
            case "leave_out":
                return submission.leave_out(part)
            case "split":
                return await submission.split(job, part, folder)
            case "upload":
                return await submission.upload(part, folder)
            case "create":
                return await submission.create_batch(job, part)
            case "look_for_batch":
                return await confirmation.look_for_batch(part)
            case "give_up":
                return await confirmation.give_up(part)
            case "cancel":
                return await collection.cancel(job, part, seen)
            case "record":
                return self._journal.parts.save_changed(seen, part)
            case "take_back":
                return await submission.take_back(job, seen)
            case "end":
                return await collection.end(seen, folder)
            case "collect":
                return await collection.collect(job, part, folder)
            case "poll" | "pause" | "wait_for_room" | "wait_for_user" | "rest":
                return part
            case _:
                assert_never(action)

    def _record_stop(self, job: Job, number: int, error: ProviderError | OSError) -> None:
        """Record why a part cannot continue now."""
        # Read again: the action may have changed the part before it failed.
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
            self._journal.parts.save(transitions.failed(part, gone), "gone")
        else:
            # A provider does not show the batches of another key or project either, and they may be paid for.
            words = (
                f"the provider does not show batch {part.batch_id} ({error}): start the server with the key and "
                "project that it was made with, or give it up with cancel_job"
            )
            self._journal.parts.save(replace(part, problem=Problem.found("not_shown", words)))
