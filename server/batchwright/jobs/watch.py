"""Jobs watched until they finish: now and then one walk through the provider's list, for all jobs and processes."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import msgspec

from batchwright.core.errors import ProviderError, ProviderNotNow, ProviderUnreachable
from batchwright.core.model import Job
from batchwright.jobs.adoption import MAX_LISTED, ForeignBatch
from batchwright.jobs.advance import Runs
from batchwright.jobs.overview import JobPage
from batchwright.jobs.recovery import is_final
from batchwright.jobs.submission import Rules

if TYPE_CHECKING:
    from openai.types import Batch

    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI, Look

log = logging.getLogger(__name__)

LONGEST_POLL_SECONDS = 10.0
"""How often a job at a remote provider is polled during a long wait."""
CALL_SECONDS = 30.0
"""How long a call that was not told to wait advances jobs before it returns; the server continues in the background."""
EARLY_LOOK_SECONDS = 5.0
"""How often batches are polled while one is validated, which is when most faults show."""
TURN_SECONDS = 2.0
"""How long a call waits for another call that is polling, before it answers with what is known."""
_ONE_BY_ONE = 5
"""Up to this many batches are polled one by one, which may show more of each than a list."""


OnJob = Callable[[Job], Awaitable[None]]
"""Called whenever a job changes while somebody waits for it."""


class Watch:
    """Advances jobs, waits for them, and decides when the provider is asked, and for what."""

    def __init__(
        self,
        journal: "Journal",
        api: "BatchAPI",
        runs: Runs,
        *,
        foreign: Callable[["Batch"], ForeignBatch | None],
        rules: Rules,
    ) -> None:
        self._journal, self._api, self._runs = journal, api, runs
        self._foreign = foreign
        self._seconds = rules.look_seconds
        self._poll_seconds = rules.waiting.poll_seconds
        self._turn = anyio.Lock()

    @property
    def is_remote(self) -> bool:
        """Whether somebody else's server runs the batches, and must not be polled too often."""
        return not self._api.lists_everything

    async def check(self, job_id: str, *, wait_seconds: float, on_job: OnJob) -> Job:
        """Advance a job and return it; wait up to *wait_seconds* for its end.

        Raises:
            NotFound: There is no job with this id.
        """
        job = self._journal.job(job_id)
        pause, ended = self._poll_seconds, self._api.next_end
        with anyio.move_on_after(max(wait_seconds, CALL_SECONDS)):
            # An answer must not be old, so it waits for a poll that is not due yet.
            await anyio.sleep(self._journal.looks.seconds_until_due(job_id, min(pause, self._seconds)))
            job = await self._look_at(job_id, pause)
        told = None
        with anyio.move_on_after(wait_seconds):
            while wait_seconds and job.submitted_at is not None and job.ended_at is None and job.status != "unknown":
                if job != told:
                    await on_job(job)
                    told = job
                with anyio.move_on_after(pause):
                    await ended.wait()
                if self.is_remote:
                    pause = min(pause * 1.5, LONGEST_POLL_SECONDS)
                # Taken before the poll, so that an end during the poll is not missed.
                ended = self._api.next_end
                job = await self._look_at(job_id, pause)
        return self._runs.with_note(self._journal.job(job_id))

    async def list_jobs(self, *, limit: int, offset: int) -> JobPage:
        """Return jobs, newest first, and on the first page batches at the provider that this journal does not know."""
        with anyio.move_on_after(CALL_SECONDS):
            await self.resume(with_others=not offset)
        others = self._others() if not offset and self.is_remote else ()
        jobs = self._journal.jobs(limit=limit, offset=offset)
        return JobPage(jobs, self._journal.queries.job_count(), others, self._journal.freezes.reason())

    async def resume(self, *, with_others: bool = False) -> None:
        """Advance every unfinished job, unless somebody did so just now."""
        self._journal.elapsed.keep(self._api.told.now())
        unfinished = self._journal.queries.unfinished()
        if not self.is_remote:
            await self._advance_all(unfinished, None)
        elif unfinished or with_others:
            async with self._take_turn() as look:
                await self._advance_all(unfinished if look else (), look)

    def unfinished(self) -> Sequence[Job]:
        """Return the submitted jobs that have not finished, oldest first."""
        return [self._runs.with_note(self._journal.job(job_id)) for job_id in self._journal.queries.unfinished()]

    def rest_seconds(self, poll_seconds: float) -> float:
        """Return how long no poll is needed: not long while a batch is validated."""
        statuses = {part.batch_status for job in self.unfinished() for part in job.running_parts}
        return min(poll_seconds, EARLY_LOOK_SECONDS) if "validating" in statuses else poll_seconds

    async def _advance_all(self, job_ids: Sequence[str], look: "Look | None") -> None:
        for job_id in job_ids:
            try:
                await self._runs.advance(job_id, look)
            except Exception as error:  # noqa: BLE001  # one job's fault must not stop the others
                log.error("%s: cannot continue: %s", job_id, type(error).__name__)

    async def _look_at(self, job_id: str, seconds: float) -> Job:
        return await self._runs.advance(job_id, await self._look_of(job_id, seconds))

    @asynccontextmanager
    async def _take_turn(self) -> AsyncGenerator["Look | None"]:
        """Hold the turn to poll all running jobs; None: somebody just did, or still does."""
        with anyio.move_on_after(TURN_SECONDS) as waiting:
            await self._turn.acquire()
        if waiting.cancelled_caught:
            yield None
            return
        try:
            is_due = self._journal.looks.claim(self._api.account, self._seconds)
            yield await self._walk() if is_due else None
        finally:
            self._turn.release()

    async def _look_of(self, job_id: str, seconds: float) -> "Look":
        """Return how to poll a job's batches, which nobody else does within *seconds*."""
        if self._api.lists_everything:
            return self._api.batch
        batch_ids = self._batches_of(self._journal.job(job_id))
        if batch_ids and not self._journal.looks.claim(job_id, min(seconds, self._seconds)):
            return _not_now
        if len(batch_ids) <= _ONE_BY_ONE:
            return self._api.batch
        shown, _, error = await self._walk_list(batch_ids, least=0)
        return self._look(shown, error)

    def _others(self) -> Sequence[ForeignBatch] | None:
        """Return the batches of the last walk that this journal does not know; None: the provider did not answer."""
        kept = self._journal.looks.others(self._api.account)
        if kept is None:
            return None
        others = msgspec.json.decode(kept, type=list[ForeignBatch])
        return [batch for batch in others if self._journal.queries.job_of_batch(batch.batch_id) is None]

    async def _walk(self) -> "Look":
        jobs = [self._journal.job(job_id) for job_id in self._journal.queries.unfinished()]
        wanted = {batch_id for job in jobs for batch_id in self._batches_of(job)}
        shown, others, error = await self._walk_list(wanted, least=MAX_LISTED)
        kept = None if error else msgspec.json.encode(others).decode()
        self._journal.looks.keep_others(self._api.account, kept)
        return self._look(shown if len(wanted) > _ONE_BY_ONE else {}, error)

    async def _walk_list(
        self, wanted: Collection[str], *, least: int
    ) -> "tuple[dict[str, Batch], list[ForeignBatch], ProviderError | None]":
        """Walk the list until it showed the *wanted* batches and at least *least*, as long as that saves requests.

        After an error, batches that were not shown may exist.
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
            # A provider that is unreachable, or says not now, is not asked again for each batch.
            if isinstance(error, ProviderNotNow | ProviderUnreachable):
                raise error
            batch = shown.get(batch_id)
            # A list may omit fields of a finished batch.
            return batch if batch and not is_final(batch.status) else await self._api.batch(batch_id)

        return look

    def _batches_of(self, job: Job) -> set[str]:
        if not self._runs.is_answered_here(job):
            return set()
        live = [part for part in job.running_parts if part.state in {"submitted", "cancelling"}]
        return {part.batch_id for part in live if part.batch_id}


async def _not_now(_batch_id: str) -> None:
    """Poll nothing: somebody just did."""
