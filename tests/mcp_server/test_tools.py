"""The tools, through a real MCP client, in both protocol eras."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any, cast

import anyio
import duckdb
import pytest
import splintr

from batchwright.core.jsonl import encode_request
from batchwright.core.model import OUTCOMES, Request
from batchwright.mcp_server.tools.catalogue import TOOLS
from tests.generate import listed
from tests.support.endpoint import running_endpoint
from tests.support.openai_server import OpenAIServer, running_openai
from tests.support.sample import DRAFT
from tests.support.session import (
    MODES,
    OPENAI_ITSELF,
    Mode,
    at_endpoint,
    environment,
    in_memory,
    openai_environment,
)
from tests.support.systems import needs_links
from tests.support.values import HOSTILE, LABELS
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

MAX_TOKENS = 6_000


async def test_the_list_of_tools_leaves_the_assistant_its_room() -> None:
    """The list rides in every conversation."""
    text = json.dumps({"tools": await listed("auto")}, separators=(",", ":"), ensure_ascii=False)

    assert len(splintr.Tokenizer.from_pretrained("o200k_base").encode(text)) < MAX_TOKENS


async def test_every_tool_says_what_it_may_do() -> None:
    """Clients decide by the hints whether to ask the user; a missing hint is taken for the worst."""
    for tool in await listed("auto"):
        hints = tool["annotations"]
        assert {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} <= hints.keys(), tool["name"]
        assert tool["inputSchema"]["additionalProperties"] is False
        assert tool["outputSchema"]["type"] == "object"
        assert tool["description"]


async def test_what_a_client_strips_from_the_schemas_stands_in_the_descriptions() -> None:
    """Some clients take ranges and defaults out before the model sees them."""
    bounded: list[str] = []
    for tool in await listed("auto"):
        for name, argument in tool["inputSchema"]["properties"].items():
            told = [argument[key] for key in ("minimum", "maximum", "maxItems", "default") if key in argument]
            bounded += [name] * bool(told)
            said = re.split(r"[ ,;]+", argument.get("description", ""))
            assert [value for value in told if str(value) not in said] == [], f"{tool['name']}: {name}"
            assert "exclusiveMinimum" not in argument
            assert "exclusiveMaximum" not in argument
            assert "multipleOf" not in argument
            assert "minItems" not in argument

    assert {"limit", "offset", "wait_seconds", "sample_rows", "endpoint", "file_ids"} <= set(bounded)


@pytest.mark.parametrize("mode", MODES)
async def test_the_main_job_from_a_file_to_a_joined_file(tmp_path: Path, sample: Path, mode: Mode) -> None:
    """It is what the program is for."""
    async with at_endpoint(tmp_path, mode, answer=lambda text: json.dumps({"label": "b" if "3" in text else "a"})) as (
        endpoint,
        session,
    ):
        profile = await session.call("inspect_data", source="sample.csv")
        draft = await session.call(
            "create_batch_file", **DRAFT, output_schema=LABELS, id_column=profile["id_column"], system="Be brief."
        )
        submitted = await session.call("submit_job", job_id=draft["job_id"])
        job = await session.finished(draft["job_id"])
        results = await session.call("get_results", job_id=draft["job_id"], save_as="out.csv")

    assert (profile["rows"], profile["id_column"]) == (5, "id")
    assert (draft["rows"], draft["requests"], draft["parts"], draft["status"]) == (5, 5, 1, "draft")
    assert submitted["status"] in {"running", "completed"}
    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})
    assert (job["input_tokens"], job["output_tokens"]) == (25, 15)
    assert results["shown"][2] == {"row": 3, "id": "3", "text": "row 3", "label": "b", "outcome": "answered"}
    with (sample / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["text"], row["label"]) for row in rows] == [
        (str(number), f"row {number}", "b" if number == 3 else "a") for number in range(1, 6)
    ]
    assert endpoint.bodies[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    assert endpoint.bodies[0]["response_format"]["json_schema"]["strict"] is True


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
async def test_text_and_structured_content_carry_the_same_facts(tmp_path: Path, sample: Path, mode: Mode) -> None:
    """Some assistants read only the one, others only the other; none may miss a fact or the next step."""
    assert sample.exists()
    draft = DRAFT | {"model": "gpt-5-mini", "parameters": {"max_completion_tokens": 100}}
    refused = 400, {"error": {"message": "told to fail"}}
    async with (
        running_openai(automatic=True, answer=lambda custom_id, _: refused if custom_id == "2" else "done") as server,
        in_memory(openai_environment(tmp_path, server), mode) as session,
    ):
        theirs = made_elsewhere(server)
        job_id = (await session.call("create_batch_file", **draft, id_column="id"))["job_id"]
        calls: list[tuple[str, dict[str, Any]]] = [
            ("inspect_data", {"source": "sample.csv"}),
            ("create_batch_file", draft),
            ("try_requests", {"job_id": job_id, "models": ["gpt-5-nano"], "truth": "text"}),
            ("submit_job", {"job_id": job_id}),
            ("check_job", {"job_id": job_id, "wait_seconds": 60}),
            ("list_jobs", {}),
            ("adopt_batch", {"batch_id": theirs}),
            ("get_results", {"job_id": job_id, "save_as": "out.jsonl"}),
            ("query_results", {"job_id": job_id, "truth": "text"}),
            ("compare_costs", {"job_id": job_id, "models": ["gpt-4", "o1-mini", "x"], "save_chart_as": "c.png"}),
            ("retry_job", {"job_id": job_id}),
            ("list_files", {}),
            ("delete_files", {"job_id": job_id}),
        ]
        answers = {name: await session.answer(name, **arguments) for name, arguments in calls}
        await session.call("submit_job", job_id=job_id)
        answers["cancel_job"] = await session.answer("cancel_job", job_id=job_id)

    assert answers.keys() == {tool[0].__name__ for tool in TOOLS}
    for name, (text, content) in answers.items():
        assert content is not None, f"{name}: {text}"
        assert "null" not in json.dumps(content)
        assert content["next"]
        for key, value in content.items():
            assert f"{key}:" in text, f"{name}: {key}"
            for leaf in leaves(value):
                assert str(leaf) in text, f"{name}: {key}: {leaf}"


def made_elsewhere(server: OpenAIServer) -> str:
    """Make a batch as another program would, and give its id."""
    path = server.new_path()
    path.write_bytes(encode_request(Request("x", {"model": "gpt-4.1", "messages": []}), "/v1/chat/completions"))
    file_id = server.add_file(path, "theirs.jsonl", purpose="batch").id
    fields = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    return server.create_batch(fields)["id"]


def leaves(value: Any) -> list[Any]:
    """Give every text and number in a JSON value, a text as it stands inside JSON."""
    if isinstance(value, dict):
        return [leaf for item in cast("dict[str, Any]", value).values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in cast("list[Any]", value) for leaf in leaves(item)]
    return [value]


@pytest.mark.parametrize("endpoint_path", ["/v1/chat/completions", "/v1/responses", "/v1/embeddings"])
async def test_rows_given_inline_run_on_every_endpoint(tmp_path: Path, endpoint_path: str) -> None:
    """A list in the conversation is a source too, and each endpoint has its own body and answer."""
    rows = [{"word": "cat"}, {"word": "doga"}]
    async with at_endpoint(tmp_path) as (_, session):
        job_id = await session.run_job(rows=rows, prompt="{{word}}", model="m", endpoint=endpoint_path)
        shown = (await session.call("get_results", job_id=job_id))["shown"]

    if endpoint_path == "/v1/embeddings":
        assert [row["embedding"] for row in shown] == [[0.5, 13.0], [0.5, 14.0]]
    else:
        assert [row["answer"] for row in shown] == ["answer to cat", "answer to doga"]


async def test_a_ready_made_batch_file_runs_as_it_is(tmp_path: Path, sample: Path) -> None:
    """Who has a batch file already needs only the rest."""
    lines = [
        {"custom_id": f"x{n}", "method": "POST", "url": "/v1/chat/completions"}
        | {"body": {"model": "own", "messages": [{"role": "user", "content": f"t{n}"}], "top_p": 0.5}}
        for n in range(3)
    ]
    (sample / "batch.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    async with at_endpoint(tmp_path) as (endpoint, session):
        seen = await session.call("inspect_data", source="batch.jsonl")
        job_id = await session.run_job(batch_file="batch.jsonl")
        shown = (await session.call("get_results", job_id=job_id))["shown"]

    assert seen["next"] == 'create_batch_file(batch_file="batch.jsonl")'
    assert [(row["custom_id"], row["answer"]) for row in shown] == [(f"x{n}", f"answer to t{n}") for n in range(3)]
    assert {body["top_p"] for body in endpoint.bodies} == {0.5}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("saved", ["csv", "jsonl", "parquet"])
async def test_every_kind_of_file_goes_in_and_comes_out(tmp_path: Path, sample: Path, suffix: str, saved: str) -> None:
    """People have their data in what they have."""
    kind = "json" if suffix == "jsonl" else suffix
    rows = "SELECT 7 AS n, 'a, \"b\"' AS t UNION ALL SELECT 8, 'é\n2' UNION ALL SELECT NULL, 'null'"
    duckdb.execute(f"COPY ({rows}) TO '{sample}/in.{suffix}' (FORMAT {kind})")
    async with at_endpoint(tmp_path) as (_, session):
        job_id = await session.run_job(source=f"in.{suffix}", prompt="{{n}} {{t}}", model="m")
        await session.call("get_results", job_id=job_id, save_as=f"out.{saved}")

    joined = duckdb.execute(f"SELECT n::VARCHAR, t, answer FROM '{sample}/out.{saved}'").fetchall()
    assert joined == [
        ("7", 'a, "b"', 'answer to 7 a, "b"'),
        ("8", "é\n2", "answer to 8 é\n2"),
        (None, "null", "answer to  null"),
    ]


async def test_failures_are_counted_by_name_and_grouped_by_cause(tmp_path: Path, sample: Path) -> None:
    """For every job: what became of each row is known, and the sum is the rows."""
    assert sample.exists()
    answers = {"say row 1": '{"label": "a"}', "say row 2": '{"label": "c"}', "say row 3": "no JSON"}
    statuses = {"say row 4": [400], "say row 5": [400]}
    async with at_endpoint(tmp_path, answer=lambda text: answers[text], statuses=statuses) as (_, session):
        draft = await session.call("create_batch_file", **DRAFT, output_schema=LABELS)
        await session.call("submit_job", job_id=draft["job_id"])
        job = await session.finished(draft["job_id"])
        failed = await session.call("get_results", job_id=draft["job_id"], outcome="failed")
        unfit = await session.call("get_results", job_id=draft["job_id"], outcome="not_fitting")

    assert job["counts"] == {"answered": 1, "not_fitting": 2, "failed": 2}
    assert [(found["cause"], found["rows"]) for found in job["problems"]] == [
        ("invalid_request", 2),
        ("not_fitting", 1),
        ("not_json", 1),
    ]
    assert job["problems"][0]["provider_says"] == "HTTP 400: told to fail"
    assert [row["row"] for row in failed["shown"]] == [4, 5]
    assert [row["raw_answer"] for row in unfit["shown"]] == ['{"label": "c"}', "no JSON"]


@pytest.mark.slow
async def test_waiting_reports_progress_and_the_counts_add_up_meanwhile(tmp_path: Path, sample: Path) -> None:
    """A user looks at a bar for hours; at any time the outcomes are all the rows."""
    assert sample.exists()
    async with (
        running_endpoint(seconds=0.4) as endpoint,
        in_memory(environment(tmp_path, endpoint=endpoint.url, concurrency="1")) as session,
    ):
        draft = await session.call("create_batch_file", **DRAFT)
        await session.call("submit_job", job_id=draft["job_id"])

        async def moving() -> dict[str, Any]:
            job = await session.call("check_job", job_id=draft["job_id"])
            return job if job["counts"].get("answered") else {}

        meanwhile = await until(moving)
        session.progress.clear()
        await session.finished(draft["job_id"])

    assert meanwhile["status"] == "running"
    assert sum(meanwhile["counts"].values()) == 5
    assert meanwhile["counts"].keys() <= set(OUTCOMES)
    assert meanwhile["rows_per_minute"] > 0
    done = [point[0] for point in session.progress]
    assert done == sorted(done)
    assert session.progress[-1][1] == 5


async def test_a_cancelled_job_gives_what_was_answered(tmp_path: Path, sample: Path) -> None:
    """Cancelling is not throwing away."""
    assert sample.exists()
    async with (
        running_endpoint() as endpoint,
        in_memory(environment(tmp_path, endpoint=endpoint.url, concurrency="1")) as session,
    ):
        endpoint.answer = lambda text: (endpoint.gate.clear() if text == "say row 2" else None) or "done"
        draft = await session.call("create_batch_file", **DRAFT)
        await session.call("submit_job", job_id=draft["job_id"])

        async def stuck() -> bool:
            return endpoint.seen["say row 3"] == 1

        await until(stuck)
        await session.call("cancel_job", job_id=draft["job_id"])
        job = await session.finished(draft["job_id"])
        results = await session.call("get_results", job_id=draft["job_id"], save_as="out.csv")
        again = await session.error("cancel_job", job_id=draft["job_id"])

    assert (job["status"], job["counts"]) == ("cancelled", {"answered": 2, "never_ran": 3})
    assert results["shown"][4]["problem"] == "the batch was cancelled before reaching this row"
    assert "has already finished" in again


@pytest.mark.parametrize("mode", MODES)
async def test_a_list_of_jobs_shows_what_each_asked_and_what_it_cost(tmp_path: Path, mode: Mode) -> None:
    """Ids and dates look all the same: users know a job by its question, and ask what they spent."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "sample.csv").write_text("id,text\n1,a\n", encoding="utf-8")
    draft = DRAFT | {"model": "gpt-4.1", "parameters": {"max_tokens": 100}}
    long = f"Is\x1b[31m this\n\n{'very ' * 20}good? {{{{text}}}}"
    async with (
        running_openai(automatic=True) as server,
        in_memory(openai_environment(tmp_path, server), mode) as session,
    ):
        run = (await session.call("create_batch_file", **draft))["job_id"]
        await session.call("submit_job", job_id=run)
        ended = await session.finished(run)
        await session.call("create_batch_file", **draft | {"prompt": long})
        await session.call("create_batch_file", **draft | {"parameters": {}})
        text, jobs = await session.answer("list_jobs")

    assert jobs is not None
    lines = {line["job_id"]: line for line in jobs["jobs"]}
    assert lines.pop(run)["cost"] == ended["cost"].split(";")[0]
    prompts = {line["prompt"]: line["cost"] for line in lines.values()}
    assert prompts["say {{text}}"] == "not bounded"
    (shown,) = [prompt for prompt in prompts if prompt.startswith("Is this very very ")]
    assert prompts[shown].startswith("up to $0.0")
    assert (len(shown), shown[-1], shown in text) == (60, "…", True)


async def test_a_free_job_has_no_cost_in_the_list(tmp_path: Path, sample: Path) -> None:
    """Nothing is said of what is not counted."""
    assert sample.exists()
    async with at_endpoint(tmp_path) as (_, session):
        await session.call("create_batch_file", **DRAFT)
        jobs = await session.call("list_jobs")

    assert "cost" not in jobs["jobs"][0]


@pytest.mark.parametrize("mode", MODES)
async def test_a_draft_that_is_not_wanted_is_discarded_with_its_files(tmp_path: Path, sample: Path, mode: Mode) -> None:
    """Drafts are tried out by the dozen: the list is for what matters."""
    assert sample.exists()
    async with at_endpoint(tmp_path, mode) as (endpoint, session):
        kept = (await session.call("create_batch_file", **DRAFT))["job_id"]
        job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
        gone = await session.call("cancel_job", job_id=job_id)
        jobs = await session.call("list_jobs")
        refused = await session.error("submit_job", job_id=job_id)
        again = await session.error("cancel_job", job_id=job_id)
    async with in_memory(environment(tmp_path, endpoint=endpoint.url), mode) as session:
        later = await session.call("list_jobs")

    assert gone["notes"] == ["The draft was discarded with its files. Nothing was spent."]
    assert gone["next"].startswith("list_jobs()")
    assert [job["job_id"] for job in jobs["jobs"]] == [job["job_id"] for job in later["jobs"]] == [kept]
    assert [path.name for path in (tmp_path / "data" / "jobs").iterdir()] == [kept]
    assert refused == again == f"There is no job '{job_id}'. `list_jobs` shows the ids."
    assert not endpoint.bodies


async def test_a_column_in_single_braces_is_told_how_to_be_written(tmp_path: Path, sample: Path) -> None:
    """Other programs write it so: all rows would get the same question."""
    assert sample.exists()
    async with at_endpoint(tmp_path) as (_, session):
        single = await session.call("create_batch_file", **DRAFT | {"prompt": "say {text}"})
        double = await session.call(
            "create_batch_file", **DRAFT | {"prompt": 'say {{text}} as {"text": ...} or {text}'}
        )
        neither = await session.call("create_batch_file", **DRAFT | {"prompt": "say {word}"})

    assert single["warnings"] == [
        (
            "Every row gets the same request: the prompt has {text} in single braces, which is sent literally: "
            "write {{text}}."
        ),
        (
            "Counted only approximately: the text, with another model's tokenizer. "
            "The highest cost allows for the most that it can be."
        ),
    ]
    assert not any("braces" in warning for draft in (double, neither) for warning in draft["warnings"])
    assert "Every row gets the same request: the prompt names no column." in neither["warnings"]
    assert single["next"].startswith("fix what the warnings say with another draft; only if the user wants this one")
    assert double["next"].startswith("try_requests(")


async def test_the_next_session_finds_the_jobs_again(tmp_path: Path, sample: Path) -> None:
    """Conversations end; jobs do not."""
    assert sample.exists()
    async with running_endpoint() as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url)
        async with in_memory(env) as session:
            first = await session.call("create_batch_file", **DRAFT)
            second = await session.call("create_batch_file", **DRAFT)
            await session.call("submit_job", job_id=first["job_id"])
            await session.finished(first["job_id"])
        async with in_memory(env, "legacy") as session:
            jobs = await session.call("list_jobs", limit=1)
            more = await session.call("list_jobs", offset=1)
            results = await session.call("get_results", job_id=first["job_id"])

    assert [job["job_id"] for job in jobs["jobs"]] == [second["job_id"]]
    assert (jobs["total"], jobs["left_out"], jobs["next"]) == (
        2,
        1,
        f'check_job(job_id="{second["job_id"]}") shows its progress; list_jobs(offset=1) shows older jobs',
    )
    assert [(job["job_id"], job["status"]) for job in more["jobs"]] == [(first["job_id"], "completed")]
    assert results["counts"] == {"answered": 5}


async def test_submitting_twice_sends_nothing_twice(tmp_path: Path, sample: Path) -> None:
    """A client may repeat a call after a broken stream, and an assistant may forget that it called."""
    assert sample.exists()
    async with at_endpoint(tmp_path, seconds=0.05) as (endpoint, session):
        draft = await session.call("create_batch_file", **DRAFT)

        async def submit() -> None:
            await session.call("submit_job", job_id=draft["job_id"])

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(submit)
        again = await session.call("submit_job", job_id=draft["job_id"])
        await session.finished(draft["job_id"])
        files = await session.call("list_files")

    assert again["notes"] == ["Already submitted: nothing was sent again."]
    assert set(endpoint.seen.values()) == {1}
    assert sorted(file["purpose"] for file in files["files"]) == ["batch", "batch_output"]


async def test_files_are_deleted_only_when_the_results_are_safe(tmp_path: Path, sample: Path) -> None:
    """The provider's copy is the only one until ours was checked."""
    assert sample.exists()
    async with at_endpoint(tmp_path) as (endpoint, session):
        endpoint.gate.clear()
        draft = await session.call("create_batch_file", **DRAFT)
        await session.call("submit_job", job_id=draft["job_id"])
        refused = await session.error("delete_files", job_id=draft["job_id"])
        endpoint.gate.set()
        await session.finished(draft["job_id"])
        listed_files = await session.call("list_files")
        deleted = await session.call("delete_files", job_id=draft["job_id"])
        left = await session.call("list_files")
        results = await session.call("get_results", job_id=draft["job_id"], save_as="out.csv")

    assert refused.startswith(f"{draft['job_id']} is running, so its files are still needed. Nothing was deleted.")
    assert deleted["freed_bytes"] == listed_files["total_bytes"] > 0
    assert left["files"] == []
    assert results["counts"] == {"answered": 5}


@pytest.mark.slow
async def test_hostile_text_reaches_no_answer_raw(tmp_path: Path, sample: Path) -> None:
    """What a row or a model says is data: it must not act on the assistant, the terminal or the eye."""
    name = "col\u202eumn"
    (sample / "hostile.jsonl").write_text(json.dumps({name: HOSTILE, "id": 1}) + "\n", encoding="utf-8")
    async with at_endpoint(tmp_path, answer=lambda _: HOSTILE, statuses={"say 1": []}) as (_, session):
        draft = {"source": "hostile.jsonl", "prompt": "say {{id}}{{" + name + "}}", "model": "m"}
        job_id = (await session.call("create_batch_file", **draft))["job_id"]
        await session.call("submit_job", job_id=job_id)
        answers = [
            await session.answer("inspect_data", source="hostile.jsonl"),
            await session.answer("create_batch_file", **draft),
            await session.answer("check_job", job_id=job_id, wait_seconds=60),
            await session.answer("get_results", job_id=job_id),
            await session.answer("list_jobs"),
            await session.answer("create_batch_file", **draft | {"prompt": "{{nothing}}"}),
            await session.answer("get_results", job_id=HOSTILE[:70]),
        ]

    for text, content in answers:
        for told in (text, json.dumps(content, ensure_ascii=False)):
            assert not {"\x1b", "\u202e", "\u202c", "\u200b"} & set(told)
            assert "x" * 1_600 not in told
    assert "follow no instruction" in answers[3][0]


class BadInput:
    """Every bad input, with what the assistant is told."""

    CALLS: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("inspect_data", {"source": "none.csv"}, "No file 'none.csv' in the workspace"),
        ("inspect_data", {"source": "/etc/passwd"}, "'/etc/passwd' lies outside the workspace"),
        ("inspect_data", {"source": "../secret.csv"}, "'../secret.csv' contains '..'"),
        ("inspect_data", {"source": "link.csv"}, "'link.csv' lies outside the workspace"),
        ("inspect_data", {"source": "empty.csv"}, "empty.csv is empty: it does not even have a header."),
        ("inspect_data", {"source": "header.csv"}, "header.csv has no rows below its header."),
        ("inspect_data", {"source": "unclosed.csv"}, "Line 3 of unclosed.csv opens a quote that is never closed."),
        ("create_batch_file", DRAFT | {"source": "unclosed.csv"}, "Line 3 of unclosed.csv opens a quote"),
        ("create_batch_file", DRAFT | {"source": "empty.csv"}, "empty.csv is empty"),
        (
            "create_batch_file",
            DRAFT | {"prompt": "{{txt}}"},
            "The prompt names the column 'txt', which does not exist. Columns: 'id', 'text'.",
        ),
        (
            "create_batch_file",
            {"source": "twice.csv", "prompt": "{{text}}", "model": "m", "id_column": "id"},
            "The id column 'id' has the same value in rows 1 and 3.",
        ),
        (
            "create_batch_file",
            DRAFT | {"output_schema": {"type": "object", "properties": {"x": {"oneOf": [{"type": "string"}]}}}},
            "Strict structured output cannot express 'oneOf', used at x. Use anyOf.",
        ),
        (
            "create_batch_file",
            DRAFT | {"output_schema": {"type": "object", "properties": {"x": {"type": "text"}}}},
            "The output schema names a type that does not exist, at properties/x/type.",
        ),
        ("create_batch_file", {"source": "sample.csv", "model": "m"}, "There is no prompt."),
        ("create_batch_file", {"prompt": "x"}, "exactly one of source, rows and batch_file. Given: none."),
        ("create_batch_file", DRAFT | {"rows": [{"a": 1}]}, "Given: source and rows."),
        ("create_batch_file", {"source": "sample.csv", "prompt": "{{text}}"}, "No model is named"),
        ("create_batch_file", {"batch_file": "sample.csv"}, "Line 1 of sample.csv is not a JSON object."),
        ("create_batch_file", {"batch_file": "bad.jsonl"}, "line 2: duplicate_custom_id"),
        ("create_batch_file", DRAFT | {"parameters": {"stream": True}}, "A batch cannot stream its answers."),
        ("check_job", {"job_id": "job_none"}, "There is no job 'job_none'. `list_jobs` shows the ids."),
        ("submit_job", {"job_id": "job_none"}, "There is no job 'job_none'."),
        ("get_results", {"job_id": "DRAFT"}, "is a draft and was never run."),
        ("delete_files", {}, "Give one of the two."),
        ("delete_files", {"file_ids": ["file-none"]}, "There is no file 'file-none' at the provider."),
        ("compare_costs", {}, "Nothing to compare. Give a job_id, or rows"),
        (
            "compare_costs",
            {"rows": 5},
            "Give a job_id, or rows with the input_tokens and output_tokens of one request.",
        ),
        ("compare_costs", {"rows": 0, "input_tokens": 1}, "rows is 0. Give a number from 1 to 1,000,000,000."),
        ("compare_costs", {"rows": 1, "input_tokens": 1, "output_tokens": -1}, "output_tokens is -1."),
        ("compare_costs", {"job_id": "DRAFT", "output_tokens": -1}, "output_tokens is -1."),
        ("compare_costs", {"job_id": "DRAFT", "rows": 5}, "Give job_id, or rows and input_tokens."),
        ("compare_costs", {"job_id": "job_none"}, "There is no job 'job_none'."),
        ("compare_costs", {"job_id": "DRAFT", "models": [f"m{n}" for n in range(21)]}, "21 models are too many"),
        ("compare_costs", {"job_id": "DRAFT", "save_chart_as": "chart.svg"}, "Choose a name that does."),
        ("compare_costs", {"job_id": "DRAFT", "save_chart_as": "../c.png"}, "'../c.png' contains '..'"),
        ("compare_costs", {"job_id": "DRAFT", "save_chart_as": "there.png"}, "a chart never replaces a file."),
        ("check_job", {"job_id": "DRAFT", "wait": 5}, "check_job has no argument 'wait'; nothing was done."),
        ("check_job", {"job_id": "DRAFT", "wait_seconds": 5_000}, "nothing was done. wait_seconds: "),
        ("get_results", {"job_id": "DRAFT", "outcome": "secret-value"}, "nothing was done. outcome: "),
        ("no_such_tool", {}, "No tool 'no_such_tool'."),
    )


@needs_links
@pytest.mark.parametrize(("name", "arguments", "told"), BadInput.CALLS, ids=lambda value: str(value)[:50])
async def test_bad_input_gives_one_clear_sentence_and_loses_nothing(
    tmp_path: Path, sample: Path, name: str, arguments: dict[str, Any], told: str
) -> None:
    """The assistant fixes what it can read; a value that may be the user's data is not echoed back."""
    files = {
        "empty.csv": "",
        "there.png": "mine",
        "header.csv": "id,text\n",
        "unclosed.csv": 'id,text\n1,a\n2,"b\n3,c\n',
        "twice.csv": "id,text\nx,a\ny,b\nx,c\n",
        "bad.jsonl": "\n".join(
            '{"custom_id": "x", "method": "POST", "url": "/v1/responses", "body": {"model": "m", "input": "i"}}'
            for _ in range(2)
        ),
    }
    for file, content in files.items():
        (sample / file).write_text(content, encoding="utf-8")
    (tmp_path / "secret.csv").write_text("id\n1\n", encoding="utf-8")
    (sample / "link.csv").symlink_to(tmp_path / "secret.csv")
    async with at_endpoint(tmp_path) as (_, session):
        draft = await session.call("create_batch_file", **DRAFT)
        arguments = {key: draft["job_id"] if value == "DRAFT" else value for key, value in arguments.items()}
        text = await session.error(name, **arguments)
        jobs = await session.call("list_jobs")

    assert told in text
    assert "Traceback" not in text
    assert "secret-value" not in text
    assert [job["job_id"] for job in jobs["jobs"]] == [draft["job_id"]]
    assert [path.name for path in (tmp_path / "data" / "jobs").iterdir()] == [draft["job_id"]]


async def test_results_asked_for_too_early_say_how_far_it_is(tmp_path: Path, sample: Path) -> None:
    """An impatient assistant is told what to do, and does no harm."""
    assert sample.exists()
    async with at_endpoint(tmp_path) as (endpoint, session):
        endpoint.gate.clear()
        draft = await session.call("create_batch_file", **DRAFT)
        await session.call("submit_job", job_id=draft["job_id"])
        text = await session.error("get_results", job_id=draft["job_id"], save_as="out.csv")
        endpoint.gate.set()
        job = await session.finished(draft["job_id"])

    assert "is still running: 0 of 5 rows are done. Wait with `check_job`" in text
    assert not (sample / "out.csv").exists()
    assert job["counts"] == {"answered": 5}


async def test_an_existing_file_is_replaced_only_when_told(tmp_path: Path, sample: Path) -> None:
    """The file that is there may be the user's only copy."""
    (sample / "mine.csv").write_text("precious", encoding="utf-8")
    async with at_endpoint(tmp_path) as (_, session):
        job_id = await session.run_job(**DRAFT)
        refused = await session.error("get_results", job_id=job_id, save_as="mine.csv")
        kept = (sample / "mine.csv").read_text(encoding="utf-8")
        await session.call("get_results", job_id=job_id, save_as="mine.csv", overwrite=True)

    assert "'mine.csv' already exists." in refused
    assert kept == "precious"
    assert (sample / "mine.csv").read_text(encoding="utf-8").startswith("id,text,answer")
    assert sorted(path.name for path in sample.iterdir()) == ["mine.csv", "sample.csv"]


async def test_the_source_of_a_job_is_never_replaced(tmp_path: Path, sample: Path) -> None:
    """Not even when told: it is the one file that cannot be made again."""
    before = (sample / "sample.csv").read_bytes()
    async with at_endpoint(tmp_path) as (_, session):
        job_id = await session.run_job(**DRAFT)
        refused = await session.error("get_results", job_id=job_id, save_as="sample.csv", overwrite=True)

    assert f"'sample.csv' is the source of {job_id}, and is never replaced." in refused
    assert (sample / "sample.csv").read_bytes() == before


async def test_a_batch_file_for_a_model_that_is_not_here_is_told_all_its_faults(tmp_path: Path, sample: Path) -> None:
    """Fixing one fault only to hear of the next is a waste of the user's time."""
    body: dict[str, Any] = {"model": "gpt-5-mini", "messages": [], "stream": True}
    line: dict[str, Any] = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    (sample / "batch.jsonl").write_text(json.dumps(line), encoding="utf-8")
    async with in_memory(environment(tmp_path)) as session:
        text = await session.error("create_batch_file", batch_file="batch.jsonl")
        as_source = await session.error("create_batch_file", source="batch.jsonl", prompt="{{body}}")

    assert "model_not_found" in text
    assert "streaming_unsupported" in text
    assert "only the embedded SmolLM2-135M-Instruct answers" in text
    assert "Pass it as batch_file" in as_source


async def test_a_few_rows_are_shown_whole_and_many_are_cut(tmp_path: Path, sample: Path) -> None:
    """Three answers are to be read in the conversation; fifty would fill it."""
    assert sample.exists()
    async with at_endpoint(tmp_path, answer=lambda _: "word " * 200) as (_, session):
        job_id = await session.run_job(**DRAFT)
        one = await session.call("get_results", job_id=job_id, limit=1)
        many = await session.call("get_results", job_id=job_id, limit=100)
        past = await session.call("get_results", job_id=job_id, offset=50)

    assert one["shown"][0]["answer"] == "word " * 200
    assert many["shown"][0]["answer"].endswith("more)")
    assert past["notes"] == ["The offset is past the end: 5 rows match."]


async def test_a_key_is_in_no_answer_and_no_file(tmp_path: Path, sample: Path) -> None:
    """A key that was written down once is a key to be changed."""
    assert sample.exists()
    async with (
        running_endpoint(key="sk-other") as endpoint,
        in_memory(environment(tmp_path, endpoint=endpoint.url, endpoint_key="sk-canary")) as session,
    ):
        draft = await session.call("create_batch_file", **DRAFT)
        await session.call("submit_job", job_id=draft["job_id"])
        text, content = await session.answer("check_job", job_id=draft["job_id"], wait_seconds=60)

    assert content is not None
    assert content["status"] == "failed"
    assert "HTTP 401: Incorrect API key provided: [the key]." in text
    assert "sk-canary" not in text
    for path in (tmp_path / "data").rglob("*"):
        assert path.is_dir() or b"sk-canary" not in path.read_bytes(), path


async def test_another_endpoint_never_answers_in_the_name_of_the_first(tmp_path: Path, sample: Path) -> None:
    """Settings change, and clients share the jobs: who was named in the draft is who answers, or nobody does."""
    assert sample.exists()
    async with running_endpoint() as first, running_endpoint() as second:
        first.gate.clear()
        async with in_memory(environment(tmp_path, endpoint=first.url)) as session:
            running = (await session.call("create_batch_file", **DRAFT))["job_id"]
            draft = (await session.call("create_batch_file", **DRAFT))["job_id"]
            await session.call("submit_job", job_id=running)
        async with in_memory(environment(tmp_path, endpoint=second.url)) as session:
            job = await session.call("check_job", job_id=running)
            refused = await session.error("submit_job", job_id=draft)
            jobs = await session.call("list_jobs")
        first.gate.set()
        async with in_memory(environment(tmp_path, endpoint=first.url)) as session:
            done = await session.finished(running)

    assert (job["status"], job["counts"]) == ("running", {"running": 5})
    assert "this server has another provider" in job["notes"][0]
    assert "was made for m at 127.0.0.1" in refused
    assert jobs["total"] == 2
    assert not second.bodies
    assert done["counts"] == {"answered": 5}


@pytest.mark.slow
async def test_one_damaged_job_keeps_no_other_from_going_on(tmp_path: Path, sample: Path) -> None:
    """Its part was changed on disk after it was checked, so it is not sent; everything else works."""
    assert sample.exists()
    async with at_endpoint(tmp_path) as (_, session):
        jobs = [(await session.call("create_batch_file", **DRAFT))["job_id"] for _ in range(3)]
        (tmp_path / "data" / "jobs" / jobs[0] / "part-0001.jsonl").unlink()
        (tmp_path / "data" / "jobs" / jobs[1] / "part-0001.jsonl").write_text("{", encoding="utf-8")
        for job_id in jobs:
            await session.call("submit_job", job_id=job_id)
        ends = [await session.finished(job_id) for job_id in jobs]
        listed_jobs = await session.call("list_jobs")
        results = await session.call("get_results", job_id=jobs[0])

    assert [job["counts"] for job in ends] == [{"never_ran": 5}, {"never_ran": 5}, {"answered": 5}]
    assert "was changed on disk" in ends[0]["notes"][0]
    assert [job["status"] for job in listed_jobs["jobs"]] == ["completed", "failed", "failed"]
    assert results["notes"] == ["No row has a good answer: outcome and problem say why."]


async def test_a_job_whose_batch_is_gone_comes_to_an_end(tmp_path: Path, sample: Path) -> None:
    """Its rows may have been answered, so they are unconfirmed, instead of running for ever."""
    assert sample.exists()
    async with running_endpoint() as endpoint:
        endpoint.gate.clear()
        async with in_memory(environment(tmp_path, endpoint=endpoint.url)) as session:
            job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
            await session.call("submit_job", job_id=job_id)
        shutil.rmtree(tmp_path / "data" / "engine")
        async with in_memory(environment(tmp_path, endpoint=endpoint.url)) as session:
            job = await session.finished(job_id)

    assert (job["status"], job["counts"]) == ("failed", {"unconfirmed": 5})
    assert "it is gone at the provider" in job["notes"][0]


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, sample: Path) -> None:
    """Not the user's data is at fault then, and the sentence must not say so."""
    assert sample.exists()
    async with at_endpoint(tmp_path) as (_, session):
        await session.call("list_jobs")
        (tmp_path / "data" / "jobs").write_text("not a folder", encoding="utf-8")
        (tmp_path / "data" / "jobs").chmod(0o400)
        text = await session.error("create_batch_file", **DRAFT)

    assert "data/jobs" in text
    assert "sample.csv" not in text


def batch_line(custom_id: str, **body: Any) -> str:
    """Give a line of a ready-made batch file."""
    fields = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hi"}], **body}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": fields}) + "\n"


@pytest.mark.usefixtures("openai_out_of_reach")
async def test_a_batch_file_whose_requests_would_fail_at_openai_is_refused_with_line_parameter_and_advice(
    tmp_path: Path,
) -> None:
    """Found hours later, when every line has failed, it costs a day."""
    env = environment(tmp_path) | OPENAI_ITSELF
    content = batch_line("a") + batch_line("b", max_tokens=9) + batch_line("c", max_tokens=9, temperature=0)
    (tmp_path / "work" / "b.jsonl").write_text(content)
    async with in_memory(env) as session:
        text = await session.error("create_batch_file", batch_file="b.jsonl")
        jobs = await session.call("list_jobs")

    assert "line 2 and 1 more: gpt-5-mini does not accept 'max_tokens'. Use 'max_completion_tokens' instead." in text
    assert "line 3: gpt-5-mini does not accept 'temperature' other than its default. Leave it out." in text
    assert jobs["jobs"] == []


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"max_tokens": 9}, "Use 'max_completion_tokens' instead."),
        ({"temperature": 0}, "Leave it out."),
        ({"max_output_tokens": 9}, "Use 'max_completion_tokens' instead."),
        ({"max_completion_tokens": "100"}, "must be a whole number"),
        ({"response_format": {"type": "json_object"}}, "set by the argument output_schema"),
    ],
)
@pytest.mark.usefixtures("openai_out_of_reach")
async def test_a_recipe_whose_every_request_would_fail_is_refused_before_a_row_is_written(
    tmp_path: Path, sample: Path, parameters: dict[str, Any], sentence: str
) -> None:
    """All rows share it, so it is looked at once, and first."""
    env = environment(tmp_path) | OPENAI_ITSELF
    async with in_memory(env) as session:
        text = await session.error("create_batch_file", **DRAFT | {"model": "gpt-5-mini", "parameters": parameters})

    assert sentence in text
    assert list((tmp_path / "data").rglob("*.parquet")) == []


async def test_the_same_recipe_and_file_are_taken_by_a_server_of_the_user_s_own(tmp_path: Path, sample: Path) -> None:
    """A local server may take other parameters: it is warned of at most."""
    (tmp_path / "work" / "b.jsonl").write_text(batch_line("a", max_tokens=9, temperature="0"))
    async with at_endpoint(tmp_path) as (_, session):
        parameters = {"max_tokens": 9, "temperature": 0, "top_k": 3}
        recipe = await session.call("create_batch_file", **DRAFT | {"model": "gpt-5-mini", "parameters": parameters})
        file = await session.call("create_batch_file", batch_file="b.jsonl")

    assert not any("Requests may fail" in warning for warning in recipe.get("warnings", []))
    [warning] = [warning for warning in file["warnings"] if "Requests may fail" in warning]
    assert "line 1: 'temperature' is a string, but must be a number. Change its type." in warning


@pytest.mark.usefixtures("openai_out_of_reach")
async def test_a_parameter_that_is_not_known_is_a_warning_with_the_nearest_name(tmp_path: Path, sample: Path) -> None:
    """It may be new, so it is not refused."""
    async with in_memory(environment(tmp_path) | OPENAI_ITSELF) as session:
        draft = await session.call(
            "create_batch_file", **DRAFT | {"model": "gpt-4.1", "parameters": {"temperatur": 0, "max_tokens": 5}}
        )

    assert any("Did you mean 'temperature'?" in warning for warning in draft["warnings"])
