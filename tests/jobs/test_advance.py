"""Submitted jobs on their way, over the real engine, journal and files, in parts as small as the test likes."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING

import anyio
import pytest

from batchwright.app.use_cases import open_use_cases
from batchwright.core.errors import NotReady
from batchwright.core.job_folder import JobFolders
from batchwright.core.model import Job, Limits
from batchwright.core.waiting import Waiting
from batchwright.core.workspace import Workspace
from batchwright.jobs.draft import DraftRequest
from batchwright.jobs.submission import Rules
from batchwright.journal.journal import Journal
from batchwright.mcp_server.context import UseCases
from batchwright.providers.local.engine import LocalEngine
from batchwright.providers.local.run import Clock
from batchwright.providers.local.target import RemoteEndpoint, Upstream
from batchwright.providers.shutdown_dates import ShutdownDates
from tests.support.endpoint import Endpoint, running_endpoint
from tests.support.session import IN_MEMORY
from tests.support.waiting import WAIT_SECONDS

if TYPE_CHECKING:
    from openai.types import FileObject

pytestmark = pytest.mark.anyio

ROWS = [{"n": number} for number in range(20)]


class Engine(LocalEngine):
    """The engine with small batches; at the third upload it does what a test wants to happen just then."""

    limits = Limits(max_requests=2)
    uploads = 0
    journal: Journal
    job_id = ""

    async def upload(self, path: Path, *, name: str) -> "FileObject":
        """Upload; the third time the user changes their mind meanwhile."""
        self.uploads += 1
        if self.uploads == 3:
            self.journal.mark_cancelled(self.job_id)
        return await super().upload(path, name=name)


@asynccontextmanager
async def opened(
    tmp_path: Path, endpoint: Endpoint, waiting: Waiting = IN_MEMORY
) -> AsyncGenerator[tuple[UseCases, Engine]]:
    """Open the use cases over the engine."""
    journal = Journal(tmp_path / "journal.db", now=lambda: datetime.now(UTC))
    target = RemoteEndpoint(Upstream(endpoint.url), "m", 2, charges="nothing")
    async with anyio.create_task_group() as tasks:
        engine = Engine(tmp_path / "engine", target, clock=Clock(time_ns), tasks=tasks)
        engine.journal = journal
        yield (
            await open_use_cases(
                journal=journal,
                api=engine,
                workspace=Workspace([tmp_path]),
                folders=folders(tmp_path),
                now=lambda: datetime.now(UTC),
                shutdown_dates=ShutdownDates("http://127.0.0.1:9", None, now=lambda: datetime.now(UTC)),
                rules=Rules(waiting=waiting),
            ),
            engine,
        )
        tasks.cancel_scope.cancel()
    journal.close()


def folders(tmp_path: Path) -> JobFolders:
    """Return the folders of the jobs."""
    return JobFolders.in_data(tmp_path / "data")


async def ignored(_job: Job) -> None:
    """Be told how a job stands, and do nothing."""


async def drafted(use_cases: UseCases) -> Job:
    """Draft the rows as a job of ten parts."""
    request = DraftRequest(rows=ROWS, prompt="{{n}}", model="m")
    return (await use_cases.drafting.create(request)).job


async def test_a_job_of_many_parts_is_joined_in_order(tmp_path: Path) -> None:
    """Parts end in any order; the rows do not."""
    async with running_endpoint() as endpoint, opened(tmp_path, endpoint) as (use_cases, engine):
        job = await drafted(use_cases)
        engine.uploads = 100
        await use_cases.decisions.submit(job.id)
        job = await use_cases.watch.check(job.id, wait_seconds=60, on_job=ignored)
        page = await use_cases.results.page(job.id, save_as=None, overwrite=False, outcome=None, offset=0, limit=100)

    assert len(job.parts) == 10
    assert job.status == "completed"
    assert [row["answer"] for _, row in page.joined.rows] == [f"answer to {number}" for number in range(20)]


async def test_whoever_waits_is_woken_by_each_end_of_a_batch_in_this_process(tmp_path: Path) -> None:
    """Nobody waits for the next look, which here would come long after the test."""
    seldom = Waiting(poll_seconds=100 * WAIT_SECONDS)
    async with running_endpoint() as endpoint, opened(tmp_path, endpoint, seldom) as (use_cases, engine):
        job = await drafted(use_cases)
        engine.uploads = 100
        endpoint.gate.clear()

        async def let_go_on(_job: Job) -> None:
            endpoint.gate.set()

        await use_cases.decisions.submit(job.id)
        job = await use_cases.watch.check(job.id, wait_seconds=WAIT_SECONDS, on_job=let_go_on)

    assert job.status == "completed"


async def test_a_draft_that_was_submitted_meanwhile_is_not_discarded(tmp_path: Path) -> None:
    """Another conversation submitted it while this one made up its mind: it runs, and loses nothing."""
    async with running_endpoint() as endpoint, opened(tmp_path, endpoint) as (use_cases, engine):
        engine.uploads = 100
        draft = await drafted(use_cases)
        job_file = folders(tmp_path).of(draft.id).job_file
        before = job_file.read_bytes()
        await use_cases.decisions.submit(draft.id)
        with pytest.raises(NotReady, match="was submitted meanwhile, so nothing was discarded"):
            await use_cases.decisions.discard(draft)
        is_there = job_file.read_bytes() != before
        job = await use_cases.watch.check(draft.id, wait_seconds=60, on_job=ignored)

    assert is_there
    assert job.counts["answered"] == 20


async def test_what_another_process_works_on_is_not_discarded(tmp_path: Path) -> None:
    """Its files are being written."""
    async with running_endpoint() as endpoint, opened(tmp_path, endpoint) as (use_cases, _):
        draft = await drafted(use_cases)
        with folders(tmp_path).of(draft.id).held(), pytest.raises(NotReady, match="is being worked on just now"):
            await use_cases.decisions.discard(draft)

        assert use_cases.contents.job(draft.id) == draft


async def test_nothing_is_made_after_a_cancel_that_comes_while_parts_are_sent(tmp_path: Path) -> None:
    """The user said stop; every batch made after that is money against their word."""
    async with running_endpoint() as endpoint, opened(tmp_path, endpoint) as (use_cases, engine):
        endpoint.gate.clear()
        job = await drafted(use_cases)
        engine.job_id = job.id
        await use_cases.decisions.submit(job.id)
        made = [batch.id async for batch in engine.batches()]
        job = await use_cases.watch.check(job.id, wait_seconds=60, on_job=ignored)

    assert len(made) == 2
    assert job.status == "cancelled"
    assert job.counts["never_ran"] == 20
    assert sum(job.counts.values()) == 20
