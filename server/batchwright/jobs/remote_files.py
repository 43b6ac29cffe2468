"""Files at the provider: which job each belongs to, and how they are deleted once the results are safe here."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batchwright.core.crash_points import OnPoint
from batchwright.core.errors import InvalidInput, NotFound, NotReady, ProviderRefused
from batchwright.core.job_folder import part_name
from batchwright.core.model import Job
from batchwright.core.provenance import job_of_upload
from batchwright.core.untrusted import one_line, quote_name, quote_names
from batchwright.jobs.terms import Terms

if TYPE_CHECKING:
    from openai.types import FileObject

    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at the provider, and the job that it belongs to.

    Attributes:
        size_bytes, created_at: None if the provider lists no files.
    """

    file_id: str
    name: str
    purpose: str
    size_bytes: int | None
    created_at: datetime | None
    job_id: str | None


@dataclass(frozen=True, slots=True)
class Deletion:
    """Files that may be deleted, and what the user has to agree to first."""

    files: Sequence[RemoteFile]
    terms: Terms


class RemoteFiles:
    """Lists files at the provider, and deletes those that no job needs any more."""

    def __init__(
        self, journal: "Journal", api: "BatchAPI", advance: Callable[[str], Awaitable[Job]], *, on_point: OnPoint
    ) -> None:
        self._journal, self._api, self._advance = journal, api, advance
        self._on_point = on_point

    async def all(self) -> Sequence[RemoteFile]:
        """Return the files at the provider, newest first."""
        return [self._remote_file(file) async for file in self._api.files()]

    async def plan(self, *, job_id: str | None, file_ids: Sequence[str]) -> Deletion:
        """Choose files of jobs whose results are safe here, and ask about them by name, size and job.

        Raises:
            NotReady: A file belongs to a job that has not finished.
            NotFound: A file does not exist, or belongs to no job of this journal.
        """
        files = await self._deletable(job_id, file_ids)
        return Deletion(files, Terms(self._question(files)))

    async def delete(self, deletion: Deletion) -> None:
        """Delete files that were just chosen."""
        self._on_point("deletion_meant")
        for file in deletion.files:
            await self._api.delete_file(file.file_id)
            self._on_point("deletion_answered")

    async def _deletable(self, job_id: str | None, file_ids: Sequence[str]) -> Sequence[RemoteFile]:
        if bool(job_id) == bool(file_ids):
            raise InvalidInput("Files are chosen by job_id or by file_ids. Give one of the two.")
        if job_id:
            # First of all: the files of a batch that has just finished are not known yet.
            await self._refuse_unsafe_deletion(job_id)
        files = await self._chosen(job_id, file_ids)
        if not files and job_id:
            raise NotFound(
                f"{job_id} has no files at the provider, so nothing was deleted. `list_files` shows all files."
            )
        if missing := sorted(set(file_ids) - {file.file_id for file in files}):
            raise NotFound(f"There is no file {quote_name(missing[0])} at the provider. `list_files` shows the ids.")
        for file in files:
            if file.job_id is None:
                raise InvalidInput(
                    f"{one_line(file.file_id)} belongs to no job of this server, so it is left alone. Name others."
                )
        owners = dict.fromkeys(file.job_id for file in files if file.job_id)
        for owner in owners.keys() - {job_id}:
            await self._refuse_unsafe_deletion(owner)
        # Again, now that nothing is awaited any more: a retry that began meanwhile needs the files.
        for owner in owners:
            self._refuse_needed(self._journal.job(owner))
        return files

    def _question(self, files: Sequence[RemoteFile]) -> str:
        owners = sorted({file.job_id for file in files if file.job_id})
        sizes = [file.size_bytes for file in files if file.size_bytes is not None]
        size = f", {sum(sizes) / 1e6:,.3f} MB" if len(sizes) == len(files) else ""
        named = quote_names(sorted(file.name for file in files)[:_SHOWN]) + _more(files)
        host = quote_name(self._journal.job(owners[0]).provider.host)
        what = "1 file" if len(files) == 1 else f"{len(files):,} files"
        whose = ", ".join(owners[:_SHOWN]) + _more(owners)
        return f"Delete {what} at {host} for good{size}, of {whose}? The results stay here. The files: {named}."

    async def _chosen(self, job_id: str | None, file_ids: Sequence[str]) -> Sequence[RemoteFile]:
        try:
            listed = await self.all()
        except ProviderRefused:
            if not job_id:
                raise
            listed = _files_of(self._journal.job(job_id))  # a service that cannot list files may still delete them
        return [file for file in listed if (file.job_id == job_id if job_id else file.file_id in file_ids)]

    async def _refuse_unsafe_deletion(self, job_id: str) -> None:
        job = await self._advance(job_id)
        if job.submitted_at is None and self._journal.events.has(job_id, "restored"):
            raise NotReady(
                f"{job_id} is a draft from a lost journal, and the provider may not show its running batch yet. "
                "Nothing was deleted. Look for `others` with `list_jobs`, or submit it."
            )
        self._refuse_needed(job)

    def _refuse_needed(self, job: Job) -> None:
        if job.ended_at is None and job.submitted_at is not None:
            raise NotReady(
                f"{job.id} is {job.status}, so its files are still needed. Nothing was deleted. "
                "Wait for it with `check_job`, or end it early with `cancel_job`."
            )

    def _remote_file(self, file: "FileObject") -> RemoteFile:
        created_at = datetime.fromtimestamp(file.created_at or 0, UTC)
        return RemoteFile(file.id, file.filename or "", file.purpose, file.bytes, created_at, self._job_of(file))

    def _job_of(self, file: "FileObject") -> str | None:
        """Return the job of a file: the one in the journal, or the one in the name that this program gave it."""
        if job_id := self._journal.queries.job_of_file(file.id):
            return job_id
        named = job_of_upload(file.filename or "")
        return named if named and self._journal.queries.has_job(named) else None


def _more(things: Sequence[object]) -> str:
    return f" and {len(things) - _SHOWN:,} more" if len(things) > _SHOWN else ""


def _files_of(job: Job) -> Sequence[RemoteFile]:
    """Return the known files of a job, without asking the provider."""
    return [
        RemoteFile(file_id, name, purpose, None, None, job.id)
        for part in job.parts
        for file_id, name, purpose in (
            (part.file_id, part_name(part), "batch"),
            (part.output_file_id, "output", "batch_output"),
            (part.error_file_id, "errors", "batch_output"),
        )
        if file_id
    ]
