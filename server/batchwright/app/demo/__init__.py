"""`batchwright demo`: a job as an assistant runs it, call by call, with a real client, server process and model."""

import csv
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from batchwright.app.terminal import console, say
from batchwright.core.children import FOLDER, PACKAGE_INDEX, Child
from batchwright.core.errors import BatchwrightError
from batchwright.core.settings import Settings

if TYPE_CHECKING:
    from mcp import Client, StdioServerParameters
    from rich.progress import TaskID

WAIT_SECONDS = 600
DATA = ".data"
RESULTS = "results.csv"

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
"""The arguments of `create_batch_file` for the bundled reviews."""


class DemoFailed(BatchwrightError):
    """A call was refused, for the reason that the assistant was given."""


def run_demo(settings: Settings, *, plain: bool) -> int:
    """Run the job in a new folder, and keep its reviews and results there."""
    folder = Path(tempfile.mkdtemp(prefix="batchwright-demo-"))
    try:
        with resources.as_file(resources.files("batchwright.app.demo") / "reviews.csv") as reviews:
            shutil.copyfile(reviews, folder / "reviews.csv")
        refusal = anyio.run(_converse, settings, folder, plain or not sys.stdout.isatty())
    finally:
        shutil.rmtree(folder / DATA if (folder / RESULTS).exists() else folder, ignore_errors=True)
    if refusal is not None:
        raise refusal
    with (folder / RESULTS).open(newline="", encoding="utf-8") as file:
        _show_table(list(csv.DictReader(file)))
    # Not wrapped: a path is there to be copied.
    print(f"\nAll rows with their answers are in:\n  {folder / RESULTS}\n")
    say("Next: run `batchwright connect` to set up your assistant. Then ask it about a file of your own, for example:")
    say('"Sort each row of tickets.csv into billing, bug or question, and save the result as sorted.csv."')
    return 0


async def _converse(settings: Settings, folder: Path, plain: bool) -> DemoFailed | None:  # noqa: FBT001  # anyio.run passes them by place
    """Hold the conversation; return what went wrong, because an error would arrive in an exception group."""
    from mcp import Client

    say(_about(settings))
    say('The user says: "Look at reviews.csv. Which of these 40 product reviews are positive, and which negative?"')
    say("Below is what an assistant then sends to Batchwright (\u2192), and what it gets back.\n")
    async with Client(_server(settings, folder)) as client:
        try:
            await _call(client, plain, "inspect_data", source="reviews.csv")
            draft = await _call(client, plain, "create_batch_file", **JOB)
            job_id = draft["job_id"]
            await _call(client, plain, "submit_job", job_id=job_id)
            await _call(client, plain, "check_job", job_id=job_id, wait_seconds=WAIT_SECONDS)
            await _call(client, plain, "get_results", job_id=job_id, save_as=RESULTS, limit=3)
        except DemoFailed as error:
            return error
    return None


def _about(settings: Settings) -> str:
    """Say which model answers, and what it costs."""
    if settings.provider == "endpoint":
        return f"This demo sends 40 short requests to {settings.endpoint}, your BATCHWRIGHT_ENDPOINT."
    return "This demo is free: a small model on your own machine answers. OPENAI_API_KEY is ignored, even if it is set."


def _server(settings: Settings, folder: Path) -> "StdioServerParameters":
    """Return how to start a server for *folder* with the user's settings, except for those of HTTP and OpenAI's key."""
    from mcp import StdioServerParameters

    child = Child(("-m", "batchwright", "serve"), (*PACKAGE_INDEX, "BATCHWRIGHT_[!H]*"))
    own = {
        "BATCHWRIGHT_WORKSPACE": str(folder),
        "BATCHWRIGHT_DATA_DIR": str(folder / DATA),
        "BATCHWRIGHT_PROVIDER": "endpoint" if settings.provider == "endpoint" else "embedded",
    }
    command, *arguments = child.command
    return StdioServerParameters(command=command, args=arguments, env=child.environment | own, cwd=FOLDER)


async def _call(client: "Client", plain: bool, name: str, **arguments: object) -> Mapping[str, Any]:  # noqa: FBT001  # see above
    """Call a tool, and print the call, its progress and its answer."""
    given = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in arguments.items())
    say(f"\u2192 {name}({given})")
    progress = ProgressLines() if plain else ProgressBar()
    is_done = False
    try:
        result = await client.call_tool(name, arguments, progress_callback=progress.show)
        is_done = not result.is_error
    finally:
        # Also after Ctrl+C: the bar hides the cursor.
        progress.end(is_done=is_done)
    text = "\n".join(block.text for block in result.content if block.type == "text")
    if result.is_error:
        raise DemoFailed(text)
    say(f"{text}\n", indent="  ")
    return result.structured_content or {}


class ProgressBar:
    """A progress bar with the time left."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        # A message may name files, and is not markup.
        message = TextColumn("{task.description}", markup=False)
        shown = (
            TextColumn(" "),
            BarColumn(20),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            message,
        )
        self._progress = Progress(*shown, console=console())
        self._task: TaskID | None = None

    async def show(self, progress: float, total: float | None, message: str | None) -> None:
        """Draw the bar."""
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task("")
        self._progress.update(self._task, completed=progress, total=total, description=message or "")

    def end(self, *, is_done: bool) -> None:
        """Stop, with a full bar if everything *is_done*."""
        if self._task is not None and is_done:
            total = self._progress.tasks[0].total
            self._progress.update(self._task, completed=total or 0, description="")
        self._progress.stop()


class ProgressLines:
    """Prints a line for each tenth, for output that is not a terminal."""

    def __init__(self) -> None:
        self._tenth = -1

    async def show(self, progress: float, total: float | None, message: str | None) -> None:
        """Print a line for each new tenth."""
        tenth = int(10 * progress / total) if total else 0
        if tenth > self._tenth:
            self._tenth = tenth
            say(f"{10 * tenth:3}% {message or ''}", indent="  ")

    def end(self, *, is_done: bool) -> None:
        """Print the last line if everything *is_done*."""
        if is_done and 0 <= self._tenth < 10:
            say("100% done", indent="  ")


def _show_table(rows: Sequence[Mapping[str, str]]) -> None:
    """Print the joined rows, and how often the model agrees with the person."""
    from rich.table import Table

    say("The joined rows (the file's own column `sentiment` is a person's verdict):\n")
    table = Table("id", "person", "model", box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    table.add_column("text", no_wrap=True, ratio=1)
    for row in rows:
        table.add_row(row["review_id"], row["sentiment"], row["answer_sentiment"] or row["outcome"], row["text"])
    console().print(table)
    right = sum(row["sentiment"] == row["answer_sentiment"] for row in rows)
    say(f"\n{right} of {len(rows)} answers agree with the person.")
