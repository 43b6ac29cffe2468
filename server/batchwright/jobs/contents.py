"""What a job holds, read from the journal and its folder: nothing is advanced, and the provider is not asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio.to_thread
import msgspec

from batchwright.core import files
from batchwright.core.calls import Call
from batchwright.core.errors import InvalidInput, NotReady
from batchwright.core.job_folder import JobFolders
from batchwright.core.model import Endpoint, Job, Json
from batchwright.jobs.collection import table
from batchwright.jobs.overview import JobPage
from batchwright.tables import head
from batchwright.tables.source import find

if TYPE_CHECKING:
    from batchwright.core.workspace import Workspace
    from batchwright.jobs.advance import Runs
    from batchwright.journal.journal import Journal

MAX_TABLE_BYTES = 1_000_000
MAX_TABLE_ROWS = 20_000
_MAX_RESULTS_BYTES = 8 * MAX_TABLE_BYTES
"""Larger results are not even written to find out how large their table is."""


@dataclass(frozen=True, slots=True)
class FirstRequests:
    """Some lines of a job's first batch file, decoded, and how many requests all its files hold."""

    job: Job
    file_name: str
    requests: int
    lines: Sequence[Json]


class Contents:
    """Reads the journal and the jobs' own files."""

    def __init__(self, journal: "Journal", folders: JobFolders, runs: "Runs", workspace: "Workspace") -> None:
        self._journal = journal
        self._folders = folders
        self._runs = runs
        self._workspace = workspace

    def page(self, *, limit: int, offset: int) -> JobPage:
        """Return jobs, newest first, without batches that were made elsewhere."""
        jobs = self._journal.jobs(limit=limit, offset=offset)
        return JobPage(jobs, self._journal.queries.job_count(), (), self._journal.freezes.reason())

    def job(self, job_id: str) -> Job:
        """Return a job, with a note if another server has to finish it.

        Raises:
            NotFound: No job has this id.
        """
        return self._runs.with_note(self._journal.job(job_id))

    def has_results(self, job: Job) -> bool:
        """Whether a job has joined results, of this round or an earlier one."""
        return self._folders.of(job.id).results.exists()

    def changed_at(self, jobs: Sequence[Job]) -> Mapping[str, datetime]:
        """Return the time of the last event of each job."""
        return self._journal.queries.changed_at([job.id for job in jobs])

    def ids(self, typed: str, limit: int) -> tuple[Sequence[str], int]:
        """Return the ids of jobs that contain *typed*, newest first, and how many match in all."""
        return self._journal.queries.ids(typed, limit)

    def models(self, endpoint: Endpoint) -> Sequence[str]:
        """Return the models that jobs of an endpoint use, the most recent first."""
        return self._journal.queries.models(endpoint)

    def data_files(self) -> Sequence[str]:
        """Return the names of the data files at the top of the workspace."""
        return self._workspace.data_files()

    async def columns(self, source: str) -> Sequence[str] | None:
        """Return the columns of a source; None if only reading much of it would tell.

        Raises:
            NotFound: There is no such file.
            InvalidInput: It cannot be used.
        """

        def read() -> Sequence[str] | None:
            with TemporaryDirectory(prefix="batchwright-") as folder:
                return head.columns(find(self._workspace, source, {}), Path(folder))

        return await anyio.to_thread.run_sync(read)

    async def requests(self, job_id: str, most: int) -> FirstRequests:
        """Return the first requests of a job's newest round, as they are sent.

        Raises:
            NotFound: There is no such job.
            NotReady: Its requests are gone.
        """
        job = self.job(job_id)
        parts = job.drafted_parts or job.running_parts
        path = self._folders.of(job_id).requests(parts[0]) if parts else None
        if path is None or not path.exists():
            raise NotReady(f"The requests of {job_id} are no longer here. Its results may be: see get_results.")
        lines = await anyio.to_thread.run_sync(lambda: list(islice(files.lines(path), most)))
        requests = sum(part.requests for part in parts)
        return FirstRequests(job, path.name, requests, [msgspec.json.decode(line) for line in lines])

    async def table(self, job: Job) -> str:
        """Return the joined results of a job that has some, as CSV.

        Raises:
            InvalidInput: They are too large to return in one piece.
        """
        return await anyio.to_thread.run_sync(self._table, job)

    def _table(self, job: Job) -> str:
        folder = self._folders.of(job.id)
        if job.source.rows <= MAX_TABLE_ROWS and folder.results.stat().st_size <= _MAX_RESULTS_BYTES:
            with folder.scratch("reading") as place:
                path = place / "table"
                table(job, folder).save(path, "csv")
                if path.stat().st_size <= MAX_TABLE_BYTES:
                    return path.read_text(encoding="utf-8")
        raise InvalidInput(
            f"The results of {job.id} are larger than {MAX_TABLE_BYTES:,} bytes, the most that is returned at once. "
            f"{Call('get_results', job_id=job.id, save_as='results.csv')} writes them to a file."
        )
