"""Results are read once: when their part ends, and not again when the job does."""

from pathlib import Path

import pytest

from tests.support.five_rows import submitted
from tests.support.openai_server import OpenAIServer
from tests.support.session import HURRIED, in_memory, openai_environment

pytestmark = pytest.mark.anyio

WAVES = "70"
"""Enqueued tokens with which the rows make parts of three and two."""


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
