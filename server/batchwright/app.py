"""The composition root: settings to journal, provider, jobs and MCP server. The only module that knows all others."""

import logging
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.abc

from batchwright import __version__
from batchwright.server import Server
from batchwright.settings import Settings

if TYPE_CHECKING:
    from mcp.server.mcpserver.tools import Tool

    from batchwright.jobs import Jobs
    from batchwright.journal import Journal
    from batchwright.local.target import Target
    from batchwright.workspace import Workspace

INSTRUCTIONS = """\
Batchwright answers one prompt for every row of a table, in bulk: thousands of rows, results joined back to them.
Usual order: inspect_data, create_batch_file (a free draft), submit_job, check_job with wait_seconds until it ends, \
get_results with save_as.
Prompts are templates: {{column}} is the row's cell. Give output_schema when answers should become columns.
Jobs outlive this conversation: list_jobs finds them again. Every answer names the next useful call in `next`.
Say in your own words to the user who answers (`answered_by`); a demonstration model is not a GPT."""

log = logging.getLogger(__name__)

EMBEDDED_CONCURRENCY = 4
ENDPOINT_CONCURRENCY = 16


class App:
    """What lives as long as the server: made light, and filled at the first call that needs it."""

    def __init__(self, settings: Settings, tasks: anyio.abc.TaskGroup) -> None:
        self._settings = settings
        self._tasks = tasks
        self._journal: Journal | None = None
        self._jobs: Jobs | None = None

    async def jobs(self) -> "Jobs":
        """Give the use cases; the first call opens the journal and imports what is slow."""
        if self._jobs is None:
            self._jobs = self._made_jobs()
        return self._jobs

    def now(self) -> datetime:
        """Give the time."""
        return datetime.now(UTC)

    async def resume(self) -> None:
        """Go on where a former process was cut off."""
        if not (self._settings.data_folder() / JOURNAL).exists():
            return
        try:
            jobs = await self.jobs()
            await jobs.clean_up()
            await jobs.resume()
        except Exception as error:  # noqa: BLE001  # the top of a task of its own
            # The calls to come say what is wrong; a server that ends here could say nothing.
            log.error("The jobs of a former process cannot go on yet: %s", type(error).__name__)

    def close(self) -> None:
        """Close what was opened."""
        if self._journal is not None:
            self._journal.close()

    def _made_jobs(self) -> "Jobs":
        from batchwright.jobs import Jobs
        from batchwright.journal import Journal
        from batchwright.local.engine import LocalEngine
        from batchwright.local.runner import Clock

        data = self._settings.data_folder()
        self._journal = Journal(data / JOURNAL, now=self.now)
        engine = LocalEngine(data / "engine", target(self._settings), clock=Clock(time.time_ns), tasks=self._tasks)
        return Jobs(
            journal=self._journal, api=engine, workspace=workspace(self._settings), data_folder=data, now=self.now
        )


JOURNAL = "journal.db"


def target(settings: Settings) -> "Target":
    """Give what answers the local engine's requests: the endpoint that is set, or the embedded models."""
    from batchwright.local.embedded import EmbeddedModels
    from batchwright.local.target import Connection, RemoteEndpoint

    if settings.endpoint:
        connection = Connection(settings.endpoint, settings.endpoint_key)
        return RemoteEndpoint(connection, settings.model, settings.concurrency or ENDPOINT_CONCURRENCY)
    return EmbeddedModels(
        settings.cache_folder() / "models",
        own_model=settings.local_model,
        concurrency=settings.concurrency or EMBEDDED_CONCURRENCY,
    )


def workspace(settings: Settings) -> "Workspace":
    """Give the folders that the user opened to the server."""
    from batchwright.workspace import Workspace, default_root

    return Workspace(settings.workspace or (default_root(Path.cwd(), Path.home()),))


def build_server(settings: Settings) -> Server[App]:
    """Make the MCP server, with nothing opened yet."""
    return Server(
        "batchwright",
        title="Batchwright",
        description="Bulk GPT jobs in conversation",
        instructions=INSTRUCTIONS,
        version=__version__,
        tools=_tools,
        lifespan=_lifespan(settings),
        log_level=settings.log_level,
    )


def serve(settings: Settings) -> None:
    """Serve MCP over standard input and output until the client is gone."""
    logging.basicConfig(level=settings.log_level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    build_server(settings).run("stdio")


def _tools() -> "list[Tool]":
    from batchwright.tools import all_tools

    return all_tools()


def _lifespan(settings: Settings) -> Callable[[Server[App]], AbstractAsyncContextManager[App]]:
    @asynccontextmanager
    async def lifespan(_server: Server[App]) -> AsyncGenerator[App]:
        app: App | None = None
        try:
            async with anyio.create_task_group() as tasks:
                app = App(settings, tasks)
                tasks.start_soon(app.resume)
                try:
                    yield app
                finally:
                    tasks.cancel_scope.cancel()
        finally:
            if app is not None:
                app.close()

    return lifespan
