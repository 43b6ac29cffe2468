"""Batches that may exist: looked for, then adopted, resent or given up. Only the user decides if none is found."""

from contextlib import suppress
from typing import TYPE_CHECKING

from batchwright.core import transitions
from batchwright.core.errors import NotReady, ProviderError, ProviderNotNow, ProviderRefused
from batchwright.core.model import Job, Part
from batchwright.core.problem import Problem
from batchwright.core.provenance import NONCE_KEY
from batchwright.jobs.recovery import is_final, made_by

if TYPE_CHECKING:
    from openai.types import Batch

    from batchwright.journal.attempts import Attempt
    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI

_CLOCK_SLACK_SECONDS = 300
_NOT_CONFIRMED = Problem.found(
    "not_confirmed",
    "it is not confirmed whether its batch was made; nothing was sent again, and every check looks for it. "
    "Only the user may decide to send it again, which may then be paid twice: submit_job with "
    'user_says="resend"; or to give it up, which counts as paid: user_says="give_up"',
)


class Confirmation:
    """Finds out what became of attempts whose answer never arrived."""

    def __init__(self, journal: "Journal", api: "BatchAPI", *, quiet_seconds: float) -> None:
        self._journal = journal
        self._api = api
        self._quiet_seconds = quiet_seconds

    async def look_for_batch(self, part: Part) -> Part:
        """Find the batch that an interrupted attempt may have made."""
        nonce = self._journal.attempts.open_nonce(part) or ""
        found = made_by(await self._list_since_upload(part), nonce=nonce, file_id=part.file_id or "")
        if found:
            if len(found) > 1:
                became = [await self._stop(batch_id) for batch_id in found[1:]]
                self._journal.freezes.add(
                    f"The provider shows {len(found)} batches for part {part.number} of {part.job_id}: the oldest is "
                    f"kept, {', '.join(became)}."
                )
            return self._journal.parts.close_attempt(transitions.submitted(part, found[0]), "created")
        if self._api.lists_everything:
            return self._journal.parts.close_attempt(transitions.not_sent(part, None), "not_sent")
        unknown = transitions.unconfirmed(part, _NOT_CONFIRMED)
        if part.state == "unknown":
            return self._journal.parts.save_changed(unknown, part)
        return self._journal.parts.save(unknown, "unknown")

    async def resend(self, part: Part) -> Part:
        """Send an unconfirmed part again, as the user decided: with a new file, after the old one is deleted.

        Raises:
            NotReady: It is too early.
        """
        part = await self.look_for_batch(part)
        if part.state != "unknown":
            return part
        self._refuse_early(part, "sent again")
        # Without its input file, a creation that is still in progress fails.
        await self._api.delete_file(part.file_id or "")
        return self._journal.parts.close_attempt(transitions.built(part), "resent")

    def is_quiet(self, part: Part) -> bool:
        """Whether an unconfirmed part was sent so long ago that its batch is unlikely to show up."""
        return self._quiet_left(part) <= 0

    async def give_up(self, part: Part) -> Part:
        """Give up a part, as the user decided: it counts as paid, and its files stay where they are.

        Raises:
            NotReady: It is too early.
        """
        # The user may give up a batch even if its provider no longer answers.
        with suppress(ProviderError):
            if part.batch_id is None:
                part = await self.look_for_batch(part)
                if part.state != "unknown":
                    return part
            elif not is_final(part.batch_status):
                await self._api.cancel_batch(part.batch_id)
        if part.batch_id is None:
            self._refuse_early(part, "given up")
            words = "it was given up: whether its batch was made was never confirmed, so it may be paid for"
        else:
            words = (
                f"its batch {part.batch_id} was given up while it was {part.batch_status}, so its answers may be paid "
                "for; adopt_batch takes it up again"
            )
        given_up = transitions.given_up(part, Problem.found("given_up", words))
        return self._journal.parts.close_attempt(given_up, "given_up")

    def _quiet_left(self, part: Part) -> float:
        return self._quiet_seconds - self._journal.attempts.seconds_open(part)

    def _refuse_early(self, part: Part, before: str) -> None:
        """Refuse to call a batch lost that may still show up."""
        if (left := self._quiet_left(part)) > 0:
            raise NotReady(
                f"Part {part.number} of {part.job_id} was sent only just now, and its batch may still show up. "
                f"Call `check_job` in {left:.0f} seconds, before it is {before}."
            )

    async def cancel_late(self, job: Job) -> None:
        """Cancel or adopt batches that show up after the user decided to resend or give up their attempts."""
        if not (resent := self._journal.attempts.abandoned(job.id)):
            return
        oldest = min(attempt.file_created_at for attempt in resent.values()) - _CLOCK_SLACK_SECONDS
        with suppress(ProviderError):  # the next check looks again, and the job continues
            async for batch in self._api.batches():
                if batch.created_at and batch.created_at < oldest:
                    return
                if attempt := resent.get((batch.metadata or {}).get(NONCE_KEY, "")):
                    await self._settle_late(job, attempt, batch)

    async def _settle_late(self, job: Job, attempt: "Attempt", batch: "Batch") -> None:
        """Cancel a batch that showed up after it was sent again, and tell the user; a failed one did no harm."""
        part = next(part for part in job.parts if part.number == attempt.part)
        status = batch.status.lower()
        is_waiting = part.state in {"built", "uploading", "uploaded"} and status != "validating"
        is_left = part.state == "given_up" and part.batch_id is None and part.round == job.round
        if is_left and status == "validating":
            return  # it may still be refused whole
        if (is_waiting or is_left) and status != "failed":
            # Nothing was sent again, so this is the only batch.
            found = transitions.submitted(part, batch.id, file_id=batch.input_file_id)
            self._journal.keep_late(found, attempt.nonce)
            return
        if status != "failed":
            became = await self._stop(batch.id)
            self._journal.freezes.add(f"A batch of part {part.number} of {job.id} showed up late: {became}.")
        self._journal.attempts.found_late(attempt.nonce, batch.id)

    async def _stop(self, batch_id: str) -> str:
        """Cancel a batch that should not exist, and say what became of it."""
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
        """List the batches created since the part's file was uploaded, by the provider's own clock."""
        batches: list[Batch] = []
        oldest = (part.file_created_at or 0) - _CLOCK_SLACK_SECONDS
        async for batch in self._api.batches():
            if batch.created_at and batch.created_at < oldest:
                break
            batches.append(batch)
        return batches
