"""No sum is spent that nobody agreed to, none is called less than it is, and what was paid for is not lost."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from batchwright.core.crash_points import Point
from batchwright.core.errors import NotReady
from batchwright.core.model import Job, Part, Recipe, Source, SpendingLimits
from batchwright.journal.journal import Journal
from tests.support.endpoint import running_endpoint
from tests.support.five_rows import DRAFT, newest, submitted
from tests.support.openai_server import Object, OpenAIServer, answer_body, running_openai
from tests.support.session import HURRIED, Session, environment, in_memory, openai_environment
from tests.support.values import OPENAI, START
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

LONG_ROWS = [{"n": f"{number} " + "1234567890" * 300} for number in range(5)]
"""Of about 1,000 tokens each."""


async def expired(session: Session, server: OpenAIServer) -> str:
    """Run a job that has answers to its first two rows, and none to the others; give its id."""
    job_id = await submitted(session)
    server.finish(newest(server), "expired", answered=2)
    await session.finished(job_id)
    return job_id


def ledger(tmp_path: Path) -> dict[str, int]:
    """Give the last amount of each kind in the ledger, in micro-dollars."""
    with closing(sqlite3.connect(tmp_path / "data" / "journal.db")) as db:
        return dict(db.execute("SELECT kind, microusd FROM ledger ORDER BY id").fetchall())


def test_a_round_is_not_redrafted_once_it_is_submitted(tmp_path: Path) -> None:
    """The user agreed to the round that was there: another in its place would run without anybody's word."""
    part = Part("job_a", 1, "uploaded", "", 1, 1, "file-1", ceiling_usd=Decimal(1))
    recipe = Recipe("/v1/chat/completions", OPENAI.model, "{{text}}")
    made = Job("job_a", START, Source("t.csv", "csv", ("text",), 1), recipe, OPENAI, (part,))
    with closing(Journal(tmp_path / "journal.db", now=lambda: START)) as journal:
        journal.add_job(made)
        journal.agree(made, {1: Decimal(1)}, agreed_usd=Decimal(1), limits=SpendingLimits())
        journal.parts.save(replace(part, state="verified"))
        journal.mark_ended("job_a", {"expired": 1}, tokens=(1, 1))
        first = journal.job("job_a")
        journal.add_round(first, [replace(part, number=2, round=2)], kept={})
        journal.agree(journal.job("job_a"), {2: Decimal(1)}, agreed_usd=Decimal(1), limits=SpendingLimits())
        before = journal.job("job_a"), journal.events.of("job_a")
        with pytest.raises(NotReady) as refused:
            journal.add_round(first, [replace(part, number=3, round=2, ceiling_usd=Decimal(9))], kept={})
        after = journal.job("job_a"), journal.events.of("job_a")

    assert "job_a was submitted again meanwhile, so no retry was drafted." in str(refused.value)
    assert after == before


@pytest.mark.slow
async def test_a_retry_that_is_drafted_while_another_is_submitted_never_runs(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Large drafts take their time; what is dear in them was agreed to by nobody."""
    is_large, written, go_on = threading.Event(), threading.Event(), threading.Event()

    def write_slowly(point: Point) -> None:
        if point == "part_written" and is_large.is_set():
            is_large.clear()
            written.set()
            go_on.wait(60)

    dear = {"model": "gpt-4.1", "parameters": {"max_completion_tokens": 1_000_000}}
    refused: list[str] = []
    env = openai_environment(tmp_path, server, max_job_usd="1", max_day_usd="1")
    async with in_memory(env, on_point=write_slowly) as session:
        job_id = await expired(session, server)
        await session.call("retry_job", job_id=job_id)
        is_large.set()

        async def redraft() -> None:
            refused.append(await session.error("retry_job", job_id=job_id, **dear))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(redraft)
            await anyio.to_thread.run_sync(written.wait, 60)
            await session.call("submit_job", job_id=job_id, max_cost_usd=0.01)
            go_on.set()

        async def is_sent() -> bool:
            await session.call("check_job", job_id=job_id)
            return server.posts == 2

        await until(is_sent)
        sent = server.files[server.batches[newest(server)]["input_file_id"]].path.read_text()
        server.finish(newest(server))
        job = await session.finished(job_id)

    assert "was submitted again meanwhile" in refused[0]
    assert "gpt-4.1" not in sent
    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})
    assert server.posts == 2
    assert ledger(tmp_path)["reserve"] == 304


@pytest.mark.slow
async def test_a_redraft_that_is_cut_off_leaves_the_files_of_the_draft_before(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """The disk was full: the draft that the user knows is still there, and is what is sent."""
    is_full = threading.Event()

    def fill_the_disk(point: Point) -> None:
        if point == "part_written" and is_full.is_set():
            raise OSError(28, "No space left on device")

    async with in_memory(openai_environment(tmp_path, server), on_point=fill_the_disk) as session:
        job_id = await expired(session, server)
        await session.call("retry_job", job_id=job_id)
        is_full.set()
        await session.error("retry_job", job_id=job_id, prompt="Tell {{n}}")
        await session.call("submit_job", job_id=job_id)
        server.finish(newest(server))
        job = await session.finished(job_id)
        results = await session.call("get_results", job_id=job_id)

    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})
    assert [row["answer"] for row in results["shown"]] == [f"answer to Say {number}" for number in range(5)]


def without_usage(_custom_id: str, body: Object) -> Object:
    """Answer, and tell no tokens."""
    answer = answer_body("/v1/chat/completions", body, "much")
    del answer["usage"]
    return answer


def tells_nothing(server: OpenAIServer, batch: Object) -> None:
    """Leave out what a batch used."""
    batch["usage"] = None


def loses_output(server: OpenAIServer, batch: Object) -> None:
    """Lose a batch's output file, and leave out what it used."""
    tells_nothing(server, batch)
    del server.files[batch["output_file_id"]]


@pytest.mark.parametrize(
    ("answer", "change"), [(without_usage, tells_nothing), (None, loses_output)], ids=["no usage", "output lost"]
)
async def test_a_cost_that_nobody_tells_is_unknown_and_stays_reserved(
    tmp_path: Path, server: OpenAIServer, answer: Any, change: Callable[[OpenAIServer, Object], None]
) -> None:
    """It was paid all the same: to call it nothing would let the day's limit be spent twice."""
    server.answer = answer or server.answer
    async with in_memory(openai_environment(tmp_path, server, max_day_usd="5")) as session:
        job_id = await submitted(session, 5, parameters={"max_completion_tokens": 900_000})
        change(server, server.finish(newest(server)))
        job = await session.finished(job_id)
        over = await session.call("create_batch_file", **DRAFT | {"parameters": {"max_completion_tokens": 900_000}})
        refused = await session.error("submit_job", job_id=over["job_id"], max_cost_usd=5)

    amounts = ledger(tmp_path)
    assert job["cost"].startswith("not known: the provider does not report all tokens")
    assert "$0" not in job["cost"]
    assert amounts["settle"] == amounts["reserve"] > 4_000_000
    assert "All jobs together may cost $5.00 within 24 hours" in refused


@pytest.mark.slow
async def test_a_batch_that_says_it_used_nothing_costs_what_its_answers_say(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Some services fill in zeros; the lines know better."""
    costs: list[str] = []
    for usage in (None, {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}):
        async with in_memory(openai_environment(tmp_path, server)) as session:
            job_id = await submitted(session, prompt=f"{'Say' if usage is None else 'Ask'} {{{{n}}}}")
            batch = server.finish(newest(server))
            details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
            batch["usage"] = usage and usage | details
            costs.append((await session.finished(job_id))["cost"])

    assert costs[0] == costs[1]
    assert costs[0].startswith("$0.00003")
    assert 0 < ledger(tmp_path)["settle"] < 100


@pytest.mark.slow
async def test_a_cut_answer_is_kept_when_the_next_round_gives_none(tmp_path: Path, server: OpenAIServer) -> None:
    """Half a text that was paid for is more than an error message."""

    def cut(_custom_id: str, body: Object) -> Object:
        answer = answer_body("/v1/chat/completions", body, "a long paid text")
        answer["choices"][0]["finish_reason"] = "length"
        return answer

    async with in_memory(openai_environment(tmp_path, server)) as session:
        server.answer = cut
        job_id = await submitted(session)
        server.finish(newest(server))
        await session.finished(job_id)
        await session.call("retry_job", job_id=job_id, outcomes=["cut_short"])
        await session.call("submit_job", job_id=job_id)
        server.answer = lambda _id, _body: (429, {"error": {"message": "Rate limit reached"}})
        server.finish(newest(server))
        job = await session.finished(job_id)
        results = await session.call("get_results", job_id=job_id)

    assert job["counts"] == {"cut_short": 5}
    assert [row["answer"] for row in results["shown"]] == ["a long paid text"] * 5


@pytest.mark.slow
async def test_earlier_answers_are_there_while_a_retry_runs(tmp_path: Path, server: OpenAIServer) -> None:
    """They were paid for, and the provider of the retry may be another one, or away."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await expired(session, server)
        await session.call("retry_job", job_id=job_id)
        await session.call("submit_job", job_id=job_id)
    async with running_openai() as other, in_memory(openai_environment(tmp_path, other)) as session:
        results = await session.call("get_results", job_id=job_id, save_as="out.jsonl")
    async with in_memory(openai_environment(tmp_path, server)) as session:
        server.finish(newest(server))
        await session.finished(job_id)
        final = await session.call("get_results", job_id=job_id)

    assert results["notes"][0].startswith("Not final: the job is running again.")
    assert [row.get("answer") for row in results["shown"]] == ["answer to Say 0", "answer to Say 1", None, None, None]
    assert results["counts"] == {"answered": 2, "expired": 3}
    assert len((tmp_path / "work" / "out.jsonl").read_text().splitlines()) == 5
    assert not any("Not final" in note for note in final.get("notes", ()))
    assert final["counts"] == {"answered": 5}


@pytest.mark.parametrize("prices", ["", "openai"])
async def test_a_part_that_is_sent_again_in_pieces_stays_within_what_was_agreed(
    tmp_path: Path, server: OpenAIServer, prices: str
) -> None:
    """As much again was agreed to for the part, so that it is enough for all its pieces together."""
    async with in_memory(openai_environment(tmp_path, server, prices=prices), waiting=HURRIED) as session:
        server.faults.add("batches.create", "lost_before")
        job_id = await submitted(session, 0.5, rows=LONG_ROWS)
    server.automatic = True
    env = openai_environment(tmp_path, server, prices=prices, enqueued_tokens="3000", poll_seconds="0.2")
    async with in_memory(env, waiting=HURRIED) as session:

        async def sent_again() -> bool:
            return (await session.answer("submit_job", job_id=job_id, user_says="resend"))[1] is not None

        await until(sent_again)
        job = await session.finished(job_id)

    with closing(sqlite3.connect(tmp_path / "data" / "journal.db")) as db:
        reserved = db.execute("SELECT sum(microusd) FROM ledger WHERE kind = 'reserve'").fetchone()[0]
        agreed = db.execute("SELECT agreed_microusd FROM round").fetchone()[0]
    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})
    assert server.posts == 6
    assert reserved <= agreed
    assert job["cost"].endswith("at most $0.501132 agreed" if prices else "$1.00 agreed, not enforced")


async def test_a_word_that_is_refused_agrees_to_nothing(tmp_path: Path, server: OpenAIServer) -> None:
    """Nothing was sent, so no more may be spent than before."""
    server.faults.add("batches.create", "lost_before")
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        before = await session.call("check_job", job_id=job_id)
        for _ in range(5):
            await session.error("submit_job", job_id=job_id, user_says="resend")
        after = await session.call("check_job", job_id=job_id)

    assert before["cost"] == after["cost"] == "$0.00 so far; at most $0.000507 agreed"
    assert server.posts == 1


@pytest.mark.parametrize("tier", ["priority", "scale"])
async def test_nothing_bounds_the_cost_of_a_service_tier_that_may_be_dearer(
    tmp_path: Path, server: OpenAIServer, tier: str
) -> None:
    """The prices that are known are those of the standard tier."""
    parameters = DRAFT["parameters"] | {"service_tier": tier}
    async with in_memory(openai_environment(tmp_path, server)) as session:
        draft = await session.call("create_batch_file", **DRAFT | {"parameters": parameters})
        refused = await session.error("submit_job", job_id=draft["job_id"])
        too_early = server.posts
        await session.call("submit_job", job_id=draft["job_id"], max_cost_usd=0.5)

    assert "Not counted: a service tier. Their cost comes on top." in draft["warnings"]
    assert "and more" in draft["cost"]
    assert "ask the user how much it may cost" in draft["next"]
    assert "pass that as max_cost_usd" in refused
    assert (too_early, server.posts) == (0, 1)


@pytest.mark.parametrize("tier", ["flex", "default", "auto"])
async def test_a_service_tier_that_is_no_dearer_is_bounded_as_before(
    tmp_path: Path, server: OpenAIServer, tier: str
) -> None:
    """Whoever saves money is not asked for a sum that nobody needs."""
    parameters = DRAFT["parameters"] | {"service_tier": tier}
    async with in_memory(openai_environment(tmp_path, server)) as session:
        plain = await session.call("create_batch_file", **DRAFT)
        draft = await session.call("create_batch_file", **DRAFT | {"parameters": parameters})
        await session.call("submit_job", job_id=draft["job_id"])

    assert draft["cost"] == plain["cost"]
    assert draft.get("warnings") == plain.get("warnings")


@pytest.mark.slow
async def test_a_completed_split_job_waits_for_nothing(tmp_path: Path, server: OpenAIServer) -> None:
    """The note was of the large part, which smaller ones have taken the place of."""
    server.automatic, server.enqueued_limit = True, 3_000
    async with in_memory(openai_environment(tmp_path, server, poll_seconds="0.2"), waiting=HURRIED) as session:
        job_id = await submitted(session, rows=LONG_ROWS)
        job = await session.finished(job_id)

    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})
    assert "notes" not in job


@pytest.mark.slow
async def test_a_job_without_an_answer_is_no_reason_not_to_run_it_again(tmp_path: Path, server: OpenAIServer) -> None:
    """Its results would be none; of one that has answers, or runs, the user is told."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        failed = await submitted(session)
        server.finish(newest(server), "failed")
        await session.finished(failed)
        after_failure = await session.call("create_batch_file", **DRAFT)
        await session.call("submit_job", job_id=after_failure["job_id"])
        while_running = await session.call("create_batch_file", **DRAFT)

    assert not any("run before" in warning for warning in after_failure.get("warnings", ()))
    assert any(f"were run before, as {after_failure['job_id']}" in warning for warning in while_running["warnings"])


@pytest.mark.slow
async def test_what_the_first_round_cost_is_told_after_a_free_retry(tmp_path: Path, server: OpenAIServer) -> None:
    """The endpoint takes nothing, and the money for the first round is gone all the same."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await expired(session, server)
        first = await session.call("check_job", job_id=job_id)
    async with running_endpoint() as endpoint, in_memory(environment(tmp_path, endpoint=endpoint.url)) as session:
        await session.call("retry_job", job_id=job_id)
        await session.call("submit_job", job_id=job_id)
        job = await session.finished(job_id)

    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})
    assert job["cost"] == first["cost"].split(";")[0] == "$0.000013"


def test_a_learned_limit_is_forgotten_after_a_day(tmp_path: Path) -> None:
    """Limits grow with what an account has paid: a job should not stay in small pieces for ever."""
    now = START
    with closing(Journal(tmp_path / "journal.db", now=lambda: now)) as journal:
        journal.providers.learn_enqueued_limit(OPENAI, 900_000)
        now = START + timedelta(hours=23)
        within = journal.providers.enqueued_limit(OPENAI)
        now = START + timedelta(hours=25)
        later = journal.providers.enqueued_limit(OPENAI)
        journal.providers.learn_enqueued_limit(OPENAI, 2_000_000)
        again = journal.providers.enqueued_limit(OPENAI)

    assert (within, later, again) == (900_000, None, 2_000_000)
