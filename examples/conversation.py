"""What the examples share: a conversation with Batchwright about one file, over stdio, like an assistant's."""

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
"""Calls a tool with its arguments, and returns its answer."""


class Refused(Exception):
    """A call was refused, for the reason that the assistant was given."""


def run_example(data: Path, work: Callable[[Call], Awaitable[T]]) -> tuple[T, list[dict[str, str]]]:
    """Run *work* on a copy of *data*; return its result, and the rows that it saved as `results.csv`.

    If the command line names a file, the rows are copied there too.
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(data, folder)
        given = anyio.run(_in_conversation, Path(folder), work)
        results = Path(folder) / RESULTS
        if len(sys.argv) > 1:
            shutil.copyfile(results, sys.argv[1])
        with results.open(newline="", encoding="utf-8") as file:
            return given, list(csv.DictReader(file))


async def run_job(call: Call, **draft: Any) -> dict[str, Any]:
    """Draft a job and run it until it has finished; print who answered, and what a GPT would cost."""
    drafted = await call("create_batch_file", **draft)
    await call("submit_job", job_id=drafted["job_id"])
    job = await call("check_job", job_id=drafted["job_id"], wait_seconds=600)
    counts = ", ".join(f"{rows} {outcome}" for outcome, rows in job["counts"].items())
    print(f"Rows: {counts}.\nAnswered by {job['answered_by']}.")
    compared = await call("compare_costs", job_id=job["job_id"])
    cheapest = compared["costs"][0]
    print(f"At OpenAI, {cheapest['model']} would cost {cheapest['batch']} for this job, as a batch.")
    return job


async def _in_conversation(workspace: Path, work: Callable[[Call], Awaitable[T]]) -> T:
    env = {**os.environ, "BATCHWRIGHT_WORKSPACE": str(workspace)}
    server = StdioServerParameters(command=sys.executable, args=["-P", "-m", "batchwright"], env=env)
    async with Client(server) as client:

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            result = await client.call_tool(tool, arguments)
            if result.is_error or result.structured_content is None:
                raise Refused("\n".join(block.text for block in result.content if block.type == "text"))
            return result.structured_content

        try:
            return await work(call)
        except Refused as error:
            refused = error
    # Raised inside, it would arrive in an exception group.
    sys.exit(f"Batchwright cannot run this example. {refused}")
