"""The use cases: what a user can do with data, jobs and files. Journal and provider meet only in this layer."""

import logging
import secrets
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from filelock import FileLock, Timeout

from batchwright import schema
from batchwright.drafts import Draft, OnRows, Plan, adopt_batch_file, batch_file_recipe, check_batch_file, draft
from batchwright.errors import InvalidInput, NotFound, NotReady
from batchwright.model import Endpoint, Job, Json, Outcome, Profile, Recipe
from batchwright.runs import LOCK, Runs
from batchwright.tables.results import JoinedRows, save_kind
from batchwright.tables.sources import kind_of, profile, write_rows
from batchwright.workspace import whole_file

if TYPE_CHECKING:
    from openai.types import FileObject

    from batchwright.batch_api import BatchAPI
    from batchwright.journal import Journal
    from batchwright.workspace import Workspace

log = logging.getLogger(__name__)

MAX_INLINE_ROWS = 2_000
POLL_SECONDS = 0.5
WAIT_SECONDS = 45
"""What an assistant is told to wait at a time: many clients give a call up after 60 seconds."""

_ID_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_SHOWN_PROBLEMS = 5

OnJob = Callable[[Job], Awaitable[None]]
"""Told how a job stands, while somebody waits for it."""


@dataclass(frozen=True, slots=True)
class DraftRequest:
    """What a draft is asked for; exactly one of *source*, *rows* and *batch_file* is given."""

    source: str | None = None
    rows: Sequence[Mapping[str, Json]] = ()
    batch_file: str | None = None
    prompt: str | None = None
    system: str | None = None
    model: str | None = None
    endpoint: Endpoint = "/v1/chat/completions"
    output_schema: Mapping[str, Json] | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict[str, Json])
    id_column: str | None = None


@dataclass(frozen=True, slots=True)
class ResultPage:
    """Joined results: some rows to look at, and where all of them were saved."""

    job: Job
    joined: JoinedRows
    columns: Sequence[str]
    saved_as: str | None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at the provider, and the job that it belongs to."""

    file: "FileObject"
    job_id: str | None


class Jobs:
    """Everything that the tools do, without any word of MCP."""

    def __init__(
        self,
        *,
        journal: "Journal",
        api: "BatchAPI",
        workspace: "Workspace",
        data_folder: Path,
        now: Callable[[], datetime],
    ) -> None:
        self._journal = journal
        self._api = api
        self._workspace = workspace
        self._runs = Runs(journal, api, data_folder / "jobs")
        self._now = now

    async def inspect(self, name: str, *, sample_rows: int) -> Profile:
        """Describe a data file of the workspace."""
        path = self._workspace.file_to_read(name)
        shown = self._workspace.shown(path)
        return await anyio.to_thread.run_sync(lambda: profile(path, name=shown, sample_rows=sample_rows))

    async def create(self, request: DraftRequest, on_rows: OnRows) -> Draft:
        """Make a draft job: check everything, write its parts, record it. Spends nothing.

        Raises:
            InvalidInput: Something cannot be used; nothing was kept.
        """
        given = [name for name in ("source", "rows", "batch_file") if getattr(request, name)]
        if len(given) != 1:
            what = f"{' and '.join(given)} were given" if given else "none was given"
            raise InvalidInput(f"A job has one of source, rows and batch_file, and {what}. Give exactly one.")
        job_id = "job_" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))
        folder = self._runs.folder(job_id)
        folder.mkdir(parents=True, mode=0o700)
        with FileLock(folder / LOCK, thread_local=False):
            try:
                made = await self._drafted(request, job_id, folder, on_rows)
                self._journal.add_job(made.job)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        return made

    async def clean_up(self) -> None:
        """Remove what drafts left that were cut off: folders of no job, whose lock died with its process."""
        for folder in self._runs.folders():
            if (folder / LOCK).exists() and not self._journal.has_job(folder.name):
                lock = FileLock(folder / LOCK, thread_local=False)
                try:
                    with lock.acquire(timeout=0):
                        # Looked at again under the lock: the draft may have become a job meanwhile.
                        if not self._journal.has_job(folder.name):
                            shutil.rmtree(folder, ignore_errors=True)
                except Timeout:
                    continue

    async def submit(self, job_id: str) -> tuple[Job, bool]:
        """Let a draft run; says also whether it was submitted before, in which case nothing is sent again."""
        before = self._journal.job(job_id)
        if before.submitted_at is None:
            if not self._runs.is_answered_here(before):
                raise NotReady(
                    f"{job_id} was made for {before.provider.model} at {before.provider.host}, and this server has "
                    "another provider now. Make it anew with `create_batch_file`."
                )
            self._journal.mark_submitted(job_id)
        job = await self._runs.advance(job_id)
        return job, before.submitted_at is not None

    async def check(self, job_id: str, *, wait_seconds: float, on_job: OnJob) -> Job:
        """Move a job on and give it as it stands; waits for its end up to *wait_seconds*."""
        job = await self._runs.advance(job_id)
        told = None
        with anyio.move_on_after(wait_seconds):
            while wait_seconds and job.submitted_at is not None and job.ended_at is None and job.status != "unknown":
                if job != told:
                    await on_job(job)
                    told = job
                await anyio.sleep(POLL_SECONDS)
                job = await self._runs.advance(job_id)
        return self._runs.shown(self._journal.job(job_id))

    async def list(self, *, limit: int, offset: int) -> tuple[Sequence[Job], int]:
        """Give jobs, newest first, and how many there are in all."""
        await self.resume()
        return self._journal.jobs(limit=limit, offset=offset), self._journal.job_count()

    async def resume(self) -> None:
        """Move on every job that was submitted and has not ended."""
        for job_id in self._journal.unfinished():
            try:
                await self._runs.advance(job_id)
            except Exception as error:  # noqa: BLE001  # one job's fault must not keep the others from going on
                log.error("%s: it cannot go on: %s", job_id, type(error).__name__)

    async def problems(self, job: Job) -> Sequence[tuple[str, int]]:
        """Group the rows of an ended job that have no good answer by what was wrong, the most frequent first."""
        if job.ended_at is None or job.counts["answered"] == job.source.rows:
            return ()
        return await anyio.to_thread.run_sync(self._runs.table(job).problems, _SHOWN_PROBLEMS)

    async def results(
        self,
        job_id: str,
        *,
        save_as: str | None,
        overwrite: bool,
        outcome: Outcome | None,
        offset: int,
        limit: int,
    ) -> ResultPage:
        """Join the results of an ended job to its rows: shows some, saves all.

        Raises:
            NotReady: The job has not ended.
            InvalidInput: The target cannot be written.
        """
        target = self._workspace.file_to_write(save_as, overwrite=overwrite) if save_as else None
        kind = save_kind(target) if target else None
        job = await self._runs.advance(job_id)
        if target is not None and str(target) == job.source.path:
            raise InvalidInput(f"{save_as!r} is the source of {job_id}, and is never replaced. Choose another name.")
        if job.submitted_at is None:
            raise NotReady(f"{job_id} is a draft and was never run. Submit it with `submit_job` first.")
        if job.ended_at is None:
            done = job.source.rows - job.counts["running"]
            raise NotReady(
                f"{job_id} is still {job.status}: {done:,} of {job.source.rows:,} rows are done. "
                f"Wait with `check_job`, wait_seconds={WAIT_SECONDS}, then ask again."
            )
        table = self._runs.table(job)
        if target is not None and kind is not None:
            with whole_file(target, overwrite=overwrite) as temporary:
                await anyio.to_thread.run_sync(table.save, temporary, kind)
        joined = await anyio.to_thread.run_sync(lambda: table.rows(outcome=outcome, offset=offset, limit=limit))
        saved_as = str(target) if target else None
        return ResultPage(job, joined, [*job.source.columns, *table.answer_columns], saved_as)

    async def cancel(self, job_id: str) -> Job:
        """Have a job end early; what was answered is kept."""
        job = self._journal.job(job_id)
        if job.submitted_at is None:
            raise NotReady(f"{job_id} is a draft: nothing runs, and nothing was spent. There is nothing to cancel.")
        if job.ended_at is not None:
            raise NotReady(f"{job_id} has ended already: {job.status}. Its results are there with `get_results`.")
        await self._runs.cancel(job_id)
        return self._journal.job(job_id)

    async def files(self) -> Sequence[RemoteFile]:
        """Give the files at the provider, newest first."""
        return [RemoteFile(file, self._journal.job_of_file(file.id)) async for file in self._api.files()]

    async def delete_files(self, *, job_id: str | None, file_ids: Sequence[str]) -> Sequence[RemoteFile]:
        """Delete files of jobs whose results are safe here, and give those that were deleted.

        Raises:
            NotReady: A file belongs to a job that has not ended.
            NotFound: A file is not there, or belongs to no job of this journal.
        """
        if bool(job_id) == bool(file_ids):
            raise InvalidInput("Files are named by job_id or by file_ids. Give one of the two.")
        if job_id:
            self._journal.job(job_id)
        files = [file for file in await self.files() if (file.job_id == job_id if job_id else file.file.id in file_ids)]
        if not files and job_id:
            raise NotFound(
                f"{job_id} has no files at the provider, so nothing was deleted. `list_files` shows all files."
            )
        if missing := sorted(set(file_ids) - {file.file.id for file in files}):
            raise NotFound(f"There is no file {missing[0][:80]!r} at the provider. `list_files` shows the ids.")
        for file in files:
            await self._refuse_unsafe_deletion(file)
        for file in files:
            await self._api.delete_file(file.file.id)
        return files

    async def _refuse_unsafe_deletion(self, file: RemoteFile) -> None:
        if file.job_id is None:
            raise InvalidInput(
                f"{file.file.id} belongs to no job of this server, so it is left alone. Name other files."
            )
        job = await self._runs.advance(file.job_id)
        if job.ended_at is None:
            raise NotReady(
                f"{job.id} is {job.status}, so its files are still needed. Nothing was deleted. "
                "Wait for its end with `check_job`, or end it with `cancel_job`."
            )

    async def _drafted(self, request: DraftRequest, job_id: str, folder: Path, on_rows: OnRows) -> Draft:
        if request.batch_file:
            path = self._workspace.file_to_read(request.batch_file)
            _refuse_recipe(request)
            recipe = await anyio.to_thread.run_sync(batch_file_recipe, path, request.batch_file)
            known = self._api.is_model_known
            try:
                plan = self._plan(request, recipe, job_id, folder, path)
            except InvalidInput as error:
                # The file may have more faults than its model: all are told at once.
                await anyio.to_thread.run_sync(_tell_faults, path, request, recipe, known, error)
                raise
            return await anyio.to_thread.run_sync(lambda: adopt_batch_file(plan, on_rows, is_model_known=known))
        wanted = request.output_schema
        recipe = Recipe(
            endpoint=request.endpoint,
            model=request.model or "",
            prompt=request.prompt,
            system=request.system,
            output_schema=schema.strict(wanted) if wanted else None,
            parameters=dict(request.parameters),
        )
        if request.source:
            path = self._workspace.file_to_read(request.source)
        else:
            if len(request.rows) > MAX_INLINE_ROWS:
                most = f"{MAX_INLINE_ROWS:,}"
                raise InvalidInput(
                    f"{len(request.rows):,} rows were given inline; {most} are taken. Save them as a file."
                )
            path = folder / "rows.jsonl"
            await anyio.to_thread.run_sync(write_rows, request.rows, path)
        plan = self._plan(request, recipe, job_id, folder, path)
        made = await anyio.to_thread.run_sync(draft, plan, on_rows)
        if wanted and (optional := schema.optional_properties(wanted)):
            note = f"Strict mode requires every property, so these may come back null: {', '.join(optional)}."
            made = replace(made, warnings=[*made.warnings, note])
        return made

    def _plan(self, request: DraftRequest, recipe: Recipe, job_id: str, folder: Path, path: Path) -> Plan:
        provider = self._api.answering(recipe.model or None, recipe.endpoint)
        return Plan(
            job_id=job_id,
            created_at=self._now(),
            folder=folder,
            source=path,
            kind="jsonl" if request.batch_file else kind_of(path),
            name="the rows" if request.rows else self._workspace.shown(path),
            id_column=request.id_column or None,
            recipe=replace(recipe, model=provider.model),
            provider=provider,
            limits=self._api.limits,
        )


def _tell_faults(
    path: Path, request: DraftRequest, recipe: Recipe, is_model_known: Callable[[str], bool], reason: InvalidInput
) -> None:
    try:
        check_batch_file(path, request.batch_file or "", recipe.endpoint, is_model_known=is_model_known)
    except InvalidInput as error:
        raise InvalidInput(f"{error} {reason}") from reason


def _refuse_recipe(request: DraftRequest) -> None:
    for name in ("prompt", "system", "model", "output_schema", "parameters", "id_column"):
        if getattr(request, name):
            raise InvalidInput(f"A ready-made batch_file says everything itself, also its {name}. Leave {name} out.")
