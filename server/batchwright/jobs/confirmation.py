"""Batches that may exist, though nobody knows: looked for, and sent again, given up or found late.

Only the user decides about those that nobody finds.
"""

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from batchwright.core.errors import NotReady, ProviderError, ProviderNotNow, ProviderRefused
from batchwright.core.model import Job, Part
from batchwright.core.problem import Problem
from batchwright.core.provenance import NONCE_KEY
from batchwright.jobs.recovery import is_final, made_by, without_batch

if TYPE_CHECKING:
    from openai.types import Batch

    from batchwright.journal.attempts import Attempt
    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI

_CLOCK_SLACK_SECONDS = 300
_NOT_CONFIRMED = Problem.found(
    "not_confirmed",
    "it is not confirmed whether its batch was made; nothing was sent again, and it is looked for each time. "
    "Only the user may decide to have it sent again, since it may then be paid twice: submit_job with "
    'user_says="resend"; or to leave it, which counts as paid: user_says="give_up"',
)


class Confirmation:
    """Finds out what became of attempts whose answer never came."""

    def __init__(self, journal: "Journal", api: "BatchAPI", *, quiet_seconds: float) -> None:
        self._journal = journal
        self._api = api
        self._quiet_seconds = quiet_seconds

    async def look_for_batch(self, part: Part) -> Part:
        """Find the batch that an attempt cut off may have made."""
        nonce = self._journal.attempts.open_nonce(part) or ""
        found = made_by(await self._list_since_upload(part), nonce=nonce, file_id=part.file_id or "")
        if found:
            adopted = replace(part, state="submitted", batch_id=found[0], problem=None)
            if len(found) > 1:
                became = [await self._stop(batch_id) for batch_id in found[1:]]
                self._journal.freezes.add(
                    f"The provider shows {len(found)} batches for part {part.number} of {part.job_id}: the oldest is "
                    f"kept, {', '.join(became)}."
                )
            return self._journal.parts.close_attempt(adopted, "created")
        if self._api.lists_everything:
            return self._journal.parts.close_attempt(replace(part, state="uploaded", problem=None), "not_sent")
        if part.state == "unknown":
            return self._journal.parts.save_changed(replace(part, problem=_NOT_CONFIRMED), part)
        return self._journal.parts.save(replace(part, state="unknown", problem=_NOT_CONFIRMED), "unknown")

    async def resend(self, part: Part) -> Part:
        """Have an unconfirmed part sent again by the user's word, with a new file, once the old one is gone.

        Raises:
            NotReady: It is too early.
        """
        part = await self.look_for_batch(part)
        if part.state != "unknown":
            return part
        self._refuse_early(part, "sent again")
        # Without its input file, a creation that is still on its way fails.
        await self._api.delete_file(part.file_id or "")
        return self._journal.parts.close_attempt(without_batch(part), "resent")

    def is_quiet(self, part: Part) -> bool:
        """Whether an unconfirmed part's batch is hardly to be expected any more."""
        return self._quiet_left(part) <= 0

    async def give_up(self, part: Part) -> Part:
        """Leave a part by the user's word: what it may have bought counts as paid, and its files stay where they are.

        Raises:
            NotReady: It is too early.
        """
        # The user may leave what a provider has that does not answer any more.
        with suppress(ProviderError):
            if part.batch_id is None:
                part = await self.look_for_batch(part)
            elif not is_final(part.batch_status):
                await self._api.cancel_batch(part.batch_id)
        if part.batch_id is None:
            if part.state not in {"submitting", "unknown"}:
                return part
            self._refuse_early(part, "given up")
            words = "it was given up: whether its batch was made was never confirmed, so it may be paid for"
        else:
            words = (
                f"its batch {part.batch_id} was given up while it was {part.batch_status}, so its answers may be paid "
                "for; adopt_batch takes it up again"
            )
        given_up = replace(part, state="given_up", problem=Problem.found("given_up", words))
        return self._journal.parts.close_attempt(given_up, "given_up")

    def _quiet_left(self, part: Part) -> float:
        return self._quiet_seconds - self._journal.attempts.seconds_open(part)

    def _refuse_early(self, part: Part, before: str) -> None:
        """Refuse to take a batch for lost that may still show up.

        Raises:
            NotReady: It was sent only just.
        """
        if (left := self._quiet_left(part)) > 0:
            raise NotReady(
                f"Part {part.number} of {part.job_id} was sent only just: its batch may still show up. "
                f"Look again in {left:.0f} seconds with `check_job`, before it is {before}."
            )

    async def cancel_late(self, job: Job) -> None:
        """Stop or take up batches of attempts that the user had sent again or left, should they show up after all."""
        if not (resent := self._journal.attempts.abandoned(job.id)):
            return
        oldest = min(attempt.file_created_at for attempt in resent.values()) - _CLOCK_SLACK_SECONDS
        with suppress(ProviderError):  # they are looked for each time, and the job goes on
            async for batch in self._api.batches():
                if batch.created_at and batch.created_at < oldest:
                    return
                if attempt := resent.get((batch.metadata or {}).get(NONCE_KEY, "")):
                    await self._settle_late(job, attempt, batch)

    async def _settle_late(self, job: Job, attempt: "Attempt", batch: "Batch") -> None:
        """Stop a batch that showed up though it was sent again, and have the user told; a failed one did no harm."""
        part = next(part for part in job.parts if part.number == attempt.part)
        status = batch.status.lower()
        is_waiting = part.state in {"built", "uploading", "uploaded"} and status != "validating"
        is_left = part.state == "given_up" and part.batch_id is None and part.round == job.round
        if is_left and status == "validating":
            return  # it may yet be refused whole
        if (is_waiting or is_left) and status != "failed":
            # Nothing was sent again, so this is the one batch that there is.
            found = replace(part, state="submitted", batch_id=batch.id, file_id=batch.input_file_id, problem=None)
            self._journal.keep_late(found, attempt.nonce)
            return
        if status != "failed":
            became = await self._stop(batch.id)
            self._journal.freezes.add(f"A batch of part {part.number} of {job.id} showed up late: {became}.")
        self._journal.attempts.found_late(attempt.nonce, batch.id)

    async def _stop(self, batch_id: str) -> str:
        """Cancel a batch that should not be there, and say what became of it."""
        batch = await self._api.batch(batch_id)
        if not is_final(batch.status):
            try:
                await self._api.cancel_batch(batch_id)
            except ProviderNotNow:
                raise
            except ProviderRefused:  # if it has ended just now, this shows how
                batch = await self._api.batch(batch_id)
            else:
                return f"{batch_id} was cancelled"
        has_run = batch.status.lower() not in {"failed", "cancelling", "cancelled"}
        return f"{batch_id} is {batch.status}{', so its rows are paid twice' if has_run else ''}"

    async def _list_since_upload(self, part: Part) -> "list[Batch]":
        """List the batches back to before the part's file was there, by the provider's own clock."""
        batches: list[Batch] = []
        oldest = (part.file_created_at or 0) - _CLOCK_SLACK_SECONDS
        async for batch in self._api.batches():
            if batch.created_at and batch.created_at < oldest:
                break
            batches.append(batch)
        return batches
