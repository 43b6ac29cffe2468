"""Whole jobs at a service with OpenAI's Files and Batch API, from the draft to the deletion of what lies there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import anyio
import msgspec
import pytest
from mcp.client import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

from batchwright.core.jsonl import whole_lines
from tests.support.five_rows import DRAFT, only_batch, submitted, write_batch_file
from tests.support.openai_faults import DAMAGES
from tests.support.openai_server import Difference, Object, OpenAIServer, StoredFile, running_openai
from tests.support.session import MODES, Mode, Session, User, in_memory, openai_environment
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

ENDED = ("completed", {"answered": 5})


def output_of(server: OpenAIServer) -> StoredFile:
    """Give the output file of the one batch."""
    return server.files[server.batches[only_batch(server)]["output_file_id"]]


def change_output(server: OpenAIServer, change: Callable[[list[Object]], list[Object]]) -> None:
    """Write the decoded lines of the one output file as *change* gives them back."""
    path = output_of(server).path
    lines = [json.loads(line) for line in whole_lines([path.read_bytes()])]
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in change(lines)))


async def noted(session: Session, job_id: str) -> dict[str, Any]:
    """Look at a job until there is something to be told of it: a server that just started may be at it already."""

    async def look() -> dict[str, Any]:
        job = await session.call("check_job", job_id=job_id)
        return job if "notes" in job else {}

    return await until(look)


def summed(job: dict[str, Any]) -> int:
    """Add up a job's rows by outcome."""
    return sum(job["counts"].values())


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("endpoint", ["/v1/chat/completions", "/v1/responses", "/v1/embeddings"])
async def test_a_whole_job_on_every_endpoint(tmp_path: Path, server: OpenAIServer, endpoint: str, mode: Mode) -> None:
    """It is what people pay for: rows in, rows with answers out, nothing left behind."""
    server.automatic = True
    limits = {"/v1/chat/completions": "max_completion_tokens", "/v1/responses": "max_output_tokens"}
    changes: dict[str, Any] = {"endpoint": endpoint, "parameters": {}, "model": "text-embedding-3-small"}
    if endpoint in limits:
        changes |= {"parameters": {limits[endpoint]: 100}, "model": "gpt-5-mini"}
    async with in_memory(openai_environment(tmp_path, server), mode) as session:
        job_id = await submitted(session, **changes)
        job = await session.finished(job_id)
        results = await session.call("get_results", job_id=job_id, save_as="out.jsonl")
        files = await session.call("list_files")
        await session.call("delete_files", job_id=job_id)
        after = await session.call("get_results", job_id=job_id)

    batch = server.batches[only_batch(server)]
    assert (job["status"], job["counts"]) == ENDED
    assert (job["input_tokens"], job.get("output_tokens", 0)) == (
        batch["usage"]["input_tokens"],
        batch["usage"]["output_tokens"],
    )
    assert job["cost"].startswith("$0.0000")
    assert (batch["endpoint"], batch["completion_window"]) == (endpoint, "24h")
    assert {file["job_id"] for file in files["files"]} == {job_id}
    assert files["total"] == 2
    assert server.files == {}
    saved = [json.loads(line) for line in (tmp_path / "work" / "out.jsonl").read_text().splitlines()]
    key = "embedding" if endpoint == "/v1/embeddings" else "answer"
    assert [row["n"] for row in saved] == [row["n"] for row in results["shown"]] == list(range(5))
    assert [row[key] for row in saved] == [
        [0.5, 5.0] if key == "embedding" else f"answer to Say {number}" for number in range(5)
    ]
    assert after["shown"] == results["shown"]


async def test_a_batch_that_fails_validation_is_explained_soon(tmp_path: Path, server: OpenAIServer) -> None:
    """Not found out the next day: the faulty line, its row and the reason are in the first answer after it."""
    server.automatic = True
    write_batch_file(tmp_path, [{"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}] * 3)
    server.models = frozenset({"gpt-4.1"})
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("create_batch_file", batch_file="batch.jsonl"))["job_id"]
        await session.call("submit_job", job_id=job_id, max_cost_usd=0.5)
        job = await session.call("check_job", job_id=job_id, wait_seconds=10)
        results = await session.call("get_results", job_id=job_id, outcome="never_ran")

    reason = "model_not_found: The provided model 'gpt-5-mini' is not supported by the Batch API."
    assert (job["status"], job["counts"]) == ("failed", {"never_ran": 3})
    assert job["notes"][0] == f"part 1, line 1 (id row-0): {reason}"
    assert job["cost"] == "$0.00; $0.50 agreed, not enforced"
    assert "retry_job" in job["next"]
    assert [(row["custom_id"], row["problem"]) for row in results["shown"]] == [
        (f"row-{number}", reason) for number in range(3)
    ]


async def test_one_bad_line_names_itself_and_the_others_say_why_they_did_not_run(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """The provider refuses the whole for one line: the user fixes that one, and retries all."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        batch = server.batches[only_batch(server)]
        error = {"code": "invalid_request", "line": 3, "message": "Bad parameter.", "param": "body.x"}
        batch |= {"status": "failed", "errors": {"object": "list", "data": [error]}}
        job = await session.call("check_job", job_id=job_id)
        results = await session.call("get_results", job_id=job_id, outcome="never_ran")

    assert job["counts"] == {"never_ran": 5}
    assert job["notes"][0].startswith("part 1, line 3 (id ")
    problems = [row["problem"] for row in results["shown"]]
    assert problems[2] == "invalid_request: Bad parameter."
    assert set(problems[:2] + problems[3:]) == {"its batch failed (invalid_request: Bad parameter.)"}


@pytest.mark.parametrize(
    ("outcome", "rest"), [("expired", "expired"), ("cancelled", "never_ran"), ("failed", "never_ran")]
)
async def test_what_was_answered_before_a_batch_ended_early_is_kept(
    tmp_path: Path, server: OpenAIServer, outcome: Any, rest: str
) -> None:
    """It is paid for, whatever the status says; and every row is counted once."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server), outcome, answered=2)
        job = await session.call("check_job", job_id=job_id)
        results = await session.call("get_results", job_id=job_id)

    assert job["status"] == outcome
    assert job["counts"] == {"answered": 2, rest: 3}
    assert [row["outcome"] for row in results["shown"]] == ["answered"] * 2 + [rest] * 3
    assert [row.get("answer") for row in results["shown"][:2]] == ["answer to Say 0", "answer to Say 1"]
    assert not job["cost"].startswith("$0.00;")


async def test_a_completed_batch_whose_every_line_failed_has_no_output_file(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """The status is a success, and no answer is: the error file alone says what became of the rows."""
    server.answer = lambda _id, _body: (400, {"error": {"message": "Unsupported value", "code": "unsupported_value"}})
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        batch = server.finish(only_batch(server))
        job = await session.call("check_job", job_id=job_id)
        results = await session.call("get_results", job_id=job_id)

    assert batch["output_file_id"] is None
    assert job["counts"] == {"failed": 5}
    assert [(found["provider_says"], found["rows"]) for found in job["problems"]] == [
        ("HTTP 400 (code unsupported_value): Unsupported value", 5)
    ]
    assert results["notes"] == ["No row has a good answer: outcome and problem say why."]
    assert job["cost"] == "$0.00; at most $0.000507 agreed"


@pytest.mark.parametrize("damage", sorted(DAMAGES))
async def test_a_damaged_download_is_fetched_again_until_it_is_whole(
    tmp_path: Path, server: OpenAIServer, damage: str
) -> None:
    """A cut file can look like a good one; until it was checked here, the provider's is the only copy."""
    server.faults.add("files.content", damage, times=9)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server))
        damaged = await session.call("check_job", job_id=job_id)
        refused = await session.error("delete_files", job_id=job_id)
        kept = output_of(server).id in server.files
        server.faults.waiting.clear()
        job = await session.call("check_job", job_id=job_id)
        results = await session.call("get_results", job_id=job_id)

    assert (damaged["status"], summed(damaged)) == ("running", 5)
    assert damaged["notes"]
    assert f"{job_id} is running, so its files are still needed. Nothing was deleted." in refused
    assert kept
    assert server.requests[f"GET /v1/files/{output_of(server).id}/content"] > 2
    assert (job["status"], job["counts"]) == ENDED
    assert [row["answer"] for row in results["shown"]] == [f"answer to Say {number}" for number in range(5)]


async def test_results_that_the_provider_never_gives_are_named(tmp_path: Path, server: OpenAIServer) -> None:
    """After three looks it is what the provider has: the job ends, and says how many are missing."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server))
        change_output(server, lambda lines: lines[:3])
        jobs = [await session.call("check_job", job_id=job_id) for _ in range(3)]
        results = await session.call("get_results", job_id=job_id)

    content = f"GET /v1/files/{output_of(server).id}/content"
    assert [job["status"] for job in jobs] == ["running", "running", "completed"]
    assert "arrived incomplete" in jobs[0]["notes"][0]
    assert jobs[2]["notes"] == ["2 requests have no result"]
    assert [summed(job) for job in jobs] == [5, 5, 5]
    assert jobs[2]["counts"]["answered"] == 3
    assert sum(row["outcome"] == "answered" for row in results["shown"]) == 3
    assert all(row["problem"] for row in results["shown"] if row["outcome"] != "answered")
    assert server.requests[content] == 3


async def test_results_that_come_twice_or_for_nobody_are_named_and_left_out(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """One row has one answer, and no answer goes to a row that did not ask."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server))
        change_output(server, lambda lines: [*lines, lines[0], lines[1] | {"custom_id": "nobody"}])
        job = await session.call("check_job", job_id=job_id)
        results = await session.call("get_results", job_id=job_id)

    assert (job["status"], job["counts"]) == ENDED
    assert "1 results are for ids that this part does not have, and are left out" in job["notes"][0]
    assert "1 results come a second time, and are left out" in job["notes"][0]
    assert [row["answer"] for row in results["shown"]] == [f"answer to Say {number}" for number in range(5)]


async def test_an_unknown_result_does_not_stand_in_for_a_missing_one(tmp_path: Path, server: OpenAIServer) -> None:
    """The number of lines is right, and still a paid answer is missing: it is fetched again, and named."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server))
        change_output(server, lambda lines: [*lines[:4], lines[4] | {"custom_id": "nobody"}])
        jobs = [await session.call("check_job", job_id=job_id) for _ in range(3)]

    assert [job["status"] for job in jobs] == ["running", "running", "completed"]
    assert jobs[2]["notes"] == [
        "1 requests have no result; 1 results are for ids that this part does not have, and are left out"
    ]
    assert summed(jobs[2]) == 5


async def test_a_result_file_that_is_gone_is_named_as_lost(tmp_path: Path, server: OpenAIServer) -> None:
    """Somebody deleted it, or its thirty days are over: the rows are told apart from those that never ran."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server))
        file_id = output_of(server).id
        del server.files[file_id]
        job = await session.call("check_job", job_id=job_id)
        results = await session.call("get_results", job_id=job_id)

    lost = f"its output file {file_id} is gone at the provider: these results are lost"
    assert job["counts"] == {"unconfirmed": 5}
    assert job["notes"][0].startswith(lost)
    assert all(row["problem"].startswith(lost) for row in results["shown"])


@pytest.mark.parametrize("phase", ["validating", "ended"])
async def test_another_key_leaves_the_job_waiting_for_the_right_one(
    tmp_path: Path, server: OpenAIServer, phase: str
) -> None:
    """With the key of another project the provider shows nothing, which is no proof that nothing is there."""
    env = openai_environment(tmp_path, server)
    async with in_memory(env) as session:
        job_id = await submitted(session)
    if phase == "ended":
        server.finish(only_batch(server))
    async with running_openai(key="sk-other-0123456789abcdef") as other:
        server.batches, other.batches = other.batches, server.batches
        server.files, other.files = other.files, server.files
        async with in_memory(env) as session:
            waiting = await noted(session, job_id)
            refused = await session.error("get_results", job_id=job_id)
        server.batches, server.files = other.batches, other.files
    server.finish(only_batch(server))
    async with in_memory(env) as session:
        job = await session.finished(job_id)

    assert (waiting["status"], waiting["counts"]) == ("running", {"running": 5})
    assert "the provider does not show batch" in waiting["notes"][0]
    assert "start the server with the key and project that it was made with" in waiting["notes"][0]
    assert "is still running" in refused
    assert (job["status"], job["counts"]) == ENDED
    assert "notes" not in job


async def test_a_wrong_key_is_told_without_the_key_and_the_job_goes_on_with_the_right_one(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Keys are changed while jobs run."""
    env = openai_environment(tmp_path, server)
    wrong = "sk-wrong-abcdef0123456789"
    async with in_memory(env) as session:
        job_id = await submitted(session)
    async with in_memory(env | {"OPENAI_API_KEY": wrong}) as session:
        waiting = json.dumps(await noted(session, job_id))
        draft = await session.call("create_batch_file", **DRAFT | {"prompt": "Tell {{n}}"})
        other, _ = await session.answer("submit_job", job_id=draft["job_id"])
    server.finish(only_batch(server))
    async with in_memory(env) as session:
        job = await session.finished(job_id)

        async def sent() -> bool:
            return server.batches_created == 2

        await until(sent)

    for text in (waiting, other):
        assert "The API key is not valid." in text
        assert "sk-wr" not in text
        assert wrong[-4:] not in text
    assert (job["status"], job["counts"]) == ENDED


@pytest.mark.parametrize("phase", ["validating", "in_progress", "finalizing", "completed"])
async def test_a_job_is_cancelled_in_every_phase(tmp_path: Path, server: OpenAIServer, phase: str) -> None:
    """What was answered is kept, what was not is named, and what has already finished stays as it is."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
        await session.call("submit_job", job_id=job_id)
        while server.batches[only_batch(server)]["status"] != phase:
            server.step(only_batch(server))
        cancelled = await session.call("cancel_job", job_id=job_id)
        again, _ = await session.answer("cancel_job", job_id=job_id)
        server.finish(only_batch(server), "cancelled", answered=1)
        job = await session.call("check_job", job_id=job_id)
        results = await session.call("get_results", job_id=job_id)

    cancels = server.requests[f"POST /v1/batches/{only_batch(server)}/cancel"]
    if phase == "completed":
        assert (job["status"], job["counts"], cancels) == (*ENDED, 0)
        assert "has already finished: completed" in again
    else:
        assert cancelled["status"] == "cancelling"
        assert (job["status"], job["counts"], cancels) == ("cancelled", {"answered": 1, "never_ran": 4}, 1)
        assert results["shown"][0]["answer"] == "answer to Say 0"
        assert results["shown"][4]["problem"] == "the batch was cancelled before reaching this row"


async def test_a_batch_that_completes_while_it_is_being_cancelled_is_complete(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """The provider says that it is too late: then all answers are there, and are wanted."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        cancel = server.cancel

        def too_late(batch: Object) -> None:
            server.finish(batch["id"])
            cancel(batch)

        server.cancel = too_late
        cancelling = await session.call("cancel_job", job_id=job_id)
        job = await session.call("check_job", job_id=job_id)

    assert summed(cancelling) == 5
    assert (job["status"], job["counts"]) == ENDED


async def test_files_are_deleted_only_after_the_end(tmp_path: Path, server: OpenAIServer) -> None:
    """A running batch needs its input, and results that are not here yet have no other copy."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        (file_id,) = server.files
        early = [
            await session.error("delete_files", job_id=job_id),
            await session.error("delete_files", file_ids=[file_id]),
        ]
        server.finish(only_batch(server))
        deletes_before = server.deletes
        deleted = await session.call("delete_files", job_id=job_id)
        again = await session.error("delete_files", job_id=job_id)
        results = await session.call("get_results", job_id=job_id)

    assert all("so its files are still needed. Nothing was deleted." in text for text in early)
    assert deletes_before == 0
    assert len(deleted["deleted"]) == server.deletes == 2
    assert "has no files at the provider, so nothing was deleted" in again
    assert results["counts"] == {"answered": 5}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("user", "deletes"),
    [(User(), 2), (User("decline"), 0), (User("cancel"), 0), (User(agreed=False), 0)],
    ids=["agreed", "decline", "cancel", "not agreed"],
)
async def test_the_user_is_asked_before_files_are_deleted(
    tmp_path: Path, server: OpenAIServer, mode: Mode, user: User, deletes: int
) -> None:
    """They are the user's, and no retry brings them back; which they are is said."""
    user = User(user.action, user.agreed)
    async with in_memory(openai_environment(tmp_path, server), mode, user=user) as session:
        job_id = await submitted(session)
        early = await session.error("delete_files", job_id=job_id)
        server.finish(only_batch(server))
        text, content = await session.answer("delete_files", job_id=job_id)

    host = server.url.removeprefix("http://").removesuffix("/v1")
    (asked,) = user.questions
    assert "still needed" in early
    assert asked.startswith(f"Delete 2 files at {host!r} for good, 0.0")
    assert f" MB, of {job_id}? The results stay here. The files: 'batch_" in asked
    assert server.deletes == deletes
    assert (content is None) == (deletes == 0)
    if not deletes:
        assert text == "The user declined, so no file was deleted. Keep the files, or name others."


async def test_a_user_who_cannot_be_asked_is_told_what_was_deleted(tmp_path: Path, server: OpenAIServer) -> None:
    """The results are safe here, so a client without a form does not end the matter."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server))
        ids = set(server.files)
        deleted = await session.call("delete_files", job_id=job_id)

    assert set(deleted["deleted"]) == ids
    assert deleted["kept"] == "the results stay here: get_results works as before"


@pytest.mark.parametrize("mode", MODES)
async def test_only_files_that_the_user_was_shown_are_deleted(tmp_path: Path, server: OpenAIServer, mode: Mode) -> None:
    """Another file may come while the user thinks."""

    class Slow(User):
        """A user who takes so long to answer the first time that another file comes."""

        async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
            if not self.questions:
                path = server.new_path()
                path.write_text("{}", encoding="utf-8")
                server.add_file(path, next(iter(server.files.values())).filename, purpose="batch")
            return await super().__call__(context, params)

    user = Slow()
    async with in_memory(openai_environment(tmp_path, server), mode, user=user) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server))
        text, _ = await session.answer("delete_files", job_id=job_id)

    if mode == "legacy":
        assert text == "The files changed while the user was deciding, so nothing was deleted. Call delete_files again."
        assert server.deletes == 0
    else:
        assert [question.split(" at ")[0] for question in user.questions] == ["Delete 2 files", "Delete 3 files"]
        assert server.deletes == 3


async def test_a_retry_that_begins_while_files_are_listed_keeps_its_own(tmp_path: Path, server: OpenAIServer) -> None:
    """Its input file is listed with all others of the job; without it the batch that was just made would fail."""
    server.answer = lambda custom_id, _body: (400, {"error": {"message": "no"}}) if custom_id == "row-1" else "yes"
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        server.finish(only_batch(server))
        await session.finished(job_id)
        await session.call("retry_job", job_id=job_id)
        server.faults.add("files.list", "held")
        refused: list[str] = []

        async def delete() -> None:
            refused.append(await session.error("delete_files", job_id=job_id))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(delete)
            await server.holding.wait()
            await session.call("submit_job", job_id=job_id)
            server.release()

    assert refused[0].startswith(f"{job_id} is running, so its files are still needed. Nothing was deleted.")
    assert server.deletes == 0


async def test_files_of_others_are_left_alone(tmp_path: Path, server: OpenAIServer) -> None:
    """The same account has other uses: what this program did not make, it does not delete."""
    path = server.new_path()
    path.write_text("{}", encoding="utf-8")
    server.add_file(path, "mine.jsonl", purpose="batch")
    async with in_memory(openai_environment(tmp_path, server)) as session:
        files = await session.call("list_files")
        text = await session.error("delete_files", file_ids=[files["files"][0]["file_id"]])

    assert "belongs to no job of this server, so it is left alone" in text
    assert server.deletes == 0


@pytest.mark.parametrize("difference", get_args(Difference))
async def test_a_service_that_answers_otherwise_runs_a_whole_job(
    tmp_path: Path, server: OpenAIServer, difference: Difference
) -> None:
    """Services with the same API differ in what they write: none of it may lose an answer."""
    server.automatic = True
    server.differences = {difference}
    server.answer = lambda _id, body: (
        (400, {"error": {"message": "no"}}) if body["messages"][-1]["content"] == "Say 4" else "good"
    )
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        job = await session.finished(job_id)
        results = await session.call("get_results", job_id=job_id)

    assert (job["status"], job["counts"]) == ("completed", {"answered": 4, "failed": 1})
    assert [row.get("answer") for row in results["shown"][:4]] == ["good"] * 4
    assert results["shown"][4]["problem"] == "HTTP 400: no"


@pytest.mark.parametrize("difference", ["errors_as_string", "capital_statuses", "empty_output_file_id"])
async def test_a_failed_batch_is_explained_also_where_a_service_answers_otherwise(
    tmp_path: Path, server: OpenAIServer, difference: Difference
) -> None:
    """Its fault may be a text instead of a list, and an absent file an empty name."""
    server.automatic = True
    server.differences = {difference}
    server.models = frozenset({"another"})
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        job = await session.finished(job_id)

    assert (job["status"], job["counts"]) == ("failed", {"never_ran": 5})
    assert "'gpt-5-mini' is not supported by the Batch API" in job["notes"][0]


async def test_a_status_never_heard_of_is_waited_out(tmp_path: Path, server: OpenAIServer) -> None:
    """Providers add statuses: an unknown one is not an end, and nothing is sent again for it."""
    server.faults.add("batches.retrieve", "unknown_status", times=2)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        waiting = await session.call("check_job", job_id=job_id)
        server.finish(only_batch(server))
        job = await session.call("check_job", job_id=job_id)

    assert (waiting["status"], waiting["counts"]) == ("running", {"running": 5})
    assert (job["status"], job["counts"]) == ENDED
    assert server.posts == 1


async def test_progress_and_counts_follow_the_batch(tmp_path: Path, server: OpenAIServer) -> None:
    """A batch may take a day: what the provider counts is shown, and always adds up to the rows."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await submitted(session)
        batch = server.batches[only_batch(server)]
        seen: list[dict[str, Any]] = []
        for status, counts in (
            ("in_progress", {"total": 5, "completed": 2, "failed": 1}),
            ("in_progress", {"total": 5, "completed": 9, "failed": 9}),
            ("finalizing", None),
        ):
            batch |= {"status": status, "request_counts": counts}
            seen.append(await session.call("check_job", job_id=job_id))

    assert seen[0]["counts"] == {"answered": 2, "failed": 1, "running": 2}
    assert [summed(job) for job in seen] == [5, 5, 5]
    assert seen[0]["notes"] == [
        "Answers are read when the job ends: some may then count as refused, cut_short or not_fitting."
    ]
