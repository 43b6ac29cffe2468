"""A file that somebody swaps for a pipe under a real server: all calls are answered, and the process still ends."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.support.session import environment
from tests.support.swapped_names import swapping
from tests.support.systems import needs_pipes

pytestmark = pytest.mark.anyio

CALLS = 60
"""More than the 40 threads that calls may take."""


def message(**fields: Any) -> bytes:
    """Encode a message of the protocol."""
    return json.dumps({"jsonrpc": "2.0", **fields}).encode() + b"\n"


def call(number: int, name: str, arguments: Mapping[str, Any]) -> bytes:
    """Encode the call of a tool."""
    return message(id=number, method="tools/call", params={"name": name, "arguments": arguments})


@needs_pipes
@pytest.mark.slow
async def test_a_file_swapped_for_a_pipe_stops_neither_the_other_calls_nor_the_end(tmp_path: Path) -> None:
    """A thread that waits for the pipe's other end takes the place of all calls to come, and outlives the client."""
    env = {**os.environ, **environment(tmp_path)}
    path, pipe = tmp_path / "work" / "t.jsonl", tmp_path / "work" / ".pipe"
    path.write_text('{"text": "harmless"}\n', encoding="utf-8")
    os.mkfifo(pipe)
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
    process = await anyio.open_process([sys.executable, "-m", "batchwright"], env=env, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    assert process.stdout is not None
    answered: set[int] = set()
    try:
        with anyio.fail_after(120):
            await process.stdin.send(message(id=0, method="initialize", params=hello))
            await process.stdin.send(message(method="notifications/initialized"))
            with swapping(path, pipe):
                for number in range(1, CALLS + 1):
                    await process.stdin.send(call(number, "inspect_data", {"source": "t.jsonl"}))
                await process.stdin.send(call(CALLS + 1, "list_jobs", {}))
                buffer = b""
                while len(answered) < CALLS + 2:
                    buffer += await process.stdout.receive()
                    *whole, buffer = buffer.split(b"\n")
                    answered |= {json.loads(line)["id"] for line in whole if b'"id"' in line}
            await process.stdin.aclose()
            ended = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        await process.aclose()

    assert ended == 0
