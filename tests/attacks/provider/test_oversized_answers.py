"""Results that are larger than an answer can be: the other rows are there, and a row that was paid says so."""

import json
from pathlib import Path

import pytest
from aiohttp import web

from batchwright.core.bounds import MAX_LINE_BYTES
from batchwright.core.model import Request
from batchwright.providers.local.send import Sender
from batchwright.providers.local.target import RemoteEndpoint, Upstream
from tests.support.five_rows import only_batch, submitted
from tests.support.loopback import on_loopback
from tests.support.openai_server import OpenAIServer
from tests.support.session import in_memory, openai_environment

pytestmark = pytest.mark.anyio


def output_of(server: OpenAIServer) -> Path:
    """Give the path of the one output file."""
    return next(file.path for file in server.files.values() if file.filename.endswith("_output.jsonl"))


async def test_a_line_too_long_to_be_read_is_the_problem_of_its_row_alone(tmp_path: Path, server: OpenAIServer) -> None:
    """It was paid for, so it is not called one that never ran; the others are answered."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server))
        path = output_of(server)
        lines = path.read_bytes().splitlines()
        at = next(number for number, line in enumerate(lines) if b'"row-1"' in line)
        lines[at] = lines[at][:-1] + b', "more": "' + b"x" * MAX_LINE_BYTES + b'"}'
        path.write_bytes(b"\n".join(lines) + b"\n")
        for _ in range(2):
            await session.call("check_job", job_id=job_id)
        job = await session.finished(job_id)
        shown = await session.call("get_results", job_id=job_id, outcome="unconfirmed")

    assert (job["status"], job["counts"]) == ("completed", {"answered": 4, "unconfirmed": 1})
    assert "1 lines of the results cannot be read: they are too long, or damaged" in job["notes"][0]
    (row,) = shown["shown"]
    assert "answer_unreadable" in json.dumps(row)
    assert "never" not in json.dumps(row)


async def test_a_file_larger_than_what_was_asked_for_is_named_and_not_kept(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Five short rows were asked: so much cannot be their answers."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server))
        with output_of(server).open("r+b") as file:
            file.truncate(1 << 30)
        job = await session.call("check_job", job_id=job_id)

    assert "more than was asked for" in job["notes"][0]
    assert not list((tmp_path / "data" / "jobs" / job_id).glob("*output*"))


async def test_an_endpoint_that_answers_without_end_is_read_up_to_a_bound() -> None:
    """The row has failed, and the memory is kept."""

    async def flow(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(40):
            await answer.write(b" " * (1 << 20))
        return answer

    app = web.Application()
    app.router.add_post("/chat/completions", flow)
    async with (
        on_loopback(app) as url,
        Sender(RemoteEndpoint(Upstream(url, None), "m", 1), "/v1/chat/completions") as sender,
    ):
        line = await sender.answer(Request("a", {"model": "m", "messages": []}))

    assert line is not None
    assert "is not JSON" in line.body["error"]["message"]
