"""A conversation with Batchwright through the SDK's own client: in memory, or with a real server process."""

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, get_args

import anyio
import anyio.to_thread
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.types import ElicitRequestParams, ElicitResult, TextContent

from batchwright.app.app import build_server, http_token
from batchwright.core.crash_points import OnPoint, pass_by
from batchwright.core.settings import Settings
from batchwright.core.waiting import Waiting
from batchwright.mcp_server import streamable_http
from batchwright.mcp_server.addresses import PATH
from batchwright.mcp_server.server import Server
from tests.support.advised_calls import Schemas, wrong_calls
from tests.support.endpoint import Answer, Endpoint, running_endpoint
from tests.support.http_requests import TOKEN

if TYPE_CHECKING:
    from mcp.client import ClientRequestContext

    from tests.support.openai_server import OpenAIServer

Mode = Literal["auto", "legacy"]
MODES: tuple[Mode, ...] = get_args(Mode)

IN_MEMORY = Waiting(poll_seconds=0.1, for_disk=False)
"""Of a server that is looked at often, and whose machine never loses its power."""
HURRIED = replace(IN_MEMORY, quiet_seconds=0.0, pause_seconds=0.01)
"""Of one whose user decides at once, and that rests for no time after a refusal."""
LATE_AT_ONCE = replace(HURRIED, late_seconds=0.0)
"""Of one that does not wait, either, for a provider to name a file that it should have named."""

CLOSED_PROXY = "http://127.0.0.1:9"
"""Where nothing listens: a request that goes through it never leaves this machine."""
OPENAI_ITSELF = {"OPENAI_API_KEY": "sk-none", "HTTPS_PROXY": CLOSED_PROXY}
"""Settings for a server that is to run its jobs at api.openai.com, and cannot reach it.

In this process the proxy is that of the fixture `openai_out_of_reach`.
"""

_WITH_PID = """
import os, sys
with open(sys.argv[1], "w") as file:
    file.write(str(os.getpid()))
from batchwright.__main__ import main
sys.exit(main([]))
"""


@dataclass
class Session:
    """An open conversation; what was told meanwhile is kept."""

    client: Client
    progress: list[tuple[float, float | None, str | None]] = field(
        default_factory=list[tuple[float, float | None, str | None]]
    )
    _tools: Schemas = field(default_factory=dict[str, dict[str, Any]])

    async def call(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a tool that is to succeed, and give its structured content, whose next calls are such as tools take."""
        text, content = await self.answer(name, **arguments)
        assert content is not None, text
        if not self._tools:
            self._tools = {tool.name: tool.input_schema for tool in (await self.client.list_tools()).tools}
        assert wrong_calls(content["next"], self._tools, named=content) == []
        return content

    async def error(self, name: str, /, **arguments: Any) -> str:
        """Call a tool that is to refuse, and give what it said."""
        text, content = await self.answer(name, **arguments)
        assert content is None, f"{name} succeeded: {text}"
        return text

    async def answer(self, name: str, /, **arguments: Any) -> tuple[str, dict[str, Any] | None]:
        """Call a tool, and give its text and its structured content, which is None for an error."""

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            self.progress.append((progress, total, message))

        result = await self.client.call_tool(name, arguments, progress_callback=on_progress, read_timeout_seconds=120)
        text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
        return text, None if result.is_error else result.structured_content

    async def run_job(self, **arguments: Any) -> str:
        """Run a job to its end, and return its id."""
        job_id = (await self.call("create_batch_file", **arguments))["job_id"]
        await self.call("submit_job", job_id=job_id)
        await self.finished(job_id)
        return job_id

    async def finished(self, job_id: str, wait_seconds: int = 60) -> dict[str, Any]:
        """Wait for a job's end."""
        return await self.call("check_job", job_id=job_id, wait_seconds=wait_seconds)


@dataclass
class User:
    """Whoever sits at the client: answers each question, and keeps it."""

    action: Literal["accept", "decline", "cancel"] = "accept"
    agreed: bool = True
    questions: list[str] = field(default_factory=list[str])

    async def __call__(self, context: "ClientRequestContext", params: ElicitRequestParams) -> ElicitResult:
        """Answer a question."""
        self.questions.append(params.message)
        return ElicitResult(action=self.action, content={"agreed": self.agreed} if self.action == "accept" else None)


def environment(tmp_path: Path, **settings: str) -> dict[str, str]:
    """Give settings for a server that keeps to *tmp_path*: its workspace is `tmp_path/work`.

    An endpoint is free, unless its prices are given.
    """
    (tmp_path / "work").mkdir(exist_ok=True)
    if "endpoint" in settings:
        settings = {"prices": "free", **settings}
    return {
        "BATCHWRIGHT_WORKSPACE": str(tmp_path / "work"),
        "BATCHWRIGHT_DATA_DIR": str(tmp_path / "data"),
        **{f"BATCHWRIGHT_{name.upper()}": value for name, value in settings.items()},
    }


def openai_environment(
    tmp_path: Path, server: "OpenAIServer", prices: str = "openai", **settings: str
) -> dict[str, str]:
    """Give settings for a server that has its jobs run by *server*; without *prices*, nobody knows what it takes."""
    return environment(tmp_path, prices=prices, **settings) | {
        "OPENAI_API_KEY": server.key,
        "OPENAI_BASE_URL": server.url,
    }


@asynccontextmanager
async def in_memory(
    env: Mapping[str, str],
    mode: Mode = "auto",
    *,
    user: User | None = None,
    waiting: Waiting = IN_MEMORY,
    on_point: OnPoint = pass_by,
) -> AsyncGenerator[Session]:
    """Talk to a server in this process; without a *user*, the client can ask nobody."""
    server = build_server(Settings.from_env(env), on_point=on_point, waiting=waiting)
    async with Client(server, mode=mode, elicitation_callback=user) as client:
        yield Session(client)


@asynccontextmanager
async def serving(env: Mapping[str, str]) -> AsyncGenerator[tuple[str, Server[Any]]]:
    """Serve over HTTP on a free port, in this process; give the address and the server."""
    settings = Settings.from_env({"BATCHWRIGHT_HTTP_TOKEN": TOKEN, **env})
    server = build_server(settings)
    taken = streamable_http.listening("127.0.0.1", 0, has_token=True)
    url = f"http://127.0.0.1:{taken.getsockname()[1]}{PATH}"
    hosts = streamable_http.hosts(taken, "127.0.0.1", settings.http_hosts)
    running = streamable_http.Web(
        streamable_http.application(server, streamable_http.Access(hosts, http_token(settings), "Ask.")),
        log_level="CRITICAL",
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(running.serve, [taken])
        try:
            yield url, server
        finally:
            running.should_exit = True


@asynccontextmanager
async def http_process(
    env: dict[str, str], *arguments: str, descriptors: int | None = None
) -> AsyncGenerator[tuple[str, subprocess.Popen[str]]]:
    """Run `batchwright serve --http` as a process of its own, which may open so many files; give its address."""
    command = [sys.executable, "-P", "-m", "batchwright", "serve", "--http", "--port", "0", *arguments]
    if descriptors is not None:
        command = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', str(descriptors), *command]
    whole = {**os.environ, "BATCHWRIGHT_HTTP_TOKEN": TOKEN, **env}
    # asyncio's own processes are bound to one event loop; this one is waited for in a thread.
    with subprocess.Popen(command, env=whole, stderr=subprocess.PIPE, text=True) as served:  # noqa: ASYNC220
        assert served.stderr is not None
        try:
            said = await anyio.to_thread.run_sync(_address_line, served.stderr)
            yield said.split()[-1], served
        finally:
            served.kill()


def _address_line(said: IO[str]) -> str:
    before: list[str] = []
    for line in said:
        if line.startswith("Batchwright serves MCP at http://"):
            return line
        before.append(line)
    raise AssertionError("".join(before))


@asynccontextmanager
async def client_over_http(url: str, mode: Mode = "auto", **more: Any) -> AsyncGenerator[Client]:
    """Make a client that sends the token; *more* is the client's."""
    async with (
        create_mcp_http_client(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode, **more) as client,
    ):
        yield client


@asynccontextmanager
async def over_http(url: str, mode: Mode = "auto", *, user: User | None = None) -> AsyncGenerator[Session]:
    """Talk to a server at an address; without a *user*, the client can ask nobody."""
    async with client_over_http(url, mode, elicitation_callback=user) as client:
        yield Session(client)


@asynccontextmanager
async def over_stdio(
    env: Mapping[str, str], mode: Mode = "auto", *, pid_file: Path | None = None
) -> AsyncGenerator[Session]:
    """Talk to a server process; its process id goes to *pid_file*."""
    args = ["-P", *(["-c", _WITH_PID, str(pid_file)] if pid_file else ["-m", "batchwright"])]
    passed = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "PYTHON", "SSL_", "HOME"))}
    parameters = StdioServerParameters(command=sys.executable, args=args, env={**passed, **env})
    async with Client(parameters, mode=mode) as client:
        yield Session(client)


@asynccontextmanager
async def at_endpoint(
    tmp_path: Path, mode: Mode = "auto", *, answer: Answer | None = None, **options: Any
) -> AsyncGenerator[tuple[Endpoint, Session]]:
    """Talk to a server whose jobs run at an endpoint with these *options*."""
    options |= {"answer": answer} if answer else {}
    async with (
        running_endpoint(**options) as endpoint,
        in_memory(environment(tmp_path, endpoint=endpoint.url), mode) as session,
    ):
        yield endpoint, session
