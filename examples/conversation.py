"""What the examples share: a conversation with Batchwright over stdio, as an assistant has it."""

import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

Call = Callable[..., Awaitable[dict[str, Any]]]
"""Calls a tool with its arguments, and gives what it answers."""


@asynccontextmanager
async def conversation(workspace: Path) -> AsyncGenerator[Call]:
    """Start the server with *workspace*, and give the function that calls its tools."""
    env = {**os.environ, "BATCHWRIGHT_WORKSPACE": str(workspace)}
    server = StdioServerParameters(command=sys.executable, args=["-m", "batchwright"], env=env)
    async with Client(server) as client:

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            result = await client.call_tool(tool, arguments)
            assert result.structured_content is not None and not result.is_error, result.content
            return result.structured_content

        yield call


async def finished(call: Call, **draft: Any) -> dict[str, Any]:
    """Draft a job, run it to its end, and give it as it stands then."""
    drafted = await call("create_batch_file", **draft)
    await call("submit_job", job_id=drafted["job_id"])
    return await call("check_job", job_id=drafted["job_id"], wait_seconds=600)
