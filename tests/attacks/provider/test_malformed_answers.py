"""Answers of a provider that say less, more or other than they should: nothing paid is lost, nothing is paid twice."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stories.test_openai_jobs import change_output, output_of
from tests.support.five_rows import DRAFT, only_batch, submitted
from tests.support.openai_server import Object, OpenAIServer
from tests.support.session import LATE_AT_ONCE, Session, in_memory, openai_environment

pytestmark = pytest.mark.anyio

LOOKS = 8


async def looked_at(session: Session, job_id: str) -> Object:
    """Look at a job a few times, as somebody who waits for it does, and give it as it stands then."""
    job: Object = {"status": "running"}
    for _ in range(LOOKS):
        if job["status"] == "running":
            job = await session.call("check_job", job_id=job_id)
    return job


@pytest.mark.parametrize(
    ("old", "new", "answered"),
    [
        (b'"answer to', rb'"\ud83d answer to', "\ufffd answer to Say 0"),
        (b'"answer to', b'"\xff answer to', "\ufffd answer to Say 0"),
        (b'"answer to', b'"\x01 answer to', "\x01 answer to Say 0"),
        (b'"index":0', b'"index":NaN', "answer to Say 0"),
        (b'"index":0', b'"index":-Infinity', "answer to Say 0"),
        (b'"index":0', b'"index":1e999', "answer to Say 0"),
    ],
)
async def test_an_answer_in_json_that_is_not_quite_json_is_kept(
    tmp_path: Path, server: OpenAIServer, old: bytes, new: bytes, answered: str
) -> None:
    """Half an emoji at the end of an answer, or NaN for a number, is no reason to lose what all rows have cost."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server))
        change_line(output_of(server).path, b'"row-1"', lambda line: line.replace(old, new))
        job = await looked_at(session, job_id)
        results = await session.call("get_results", job_id=job_id, save_as="results.jsonl")

    saved = (tmp_path / "work" / "results.jsonl").read_text(encoding="utf-8")
    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})
    assert results["counts"] == {"answered": 5}
    assert json.loads(saved.splitlines()[0])["answer"] == answered


@pytest.mark.parametrize("line", [b"garbage", b'{"custom_id":"row-1","resp', b'{"a":' + b"[" * 5_000 + b"]" * 5_000])
async def test_a_line_that_nobody_can_read_keeps_no_other_from_being_read(
    tmp_path: Path, server: OpenAIServer, line: bytes
) -> None:
    """It is fetched again, as it may have been damaged on the way; what the provider always gives is all there is."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server))
        change_line(output_of(server).path, b'"row-1"', lambda _: line)
        first = await session.call("check_job", job_id=job_id)
        job = await looked_at(session, job_id)

    assert first["status"] == "running"
    assert "arrived incomplete" in first["notes"][0]
    assert (job["status"], job["counts"]) == ("completed", {"answered": 4, "unconfirmed": 1})
    assert "1 lines of the results cannot be read" in job["notes"][0]


def change_line(path: Path, mark: bytes, change: Callable[[bytes], bytes]) -> None:
    """Write the line with *mark* as *change* gives it back."""
    lines = [change(line) if mark in line else line for line in path.read_bytes().splitlines()]
    path.write_bytes(b"".join(line + b"\n" for line in lines))


@pytest.mark.slow
async def test_a_batch_that_names_its_output_only_after_its_end_loses_nothing(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Its answers are counted and paid: to call them lost, and to advise a retry, is to have them paid twice."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        batch = server.finish(only_batch(server))
        output_file_id, batch["output_file_id"] = batch["output_file_id"], None
        early = await looked_at(session, job_id)
        batch["output_file_id"] = output_file_id
        job = await looked_at(session, job_id)

    assert early["status"] == "running"
    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})


async def test_an_output_that_is_never_named_is_given_up_at_last(tmp_path: Path, server: OpenAIServer) -> None:
    """Some count as completed what only has been tried."""
    async with in_memory(openai_environment(tmp_path, server), waiting=LATE_AT_ONCE) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server))["output_file_id"] = None
        job = await looked_at(session, job_id)

    assert (job["status"], job["counts"]) == ("completed", {"unconfirmed": 5})


async def test_of_two_results_of_a_row_the_answer_counts(tmp_path: Path, server: OpenAIServer) -> None:
    """A server that tries again by itself may have written both down."""

    def failed_first(lines: list[Object]) -> list[Object]:
        response = {"status_code": 500, "request_id": "", "body": {"error": {"message": "try again"}}}
        return [{**line, "response": response} for line in lines] + lines

    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server))
        change_output(server, failed_first)
        job = await looked_at(session, job_id)

    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})
    assert "5 results come a second time" in job["notes"][0]


@pytest.mark.parametrize(
    "fields",
    [
        {"usage": [{"model": "gpt-5-mini", "input_tokens": 5}]},
        {"usage": "none"},
        {"usage": {"input_tokens": -1, "output_tokens": 2.5}},
        {"request_counts": "5/5"},
        {"request_counts": {"total": "5", "completed": "5", "failed": None}},
        {"request_counts": {"total": -1, "completed": -1, "failed": -1}},
        {"request_counts": {"total": 5, "completed": 2**70, "failed": []}},
        {"note": {"text": "thank you"}},
        {"metadata": {"batchwright_part": 1, "more": None}},
        {"errors": {"data": [{"code": "c\ud83d", "message": "half \ud83d", "param": "p\ud83d", "line": "x"}]}},
        {"status": "Completed"},
    ],
    ids=str,
)
async def test_a_batch_with_a_field_of_another_shape_gives_its_results(
    tmp_path: Path, server: OpenAIServer, fields: Object
) -> None:
    """What it says besides is no reason never to fetch what was paid for."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server)).update(fields)
        job = await looked_at(session, job_id)

    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})


async def test_a_cancellation_that_nobody_confirmed_is_asked_for_again(tmp_path: Path, server: OpenAIServer) -> None:
    """An error may come with a good status; the batch would run on, at the user's cost and against their word."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.step(only_batch(server))
        server.faults.add("batches.cancel", "no_id_before")
        await session.call("cancel_job", job_id=job_id)
        await session.call("check_job", job_id=job_id)

    assert server.batches[only_batch(server)]["status"] == "cancelling"


async def test_a_list_that_is_none_does_not_say_that_nothing_runs(tmp_path: Path, server: OpenAIServer) -> None:
    """Of a journal that was lost only the provider knows what is paid already."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        await submitted(session)
    shutil.rmtree(tmp_path / "data")
    async with in_memory(openai_environment(tmp_path, server)) as session:
        again = (await session.call("create_batch_file", **DRAFT))["job_id"]
        server.faults.add("batches.list", "no_id")
        refused = await session.error("submit_job", job_id=again, max_cost_usd=0.5)
        frozen = await session.error("submit_job", job_id=again, max_cost_usd=0.5)

    assert "Nothing was submitted. Try again." in refused
    assert "from a lost journal of this machine" in frozen
    assert server.posts == 1


@pytest.mark.parametrize("schema", [{}, {"type": "object", "properties": {"a": {"type": "string"}}}])
async def test_a_trial_whose_answers_end_in_half_a_character_is_shown(
    tmp_path: Path, server: OpenAIServer, schema: dict[str, Any]
) -> None:
    """It is paid, and no form of JSON takes what a model cut in two."""
    message = {"role": "assistant", "content": '{"a": "half \ud83d"}' if schema else "half \ud83d"}
    answer: Object = {"choices": [{"message": message}], "usage": {"prompt_tokens": 4, "completion_tokens": 4}}
    server.answer = lambda _id, _body: answer
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("create_batch_file", **DRAFT, output_schema=schema))["job_id"]
        tried = await session.call("try_requests", job_id=job_id)

    expected = {"a": "half \ufffd"} if schema else "half \ufffd"
    assert [row["answer"] for row in tried["rows"]] == [expected] * 3
