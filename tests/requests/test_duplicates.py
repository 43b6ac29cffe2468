"""Identical requests of one job: sent once, and their answer joined to every row that asked the same."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.core.job_folder import JobFolder
from batchwright.core.jsonl import decode_request, whole_lines
from batchwright.core.model import Recipe, Result
from batchwright.jobs.build import Draft, draft
from batchwright.results.table import ResultTable
from batchwright.tables.rows import write_rows
from tests.jobs.test_build import plan
from tests.jobs.test_retry import looked_at
from tests.support.five_rows import newest
from tests.support.openai_server import Object, OpenAIServer
from tests.support.results import write_results
from tests.support.session import MODES, Mode, Session, in_memory, openai_environment
from tests.support.unknown_batches import lose_the_journal

pytestmark = pytest.mark.anyio

DRAFT: dict[str, Any] = {
    "prompt": "Say {{word|lower}}",
    "model": "gpt-5-mini",
    "parameters": {"max_completion_tokens": 400},
    "deduplicate": True,
}
WORDS = ["One", "ONE", "two", "one", "three", "Two"]
"""Three different requests, once the prompt has made them lower."""


def rows(words: Sequence[str]) -> list[dict[str, Any]]:
    """Give a row for each word."""
    return [{"n": number, "word": word} for number, word in enumerate(words)]


def sent(server: OpenAIServer) -> list[str]:
    """Give what the requests of all batches say, in order."""
    return [
        decode_request(line).body["messages"][-1]["content"]
        for batch in server.batches.values()
        for line in whole_lines([server.files[batch["input_file_id"]].path.read_bytes()])
    ]


async def submitted(session: Session, words: Sequence[str] = WORDS, **changes: Any) -> dict[str, Any]:
    """Draft and submit a job, and give its draft."""
    made = await session.call("create_batch_file", **DRAFT | {"rows": rows(words)} | changes)
    await session.call("submit_job", job_id=made["job_id"], max_cost_usd=0.5)
    return made


async def answers(session: Session, tmp_path: Path, job_id: str) -> list[dict[str, Any]]:
    """Give all joined rows, as they are saved."""
    await session.call("get_results", job_id=job_id, save_as="out.jsonl", overwrite=True)
    return [json.loads(line) for line in (tmp_path / "work" / "out.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
async def test_of_two_thousand_rows_each_different_request_is_sent_once_and_every_row_has_its_answer(
    tmp_path: Path, server: OpenAIServer, mode: Mode
) -> None:
    """Half of all real data repeats; what is paid for is what is asked, and no row goes without."""
    words = [f"Word {number * number % 997}" for number in range(2_000)]
    distinct = list(dict.fromkeys(f"Say {word.lower()}" for word in words))
    repeated = len(words) - len(distinct)
    async with in_memory(openai_environment(tmp_path, server), mode) as session:
        made = await submitted(session, words)
        running = await looked_at(session, made["job_id"])
        server.finish(newest(server))
        job = await looked_at(session, made["job_id"])
        found = await answers(session, tmp_path, made["job_id"])

    assert (made["rows"], made["requests"]) == (2_000, len(distinct))
    assert f"{repeated:,} of 2,000 rows repeat another row's request: they are sent once" in made["warnings"][0]
    assert sent(server) == distinct
    assert running["counts"] == {"running": 2_000}
    assert (job["status"], job["counts"]) == ("completed", {"answered": 2_000})
    assert [(row["n"], row["word"], row["answer"]) for row in found] == [
        (number, word, f"answer to Say {word.lower()}") for number, word in enumerate(words)
    ]


async def test_what_is_counted_and_agreed_to_is_only_what_is_sent(tmp_path: Path, server: OpenAIServer) -> None:
    """The saving is the point: it shows in tokens, in the cost and in the question."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        once = await session.call("create_batch_file", **DRAFT, rows=rows(WORDS))
        each = await session.call("create_batch_file", **DRAFT | {"deduplicate": False}, rows=rows(WORDS))
        none = await session.call("create_batch_file", **DRAFT, rows=rows(["one", "two"]))

    assert (once["requests"], each["requests"]) == (3, 6)
    assert once["input_tokens"] < each["input_tokens"]
    assert once["output_tokens_at_most"] == 1200
    assert "\n".join(once["warnings"]) == (
        "3 of 6 rows repeat another row's request: they are sent once, and each row gets its answer. "
        "Saves about 50% of the input tokens."
    )
    assert "warnings" not in each
    assert none["warnings"] == ["No row repeats another row's request: deduplicate saves nothing here."]


async def test_ids_of_the_user_stay_with_their_rows(tmp_path: Path, server: OpenAIServer) -> None:
    """The id names the row; that its request goes under another one is nobody's concern."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        made = await submitted(session, id_column="n")
        server.finish(newest(server))
        await looked_at(session, made["job_id"])
        found = await answers(session, tmp_path, made["job_id"])

    assert [(row["n"], row["answer"]) for row in found] == [
        (number, f"answer to Say {word.lower()}") for number, word in enumerate(WORDS)
    ]


@pytest.mark.slow
async def test_a_retry_sends_each_different_request_that_failed_once(tmp_path: Path, server: OpenAIServer) -> None:
    """All rows of a failed request failed, and one request answers them all; the others are not paid again."""

    def answer(_id: str, body: Object) -> str | tuple[int, Object]:
        text = body["messages"][-1]["content"]
        return text if text == "Say three" else (400, {"error": {"message": "no"}})

    server.answer = answer
    async with in_memory(openai_environment(tmp_path, server)) as session:
        made = await submitted(session)
        server.finish(newest(server))
        failed = await looked_at(session, made["job_id"])
        retry = await session.call("retry_job", job_id=made["job_id"])
        drafted = await looked_at(session, made["job_id"])
        await session.call("submit_job", job_id=made["job_id"])
        running = await looked_at(session, made["job_id"])
        server.answer = lambda _id, body: f"again {body['messages'][-1]['content']}"
        server.finish(newest(server))
        job = await looked_at(session, made["job_id"])
        found = await answers(session, tmp_path, made["job_id"])

    assert failed["counts"] == {"answered": 1, "failed": 5}
    assert (retry["rows"], retry["requests"]) == (6, 2)
    assert "A retry of 2 requests is drafted; submit_job sends it." in drafted["notes"]
    assert running["counts"] == {"answered": 1, "running": 5}
    assert sent(server) == ["Say one", "Say two", "Say three", "Say one", "Say two"]
    assert job["counts"] == {"answered": 6}
    assert [row["answer"] for row in found] == [
        *("again Say one", "again Say one", "again Say two", "again Say one", "Say three", "again Say two")
    ]


async def test_a_retry_whose_prompt_tells_the_rows_apart_is_refused(tmp_path: Path, server: OpenAIServer) -> None:
    """One answer for rows that now ask different things would be a wrong one for all but the first."""
    server.answer = lambda _id, _body: (400, {"error": {"message": "no"}})
    async with in_memory(openai_environment(tmp_path, server)) as session:
        made = await submitted(session)
        server.finish(newest(server))
        await looked_at(session, made["job_id"])
        refused = await session.error("retry_job", job_id=made["job_id"], prompt="Say {{word}}")
        changed = await session.call("retry_job", job_id=made["job_id"], prompt="Tell {{word|lower}}")

    assert refused.startswith("Rows 1 and 2 share one request, and with this prompt their requests would differ.")
    assert changed["requests"] == 3


@pytest.mark.slow
async def test_a_retry_that_did_not_run_leaves_what_was_known_before(tmp_path: Path, server: OpenAIServer) -> None:
    """A retry is seen by its requests, which are fewer than the rows: why a row failed is not forgotten."""
    server.answer = lambda _id, _body: (400, {"error": {"message": "no"}})
    async with in_memory(openai_environment(tmp_path, server)) as session:
        made = await submitted(session)
        server.finish(newest(server), "expired", answered=1)
        first = await looked_at(session, made["job_id"])
        await session.call("retry_job", job_id=made["job_id"])
        await session.call("submit_job", job_id=made["job_id"])
        server.finish(newest(server), "expired", answered=0)
        second = await looked_at(session, made["job_id"])

    assert first["counts"] == second["counts"] == {"failed": 3, "expired": 3}


@pytest.mark.parametrize(("outcome", "rest"), [("expired", "expired"), ("cancelled", "never_ran")])
async def test_a_batch_that_ended_early_leaves_all_rows_of_a_request_open(
    tmp_path: Path, server: OpenAIServer, outcome: Any, rest: str
) -> None:
    """Partial output is kept for every row that it answers; the sum is the rows."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        made = await submitted(session)
        server.finish(newest(server), outcome, answered=1)
        job = await looked_at(session, made["job_id"])
        found = await answers(session, tmp_path, made["job_id"])

    assert job["counts"] == {"answered": 3, rest: 3}
    assert [row["answer"] for row in found] == [
        *("answer to Say one", "answer to Say one", None, "answer to Say one", None, None)
    ]


async def test_a_running_job_counts_rows_by_the_share_of_requests_that_are_done(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Which rows have their answer is known only when it is read: until then it is said how they are counted."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        made = await submitted(session)
        server.step(newest(server))
        server.batches[newest(server)]["request_counts"] = {"total": 3, "completed": 1, "failed": 1}
        await looked_at(session, made["job_id"])
        job = await looked_at(session, made["job_id"])

    assert job["counts"] == {"answered": 2, "failed": 2, "running": 2}
    assert "Rows share requests: until then rows are estimated from the finished requests." in job["notes"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
async def test_a_lost_journal_restores_which_rows_share_a_request(
    tmp_path: Path, server: OpenAIServer, mode: Mode
) -> None:
    """The job's folder knows it; nothing is sent again, and every row has its answer."""
    env = openai_environment(tmp_path, server)
    async with in_memory(env, mode) as session:
        done = await submitted(session)
        server.finish(newest(server), "expired", answered=2)
        await looked_at(session, done["job_id"])
        running = await submitted(session, prompt="Tell {{word|lower}}")
    lose_the_journal(tmp_path)
    server.finish(newest(server))
    async with in_memory(env, mode) as session:
        first = await session.finished(done["job_id"])
        second = await session.finished(running["job_id"])
        retry = await session.call("retry_job", job_id=done["job_id"])
        found = await answers(session, tmp_path, running["job_id"])

    assert first["counts"] == {"answered": 5, "expired": 1}
    assert second["counts"] == {"answered": 6}
    assert retry["requests"] == 1
    assert [row["answer"] for row in found] == [f"answer to Tell {word.lower()}" for word in WORDS]
    assert server.posts == 2


async def test_the_same_data_is_known_again_with_and_without_its_repeats(tmp_path: Path, server: OpenAIServer) -> None:
    """Whoever would pay for it again is told; data with one more repeat is other data."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        made = await submitted(session)
        same = await session.call("create_batch_file", **DRAFT | {"deduplicate": False}, rows=rows(WORDS))
        more = await session.call("create_batch_file", **DRAFT, rows=rows([*WORDS, "one"]))

    assert f"were run before, as {made['job_id']}" in same["warnings"][-1]
    assert more["requests"] == made["requests"]
    assert not any("were run before" in warning for warning in more["warnings"])


async def test_embeddings_are_joined_too_and_a_ready_made_file_is_sent_as_it_is(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """A file's lines are the user's own; a text that comes twice has one vector."""
    line = {"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"model": "m", "input": "x"}}
    embedding: dict[str, Any] = {"model": "text-embedding-3-small", "endpoint": "/v1/embeddings", "parameters": {}}
    async with in_memory(openai_environment(tmp_path, server)) as session:
        (tmp_path / "work" / "made.jsonl").write_text(json.dumps(line) + "\n")
        refused = await session.error("create_batch_file", batch_file="made.jsonl", deduplicate=True)
        made = await submitted(session, **embedding)
        server.finish(newest(server))
        job = await looked_at(session, made["job_id"])
        found = await answers(session, tmp_path, made["job_id"])

    assert refused == "A ready-made batch_file is sent line by line, unchanged. Leave deduplicate out."
    assert (made["requests"], job["counts"]) == (3, {"answered": 6})
    assert [row["embedding"] for row in found] == [[0.5, float(len(f"Say {word}"))] for word in WORDS]


def made(path: Path, words: Sequence[str | None], *, deduplicate: bool) -> Draft:
    """Draft a job of a row for each word."""
    path.mkdir()
    rows = JobFolder(path).inline_rows
    write_rows([{"text": word} for word in words], rows)
    planned = plan(rows, prompt="Label {{text|trim|lower}}")
    return draft(replace(planned, deduplicate=deduplicate))


def joined(path: Path, found: Draft) -> Sequence[Any]:
    """Answer each request with what it asks, and give the rows with their answers."""
    folder = JobFolder(path)
    requests = [
        decode_request(line) for part in found.job.parts for line in whole_lines([folder.requests(part).read_bytes()])
    ]
    results = [Result(each.custom_id, "answered", text=each.body["messages"][-1]["content"]) for each in requests]
    recipe = Recipe("/v1/chat/completions", "m", "p")
    write_results(reversed(results), folder.results, recipe, folder.frozen)
    table = ResultTable(folder.frozen, folder.results, found.job.source.columns, recipe, ended=True)
    return table.rows(outcome=None, offset=0, limit=100).rows


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(words=st.lists(st.none() | st.text("aA bé\n", max_size=3), min_size=1, max_size=20))
def test_the_answers_of_a_deduplicated_job_are_those_of_the_same_job_without(
    tmp_path_factory: pytest.TempPathFactory, words: list[str | None]
) -> None:
    """Whatever the rows: joined, nobody can tell that less was sent."""
    folder = tmp_path_factory.mktemp("jobs")

    once = made(folder / "job_a", words, deduplicate=True)
    asked_once = joined(folder / "job_a", once)
    (folder / "job_a").rename(folder / "once")
    each = made(folder / "job_a", words, deduplicate=False)
    asked_each = joined(folder / "job_a", each)

    different = len({(word or "").strip().lower() for word in words})
    assert asked_once == asked_each
    assert sum(part.requests for part in once.job.parts) == different
    assert once.job.source.requests == (different if different < len(words) else None)
    assert once.job.sha256 == each.job.sha256
