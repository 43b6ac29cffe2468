"""A real server process: killed, shared, fed with garbage."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from tests.support.endpoint import Endpoint, running_endpoint
from tests.support.session import MODES, Mode, Session, environment, over_stdio
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

ROWS = 300


def write_rows(tmp_path: Path, rows: int) -> dict[str, str]:
    """Write a source with so many rows, and give the arguments of a draft over it."""
    (tmp_path / "work").mkdir()
    lines = "".join(f"id{number},row {number}\n" for number in range(rows))
    (tmp_path / "work" / "rows.csv").write_text("id,text\n" + lines, encoding="utf-8")
    return {"source": "rows.csv", "prompt": "{{text}}", "model": "m", "id_column": "id"}


async def seen(endpoint: Endpoint, requests: int) -> None:
    """Wait until so many requests came to the endpoint."""

    async def enough() -> bool:
        return endpoint.seen.total() >= requests

    await until(enough)


@pytest.mark.parametrize("mode", MODES)
async def test_a_server_killed_in_the_middle_loses_nothing_and_sends_nothing_twice(tmp_path: Path, mode: Mode) -> None:
    """Laptops die. The next start goes on by itself, with every finished answer kept."""
    draft = write_rows(tmp_path, ROWS)
    pid_file = tmp_path / "pid"
    async with running_endpoint(seconds=0.02) as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url, concurrency="8")
        job_id = await submitted_and_killed(env, mode, draft, pid_file, endpoint, after=ROWS // 3)
        kept = output_lines(tmp_path)
        async with over_stdio(env, mode) as session:
            # Nobody asks for the job: the server itself goes on.
            await seen(endpoint, ROWS)
            job = await session.finished(job_id)
            results = await session.call("get_results", job_id=job_id, save_as="out.jsonl")

    assert 0 < len(kept) < ROWS
    assert (job["status"], job["counts"]) == ("completed", {"answered": ROWS})
    assert results["rows"] == ROWS
    saved = [json.loads(line) for line in (tmp_path / "work" / "out.jsonl").read_text().splitlines()]
    assert [(row["id"], row["answer"]) for row in saved] == [(f"id{n}", f"answer to row {n}") for n in range(ROWS)]
    assert max(Counter(output_lines(tmp_path)).values()) == 1
    finished_before = {f"row {custom_id.removeprefix('id')}" for custom_id in kept}
    assert not [text for text, times in endpoint.seen.items() if times > 1 and text in finished_before]


async def submitted_and_killed(
    env: dict[str, str], mode: Mode, draft: dict[str, str], pid_file: Path, endpoint: Endpoint, *, after: int
) -> str:
    """Submit a job to a server process, and kill that when so many requests came; give the job's id."""
    job_ids: list[str] = []
    try:
        async with over_stdio(env, mode, pid_file=pid_file) as session:
            job_ids.append((await session.call("create_batch_file", **draft))["job_id"])
            await session.call("submit_job", job_id=job_ids[0])
            await seen(endpoint, after)
            psutil.Process(int(pid_file.read_text())).kill()
            await session.call("list_jobs")
    except Exception as error:  # noqa: BLE001  # however the SDK says that the server is gone
        assert job_ids, error  # noqa: PT017  # the kill came, not something before it
    return job_ids[0]


def output_lines(tmp_path: Path) -> list[str]:
    """Give the custom_ids of the answers that the engine wrote down."""
    (output,) = (tmp_path / "data" / "engine" / "batches").glob("*/output.jsonl")
    return [json.loads(line)["custom_id"] for line in output.read_text().splitlines() if line.endswith("}")]


@pytest.mark.slow
async def test_two_servers_share_one_journal(tmp_path: Path) -> None:
    """Claude Desktop and Claude Code may both be open: one job is one job."""
    draft = write_rows(tmp_path, 40)
    async with running_endpoint(seconds=0.01) as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url)
        async with over_stdio(env) as first, over_stdio(env, "legacy") as second:
            job_id = (await first.call("create_batch_file", **draft))["job_id"]

            async def submit(session: Session) -> None:
                await session.call("submit_job", job_id=job_id)

            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(submit, first)
                    tasks.start_soon(submit, second)
            job = await second.finished(job_id)
            files = await first.call("list_files")

    assert job["counts"] == {"answered": 40}
    assert set(endpoint.seen.values()) == {1}
    assert files["total"] == 2


@pytest.mark.slow
async def test_a_job_goes_on_when_its_conversation_ends_and_the_next_begins(tmp_path: Path) -> None:
    """The client may close the pipe at any time."""
    draft = write_rows(tmp_path, 30)
    async with running_endpoint(seconds=0.02) as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url, concurrency="2")
        async with over_stdio(env) as session:
            job_id = (await session.call("create_batch_file", **draft))["job_id"]
            await session.call("submit_job", job_id=job_id)
            await seen(endpoint, 5)
        async with over_stdio(env) as session:
            job = await session.finished(job_id)

    assert job["counts"] == {"answered": 30}


@pytest.mark.slow
async def test_garbage_on_standard_input_breaks_nothing(tmp_path: Path) -> None:
    """The next call works, and standard output holds protocol only."""
    env = {**os.environ, **environment(tmp_path)}
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
    lines = [
        b"not json",
        b"\x00\xff\xfe",
        b'{"jsonrpc": "2.0", "id": 1}',
        json.dumps({"jsonrpc": "2.0", "id": 2, "method": "initialize", "params": hello}).encode(),
        b'{"jsonrpc": "2.0", "method": "notifications/initialized"}',
        b"{" * 100_000,
        b'{"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "list_jobs", "arguments": {}}}',
    ]
    process = await anyio.open_process([sys.executable, "-m", "batchwright"], env=env, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    assert process.stdout is not None
    answers: list[dict[str, Any]] = []
    with anyio.fail_after(60):
        await process.stdin.send(b"\n".join(lines) + b"\n")
        buffer = b""
        while not any(answer.get("id") == 3 for answer in answers):
            buffer += await process.stdout.receive()
            *whole, buffer = buffer.split(b"\n")
            answers += [json.loads(line) for line in whole]
        await process.stdin.aclose()
        await process.wait()
    await process.aclose()

    (answer,) = [answer for answer in answers if answer.get("id") == 3]
    assert answer["result"]["structuredContent"]["total"] == 0
    assert all(answer["jsonrpc"] == "2.0" for answer in answers)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("BATCHWRIGHT_ENDPOINT", "localhost:1", "BATCHWRIGHT_ENDPOINT is not an http or https address."),
        ("BATCHWRIGHT_ENDPOINT_KEY", "sk-a b", "BATCHWRIGHT_ENDPOINT_KEY holds a space"),
        ("BATCHWRIGHT_SPEED", "9", "BATCHWRIGHT_SPEED is not a setting."),
    ],
)
def test_a_wrong_setting_is_said_at_the_start(tmp_path: Path, name: str, value: str, told: str) -> None:
    """Not at the first call, hours later; and without a traceback or the key."""
    env = {**os.environ, **environment(tmp_path), name: value}
    done = subprocess.run(
        [sys.executable, "-m", "batchwright"], env=env, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert "sk-a" not in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
async def test_a_draft_that_was_cut_off_leaves_nothing_behind(tmp_path: Path) -> None:
    """A killed server cannot clean up after itself; the next one does, and leaves alone what is being written."""
    cut_off = tmp_path / "data" / "jobs" / "job_cut"
    cut_off.mkdir(parents=True)
    (cut_off / "lock").touch()
    (cut_off / "part-0001.jsonl").write_text("half a li", encoding="utf-8")
    draft = write_rows(tmp_path, 3)
    async with running_endpoint() as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url)
        async with over_stdio(env) as session:
            job_id = (await session.call("create_batch_file", **draft))["job_id"]
        async with over_stdio(env) as session:

            async def cleaned() -> bool:
                await session.call("list_jobs")
                return not cut_off.exists()

            await until(cleaned)
            job = await session.call("submit_job", job_id=job_id)

    assert job["rows"] == 3
