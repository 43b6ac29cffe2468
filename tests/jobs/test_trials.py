"""Some rows tried before a job is submitted, through a real client: answers, costs, comparisons, refusals."""

import json
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
import splintr

from batchwright.core.jsonl import decode_request, whole_lines
from batchwright.core.money import format_usd
from batchwright.costs.prices import cost, price
from batchwright.providers.local.send import MAX_TRIES
from tests.support.endpoint import running_endpoint
from tests.support.five_rows import write_batch_file
from tests.support.openai_server import Object, OpenAIServer, answer_body, running_openai
from tests.support.session import (
    IN_MEMORY,
    MODES,
    Mode,
    Session,
    User,
    environment,
    in_memory,
    openai_environment,
    over_stdio,
)
from tests.support.values import LABELS
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

MODEL = "gpt-5-mini"
TWO = {
    "type": "object",
    "properties": {"topic": {"type": "string"}, "stars": {"type": "integer"}},
    "required": ["topic", "stars"],
}
ROWS = [{"n": number, "text": f"word {number}", "gold": "a" if number % 2 else " B"} for number in range(1, 41)]
DRAFT: dict[str, Any] = {
    "rows": ROWS,
    "prompt": "say {{text}}",
    "model": MODEL,
    "parameters": {"max_completion_tokens": 100},
}


@pytest.fixture
async def server() -> AsyncGenerator[OpenAIServer]:
    """Run a server with OpenAI's API."""
    async with running_openai(automatic=True) as server:
        yield server


async def drafted(session: Session, **changes: Any) -> str:
    """Draft a job, and give its id."""
    return (await session.call("create_batch_file", **DRAFT | changes))["job_id"]


def bodies(tmp_path: Path, job_id: str) -> list[Any]:
    """Give the bodies of a job's requests, as its files hold them."""
    parts = sorted((tmp_path / "data" / "jobs" / job_id).glob("part-????.jsonl"))
    return [decode_request(line).body for path in parts for line in whole_lines([path.read_bytes()])]


def drafted_body(body: Any) -> Any:
    """Give the body of a trial's request as the draft has it: only the tier is said besides."""
    return {name: value for name, value in body.items() if (name, value) != ("service_tier", "default")}


def trials(tmp_path: Path) -> list[int]:
    """Give what each trial counts as spent, in micro-dollars."""
    with closing(sqlite3.connect(tmp_path / "data" / "journal.db")) as db:
        return [row[0] for row in db.execute("SELECT microusd FROM trial ORDER BY id").fetchall()]


def used(server: OpenAIServer, model: str = MODEL) -> Decimal:
    """Give what the single requests of a model did cost, by what the server counted."""
    known = price(model, endpoint="/v1/chat/completions")
    assert known is not None
    asked = [body for body in server.asked if body["model"] == model]
    usages = [server.result("/v1/chat/completions", "", body)[1]["usage"] for body in asked]
    counts = [(usage["prompt_tokens"], usage["completion_tokens"]) for usage in usages]
    return cost(known, counts, processing="standard")


def labelled(_custom_id: str, body: Object) -> str:
    """Answer with the right label; a nano model always with the same."""
    number = int(body["messages"][-1]["content"].split()[-1])
    return json.dumps({"label": "a" if number % 2 or "nano" in body["model"] else "b"})


@pytest.mark.parametrize("mode", MODES)
async def test_a_few_rows_are_answered_now_with_the_bodies_of_the_draft(
    tmp_path: Path, server: OpenAIServer, mode: Mode
) -> None:
    """What is tried is what will be sent: nothing else says how the job will go."""
    async with in_memory(openai_environment(tmp_path, server), mode) as session:
        job_id = await drafted(session)
        session.progress.clear()
        trial = await session.call("try_requests", job_id=job_id)
        job = await session.call("check_job", job_id=job_id)
        again = await session.call("try_requests", job_id=job_id)
        other = await session.call("try_requests", job_id=job_id, seed=1)

    assert trial["tried"] == "3 of 40 rows, at random, seed 0"
    assert trial["answered_by"] == f"{MODEL} at {server.url[7:-3]}"
    assert [row["source"] for row in trial["rows"]] == [{"text": f"word {row['row']}"} for row in trial["rows"]]
    assert [row["answer"] for row in trial["rows"]] == [f"answer to say word {row['row']}" for row in trial["rows"]]
    assert trial["variants"][0]["counts"] == {"answered": 3}
    assert all(drafted_body(body) in bodies(tmp_path, job_id) for body in server.asked)
    assert [row["row"] for row in again["rows"]] == [row["row"] for row in trial["rows"]]
    assert [row["row"] for row in other["rows"]] != [row["row"] for row in trial["rows"]]
    assert job["status"] == "draft"
    assert (server.posts, server.uploads, len(server.asked)) == (0, 0, 9)
    assert [point[:2] for point in session.progress[:3]] == [(1, 3), (2, 3), (3, 3)]


async def test_the_next_call_of_a_draft_tries_it_and_that_of_a_trial_submits_it(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """An assistant does what it reads."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        draft = await session.call("create_batch_file", **DRAFT)
        trial = await session.call("try_requests", job_id=draft["job_id"])

    assert draft["next"] == f'try_requests(job_id="{draft["job_id"]}") shows sample answers; then {trial["next"]}'
    assert trial["next"].startswith(f'tell the user the cost, then submit_job(job_id="{draft["job_id"]}", ')


async def test_rows_are_the_first_or_those_that_are_named(tmp_path: Path, server: OpenAIServer) -> None:
    """A user asks for the row that worries them, by its id or its number."""
    rows = [{"id": f"t-{number}", "text": f"word {number}"} for number in range(1, 11)]
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session, rows=rows, id_column="id")
        first = await session.call("try_requests", job_id=job_id, rows=2, which="first")
        named = await session.call("try_requests", job_id=job_id, named=["t-7", "3", "t-7"])
        unknown = await session.error("try_requests", job_id=job_id, named=["t-11"])
        too_far = await session.error("try_requests", job_id=job_id, named=["11"])
        many = await session.error("try_requests", job_id=job_id, named=[str(number) for number in range(21)])
        endless = await session.error("try_requests", job_id=job_id, named=["9" * 5_000])

    assert (first["tried"], [row["row"] for row in first["rows"]]) == ("2 of 10 rows, the first", [1, 2])
    assert named["tried"] == "2 of 10 rows, named"
    assert [(row["row"], row["id"], row["answer"]) for row in named["rows"]] == [
        (3, "t-3", "answer to say word 3"),
        (7, "t-7", "answer to say word 7"),
    ]
    assert unknown == f"{job_id} has no row 't-11'. Name custom_ids, or row numbers from 1 to 10."
    assert too_far == f"{job_id} has no row '11'. Name custom_ids, or row numbers from 1 to 10."
    assert endless.startswith(f"{job_id} has no row '999")
    assert many == "21 rows are named; at most 20 are tried at a time. Name fewer."
    assert len(server.asked) == 4


async def test_the_rows_of_many_parts_are_found(tmp_path: Path, server: OpenAIServer) -> None:
    """A large job is many files, and a sample comes from all of them."""
    async with in_memory(openai_environment(tmp_path, server, enqueued_tokens="40")) as session:
        draft = await session.call("create_batch_file", **DRAFT)
        trial = await session.call("try_requests", job_id=draft["job_id"], rows=20)
        named = await session.call("try_requests", job_id=draft["job_id"], named=["40", "1", "row-17"])

    assert draft["parts"] > 10
    assert len({row["row"] for row in trial["rows"]}) == 20
    assert all(row["answer"] == f"answer to say word {row['row']}" for row in trial["rows"])
    assert [row["row"] for row in named["rows"]] == [1, 17, 40]


@pytest.mark.parametrize("endpoint_path", ["/v1/chat/completions", "/v1/responses", "/v1/embeddings"])
@pytest.mark.parametrize("provider", ["endpoint", "service"])
async def test_every_endpoint_is_tried_at_every_kind_of_provider(
    tmp_path: Path, server: OpenAIServer, endpoint_path: str, provider: str
) -> None:
    """Each has its own body and answer; of a vector only the beginning is shown."""
    draft: dict[str, Any] = {"endpoint": endpoint_path, "parameters": {}, "model": "m"}
    async with running_endpoint() as endpoint:
        local, remote = environment(tmp_path, endpoint=endpoint.url), openai_environment(tmp_path, server)
        async with in_memory(local if provider == "endpoint" else remote) as session:
            job_id = await drafted(session, **draft)
            most = {} if provider == "endpoint" else {"max_cost_usd": 0.5}
            trial = await session.call("try_requests", job_id=job_id, which="first", rows=2, **most)

    if endpoint_path == "/v1/embeddings":
        assert trial["rows"][0]["answer"]["dimensions"] == 2
        assert trial["rows"][0]["answer"]["first_numbers"][0] == 0.5
    else:
        assert [row["answer"] for row in trial["rows"]] == ["answer to say word 1", "answer to say word 2"]
    assert trial["variants"][0]["counts"] == {"answered": 2}
    assert trial["variants"][0]["input_tokens"] > 0


async def test_the_local_engine_answers_beside_its_batches_and_costs_nothing(tmp_path: Path) -> None:
    """A user with a server of their own tries as they submit, without a word about money."""
    async with (
        running_endpoint() as endpoint,
        in_memory(environment(tmp_path, endpoint=endpoint.url, max_day_usd="0", ask_above_usd="0")) as session,
    ):
        job_id = await drafted(session, model="m")
        trial = await session.call("try_requests", job_id=job_id)

    assert trial["cost"].startswith("not counted: 127.0.0.1")
    assert trial["variants"] == [
        {
            "model": "m",
            "counts": {"answered": 3},
            "input_tokens": 15,
            "output_tokens": 9,
            "whole_job": "40 requests of 3 output tokens on average (3 to 3: the least and the most of 3 answers)",
        }
    ]
    assert trial["next"] == f'submit_job(job_id="{job_id}")'
    assert trials(tmp_path) == []


@pytest.mark.slow
@pytest.mark.model
async def test_the_embedded_model_is_tried_for_real(tmp_path: Path, model_cache: Path) -> None:
    """It is what a new user has: the first answer comes from a real model."""
    async with over_stdio(environment(tmp_path, cache_dir=str(model_cache))) as session:
        job_id = await drafted(session, model="", rows=[{"text": "hello"}], prompt="{{text}}")
        trial = await session.call("try_requests", job_id=job_id)
        refused = await session.error("try_requests", job_id=job_id, models=[MODEL])

    assert trial["rows"][0]["answer"]
    assert trial["cost"] == "0: it runs on this machine"
    assert "a demonstration, not a substitute for a GPT" in trial["answered_by"]
    assert f"'{MODEL}' is not available" in refused


@pytest.mark.model
async def test_a_model_that_does_not_start_is_told_once(tmp_path: Path) -> None:
    """The user corrects a setting, not a row."""
    (tmp_path / "broken.gguf").write_bytes(b"no model")
    env = environment(tmp_path, local_model=str(tmp_path / "broken.gguf"), cache_dir=str(tmp_path / "cache"))
    async with in_memory(env) as session:
        job_id = await drafted(session, model="", rows=[{"text": "hello"}] * 3)
        refused = await session.error("try_requests", job_id=job_id)

    assert refused.startswith("The embedded model did not start: ")


async def test_what_the_model_refuses_is_said_at_once_with_the_remedy(tmp_path: Path, server: OpenAIServer) -> None:
    """In a batch every row would fail, and that would show hours later."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session, parameters={"max_tokens": 100, "temperature": 0})
        trial = await session.call("try_requests", job_id=job_id)

    assert trial["variants"][0]["counts"] == {"failed": 3}
    assert trial["variants"][0]["problems"] == [
        {
            "problem": "failed: HTTP 400 (code unsupported_parameter, param max_tokens): Unsupported parameter: "
            "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "rows": [row["row"] for row in trial["rows"]],
        }
    ]
    assert all(row["outcome"] == "failed" and "answer" not in row for row in trial["rows"])
    assert trial["next"] == "create_batch_file with the problems fixed, then try_requests again"
    assert trial["cost"] == "$0.00: every request was refused, so nothing was charged"
    assert "whole_job" not in trial["variants"][0]
    assert trials(tmp_path) == [0]


async def test_a_model_that_takes_what_the_drafts_refuses_is_named_next(tmp_path: Path, server: OpenAIServer) -> None:
    """The comparison is there to be acted on."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session, parameters={"max_tokens": 100})
        trial = await session.call("try_requests", job_id=job_id, models=["gpt-4.1-mini"])

    assert [variant["counts"] for variant in trial["variants"]] == [{"failed": 3}, {"answered": 3}]
    assert trial["rows"][0]["variant 1"] == {"outcome": "failed"}
    assert trial["agreement"] == ["1 and 2 agree: no row has a good answer from both"]
    assert trial["next"].startswith(
        "create_batch_file with the model and prompt of variant 2, which has more good answers; or "
    )


async def test_a_key_that_is_refused_shows_in_no_answer(tmp_path: Path, server: OpenAIServer) -> None:
    """The provider repeats a part of it."""
    env = openai_environment(tmp_path, server) | {"OPENAI_API_KEY": "sk-wrong-canary-98765432"}
    async with in_memory(env) as session:
        job_id = await drafted(session)
        text, trial = await session.answer("try_requests", job_id=job_id)

    assert trial is not None
    assert "HTTP 401 (code invalid_api_key): Incorrect API key provided: [key]" in text
    assert "canary" not in text + json.dumps(trial)
    assert "5432" not in text + json.dumps(trial)


async def test_answers_that_are_no_good_are_told_apart_as_in_results(tmp_path: Path, server: OpenAIServer) -> None:
    """Refused, cut short and not fitting are seen before the job is paid for, not after."""

    def answer(_custom_id: str, body: Object) -> Object:
        number = int(body["messages"][-1]["content"].split()[-1])
        told = answer_body("/v1/chat/completions", body, '{"label": "a"}' if number < 4 else '{"label": "other"}')
        choice = told["choices"][0]
        if number == 2:
            choice["message"] |= {"content": None, "refusal": "I will not"}
        if number == 3:
            choice["finish_reason"] = "length"
        return told

    server.answer = answer
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session, output_schema=LABELS)
        trial = await session.call("try_requests", job_id=job_id, which="first", rows=4)

    assert [row.get("outcome") for row in trial["rows"]] == [None, "refused", "cut_short", "not_fitting"]
    assert trial["rows"][0]["answer"] == {"label": "a"}
    assert trial["rows"][3]["answer"] == '{"label": "other"}'
    assert trial["variants"][0]["counts"] == {"answered": 1, "refused": 1, "cut_short": 1, "not_fitting": 1}
    assert {"problem": "refused: I will not", "rows": [2]} in trial["variants"][0]["problems"]


async def test_the_trial_is_paid_at_standard_prices_and_counts_as_what_it_cost(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Ordinary requests have no discount; the journal has the real cost, not the most that it might have been."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session)
        trial = await session.call("try_requests", job_id=job_id, rows=5)

    paid = used(server)
    assert trial["cost"] == f"{format_usd(paid)}, at standard prices: these were ordinary requests"
    assert trials(tmp_path) == [int((paid * 10**6).to_integral_value("ROUND_CEILING"))]


async def test_the_estimate_is_corrected_by_what_the_answers_took(tmp_path: Path, server: OpenAIServer) -> None:
    """Most answers are far shorter than they may be: the user hears what the job will cost, with its range."""
    server.answer = lambda _id, body: "word " * (int(body["messages"][-1]["content"].split()[-1]) % 5 + 1)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        draft = await session.call("create_batch_file", **DRAFT)
        few = await session.call("try_requests", job_id=draft["job_id"], rows=2)
        many = await session.call("try_requests", job_id=draft["job_id"], rows=20)
        one = await session.call("try_requests", job_id=draft["job_id"], rows=1)
        await session.call("submit_job", job_id=draft["job_id"])
        job = await session.finished(draft["job_id"])

    assert "the least and the most of 2 answers" in few["variants"][0]["whole_job"]
    assert "of 1 answer: try more rows for a range" in one["variants"][0]["whole_job"]
    whole = many["variants"][0]["whole_job"]
    assert whole.startswith("40 requests of ")
    assert "95% t-interval of 20 answers" in whole
    low, high = (float(text.strip("$()")) for text in whole.partition("as a batch ")[2].split(";")[0].split(" to "))
    assert low < float(job["cost"].split(";")[0].strip("$")) < high
    assert high < float(draft["cost"].split(" to $")[1].split()[0])
    assert whole.endswith(f"at most ${draft['cost'].split(' to $')[1].split()[0]}")


async def test_a_trial_above_its_bound_is_refused_before_anything_is_sent(tmp_path: Path, server: OpenAIServer) -> None:
    """Ten cents are taken for granted; more is for the user to say."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session, parameters={"max_completion_tokens": 20_000})
        refused = await session.error("try_requests", job_id=job_id)
        fewer = await session.call("try_requests", job_id=job_id, rows=2)
        agreed = await session.call("try_requests", job_id=job_id, max_cost_usd=0.2)
        variants = await session.error("try_requests", job_id=job_id, max_cost_usd=0.2, models=["gpt-5"])

    assert refused == (
        f"Trying 3 requests of {job_id} may cost up to $0.120009, above max_cost_usd $0.10. Nothing was sent. Try "
        "fewer rows, or pass as much as the user agrees to."
    )
    assert len(fewer["rows"]) == 2
    assert len(agreed["rows"]) == 3
    assert variants.startswith(f"Trying 6 requests of {job_id} may cost up to $0.72")
    assert len(server.asked) == 5


async def test_what_nobody_can_bound_needs_a_maximum_and_the_users_word(tmp_path: Path, server: OpenAIServer) -> None:
    """An answer may be as long as the model likes."""
    user = User()
    async with in_memory(openai_environment(tmp_path, server), user=user) as session:
        job_id = await drafted(session, parameters={})
        refused = await session.error("try_requests", job_id=job_id)
        trial = await session.call("try_requests", job_id=job_id, max_cost_usd=0.3)

    assert refused.startswith(f"Nothing bounds what {job_id} may cost")
    assert refused.endswith("Ask the user how much trying it may cost, and pass that as max_cost_usd.")
    assert len(user.questions) == 1
    assert user.questions[0].startswith("Spend $0.30 to try ")
    assert trial["cost"].endswith("these were ordinary requests")
    assert "at most" not in trial["variants"][0]["whole_job"]
    assert trials(tmp_path) == [int((used(server) * 10**6).to_integral_value("ROUND_CEILING"))]


@pytest.mark.slow
async def test_an_unpriced_trial_counts_with_all_that_was_agreed(tmp_path: Path, server: OpenAIServer) -> None:
    """What nobody knows is never called free."""
    async with in_memory(openai_environment(tmp_path, server, prices="")) as session:
        job_id = await drafted(session)
        refused = await session.error("try_requests", job_id=job_id)
        text, trial = await session.answer("try_requests", job_id=job_id, max_cost_usd=0.3)

    assert trial is not None
    assert "is unpriced, not free" in refused
    assert trial["cost"] == "not known: $0.30 counts towards the operator's limits"
    assert "$0.00" not in text
    assert trials(tmp_path) == [300_000]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("user", [User(), User(agreed=False), User("cancel")], ids=["agreed", "not agreed", "cancel"])
async def test_above_the_threshold_the_user_is_asked(
    tmp_path: Path, server: OpenAIServer, mode: Mode, user: User
) -> None:
    """As before a job: a dear trial is a matter for the user, not for the assistant."""
    user = User(user.action, user.agreed)
    agreed = user.action == "accept" and user.agreed
    async with in_memory(openai_environment(tmp_path, server, ask_above_usd="0.0001"), mode, user=user) as session:
        job_id = await drafted(session)
        text, trial = await session.answer("try_requests", job_id=job_id)

    assert len(user.questions) == 1
    assert user.questions[0].startswith("Spend at most $0.000609 to try ")
    assert (trial is not None) is agreed
    assert len(server.asked) == (3 if agreed else 0)
    if not agreed:
        assert text.startswith("The user declined, so nothing was sent or spent.")


@pytest.mark.parametrize("mode", MODES)
async def test_the_operators_limits_hold_for_trials_and_jobs_together(
    tmp_path: Path, server: OpenAIServer, mode: Mode
) -> None:
    """A loop of trials stops there too, and what they took is not spent again by a job."""
    dear = {"parameters": {"max_completion_tokens": 100_000}}
    server.answer = lambda _id, body: (
        answer_body("/v1/chat/completions", body, "much")
        | {"usage": {"prompt_tokens": 10, "completion_tokens": 90_000, "total_tokens": 90_010}}
    )
    env = openai_environment(tmp_path, server, max_day_usd="1", max_job_usd="0.9", ask_above_usd="5")
    async with in_memory(env, mode) as session:
        first = await drafted(session, **dear)
        await session.call("try_requests", job_id=first, max_cost_usd=0.7)
        same_job = await session.error("try_requests", job_id=first, max_cost_usd=0.7)
        other = await drafted(session, **dear, prompt="tell {{text}}")
        same_day = await session.error("try_requests", job_id=other, max_cost_usd=0.7)
        job = await drafted(session, parameters={"max_completion_tokens": 13_000}, prompt="ask {{text}}")
        submitted = await session.error("submit_job", job_id=job)

    assert trials(tmp_path) == [540_008]
    assert f"{first} may cost up to $1.15" in same_job
    assert "the operator allows $0.90 a job" in same_job
    assert "All jobs together may cost $1.00 within 24 hours, of which $0.540008 is taken" in same_day
    assert "There is room again at 20" in same_day
    assert "of which $0.540008 is taken" in submitted
    assert len(server.asked) == 3


async def test_a_trial_of_yesterday_takes_nothing_of_today(tmp_path: Path, server: OpenAIServer) -> None:
    """Also one whose process died: nobody comes back to settle it."""
    async with in_memory(openai_environment(tmp_path, server, max_day_usd="0.001")) as session:
        job_id = await drafted(session)
        await session.call("try_requests", job_id=job_id)
        refused = await session.error("try_requests", job_id=job_id, rows=5)
        with closing(sqlite3.connect(tmp_path / "data" / "journal.db")) as db:
            db.execute("UPDATE trial SET elapsed = elapsed - 25 * 3600")
            db.commit()
        trial = await session.call("try_requests", job_id=job_id, rows=4)

    assert "All jobs together may cost $0.001" in refused
    assert trial["variants"][0]["counts"] == {"answered": 4}


@pytest.mark.slow
async def test_rows_without_an_answer_in_time_are_told_and_count_as_spent(tmp_path: Path, server: OpenAIServer) -> None:
    """A client gives up after a minute; what was sent until then may be charged, and the rest was not sent."""
    server.faults.add("chat.completions.create", "held")
    waiting = replace(IN_MEMORY, trial_seconds=1.0, trial_requests=2)
    async with in_memory(openai_environment(tmp_path, server), waiting=waiting) as session:
        job_id = await drafted(session)
        server.faults.add("chat.completions.create", "held")
        trial = await session.call("try_requests", job_id=job_id, which="first")

    assert [row["outcome"] for row in trial["rows"]] == ["failed", "failed", "never_ran"]
    assert [each["problem"] for each in trial["variants"][0]["problems"]] == [
        "failed: no answer within 1 seconds",
        "never_ran: time ran out before it was sent",
    ]
    assert trial["notes"] == [
        "Time ran out before all requests were answered; those already sent may be charged.",
        "The cost of 2 of the requests is not known: each counts as the most that it may cost.",
    ]
    most = 2 * Decimal("0.000203")
    assert abs(Decimal(trials(tmp_path)[0]).scaleb(-6) - most) < Decimal("0.000003")
    assert trial["cost"].startswith("at most $0.0004")


@pytest.mark.parametrize(
    ("fault", "problem", "told"),
    [
        ("429", "HTTP 429 (code rate_limit_exceeded): Rate limit reached for requests.", "$0.0"),
        ("429_retry_after", "HTTP 429 (code rate_limit_exceeded): Rate limit reached for requests.", "$0.0"),
        ("500", "HTTP 500: The server had an error", "at most $0.0"),
        ("lost_after_creation", "The connection to the provider was lost before its answer came.", "at most $0.0"),
        ("html_502", "The provider answered HTTP 502, which does not say what it did.", "at most $0.0"),
    ],
)
async def test_what_went_wrong_on_the_way_is_told_and_sent_once(
    tmp_path: Path, server: OpenAIServer, fault: str, problem: str, told: str
) -> None:
    """One row's fault costs nobody the others, and what may have been charged counts."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session)
        server.faults.add("chat.completions.create", fault)
        trial = await session.call("try_requests", job_id=job_id)

    assert trial["variants"][0]["counts"] == {"answered": 2, "failed": 1}
    assert problem in trial["variants"][0]["problems"][0]["problem"]
    assert server.requests["POST /v1/chat/completions"] == 3
    assert trial["cost"].startswith(told)


async def test_a_provider_that_is_not_there_was_sent_nothing(tmp_path: Path) -> None:
    """The error is one, not one a row, and nothing counts as spent."""
    async with running_openai() as server:
        env = openai_environment(tmp_path, server)
        async with in_memory(env) as session:
            job_id = await drafted(session)
    async with in_memory(env) as session:
        refused = await session.error("try_requests", job_id=job_id)

    assert refused.startswith("The provider cannot be reached; nothing was sent. Try again later;")
    assert trials(tmp_path) == [0]


async def test_an_endpoint_that_is_not_there_or_fails_is_told_at_once(tmp_path: Path) -> None:
    """The engine waits for hours where a job runs; whoever tries wants to know now."""
    async with running_endpoint(statuses={"*": [503] * MAX_TRIES}) as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url)
        async with in_memory(env) as session:
            job_id = await drafted(session, model="m")
            failed = await session.call("try_requests", job_id=job_id)
    async with in_memory(env) as session:
        gone = await session.error("try_requests", job_id=job_id)

    assert failed["variants"][0]["counts"] == {"failed": 3}
    assert sum(endpoint.seen.values()) == 3
    assert gone.startswith("The endpoint does not answer (")
    assert "nothing was sent" in gone


async def test_a_client_that_hangs_up_pays_only_for_what_was_sent(tmp_path: Path, server: OpenAIServer) -> None:
    """The rest was never sent, and gives its money back."""
    before: list[int] = []
    server.faults.add("chat.completions.create", "held")
    waiting = replace(IN_MEMORY, trial_requests=1)
    async with in_memory(openai_environment(tmp_path, server), waiting=waiting) as session:
        job_id = await drafted(session)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(session.answer, "try_requests", job_id=job_id))
            await server.holding.wait()
            before += trials(tmp_path)
            tasks.cancel_scope.cancel()

        async def is_settled() -> bool:
            return trials(tmp_path) != before

        await until(is_settled)
        after = trials(tmp_path)

    assert before == [609]
    assert after == [203]


@pytest.mark.slow
async def test_a_server_that_is_killed_meanwhile_loses_only_the_trial(tmp_path: Path) -> None:
    """What was sent counts as spent, since nobody knows; the draft is there, and can be tried again."""
    pid_file = tmp_path / "pid"
    async with running_openai(automatic=True) as server:
        env = openai_environment(tmp_path, server)
        async with in_memory(env) as session:
            job_id = await drafted(session)
        for _ in range(3):
            server.faults.add("chat.completions.create", "held")
        with pytest.raises(Exception):  # noqa: B017, PT011, PT012  # however the SDK says that the server is gone
            async with over_stdio(env, pid_file=pid_file) as session, anyio.create_task_group() as tasks:

                async def kill() -> None:
                    await server.holding.wait()
                    psutil.Process(int(pid_file.read_text())).kill()

                tasks.start_soon(kill)
                await session.call("try_requests", job_id=job_id)
        counted = trials(tmp_path)
        server.release()
        server.faults.waiting.clear()
        async with in_memory(env) as session:
            trial = await session.call("try_requests", job_id=job_id)

    assert counted == [609]
    assert trial["variants"][0]["counts"] == {"answered": 3}
    assert trials(tmp_path)[0] == 609


@pytest.mark.parametrize("mode", MODES)
async def test_models_are_compared_on_the_same_rows_and_with_the_truth(
    tmp_path: Path, server: OpenAIServer, mode: Mode
) -> None:
    """The cheaper model is chosen where it is as good, and not where it is not."""
    server.answer = labelled
    async with in_memory(openai_environment(tmp_path, server), mode) as session:
        job_id = await drafted(session, output_schema=LABELS)
        trial = await session.call("try_requests", job_id=job_id, rows=10, models=["gpt-5-nano", MODEL], truth="gold")
        paid = used(server)
        draft = await drafted(session, output_schema=LABELS, model="gpt-5-nano")
        better = await session.call("try_requests", job_id=draft, rows=10, models=[MODEL], truth="label=gold")

    odd = sum(row["row"] % 2 for row in trial["rows"])
    mini, nano = trial["variants"]
    assert (mini["variant"], mini["model"], mini["right"]) == (1, MODEL, "10 of 10")
    assert (nano["variant"], nano["model"], nano["right"]) == (2, "gpt-5-nano", f"{odd} of 10")
    assert trial["agreement"] == [f"1 and 2 agree: 'label' in {odd} of 10 rows"]
    for row in trial["rows"]:
        even = {"variant 1": {"label": "b"}, "variant 2": {"label": "a"}}
        shown = {name: row[name] for name in row.keys() - {"row", "source", "truth"}}
        assert shown == ({"all": {"label": "a"}} if row["row"] % 2 else even)
        assert row["truth"].strip() == ("a" if row["row"] % 2 else "B")
    assert mini["cost"] == f"${paid:.6f}".rstrip("0")
    assert "as a batch" in nano["whole_job"]
    assert f'submit_job(job_id="{job_id}"' in trial["next"]
    assert trial["next"].endswith(
        "for variant 1, which was right as often as any; or create_batch_file with the model and prompt of another"
    )
    assert better["next"].startswith(
        "create_batch_file with the model and prompt of variant 2, which was right most often; or "
    )
    assert {body["model"] for body in server.asked} == {MODEL, "gpt-5-nano"}


async def test_prompts_are_compared_and_their_bodies_are_those_of_a_draft_with_them(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """The answer to a trial is the answer of the job that would be drafted with that prompt."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session, system="Be brief.")
        trial = await session.call(
            "try_requests", job_id=job_id, prompts=["tell {{text}} and {{n}}", "SAY {{text}}"], models=["gpt-5-nano"]
        )
        same = await drafted(session, system="Be brief.", prompt="tell {{text}} and {{n}}", model="gpt-5-nano")
        none = await session.error("try_requests", job_id=job_id, prompts=["tell {{nothing}}"])

    nano = [body for body in server.asked if body["model"] == "gpt-5-nano"]
    assert [variant["prompt"] for variant in trial["variants"]] == [
        "say {{text}}",
        "tell {{text}} and {{n}}",
        "SAY {{text}}",
    ]
    assert [variant["model"] for variant in trial["variants"]] == [MODEL, "gpt-5-nano", "gpt-5-nano"]
    assert [body for body in nano if "tell" in body["messages"][-1]["content"]] != []
    told = [drafted_body(body) for body in nano if body["messages"][-1]["content"].startswith("tell")]
    assert all(body in bodies(tmp_path, same) for body in told)
    assert set(trial["rows"][0]["source"]) == {"n", "text"}
    # Without case and the space around it, the answers to `say` and `SAY` are the same.
    assert trial["agreement"] == [
        "1 and 2 agree: 'answer' in 0 of 3 rows",
        "1 and 3 agree: 'answer' in 3 of 3 rows",
        "2 and 3 agree: 'answer' in 0 of 3 rows",
    ]
    assert "names the column 'nothing', which does not exist" in none


async def test_variants_that_cannot_be_are_refused_before_anything_is_sent(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """A comparison that would fail on one side is told, not paid for."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session, output_schema=TWO)
        many = await session.error("try_requests", job_id=job_id, models=["a", "b"], prompts=["x", "y"])
        no_column = await session.error("try_requests", job_id=job_id, truth="golden")
        no_property = await session.error("try_requests", job_id=job_id, truth="gold")
        unpriced = await session.error("try_requests", job_id=job_id, models=["mystery-1"])
        no_job = await session.error("try_requests", job_id="job_none")

    assert many == (
        "That makes more than 4 variants, including the draft. Name fewer models or prompts: each model is tried with "
        "each prompt."
    )
    assert no_column.startswith("truth names no column of 'the rows': 'golden'. Columns: 'n', 'text', 'gold'.")
    assert no_column.endswith("the properties are 'topic', 'stars'.")
    assert 'Give truth as "topic=gold".' in no_property
    assert "pass that as max_cost_usd" in unpriced
    assert no_job.startswith("There is no job 'job_none'.")
    assert server.asked == []


async def test_agreement_is_by_property_and_numbers_go_by_their_value(tmp_path: Path, server: OpenAIServer) -> None:
    """The right number stands in a CSV file as a text."""
    (tmp_path / "work").mkdir()
    lines = ["text,stars"] + [f"word {number},{number % 5}.0" for number in range(1, 9)]
    (tmp_path / "work" / "in.csv").write_text("\n".join(lines), encoding="utf-8")

    def answer(_custom_id: str, body: Object) -> str:
        number = int(body["messages"][-1]["content"].split()[-1])
        is_nano = "nano" in body["model"]
        return json.dumps({"topic": " Shoes" if is_nano else "shoes", "stars": 4 if is_nano else number % 5})

    server.answer = answer
    async with in_memory(openai_environment(tmp_path, server)) as session:
        changes: dict[str, Any] = {"source": "in.csv", "rows": [], "output_schema": TWO}
        job_id = await drafted(session, **changes)
        trial = await session.call("try_requests", job_id=job_id, rows=8, models=["gpt-5-nano"], truth="stars")

    assert [variant["right"] for variant in trial["variants"]] == ["8 of 8", "1 of 8"]
    assert trial["agreement"] == ["1 and 2 agree: 'topic' in 8 of 8 rows; 'stars' in 1 of 8 rows"]
    assert "all of them measured" in trial["variants"][0]["whole_job"]


async def test_a_ready_made_batch_file_is_tried_as_it_is_and_with_other_models(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """It has no prompt and no columns: what each request asks is shown instead."""
    messages = [[{"role": "user", "content": f"t{n}"}] for n in range(5)]
    write_batch_file(
        tmp_path,
        [{"model": MODEL, "messages": said, "max_completion_tokens": 9 + n} for n, said in enumerate(messages)],
    )
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("create_batch_file", batch_file="batch.jsonl"))["job_id"]
        trial = await session.call("try_requests", job_id=job_id, named=["row-3"], models=["gpt-5-nano"])
        refused = await session.error("try_requests", job_id=job_id, prompts=["say it"])

    assert trial["rows"] == [{"row": 4, "id": "row-3", "request": "t3", "all": {"answer": "answer to t3"}}]
    assert [body["model"] for body in server.asked] == [MODEL, "gpt-5-nano"]
    assert [body["max_completion_tokens"] for body in server.asked] == [12, 12]
    assert "has no prompt of its own" in refused


async def test_packed_and_shared_rows_are_tried_alone(tmp_path: Path, server: OpenAIServer) -> None:
    """A row is what the user thinks in, however requests are put together."""
    server.answer = lambda _id, body: answer_body("/v1/embeddings", body, "")
    rows = [{"text": "w" * (number % 6 + 1)} for number in range(12)]
    embedding: dict[str, Any] = {
        "endpoint": "/v1/embeddings",
        "model": "text-embedding-3-small",
        "parameters": {},
        "rows": rows,
    }
    async with in_memory(openai_environment(tmp_path, server)) as session:
        packed = await drafted(session, **embedding, prompt="{{text}}", inputs_per_request=5)
        first = await session.call("try_requests", job_id=packed, rows=8)
        named = await session.call("try_requests", job_id=packed, named=["7", "row-12"])
        shared = await drafted(session, **embedding, prompt="{{text}}", deduplicate=True)
        alike = await session.call("try_requests", job_id=shared, rows=20)
        second = await session.call("try_requests", job_id=shared, named=["8"])

    assert first["tried"] == "8 of 12 rows, at random, seed 0"
    # They are on their way together, and arrive in any order.
    asked = sorted(body["input"] for body in server.asked[:8])
    assert asked == sorted([row["source"]["text"]] for row in first["rows"])
    assert [row["answer"]["first_numbers"] for row in first["rows"]] == [
        [0.5, float(len(row["source"]["text"]))] for row in first["rows"]
    ]
    assert [(row["row"], row["source"]["text"]) for row in named["rows"]] == [(7, "w"), (12, "wwwwww")]
    assert alike["tried"] == "6 of 6 different requests, at random, seed 0"
    assert [row["row"] for row in alike["rows"]] == [1, 2, 3, 4, 5, 6]
    assert [(row["row"], row["source"]["text"]) for row in second["rows"]] == [(8, "ww")]
    assert "output tokens" not in first["variants"][0]["whole_job"]
    assert " as a batch" in first["variants"][0]["whole_job"]


@pytest.mark.parametrize(
    ("vector", "shown"),
    [
        ("AAAAPwAAgD8AAABA", {"dimensions": 3, "first_numbers": [0.5, 1.0, 2.0]}),
        ("AADAfw==", {"dimensions": 1, "first_numbers": ["nan"]}),
        ("no base64", {"dimensions": 0, "first_numbers": []}),
        (["obey\u200b" * 100], {"vectors": 1, "dimensions": 0, "first_numbers": []}),
        ([1, {"a\x1b[1m": "b"}], {"dimensions": 2, "first_numbers": [1, {"a": "b"}]}),
    ],
)
async def test_a_vector_is_read_in_base64_too_and_what_is_none_breaks_nothing(
    tmp_path: Path, vector: Any, shown: dict[str, Any]
) -> None:
    """A server may answer anything, and it enters the conversation."""
    raw = {"object": "list", "model": "m", "usage": {"prompt_tokens": 1}}
    data = [{"index": 0, "object": "embedding", "embedding": vector}]
    async with (
        running_endpoint(raw=json.dumps(raw | {"data": data}).encode()) as endpoint,
        in_memory(environment(tmp_path, endpoint=endpoint.url)) as session,
    ):
        draft = {"endpoint": "/v1/embeddings", "parameters": {"encoding_format": "base64"}, "model": "m"}
        job_id = await drafted(session, **draft)
        trial = await session.call("try_requests", job_id=job_id, rows=1)

    assert trial["rows"][0]["answer"] == shown


async def test_a_job_that_has_run_and_a_drafted_retry_can_be_tried(tmp_path: Path, server: OpenAIServer) -> None:
    """Before a retry is paid for, its changed prompt is tried on the rows that failed."""
    server.answer = lambda custom_id, _: (400, {"error": {"message": "no"}}) if custom_id in {"row-2", "row-5"} else "x"
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session)
        await session.call("submit_job", job_id=job_id)
        job = await session.finished(job_id)
        ended = await session.call("try_requests", job_id=job_id, named=["9"])
        retry = await session.call("retry_job", job_id=job_id, prompt="tell {{text}}")
        trial = await session.call("try_requests", job_id=job_id, rows=20)
        not_in_it = await session.error("try_requests", job_id=job_id, named=["9"])
        (tmp_path / "data" / "jobs" / job_id / "part-0002.jsonl").unlink()
        gone = await session.error("try_requests", job_id=job_id)

    assert job["counts"] == {"answered": 38, "failed": 2}
    assert ended["rows"] == [{"row": 9, "source": {"text": "word 9"}, "answer": "x"}]
    assert ended["next"] == f'get_results(job_id="{job_id}")'
    assert retry["next"].startswith(f'try_requests(job_id="{job_id}") shows sample answers; then ')
    assert [row["row"] for row in trial["rows"]] == [2, 5]
    assert sorted(body["messages"][-1]["content"] for body in server.asked[1:]) == ["tell word 2", "tell word 5"]
    assert trial["next"].startswith(f'tell the user the cost, then submit_job(job_id="{job_id}"')
    assert not_in_it == f"Row 9 of {job_id} has no request in this round. Name another."
    assert gone.startswith(f"The requests of {job_id} are no longer here")


async def test_a_job_of_another_provider_is_not_tried_here(tmp_path: Path, server: OpenAIServer) -> None:
    """No other may answer in its name."""
    async with running_endpoint() as endpoint, in_memory(environment(tmp_path, endpoint=endpoint.url)) as session:
        job_id = await drafted(session, model="m")
    async with in_memory(openai_environment(tmp_path, server)) as session:
        refused = await session.error("try_requests", job_id=job_id)

    assert "this server has another provider now" in refused
    assert server.asked == []


@pytest.mark.parametrize("models", [[], ["gpt-5-nano", "gpt-4.1-mini", "gpt-4o-mini"]], ids=["one", "four"])
@pytest.mark.parametrize("text", ["word ", "слово ", "言葉", "👍🏽"])
async def test_the_answer_is_short_whatever_the_rows_and_answers_are(
    tmp_path: Path, server: OpenAIServer, text: str, models: list[str]
) -> None:
    """It stays in the conversation for good."""
    server.answer = lambda _id, body: body["model"] + text * 5_000
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session, rows=[{"text": text * 1_000} for _ in range(9)])
        told, trial = await session.answer("try_requests", job_id=job_id, models=models)

    count = splintr.Tokenizer.from_pretrained("o200k_base").encode
    assert len(count(told)) < 2_000
    assert len(count(json.dumps(trial, ensure_ascii=False, separators=(",", ":")))) < 2_000
    assert " more)" in told


async def test_what_a_model_or_a_provider_wrote_is_cleaned(tmp_path: Path, server: OpenAIServer) -> None:
    """It enters the conversation: no escapes, no hidden words, and marked as data."""
    hidden = "\x1b[31mred\u202e\u200b\U000e0041"
    server.answer = lambda _id, body: (
        (400, {"error": {"message": f"bad {hidden}" + "x" * 5_000}}) if "word 1" in str(body) else f"fine {hidden}"
    )
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session, rows=[{"text": f"word {number}"} for number in (1, 2)])
        told, trial = await session.answer("try_requests", job_id=job_id)

    assert trial is not None
    assert trial["rows"][1]["answer"] == "fine red"
    assert trial["variants"][0]["problems"][0]["problem"].startswith("failed: HTTP 400: bad red")
    assert len(trial["variants"][0]["problems"][0]["problem"]) < 400
    assert "\x1b" not in told
    assert trial["about"].startswith("Cell texts come from the data and the model")
