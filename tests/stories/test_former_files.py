"""What a former version left behind is gone on with.

`former_files/` was written by the version of commit f32df73, with `python -m tests.support.former_files`: a job
that ended with refused rows, a running one, a draft of which a row was tried, one of two parts of which one is
unconfirmed, and one of the local engine.
"""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.support.former_files import NAMES, copy, talking
from tests.support.openai_server import OpenAIServer
from tests.support.session import Session

pytestmark = pytest.mark.anyio


@pytest.fixture
def jobs(tmp_path: Path, server: OpenAIServer) -> dict[str, str]:
    """Put the files in place, and give the jobs' ids by name."""
    return copy(tmp_path, server)


@pytest.fixture
async def session(tmp_path: Path, server: OpenAIServer, jobs: dict[str, str]) -> AsyncGenerator[Session]:
    """Talk to a server of this version that finds them."""
    assert set(jobs) == set(NAMES)
    async with talking(tmp_path, server) as session:
        yield session


@pytest.mark.slow
async def test_its_jobs_are_listed_and_their_results_read(session: Session, jobs: dict[str, str]) -> None:
    """The answers are paid for; the folders of the workspace are others now."""
    listed = {job["job_id"]: job["status"] for job in (await session.call("list_jobs"))["jobs"]}
    ended = await session.call("check_job", job_id=jobs["ended"])
    refused = await session.call("get_results", job_id=jobs["ended"], outcome="failed")
    counted = await session.call("query_results", job_id=jobs["local"], sql="SELECT count(answer) AS n FROM results")

    assert {name: listed[job_id] for name, job_id in jobs.items()} == {
        "ended": "completed",
        "running": "running",
        "draft": "draft",
        "unconfirmed": "unknown",
        "local": "completed",
    }
    assert ended["counts"] == {"answered": 2, "failed": 2}
    assert [row["id"] for row in refused["shown"]] == ["2", "4"]
    assert {problem["cause"] for problem in ended["problems"]} == {"too_long", "rate_limit"}
    assert counted["shown"] == [{"n": 4}]


async def test_its_draft_and_its_running_job_end_with_every_row(
    session: Session, jobs: dict[str, str], server: OpenAIServer
) -> None:
    """And what was sent is not sent again."""
    await session.call("submit_job", job_id=jobs["draft"])
    for batch_id in list(server.batches):
        server.finish(batch_id)
    ended = [await session.finished(jobs[name]) for name in ("draft", "running")]
    left = await session.call("check_job", job_id=jobs["unconfirmed"])

    assert [(job["status"], job["counts"]) for job in ended] == [("completed", {"answered": 4})] * 2
    assert left["status"] == "unknown"
    assert 'user_says="resend"' in left["notes"][0]
    assert server.posts == 1
