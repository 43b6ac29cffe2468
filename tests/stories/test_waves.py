"""Jobs larger than what a provider lets be enqueued: split, sent in waves, and ended by nobody's call."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from tests.support.openai_server import OpenAIServer, running_openai
from tests.support.session import HURRIED, Session, in_memory, openai_environment
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

DIGITS = "1234567890" * 300
"""About 1,000 tokens as we count, three digits each, and 800 as the server does."""
DRAFT: dict[str, Any] = {
    "prompt": "{{text}}",
    "model": "gpt-5-mini",
    "parameters": {"max_completion_tokens": 100},
}


def rows(count: int, text: str = DIGITS) -> list[dict[str, str]]:
    """Give so many rows of about 1,000 tokens, each another one."""
    return [{"text": f"{number} {text}"} for number in range(count)]


@pytest.fixture
async def server() -> AsyncGenerator[OpenAIServer]:
    """Run a server with OpenAI's API whose batches move on at each look."""
    async with running_openai(automatic=True) as server:
        yield server


async def submitted(session: Session, draft: dict[str, Any]) -> str:
    """Draft and submit a job, and give its id."""
    job_id = (await session.call("create_batch_file", **draft))["job_id"]
    await session.call("submit_job", job_id=job_id)
    return job_id


async def completed(server: OpenAIServer, requests: int) -> None:
    """Wait, without a call to anybody, until so many requests were answered and their results fetched."""

    async def enough() -> bool:
        done = [batch for batch in server.batches.values() if batch["status"] == "completed"]
        fetched = all(server.requests[f"GET /v1/files/{batch['output_file_id']}/content"] for batch in done)
        return fetched and sum(batch["request_counts"]["total"] for batch in done) == requests

    await until(enough)


def failed(server: OpenAIServer) -> int:
    """Count the batches that the server refused."""
    return sum(batch["status"] == "failed" for batch in server.batches.values())


@pytest.mark.slow
async def test_a_job_larger_than_the_limit_is_split_and_ends_by_itself(tmp_path: Path, server: OpenAIServer) -> None:
    """The most reported pain of all: nobody has to know the limit, count tokens, or come back to send the rest."""
    server.enqueued_limit = 3_000
    async with in_memory(
        openai_environment(tmp_path, server, poll_seconds="0.2", max_day_usd="0.01"), waiting=HURRIED
    ) as session:
        job_id = await submitted(session, DRAFT | {"rows": rows(8)})
        await completed(server, 8)
        job = await session.finished(job_id)
        results = await session.call("get_results", job_id=job_id, limit=10)

    assert (job["status"], job["counts"]) == ("completed", {"answered": 8})
    assert [row["answer"][10:12] for row in results["shown"]] == [f"{number} " for number in range(8)]
    assert failed(server) == 1
    assert server.posts == server.uploads == 9


@pytest.mark.parametrize(
    ("changes", "limit", "parts"),
    [
        ({"rows": rows(8)}, 3_000, 8),
        (
            {"rows": rows(8, ""), "model": "text-embedding-3-small", "endpoint": "/v1/embeddings", "parameters": {}},
            5,
            4,
        ),
    ],
    ids=["tokens", "requests"],
)
async def test_a_limit_that_was_told_once_is_used_by_the_next_draft(
    tmp_path: Path, server: OpenAIServer, changes: dict[str, Any], limit: int, parts: int
) -> None:
    """No interface tells the limit but the text of the refusal; embeddings have one of requests."""
    server.enqueued_limit = limit
    async with in_memory(openai_environment(tmp_path, server)) as session:
        first = await session.call("create_batch_file", **DRAFT | changes)
        job = await session.call("submit_job", job_id=first["job_id"], max_cost_usd=5)
        second = await session.call("create_batch_file", **DRAFT | changes)

    assert (first["parts"], second["parts"]) == (1, parts)
    assert (job["status"], sum(job["counts"].values())) == ("running", 8)
    assert all(note.startswith("it waits until earlier batches have ended") for note in job["notes"])


@pytest.mark.slow
async def test_the_limit_that_the_operator_named_is_never_run_into(tmp_path: Path, server: OpenAIServer) -> None:
    """Who knows the limit has no refused batch at all."""
    server.enqueued_limit = 3_000
    env = openai_environment(tmp_path, server, poll_seconds="0.2", enqueued_tokens="3_000")
    async with in_memory(env) as session:
        draft = await session.call("create_batch_file", **DRAFT, rows=rows(8))
        submitted = await session.call("submit_job", job_id=draft["job_id"], max_cost_usd=5)
        await completed(server, 8)
        job = await session.finished(draft["job_id"])

    assert draft["parts"] == 8
    assert "it waits until earlier batches have ended" in submitted["notes"][0]
    assert "3,000 tokens of gpt-5-mini" in submitted["notes"][0]
    assert job["counts"] == {"answered": 8}
    assert failed(server) == 0
    assert server.posts == 8


@pytest.mark.slow
async def test_embeddings_are_enqueued_by_their_inputs(tmp_path: Path, server: OpenAIServer) -> None:
    """A request with several inputs counts as several."""
    server.enqueued_limit = 3
    env = openai_environment(tmp_path, server, poll_seconds="0.2", enqueued_tokens="3")
    draft = {"prompt": "{{text}}", "model": "text-embedding-3-small", "endpoint": "/v1/embeddings"}
    async with in_memory(env) as session:
        job_id = await submitted(session, draft | {"rows": rows(5, "")})
        waiting = await session.call("check_job", job_id=job_id)
        await completed(server, 5)
        job = await session.finished(job_id)

    assert "3 inputs of text-embedding-3-small" in waiting["notes"][0]
    assert job["counts"] == {"answered": 5}
    assert failed(server) == 0


async def test_a_limit_that_the_operator_takes_for_too_high_gives_way_to_what_the_provider_says(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Tiers change: the provider's own word is the newer one."""
    server.enqueued_limit = 3_000
    async with in_memory(openai_environment(tmp_path, server, enqueued_tokens="900_000")) as session:
        await submitted(session, DRAFT | {"rows": rows(8)})
        second = await session.call("create_batch_file", **DRAFT, rows=rows(8))

    assert second["parts"] == 8


@pytest.mark.slow
async def test_two_jobs_of_one_model_share_its_limit_and_another_model_has_its_own(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """The provider counts by model, whatever job a batch is of."""
    server.enqueued_limit, server.automatic = 3_000, False
    env = openai_environment(tmp_path, server, poll_seconds="0.2", enqueued_tokens="3_000")
    async with in_memory(env) as session:
        first = await submitted(session, DRAFT | {"rows": rows(2)})
        second = await submitted(session, DRAFT | {"rows": rows(2), "prompt": "Say {{text}}"})
        other = await submitted(session, DRAFT | {"rows": rows(2), "model": "gpt-4.1-mini"})
        waiting = await session.call("check_job", job_id=second)
        posts = server.posts
        server.automatic = True
        await completed(server, 6)
        jobs = [await session.finished(job_id) for job_id in (first, second, other)]

    assert posts == 4
    assert waiting["counts"] == {"running": 2}
    assert "it waits until earlier batches have ended" in waiting["notes"][0]
    assert [job["counts"] for job in jobs] == [{"answered": 2}] * 3
    assert failed(server) == 0


async def test_a_provider_that_counts_more_than_we_do_gets_smaller_parts(tmp_path: Path, server: OpenAIServer) -> None:
    """Short rows are four times as much there: parts that seem to fit are refused, and halved until they do fit."""
    server.enqueued_limit = 100
    async with in_memory(openai_environment(tmp_path, server, poll_seconds="0.1"), waiting=HURRIED) as session:
        job_id = await submitted(session, DRAFT | {"rows": rows(5, "")})
        sums: set[int] = set()

        async def done() -> bool:
            job = await session.call("check_job", job_id=job_id)
            sums.add(sum(job["counts"].values()))
            return job["status"] == "completed"

        await until(done)
        job = await session.call("check_job", job_id=job_id)

    assert job["counts"] == {"answered": 5}
    assert sums == {5}
    assert server.batches_created - failed(server) >= 3


async def test_a_single_request_above_the_limit_comes_to_an_end(tmp_path: Path, server: OpenAIServer) -> None:
    """It will never fit: to send it again and again for ever helps nobody."""
    server.enqueued_limit = 500
    async with in_memory(openai_environment(tmp_path, server, poll_seconds="0.1"), waiting=HURRIED) as session:
        job_id = await submitted(session, DRAFT | {"rows": rows(1)})
        job = await session.finished(job_id, 4)

    assert (job["status"], job["counts"]) == ("failed", {"never_ran": 1})
    assert "Limit: 500 enqueued tokens" in str(job.get("notes", "")) + str(job.get("problems", ""))
    assert server.posts < 20


async def test_parts_that_wait_are_never_sent_once_their_job_is_cancelled(tmp_path: Path, server: OpenAIServer) -> None:
    """What is not enqueued costs nothing; its rows are told that they never ran, and why."""
    server.automatic = False
    async with in_memory(openai_environment(tmp_path, server, enqueued_tokens="3_000")) as session:
        job_id = await submitted(session, DRAFT | {"rows": rows(4)})
        await session.call("cancel_job", job_id=job_id)
        for batch_id in list(server.batches):
            server.finish(batch_id, "cancelled", answered=1)
        job = await session.finished(job_id)
        results = await session.call("get_results", job_id=job_id, outcome="never_ran")

    assert server.posts == 2
    assert (job["status"], job["counts"]) == ("cancelled", {"answered": 2, "never_ran": 2})
    assert all(row.get("problem") for row in results["shown"])


async def test_a_job_goes_on_when_the_server_was_away_at_a_batchs_end(tmp_path: Path, server: OpenAIServer) -> None:
    """Laptops sleep: the next start fetches what ended meanwhile, and sends the next wave, without being asked."""
    server.automatic = False
    env = openai_environment(tmp_path, server, poll_seconds="0.2", enqueued_tokens="3_000")
    async with in_memory(env) as session:
        job_id = await submitted(session, DRAFT | {"rows": rows(4)})
    first_wave = list(server.batches)
    for batch_id in first_wave:
        server.finish(batch_id)
    server.automatic = True
    async with in_memory(env) as session:
        await completed(server, 4)
        job = await session.finished(job_id)

    assert len(first_wave) == 2
    assert (job["counts"], server.posts) == ({"answered": 4}, 4)


@pytest.mark.slow
async def test_what_was_reserved_for_a_part_is_reserved_for_its_pieces(tmp_path: Path, server: OpenAIServer) -> None:
    """A split changes no sum: neither can another job take the money meanwhile, nor is any of it lost at the end."""
    server.enqueued_limit = 3_000
    env = openai_environment(tmp_path, server, poll_seconds="0.2", max_day_usd="9", ask_above_usd="9")
    dear = DRAFT | {"rows": rows(8), "parameters": {"max_completion_tokens": 1_000_000}}
    async with in_memory(env, waiting=HURRIED) as session:
        other = await session.call("create_batch_file", **dear | {"prompt": "Say {{text}}"})
        job_id = await submitted(session, dear)

        async def split() -> bool:
            return server.posts > 2

        await until(split)
        refused = await session.error("submit_job", job_id=other["job_id"])
        await completed(server, 8)
        job = await session.finished(job_id)
        accepted = await session.call("submit_job", job_id=other["job_id"])

    assert "All jobs together may cost $9.00" in refused
    assert job["cost"].startswith("$0.0")
    assert accepted["status"] == "running"
