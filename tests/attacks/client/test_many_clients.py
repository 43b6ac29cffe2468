"""Clients with the token, in numbers: nobody is refused for those who came before, and nothing is sent twice."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from batchwright.mcp_server.streamable_http import MAX_SESSIONS
from tests.support.endpoint import running_endpoint
from tests.support.http_requests import TOKEN
from tests.support.session import environment, http_process, over_http, serving
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

SENT = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}


def message(method: str, **params: Any) -> dict[str, Any]:
    """Give a request of 2025."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


HELLO = message(
    "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "by hand", "version": "0"}
)


async def greet(http: aiohttp.ClientSession, url: str) -> str:
    """Open a session, and give its id."""
    async with http.post(url, json=HELLO, headers=SENT) as response:
        assert response.status == 200, await response.text()
        await response.read()
        return response.headers["Mcp-Session-Id"]


async def post(http: aiohttp.ClientSession, url: str, session: str, body: dict[str, Any]) -> tuple[int, str]:
    """Use a session, and give status and text."""
    async with http.post(url, json=body, headers={**SENT, "Mcp-Session-Id": session}) as response:
        return response.status, await response.text()


async def ping(http: aiohttp.ClientSession, url: str, session: str) -> int:
    """Give the status with which a session answers."""
    return (await post(http, url, session, message("ping")))[0]


async def call(http: aiohttp.ClientSession, url: str, session: str, name: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool, and give its structured content."""
    _, text = await post(http, url, session, message("tools/call", name=name, arguments=arguments))
    (line,) = [line for line in text.splitlines() if line.startswith("data: {")]
    return json.loads(line.removeprefix("data: "))["result"]["structuredContent"]


@pytest.mark.slow
async def test_sessions_that_nobody_uses_make_room_for_new_ones(tmp_path: Path) -> None:
    """A client that forgets its sessions must not keep others out for half an hour; the one in use stays."""
    async with serving(environment(tmp_path)) as (url, _), aiohttp.ClientSession() as http:
        listening = await greet(http, url)
        stream = await http.get(url, headers={**SENT, "Mcp-Session-Id": listening})
        oldest, used = await greet(http, url), await greet(http, url)
        for _ in range((MAX_SESSIONS - 3) // 20 + 1):
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(greet, http, url)
            assert await ping(http, url, used) == 200
        newest = await greet(http, url)
        statuses = [await ping(http, url, session) for session in (listening, oldest, used, newest)]
        stream.close()
        async with over_http(url, "legacy") as session:
            jobs = await session.call("list_jobs")

    assert statuses == [200, 404, 200, 200]
    assert jobs["total"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(("clients", "jobs"), [(100, 20), pytest.param(200, 50, marks=pytest.mark.slow)])
async def test_many_clients_and_submissions_are_all_answered(
    tmp_path: Path, sample: Path, clients: int, jobs: int
) -> None:
    """So many connections at once, so many jobs that run: no error, no reset, and each row is asked once."""
    assert sample.exists()
    async with running_endpoint() as endpoint:
        endpoint.gate.clear()
        env = environment(tmp_path, endpoint=endpoint.url)
        async with http_process(env) as (url, _):
            submitted: list[str] = []
            waiting: list[str] = []
            statuses: list[int] = []
            listed: list[int] = []
            all_are_there = anyio.Event()

            async def submit(number: int) -> None:
                async with aiohttp.ClientSession() as http:
                    session = await greet(http, url)
                    drafted = {"rows": [{"text": f"row {number}"}], "prompt": "{{text}}", "model": "m"}
                    job_id = (await call(http, url, session, "create_batch_file", **drafted))["job_id"]
                    submitted.append((await call(http, url, session, "submit_job", job_id=job_id))["job_id"])

            async def come_back(number: int) -> None:
                async with aiohttp.ClientSession() as http:
                    session = await greet(http, url)
                    waiting.append(session)
                    if len(waiting) == clients:
                        all_are_there.set()
                    await all_are_there.wait()
                    statuses.extend([await ping(http, url, session) for _ in range(2)])
                    if number < jobs // 2:
                        listed.append((await call(http, url, session, "list_jobs", limit=1))["total"])

            async def are_completed() -> bool:
                shown = await call(http, url, waiting[0], "list_jobs", limit=jobs)
                return [job["status"] for job in shown["jobs"]] == ["completed"] * jobs

            async with anyio.create_task_group() as tasks:
                for number in range(jobs):
                    tasks.start_soon(submit, number)
            async with anyio.create_task_group() as tasks:
                for number in range(clients):
                    tasks.start_soon(come_back, number)
            endpoint.gate.set()
            async with aiohttp.ClientSession() as http:
                await until(are_completed)

    assert statuses == [200] * (2 * clients)
    assert listed == [jobs] * (jobs // 2)
    assert len(set(submitted)) == jobs
    assert set(endpoint.seen.values()) == {1}
