"""The whole job, from a CSV to a CSV with the answers: a server over stdio beside a script of `json` and `csv`."""

import asyncio
import csv
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from mcp import Client

from tests.benchmarks.data import CHAT, MODEL, PROMPT, ROWS, texts_of, write_rows
from tests.support.openai_server import Object, OpenAIServer, answer_body, echo, running_openai
from tests.support.session import openai_environment, over_stdio

SERVICE_URL = "SERVICE_URL"
"""Variable with the address of the service that runs a batch at once."""
_FEW_ROWS = 1_000
_CALL_SECONDS = 1_200
_PARAMETERS = {"max_completion_tokens": 100}


class AtOnce(OpenAIServer):
    """Has run a batch before it says that there is one."""

    def create_batch(self, fields: Object) -> Object:
        """Make a batch, and its results."""
        batch = self.finish(super().create_batch(fields)["id"])
        self.hidden.add(batch["id"])  # from the next run's server: its new journal would ask whose it is
        return batch


def serve_at_once(told: int, folder: Path) -> None:
    """Serve, and write the address to the pipe *told*; what is uploaded is kept in *folder*."""

    async def serve() -> None:
        async with running_openai(state=folder, made=AtOnce) as server:
            os.write(told, server.url.encode() + b"\n")
            await asyncio.Event().wait()

    asyncio.run(serve())


def job(data: Path, out: Path, *, rows: int = ROWS, is_first: bool = False) -> Callable[[], float]:
    """Return what runs a job in a server, which has run another before unless *is_first*, and gives its CPU seconds."""
    service = OpenAIServer(out, url=os.environ[SERVICE_URL])
    env = openai_environment(out, service, max_job_usd="1000", max_day_usd="1000")
    shutil.copyfile(data / f"characters-{rows}.csv", out / "work" / "rows.csv")
    write_rows(out / "work" / "few.csv", _FEW_ROWS)

    async def run() -> float:
        async with over_stdio(env, pid_file=out / "pid") as session:
            process = psutil.Process(int((out / "pid").read_text(encoding="ascii")))
            if not is_first:
                await _run(session.client, "few")
            before = _cpu_of(process)
            await _run(session.client, "rows")
            return _cpu_of(process) - before

    return lambda: asyncio.run(run())


async def _run(client: Client, name: str) -> None:
    asked = {"source": f"{name}.csv", "prompt": PROMPT + "{{text}}", "model": MODEL, "parameters": _PARAMETERS}
    job_id = (await _call(client, "create_batch_file", **asked))["job_id"]
    await _call(client, "submit_job", job_id=job_id, max_cost_usd=500)
    while (seen := await _call(client, "check_job", job_id=job_id, wait_seconds=60))["status"] != "completed":
        assert seen["status"] == "running", seen
    saved = await _call(client, "get_results", job_id=job_id, save_as=f"{name}-answers.csv", limit=1)
    assert saved["counts"].keys() == {"answered"}, saved


async def _call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool, which may take long: there may be a million rows."""
    answer = await client.call_tool(tool, arguments, read_timeout_seconds=_CALL_SECONDS)
    assert answer.structured_content is not None, answer
    assert not answer.is_error, answer
    return answer.structured_content


def _cpu_of(process: psutil.Process) -> float:
    """Give what a process and its children have taken."""
    return sum(process.cpu_times()[:4]) + sum(sum(child.cpu_times()[:2]) for child in process.children(recursive=True))


def script(data: Path, out: Path) -> Callable[[], None]:
    """Return what does the same with `json` and `csv`: it writes the batch file, and joins the answers to the rows."""
    rows, results = data / f"characters-{ROWS}.csv", out / "results.jsonl"
    _write_results(rows, results)

    def work() -> None:
        _write_batch(rows, out / "batch.jsonl")
        _join(rows, results, out / "out.csv")

    return work


def _write_results(rows: Path, path: Path) -> None:
    """Write what the service would answer to each of *rows*, in an order of its own."""
    lines: list[str] = []
    for number, text in enumerate(texts_of(rows), 1):
        body = _body(text)
        response = {"status_code": 200, "request_id": f"req_{number}", "body": answer_body(CHAT, body, echo("", body))}
        line = {"id": f"batch_req_{number}", "custom_id": f"row-{number}", "response": response, "error": None}
        lines.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
    random.Random(1).shuffle(lines)
    path.write_text("".join(lines), encoding="utf-8")


def _write_batch(rows: Path, path: Path) -> None:
    with path.open("w", encoding="utf-8") as batch:
        for number, text in enumerate(texts_of(rows), 1):
            line = {"custom_id": f"row-{number}", "method": "POST", "url": CHAT, "body": _body(text)}
            batch.write(json.dumps(line) + "\n")


def _join(rows: Path, results: Path, path: Path) -> None:
    answers: dict[str, str] = {}
    with results.open(encoding="utf-8") as file:
        for line in file:
            result = json.loads(line)
            answers[result["custom_id"]] = result["response"]["body"]["choices"][0]["message"]["content"]
    with (
        rows.open(encoding="utf-8", newline="") as file,
        path.open("w", encoding="utf-8", newline="") as target,
    ):
        given, writer = csv.reader(file), csv.writer(target)
        writer.writerow([*next(given), "answer"])
        writer.writerows([*row, answers.get(f"row-{number}")] for number, row in enumerate(given, 1))


def _body(text: str) -> Object:
    return {"model": MODEL, "messages": [{"role": "user", "content": PROMPT + text}], **_PARAMETERS}
