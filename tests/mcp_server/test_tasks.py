"""The tasks extension, through the SDK's own client and on the product's own calls."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import CallToolResult, TextContent

from batchwright.app.app import build_server
from batchwright.core.settings import Settings
from batchwright.mcp_server.server import Server
from batchwright.mcp_server.tasks import MAX_MESSAGE_CHARACTERS, TASKS, TTL, Tasks
from tests.support.endpoint import running_endpoint
from tests.support.http_requests import ask
from tests.support.openai_server import running_openai
from tests.support.sample import DRAFT
from tests.support.session import (
    MODES,
    Mode,
    Session,
    User,
    client_over_http,
    environment,
    in_memory,
    openai_environment,
    serving,
)
from tests.support.tasks_client import Created, WithTasks, begin, cancel, get, task_of, until_status, update

pytestmark = pytest.mark.anyio

AGREED = {"action": "accept", "content": {"agreed": True}}
GONE = "No such task here"


@asynccontextmanager
async def declaring(env: dict[str, str], *, user: User | None = None) -> AsyncGenerator[Client]:
    """Talk to a server in this process as a client that declares the extension."""
    server = build_server(Settings.from_env(env))
    async with Client(server, extensions=[WithTasks()], elicitation_callback=user) as client:
        yield client


async def test_a_call_that_takes_long_is_a_task_with_the_same_answer(tmp_path: Path, sample: Path) -> None:
    """A client may close its laptop while the server waits for the job."""
    assert sample.exists()
    async with (
        running_endpoint() as endpoint,
        declaring(environment(tmp_path, endpoint=endpoint.url)) as client,
    ):
        session = Session(client)
        endpoint.gate.clear()
        job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
        await session.call("submit_job", job_id=job_id)
        created = await begin(client, "check_job", job_id=job_id, wait_seconds=60)
        assert isinstance(created, Created)
        waiting = await get(client, created.task_id)
        endpoint.gate.set()
        ended = await until_status(client, created.task_id, "completed")
        plain = await session.call("check_job", job_id=job_id)
        again = await get(client, created.task_id)

    assert (waiting["status"], waiting["statusMessage"]) == ("working", "0 of 5 rows done")
    assert created.ttl_ms == TTL.total_seconds() * 1000
    assert "result" not in waiting
    assert ended["result"]["structuredContent"] == plain
    assert ended["result"]["content"][0]["text"].startswith(f"job_id: {job_id}")
    assert again == ended


async def test_a_call_that_is_answered_at_once_is_no_task(tmp_path: Path, sample: Path) -> None:
    """A task for every look would double the requests."""
    assert sample.exists()
    async with declaring(environment(tmp_path)) as client:
        await Session(client).call("list_jobs")
        answer = await begin(client, "list_jobs")

    assert isinstance(answer, CallToolResult)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
async def test_who_does_not_declare_tasks_gets_none(tmp_path: Path, sample: Path, mode: Mode) -> None:
    """None of the common command-line assistants does."""
    assert sample.exists()
    async with (
        running_endpoint(seconds=0.3) as endpoint,
        in_memory(environment(tmp_path, endpoint=endpoint.url, concurrency="1"), mode) as session,
    ):
        job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
        await session.call("submit_job", job_id=job_id)
        job = await session.finished(job_id)
        with pytest.raises(MCPError) as raised:
            await get(session.client, "any")

    assert job["status"] == "completed"
    assert raised.value.error.code == (-32601 if mode == "legacy" else -32021)


async def test_a_cancelled_task_harms_no_job(tmp_path: Path, sample: Path) -> None:
    """Only the waiting ends. Cancelling twice, or too late, is no error."""
    assert sample.exists()
    async with (
        running_endpoint() as endpoint,
        declaring(environment(tmp_path, endpoint=endpoint.url)) as client,
    ):
        session = Session(client)
        endpoint.gate.clear()
        job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
        await session.call("submit_job", job_id=job_id)
        task_id = await task_of(client, "check_job", job_id=job_id, wait_seconds=600)
        acknowledged = [await cancel(client, task_id) for _ in range(2)]
        cancelled = await until_status(client, task_id, "cancelled")
        endpoint.gate.set()
        job = await session.finished(job_id)
        acknowledged.append(await cancel(client, task_id))
        still = await get(client, task_id)

    assert all(answer["resultType"] == "complete" and "status" not in answer for answer in acknowledged)
    assert "result" not in cancelled
    assert still["status"] == "cancelled"
    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})


async def test_a_submission_that_is_cancelled_in_its_middle_is_sent_once(tmp_path: Path, sample: Path) -> None:
    """Nobody can know whether the provider got it: it is waited for, and written down."""
    assert sample.exists()
    drafted = {"source": "sample.csv", "prompt": "{{text}}", "parameters": {"max_completion_tokens": 9}}
    async with running_openai() as server, declaring(openai_environment(tmp_path, server)) as client:
        session = Session(client)
        job_id = (await session.call("create_batch_file", **drafted, model="gpt-5-mini"))["job_id"]
        server.faults.add("batches.create", "held_after_creation")
        task_id = await task_of(client, "submit_job", job_id=job_id)
        await server.holding.wait()
        await cancel(client, task_id)
        during = await get(client, task_id)
        server.release()
        await until_status(client, task_id, "cancelled", "completed")
        again = await session.call("submit_job", job_id=job_id)

    assert during["status"] == "working"
    assert again["notes"] == ["Already submitted: nothing was sent again."]
    assert server.posts == server.batches_created == 1


@pytest.mark.parametrize("agreed", [True, False])
async def test_a_task_asks_the_user(tmp_path: Path, sample: Path, agreed: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """What is to be asked is found only after a while, when the call is a task already."""
    assert sample.exists()
    drafted = {"source": "sample.csv", "prompt": "{{text}}", "parameters": {"max_completion_tokens": 9}}
    user = User()
    async with running_openai() as server, declaring(openai_environment(tmp_path, server), user=user) as client:
        session = Session(client)
        job_id = (await session.call("create_batch_file", **drafted, model="gpt-5-mini"))["job_id"]
        await session.call("submit_job", job_id=job_id)
        server.finish(next(iter(server.batches)))
        await session.finished(job_id)
        server.faults.add("files.list", "held")
        task_id = await task_of(client, "delete_files", job_id=job_id)
        server.release()
        asked = await until_status(client, task_id, "input_required")
        ((key, question),) = asked["inputRequests"].items()
        with pytest.raises(MCPError, match="An answer does not match"):
            await update(client, task_id, **{key: "yes"})
        await update(client, task_id, unknown=AGREED)
        still = await get(client, task_id)
        await update(client, task_id, **{key: {"action": "accept", "content": {"agreed": agreed}}})
        await update(client, task_id, **{key: AGREED})
        ended = await until_status(client, task_id, "completed")

    assert question["method"] == "elicitation/create"
    assert question["params"]["message"].startswith("Delete 2 files at '127.0.0.1:")
    assert still["status"] == "input_required"
    assert user.questions == []
    assert ended["result"].get("isError", False) is not agreed
    assert server.deletes == (2 if agreed else 0)


@pytest.mark.slow
async def test_tasks_over_http_belong_to_their_server(tmp_path: Path, sample: Path) -> None:
    """The header names the task, for whoever routes requests; another process, or a later one, does not know it."""
    assert sample.exists()
    declared: dict[str, Any] = {"extensions": {TASKS: {}}}
    async with running_endpoint() as endpoint:
        endpoint.gate.clear()
        env = environment(tmp_path, endpoint=endpoint.url)
        async with serving(env) as (url, _):

            async def called(name: str, **arguments: Any) -> dict[str, Any]:
                params = {"name": name, "arguments": arguments}
                return (await ask(url, "tools/call", params, capabilities=declared)).result

            async with client_over_http(url, extensions=[WithTasks()]) as client:
                draft = await Session(client).call("create_batch_file", **DRAFT)
                await Session(client).call("submit_job", job_id=draft["job_id"])
            created = await called("check_job", job_id=draft["job_id"], wait_seconds=600)
            of_task = {"taskId": created["taskId"]}
            seen = await ask(url, "tasks/get", of_task, capabilities=declared)
            wrong = await ask(url, "tasks/get", of_task, capabilities=declared, headers={"Mcp-Name": "another"})
            undeclared = await ask(url, "tasks/get", of_task)
        async with serving(env) as (url, _):
            later = await ask(url, "tasks/get", of_task, capabilities=declared)

    assert (created["resultType"], seen.result["status"]) == ("task", "working")
    assert (wrong.status, wrong.message["error"]["code"]) == (400, -32020)
    assert (undeclared.status, undeclared.message["error"]["code"]) == (400, -32021)
    assert later.message["error"]["code"] == -32602
    assert later.message["error"]["message"].startswith(GONE)


# ---- the store, on a server of its own ----------------------------------------------------------------------------


@dataclass
class Clock:
    """A clock that a test moves."""

    at: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def __call__(self) -> datetime:
        """Give the time."""
        return self.at


class Idle:
    """What the tools of the product find in the lifespan, of which these need little."""

    def stir(self) -> None:
        """Nobody is to be told."""


@asynccontextmanager
async def with_tools(tasks: Tasks, *tools: Callable[..., Awaitable[CallToolResult]]) -> AsyncGenerator[Client]:
    """Serve some tools, with these tasks."""

    @asynccontextmanager
    async def lifespan(_server: Any) -> AsyncGenerator[Idle]:
        async with tasks.own():
            yield Idle()

    server: Server[Any] = Server("tools", tools=list, answers={}, folder=Path(), extensions=[tasks], lifespan=lifespan)
    for tool in tools:
        server.add_tool(tool, structured_output=False)
    async with Client(server, extensions=[WithTasks()]) as client:
        yield client


def said(text: str) -> CallToolResult:
    """Give a text as an answer."""
    return CallToolResult(content=[TextContent(text=text)])


async def test_a_full_store_lets_calls_be_answered_as_without_it(tmp_path: Path) -> None:
    """The store is bounded; the client has to understand both anyway."""
    assert tmp_path
    gate = anyio.Event()

    async def wait() -> CallToolResult:
        await gate.wait()
        return said("done")

    async with with_tools(Tasks(Clock(), most=1), wait) as client:
        first = await task_of(client, "wait")
        answers: list[CallToolResult | Created] = []

        async def second() -> None:
            answers.append(await begin(client, "wait"))

        async with anyio.create_task_group() as both:
            both.start_soon(second)
            await until_status(client, first, "working")
            gate.set()
        ended = await until_status(client, first, "completed")

    assert isinstance(answers[0], CallToolResult)
    assert ended["result"]["content"][0]["text"] == "done"


async def test_tasks_are_kept_for_their_time_and_then_forgotten() -> None:
    """Nobody is waited for longer than was promised, and no answer is dropped before."""
    clock, gate = Clock(), anyio.Event()

    async def wait() -> CallToolResult:
        await gate.wait()
        return said("done")

    async with with_tools(Tasks(clock), wait) as client:
        task_id = await task_of(client, "wait")
        gate.set()
        await until_status(client, task_id, "completed")
        clock.at += TTL
        last = await get(client, task_id)
        clock.at += timedelta(milliseconds=1)
        with pytest.raises(MCPError, match=GONE):
            await get(client, task_id)

    assert last["status"] == "completed"


async def test_an_answer_that_is_too_large_is_not_kept() -> None:
    """Hundreds of them would fill the memory."""

    async def much() -> CallToolResult:
        await anyio.sleep(0.6)
        return said("x" * 2_000)

    async with with_tools(Tasks(Clock(), most_bytes=1_000), much) as client:
        ended = await until_status(client, await task_of(client, "much"), "completed")

    assert ended["result"]["isError"] is True
    assert ended["result"]["content"][0]["text"].startswith("The answer is too large to keep.")


@pytest.mark.slow
async def test_a_tool_that_fails_completes_and_a_broken_protocol_fails() -> None:
    """The assistant reads the error of a tool as its answer; a fault below the tools is the client's to handle."""

    async def fails() -> CallToolResult:
        await anyio.sleep(0.6)
        raise ValueError("secret detail")

    async def breaks() -> CallToolResult:
        await anyio.sleep(0.6)
        raise MCPError(-32603, "broken", {"why": "test"})

    async with with_tools(Tasks(Clock()), fails, breaks) as client:
        failed = await until_status(client, await task_of(client, "fails"), "completed", "failed")
        broken = await until_status(client, await task_of(client, "breaks"), "completed", "failed")

    assert failed["status"] == "completed"
    assert failed["result"]["isError"] is True
    assert "secret" not in str(failed)
    assert (broken["status"], broken["error"]) == (
        "failed",
        {"code": -32603, "message": "broken", "data": {"why": "test"}},
    )


async def test_what_a_task_says_of_its_progress_is_cleaned_and_short() -> None:
    """It may hold what a user's file or a provider says."""
    from mcp.server.mcpserver import Context

    async def tells(ctx: Context[Any]) -> CallToolResult:
        await ctx.report_progress(1, 2, "a\x1b[31m\u202eb" + "c" * 2_000)
        await anyio.sleep_forever()
        return said("never")

    async with with_tools(Tasks(Clock()), tells) as client:
        state = await get(client, await task_of(client, "tells"))

    assert len(state["statusMessage"]) <= MAX_MESSAGE_CHARACTERS + 40
    assert "\x1b" not in state["statusMessage"]
    assert "\u202e" not in state["statusMessage"]


@pytest.mark.slow
async def test_ids_cannot_be_guessed() -> None:
    """Whoever has the id has the answer."""

    async def wait() -> CallToolResult:
        await anyio.sleep_forever()
        return said("never")

    async with with_tools(Tasks(Clock()), wait) as client:
        ids = {await task_of(client, "wait") for _ in range(3)}

    assert len(ids) == 3
    assert all(len(each) >= 32 for each in ids)
