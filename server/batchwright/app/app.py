"""The composition root: settings to journal, provider, jobs and MCP server. The only module that knows all others."""

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
wait_seconds until it ends, get_results with save_as, query_results for questions. \
retry_job takes up rows without a good answer. compare_costs says what other models cost; try_requests also compares \
how they answer.
Where something is charged, tell the user the cost of the draft, and pass what they agree to as max_cost_usd. \
user_says is only for the user's own words.
Prompts are templates: {{column}} is the row's cell. Give output_schema when answers should become columns.
Jobs outlive this conversation: list_jobs finds them again. Every answer names the next useful call in `next`.
Say in your own words to the user who answers (`answered_by`); a demonstration model is not a GPT."""

log = logging.getLogger(__name__)

EMBEDDED_CONCURRENCY = 4
ENDPOINT_CONCURRENCY = 16


class App:
    """What lives as long as the server: made light, and filled at the first call that needs it."""

    def __init__(
        self,
        settings: Settings,
        tasks: anyio.abc.TaskGroup,
        *,
        on_point: OnPoint = pass_by,
        waiting: Waiting = Waiting(),  # noqa: B008  # it is frozen
    ) -> None:
        self._settings = settings
        self._waiting = waiting
        self._on_point = on_point
        self._tasks = tasks
        self._opening = anyio.Lock()
        self._opened = AsyncExitStack()
        self._use_cases: UseCases | None = None
        self._server = ModelServer(settings.url, settings.endpoint_key)
        self._stirred = anyio.Event()

    async def use_cases(self) -> "UseCases":
        """Return what a user can do; the first call opens the journal and imports what is slow."""
        async with self._opening:
            if self._use_cases is None:
                self._use_cases = await self._open()
        await self._server.look()
        return self._use_cases

    async def use_cases_if_any(self) -> "UseCases | None":
        """Return what a user can do; None: there was never a job, and nothing is opened to say so."""
        # A server that nobody has asked for anything leaves the disk as it is.
        from batchwright.core.job_folder import JobFolders

        is_any = self._use_cases is not None or JobFolders.in_data(self._settings.data_folder()).path.exists()
        return await self.use_cases() if is_any else None

    def now(self) -> datetime:
        """Return the time."""
        return now()

    def stir(self) -> None:
        """Have it looked at whether any job has changed."""
        self._stirred.set()

    async def tell(self, tell: "Callable[[Changed], Awaitable[None]]") -> None:
        """Tell of jobs that have changed, whenever something may have changed them."""
        while True:
            await self._stirred.wait()
            self._stirred = anyio.Event()
            try:
                if self._use_cases is not None:
                    await tell(self._use_cases.changes.look())
            except Exception as error:  # noqa: BLE001  # the top of a task of its own
                log.error("Clients cannot be told of changes: %s", type(error).__name__)

    async def work(self) -> None:
        """Go on where a former process was cut off, and move jobs on while nobody asks."""
        while True:
            rest = self._settings.poll_seconds
            try:
                if await self.use_cases_if_any() is not None:
                    rest = await self.move_on()
            except Exception as error:  # noqa: BLE001  # the top of a task of its own
                # The calls to come say what is wrong; a server that ends here could say nothing.
                log.error("Running jobs cannot go on yet: %s", type(error).__name__)
            self.stir()
            await anyio.sleep(rest)

    async def move_on(self) -> float:
        """Do all that can be done for all jobs now, and say after how many seconds to look again."""
        watch = (await self.use_cases()).watch
        await watch.resume()
        return watch.rest_seconds(self._settings.poll_seconds)

    async def close(self) -> None:
        """Close what was opened."""
        await self._opened.aclose()

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
            shutdown_dates=ShutdownDates(*_asked(settings), now=self.now),
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


def _asked(settings: Settings) -> tuple[str, str | None]:
    """Return the address that requests go to, and the key for it."""
    if settings.provider == "endpoint" and settings.endpoint:
        return settings.endpoint, settings.endpoint_key
    return settings.openai_url, settings.openai_key


JOURNAL = "journal.db"


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def target(settings: Settings, server: ModelServer) -> "Target":
    """Return what answers the local engine's requests: the endpoint that is set, or the embedded models."""
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
) -> "Server[App]":
    """Make the MCP server, with nothing opened yet; *on_point* is told of the places where a crash would matter."""
    # The protocol takes a second to import, and commands that serve nobody do without it.
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
    """Serve MCP over standard input and output until the client is gone or the process is told to end."""
    from batchwright.mcp_server import stdio

    if os.isatty(0):
        print("Waiting for an MCP client on standard input. Ctrl+C stops the server.", file=sys.stderr)
    log_to_stderr(settings)
    stdio.run(build_server(settings))


def http_token(settings: Settings) -> str:
    """Return what clients over HTTP have to show: as it is set, or made here and kept.

    Raises:
        InvalidInput: It cannot be kept, or not from others.
    """
    from batchwright.core import secret_file

    if settings.http_token:
        return settings.http_token
    path = token_file(settings)
    try:
        kept = secret_file.read(path) or secret_file.make(path, secrets.token_urlsafe(32).encode())
    except OSError as error:
        raise InvalidInput(
            f"The token for clients cannot be kept in {path}: {error.strerror}. Set BATCHWRIGHT_HTTP_TOKEN instead."
        ) from error
    return token(str(path), kept.decode(errors="replace").strip())


def token_file(settings: Settings) -> Path:
    """Return the file that holds what clients over HTTP have to show, where it is not set."""
    return settings.data_folder() / "http.token"


class InertFormatter(logging.Formatter):
    """Lines of the log without what acts in a terminal: an error may quote a text of others."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        return visible(super().format(record))


def log_to_stderr(settings: Settings) -> None:
    """Have the log go to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(InertFormatter("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=settings.log_level, handlers=[handler])


def _tools() -> "tuple[Tool, ...]":
    from batchwright.mcp_server.tools.catalogue import all_tools

    return all_tools()


@asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    on_point: OnPoint = pass_by,
    waiting: Waiting = Waiting(),  # noqa: B008  # it is frozen
) -> AsyncGenerator[App]:
    """Hold what lives as long as a process."""
    app: App | None = None
    try:
        async with anyio.create_task_group() as tasks:
            app = App(settings, tasks, on_point=on_point, waiting=waiting)
            try:
                yield app
            finally:
                tasks.cancel_scope.cancel()
    finally:
        if app is not None:
            await app.close()


def _lifespan(
    settings: Settings, on_point: OnPoint, waiting: Waiting, updates: "Updates", calls: "Tasks"
) -> "Callable[[Server[App]], AbstractAsyncContextManager[App]]":
    @asynccontextmanager
    async def lifespan(_server: "Server[App]") -> AsyncGenerator[App]:
        process = open_app(settings, on_point=on_point, waiting=waiting)
        async with process as app, calls.own(), anyio.create_task_group() as tasks:
            tasks.start_soon(app.work)
            tasks.start_soon(app.tell, updates.tell)
            try:
                yield app
            finally:
                tasks.cancel_scope.cancel()

    return lifespan
