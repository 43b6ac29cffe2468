"""What the examples share: a conversation with Batchwright over stdio, as an assistant has it, about one file."""

import csv
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import anyio
from mcp import Client, StdioServerParameters

RESULTS = "results.csv"

T = TypeVar("T")
Call = Callable[..., Awaitable[dict[str, Any]]]
"""Calls a tool with its arguments, and gives what it answers."""


def carried_out(data: Path, work: Callable[[Call], Awaitable[T]]) -> tuple[T, list[dict[str, str]]]:
    """Have *work* done on a copy of *data*, and give what it gives, and the rows that it saved as `results.csv`.

    These are also copied to the file that the command line names.
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(data, folder)
        given = anyio.run(_in_conversation, Path(folder), work)
        results = Path(folder) / RESULTS
        if len(sys.argv) > 1:
            shutil.copyfile(results, sys.argv[1])
        with results.open(newline="", encoding="utf-8") as file:
            return given, list(csv.DictReader(file))


async def finished(call: Call, **draft: Any) -> dict[str, Any]:
    """Draft a job, run it to its end, say who answered, and give it as it stands then."""
    drafted = await call("create_batch_file", **draft)
    await call("submit_job", job_id=drafted["job_id"])
    job = await call("check_job", job_id=drafted["job_id"], wait_seconds=600)
    print(f"{job['counts']} by {job['answered_by']}")
    return job


async def _in_conversation(workspace: Path, work: Callable[[Call], Awaitable[T]]) -> T:
    env = {**os.environ, "BATCHWRIGHT_WORKSPACE": str(workspace)}
    server = StdioServerParameters(command=sys.executable, args=["-P", "-m", "batchwright"], env=env)
    async with Client(server) as client:

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            result = await client.call_tool(tool, arguments)
            assert result.structured_content is not None and not result.is_error, result.content
            return result.structured_content

        return await work(call)
