"""What a user asks of a job's results: some rows, a file with all of them, SQL, or a profile of the answers."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio.to_thread

from batchwright.core import files
from batchwright.core.errors import InvalidInput, NotReady
from batchwright.core.job_folder import JobFolders
from batchwright.core.model import Job, Outcome
from batchwright.core.progress import SILENT, Progress
from batchwright.core.untrusted import one_line, quote_name, quote_names
from batchwright.jobs.collection import table, table_so_far
from batchwright.jobs.recovery import stuck_parts
from batchwright.results.query import QueryRows, query
from batchwright.results.summary import AnswerColumn, TruthComparison, answer_columns, compare_with_truth
from batchwright.results.table import JoinedRows, ResultTable
from batchwright.tables.saving import save_kind

if TYPE_CHECKING:
    from batchwright.core.workspace import Workspace
    from batchwright.jobs.advance import Runs

WAIT_SECONDS = 45
"""How long an assistant is advised to wait in one call: many clients give up after 60 seconds."""
_SHOWN_COLUMNS = 30

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ResultPage:
    """Joined results: some rows to show, and where all of them were saved.

    Attributes:
        columns: Those chosen.
        answer_columns: Those of them that are not from the source.
        number_name: A name for the row numbers that no column has.
    """

    job: Job
    joined: JoinedRows
    columns: Sequence[str]
    answer_columns: Sequence[str]
    number_name: str
    saved_as: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a job's results: SQL, or without it a profile.

    Attributes:
        truth: The source column that the profile compares the answers with.
        answer: The answer column to compare, if there are several.
    """

    sql: str | None = None
    truth: str | None = None
    answer: str | None = None
    save_as: str | None = None
    overwrite: bool = False
    limit: int = 20


@dataclass(frozen=True, slots=True)
class ResultProfile:
    """What the answers contain, and how they agree with the truth, if a column was named."""

    columns: Sequence[AnswerColumn]
    agreement: TruthComparison | None


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to a question: rows of SQL, or a profile.

    Attributes:
        unread: Rows that are done, but whose answers can be read only when their batch has finished.
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
        """Join the results of a job to its rows: show some, save all.

        While a retry runs, the earlier results are shown; of a stuck job, those of its other parts.

        Raises:
            NotReady: The job has no results yet.
            InvalidInput: The target cannot be written, or there is no such column.
        """
        target = self._target(save_as, overwrite=overwrite)
        job = await self._advance(job_id, target)
        folder = self._folders.of(job.id)

        def show(joined: ResultTable) -> ResultPage:
            chosen = list(joined.chosen(columns))
            # While the job runs, earlier rounds or other parts may have given some of its rows an answer.
            now = job if job.ended_at else replace(job, outcomes=joined.counts())
            if target is not None:
                kind, saving = save_kind(target), progress.stage(0, 1, f"Saving {save_as}")
                self._save(job_id, target, lambda path: joined.save(path, kind, columns, saving), overwrite=overwrite)
            rows = joined.rows(outcome=outcome, offset=offset, limit=limit, columns=columns)
            added = [name for name in joined.answer_columns if name in chosen]
            return ResultPage(now, rows, chosen, added, joined.number_name, str(target) if target else None)

        if job.ended_at is not None or folder.results.exists():
            return await anyio.to_thread.run_sync(lambda: show(table(job, folder)))
        if not stuck_parts(job, self._now()):
            done = job.source.rows - job.counts["running"]
            raise NotReady(
                f"{job_id} is still {job.status}: {done:,} of {job.source.rows:,} rows are done. "
                f"Wait with `check_job`, wait_seconds={WAIT_SECONDS}, then ask again."
            )
        with folder.scratch("asking") as place:
            return await anyio.to_thread.run_sync(lambda: show(table_so_far(job, folder, place)))

    async def ask(self, job_id: str, question: Question, progress: Progress = SILENT) -> Reply:
        """Run SQL over the results of a job, or profile them; while it runs, rows without a result are running.

        Raises:
            NotReady: The job was never submitted.
            InvalidInput: The question cannot be answered, or the target cannot be written.
        """
        _check(question)
        target = self._target(question.save_as, overwrite=question.overwrite)
        job = await self._advance(job_id, target)
        return await anyio.to_thread.run_sync(self._reply, job, question, target, progress)

    def _reply(self, job: Job, question: Question, target: Path | None, progress: Progress) -> Reply:
        folder = self._folders.of(job.id)
        with folder.scratch("asking") as place:
            joined = table(job, folder) if job.ended_at else table_so_far(job, folder, place)
            unread = 0
            if not job.ended_at:
                running, job = job.counts["running"], replace(job, outcomes=joined.counts())
                unread = max(0, job.counts["running"] - running)
            if question.sql is None:
                return Reply(job, profile=_profile(joined, job, question, place, progress), unread=unread)
            running_sql = progress.stage(0, 1, "Running the query")
            run = partial(query, joined, question.sql, place, limit=question.limit, progress=running_sql)
            if target is None:
                return Reply(job, run(), unread=unread)
            kind = save_kind(target)
            rows = self._save(job.id, target, lambda path: run(target=path, kind=kind), overwrite=question.overwrite)
            return Reply(job, rows, saved_as=str(target), unread=unread)

    async def _advance(self, job_id: str, target: Path | None) -> Job:
        """Advance the job, and return it if it was submitted; its source is not a *target*."""
        job = await self._runs.advance(job_id)
        if target is not None and str(target) in {job.source.path, *job.source.more_paths}:
            raise InvalidInput(
                f"{self._workspace.display_name(target)!r} is the source of {job_id}, and is never replaced. Choose "
                "another name."
            )
        if job.submitted_at is None:
            raise NotReady(f"{job_id} is a draft and was never run. Submit it with `submit_job` first.")
        return job

    def _target(self, name: str | None, *, overwrite: bool) -> Path | None:
        if not name:
            return None
        target = self._workspace.file_to_write(name, overwrite=overwrite)
        save_kind(target)  # refuses an ending that cannot be written
        return target

    def _save(self, job_id: str, target: Path, write: Callable[[Path], _T], *, overwrite: bool) -> _T:
        """Write a file for the user, whole or not at all.

        What writes tables takes a name, which may lead elsewhere by then: so it writes into the job's folder first.
        """
        with self._folders.of(job_id).scratch("saving") as place:
            made = place / "table"
            written = write(made)
            with self._workspace.new_file(target, overwrite=overwrite) as file:
                for block in files.blocks(made):
                    file.write(block)
        return written


def _check(question: Question) -> None:
    """Refuse arguments that do not go together.

    Raises:
        InvalidInput: They do not.
    """
    if question.sql is not None and (question.truth or question.answer):
        raise InvalidInput("truth and answer are for the profile, which runs without sql. Leave out sql, or them.")
    if question.sql is None and question.save_as:
        raise InvalidInput("save_as saves the rows of sql, which is empty. Give sql, or use get_results with save_as.")
    if question.answer and not question.truth:
        raise InvalidInput("answer names the column to compare with truth, which is empty. Name that column too.")


def _profile(table: ResultTable, job: Job, question: Question, folder: Path, progress: Progress) -> ResultProfile:
    compared = None
    if question.truth:
        truth = _find_column("truth", question.truth, job.source.columns)
        compared = compare_with_truth(table, truth, _answer_column(table, question.answer), folder)
    return ResultProfile(answer_columns(table, progress.stage(0, 1, "Describing the answers")), compared)


def _answer_column(table: ResultTable, answer: str | None) -> str:
    if table.is_embedding:
        raise InvalidInput("The answers are vectors, which cannot be compared with a column. Compare them in sql.")
    if answer:
        return _find_column("answer", answer, table.values)
    if len(table.values) > 1:
        raise InvalidInput(f"There are several answers. Name one as answer: {_list_columns(table.values)}.")
    return next(iter(table.values))


def _find_column(argument: str, given: str, known: Collection[str]) -> str:
    shown = {one_line(name): name for name in known}
    name = given if given in known else shown.get(given)
    if name is None:
        raise InvalidInput(f"{argument} names no column: {quote_name(given)}. Columns: {_list_columns(known)}.")
    return name


def _list_columns(names: Collection[str]) -> str:
    shown = quote_names(list(names)[:_SHOWN_COLUMNS])
    return shown + (f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else "")
