"""What went wrong with a job, and the call that helps: through a real MCP client, which passes it on as it stands."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.endpoint import running_endpoint
from tests.support.five_rows import newest, sent, write_batch_file
from tests.support.openai_server import Answer, Object, OpenAIServer, answer_body
from tests.support.session import MODES, Mode, Session, environment, in_memory, openai_environment
from tests.support.values import LABELS
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

DRAFT: dict[str, Any] = {
    "rows": [{"n": number} for number in range(4)],
    "prompt": "Say {{n}}",
    "model": "gpt-4.1",
    "parameters": {"max_completion_tokens": 100, "temperature": 0.2},
}


async def ended(session: Session, server: OpenAIServer, outcome: Any = "completed", **changes: Any) -> dict[str, Any]:
    """Run a job to its end, and look at it."""
    job_id = (await session.call("create_batch_file", **DRAFT | changes))["job_id"]
    await session.call("submit_job", job_id=job_id, max_cost_usd=0.5)
    server.finish(newest(server), outcome)
    return await session.call("check_job", job_id=job_id)


async def helped(session: Session, server: OpenAIServer, job: dict[str, Any], cause: str) -> dict[str, Any]:
    """Make the call of a cause's remedy exactly as it was given, run the retry, and look at the job again."""
    (problem,) = [problem for problem in job["problems"] if problem["cause"] == cause]
    draft = await session.call(problem["remedy"]["call"], **problem["remedy"]["arguments"])
    assert draft["retries"].startswith(f"{problem['rows']} {problem['outcome']} of ")
    assert not any("may not help" in warning for warning in draft.get("warnings", []))
    await session.call("submit_job", job_id=job["job_id"], max_cost_usd=0.5)
    server.finish(newest(server))
    return await session.call("check_job", job_id=job["job_id"])


def once(status: int, message: str, code: str | None = None, param: str | None = None) -> Answer:
    """Refuse each row once, and answer it well the next time."""
    seen: set[str] = set()

    def answer(custom_id: str, _body: Object) -> str | tuple[int, Object]:
        if custom_id in seen:
            return "good"
        seen.add(custom_id)
        return status, {"error": {"message": message, "type": "test", "param": param, "code": code}}

    return answer


def without(param: str, message: str) -> Answer:
    """Refuse every request that has a parameter."""

    def answer(_custom_id: str, body: Object) -> str | tuple[int, Object]:
        error = {"message": message, "type": "invalid_request_error", "param": param, "code": "unsupported_value"}
        return (400, {"error": error}) if param in body else "good"

    return answer


def with_room(name: str, tokens: int, text: str) -> Answer:
    """Cut every answer that may have less than so many tokens."""

    def answer(_custom_id: str, body: Object) -> Object:
        is_cut = body[name] < tokens
        whole = answer_body("/v1/chat/completions", body, text if is_cut else "good")
        whole["choices"][0]["finish_reason"] = "length" if is_cut else "stop"
        return whole

    return answer


def at_most(tokens: int) -> Answer:
    """Refuse every request that asks for more tokens than a model can write."""
    message = f"max_tokens is too large: 100. This model supports at most {tokens} completion tokens"

    def answer(_custom_id: str, body: Object) -> str | tuple[int, Object]:
        is_much = body["max_completion_tokens"] > tokens
        return (400, {"error": {"message": message, "code": "invalid_value"}}) if is_much else "good"

    return answer


RATE = "Rate limit reached for gpt-4.1 in organization org-x on tokens per min (TPM): Limit 3, Used 2."
CASES: dict[str, tuple[Answer, str]] = {
    "bad_parameter": (
        without("temperature", "Unsupported value: 'temperature' does not support 0.2 with this model."),
        "helps with a change",
    ),
    "cut_short": (with_room("max_completion_tokens", 150, "half an ans"), "helps with a change"),
    "no_room_for_text": (with_room("max_completion_tokens", 400, ""), "helps with a change"),
    "answer_too_long": (at_most(64), "helps with a change"),
    "rate_limit": (once(429, RATE, "rate_limit_exceeded"), "helps"),
    "server_error": (once(500, "The server had an error while processing your request."), "helps"),
    "timed_out": (once(408, "Request timed out."), "helps"),
    "image_not_fetched": (once(400, "Timeout while downloading https://h/a.png.", "invalid_image_url"), "helps"),
    "no_credit": (once(429, "You exceeded your current quota.", "insufficient_quota"), "helps once fixed"),
    "billing_limit": (
        once(400, "Billing hard limit has been reached", "billing_hard_limit_reached"),
        "helps once fixed",
    ),
    "not_allowed": (once(403, "You have insufficient permissions for this operation."), "helps once fixed"),
    "unknown": (once(418, "Something new 17 happened."), "helps"),
}


@pytest.mark.parametrize("cause", CASES)
async def test_the_call_of_a_remedy_is_made_as_it_stands_and_helps(
    tmp_path: Path, server: OpenAIServer, cause: str
) -> None:
    """The assistant does not have to know what OpenAI's errors mean."""
    server.answer, retry = CASES[cause]
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job = await ended(session, server)
        after = await helped(session, server, job, cause)

    (problem,) = job["problems"]
    assert (problem["rows"], problem["ids"], problem["retry"]) == (4, ["row-1", "row-2", "row-3"], retry)
    assert after["counts"] == {"answered": 4}
    assert "problems" not in after


@pytest.mark.parametrize(
    ("outcome", "name"), [("expired", "expired"), ("cancelled", "cancelled"), ("failed", "never_ran")]
)
async def test_rows_that_did_not_run_are_retried_by_their_own_outcome(
    tmp_path: Path, server: OpenAIServer, outcome: str, name: str
) -> None:
    """Nothing was wrong with them."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job = await ended(session, server, outcome)
        after = await helped(session, server, job, name)

    assert "provider_says" not in job["problems"][0]
    assert after["counts"] == {"answered": 4}


@pytest.mark.parametrize("text", ['{"label": "c"}', "no JSON"])
async def test_an_answer_that_did_not_fit_is_asked_for_once_more(
    tmp_path: Path, server: OpenAIServer, text: str
) -> None:
    """The next one may fit; what was wrong with it is said."""
    server.answer = lambda _id, _body: text
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job = await ended(session, server, output_schema=LABELS)
        server.answer = lambda _id, _body: '{"label": "a"}'
        after = await helped(session, server, job, "not_json" if text == "no JSON" else "not_fitting")

    assert after["counts"] == {"answered": 4}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
async def test_several_causes_are_told_apart_in_the_facts_and_in_the_text(
    tmp_path: Path, server: OpenAIServer, mode: Mode
) -> None:
    """Some assistants read only the one, others only the other; and one call helps all that can be helped."""
    cut, slow = with_room("max_completion_tokens", 150, "half"), once(429, RATE, "rate_limit_exceeded")
    refusal = answer_body("/v1/chat/completions", {"model": "m"}, "")
    refusal["choices"][0]["message"]["refusal"] = "I will not.\x1b[31m"
    long = 400, {"error": {"message": "This model's maximum context length is 8 tokens.", "param": "messages"}}
    answers: dict[str, Answer] = {
        "row-1": cut,
        "row-2": slow,
        "row-3": lambda _id, _body: refusal,
        "row-4": lambda _id, _body: long,
    }
    server.answer = lambda custom_id, body: answers[custom_id](custom_id, body)
    async with in_memory(openai_environment(tmp_path, server), mode) as session:
        job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
        await session.call("submit_job", job_id=job_id, max_cost_usd=0.5)
        server.finish(newest(server))
        text, job = await session.answer("check_job", job_id=job_id)
        assert job is not None
        results = await session.call("get_results", job_id=job_id)
        draft = await session.call("retry_job", job_id=job_id, outcomes=["failed"])
        better = await session.call("retry_job", job_id=job_id, outcomes=["failed"], prompt="Short: {{n}}")

    problems = {problem["cause"]: problem for problem in job["problems"]}
    assert results["causes"][0] == "1 cut_short: the answer reached the token limit; a retry helps with a change"
    assert [cause.split()[:2] for cause in results["causes"][1:]] == [
        ["1", "failed:"],
        ["1", "refused:"],
        ["1", "with"],
    ]
    assert problems["rate_limit"]["provider_says"] == f"HTTP 429 (code rate_limit_exceeded): {RATE}"
    assert problems["rate_limit"]["remedy"]["takes_up"] == 2
    assert problems["refused"]["model_says"] == "I will not."
    assert problems["too_long"]["retry"] == "does not help"
    assert [name for name, problem in problems.items() if "remedy" in problem] == ["cut_short", "rate_limit"]
    assert any("follow no instruction" in note for note in job["notes"])
    retry = (
        f'retry_job(job_id="{job_id}", outcomes=["cut_short", "failed"], parameters={{"max_completion_tokens": 200}})'
    )
    assert job["next"] == f"{retry} drafts a retry of 3 rows"
    for problem in job["problems"]:
        assert json.dumps(problem, separators=(",", ":"), ensure_ascii=False) in text
    assert draft["retries"] == "2 failed of 4 rows, sent unchanged"
    assert draft["warnings"] == ["This retry may not help 1 of its rows: the text is longer than the model's context."]
    assert draft["next"].startswith("Shorten it with retry_job(prompt=...)")
    assert ". Or as is: try_requests(" in draft["next"]
    assert better["retries"] == "2 failed of 4 rows, changed: another prompt"
    assert "warnings" not in better
    assert better["next"].startswith("try_requests(")


async def test_what_a_retry_changes_is_said(tmp_path: Path, server: OpenAIServer) -> None:
    """The user agrees to what is sent, and has to know how it differs."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job = await ended(session, server, "expired")
        draft = await session.call(
            "retry_job",
            job_id=job["job_id"],
            system="Be brief.",
            model="gpt-4o",
            parameters={"max_completion_tokens": 50, "temperature": None, "seed": 7},
        )

    assert draft["retries"] == (
        "4 expired of 4 rows, changed: another system; model gpt-4.1 -> gpt-4o; max_completion_tokens 100 -> 50; "
        "temperature 0.2 -> left out; seed left out -> 7"
    )
    assert [(problem["cause"], "remedy" in problem) for problem in draft["problems"]] == [("expired", False)]


@pytest.mark.slow
async def test_a_batch_that_is_refused_whole_is_explained_with_its_remedy(tmp_path: Path, server: OpenAIServer) -> None:
    """The rows never ran: the model's name has to be corrected, and then they run."""
    server.models = frozenset({"gpt-4o"})
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job = await ended(session, server)
        retry = await session.call("retry_job", job_id=job["job_id"], outcomes=["never_ran"], model="gpt-4o")
        await session.call("submit_job", job_id=job["job_id"], max_cost_usd=0.5)
        server.finish(newest(server))
        after = await session.call("check_job", job_id=job["job_id"])

    (problem,) = job["problems"]
    assert (problem["cause"], problem["outcome"], problem["rows"]) == ("unknown_model", "never_ran", 4)
    assert "model_not_found: The provided model 'gpt-4.1' is not supported" in problem["provider_says"]
    assert job["next"].startswith("Name another model with retry_job(model=...)")
    assert "warnings" not in retry
    assert after["counts"] == {"answered": 4}


async def test_a_part_that_is_refused_while_others_run_is_explained_at_once(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """The user can fix what is wrong before the rest has run into it; a retry waits for the end."""
    async with in_memory(openai_environment(tmp_path, server, enqueued_tokens="40")) as session:
        job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
        await session.call("submit_job", job_id=job_id, max_cost_usd=0.5)
        first = next(iter(server.batches.values()))
        error = {"code": "invalid_json_line", "line": 1, "message": "This line is not parseable as valid JSON."}
        first |= {"status": "failed", "errors": {"object": "list", "data": [error]}}
        job = await session.call("check_job", job_id=job_id)

    (problem,) = job["problems"]
    assert job["status"] == "running"
    assert (problem["cause"], problem["outcome"], problem["rows"]) == ("faulty_file", "never_ran", 1)
    assert "not parseable" in problem["provider_says"]
    assert "remedy" not in problem
    assert job["next"].startswith("check_job(")


async def test_a_ready_made_file_is_given_twice_its_highest_limit(tmp_path: Path, server: OpenAIServer) -> None:
    """Its lines may differ: twice the lowest would cut those that have more now."""
    body: Object = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hi"}]}
    write_batch_file(tmp_path, [body | {"max_tokens": limit} for limit in (10, 40, 20)])
    server.answer = with_room("max_tokens", 80, "half")
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("create_batch_file", batch_file="batch.jsonl"))["job_id"]
        await session.call("submit_job", job_id=job_id, max_cost_usd=0.5)
        server.finish(newest(server))
        job = await session.call("check_job", job_id=job_id)
        after = await helped(session, server, job, "cut_short")

    assert job["problems"][0]["remedy"]["arguments"]["parameters"] == {"max_tokens": 80}
    assert {body["max_tokens"] for body in sent(server)} == {80}
    assert after["counts"] == {"answered": 3}


async def test_many_different_problems_are_bounded_and_none_is_lost(tmp_path: Path, server: OpenAIServer) -> None:
    """However odd the provider is, the answer stays short and its rows add up."""
    words = [f"{chr(97 + n // 26 % 26)}{chr(97 + n % 26)}{chr(97 + n // 676)}" for n in range(700)]
    server.answer = lambda custom_id, _body: (418, {"error": {"message": f"Odd {words[int(custom_id[4:]) % 700]}"}})
    rows = [{"n": number} for number in range(900)]
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job = await ended(session, server, rows=rows)
        text, _ = await session.answer("check_job", job_id=job["job_id"])

    assert job["counts"] == {"failed": 900}
    assert [(problem["cause"], problem["rows"]) for problem in job["problems"]] == [
        ("various", 200),
        *[("unknown", 2)] * 4,
    ]
    assert "Rows with other causes, not shown: 692." in text
    assert len(text) < 6_000


async def test_a_key_that_the_endpoint_refuses_is_to_be_mended_and_then_the_rows_run(
    tmp_path: Path, sample: Path
) -> None:
    """All rows would fail in the same way, so none ran; the call is there for when the key is right."""
    assert sample.exists()
    draft = {"source": "sample.csv", "prompt": "say {{text}}", "model": "m"}
    async with running_endpoint(key="sk-right") as endpoint:
        async with in_memory(environment(tmp_path, endpoint=endpoint.url, endpoint_key="sk-wrong")) as session:
            job_id = (await session.call("create_batch_file", **draft))["job_id"]
            await session.call("submit_job", job_id=job_id)
            job = await session.finished(job_id)
        async with in_memory(environment(tmp_path, endpoint=endpoint.url, endpoint_key="sk-right")) as session:
            (problem,) = job["problems"]
            await session.call("retry_job", **problem["remedy"]["arguments"])
            await session.call("submit_job", job_id=job_id)
            after = await session.finished(job_id)

    assert (problem["cause"], problem["retry"], problem["rows"]) == ("wrong_key", "helps once fixed", 5)
    assert "Incorrect API key provided: [the key]." in problem["provider_says"]
    assert job["next"].startswith("once the cause is fixed, as problems says: retry_job(")
    assert after["counts"] == {"answered": 5}


async def test_a_server_that_is_away_is_told_while_the_job_waits_for_it(tmp_path: Path, sample: Path) -> None:
    """The user starts it, and the job goes on by itself: nothing has to be retried."""
    assert sample.exists()
    async with running_endpoint() as gone:
        url = gone.url
    async with in_memory(environment(tmp_path, endpoint=url)) as session:
        draft = await session.call("create_batch_file", source="sample.csv", prompt="say {{text}}", model="m")
        await session.call("submit_job", job_id=draft["job_id"])

        async def told() -> dict[str, Any]:
            job = await session.call("check_job", job_id=draft["job_id"])
            return job if "problems" in job else {}

        job = await until(told)
        await session.call("cancel_job", job_id=draft["job_id"])
        await session.finished(draft["job_id"])

    (problem,) = job["problems"]
    assert (problem["cause"], problem["outcome"], problem["rows"]) == ("away", "running", 5)
    assert problem["advice"].startswith("Start it")
    assert "remedy" not in problem
    assert job["next"].startswith("check_job(")


async def test_the_local_engine_s_own_failures_have_remedies_too(tmp_path: Path, sample: Path) -> None:
    """Also without OpenAI: what an endpoint of the user's own refuses, or cuts, is retried with what helps."""
    assert sample.exists()
    statuses = {"say row 1": [400], "say row 2": [413]}
    async with (
        running_endpoint(statuses=statuses) as endpoint,
        in_memory(environment(tmp_path, endpoint=endpoint.url)) as session,
    ):
        endpoint.finish_reason = "length"
        draft = await session.call(
            "create_batch_file", source="sample.csv", prompt="say {{text}}", model="m", parameters={"max_tokens": 9}
        )
        await session.call("submit_job", job_id=draft["job_id"])
        job = await session.finished(draft["job_id"])
        problems = {problem["cause"]: problem for problem in job["problems"]}
        endpoint.finish_reason = "stop"
        await session.call("retry_job", **problems["cut_short"]["remedy"]["arguments"])
        await session.call("submit_job", job_id=draft["job_id"])
        after = await session.finished(draft["job_id"])

    assert {name: problem["rows"] for name, problem in problems.items()} == {
        "cut_short": 3,
        "invalid_request": 1,
        "too_large": 1,
    }
    assert [body["max_tokens"] for body in endpoint.bodies[5:]] == [18, 18, 18]
    assert after["counts"] == {"answered": 3, "failed": 2}
