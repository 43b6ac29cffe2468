"""Batches that this journal does not know: listed, and adopted as jobs."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batchwright.core import transitions
from batchwright.core.errors import NotReady
from batchwright.core.job_folder import new_job_id
from batchwright.core.model import Job
from batchwright.core.provenance import job_of_batch
from batchwright.jobs.advance import Runs
from batchwright.jobs.recovery import is_final
from batchwright.jobs.remote_jobs import RemoteJobs
from batchwright.jobs.restoring import Restoring

if TYPE_CHECKING:
    from openai.types import Batch

    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI

MAX_LISTED = 100
"""How many of the provider's newest batches a list shows."""


@dataclass(frozen=True, slots=True)
class ForeignBatch:
    """A batch at the provider that this journal does not know."""

    batch_id: str
    status: str
    created_at: datetime
    requests: int | None
    endpoint: str
    job_id: str | None
    """The id that the Batchwright which made it gave its job."""


class Adoption:
    """Makes jobs from batches that somebody else made."""

    def __init__(
        self, journal: "Journal", api: "BatchAPI", runs: Runs, restoring: Restoring, remote_jobs: RemoteJobs
    ) -> None:
        self._journal = journal
        self._api = api
        self._runs = runs
        self._restoring = restoring
        self._remote_jobs = remote_jobs

    def foreign(self, batch: "Batch") -> ForeignBatch | None:
        """Describe a batch that this journal does not know; None: it knows the batch."""
        if self._restoring.job_of(batch) is not None:
            return None
        return ForeignBatch(
            batch_id=batch.id,
            status=batch.status,
            created_at=datetime.fromtimestamp(batch.created_at or 0, UTC),
            requests=batch.request_counts.total if batch.request_counts else None,
            endpoint=batch.endpoint,
            job_id=job_of_batch(batch.metadata),
        )

    async def adopt(self, batch_id: str) -> Job:
        """Make a job from a batch, and advance it; if another Batchwright made it, from all batches of its job.

        A batch that shows up after its job was restored from a lost journal is given to that job, if it lacks one.

        Raises:
            NotReady: The journal knows the batch, or the batch cannot be read before it has finished.
            InvalidInput: The batch cannot be read here.
        """
        return await self._runs.advance((await self._adopt(batch_id)).id)

    async def _adopt(self, batch_id: str) -> Job:
        if job_id := self._journal.queries.job_of_batch(batch_id):
            return await self._adopt_again(job_id, batch_id)
        batch = await self._api.batch(batch_id)
        if job_id := self._restoring.job_of(batch):
            raise NotReady(f"{batch_id} already belongs to {job_id}. See `check_job`.")
        made_for = job_of_batch(batch.metadata)
        if made_for is None:
            return await self._remote_jobs.make(new_job_id(), [batch])
        if self._journal.queries.has_job(made_for):
            given_to = await self._restoring.give_back(self._journal.job(made_for), batch)
            return given_to or await self._remote_jobs.make(new_job_id(), [batch])
        siblings = [each async for each in self._api.batches() if job_of_batch(each.metadata) == made_for]
        return await self._restoring.restore_job(made_for, siblings or [batch])

    async def _adopt_again(self, job_id: str, batch_id: str) -> Job:
        """Adopt a batch of ours that was given up because the provider no longer showed it."""
        for part in self._journal.job(job_id).running_parts:
            is_gone = part.state == "failed" and not is_final(part.batch_status)
            if part.batch_id == batch_id and (is_gone or part.state == "given_up"):
                await self._api.batch(batch_id)
                if self._journal.give_batch(transitions.submitted(part, batch_id)):
                    return self._journal.job(job_id)
        raise NotReady(f"{batch_id} already belongs to {job_id}. See `check_job`.")
