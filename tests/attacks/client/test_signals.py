"""The server over standard input and output ends when it is told to, though its client stays and says nothing."""

import json
import os
import signal
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psutil
import pytest

from tests.support.endpoint import running_endpoint
from tests.support.openai_server import OpenAIServer
from tests.support.paths import SCRIPT
from tests.support.session import environment, in_memory, openai_environment
from tests.support.systems import needs_signals
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, needs_signals]

END_SECONDS = 5
SLOW = "SELECT count(*) AS n FROM range(1000000) a, range(1000000) b WHERE hash(a.range * b.range) = 1"
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}


@dataclass
class Served:
    """A server process, spoken to by hand: its standard input stays open."""

    process: "subprocess.Popen[bytes]"
    calls: int = 0

    def send(self, method: str, **params: Any) -> int:
        """Send a request, and return its id."""
        assert self.process.stdin is not None
        self.calls += 1
        message = {"jsonrpc": "2.0", "id": self.calls, "method": method, "params": params}
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        return self.calls

    async def answer(self, number: int) -> dict[str, Any]:
        """Wait for the answer to a request."""
        assert self.process.stdout is not None
        with anyio.fail_after(60):
            while True:
                line = json.loads(await anyio.to_thread.run_sync(self.process.stdout.readline, abandon_on_cancel=True))
                if line.get("id") == number:
                    return line["result"]

    async def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool, and return its structured content."""
        result = await self.answer(self.send("tools/call", name=name, arguments=arguments))
        return result["structuredContent"]

    async def told(self, number: signal.Signals) -> tuple[int, str]:
        """Tell it to end, and return its exit status and what it had said on standard error."""
        self.process.send_signal(number)
        status = await anyio.to_thread.run_sync(lambda: self.process.wait(END_SECONDS))
        assert self.process.stderr is not None
        return status, self.process.stderr.read().decode()


@asynccontextmanager
async def served(env: dict[str, str]) -> AsyncGenerator[Served]:
    """Run a server."""
    pipe = subprocess.PIPE
    with subprocess.Popen([SCRIPT], env={**os.environ, **env}, stdin=pipe, stdout=pipe, stderr=pipe) as process:  # noqa: ASYNC220
        try:
            server = Served(process)
            await server.answer(server.send("initialize", **HELLO))
            yield server
        finally:
            process.kill()


@pytest.mark.slow
async def test_it_ends_when_told_though_nobody_speaks(tmp_path: Path) -> None:
    """A service manager sends one signal, and kills later."""
    async with served(environment(tmp_path)) as server:
        told = await server.told(signal.SIGTERM)

    assert told == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_ends_when_told_while_a_query_runs(tmp_path: Path, number: signal.Signals) -> None:
    """And takes the query with it."""
    async with served(environment(tmp_path)) as server:
        server.send("tools/call", name="inspect_data", arguments={"source": SLOW})

        async def queries() -> list[psutil.Process]:
            return psutil.Process(server.process.pid).children()

        (running,) = await until(queries)
        told = await server.told(number)

    assert told == (0, "")
    assert not running.is_running()


@pytest.mark.slow
async def test_it_ends_with_its_client_though_a_query_runs(tmp_path: Path) -> None:
    """A client that is gone keeps no process."""
    async with served(environment(tmp_path)) as server:
        server.send("tools/call", name="inspect_data", arguments={"source": SLOW})

        async def queries() -> list[psutil.Process]:
            return psutil.Process(server.process.pid).children()

        (running,) = await until(queries)
        assert server.process.stdin is not None
        server.process.stdin.close()
        status = await anyio.to_thread.run_sync(lambda: server.process.wait(END_SECONDS))

    assert status == 0
    assert not running.is_running()


@pytest.mark.slow
async def test_a_job_that_runs_when_it_is_told_to_end_goes_on_at_the_next_start(tmp_path: Path, sample: Path) -> None:
    """Nothing of it is lost."""
    assert sample.exists()
    async with running_endpoint() as endpoint:
        endpoint.gate.clear()
        env = environment(tmp_path, endpoint=endpoint.url)
        async with served(env) as server:
            draft = await server.call("create_batch_file", source="sample.csv", prompt="{{text}}", model="m")
            await server.call("submit_job", job_id=draft["job_id"])

            async def asked() -> bool:
                return endpoint.in_flight > 0

            await until(asked)
            told = await server.told(signal.SIGTERM)
        endpoint.gate.set()
        async with in_memory(env) as session:
            job = await session.finished(draft["job_id"])

    assert told == (0, "")
    assert job["counts"] == {"answered": 5}


async def test_a_submission_in_flight_is_finished_when_it_is_told_to_end(
    tmp_path: Path, sample: Path, server: OpenAIServer
) -> None:
    """Its answer says which batch was made: without it, the batch would have to be looked for."""
    assert sample.exists()
    server.faults.add("batches.create", "held_after_creation")
    env = openai_environment(tmp_path, server)
    async with served(env) as ours:
        arguments = {"source": "sample.csv", "prompt": "{{text}}", "model": "gpt-4o-mini"}
        draft = await ours.call("create_batch_file", **arguments)
        submission = {"job_id": draft["job_id"], "max_cost_usd": 1}
        ours.send("tools/call", name="submit_job", arguments=submission)
        await server.holding.wait()
        ours.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            await anyio.to_thread.run_sync(lambda: ours.process.wait(1))
        server.release()
        status = await anyio.to_thread.run_sync(lambda: ours.process.wait(END_SECONDS))
    async with in_memory(env) as session:
        job = await session.call("check_job", job_id=draft["job_id"])

    assert status == 0
    assert job["status"] == "running"
    assert len(server.batches) == 1
