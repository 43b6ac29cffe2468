"""Retries: a new round over the rows without a good answer, with changes if wanted, joined with the earlier answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.five_rows import DRAFT, newest, sent, write_batch_file
from tests.support.openai_server import Answer, Object, OpenAIServer, answer_body
from tests.support.session import Session, in_memory, openai_environment

pytestmark = pytest.mark.anyio


async def ended(session: Session, server: OpenAIServer, outcome: Any = "completed", answered: int | None = None) -> str:
    """Run a job to the end that is wished, and give its id."""
    job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
    await session.call("submit_job", job_id=job_id)
    server.finish(newest(server), outcome, answered)
    await looked_at(session, job_id)
    return job_id


async def retried(session: Session, server: OpenAIServer, job_id: str, **changes: Any) -> dict[str, Any]:
    """Run a retry to its end, and give the job."""
    await session.call("retry_job", job_id=job_id, **changes)
    await session.call("submit_job", job_id=job_id, max_cost_usd=0.5)
    server.finish(newest(server))
    return await looked_at(session, job_id)


async def looked_at(session: Session, job_id: str) -> dict[str, Any]:
    """Look at a job, whose counts add up at every moment."""
    job = await session.call("check_job", job_id=job_id)
    assert sum(job["counts"].values()) == job["rows"]
    return job


def texts(bodies: list[Object]) -> list[str]:
    """Give what the user says in each body."""
    return [body["messages"][-1]["content"] for body in bodies]


def fails(*numbers: int) -> Answer:
    """Refuse the rows with these numbers, and answer the others."""
    refused = {f"Say {number}" for number in numbers}
    error = {"error": {"message": "Unsupported value: 'temperature'"}}

    def answer(_custom_id: str, body: Object) -> str | tuple[int, Object]:
        return (400, error) if body["messages"][-1]["content"] in refused else "good"

    return answer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("outcome", "rest"), [("expired", "expired"), ("cancelled", "never_ran"), ("failed", "never_ran")]
)
async def test_rows_that_did_not_run_are_sent_again_and_the_others_are_not(
    tmp_path: Path, server: OpenAIServer, outcome: str, rest: str
) -> None:
    """What is answered is paid for and stays; what is not is all that the second round pays for."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await ended(session, server, outcome, answered=2)
        before = await looked_at(session, job_id)
        draft = await session.call("retry_job", job_id=job_id)
        drafted = await looked_at(session, job_id)
        await session.call("submit_job", job_id=job_id)
        running = await looked_at(session, job_id)
        again = texts(sent(server))
        server.answer = lambda _id, body: f"again {body['messages'][-1]['content']}"
        server.finish(newest(server))
        job = await looked_at(session, job_id)
        results = await session.call("get_results", job_id=job_id)

    assert before["counts"] == drafted["counts"] == {"answered": 2, rest: 3}
    assert (draft["job_id"], draft["requests"], draft["rows"]) == (job_id, 3, 5)
    assert "A retry of 3 rows is drafted; submit_job sends it." in drafted["notes"]
    assert f'submit_job(job_id="{job_id}"' in drafted["next"]
    assert running["counts"] == {"answered": 2, "running": 3}
    assert again == ["Say 2", "Say 3", "Say 4"]
    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})
    assert [row["answer"] for row in results["shown"]] == [
        *("answer to Say 0", "answer to Say 1", "again Say 2", "again Say 3", "again Say 4")
    ]
    assert server.posts == 2


async def test_tokens_and_cost_of_all_rounds_are_summed(tmp_path: Path, server: OpenAIServer) -> None:
    """Both were paid for."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await ended(session, server, "expired", answered=2)
        job = await retried(session, server, job_id)

    usages = [batch["usage"] for batch in server.batches.values()]
    into, out = (sum(usage[name] for usage in usages) for name in ("input_tokens", "output_tokens"))
    assert (job["input_tokens"], job["output_tokens"]) == (into, out)
    assert float(job["cost"].split(";")[0][1:]) == pytest.approx(into * 0.125e-6 + out * 1e-6, abs=2e-6)


async def test_each_round_is_paid_at_the_price_of_its_own_model(tmp_path: Path, server: OpenAIServer) -> None:
    """The second model may cost ten times the first."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await ended(session, server, "expired", answered=2)
        first = (await looked_at(session, job_id))["cost"].split(";")[0]
        job = await retried(session, server, job_id, model="gpt-4.1")
        results = await session.call("get_results", job_id=job_id)

    usage = server.batches[newest(server)]["usage"]
    cost = usage["input_tokens"] * 1e-6 + usage["output_tokens"] * 4e-6
    assert job["counts"] == {"answered": 5}
    assert {body["model"] for body in sent(server)} == {"gpt-4.1"}
    assert float(job["cost"].split(";")[0][1:]) == pytest.approx(float(first[1:]) + cost, abs=2e-6)
    assert results["answered_by"].startswith("gpt-4.1 at ")


async def test_a_retry_is_mended_in_prompt_system_and_parameters(tmp_path: Path, server: OpenAIServer) -> None:
    """One bad parameter fails every row: the user corrects it and keeps the rest of the recipe."""
    server.answer = fails(0, 1, 2, 3, 4)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await ended(session, server)
        server.answer = lambda _id, body: body["messages"][-1]["content"]
        job = await retried(
            *(session, server, job_id),
            prompt="Tell {{n}}",
            system="Be brief.",
            parameters={"max_completion_tokens": 50, "temperature": 0.5, "top_p": None},
        )
        changed = sent(server)
        server.answer = fails()
        results = await session.call("get_results", job_id=job_id)

    assert job["counts"] == {"answered": 5}
    assert texts(changed) == [row["answer"] for row in results["shown"]] == [f"Tell {number}" for number in range(5)]
    assert changed[0] == {
        "model": "gpt-5-mini",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tell 0"}],
        "max_completion_tokens": 50,
        "temperature": 0.5,
    }


async def test_a_parameter_is_taken_out_with_null(tmp_path: Path, server: OpenAIServer) -> None:
    """The usual fault is a parameter that the model does not know."""
    server.answer = fails(0, 1, 2, 3, 4)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await ended(session, server)
        draft = await session.call("retry_job", job_id=job_id, parameters={"max_completion_tokens": None})
        refused = await session.error("submit_job", job_id=job_id)

    assert "max_completion_tokens" not in json.loads(draft["first_request"])
    assert "The output has no limit" in draft["cost"]
    assert "Nothing bounds what" in refused
    assert server.posts == 1


@pytest.mark.slow
async def test_a_retry_of_a_retry_takes_up_only_what_is_still_open(tmp_path: Path, server: OpenAIServer) -> None:
    """Each round is smaller, and no good answer of an earlier one is lost."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        server.answer = fails(1, 3, 4)
        job_id = await ended(session, server)
        server.answer = fails(3)
        second = await retried(session, server, job_id)
        server.answer = lambda _id, _body: "third"
        third = await retried(session, server, job_id)
        results = await session.call("get_results", job_id=job_id, save_as="out.jsonl")

    sizes = [batch["request_counts"]["total"] for batch in server.batches.values()]
    assert second["counts"] == {"answered": 4, "failed": 1}
    assert third["counts"] == {"answered": 5}
    assert sizes == [5, 3, 1]
    assert [row["answer"] for row in results["shown"]] == ["good", "good", "good", "third", "good"]
    assert len((tmp_path / "work" / "out.jsonl").read_text().splitlines()) == 5


@pytest.mark.slow
async def test_a_second_draft_of_a_retry_takes_the_place_of_the_first(tmp_path: Path, server: OpenAIServer) -> None:
    """The user changed their mind: one round is sent, the newest."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await ended(session, server, "expired", answered=1)
        first = await session.call("retry_job", job_id=job_id, prompt="One {{n}}")
        second = await session.call("retry_job", job_id=job_id, prompt="Two {{n}}")
        await session.call("submit_job", job_id=job_id)
        again = await session.call("submit_job", job_id=job_id)
        server.finish(newest(server))
        job = await looked_at(session, job_id)

    assert (first["requests"], second["requests"]) == (4, 4)
    assert texts(sent(server)) == [f"Two {number}" for number in range(1, 5)]
    assert again["notes"][0] == "Already submitted: nothing was sent again."
    assert job["counts"] == {"answered": 5}
    assert server.posts == 2


async def test_a_retry_that_cannot_be_drafted_leaves_the_one_before_as_it_is(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """A typing error costs nothing, and breaks nothing."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await ended(session, server, "expired", answered=1)
        await session.call("retry_job", job_id=job_id)
        refused = await session.error("retry_job", job_id=job_id, prompt="{{nothing}}")
        streaming = await session.error("retry_job", job_id=job_id, parameters={"stream": True})
        await session.call("submit_job", job_id=job_id)
        server.finish(newest(server))
        job = await looked_at(session, job_id)

    assert "names the column 'nothing', which does not exist" in refused
    assert "A batch cannot stream its answers" in streaming
    assert job["counts"] == {"answered": 5}


async def test_where_nothing_is_open_nothing_is_retried(tmp_path: Path, server: OpenAIServer) -> None:
    """A second answer to a row that has a good one is money for nothing."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await ended(session, server)
        text = await session.error("retry_job", job_id=job_id)
        named = await session.error("retry_job", job_id=job_id, outcomes=["refused", "cut_short"])
        wrong = await session.error("retry_job", job_id=job_id, outcomes=["answered"])
        again = await session.call("submit_job", job_id=job_id)

    assert text == (
        f"{job_id} has no rows that are failed or expired or never_ran. Its rows: answered 5. "
        "There is nothing to retry."
    )
    assert "no rows that are refused or cut_short" in named
    assert "outcomes" in wrong
    assert again["notes"][0] == "Already submitted: nothing was sent again."
    assert server.posts == 1


async def test_neither_a_draft_nor_a_running_round_is_retried(tmp_path: Path, server: OpenAIServer) -> None:
    """Their rows may still be answered: they would be paid twice."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
        draft = await session.error("retry_job", job_id=job_id)
        await session.call("submit_job", job_id=job_id)
        running = await session.error("retry_job", job_id=job_id)
        server.finish(newest(server), "expired", 1)
        await looked_at(session, job_id)
        await session.call("retry_job", job_id=job_id)
        await session.call("submit_job", job_id=job_id)
        second = await session.error("retry_job", job_id=job_id)

    assert draft.startswith(f"{job_id} is draft. Only a finished job can be retried")
    assert running == second == draft.replace("is draft", "is running")
    assert server.posts == 2


async def test_other_outcomes_are_retried_when_they_are_named(tmp_path: Path, server: OpenAIServer) -> None:
    """A cut answer needs a longest output that is larger, and is retried only if the user asks: it was paid for."""

    def cut(_id: str, body: Object) -> Object:
        answer = answer_body("/v1/chat/completions", body, "half an ans")
        is_cut = body["max_completion_tokens"] == 100 and body["messages"][-1]["content"] in {"Say 1", "Say 2"}
        answer["choices"][0]["finish_reason"] = "length" if is_cut else "stop"
        return answer

    server.answer = cut
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await ended(session, server)
        before = await looked_at(session, job_id)
        default = await session.error("retry_job", job_id=job_id)
        job = await retried(
            *(session, server, job_id), outcomes=["cut_short"], parameters={"max_completion_tokens": 200}
        )

    assert before["counts"] == {"answered": 3, "cut_short": 2}
    assert "Name other outcomes." in default
    assert texts(sent(server)) == ["Say 1", "Say 2"]
    assert job["counts"] == {"answered": 5}


@pytest.mark.slow
async def test_a_round_that_fails_whole_leaves_the_earlier_answers(tmp_path: Path, server: OpenAIServer) -> None:
    """A changed recipe may be worse than the first: what is there stays, and can be retried once more."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await ended(session, server, "expired", answered=2)
        server.models = frozenset({"gpt-5-mini"})
        failed = await retried(session, server, job_id, model="gpt-4.1")
        results = await session.call("get_results", job_id=job_id)
        job = await retried(session, server, job_id, model="gpt-5-mini")

    assert (failed["status"], failed["counts"]) == ("failed", {"answered": 2, "never_ran": 3})
    assert "model_not_found" in results["shown"][4]["problem"]
    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})


@pytest.mark.slow
async def test_a_cancelled_retry_keeps_what_the_first_round_found_out(tmp_path: Path, server: OpenAIServer) -> None:
    """A row that failed and did not run again has failed."""
    server.answer = fails(3, 4)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await ended(session, server)
        await session.call("retry_job", job_id=job_id)
        await session.call("submit_job", job_id=job_id)
        await session.call("cancel_job", job_id=job_id)
        cancelling = await looked_at(session, job_id)
        server.finish(newest(server), "cancelled")
        job = await looked_at(session, job_id)
        last = await retried(session, server, job_id, prompt="Tell {{n}}")

    assert cancelling["counts"] == {"answered": 3, "running": 2}
    assert (job["status"], job["counts"]) == ("cancelled", {"answered": 3, "failed": 2})
    assert [(found["cause"], found["provider_says"], found["rows"]) for found in job["problems"]] == [
        ("bad_parameter", "HTTP 400: Unsupported value: 'temperature'", 2)
    ]
    assert last["counts"] == {"answered": 5}


async def test_a_retry_needs_its_own_agreement(tmp_path: Path, server: OpenAIServer) -> None:
    """What was agreed to was the first round."""
    async with in_memory(openai_environment(tmp_path, server, max_job_usd="5")) as session:
        job_id = await ended(session, server, "expired", answered=2)
        await session.call("retry_job", job_id=job_id, parameters={"max_completion_tokens": 999_000})
        low = await session.error("submit_job", job_id=job_id, max_cost_usd=1)
        before = server.posts
        job = await session.call("submit_job", job_id=job_id, max_cost_usd=3.01)

    assert "may cost up to $3.00, above max_cost_usd $1.00. Nothing was sent." in low
    assert before == 1
    assert job["cost"].endswith("at most $3.01 agreed for this retry")


async def test_all_rounds_of_a_job_together_stay_within_the_operators_limit(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Retries are no way around it."""

    def dear(_id: str, body: Object) -> Object:
        answer = answer_body("/v1/chat/completions", body, "much")
        return answer | {"usage": {"prompt_tokens": 10, "completion_tokens": 899_000, "total_tokens": 899_010}}

    server.answer = dear
    async with in_memory(openai_environment(tmp_path, server, max_job_usd="4")) as session:
        job_id = await ended(session, server, "expired", answered=2)
        await session.call("retry_job", job_id=job_id, parameters={"max_completion_tokens": 899_000})
        text = await session.error("submit_job", job_id=job_id, max_cost_usd=3)

    assert "may cost up to $4.50, and the operator allows $4.00 a job." in text
    assert server.posts == 1


def batch_file(tmp_path: Path) -> None:
    """Write a ready-made batch file of five requests, each with a parameter that fails it."""
    parameters = {"model": "gpt-5-mini", "max_completion_tokens": 100, "top_k": 5}
    messages = [[{"role": "user", "content": f"Say {number}"}] for number in range(5)]
    write_batch_file(
        tmp_path, [parameters | {"messages": said, "seed": number} for number, said in enumerate(messages)]
    )


async def test_a_ready_made_batch_file_is_retried_with_its_own_bodies_mended(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Each line has a body of its own: only what the retry changes is different."""
    batch_file(tmp_path)
    server.answer = fails(1, 4)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("create_batch_file", batch_file="batch.jsonl"))["job_id"]
        await session.call("submit_job", job_id=job_id, max_cost_usd=1)
        server.finish(newest(server))
        await looked_at(session, job_id)
        refused = await session.error("retry_job", job_id=job_id, prompt="Tell")
        server.answer = fails()
        job = await retried(session, server, job_id, model="gpt-4.1", parameters={"top_k": None, "top_p": 0.5})
        results = await session.call("get_results", job_id=job_id)

    assert "was made from a ready-made batch file, which has no prompt of its own" in refused
    assert sent(server) == [
        {
            "model": "gpt-4.1",
            "messages": [{"role": "user", "content": f"Say {number}"}],
            "max_completion_tokens": 100,
            "seed": number,
            "top_p": 0.5,
        }
        for number in (1, 4)
    ]
    assert job["counts"] == {"answered": 5}
    assert [(row["custom_id"], row["answer"]) for row in results["shown"]] == [
        (f"row-{number}", "good") for number in range(5)
    ]


@pytest.mark.slow
async def test_a_mended_batch_file_stays_mended_in_the_next_retry(tmp_path: Path, server: OpenAIServer) -> None:
    """A fault that was fixed once must not come back with the third round."""
    batch_file(tmp_path)
    server.answer = fails(1, 4)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("create_batch_file", batch_file="batch.jsonl"))["job_id"]
        await session.call("submit_job", job_id=job_id, max_cost_usd=1)
        server.finish(newest(server))
        await looked_at(session, job_id)
        server.answer = fails(4)
        await retried(session, server, job_id, model="gpt-4.1", parameters={"top_k": None, "top_p": 0.5})
        server.answer = fails()
        job = await retried(session, server, job_id)

    (body,) = sent(server)
    assert job["counts"] == {"answered": 5}
    assert (body["model"], body.get("top_p"), body.get("top_k"), body["seed"]) == ("gpt-4.1", 0.5, None, 4)


@pytest.mark.slow
async def test_a_retry_goes_on_after_a_restart(tmp_path: Path, server: OpenAIServer) -> None:
    """Rounds are in the journal: a draft is sent, and a running one ends, in the next conversation."""
    env = openai_environment(tmp_path, server)
    async with in_memory(env) as session:
        job_id = await ended(session, server, "expired", answered=2)
        await session.call("retry_job", job_id=job_id)
    async with in_memory(env) as session:
        await session.call("submit_job", job_id=job_id)
    server.finish(newest(server))
    async with in_memory(env) as session:
        job = await session.finished(job_id)

    assert job["counts"] == {"answered": 5}
    assert server.posts == 2


@pytest.mark.slow
async def test_a_drafted_retry_is_discarded_and_its_job_stays(tmp_path: Path, server: OpenAIServer) -> None:
    """The user thought better of it: what was answered is paid for, and stays."""
    env = openai_environment(tmp_path, server)
    async with in_memory(env) as session:
        job_id = await ended(session, server, "expired", answered=2)
        before = await looked_at(session, job_id)
        files = {path.name for path in (tmp_path / "data" / "jobs" / job_id).iterdir()}
        await session.call("retry_job", job_id=job_id)
        discarded = await session.call("cancel_job", job_id=job_id)
        left = {path.name for path in (tmp_path / "data" / "jobs" / job_id).iterdir()}
        again = await session.error("cancel_job", job_id=job_id)
        nothing = await session.call("submit_job", job_id=job_id)
        results = await session.call("get_results", job_id=job_id)
    async with in_memory(env) as session:
        after = await looked_at(session, job_id)
        job = await retried(session, server, job_id)

    assert discarded["notes"] == ["The drafted retry was discarded. The job and its results are unchanged."]
    assert left == files
    assert again.startswith(f"{job_id} has already finished: expired.")
    assert nothing["notes"] == ["Already submitted: nothing was sent again."]
    assert results["counts"] == before["counts"] == after["counts"] == {"answered": 2, "expired": 3}
    assert job["counts"] == {"answered": 5}
    assert server.posts == 2
