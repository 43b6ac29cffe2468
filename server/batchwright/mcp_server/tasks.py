"""The extension `io.modelcontextprotocol/tasks`: a slow call returns a task that the client polls.

Only for clients that declare it. A fast call is answered at once, as without the extension.
"""

import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import anyio
import anyio.abc
from mcp import MCPError
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.server.session import ServerSession
from mcp.types import (
    INVALID_PARAMS,
    CallToolResult,
    InputRequiredResult,
    InputResponses,
    RequestParams,
    TextContent,
)
from mcp_types.jsonrpc import HEADER_MISMATCH
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from batchwright.core.untrusted import one_line

if TYPE_CHECKING:
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.types import CallToolRequestParams

    from batchwright.mcp_server.context import App

TASKS = "io.modelcontextprotocol/tasks"
AT_ONCE_SECONDS = 0.5
"""A call that takes longer returns a task."""
TTL = timedelta(hours=1)
POLL_MS = 1_000
MAX_TASKS = 500
MAX_RESULT_BYTES = 4_000_000
"""Per result; all results together may have 16 times as many."""
MAX_MESSAGE_CHARACTERS = 500
MODERN = frozenset(MODERN_PROTOCOL_VERSIONS)

Status = Literal["working", "input_required", "completed", "failed", "cancelled"]

log = logging.getLogger(__name__)


class TaskParams(RequestParams):
    """Which task."""

    task_id: str = Field(alias="taskId", max_length=200)


class UpdateParams(TaskParams):
    """The user's answers to the questions of a task."""

    input_responses: dict[str, Any] = Field(alias="inputResponses", max_length=100)


@dataclass(eq=False)
class Task:
    """A call that continues without the request that began it; until then it belongs to the request."""

    now: Callable[[], datetime]
    id: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    status: Status = "working"
    message: str | None = None
    is_on_its_own: bool = False
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    settled: anyio.Event = field(default_factory=anyio.Event)
    outcome: "HandlerResult | Exception" = None
    """What the call returned or raised."""
    told: dict[str, Any] = field(default_factory=dict[str, Any])
    questions: dict[str, Any] = field(default_factory=dict[str, Any])
    """Those without an answer yet, by key."""
    answers: dict[str, Any] = field(default_factory=dict[str, Any])
    answered: anyio.Event = field(default_factory=anyio.Event)
    rounds: int = 0
    size_bytes: int = 0

    def __post_init__(self) -> None:
        self.created_at = self.changed_at = self.now()

    def become(self, status: Status, message: str | None = None, **told: object) -> None:
        """Change the status; *told* goes along with it."""
        self.status, self.message, self.told, self.changed_at = status, message, told, self.now()

    def facts(self) -> dict[str, Any]:
        """Return what every reply about the task contains."""
        facts = {
            "taskId": self.id,
            "status": self.status,
            "statusMessage": self.message,
            "createdAt": _instant(self.created_at),
            "lastUpdatedAt": _instant(self.changed_at),
            "ttlMs": int(TTL.total_seconds() * 1000),
            "pollIntervalMs": POLL_MS,
        }
        return {name: value for name, value in facts.items() if value is not None}

    def ask(self, asked: InputRequiredResult) -> dict[str, str]:
        """Ask the user, and return the call's key for each question."""
        self.rounds += 1
        # A key is used once per task: a duplicate answer must not answer the next question.
        keys = {f"{self.rounds}.{key}": key for key in asked.input_requests or {}}
        requests = _wire(asked)["inputRequests"]
        self.questions = {outer: requests[key] for outer, key in keys.items()}
        self.answers, self.answered = {}, anyio.Event()
        self.become("input_required", "Waiting for the user's answer.")
        return keys


class _Reporting(ServerSession):
    """A request's session, whose progress is also the task's."""

    def __init__(self, session: ServerSession, task: Task) -> None:
        self.__dict__.update(session.__dict__)
        self._task = task

    async def report_progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Keep the message, and forward it while the request is open."""
        of_total = f"{progress:g}" + ("" if total is None else f" of {total:g}")
        self._task.message = one_line(message or of_total, MAX_MESSAGE_CHARACTERS)
        self._task.changed_at = self._task.now()
        if not self._task.is_on_its_own:
            await super().report_progress(progress, total, message)


class Tasks(Extension):
    """The tasks of one process, bounded in number, time and size. The journal knows the jobs, not the tasks."""

    identifier = TASKS

    def __init__(
        self, now: Callable[[], datetime], *, most: int = MAX_TASKS, most_bytes: int = MAX_RESULT_BYTES
    ) -> None:
        self._now, self._most, self._most_bytes = now, most, most_bytes
        self._owner: anyio.abc.TaskGroup | None = None
        self._tasks: dict[str, Task] = {}

    @asynccontextmanager
    async def own(self) -> AsyncGenerator[None]:
        """Run tasks; at the end they are cancelled."""
        async with anyio.create_task_group() as owner:
            self._owner = owner
            try:
                yield
            finally:
                self._owner = None
                owner.cancel_scope.cancel()

    def methods(self) -> Sequence[MethodBinding]:
        """Return the requests of the extension."""
        return (
            MethodBinding("tasks/get", TaskParams, self._get, MODERN),
            MethodBinding("tasks/update", UpdateParams, self._update, MODERN),
            MethodBinding("tasks/cancel", TaskParams, self._cancel, MODERN),
        )

    async def intercept_tool_call(
        self, params: "CallToolRequestParams", ctx: "ServerRequestContext[App, Any]", call_next: "CallNext"
    ) -> "HandlerResult":
        """Call a tool, and return its answer, or a task if the call is slow."""
        if self._owner is None or not _declares(ctx) or not self._has_room():
            return await call_next(ctx)
        task = Task(self._now)
        self._owner.start_soon(self._run, task, params, ctx, call_next)
        try:
            with anyio.move_on_after(AT_ONCE_SECONDS):
                await task.settled.wait()
        except anyio.get_cancelled_exc_class():
            task.scope.cancel()
            raise
        if not task.settled.is_set():
            task.is_on_its_own = True
            self._tasks[task.id] = task
            return {"resultType": "task", **task.facts()}
        if isinstance(task.outcome, Exception):
            raise task.outcome
        return task.outcome

    async def _run(
        self, task: Task, params: "CallToolRequestParams", ctx: "ServerRequestContext[App, Any]", call_next: "CallNext"
    ) -> None:
        try:
            with task.scope:
                task.outcome = await self._ended(task, params, ctx, call_next)
        except Exception as error:  # noqa: BLE001  # the top of a task; the request raises it again
            task.outcome = error
        self._finish(task)
        task.settled.set()
        if task.is_on_its_own:
            ctx.lifespan_context.stir()

    async def _ended(
        self, task: Task, params: "CallToolRequestParams", ctx: "ServerRequestContext[App, Any]", call_next: "CallNext"
    ) -> "HandlerResult":
        """Call the tool until it has no more questions."""
        while True:
            result = await call_next(replace(ctx, session=_Reporting(ctx.session, task)))
            if not isinstance(result, InputRequiredResult) or not task.is_on_its_own:
                return result
            keys = task.ask(result)
            await task.answered.wait()
            task.become("working")
            # The chain calls the tool with these very parameters.
            params.input_responses = {keys[outer]: answer for outer, answer in task.answers.items()}
            params.request_state = result.request_state

    def _finish(self, task: Task) -> None:
        outcome = task.outcome
        if task.scope.cancelled_caught:
            task.become("cancelled", "Cancelled. Jobs are not affected: list_jobs shows them.")
        elif isinstance(outcome, MCPError):
            task.become("failed", error=outcome.error.model_dump(by_alias=True, mode="json", exclude_none=True))
        elif isinstance(outcome, Exception):
            log.error("A task failed: %s", type(outcome).__name__)
            task.become("failed", error={"code": -32603, "message": "The call failed because of a bug in this server."})
        else:
            result = _wire(outcome)
            task.size_bytes = len(TypeAdapter(dict[str, Any]).dump_json(result))
            if task.size_bytes > self._most_bytes:
                told = "The answer is too large to keep. Ask for less: fewer rows, or no image."
                result = _wire(CallToolResult(content=[TextContent(type="text", text=told)], is_error=True))
                task.size_bytes = len(told)
            task.become("completed", result=result)

    async def _get(self, ctx: "ServerRequestContext[App, Any]", params: TaskParams) -> dict[str, Any]:
        task = self._found(ctx, params)
        asked = {"inputRequests": task.questions} if task.status == "input_required" else {}
        return {"resultType": "complete", **task.facts(), **task.told, **asked}

    async def _update(self, ctx: "ServerRequestContext[App, Any]", params: UpdateParams) -> dict[str, Any]:
        task = self._found(ctx, params)
        # Answers to no current question are from an earlier round, or duplicates.
        given = {key: answer for key, answer in params.input_responses.items() if key in task.questions}
        try:
            answers = TypeAdapter(InputResponses).validate_python(given)
        except ValidationError:
            raise MCPError(INVALID_PARAMS, "An answer does not match the form of its question.") from None
        task.answers |= answers
        task.questions = {key: question for key, question in task.questions.items() if key not in answers}
        if task.status == "input_required" and not task.questions:
            task.answered.set()
        return {"resultType": "complete"}

    async def _cancel(self, ctx: "ServerRequestContext[App, Any]", params: TaskParams) -> dict[str, Any]:
        task = self._found(ctx, params)
        if not task.settled.is_set():
            task.scope.cancel()
        return {"resultType": "complete"}

    def _found(self, ctx: "ServerRequestContext[App, Any]", params: TaskParams) -> Task:
        require_client_extension(ctx, TASKS)
        named = getattr(ctx.request, "headers", {}).get("mcp-name", params.task_id)
        if named.strip() != params.task_id:
            raise MCPError(HEADER_MISMATCH, "The header Mcp-Name names a different task than the request.")
        self._forget_old()
        if (task := self._tasks.get(params.task_id)) is None:
            told = "No such task here: it has expired, or belongs to another process. list_jobs shows the jobs."
            raise MCPError(INVALID_PARAMS, told)
        return task

    def _has_room(self) -> bool:
        self._forget_old()
        kept = sum(task.size_bytes for task in self._tasks.values())
        return len(self._tasks) < self._most and kept < 16 * self._most_bytes

    def _forget_old(self) -> None:
        oldest = self._now() - TTL
        for task in [task for task in self._tasks.values() if task.created_at < oldest]:
            if task.settled.is_set():
                del self._tasks[task.id]
            elif task.status == "input_required":
                task.scope.cancel()


def _declares(ctx: "ServerRequestContext[App, Any]") -> bool:
    capabilities = ctx.session.client_capabilities
    declared = capabilities.extensions if capabilities else None
    return ctx.protocol_version in MODERN and declared is not None and TASKS in declared


def _wire(result: "HandlerResult") -> dict[str, Any]:
    if isinstance(result, BaseModel):
        return result.model_dump(by_alias=True, mode="json", exclude_none=True)
    return result or {}


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
