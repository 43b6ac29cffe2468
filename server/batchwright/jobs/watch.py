"""What the provider shows of batches: one walk through its list for all jobs, callers and processes, now and then."""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import msgspec

from batchwright.core.errors import ProviderError, ProviderNotNow, ProviderUnreachable
from batchwright.core.model import Job
from batchwright.jobs.adoption import MAX_LISTED, ForeignBatch
from batchwright.jobs.advance import Runs
from batchwright.jobs.recovery import is_final

if TYPE_CHECKING:
    from openai.types import Batch

    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI, Look

TURN_SECONDS = 2.0
"""How long a call waits for another one that is looking just now, before it tells what is known."""
_ONE_BY_ONE = 5
"""So many batches are asked for by themselves: that may show more of them than a list."""


class Watch:
    """Decides who asks the provider, when, and for what."""

    def __init__(
        self,
        journal: "Journal",
        api: "BatchAPI",
        runs: Runs,
        *,
        foreign: Callable[["Batch"], ForeignBatch | None],
        seconds: float,
    ) -> None:
        self._journal, self._api, self._runs = journal, api, runs
        self._foreign = foreign
        self._seconds = seconds
        self._turn = anyio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator["Look | None"]:
        """Hold the turn to look at all running jobs; None: somebody did just now, or still does."""
        is_held = False
        with anyio.move_on_after(TURN_SECONDS):
            await self._turn.acquire()
            is_held = True
        if not is_held:
            yield None
            return
        try:
            is_due = self._journal.looks.claim(self._api.account, self._seconds)
            yield await self._walk() if is_due else None
        finally:
            self._turn.release()

    async def of(self, job_id: str, seconds: float) -> "Look":
        """Give the way to look at a job's batches, which nobody else does within *seconds*."""
        if self._api.lists_everything:
            return self._api.batch
        batch_ids = self._batches_of(self._journal.job(job_id))
        if batch_ids and not self._journal.looks.claim(job_id, min(seconds, self._seconds)):
            return _not_now
        if len(batch_ids) <= _ONE_BY_ONE:
            return self._api.batch
        shown, _, error = await self._listed(batch_ids, least=0)
        return self._look(shown, error)

    def seconds_until_due(self, job_id: str, seconds: float) -> float:
        """Return how long a job's batches need not be looked at, if they are every so many *seconds*."""
        return self._journal.looks.seconds_until_due(job_id, min(seconds, self._seconds))

    def others(self) -> Sequence[ForeignBatch] | None:
        """Give the batches that the last walk showed and this journal does not know; None: nobody could be asked."""
        kept = self._journal.looks.others(self._api.account)
        if kept is None:
            return None
        others = msgspec.json.decode(kept, type=list[ForeignBatch])
        return [batch for batch in others if self._journal.job_of_batch(batch.batch_id) is None]

    async def _walk(self) -> "Look":
        jobs = [self._journal.job(job_id) for job_id in self._journal.unfinished()]
        wanted = {batch_id for job in jobs for batch_id in self._batches_of(job)}
        shown, others, error = await self._listed(wanted, least=MAX_LISTED)
        kept = None if error else msgspec.json.encode(others).decode()
        self._journal.looks.keep_others(self._api.account, kept)
        return self._look(shown if len(wanted) > _ONE_BY_ONE else {}, error)

    async def _listed(
        self, wanted: Collection[str], *, least: int
    ) -> "tuple[dict[str, Batch], list[ForeignBatch], ProviderError | None]":
        """Walk the list until it has shown what is wanted, and at least so many; a page is to save more than it costs.

        What the error kept from being shown may exist.
        """
        shown: dict[str, Batch] = {}
        others: list[ForeignBatch] = []
        looked_at = 0
        try:
            async for batch in self._api.batches():
                looked_at += 1
                if batch.id in wanted:
                    shown[batch.id] = batch
                elif looked_at <= least and (other := self._foreign(batch)):
                    others.append(other)
                if looked_at >= max(least, MAX_LISTED * (len(wanted) - len(shown))):
                    break
        except ProviderError as error:
            return shown, others, error
        return shown, others, None

    def _look(self, shown: "dict[str, Batch]", error: ProviderError | None) -> "Look":
        async def look(batch_id: str) -> "Batch":
            # Who cannot be reached, or says not now, is not asked for each batch as well.
            if isinstance(error, ProviderNotNow | ProviderUnreachable):
                raise error
            batch = shown.get(batch_id)
            # A list may leave out what stands in the batch itself at its end.
            return batch if batch and not is_final(batch.status) else await self._api.batch(batch_id)

        return look

    def _batches_of(self, job: Job) -> set[str]:
        if not self._runs.is_answered_here(job):
            return set()
        live = [part for part in job.running_parts if part.state in {"submitted", "cancelling"}]
        return {part.batch_id for part in live if part.batch_id}


async def _not_now(_batch_id: str) -> None:
    """Look at nothing: somebody did just now."""
