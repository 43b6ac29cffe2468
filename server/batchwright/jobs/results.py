"""What a user asks of a job's results: rows to look at, a file with all of them, SQL, and a plain profile."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from batchwright.core import files
from batchwright.core.errors import InvalidInput, NotReady
from batchwright.core.job_folder import JobFolder, JobFolders
from batchwright.core.model import Job, Outcome
from batchwright.core.progress import SILENT, Progress
from batchwright.core.untrusted import one_line, quote_name, quote_names
from batchwright.jobs.collection import table, table_so_far
from batchwright.jobs.recovery import stuck_parts
from batchwright.results.query import QueryRows, query
from batchwright.results.summary import AnswerColumn, TruthComparison, answer_columns, compare_with_truth
from batchwright.results.table import JoinedRows, ResultTable
from batchwright.tables.saving import SaveKind, save_kind

if TYPE_CHECKING:
    from batchwright.core.workspace import Workspace
    from batchwright.jobs.advance import Runs

WAIT_SECONDS = 45
"""What an assistant is told to wait at a time: many clients give a call up after 60 seconds."""
_SHOWN_COLUMNS = 30


@dataclass(frozen=True, slots=True)
class ResultPage:
    """Joined results: some rows to look at, and where all of them were saved.

    Attributes:
        columns: Those chosen.
        answer_columns: Those of them that the results add to the source's.
        number_name: What the rows' numbers are called, where no column is called so.
    """

    job: Job
    joined: JoinedRows
    columns: Sequence[str]
    answer_columns: Sequence[str]
    number_name: str
    saved_as: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a job's results: SQL, or else a profile.

    Attributes:
        truth: A column of the source, that the profile compares the answers with.
        answer: The column that is compared, where there are several.
    """

    sql: str | None = None
    truth: str | None = None
    answer: str | None = None
    save_as: str | None = None
    overwrite: bool = False
    limit: int = 20


@dataclass(frozen=True, slots=True)
class ResultProfile:
    """What is in the answers; no agreement where no truth is named."""

    columns: Sequence[AnswerColumn]
    agreement: TruthComparison | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a question gives: rows of SQL, or a profile.

    Attributes:
        unread: Rows that are done, and whose answers are read only when their batch has ended.
    """

    job: Job
    rows: QueryRows | None = None
    profile: ResultProfile | None = None
    saved_as: str | None = None
    unread: int = 0


class Asking:
    """Answers questions about results."""

    def __init__(
        self, folders: JobFolders, runs: "Runs", workspace: "Workspace", *, now: Callable[[], datetime]
    ) -> None:
        self._folders = folders
        self._runs = runs
        self._workspace = workspace
        self._now = now

    async def page(  # noqa: PLR0913  # what is shown and what is saved are both chosen
        self,
        job_id: str,
        *,
        save_as: str | None,
        overwrite: bool,
        outcome: Outcome | None,
        offset: int,
        limit: int,
        columns: Sequence[str] = (),
        progress: Progress = SILENT,
    ) -> ResultPage:
        """Join the results of a job to its rows: shows some, saves all. While a retry runs, those of before.

        Of a job that is stuck, those of its other parts.

        Raises:
            NotReady: The job has not ended before.
            InvalidInput: The target cannot be written, or there is no such column.
        """
        saving = self._saving(job_id, save_as, overwrite=overwrite)
        job = await self._advance(job_id, saving)

        def save(table: ResultTable, path: Path, kind: SaveKind) -> None:
            table.save(path, kind, columns, progress.stage(0, 1, f"Saving {save_as}"))

        async def shown(table: ResultTable) -> ResultPage:
            chosen = list(table.chosen(columns))
            now = job
            if job.ended_at is None:  # what earlier rounds, or other parts, gave is there meanwhile
                now = replace(job, outcomes=await anyio.to_thread.run_sync(table.counts))
            if saving is not None:
                await anyio.to_thread.run_sync(saving.write, partial(save, table))
            joined = await anyio.to_thread.run_sync(
                lambda: table.rows(outcome=outcome, offset=offset, limit=limit, columns=columns)
            )
            added = [name for name in table.answer_columns if name in chosen]
            return ResultPage(now, joined, chosen, added, table.number_name, str(saving.target) if saving else None)

        folder = self._folders.of(job.id)
        if job.ended_at is not None or folder.results.exists():
            return await shown(table(job, folder))
        if not stuck_parts(job, self._now()):
            done = job.source.rows - job.counts["running"]
            raise NotReady(
                f"{job_id} is still {job.status}: {done:,} of {job.source.rows:,} rows are done. "
                f"Wait with `check_job`, wait_seconds={WAIT_SECONDS}, then ask again."
            )
        with folder.scratch("asking") as place:
            return await shown(await anyio.to_thread.run_sync(table_so_far, job, folder, place))

    async def ask(self, job_id: str, question: Question, progress: Progress = SILENT) -> Reply:
        """Run SQL over the results of a job, or describe them. While it runs, the rows that are not done are running.

        Raises:
            NotReady: The job was never submitted.
            InvalidInput: The question cannot be answered, or the target cannot be written.
        """
        _check(question)
        saving = self._saving(job_id, question.save_as, overwrite=question.overwrite)
        job = await self._advance(job_id, saving)
        return await anyio.to_thread.run_sync(self._reply, job, question, saving, progress)

    def _reply(self, job: Job, question: Question, saving: "_Saving | None", progress: Progress) -> Reply:
        folder = self._folders.of(job.id)
        with folder.scratch("asking") as place:
            joined = table(job, folder) if job.ended_at else table_so_far(job, folder, place)
            unread = 0
            if not job.ended_at:
                told, job = job.counts["running"], replace(job, outcomes=joined.counts())
                unread = max(0, job.counts["running"] - told)
            sql = question.sql
            if sql is None:
                return Reply(job, profile=_profile(joined, job, question, place, progress), unread=unread)
            running = progress.stage(0, 1, "Running the query")
            if saving is None:
                return Reply(job, query(joined, sql, place, limit=question.limit, progress=running), unread=unread)
            rows: list[QueryRows] = []

            def write(path: Path, kind: SaveKind) -> None:
                rows.append(query(joined, sql, place, limit=question.limit, target=path, kind=kind, progress=running))

            saving.write(write)
            return Reply(job, rows[0], saved_as=str(saving.target), unread=unread)

    async def _advance(self, job_id: str, saving: "_Saving | None") -> Job:
        """Move the job on, and give it if there may be results."""
        job = await self._runs.advance(job_id)
        if saving is not None and str(saving.target) in {job.source.path, *job.source.more_paths}:
            raise InvalidInput(
                f"{saving.name!r} is the source of {job_id}, and is never replaced. Choose another name."
            )
        if job.submitted_at is None:
            raise NotReady(f"{job_id} is a draft and was never run. Submit it with `submit_job` first.")
        return job

    def _saving(self, job_id: str, name: str | None, *, overwrite: bool) -> "_Saving | None":
        if not name:
            return None
        target = self._workspace.file_to_write(name, overwrite=overwrite)
        return _Saving(name, target, save_kind(target), overwrite, self._workspace, self._folders.of(job_id))


@dataclass(frozen=True, slots=True)
class _Saving:
    """A file for the user, which is written whole or not at all.

    Attributes:
        folder: Of the job, where it is written first: what writes tables takes names, which may lead elsewhere by then.
    """

    name: str
    target: Path
    kind: SaveKind
    overwrite: bool
    workspace: "Workspace"
    folder: JobFolder

    def write(self, write: Callable[[Path, SaveKind], None]) -> None:
        with self.folder.scratch("saving") as place:
            made = place / "table"
            write(made, self.kind)
            with self.workspace.new_file(self.target, overwrite=self.overwrite) as file:
                for block in files.blocks(made):
                    file.write(block)


def _check(question: Question) -> None:
    """Refuse what does not belong together.

    Raises:
        InvalidInput: It does not.
    """
    if question.sql is not None and (question.truth or question.answer):
        raise InvalidInput(
            "truth and answer belong to the profile, which is given without sql. Leave sql out, or them."
        )
    if question.sql is None and question.save_as:
        raise InvalidInput(
            "save_as saves what sql gives, and there is none. Give sql, or use get_results with save_as."
        )
    if question.answer and not question.truth:
        raise InvalidInput("answer says which column is compared with truth, and truth is empty. Name that column too.")


def _profile(table: ResultTable, job: Job, question: Question, folder: Path, progress: Progress) -> ResultProfile:
    compared = None
    if question.truth:
        truth = _named("truth", question.truth, {name: name for name in job.source.columns})
        answer = _answer(table, question.answer)
        compared = compare_with_truth(table, truth, answer, folder)
    return ResultProfile(answer_columns(table, progress.stage(0, 1, "Describing the answers")), compared)


def _answer(table: ResultTable, answer: str | None) -> str:
    """Return the column that is compared."""
    if table.is_embedding:
        raise InvalidInput("The answers are vectors, which agree with no column. Compare them in sql.")
    if answer:
        return _named("answer", answer, table.values)
    if len(table.values) > 1:
        raise InvalidInput(f"There are several answers. Name one as answer: {_listed(table.values)}.")
    return next(iter(table.values))


def _named(what: str, given: str, known: Mapping[str, str]) -> str:
    shown = {one_line(name): name for name in known}
    name = given if given in known else shown.get(given)
    if name is None:
        raise InvalidInput(f"There is no column {quote_name(given)} to be {what}. Columns: {_listed(known)}.")
    return name


def _listed(names: Mapping[str, str]) -> str:
    shown = quote_names(list(names)[:_SHOWN_COLUMNS])
    return shown + (f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else "")
