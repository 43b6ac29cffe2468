"""A client that declares the tasks extension, and asks for its tasks by hand."""

from typing import Any, Literal

from mcp import Client
from mcp.client import ClaimContext, ClientExtension, ResultClaim
from mcp.types import CallToolResult, Request, RequestParams, Result
from pydantic import Field, TypeAdapter

from batchwright.mcp_server.tasks import TASKS
from tests.support.waiting import until

ENDED = {"completed", "failed", "cancelled"}


class Created(Result):
    """The answer to a call that takes long."""

    result_type: Literal["task"] = "task"
    task_id: str = Field(alias="taskId")
    status: str
    ttl_ms: int = Field(alias="ttlMs")
    poll_interval_ms: int = Field(alias="pollIntervalMs")


class OfTask(RequestParams):
    """Which task, and what the user answered."""

    task_id: str = Field(alias="taskId")
    input_responses: dict[str, Any] | None = Field(default=None, alias="inputResponses")


class Get(Request[OfTask, Literal["tasks/get"]]):
    """Ask how a task stands."""

    method: Literal["tasks/get"] = "tasks/get"
    name_param = "taskId"


class Update(Request[OfTask, Literal["tasks/update"]]):
    """Answer a task's questions."""

    method: Literal["tasks/update"] = "tasks/update"
    name_param = "taskId"


class Cancel(Request[OfTask, Literal["tasks/cancel"]]):
    """End a task."""

    method: Literal["tasks/cancel"] = "tasks/cancel"
    name_param = "taskId"


class WithTasks(ClientExtension):
    """Declares the extension; a call that nobody looks at as a task is waited for."""

    identifier = TASKS

    def claims(self) -> list[ResultClaim[Created]]:
        """Take a task for an answer."""

        async def resolve(created: Created, ctx: ClaimContext) -> CallToolResult:
            async def ended() -> dict[str, Any] | None:
                state = await _sent(ctx.session, Get, created.task_id)
                return state if state["status"] in ENDED else None

            return CallToolResult.model_validate((await until(ended) or {})["result"])

        return [ResultClaim(result_type="task", model=Created, resolve=resolve)]


async def begin(client: Client, name: str, /, **arguments: Any) -> CallToolResult | Created:
    """Call a tool, and give its answer or its task."""
    result = await client.session.call_tool(name, arguments, allow_claimed=True)
    assert isinstance(result, CallToolResult | Created), result
    return result


async def task_of(client: Client, name: str, /, **arguments: Any) -> str:
    """Call a tool that takes long, and give its task's id."""
    created = await begin(client, name, **arguments)
    assert isinstance(created, Created), created
    return created.task_id


async def get(client: Client, task_id: str) -> dict[str, Any]:
    """Say how a task stands."""
    return await _sent(client.session, Get, task_id)


async def update(client: Client, task_id: str, **answers: Any) -> dict[str, Any]:
    """Answer its questions."""
    return await _sent(client.session, Update, task_id, answers)


async def cancel(client: Client, task_id: str) -> dict[str, Any]:
    """End it."""
    return await _sent(client.session, Cancel, task_id)


async def until_status(client: Client, task_id: str, *wanted: str) -> dict[str, Any]:
    """Wait until a task is in one of these states."""

    async def reached() -> dict[str, Any] | None:
        state = await get(client, task_id)
        return state if state["status"] in wanted else None

    return await until(reached) or {}


async def _sent(session: Any, kind: type[Request[Any, Any]], task_id: str, answers: Any = None) -> dict[str, Any]:
    request = kind(params=OfTask(taskId=task_id, inputResponses=answers))  # pyright: ignore[reportCallIssue]
    return await session.send_request(request, TypeAdapter(dict[str, Any]))
