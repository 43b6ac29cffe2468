"""The main job as an assistant runs it: a real MCP client, a real server process, a real model, call by call."""

import json
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import anyio

from batchwright.core.children import FOLDER, PACKAGE_INDEX, Child
from batchwright.core.errors import BatchwrightError

WIDTH = 110
WAIT_SECONDS = 600

JOB: Mapping[str, Any] = {
    "source": "reviews.csv",
    "system": "Classify the sentiment of the review as positive or negative.",
    "prompt": "Review: {{text}}",
    "id_column": "review_id",
    "output_schema": {
        "type": "object",
        "properties": {"sentiment": {"type": "string", "enum": ["positive", "negative"]}},
        "required": ["sentiment"],
    },
    "parameters": {"temperature": 0, "max_completion_tokens": 32},
}
"""The arguments of `create_batch_file` for the reviews that come with the program."""


class DemoFailed(BatchwrightError):
    """A call was refused; the text is what the assistant was told."""


def run_demo(*, plain: bool) -> int:
    """Run the job in a folder that is gone afterwards; only the model's weights stay, in the cache folder."""
    folder = Path(tempfile.mkdtemp(prefix="batchwright-demo-"))
    try:
        with resources.as_file(resources.files("batchwright.app.demo") / "reviews.csv") as reviews:
            shutil.copyfile(reviews, folder / "reviews.csv")
        refusal = anyio.run(_converse, folder, plain or not sys.stdout.isatty())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if refusal is not None:
        raise refusal
    return 0


async def _converse(folder: Path, plain: bool) -> DemoFailed | None:  # noqa: FBT001  # anyio.run passes them by place
    """Hold the conversation; gives what went wrong, since an error would arrive wrapped in the client's groups."""
    from mcp import Client, StdioServerParameters

    # All settings hold here but those of HTTP, and OpenAI's key: nothing is demonstrated where it costs something.
    child = Child(("-m", "batchwright", "serve"), (*PACKAGE_INDEX, "BATCHWRIGHT_[!H]*"))
    places = {"BATCHWRIGHT_WORKSPACE": str(folder), "BATCHWRIGHT_DATA_DIR": str(folder / ".data")}
    command, *arguments = child.command
    env = child.environment | places
    parameters = StdioServerParameters(command=command, args=arguments, env=env, cwd=FOLDER)
    _say(f'The user says: "{folder.name}/reviews.csv has 40 product reviews. Which are positive, which negative?"')
    _say("What follows is what an assistant sends to Batchwright, and what it gets back.\n")
    async with Client(parameters) as client:
        call = _Caller(client, plain=plain)
        try:
            await call("inspect_data", source="reviews.csv")
            job_id = (await call("create_batch_file", **JOB))["job_id"]
            await call("submit_job", job_id=job_id)
            await call("check_job", job_id=job_id, wait_seconds=WAIT_SECONDS)
            await call("get_results", job_id=job_id, save_as="results.csv", limit=3)
            page = await call.quietly("get_results", job_id=job_id, limit=100)
        except DemoFailed as error:
            return error
    _show_table(page["shown"])
    return None


class _Caller:
    """Calls tools, and prints each call with its answer and a progress bar."""

    def __init__(self, client: Any, *, plain: bool) -> None:  # noqa: ANN401  # the SDK is imported late
        self._client = client
        self._plain = plain

    async def __call__(self, name: str, **arguments: object) -> Mapping[str, Any]:
        given = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in arguments.items())
        _say(f"\u2192 {name}({given})")
        return await self._called(name, arguments, shown=True)

    async def quietly(self, name: str, **arguments: object) -> Mapping[str, Any]:
        """Call without printing."""
        return await self._called(name, arguments, shown=False)

    async def _called(self, name: str, arguments: dict[str, object], *, shown: bool) -> Mapping[str, Any]:
        bar = _Bar(plain=self._plain)
        result = await self._client.call_tool(name, arguments, progress_callback=bar.show if shown else None)
        bar.end()
        text = "\n".join(block.text for block in result.content if block.type == "text")
        if result.is_error:
            raise DemoFailed(text)
        if shown:
            print(textwrap.indent(text, "  "), end="\n\n", flush=True)
        return result.structured_content


class _Bar:
    """A progress bar in one line; plain, a line for each tenth and each new note."""

    def __init__(self, *, plain: bool) -> None:
        self._plain = plain
        self._last = ""

    async def show(self, done: float, total: float | None, message: str | None) -> None:
        """Draw the bar."""
        tenths = int(20 * done / total) if total else 0
        line = f"  [{'#' * tenths:<20}] {message or ''}"
        if self._plain:
            note = (message or "").partition(";")[2]
            key = f"{tenths // 2}{note.split(':')[0]}"
            if key != self._last:
                print(line, flush=True)
            self._last = key
        elif line != self._last:
            print(f"\r{line:<{max(len(self._last), len(line))}}", end="", flush=True)
            self._last = line

    def end(self) -> None:
        """Leave the line."""
        if self._last and not self._plain:
            print()
        self._last = ""


def _show_table(rows: list[Mapping[str, Any]]) -> None:
    """Print the joined rows, and how often the answer is the one that a person gave."""
    right = 0
    _say("The joined rows (the file's own column `sentiment` is a person's verdict):\n")
    print(f"  {'id':6} {'person':9} {'model':9} text")
    for row in rows:
        person, model = row.get("sentiment", ""), row.get("answer_sentiment", row["outcome"])
        right += person == model
        text = textwrap.shorten(row.get("text", ""), 80, placeholder=" ...")
        print(f"  {row['review_id']:6} {person:9} {model:9} {text}")
    print(f"\n  {right} of {len(rows)} answers are the person's verdict.")


def _say(text: str) -> None:
    for line in text.splitlines():
        print(textwrap.fill(line, WIDTH, subsequent_indent="    "), flush=True)
    if text.endswith("\n"):
        print()
