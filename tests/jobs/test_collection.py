"""A process that takes over goes on where the last one was: with what it read, and with what it waited for."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.five_rows import submitted
from tests.support.openai_server import OpenAIServer
from tests.support.session import HURRIED, LATE_AT_ONCE, in_memory, openai_environment

pytestmark = pytest.mark.anyio

WAVES = "70"
"""Enqueued tokens with which the rows make parts of three and two."""
MAX_PROCESSES = 20
"""Of those that may be too short-lived on a busy machine to fetch anything."""


@pytest.mark.parametrize("lost", ["part-0001.output.jsonl", "part-0001.lines*"])
async def test_a_part_that_was_read_is_joined_after_a_restart(tmp_path: Path, server: OpenAIServer, lost: str) -> None:
    """What was kept is not read again, and what a former version did not keep is read from what the provider wrote."""
    env = openai_environment(tmp_path, server, enqueued_tokens=WAVES)
    async with in_memory(env, waiting=HURRIED) as session:
        job_id = await submitted(session)
        server.finish(next(iter(server.batches)))
        await session.call("check_job", job_id=job_id)
    folder = tmp_path / "data" / "jobs" / job_id
    gone = list(folder.glob(lost))
    for path in gone:
        path.unlink()
    async with in_memory(env, waiting=HURRIED) as session:
        await session.call("check_job", job_id=job_id)
        _, last = server.batches
        server.finish(last)
        job = await session.finished(job_id)

    assert gone
    assert job["counts"] == {"answered": 5}
    assert list(folder.glob("*.lines*")) == []


async def test_a_provider_that_asks_for_time_is_given_it_by_the_next_process_too(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Whoever sends again at once after each restart is refused more and more."""
    server.faults.add("batches.create", "429_retry_after")
    env = openai_environment(tmp_path, server)
    async with in_memory(env, waiting=HURRIED) as session:
        job_id = await submitted(session)
    async with in_memory(env, waiting=HURRIED) as session:
        paused = await session.call("check_job", job_id=job_id)
        with closing(sqlite3.connect(tmp_path / "data" / "journal.db")) as db:
            db.execute("UPDATE pause SET seconds = 0")
            db.commit()
        posts_before = server.posts
        sent = await session.call("check_job", job_id=job_id)

    assert "Rate limit reached" in paused["notes"][0]
    assert posts_before == 1
    assert "notes" not in sent
    assert server.batches_created == 1


async def test_results_that_never_change_are_taken_after_some_restarts_too(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """A process that dies between two polls must not begin to count anew: the job would never end."""
    env = openai_environment(tmp_path, server)
    async with in_memory(env, waiting=LATE_AT_ONCE) as session:
        job_id = await submitted(session)
        server.finish(next(iter(server.batches)))["output_file_id"] = None
        first = await session.call("check_job", job_id=job_id)
    job = first
    for _ in range(MAX_PROCESSES):
        async with in_memory(env, waiting=LATE_AT_ONCE) as session:
            job = await session.call("check_job", job_id=job_id)
        if job["status"] != "running":
            break

    assert first["status"] == "running"
    assert job["counts"] == {"unconfirmed": 5}
