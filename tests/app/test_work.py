"""`batchwright work`, as a user runs it in a terminal."""

from pathlib import Path

import anyio.to_thread
import pytest

from tests.support.endpoint import running_endpoint
from tests.support.session import environment, over_stdio
from tests.support.terminal import Terminal, in_terminal

pytestmark = pytest.mark.anyio


async def test_it_says_what_it_does_and_what_became_of_each_job(tmp_path: Path) -> None:
    """Whoever lets it run wants to see that it does."""
    async with running_endpoint() as endpoint:
        endpoint.gate.clear()
        env = environment(tmp_path, endpoint=endpoint.url)
        async with over_stdio(env) as session:
            draft = await session.call("create_batch_file", rows=[{"t": "a"}], prompt="{{t}}", model="m")
            await session.call("submit_job", job_id=draft["job_id"])

        with in_terminal("work", "--stay", env=env) as terminal:
            await anyio.to_thread.run_sync(terminal.read_until, f"{draft['job_id']}: ")
            endpoint.gate.set()
            await anyio.to_thread.run_sync(terminal.read_until, "completed, 1 of 1 rows done")

    assert terminal.text.startswith("Running 1 unfinished job, and any submitted later. Ctrl+C stops;")


async def test_without_jobs_it_ends_and_says_so(tmp_path: Path) -> None:
    """There is nothing to wait for."""

    def run() -> Terminal:
        with in_terminal("work", env=environment(tmp_path)) as terminal:
            terminal.read_to_end()
        return terminal

    terminal = await anyio.to_thread.run_sync(run)

    assert (terminal.process.returncode, terminal.text) == (0, "No unfinished jobs are left.\n")
