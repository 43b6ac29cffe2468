"""Who asks the provider, and how often: one walk through its list serves every job, caller and process."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from openai import AsyncOpenAI

from batchwright.jobs.watch import EARLY_LOOK_SECONDS
from tests.support.five_rows import only_batch, submitted
from tests.support.openai_server import OpenAIServer
from tests.support.session import Session, in_memory, openai_environment, over_stdio
from tests.support.unknown_batches import CHAT, made_elsewhere
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

LIST = "GET /v1/batches"


def asked(server: OpenAIServer) -> dict[str, int]:
    """Give how often each thing was read at the provider so far."""
    return {name: count for name, count in server.requests.items() if name.startswith(LIST)}


async def many(session: Session, count: int) -> list[str]:
    """Submit as many jobs, which all run."""
    return [await submitted(session, rows=[{"n": n}]) for n in range(count)]


async def list_at_once(session: Session, count: int) -> list[dict[str, Any]]:
    """List the jobs as many times at once."""
    answers: list[dict[str, Any]] = []

    async def one() -> None:
        answers.append(await session.call("list_jobs", limit=50))

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(one)
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [20, pytest.param(50, marks=pytest.mark.slow)])
async def test_many_jobs_are_seen_in_one_walk_whoever_asks(tmp_path: Path, server: OpenAIServer, jobs: int) -> None:
    """Each of them would be asked for by itself, for every caller: the account's limit of requests is soon reached."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        await many(session, jobs)
        for batch_id in server.batches:
            server.step(batch_id)
        server.requests.clear()
        answers = await list_at_once(session, 10)
        again = await session.call("list_jobs", limit=50)

    assert asked(server) == {LIST: 1}
    assert all({job["status"] for job in answer["jobs"]} == {"running"} for answer in (*answers, again))


@pytest.mark.slow
async def test_two_processes_share_a_walk(tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI) -> None:
    """Each assistant starts a server of its own, over one journal; both know what either saw."""
    env = openai_environment(tmp_path, server)
    theirs = await made_elsewhere(client)
    async with in_memory(env) as session, over_stdio(env) as other:
        await many(session, 6)
        await other.call("list_jobs")
        server.requests.clear()
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for each in (session, other):
                tasks.start_soon(list_at_once, each, 10)
        intervals = 1 + (anyio.current_time() - began) // EARLY_LOOK_SECONDS
        first, second = [await each.call("list_jobs") for each in (session, other)]

    assert set(asked(server)) <= {LIST}
    assert server.requests[LIST] <= intervals + 1
    assert [batch["batch_id"] for batch in first["others"]] == [theirs]
    assert second["others"] == first["others"]


@pytest.mark.slow
async def test_a_batch_that_ended_is_asked_for_once_more_and_collected(tmp_path: Path, server: OpenAIServer) -> None:
    """Its end may show more by itself than in a list."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_ids = await many(session, 6)
        for batch_id in server.batches:
            server.finish(batch_id)
        server.requests.clear()
        listed = await session.call("list_jobs")

    assert {job["job_id"]: job["status"] for job in listed["jobs"]} == dict.fromkeys(job_ids, "completed")
    assert asked(server) == {LIST: 1} | {f"{LIST}/{batch_id}": 1 for batch_id in server.batches}


@pytest.mark.slow
async def test_a_service_that_lists_nothing_is_asked_for_each_batch_once(tmp_path: Path, server: OpenAIServer) -> None:
    """What nobody can see at once is seen one by one, and shared as well."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        await many(session, 3)
        server.faults.add("batches.list", "404", times=100)
        server.requests.clear()
        await list_at_once(session, 10)

    assert asked(server) == {LIST: 1} | {f"{LIST}/{batch_id}": 1 for batch_id in server.batches}


async def test_a_provider_that_cannot_be_asked_is_not_asked_for_each_batch(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """It said not now: as many questions again would make it worse."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_ids = await many(session, 3)
        server.faults.add("batches.list", "429", times=100)
        server.requests.clear()
        listed = await session.call("list_jobs")
        seen = asked(server)
        job = await session.call("check_job", job_id=job_ids[0])

    assert seen == {LIST: 1}
    assert "The provider could not be asked" in listed["notes"][0]
    assert job["status"] == "running"


async def test_a_batch_that_the_list_does_not_show_is_asked_for_by_itself(tmp_path: Path, server: OpenAIServer) -> None:
    """Lists lag, and an account's list may be long."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.hidden.update(server.batches)
        server.finish(only_batch(server))
        listed = await session.call("list_jobs")

    assert [(job["job_id"], job["status"]) for job in listed["jobs"]] == [(job_id, "completed")]


async def test_who_waits_for_a_job_asks_for_all_its_batches_at_once(
    tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI
) -> None:
    """A job of many parts is looked at as one."""
    marks = {"batchwright_job": "job_abcdefgh"}
    theirs = [await made_elsewhere(client, 3, CHAT, **marks, batchwright_part=str(part)) for part in range(1, 8)]
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("adopt_batch", batch_id=theirs[0]))["job_id"]
        server.requests.clear()
        job = await session.call("check_job", job_id=job_id)

    assert job["status"] == "running"
    assert asked(server) == {LIST: 1}


async def test_callers_that_look_at_one_job_share_their_looks(tmp_path: Path, server: OpenAIServer) -> None:
    """Ten assistants that ask at once learn the same."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.requests.clear()
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(session.finished, job_id, 0)

    assert asked(server)[f"{LIST}/{only_batch(server)}"] <= 2


async def test_what_is_asked_anew_is_not_old(tmp_path: Path, server: OpenAIServer) -> None:
    """A look that is not due yet is waited for, a moment."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        before = await session.call("check_job", job_id=job_id)
        server.finish(only_batch(server))
        after = await session.call("check_job", job_id=job_id)

    assert (before["status"], after["status"]) == ("running", "completed")


async def test_who_waits_learns_of_the_end_soon(tmp_path: Path, server: OpenAIServer) -> None:
    """Though others have looked just before."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        began = anyio.current_time()
        job: dict[str, Any] = {}
        async with anyio.create_task_group() as tasks:

            async def is_waiting() -> bool:
                return bool(session.progress)

            async def end() -> None:
                await until(is_waiting)
                server.finish(only_batch(server))

            tasks.start_soon(end)
            job |= await session.finished(job_id, 30)

    assert anyio.current_time() - began < 15
    assert job["status"] == "completed"
