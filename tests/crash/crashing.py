"""A process in which a user takes one job from its draft to its results, and which dies where it is told to.

Whatever it finds at its start, it goes on from there. What it saw is left in a file: its caller may have to go on with
another process.
"""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import anyio
import msgspec

from batchwright.app.app import open_runtime
from batchwright.core import files
from batchwright.core.crash_points import Point
from batchwright.core.errors import BatchwrightError, NotFound, NotReady
from batchwright.core.model import Job, UserSays
from batchwright.core.problem import Problem
from batchwright.core.settings import Settings
from batchwright.core.waiting import Waiting
from batchwright.jobs.draft import DraftRequest
from batchwright.jobs.retry_request import RetryRequest
from batchwright.mcp_server.context import UseCases

MODEL = "gpt-5-mini"
ROWS = 5
PARTS = 3
_ENQUEUED_TOKENS = 70
"""With requests of 12 to 14 tokens: two parts of two rows and one of one row, which may all be enqueued together."""
KEY = "sk-test-0123456789abcdef"
PATIENCE_SECONDS = 40.0
REPORT = "report.json"
LOG = "log.txt"
HUNG_UP = "hung_up"
RESULTS = "results.csv"

_RESTING = frozenset({"unknown", "verified", "failed"})

Death = Point | Literal["hung_up"]
"""Where the process dies; `hung_up`: when the call that was cancelled is over."""
Wish = Literal["", "cancelled", "retried"]
"""What the user wants of the job besides its results: an early end, or the rows that have no answer once more."""


@dataclass(frozen=True)
class Life:
    """What one process does.

    Attributes:
        folder: Holds the workspace and the data folder, which are those of the lives before.
        death: The point at which it dies, the first time that it is passed; None: it ends by itself.
        says: The user's word, said once.
        adopted: Batches at the provider that the user wants to have.
    """

    folder: Path
    url: str
    death: Death | None = None
    says: UserSays = ""
    wish: Wish = ""
    adopted: tuple[str, ...] = ()


@dataclass
class Report:
    """What the user saw at the end of a life.

    Attributes:
        refusal: What Batchwright said when it could not go on.
        parts: Of the job's current round: state and problem.
        files: The ids of files at the provider, each with the job that it is said to belong to, before any deletion.
        others: Batches at the provider that the journal does not know.
        adopted_jobs: Made in this life, of batches that were adopted.
        adopted_answers: Of these jobs.
        is_over: Whether the job has ended, its results are saved and its files deleted.
    """

    refusal: str | None = None
    jobs: int = 0
    job_id: str | None = None
    status: str | None = None
    counts: dict[str, int] = field(default_factory=dict[str, int])
    parts: list[tuple[int, str, Problem | None]] = field(default_factory=list[tuple[int, str, Problem | None]])
    frozen: str | None = None
    files: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])
    others: list[str] = field(default_factory=list[str])
    adopted_jobs: int = 0
    adopted_answers: int = 0
    is_over: bool = False


def live(life: Life) -> None:
    """Be that process: leaves a report and a log in its folder."""
    log = os.open(life.folder / LOG, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    try:
        report = anyio.run(_lived, life)
    except BaseException:
        traceback.print_exc()
        raise
    files.write_whole(life.folder / REPORT, msgspec.json.encode(report))


def make_source(folder: Path) -> None:
    """Write the rows of the job."""
    (folder / "work").mkdir()
    rows = "".join(f"{number},word {number}\n" for number in range(1, ROWS + 1))
    (folder / "work" / "rows.csv").write_text(f"id,text\n{rows}", encoding="utf-8")


def expected_answer(text: str) -> str:
    """Give what the test provider answers to the row with this text."""
    return f"answer to Say {text} again"


async def _lived(life: Life) -> Report:
    settings = Settings.from_env(
        {
            "BATCHWRIGHT_WORKSPACE": str(life.folder / "work"),
            "BATCHWRIGHT_DATA_DIR": str(life.folder / "data"),
            "BATCHWRIGHT_ENQUEUED_TOKENS": str(_ENQUEUED_TOKENS),
            "BATCHWRIGHT_PRICES": "openai",
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": life.url,
        }
    )
    # A life may begin before the last look of the one before has grown old: each look asks the provider anew.
    settings = replace(settings, poll_seconds=0.0)
    user = _User(life)
    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            await tasks.start(user.hang_up_when_told)
            # The user of a test need not wait before something is sent again.
            waiting = Waiting(quiet_seconds=0.0)
            async with open_runtime(settings, on_point=user.pass_point, waiting=waiting) as runtime:
                try:
                    await user.go_on(await runtime.use_cases())
                except BatchwrightError as error:
                    user.report.refusal = str(error)
            tasks.cancel_scope.cancel()
    return user.report


class _User:
    """Does what is next, and notes what is seen."""

    def __init__(self, life: Life) -> None:
        self.report = Report()
        self._life = life
        self._call = anyio.CancelScope()

    def pass_point(self, point: Death) -> None:
        """Die, if this is the point."""
        if point == self._life.death:
            os.kill(os.getpid(), signal.SIGKILL)

    async def hang_up_when_told(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Cancel the call that submits the job, at a signal."""
        with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
            task_status.started()
            async for _ in signals:
                self._call.cancel()
                (self._life.folder / HUNG_UP).touch()

    async def go_on(self, use: UseCases) -> None:
        """Take the job as far as it goes."""
        await use.watch.resume()
        for batch_id in self._life.adopted:
            adopted = await self._moved_on(use, await use.adoption.adopt(batch_id))
            if adopted.source.kind != "csv":  # it did not go to the job that it was made for
                self.report.adopted_jobs += 1
                self.report.adopted_answers += adopted.counts["answered"]
        job = await self._begun(use)
        try:
            job = await self._submitted(use, job)
            job = await self._moved_on(use, job)
            if self._life.wish == "retried" and _unanswered(job):
                await use.retrying.draft(job.id, RetryRequest(), ignore)
                job, _ = await use.decisions.submit(job.id)
                job = await self._moved_on(use, job)
        finally:
            await self._note(use, job.id)
        # While something is frozen, it is not sure that a file at the provider is not needed any more.
        if job.ended_at is not None and not self.report.frozen:
            await self._clear_up(use, job)

    async def _begun(self, use: UseCases) -> Job:
        page = await use.watch.list_jobs(limit=100, offset=0)
        known = [job for job in page.jobs if job.source.kind == "csv"]
        if known:
            return known[0]
        request = DraftRequest(
            source="rows.csv",
            prompt="Say {{text}} again",
            model=MODEL,
            parameters={"max_completion_tokens": 40},
            id_column="id",
        )
        job = (await use.drafting.create(request)).job
        assert [part.requests for part in job.parts] == [2, 2, 1]
        return job

    async def _submitted(self, use: UseCases, job: Job) -> Job:
        says: UserSays = self._life.says
        is_wanted = says == "go_on" or job.status == ("unknown" if says == "resend" else "draft")
        if is_wanted:
            with self._call:
                job, _ = await use.decisions.submit(job.id, user_says=says)
            if self._call.cancelled_caught:
                self.pass_point("hung_up")
                job = await self._looked_at(use, job.id)
        if self._life.wish == "cancelled" and job.ended_at is None and job.cancelled_at is None:
            with suppress(NotReady):  # it ended just now
                job = await use.decisions.cancel(job.id)
        return job

    async def _moved_on(self, use: UseCases, job: Job) -> Job:
        while job.ended_at is None and not _is_at_rest(job):
            await anyio.sleep(0.05)
            job = await self._looked_at(use, job.id)
        return job

    async def _looked_at(self, use: UseCases, job_id: str) -> Job:
        return await use.watch.check(job_id, wait_seconds=0, on_job=ignore_job)

    async def _clear_up(self, use: UseCases, job: Job) -> None:
        """Save the results, and delete the files at the provider."""
        await use.results.page(job.id, save_as=RESULTS, overwrite=True, outcome=None, offset=0, limit=ROWS)
        with suppress(NotFound):  # all were deleted in a life before
            await delete_files(use, job.id)
        self.report.is_over = True

    async def _note(self, use: UseCases, job_id: str) -> None:
        page = await use.watch.list_jobs(limit=100, offset=0)
        job = next(job for job in page.jobs if job.id == job_id)
        report = self.report
        report.jobs, report.job_id, report.status, report.counts = page.total, job.id, job.status, {**job.counts}
        report.parts = [(part.number, part.state, part.problem) for part in job.running_parts]
        report.frozen = page.frozen
        report.others = [other.batch_id for other in page.others or ()]
        report.files = [(remote.file_id, remote.job_id) for remote in await use.files.all()]


def _is_at_rest(job: Job) -> bool:
    """Whether the job does not go on without the user."""
    return all(
        part.state in _RESTING or (part.problem is not None and part.problem.code == "frozen")
        for part in job.running_parts
    )


def _unanswered(job: Job) -> bool:
    return job.ended_at is not None and job.counts["answered"] < job.source.rows


async def delete_files(use: UseCases, job_id: str) -> None:
    """Delete a job's files at the provider, whatever a user would say."""
    await use.files.delete(await use.files.plan(job_id=job_id, file_ids=()))


def ignore(_done: int, _total: int) -> None:
    """Take no notice of how far something is."""


async def ignore_job(_job: Job) -> None:
    """Take no notice of how far a job is."""


def read_report(folder: Path) -> Report | None:
    """Give the report of the last life; None: it left none."""
    path = folder / REPORT
    return msgspec.json.decode(path.read_bytes(), type=Report) if path.exists() else None


def preloaded() -> Sequence[str]:
    """Name the modules that every such process needs: this one, the provider's, and what either imports late."""
    return (
        *(__name__, "tests.support.openai_server", "batchwright.core.workspace", "batchwright.providers.transport"),
        *("openai.resources.batches", "openai.resources.files", "openai.types", "openai.pagination", "httpx2"),
        *("httpcore2", "truststore", "anyio._backends._asyncio", "duckdb", "genai_prices.data", "minijinja", "splintr"),
    )
