"""The composition root: from settings to journal, provider, use cases and MCP server. Only here does all meet."""

import logging
import os
import secrets
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.abc

from batchwright import __version__
from batchwright.core.crash_points import OnPoint, pass_by
from batchwright.core.errors import InvalidInput
from batchwright.core.secret_file import fingerprint
from batchwright.core.setting_values import token
from batchwright.core.settings import Settings
from batchwright.core.untrusted import visible
from batchwright.core.waiting import Waiting
from batchwright.providers.local.model_servers import ModelServer

if TYPE_CHECKING:
    from mcp.server.mcpserver.tools import Tool

    from batchwright.core.workspace import Workspace
    from batchwright.journal.changes import Changed
    from batchwright.mcp_server.context import UseCases
    from batchwright.mcp_server.server import Server
    from batchwright.mcp_server.tasks import Tasks
    from batchwright.mcp_server.updates import Updates
    from batchwright.providers.batch_api import BatchAPI
    from batchwright.providers.local.target import Target

INSTRUCTIONS = """\
Batchwright answers one prompt for every row of a table, in bulk: thousands of rows, results joined back to them.
Usual order: inspect_data, create_batch_file (a free draft), try_requests on a few rows, submit_job, check_job with \
wait_seconds until it has finished, get_results with save_as, query_results for questions. \
retry_job drafts a retry of failed rows. compare_costs shows what other models cost; try_requests also compares their \
answers.
If something is charged, tell the user the cost of the draft, and pass what they agree to as max_cost_usd. \
Set user_says only if the user said so.
Prompts are templates: {{column}} is the row's cell. Pass output_schema to turn answers into columns.
Jobs outlive this conversation: list_jobs finds them again. Every reply suggests the next call in `next`.
Tell the user in your own words which model answers (`answered_by`); a demonstration model is not a GPT."""

log = logging.getLogger(__name__)

EMBEDDED_CONCURRENCY = 4
ENDPOINT_CONCURRENCY = 16


class Runtime:
    """What lives as long as the process: cheap to make, and opened by the first call that needs it."""

    def __init__(
        self,
        settings: Settings,
        tasks: anyio.abc.TaskGroup,
        opened: AsyncExitStack,
        *,
        on_point: OnPoint,
        waiting: Waiting,
    ) -> None:
        self._settings = settings
        self._waiting = waiting
        self._on_point = on_point
        self._tasks = tasks
        self._opened = opened
        self._opening = anyio.Lock()
        self._use_cases: UseCases | None = None
        self._server = ModelServer(settings.url, settings.endpoint_key)
        self._stirred = anyio.Event()

    async def use_cases(self) -> "UseCases":
        """Return the use cases; the first call opens the journal and imports the slow libraries."""
        async with self._opening:
            if self._use_cases is None:
                self._use_cases = await self._open()
        await self._server.look()
        return self._use_cases

    async def use_cases_if_any(self) -> "UseCases | None":
        """Return the use cases; None if there was never a job, and then nothing is opened."""
        # An unused server leaves the disk untouched.
        from batchwright.core.job_folder import JobFolders

        is_any = self._use_cases is not None or JobFolders.in_data(self._settings.data_folder()).path.exists()
        return await self.use_cases() if is_any else None

    def now(self) -> datetime:
        """Return the time."""
        return now()

    def stir(self) -> None:
        """Have `tell` check whether any job has changed."""
        self._stirred.set()

    async def tell(self, tell: "Callable[[Changed], Awaitable[None]]") -> None:
        """Report changed jobs with *tell*, whenever something may have changed them."""
        while True:
            await self._stirred.wait()
            self._stirred = anyio.Event()
            try:
                if self._use_cases is not None:
                    await tell(self._use_cases.changes.check())
            except Exception as error:  # noqa: BLE001  # the top of a task of its own
                log.error("Clients cannot be told of changes: %s", type(error).__name__)

    async def work(self) -> None:
        """Resume what an earlier process left unfinished, and keep jobs moving in the background."""
        while True:
            rest = self._settings.poll_seconds
            try:
                if await self.use_cases_if_any() is not None:
                    rest = await self.move_on()
            except Exception as error:  # noqa: BLE001  # the top of a task of its own
                # Later calls say what is wrong; a server that ended here could say nothing.
                log.error("Running jobs cannot continue yet: %s", type(error).__name__)
            self.stir()
            await anyio.sleep(rest)

    async def move_on(self) -> float:
        """Do what can be done for all jobs now, and return the seconds to wait before the next time."""
        watch = (await self.use_cases()).watch
        await watch.resume()
        return watch.rest_seconds(self._settings.poll_seconds)

    async def _open(self) -> "UseCases":
        from batchwright.app.use_cases import open_use_cases
        from batchwright.core.job_folder import JobFolders
        from batchwright.jobs.submission import Rules
        from batchwright.jobs.watch import EARLY_LOOK_SECONDS
        from batchwright.journal.journal import Journal
        from batchwright.providers.shutdown_dates import ShutdownDates

        settings, data = self._settings, self._settings.data_folder()
        journal = self._opened.enter_context(
            closing(Journal(data / JOURNAL, now=self.now, for_disk=self._waiting.for_disk))
        )
        return await open_use_cases(
            journal=journal,
            api=await self._api(),
            workspace=workspace(settings),
            folders=JobFolders.in_data(data),
            now=self.now,
            shutdown_dates=ShutdownDates(settings.url, _key(settings), now=self.now),
            rules=Rules(
                settings.spending,
                settings.enqueued_tokens,
                look_seconds=min(settings.poll_seconds, EARLY_LOOK_SECONDS),
                waiting=self._waiting,
            ),
            on_point=self._on_point,
        )

    async def _api(self) -> "BatchAPI":
        settings = self._settings
        if settings.provider == "openai" and settings.openai_key:
            from batchwright.providers.openai import OpenAIAPI

            return await self._opened.enter_async_context(
                OpenAIAPI.opened(
                    key=settings.openai_key,
                    base_url=settings.openai_url,
                    model=settings.model,
                    charges=settings.charges,
                    key_print=fingerprint(settings.data_folder(), settings.openai_key),
                )
            )
        from batchwright.providers.local.engine import LocalEngine
        from batchwright.providers.local.run import Clock

        data = settings.data_folder()
        answering = target(settings, self._server)
        return LocalEngine(data / "engine", answering, clock=Clock(time.time_ns), tasks=self._tasks)


def _key(settings: Settings) -> str | None:
    """Return the key for the server that runs jobs."""
    return settings.openai_key if settings.provider == "openai" else settings.endpoint_key


JOURNAL = "journal.db"


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def target(settings: Settings, server: ModelServer) -> "Target":
    """Return what answers the local engine's requests: the configured endpoint or the embedded models."""
    from batchwright.costs.request_costs import request_costs
    from batchwright.providers.local.models.embedded import EmbeddedModels
    from batchwright.providers.local.target import RemoteEndpoint, Upstream

    if settings.provider == "endpoint" and settings.endpoint:
        upstream = Upstream(settings.endpoint, settings.endpoint_key)
        return RemoteEndpoint(
            upstream,
            settings.model,
            settings.concurrency or ENDPOINT_CONCURRENCY,
            charges=settings.charges,
            key_print=fingerprint(settings.data_folder(), settings.endpoint_key),
            server=server,
            costs_of=request_costs,
        )
    return EmbeddedModels(
        settings.cache_folder() / "models",
        own_model=settings.local_model,
        concurrency=settings.concurrency or EMBEDDED_CONCURRENCY,
    )


def workspace(settings: Settings) -> "Workspace":
    """Return the folders that the user opened to the server."""
    from batchwright.core.workspace import Workspace, default_root

    return Workspace(settings.workspace or (default_root(Path.cwd(), Path.home()),), kept=settings.data_folder())


def build_server(
    settings: Settings,
    *,
    on_point: OnPoint = pass_by,
    waiting: Waiting = Waiting(),  # noqa: B008  # it is frozen
) -> "Server[Runtime]":
    """Build the MCP server, with nothing opened yet; *on_point* is called where a crash would matter."""
    # The protocol takes a second to import, and commands that do not serve do without it.
    from mcp.server.apps import Apps

    from batchwright.mcp_server.handlers import answers
    from batchwright.mcp_server.question_key import security
    from batchwright.mcp_server.server import Server
    from batchwright.mcp_server.tasks import Tasks
    from batchwright.mcp_server.updates import Updates

    updates, tasks = Updates(), Tasks(now)
    return Server(
        "batchwright",
        title="Batchwright",
        description="Bulk GPT jobs in conversation",
        instructions=INSTRUCTIONS,
        version=__version__,
        tools=_tools,
        extensions=[Apps(), tasks],
        answers=answers(updates),
        folder=settings.data_folder(),
        subscriptions=updates.bus,
        request_state_security=security(settings.data_folder()),
        middleware=[updates],
        lifespan=_lifespan(settings, on_point, waiting, updates, tasks),
        log_level=settings.log_level,
    )


def serve(settings: Settings) -> None:
    """Serve MCP over standard input and output until the client disconnects or the process is stopped."""
    from batchwright.mcp_server import stdio

    if os.isatty(0):
        print("Waiting for an MCP client on standard input. Ctrl+C stops the server.", file=sys.stderr)
    log_to_stderr(settings)
    stdio.run(build_server(settings))


def http_token(settings: Settings) -> str:
    """Return the token that HTTP clients must send: the configured one, or one that is made here and kept.

    Raises:
        InvalidInput: It cannot be kept, or other users can read it.
    """
    from batchwright.core import secret_file

    if settings.http_token:
        return settings.http_token
    path = token_file(settings)
    try:
        kept = secret_file.read(path) or secret_file.make(path, secrets.token_urlsafe(32).encode())
    except OSError as error:
        raise InvalidInput(
            f"The token for clients cannot be stored in {path}: {error.strerror}. Set BATCHWRIGHT_HTTP_TOKEN instead."
        ) from error
    return token(str(path), kept.decode(errors="replace").strip())


def token_file(settings: Settings) -> Path:
    """Return the file of the token for HTTP clients, which is used unless one is configured."""
    return settings.data_folder() / "http.token"


class InertFormatter(logging.Formatter):
    """Log lines without terminal control sequences: an error may quote other people's text."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        return visible(super().format(record))


def log_to_stderr(settings: Settings) -> None:
    """Send the log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(InertFormatter("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=settings.log_level, handlers=[handler])


def _tools() -> "tuple[Tool, ...]":
    from batchwright.mcp_server.tools.catalogue import all_tools

    return all_tools()


@asynccontextmanager
async def open_runtime(
    settings: Settings,
    *,
    on_point: OnPoint = pass_by,
    waiting: Waiting = Waiting(),  # noqa: B008  # it is frozen
) -> AsyncGenerator[Runtime]:
    """Provide what lives as long as the process, and close what it has opened."""
    async with AsyncExitStack() as opened, anyio.create_task_group() as tasks:
        try:
            yield Runtime(settings, tasks, opened, on_point=on_point, waiting=waiting)
        finally:
            tasks.cancel_scope.cancel()


def _lifespan(
    settings: Settings, on_point: OnPoint, waiting: Waiting, updates: "Updates", calls: "Tasks"
) -> "Callable[[Server[Runtime]], AbstractAsyncContextManager[Runtime]]":
    @asynccontextmanager
    async def lifespan(_server: "Server[Runtime]") -> AsyncGenerator[Runtime]:
        process = open_runtime(settings, on_point=on_point, waiting=waiting)
        async with process as runtime, calls.own(), anyio.create_task_group() as tasks:
            tasks.start_soon(runtime.work)
            tasks.start_soon(runtime.tell, updates.tell)
            try:
                yield runtime
            finally:
                tasks.cancel_scope.cancel()

    return lifespan
