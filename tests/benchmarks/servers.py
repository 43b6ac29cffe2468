"""What a server takes to start and to answer, over stdio: ours beside an empty one on the same SDK."""

import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

CALLS = 1_000
STARTS = 5
_EMPTY = """
from mcp.server import MCPServer
server = MCPServer("empty")
@server.tool()
def list_jobs(limit: int) -> dict[str, int]:
    return {"total": 0}
server.run()
"""
_HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "benchmark", "version": "0"},
}


def started(folder: Path, command: list[str]) -> float:
    """Start a server, have it answer once, and give the CPU seconds that it took, the median of some starts."""
    return statistics.median(_cpu_of(folder, command, lambda _: None) for _ in range(STARTS))


def called(folder: Path, command: list[str]) -> float:
    """Call a tool of a server again and again, and give the CPU seconds that it took beyond its start."""

    def call(pipes: "_Pipes") -> None:
        pipes.notify("notifications/initialized")
        for _ in range(CALLS):
            answer = pipes.ask("tools/call", {"name": "list_jobs", "arguments": {"limit": 20}})
            assert not answer["result"].get("isError"), answer

    return _cpu_of(folder, command, call) - started(folder, command)


OURS = ["-P", "-m", "batchwright"]
EMPTY = ["-c", _EMPTY]


class _Pipes:
    """JSON-RPC over the pipes of a process."""

    def __init__(self, into: IO[bytes], out: IO[bytes]) -> None:
        self._into, self._out = into, out
        self._id = 0

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._id += 1
        self._send({"id": self._id, "method": method, "params": params})
        while (answer := json.loads(self._out.readline())).get("id") != self._id:
            pass
        return answer

    def notify(self, method: str) -> None:
        self._send({"method": method})

    def _send(self, message: dict[str, Any]) -> None:
        self._into.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self._into.flush()


def _cpu_of(folder: Path, command: list[str], work: Callable[[_Pipes], None]) -> float:
    env = {**os.environ, "BATCHWRIGHT_WORKSPACE": str(folder), "BATCHWRIGHT_DATA_DIR": str(folder / "data")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=env,
    ) as process:
        assert process.stdin
        assert process.stdout
        pipes = _Pipes(process.stdin, process.stdout)
        assert "result" in pipes.ask("initialize", _HELLO)
        work(pipes)
        process.stdin.close()
        process.wait(timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
