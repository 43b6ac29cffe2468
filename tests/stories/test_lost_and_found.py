"""Batches that are lost and found: each is paid once, taken up where it shows up, and stopped only if it is surplus."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from batchwright.journal.journal import Journal
from tests.support.five_rows import newest, submitted
from tests.support.openai_server import OpenAIServer, StoredFile, running_openai
from tests.support.session import HURRIED, Session, environment, in_memory, openai_environment
from tests.support.unknown_batches import lose_the_journal, made_elsewhere
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

LONG_ROWS = [{"n": f"{number} " + "1234567890" * 300} for number in range(4)]
"""Of about 1,000 tokens each."""
ALL = {"answered": 5}


async def unconfirmed(session: Session, server: OpenAIServer) -> str:
    """Submit a job whose batch is made, which nobody sees yet; give its id."""
    for fault in ("lost_after_creation", "list_lag"):
        server.faults.add("batches.create", fault)
    job_id = await submitted(session)
    assert (await session.call("check_job", job_id=job_id))["status"] == "unknown"
    return job_id


async def until_running(session: Session, job_id: str) -> None:
    """Look at a job until its batch is found; at a start somebody else may be looking just then."""

    async def is_found() -> bool:
        return (await session.call("check_job", job_id=job_id))["status"] == "running"

    await until(is_found)


async def look_until(session: Session, job_id: str, is_so: Callable[[], bool]) -> None:
    """Look at a job until something is so at the provider."""

    async def seen() -> bool:
        await session.call("check_job", job_id=job_id)
        return is_so()

    await until(seen)


def status(server: OpenAIServer, batch_id: str) -> str:
    """Give a batch's status at the provider."""
    return server.batches[batch_id]["status"]


async def freeze_text(session: Session) -> str:
    """Give what the user is told of a freeze; nothing if there is none."""
    return " ".join((await session.call("list_jobs")).get("notes", ()))


def cancels(server: OpenAIServer) -> int:
    """Count the requests to cancel a batch."""
    return sum(count for request, count in server.requests.items() if request.endswith("/cancel"))


async def split(tmp_path: Path, server: OpenAIServer) -> tuple[str, dict[str, Any]]:
    """Run a job that had to be split to its end, and give its id and how it ended."""
    server.automatic, server.enqueued_limit = True, 3_000
    async with in_memory(openai_environment(tmp_path, server, poll_seconds="0.2")) as session:
        job_id = await submitted(session, rows=LONG_ROWS)
        job = await session.finished(job_id)
    server.enqueued_limit = None
    assert job["counts"] == {"answered": 4}
    return job_id, job


@pytest.mark.slow
async def test_a_split_job_of_a_lost_journal_is_not_sent_again(tmp_path: Path, server: OpenAIServer) -> None:
    """Its large part was refused and ran nothing: the smaller ones have all its answers, and are paid."""
    job_id, before = await split(tmp_path, server)
    posts = server.posts
    lose_the_journal(tmp_path)
    env = openai_environment(tmp_path, server, poll_seconds="0.2", max_job_usd="0.000001", max_day_usd="0.000001")
    async with in_memory(env, waiting=HURRIED) as session:
        await session.call("submit_job", job_id=job_id, user_says="go_on")
        job = await session.finished(job_id)
        results = await session.call("get_results", job_id=job_id)

    assert (job["status"], job["counts"]) == ("completed", {"answered": 4})
    assert [row["row"] for row in results["shown"] if row["answer"]] == [1, 2, 3, 4]
    assert before["cost"].startswith(job["cost"])
    assert server.posts == posts


@pytest.mark.slow
async def test_a_split_job_is_adopted_on_another_machine(tmp_path: Path, server: OpenAIServer) -> None:
    """Of the batch that was refused whole no file is left, and none is needed."""
    for machine in ("one", "other"):
        (tmp_path / machine).mkdir()
    job_id, _ = await split(tmp_path / "one", server)
    posts = server.posts
    async with in_memory(
        openai_environment(tmp_path / "other", server, poll_seconds="0.2"), waiting=HURRIED
    ) as session:
        await session.call("adopt_batch", batch_id=newest(server))
        job = await session.finished(job_id)
        results = await session.call("get_results", job_id=job_id)

    assert (job["status"], job["counts"]) == ("completed", {"answered": 4})
    assert sorted(row["answer"][:12] for row in results["shown"]) == [f"answer to Say {n}"[:12] for n in range(4)]
    assert server.posts == posts


async def test_a_foreign_batch_that_was_refused_for_the_limit_is_left_as_it_is(
    tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI
) -> None:
    """Nobody agreed here to what another program wanted: nothing is sent for it, and its file is not deleted."""
    batch_id = await made_elsewhere(client)
    server.enqueued_limit = 10
    server.step(batch_id)
    server.enqueued_limit = None
    env = openai_environment(tmp_path, server, poll_seconds="0.1", max_job_usd="0", max_day_usd="0")
    async with in_memory(env) as session:
        job_id = (await session.call("adopt_batch", batch_id=batch_id))["job_id"]
        job = await session.finished(job_id)

    assert job["counts"] == {"never_ran": 3}
    assert "Limit: 10 enqueued tokens" in str(job)
    assert (server.posts, server.deletes) == (1, 0)
    assert server.batches[batch_id]["input_file_id"] in server.files


@pytest.mark.parametrize("is_local", [False, True], ids=["other provider", "endpoint without batches"])
async def test_nothing_is_sent_again_where_nobody_could_see_the_first(
    tmp_path: Path, server: OpenAIServer, *, is_local: bool
) -> None:
    """Another provider knows neither the batch nor its file, so it can tell nothing of what is paid twice."""
    async with in_memory(openai_environment(tmp_path, server), waiting=HURRIED) as session:
        job_id = await unconfirmed(session, server)
    server.appear()
    async with running_openai() as other:
        local = environment(tmp_path, endpoint="http://127.0.0.1:9/v1", model="m")
        async with in_memory(local if is_local else openai_environment(tmp_path, other), waiting=HURRIED) as session:
            refused = await session.error("submit_job", job_id=job_id, user_says="resend")
    async with in_memory(openai_environment(tmp_path, server), waiting=HURRIED) as session:
        await until_running(session, job_id)
        server.finish(newest(server))
        job = await session.finished(job_id)
        told = await freeze_text(session)

    assert "was sent to a provider that this server does not have" in refused
    assert (job["status"], job["counts"]) == ("completed", ALL)
    assert (server.posts, other.posts, len(server.batches), told) == (1, 0, 1, "")


async def test_a_cancellation_that_is_refused_for_now_is_asked_for_again(tmp_path: Path, server: OpenAIServer) -> None:
    """Until it is taken, the batch goes on and is paid."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.step(newest(server))
        server.faults.add("batches.cancel", "429", times=50)
        await session.call("cancel_job", job_id=job_id)
        await look_until(session, job_id, lambda: cancels(server) > 0)
        before = status(server, newest(server))
        server.faults.waiting.clear()
        await look_until(session, job_id, lambda: status(server, newest(server)) == "cancelling")

    assert before == "in_progress"


async def test_a_surplus_batch_is_called_cancelled_only_when_it_is(tmp_path: Path, server: OpenAIServer) -> None:
    """Whoever hears that it was cancelled looks no further, and would pay for it."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await unconfirmed(session, server)
        (first,) = server.batches.values()
        names = ("input_file_id", "endpoint", "completion_window", "metadata")
        surplus = server.create_batch({name: first[name] for name in names})["id"]
        server.hidden.clear()
        server.faults.add("batches.cancel", "429", times=50)
        await look_until(session, job_id, lambda: cancels(server) > 0)
        early = (status(server, surplus), await freeze_text(session))
        server.faults.waiting.clear()
        await until_running(session, job_id)
        told = await freeze_text(session)

    assert early == ("validating", "")
    assert status(server, surplus) == "cancelling"
    assert f"{surplus} was cancelled" in told
    assert first["status"] == "validating"
    assert server.posts == 1


async def test_a_surplus_batch_that_has_ended_is_said_to_be_paid(tmp_path: Path, server: OpenAIServer) -> None:
    """There is nothing left to cancel, and the user should know what it cost them."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await unconfirmed(session, server)
        (first,) = server.batches.values()
        names = ("input_file_id", "endpoint", "completion_window", "metadata")
        surplus = server.create_batch({name: first[name] for name in names})["id"]
        server.finish(surplus)
        server.hidden.clear()
        await until_running(session, job_id)
        told = await freeze_text(session)

    assert f"{surplus} is completed, so its rows are paid twice" in told
    assert "cancelled" not in told


async def test_a_late_batch_is_cancelled_though_it_was_refused_at_first(tmp_path: Path, server: OpenAIServer) -> None:
    """A busy provider is no reason to pay twice."""
    async with in_memory(openai_environment(tmp_path, server), waiting=HURRIED) as session:
        job_id = await unconfirmed(session, server)
        late = newest(server)
        server.step(late)
        await session.call("submit_job", job_id=job_id, user_says="resend")
        server.appear()
        server.faults.add("batches.cancel", "429", times=50)
        await look_until(session, job_id, lambda: cancels(server) > 0)
        early = (status(server, late), await freeze_text(session))
        server.faults.waiting.clear()
        await look_until(session, job_id, lambda: status(server, late) == "cancelling")
        told = await until(partial(freeze_text, session))

    assert early == ("in_progress", "")
    assert f"{late} was cancelled" in told


async def test_a_batch_that_shows_up_long_after_it_was_sent_again_is_stopped(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """The file of the second attempt is newer than the first batch: the search must go back to the first one's."""
    now = 1_800_000_000.0
    server.clock = lambda: now
    async with in_memory(openai_environment(tmp_path, server), waiting=HURRIED) as session:
        job_id = await unconfirmed(session, server)
        late = newest(server)
        now += 3_600
        await session.call("submit_job", job_id=job_id, user_says="resend")
        server.appear()
        await look_until(session, job_id, lambda: status(server, late) == "cancelling")
        told = await until(partial(freeze_text, session))

    assert status(server, newest(server)) == "validating"
    assert "showed up late" in told
    assert f"{late} was cancelled" in told


async def test_a_lost_answer_is_looked_for_where_the_service_tells_no_times(
    tmp_path: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that goes back to a time nobody knows must go through the whole list."""
    shown = StoredFile.shown

    def timeless(file: StoredFile) -> dict[str, Any]:
        return {name: value for name, value in shown(file).items() if name != "created_at"}

    monkeypatch.setattr(StoredFile, "shown", timeless)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        server.faults.add("batches.create", "lost_after_creation")
        job_id = await submitted(session)
        await until_running(session, job_id)
        server.finish(newest(server))
        job = await session.finished(job_id)

    assert job["counts"] == ALL
    assert server.posts == 1


@pytest.mark.slow
@pytest.mark.parametrize("is_over", [True, False], ids=["ended", "running"])
async def test_a_batch_that_another_key_did_not_show_is_taken_up_again(
    tmp_path: Path, server: OpenAIServer, *, is_over: bool
) -> None:
    """Given up with the wrong key, it ran on and is paid: its answers belong to the job."""
    env = openai_environment(tmp_path, server)
    async with in_memory(env) as session:
        job_id = await submitted(session)
    batch_id = newest(server)
    server.step(batch_id)
    of_the_right_key = dict(server.batches)
    server.batches.clear()
    async with in_memory(env) as session:
        await session.call("cancel_job", job_id=job_id)
        gone = await session.finished(job_id)
    server.batches.update(of_the_right_key)
    if is_over:
        server.finish(batch_id)
    async with in_memory(env) as session:
        await session.call("adopt_batch", batch_id=batch_id)
        server.finish(batch_id)
        job = await session.finished(job_id)
        results = await session.call("get_results", job_id=job_id)

    assert "adopt_batch takes it up" in gone["notes"][0]
    assert job["counts"] == ALL
    assert [row["answer"] for row in results["shown"]] == [f"answer to Say {number}" for number in range(5)]
    assert (server.posts, cancels(server)) == (1, 0)


async def test_of_two_batches_of_a_part_the_one_with_answers_is_taken_up(
    tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI
) -> None:
    """The newer one was cancelled since it was surplus: to go by it would be to pay for all rows once more."""
    metadata = {"batchwright_job": "job_abcdefgh", "batchwright_part": "1"}
    now = 1_800_000_000.0
    server.clock = lambda: now
    older = await made_elsewhere(client, 5, **metadata, batchwright_nonce="n1")
    now += 5
    names = ("input_file_id", "endpoint", "completion_window")
    newer = {name: server.batches[older][name] for name in names}
    server.create_batch(newer | {"metadata": metadata | {"batchwright_nonce": "n2"}})
    server.finish(older)
    server.finish(newest(server), "cancelled")
    async with in_memory(openai_environment(tmp_path, server)) as session:
        await session.call("adopt_batch", batch_id=older)
        job = await session.finished("job_abcdefgh")
        retry = await session.error("retry_job", job_id="job_abcdefgh")

    assert (job["status"], job["counts"]) == ("completed", ALL)
    assert "There is nothing to retry" in retry


async def test_before_rows_of_a_lost_journal_are_retried_their_batch_is_looked_for(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """What the list did not show when the journal was made anew may run, and would be paid a second time."""
    env = openai_environment(tmp_path, server, enqueued_tokens="3000")
    async with in_memory(env) as session:
        job_id = await submitted(session, rows=[{"n": f"{number} " + "1234567890" * 250} for number in range(3)])
    batches = list(server.batches)
    lose_the_journal(tmp_path)
    server.hidden.add(batches[-1])
    for batch_id in batches[:-1]:
        server.finish(batch_id)
    async with in_memory(env) as session:
        restored = await session.finished(job_id)
        server.hidden.clear()
        retry = await session.error("retry_job", job_id=job_id)
        server.finish(batches[-1])
        job = await session.finished(job_id)

    assert len(batches) == 3
    assert restored["counts"] == {"answered": 2, "never_ran": 1}
    assert "no batch of it was found when its journal was rebuilt" in restored["problems"][0]["details"]
    assert retry.startswith(f"{job_id} is running. Only a finished job can be retried")
    assert job["counts"] == {"answered": 3}
    assert server.posts == 3


async def test_the_file_of_a_draft_of_a_lost_journal_is_not_deleted(tmp_path: Path, server: OpenAIServer) -> None:
    """Its batch may run, and not be shown yet: without its file it would fail."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
    lose_the_journal(tmp_path)
    server.hidden.update(server.batches)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        restored = await session.call("check_job", job_id=job_id)
        refused = await session.error("delete_files", job_id=job_id)

    assert restored["status"] == "draft"
    assert "Nothing was deleted" in refused
    assert server.deletes == 0
    assert server.batches[newest(server)]["input_file_id"] in server.files


@pytest.mark.parametrize("becomes", ["in_progress", "completed"])
async def test_a_late_batch_is_kept_while_nothing_was_sent_again(
    tmp_path: Path, server: OpenAIServer, becomes: str
) -> None:
    """Nothing may be submitted during a freeze: then the late batch is the only one, and nothing is surplus."""
    async with in_memory(openai_environment(tmp_path, server), waiting=HURRIED) as session:
        job_id = await unconfirmed(session, server)
        late = newest(server)
        server.step(late)
        if becomes == "completed":
            server.finish(late)
        with closing(Journal(tmp_path / "data" / "journal.db", now=lambda: datetime.now(UTC))) as journal:
            journal.freezes.add("Something happened.")
        await session.call("submit_job", job_id=job_id, user_says="resend")
        posts = server.posts
        server.appear()
        for _ in range(2):
            await session.call("check_job", job_id=job_id)
        server.finish(late)
        job = await session.finished(job_id)
        told = await freeze_text(session)

    assert posts == 1
    assert job["counts"] == ALL
    assert (server.posts, cancels(server), list(server.batches)) == (1, 0, [late])
    assert told.endswith("Something happened.")
    assert "late" not in told


@pytest.mark.slow
async def test_a_late_batch_is_kept_while_its_part_waits_for_its_turn(tmp_path: Path, server: OpenAIServer) -> None:
    """The user had it sent again, and other batches were in the way: one answer to each row is enough."""
    async with in_memory(openai_environment(tmp_path, server), waiting=HURRIED) as session:
        job_id = await unconfirmed(session, server)
        late = newest(server)
        server.step(late)
        other = await submitted(session, prompt="Tell {{n}}")
    async with in_memory(openai_environment(tmp_path, server, enqueued_tokens="70"), waiting=HURRIED) as session:

        async def sent_again() -> str | None:
            text, job = await session.answer("submit_job", job_id=job_id, user_says="resend")
            return text if job else None

        text = await until(sent_again)
        server.appear()
        for _ in range(2):
            await session.call("check_job", job_id=job_id)
        for batch_id in list(server.batches):
            server.finish(batch_id)
        jobs = [await session.finished(each) for each in (job_id, other)]

    assert text is not None
    assert "it waits until earlier batches have ended" in text
    assert [job["counts"] for job in jobs] == [ALL, ALL]
    assert (server.posts, cancels(server)) == (2, 0)
