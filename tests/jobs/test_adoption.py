"""Batches that the journal does not know: made elsewhere, or by a journal that was lost."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.support.endpoint import running_endpoint
from tests.support.five_rows import DRAFT, submitted
from tests.support.openai_server import OpenAIServer
from tests.support.session import MODES, Mode, User, environment, in_memory, openai_environment
from tests.support.unknown_batches import CHAT, lose_the_journal, made_elsewhere
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_batches_made_elsewhere_are_listed(tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI) -> None:
    """Somebody began with another program: the assistant sees it, and which call would take it up."""
    theirs = [await made_elsewhere(client, rows) for rows in (2, 3)]
    server.step(theirs[0])
    async with in_memory(openai_environment(tmp_path, server)) as session:
        empty = await session.call("list_jobs")
        ours = await submitted(session)
        jobs = await session.call("list_jobs")
        past = await session.call("list_jobs", offset=1)

    assert [batch["batch_id"] for batch in empty["others"]] == theirs[::-1]
    assert (empty["others"][1]["status"], empty["others"][1]["requests"]) == ("in_progress", 2)
    assert empty["others"][0]["endpoint"] == CHAT
    assert empty["next"] == f'adopt_batch(batch_id="{theirs[1]}")'
    assert [job["job_id"] for job in jobs["jobs"]] == [ours]
    assert [batch["batch_id"] for batch in jobs["others"]] == theirs[::-1]
    assert "others" not in past


async def test_a_provider_that_cannot_be_asked_does_not_keep_the_list_from_being_shown(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """What is in the journal is known without it, and what is not known is said."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.faults.add("batches.list", "html_502", times=2)
        jobs = await session.call("list_jobs")

    assert [job["job_id"] for job in jobs["jobs"]] == [job_id]
    assert jobs["notes"] == ["The provider could not be asked about batches created elsewhere."]


@pytest.mark.parametrize("mode", MODES)
async def test_an_adopted_batch_is_watched_and_its_results_fetched(
    tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI, mode: Mode
) -> None:
    """It becomes a job as any other: nothing is sent, and its answers are joined to its ids."""
    batch_id = await made_elsewhere(client)
    uploads = server.uploads
    async with in_memory(openai_environment(tmp_path, server), mode) as session:
        adopted = await session.call("adopt_batch", batch_id=batch_id)
        job_id = adopted["job_id"]
        twice = await session.error("adopt_batch", batch_id=batch_id)
        early = await session.error("get_results", job_id=job_id)
        server.finish(batch_id)
        job = await session.call("check_job", job_id=job_id)
        results = await session.call("get_results", job_id=job_id, save_as="theirs.csv")
        listed = await session.call("list_jobs")
        files = await session.call("list_files")

    assert (adopted["status"], adopted["counts"]) == ("running", {"running": 3})
    assert twice == f"{batch_id} already belongs to {job_id}. See `check_job`."
    assert "is still running" in early
    assert (job["status"], job["counts"]) == ("completed", {"answered": 3})
    assert [(row["custom_id"], row["answer"]) for row in results["shown"]] == [
        (f"x{number}", "answer to hi") for number in range(3)
    ]
    assert "others" not in listed
    assert {file["job_id"] for file in files["files"]} == {job_id}
    assert (server.posts, server.uploads) == (1, uploads)


async def test_the_results_of_a_batch_whose_input_is_gone_are_fetched_when_it_has_ended(
    tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI
) -> None:
    """Input files are deleted after thirty days; while it runs, nobody could tell which rows it has."""
    batch_id = await made_elsewhere(client)
    server.step(batch_id)
    await client.files.delete(server.batches[batch_id]["input_file_id"])
    async with in_memory(openai_environment(tmp_path, server)) as session:
        early = await session.error("adopt_batch", batch_id=batch_id)
        server.finish(batch_id, "expired", answered=2)
        job_id = (await session.call("adopt_batch", batch_id=batch_id))["job_id"]
        job = await session.finished(job_id)
        results = await session.call("get_results", job_id=job_id)

    assert early == (
        f"The input file of {batch_id} is gone, so only its results can name its rows. Adopt it when it has finished."
    )
    assert (job["status"], job["counts"]) == ("expired", {"answered": 2, "expired": 1})
    assert {row["custom_id"]: row.get("answer") for row in results["shown"]} == {
        "x0": "answer to hi",
        "x1": "answer to hi",
        "x2": None,
    }


async def test_rows_that_are_known_only_by_their_results_are_not_sent_again(
    tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI
) -> None:
    """What they asked is gone with the input file: a request without it would be paid for, or refused, for nothing."""
    batch_id = await made_elsewhere(client)
    server.finish(batch_id, "expired", answered=2)
    await client.files.delete(server.batches[batch_id]["input_file_id"])
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("adopt_batch", batch_id=batch_id))["job_id"]
        text = await session.error("retry_job", job_id=job_id)

    assert "input file" in text
    assert server.posts == 1


async def test_what_cannot_be_adopted_leaves_nothing_behind(
    tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI
) -> None:
    """A batch of another kind, one that is not there, and one whose rows are not known."""
    images = await made_elsewhere(client, endpoint="/v1/completions")
    gone = await made_elsewhere(client)
    await client.files.delete(server.batches[gone]["input_file_id"])
    async with in_memory(openai_environment(tmp_path, server)) as session:
        texts = [await session.error("adopt_batch", batch_id=batch_id) for batch_id in (images, gone, "batch_none")]
        jobs = await session.call("list_jobs")

    assert "its url is none of /v1/chat/completions" in texts[0]
    assert "No batch found with id 'batch_none'" in texts[2]
    assert jobs["total"] == 0
    folder = tmp_path / "data" / "jobs"
    assert not folder.exists() or list(folder.iterdir()) == []


async def test_a_batch_that_failed_validation_is_adopted_with_its_faults(
    tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI
) -> None:
    """Whoever made it may want to know why it failed, and to retry it with a change."""
    server.models = frozenset({"gpt-4.1"})
    batch_id = await made_elsewhere(client)
    server.step(batch_id)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job = await session.call("adopt_batch", batch_id=batch_id)
        await session.call("retry_job", job_id=job["job_id"], model="gpt-4.1")
        await session.call("submit_job", job_id=job["job_id"], max_cost_usd=0.5)
        server.finish(list(server.batches)[-1])
        changed = await session.finished(job["job_id"])

    assert (job["status"], job["counts"]) == ("failed", {"never_ran": 3})
    assert "model_not_found" in job["notes"][0]
    assert changed["counts"] == {"answered": 3}


@pytest.mark.slow
async def test_all_batches_of_another_batchwrights_job_are_adopted_together(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """A large job has several: one call takes up all of it, under the name that it had."""
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    async with in_memory(openai_environment(tmp_path / "first", server, enqueued_tokens="100")) as session:
        job_id = await submitted(session)
    async with in_memory(openai_environment(tmp_path / "second", server)) as session:
        others = (await session.call("list_jobs"))["others"]
        adopted = await session.call("adopt_batch", batch_id=others[0]["batch_id"])
        for batch_id in server.batches:
            server.finish(batch_id)
        job = await session.finished(job_id)
        results = await session.call("get_results", job_id=job_id)

    assert len(others) == 2
    assert (adopted["job_id"], adopted["counts"]) == (job_id, {"running": 5})
    assert job["counts"] == {"answered": 5}
    assert [row["answer"] for row in results["shown"]] == [f"answer to Say {number}" for number in range(5)]
    assert server.posts == 2


async def test_an_adopted_batch_costs_what_it_says(tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI) -> None:
    """Nobody agreed to it here, and still its cost is known."""
    batch_id = await made_elsewhere(client)
    server.finish(batch_id)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job = await session.call("adopt_batch", batch_id=batch_id)

    assert job["counts"] == {"answered": 3}
    assert job["cost"].startswith("$0.0000")
    assert "agreed" not in job["cost"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_lost_journal_is_made_anew_from_folders_and_batches(
    tmp_path: Path, server: OpenAIServer, mode: Mode
) -> None:
    """Nothing is sent twice, no paid answer is lost, and nothing is submitted until the user has looked."""
    env = openai_environment(tmp_path, server)
    async with in_memory(env) as session:
        done = await submitted(session)
        server.finish(next(iter(server.batches)))
        await session.finished(done)
        running = await submitted(session, prompt="Tell {{n}}")
        draft = (await session.call("create_batch_file", **DRAFT | {"prompt": "Ask {{n}}"}))["job_id"]
    lose_the_journal(tmp_path)
    user = User()
    async with in_memory(env, mode, user=user) as session:
        jobs = await session.call("list_jobs")
        frozen = await session.error("submit_job", job_id=draft)
        server.finish(list(server.batches)[-1])
        first = await session.finished(done)
        second = await session.finished(running)
        results = await session.call("get_results", job_id=running)
        posts = server.posts
        user.agreed = False
        declined = await session.error("submit_job", job_id=draft, user_says="go_on")
        still = await session.error("submit_job", job_id=draft)
        user.agreed = True
        submitted_draft = await session.call("submit_job", job_id=draft, user_says="go_on")
        listed = await session.call("list_jobs")

    assert {job["job_id"] for job in jobs["jobs"]} == {done, running, draft}
    assert "others" not in jobs
    assert jobs["notes"][0].startswith('Nothing is submitted until the user agrees (submit_job, user_says="go_on")')
    assert "jobs were restored" in jobs["notes"][0]
    assert frozen.startswith("The journal was lost; 3 ")
    assert 'user_says="go_on"' in frozen
    assert (first["counts"], second["counts"]) == ({"answered": 5}, {"answered": 5})
    assert results["shown"][0]["answer"] == "answer to Tell 0"
    assert posts == 2
    assert "The user declined" in declined
    assert still == frozen
    assert len(user.questions) == 2
    assert "The journal was lost" in user.questions[0]
    assert "Continue submitting?" in user.questions[0]
    assert submitted_draft["status"] == "running"
    assert "notes" not in listed
    assert server.posts == 3


@pytest.mark.slow
async def test_parts_of_a_lost_journal_that_were_never_sent_can_be_retried(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Whether the rest is still wanted is the user's to say: it is not sent by itself, and not forgotten."""
    env = openai_environment(tmp_path, server, enqueued_tokens="100")
    async with in_memory(env) as session:
        job_id = await submitted(session, rows=[{"n": number} for number in range(12)])
    sent = server.posts
    lose_the_journal(tmp_path)
    for batch_id in server.batches:
        server.finish(batch_id)
    async with in_memory(env) as session:
        job = await session.finished(job_id)
        await session.call("retry_job", job_id=job_id)
        await session.call("submit_job", job_id=job_id, user_says="go_on")
        server.finish(list(server.batches)[-1])
        whole = await session.finished(job_id)
        results = await session.call("get_results", job_id=job_id, limit=20)

    assert sent == 2
    assert job["counts"] == {"answered": 8, "never_ran": 4}
    assert whole["counts"] == {"answered": 12}
    assert [row["answer"] for row in results["shown"]] == [f"answer to Say {number}" for number in range(12)]
    assert server.posts == 3


@pytest.mark.slow
async def test_the_rounds_of_a_lost_journal_join_as_before(tmp_path: Path, server: OpenAIServer) -> None:
    """The second round's answers take the place of the first's, and at every moment the counts add up."""
    env = openai_environment(tmp_path, server)
    answer = server.answer
    server.answer = lambda _id, _body: (400, {"error": {"message": "no"}})
    async with in_memory(env) as session:
        job_id = await submitted(session)
        first = server.finish(next(iter(server.batches)))
        await session.finished(job_id)
        await session.call("retry_job", job_id=job_id, prompt="Tell {{n}}")
        await session.call("submit_job", job_id=job_id)
    server.answer = answer
    lose_the_journal(tmp_path)
    second = list(server.batches)[-1]
    server.step(second)
    server.batches[second]["request_counts"] |= {"completed": 4}
    async with in_memory(env) as session:
        running = await session.finished(job_id, 1)
        server.finish(second)
        job = await session.finished(job_id)
        results = await session.call("get_results", job_id=job_id)

    assert first["request_counts"]["failed"] == 5
    assert running["status"] == "running"
    assert sum(running["counts"].values()) == 5
    assert min(running["counts"].values()) > 0
    assert job["counts"] == {"answered": 5}
    assert [row["answer"] for row in results["shown"]] == [f"answer to Tell {number}" for number in range(5)]


async def test_a_folder_that_cannot_be_read_keeps_no_other_job_from_being_restored(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """One file was cut off as the disk was full; everything else works."""
    env = openai_environment(tmp_path, server)
    async with in_memory(env) as session:
        job_id = await submitted(session)
    lose_the_journal(tmp_path)
    damaged = tmp_path / "data" / "jobs" / "job_aaaaaaaa"
    damaged.mkdir()
    (damaged / "job.json").write_text('{"id": "job_aa', encoding="utf-8")
    async with in_memory(env) as session:
        jobs = await session.call("list_jobs")

    assert [job["job_id"] for job in jobs["jobs"]] == [job_id]
    assert damaged.exists()


async def test_a_journal_that_was_lost_while_another_provider_is_set_sends_nothing_twice(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """The other provider knows nothing of the batch, which is no sign that there is none."""
    env = openai_environment(tmp_path, server)
    async with in_memory(env) as session:
        job_id = await submitted(session)
    lose_the_journal(tmp_path)
    async with running_endpoint() as endpoint, in_memory(environment(tmp_path, endpoint=endpoint.url)) as session:
        await session.call("list_jobs")
    async with in_memory(env) as session:
        await session.answer("submit_job", job_id=job_id, user_says="go_on")
        server.finish(next(iter(server.batches)))
        job = await session.finished(job_id, 3)

    assert server.posts == 1
    assert job["counts"] == {"answered": 5}


async def test_a_batch_that_shows_up_only_after_the_journal_was_made_anew_is_not_made_twice(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Lists lag: before a job is sent that looks like a draft, the list is looked through once more."""
    server.faults.add("batches.create", "list_lag")
    env = openai_environment(tmp_path, server)
    async with in_memory(env) as session:
        job_id = await submitted(session)
    lose_the_journal(tmp_path)
    async with in_memory(env) as session:
        await session.call("list_jobs")
        server.appear()
        await session.answer("submit_job", job_id=job_id, user_says="go_on")
        server.finish(next(iter(server.batches)))
        job = await session.finished(job_id, 3)

    assert server.posts == 1
    assert job["counts"] == {"answered": 5}


async def test_the_batch_of_a_job_of_ours_is_no_other_job(tmp_path: Path, server: OpenAIServer) -> None:
    """While its creation is unconfirmed it looks like a stranger's: it is still that job's, and counted once."""
    server.faults.add("batches.create", "list_lag")
    server.faults.add("batches.create", "lost_after_creation")
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.appear()
        (batch_id,) = server.batches
        text, _ = await session.answer("adopt_batch", batch_id=batch_id)
        jobs = await session.call("list_jobs")

    assert job_id in text
    assert jobs["total"] == 1


async def test_a_client_that_cannot_ask_lifts_a_freeze_with_the_users_word(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """The assistant has asked in the conversation, and passes on what was said."""
    env = openai_environment(tmp_path, server)
    async with in_memory(env) as session:
        await submitted(session)
    lose_the_journal(tmp_path)
    async with in_memory(env) as session:
        draft = (await session.call("create_batch_file", **DRAFT | {"prompt": "Ask {{n}}"}))["job_id"]
        frozen = await session.error("submit_job", job_id=draft)
        job = await session.call("submit_job", job_id=draft, user_says="go_on")

    assert "The journal was lost" in frozen
    assert job["status"] == "running"
    assert server.posts == 2


async def test_to_go_on_is_not_to_agree_to_the_cost(tmp_path: Path, server: OpenAIServer) -> None:
    """Two questions are open, and the user has to hear both before five dollars are spent."""
    env = openai_environment(tmp_path, server)
    user = User()
    async with in_memory(env) as session:
        await submitted(session)
    lose_the_journal(tmp_path)
    async with in_memory(env, user=user) as session:
        dear = DRAFT | {"prompt": "Ask {{n}}", "parameters": {"max_completion_tokens": 999_000}}
        draft = (await session.call("create_batch_file", **dear))["job_id"]
        await session.answer("submit_job", job_id=draft, user_says="go_on")

    asked = " ".join(user.questions)
    assert "The journal was lost" in asked
    assert "Spend at most $5.00 on " in asked or server.posts == 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
async def test_a_lost_folder_of_data_is_found_out_before_anything_is_sent(
    tmp_path: Path, server: OpenAIServer, mode: Mode
) -> None:
    """The new journal knows of nothing: what the old one left at the provider is taken up first."""
    env = openai_environment(tmp_path, server, enqueued_tokens="100")
    async with in_memory(env) as session:
        lost = await submitted(session)
    shutil.rmtree(tmp_path / "data")
    async with in_memory(env, mode) as session:
        again = (await session.call("create_batch_file", **DRAFT))["job_id"]
        frozen = await session.error("submit_job", job_id=again)
        posts = server.posts
        jobs = await session.call("list_jobs")
        for batch_id in server.batches:
            server.finish(batch_id)
        job = await session.finished(lost)
        results = await session.call("get_results", job_id=lost)
        await session.call("submit_job", job_id=again, user_says="go_on")

    assert "shows batches of 1 jobs that this journal does not know" in frozen
    assert 'user_says="go_on"' in frozen
    assert posts == 2
    assert {entry["job_id"] for entry in jobs["jobs"]} == {lost, again}
    assert job["counts"] == {"answered": 5}
    assert [row["answer"] for row in results["shown"]] == [f"answer to Say {number}" for number in range(5)]
    assert server.posts == 4


async def test_a_new_journal_that_meets_nobodys_batches_goes_on(
    tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI
) -> None:
    """Other programs' batches are no sign of a loss."""
    await made_elsewhere(client)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        job = await session.call("check_job", job_id=job_id)

    assert (job["status"], server.posts) == ("running", 2)


@pytest.mark.parametrize("mode", MODES)
async def test_of_two_batches_of_one_attempt_the_oldest_is_kept(
    tmp_path: Path, server: OpenAIServer, client: AsyncOpenAI, mode: Mode
) -> None:
    """However the second came into being: it is cancelled before it costs much, and the user is told."""
    server.faults.add("batches.create", "list_lag")
    server.faults.add("batches.create", "lost_after_creation")
    user = User()
    async with in_memory(openai_environment(tmp_path, server), mode, user=user) as session:
        job_id = await submitted(session)
        unknown = await session.call("check_job", job_id=job_id)
        (first,) = server.batches
        made = server.batches[first]
        second = await client.batches.create(
            input_file_id=made["input_file_id"],
            endpoint=CHAT,
            completion_window="24h",
            metadata=made["metadata"],
        )
        server.appear()

        async def adopted() -> dict[str, Any]:
            job = await session.call("check_job", job_id=job_id)
            return job if job["status"] == "running" else {}

        await until(adopted)
        server.finish(first)
        server.finish(second.id, "cancelled")
        job = await session.finished(job_id)
        draft = (await session.call("create_batch_file", **DRAFT | {"prompt": "Ask {{n}}"}))["job_id"]
        frozen = await session.error("submit_job", job_id=draft)
        going_on = await session.call("submit_job", job_id=draft, user_says="go_on")

    assert unknown["status"] == "unknown"
    assert "it is not confirmed whether its batch was made; nothing was sent again" in unknown["notes"][0]
    assert server.requests[f"POST /v1/batches/{second.id}/cancel"] == 1
    assert server.requests[f"POST /v1/batches/{first}/cancel"] == 0
    assert job["counts"] == {"answered": 5}
    assert frozen.startswith(f"The provider shows 2 batches for part 1 of {job_id}: the oldest is kept, {second.id}")
    assert frozen.split(". ")[0] in user.questions[0]
    assert going_on["status"] == "running"
