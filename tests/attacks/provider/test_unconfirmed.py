"""Rows that may have been paid for, and whose answers cannot be had: never "never ran", and left only by the user."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.five_rows import DRAFT, submitted
from tests.support.openai_server import OpenAIServer
from tests.support.session import LATE_AT_ONCE, Session, User, in_memory, openai_environment

pytestmark = pytest.mark.anyio

WAVES = "70"
"""Enqueued tokens with which the rows make parts of three and two."""


async def looked_at(session: Session, job_id: str, times: int = 5) -> dict[str, Any]:
    """Look at a job some times."""
    for _ in range(times):
        await session.call("check_job", job_id=job_id)
    return await session.call("check_job", job_id=job_id)


async def leave(session: Session, job_id: str, how: str) -> dict[str, Any]:
    """Cancel a job, or give it up."""
    if how == "cancel_job":
        return await session.call("cancel_job", job_id=job_id)
    return await session.call("submit_job", job_id=job_id, user_says="give_up")


def content_broken(server: OpenAIServer, times: int = 500) -> None:
    """Have each content of a file answered with HTTP 500."""
    server.faults.add("files.content", "500_before", times=times)


async def test_answers_that_a_cancelled_batch_counts_and_does_not_give_are_unconfirmed(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """They are paid for: a retry of them is never made without saying so."""
    server.names_output = False
    async with in_memory(openai_environment(tmp_path, server), waiting=LATE_AT_ONCE) as session:
        job_id = await submitted(session)
        (batch_id,) = server.batches
        server.step(batch_id)
        server.finish(batch_id, "cancelled", answered=2)
        del server.files[server.batches[batch_id]["error_file_id"]]
        server.batches[batch_id]["error_file_id"] = None
        job = await looked_at(session, job_id)
        refused = await session.error("retry_job", job_id=job_id)
        draft = await session.call("retry_job", job_id=job_id, outcomes=["unconfirmed"])
        shown = await session.call("get_results", job_id=job_id, outcome="unconfirmed")
        counted = await session.call(
            "query_results", job_id=job_id, sql="SELECT outcome, count(*) AS n FROM results GROUP BY 1"
        )

    assert (job["status"], job["counts"]) == ("cancelled", {"unconfirmed": 5})
    assert [(each["cause"], each["retry"]) for each in job["problems"]] == [("unconfirmed", "may be paid again")]
    assert "remedy" not in job["problems"][0]
    assert "has no rows that are failed or expired or never_ran. Its rows: unconfirmed 5." in refused
    assert draft["warnings"][0].startswith("5 of these rows may have been answered and paid for")
    assert {row["outcome"] for row in shown["shown"]} == {"unconfirmed"}
    assert counted["shown"] == [{"outcome": "unconfirmed", "n": 5}]


async def test_rows_that_a_cancelled_batch_says_never_ran_stay_so(tmp_path: Path, server: OpenAIServer) -> None:
    """Where the counts add up, nothing is in doubt."""
    async with in_memory(openai_environment(tmp_path, server), waiting=LATE_AT_ONCE) as session:
        job_id = await submitted(session)
        (batch_id,) = server.batches
        server.step(batch_id)
        server.finish(batch_id, "cancelled", answered=2)
        job = await looked_at(session, job_id)

    assert job["counts"] == {"answered": 2, "never_ran": 3}


@pytest.mark.parametrize("how", ["cancel_job", "give_up"])
async def test_a_job_that_nobody_can_confirm_can_be_left(tmp_path: Path, server: OpenAIServer, how: str) -> None:
    """Without asking for more money: what it may have cost counts as paid, and its rows are unconfirmed."""
    server.faults.add("batches.create", "500_before")
    user = User()
    async with in_memory(openai_environment(tmp_path, server), user=user, waiting=LATE_AT_ONCE) as session:
        job_id = await submitted(session)
        unknown = await session.call("check_job", job_id=job_id)
        job = await leave(session, job_id, how)

    assert unknown["status"] == "unknown"
    assert (job["status"], job["counts"]) == ("cancelled", {"unconfirmed": 5})
    assert "counts as paid for batches that were given up" in job["cost"]
    assert server.posts == 1
    assert len(user.questions) == (how == "give_up")
    assert all("their rows become unconfirmed, and up to $" in question for question in user.questions)


@pytest.mark.parametrize("how", ["cancel_job", "give_up"])
async def test_what_was_given_up_takes_its_share_of_the_day(tmp_path: Path, server: OpenAIServer, how: str) -> None:
    """A limit that forgets what may have been paid lets as much be paid once more."""
    server.faults.add("batches.create", "500_before")
    dear: dict[str, Any] = DRAFT | {"rows": [{"n": 1}], "parameters": {"max_completion_tokens": 2_000_000}}
    async with in_memory(
        openai_environment(tmp_path, server, max_day_usd="3"), user=User(), waiting=LATE_AT_ONCE
    ) as session:
        job_id = await submitted(session, **dear)
        job = await leave(session, job_id, how)
        other = (await session.call("create_batch_file", **dear))["job_id"]
        refused = await session.error("submit_job", job_id=other)

    assert job["counts"] == {"unconfirmed": 1}
    assert "BATCHWRIGHT_MAX_DAY_USD" in refused
    assert server.posts == 1


async def test_what_was_sent_only_just_is_not_given_up(tmp_path: Path, server: OpenAIServer) -> None:
    """Its batch may still show up."""
    server.faults.add("batches.create", "500_before")
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        refused = await session.error("submit_job", job_id=job_id, user_says="give_up")

    assert "was sent only just" in refused
    assert "before it is given up" in refused


@pytest.mark.parametrize("how", ["cancel_job", "give_up"])
async def test_a_batch_that_shows_up_after_it_was_given_up_is_taken_up(
    tmp_path: Path, server: OpenAIServer, how: str
) -> None:
    """Its answers are paid for, so they belong to the rows; of a cancelled job it is cancelled first."""
    for fault in ("500_after_creation", "list_lag"):
        server.faults.add("batches.create", fault)
    async with in_memory(openai_environment(tmp_path, server), waiting=LATE_AT_ONCE) as session:
        job_id = await submitted(session)
        (late,) = server.batches
        server.step(late)
        await leave(session, job_id, how)
        left = await session.call("check_job", job_id=job_id)
        server.appear()
        found = await session.call("check_job", job_id=job_id)
        server.finish(late, "completed" if how == "give_up" else "cancelled", answered=None if how == "give_up" else 2)
        job = await looked_at(session, job_id)

    assert left["counts"] == {"unconfirmed": 5}
    assert found["status"] == ("cancelling" if how == "cancel_job" else "running")
    assert server.requests[f"POST /v1/batches/{late}/cancel"] == (how == "cancel_job")
    assert job["counts"] == ({"answered": 2, "never_ran": 3} if how == "cancel_job" else {"answered": 5})
    assert server.posts == 1


@pytest.mark.slow
async def test_results_of_whole_parts_are_there_while_another_cannot_be_fetched(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """What was paid for is of use at once, and the rest is counted as running."""
    async with in_memory(openai_environment(tmp_path, server, enqueued_tokens=WAVES), waiting=LATE_AT_ONCE) as session:
        job_id = await submitted(session)
        first, *others = server.batches
        server.finish(first)
        await session.call("check_job", job_id=job_id)
        content_broken(server)
        for batch_id in others:
            server.finish(batch_id)
        stuck = await session.call("check_job", job_id=job_id)
        results = await session.call("get_results", job_id=job_id, save_as="part.csv")
        counted = await session.call("query_results", job_id=job_id, sql="SELECT count(answer) AS n FROM results")
        server.faults.waiting.clear()
        job = await looked_at(session, job_id)

    assert stuck["status"] == "running"
    assert any("HTTP 500 while reading" in note and 'user_says="give_up"' in note for note in stuck["notes"])
    assert results["counts"] == {"answered": 3, "running": 2}
    assert results["notes"] == ["Not final: the job is running. 2 rows have no result yet."]
    assert (tmp_path / "work" / "part.csv").exists()
    assert counted["shown"] == [{"n": 3}]
    assert job["counts"] == {"answered": 5}


@pytest.mark.parametrize("how", ["cancel_job", "give_up"])
async def test_results_that_cannot_be_fetched_can_be_left_and_stay_at_the_provider(
    tmp_path: Path, server: OpenAIServer, how: str
) -> None:
    """A gateway may never give them; whoever has another way to them can still take them up."""
    async with in_memory(openai_environment(tmp_path, server), waiting=LATE_AT_ONCE) as session:
        job_id = await submitted(session)
        (batch_id,) = server.batches
        content_broken(server)
        server.finish(batch_id)
        await session.call("check_job", job_id=job_id)
        job = await leave(session, job_id, how)
        files = set(server.files)
        server.faults.waiting.clear()
        await session.call("adopt_batch", batch_id=batch_id)
        again = await looked_at(session, job_id)

    assert job["counts"] == {"unconfirmed": 5}
    assert any(f"its batch {batch_id} was given up while it was completed" in note for note in job["notes"])
    assert "No max_cost_usd was given" not in str(job["notes"])
    assert server.batches[batch_id]["output_file_id"] in files
    assert again["counts"] == {"answered": 5}
    assert (server.posts, server.deletes) == (1, 0)


async def test_nothing_that_moves_on_is_given_up(tmp_path: Path, server: OpenAIServer) -> None:
    """An assistant that is impatient leaves no money behind."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.step(next(iter(server.batches)))
        refused = await session.error("submit_job", job_id=job_id, user_says="give_up")
        job = await session.call("check_job", job_id=job_id)

    assert "has nothing stuck, so nothing is given up" in refused
    assert job["status"] == "running"


@pytest.mark.parametrize("told", ["expires_at", "window"])
async def test_a_batch_whose_time_is_over_is_named_and_can_be_left(
    tmp_path: Path, server: OpenAIServer, told: str
) -> None:
    """A server that forgot it calls it in_progress for ever."""
    server.clock = lambda: datetime.now(UTC).timestamp() - 27 * 3_600
    if told == "window":
        server.differences.add("no_deadline")
    async with in_memory(openai_environment(tmp_path, server), waiting=LATE_AT_ONCE) as session:
        job_id = await submitted(session)
        (batch_id,) = server.batches
        server.step(batch_id)
        late = await session.call("check_job", job_id=job_id)
        asked = await session.call("cancel_job", job_id=job_id)
        job = await session.call("submit_job", job_id=job_id, user_says="give_up")

    assert "its time ended 3 h ago, and the provider still calls it in_progress" in late["notes"][0]
    assert asked["status"] == "cancelling"
    assert (job["status"], job["counts"]) == ("cancelled", {"unconfirmed": 5})
    assert server.requests[f"POST /v1/batches/{batch_id}/cancel"] > 0


async def test_a_batch_that_is_left_is_cancelled_first(tmp_path: Path, server: OpenAIServer) -> None:
    """A server that remembers it after all makes no answers that nobody waits for."""
    server.clock = lambda: datetime.now(UTC).timestamp() - 27 * 3_600
    async with in_memory(openai_environment(tmp_path, server), waiting=LATE_AT_ONCE) as session:
        job_id = await submitted(session)
        (batch_id,) = server.batches
        server.step(batch_id)
        job = await session.call("submit_job", job_id=job_id, user_says="give_up")

    assert job["counts"] == {"unconfirmed": 5}
    assert server.requests[f"POST /v1/batches/{batch_id}/cancel"] == 1


@pytest.mark.slow
async def test_a_provider_that_does_not_answer_any_more_can_be_left(tmp_path: Path, server: OpenAIServer) -> None:
    """Nobody is there who could confirm anything."""
    async with in_memory(openai_environment(tmp_path, server), waiting=LATE_AT_ONCE) as session:
        job_id = await submitted(session)
        server.faults.add("GET", "500_before", times=500)
        server.faults.add("batches.cancel", "500_before", times=500)
        await session.call("cancel_job", job_id=job_id)
        job = await session.call("submit_job", job_id=job_id, user_says="give_up")

    assert job["counts"] == {"unconfirmed": 5}


@pytest.mark.parametrize(
    ("fault", "cause", "words"),
    [
        ("400_detail", "no_such_batches", "HTTP 400: body.endpoint: Invalid endpoint: /v1/chat/completions"),
        ("422_detail", "invalid_request", "HTTP 422: body.completion_window: Field required"),
        ("402", "no_credit", "HTTP 402: Account balance is too low."),
    ],
)
async def test_a_certain_refusal_keeps_its_status_and_words_and_gives_the_money_back(
    tmp_path: Path, server: OpenAIServer, fault: str, cause: str, words: str
) -> None:
    """Rows that are refused for what does not change are not to be sent as they are."""
    server.faults.add("batches.create", fault)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        job = await session.finished(job_id)
        shown = await session.call("get_results", job_id=job_id, limit=1)

    (problem,) = job["problems"]
    assert (job["status"], job["counts"], job["cost"].split(";")[0]) == ("failed", {"never_ran": 5}, "$0.00")
    assert (problem["cause"], problem["provider_says"]) == (cause, f"its batch failed ({words})")
    assert problem["retry"] in {"does not help", "helps once fixed"}
    assert shown["shown"][0]["problem"] == f"its batch failed ({words})"


@pytest.mark.parametrize(
    ("fault", "told"),
    [("422_detail", "body.completion_window: Field required"), ("402", "Add credit at the provider")],
)
async def test_a_refused_upload_is_told_in_words(tmp_path: Path, server: OpenAIServer, fault: str, told: str) -> None:
    """A list of faults, as some servers give it, is for programs; the user reads what is wrong, or what to do."""
    server.faults.add("files.create", fault, times=9)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job = await session.call("check_job", job_id=await submitted(session))

    assert [note for note in job["notes"] if told in note] != []
    assert [note for note in job["notes"] if "{" in note] == []
