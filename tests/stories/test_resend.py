"""What nobody can confirm is sent again by the user's word alone, and whatever shows up late is stopped."""

from pathlib import Path

import pytest

from tests.support.five_rows import DRAFT
from tests.support.openai_server import OpenAIServer
from tests.support.session import HURRIED, Session, User, in_memory, openai_environment

pytestmark = pytest.mark.anyio


async def unconfirmed(session: Session) -> str:
    """Submit a job, of which nobody knows then whether it was sent; give its id."""
    job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
    await session.call("submit_job", job_id=job_id)
    job = await session.call("check_job", job_id=job_id)
    assert job["status"] == "unknown"
    assert 'user_says="resend"' in job["notes"][0]
    return job_id


async def test_an_early_word_sends_nothing(tmp_path: Path, server: OpenAIServer) -> None:
    """The batch may still show up, and then no money is lost by waiting a minute."""
    server.faults.add("batches.create", "lost_before")
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await unconfirmed(session)
        refused = await session.error("submit_job", job_id=job_id, user_says="resend")

    assert "its batch may still show up. Call `check_job` in" in refused
    assert server.posts == 1
    assert len(server.files) == 1


async def test_it_is_sent_again_when_the_user_says_so(tmp_path: Path, server: OpenAIServer) -> None:
    """It never arrived: the old file is deleted, so that the first request could make nothing of it any more."""
    server.faults.add("batches.create", "lost_before")
    user = User()
    async with in_memory(openai_environment(tmp_path, server), user=user, waiting=HURRIED) as session:
        job_id = await unconfirmed(session)
        (first_file,) = server.files
        await session.call("submit_job", job_id=job_id, user_says="resend")
        server.finish(next(iter(server.batches)))
        job = await session.finished(job_id)

    assert len(user.questions) == 1
    assert "it may then be paid twice" in user.questions[0]
    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})
    assert server.posts == 2
    assert first_file not in server.files


async def test_whoever_does_not_want_it_again_has_nothing_sent(tmp_path: Path, server: OpenAIServer) -> None:
    """An assistant cannot say it in the user's place where the user can be asked."""
    server.faults.add("batches.create", "lost_before")
    async with in_memory(openai_environment(tmp_path, server), user=User(agreed=False), waiting=HURRIED) as session:
        job_id = await unconfirmed(session)
        await session.error("submit_job", job_id=job_id, user_says="resend")

    assert server.posts == 1


@pytest.mark.parametrize(
    ("becomes", "said"),
    [("in_progress", "00001 was cancelled."), ("completed", "00001 is completed, so its rows are paid twice.")],
)
async def test_what_shows_up_late_is_stopped_and_told(
    tmp_path: Path, server: OpenAIServer, becomes: str, said: str
) -> None:
    """The user took the risk; nothing more is submitted before they know what came of it."""
    for fault in ("lost_after_creation", "list_lag"):
        server.faults.add("batches.create", fault)
    async with in_memory(openai_environment(tmp_path, server), waiting=HURRIED) as session:
        job_id = await unconfirmed(session)
        (late,) = server.batches
        server.step(late)
        if becomes == "completed":
            server.finish(late)
        await session.call("submit_job", job_id=job_id, user_says="resend")
        server.appear()
        await session.call("check_job", job_id=job_id)
        listed = await session.call("list_jobs")
        draft = (await session.call("create_batch_file", **DRAFT | {"prompt": "Other {{n}}"}))["job_id"]
        frozen = await session.error("submit_job", job_id=draft)
        await session.call("submit_job", job_id=draft, user_says="go_on")
        await session.call("check_job", job_id=job_id)
        again = await session.call("list_jobs")

    assert said in listed["notes"][0]
    assert said in frozen
    assert "others" not in listed
    assert "notes" not in again, "it is told once"
    assert server.posts == 3
    assert server.requests[f"POST /v1/batches/{late}/cancel"] == (becomes == "in_progress")


async def test_a_late_batch_that_failed_does_no_harm(tmp_path: Path, server: OpenAIServer) -> None:
    """Its file was gone: that is why it was deleted."""
    for fault in ("lost_after_creation", "list_lag"):
        server.faults.add("batches.create", fault)
    async with in_memory(openai_environment(tmp_path, server), waiting=HURRIED) as session:
        job_id = await unconfirmed(session)
        (late,) = server.batches
        await session.call("submit_job", job_id=job_id, user_says="resend")
        server.finish(late, "failed")
        server.appear()
        server.finish(list(server.batches)[-1])
        job = await session.finished(job_id)
        listed = await session.call("list_jobs")

    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})
    assert not {"notes", "others"} & set(listed)
