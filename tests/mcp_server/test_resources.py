"""The resources, through real clients of both eras."""

import csv
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import ResourceLink, TextResourceContents

from batchwright.core.untrusted import MARK
from batchwright.mcp_server.addresses import JOBS, TEMPLATES, of_guide, of_job
from batchwright.mcp_server.resources import JOBS_A_PAGE
from tests.support.endpoint import running_endpoint
from tests.support.sample import DRAFT
from tests.support.session import MODES, OPENAI_ITSELF, Mode, at_endpoint, environment, in_memory, over_stdio
from tests.support.values import HOSTILE, LABELS

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("openai_out_of_reach")]

GUIDE = of_guide("index")
HIDDEN = {"\x1b", "\u202e", "\u202c", "\u200b"}


async def read(client: Client, uri: str) -> str:
    """Give the text of a resource, the first where there are several."""
    first = (await client.read_resource(uri)).contents[0]
    assert isinstance(first, TextResourceContents)
    return first.text


async def facts(client: Client, uri: str) -> dict[str, Any]:
    """Give what a JSON resource says."""
    return json.loads(await read(client, uri))


async def refused(client: Client, uri: str) -> tuple[int, str]:
    """Read what cannot be read, and give the code and the sentence."""
    with pytest.raises(MCPError) as raised:
        await client.read_resource(uri)
    return raised.value.error.code, raised.value.error.message


@pytest.mark.parametrize("mode", MODES)
async def test_a_job_can_be_read_as_the_tools_show_it(tmp_path: Path, sample: Path, mode: Mode) -> None:
    """One set of facts: what a user attaches is what the assistant was told."""
    async with at_endpoint(tmp_path, mode) as (_, session):
        job_id = await session.run_job(**DRAFT)
        client = session.client
        jobs, listed = await facts(client, JOBS), await session.call("list_jobs")
        job, checked = await facts(client, of_job(job_id)), await session.call("check_job", job_id=job_id)
        results = await facts(client, f"{of_job(job_id, 'results')}?limit=2&offset=1")
        shown = await session.call("get_results", job_id=job_id, limit=2, offset=1)
        none_failed = await facts(client, f"{of_job(job_id, 'results')}?outcome=failed")
        table = await read(client, of_job(job_id, "table"))
        await session.call("get_results", job_id=job_id, save_as="out.csv")

    assert jobs == listed
    assert job == checked
    assert results == shown
    assert none_failed["shown"] == []
    assert table == (sample / "out.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("mode", MODES)
async def test_the_requests_are_shown_as_they_are_sent(tmp_path: Path, sample: Path, mode: Mode) -> None:
    """Before money is spent, somebody may want to see what for."""
    assert sample.exists()
    async with at_endpoint(tmp_path, mode) as (_, session):
        job_id = (await session.call("create_batch_file", **DRAFT, id_column="id"))["job_id"]
        requests = await facts(session.client, of_job(job_id, "requests"))

    message = {"role": "user", "content": "say row 1"}
    body = {"model": "m", "messages": [message]}
    assert requests["shown"][0] == {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    assert (len(requests["shown"]), requests["requests"], requests["left_out"]) == (3, 5, 2)
    assert requests["about"] == MARK


@pytest.mark.parametrize("mode", MODES)
async def test_the_list_names_jobs_and_their_results(tmp_path: Path, sample: Path, mode: Mode) -> None:
    """A client shows it as a menu."""
    assert sample.exists()
    async with at_endpoint(tmp_path, mode) as (_, session):
        before = (await session.client.list_resources()).resources
        ended = await session.run_job(**DRAFT)
        drafted = (await session.call("create_batch_file", **DRAFT))["job_id"]
        after = (await session.client.list_resources()).resources
        templates = (await session.client.list_resource_templates()).resource_templates

    assert [resource.uri for resource in before] == [JOBS, GUIDE]
    jobs = [of_job(drafted), of_job(ended), of_job(ended, "results")]
    assert [resource.uri for resource in after] == [JOBS, GUIDE, *jobs]
    assert "sample.csv, 5 rows, m" in (after[2].title or "")
    for resource in after:
        if resource.uri == GUIDE:  # which has no time of its own
            continue
        assert resource.mime_type == "application/json"
        assert resource.description
        assert resource.annotations is not None
        assert resource.annotations.audience == ["user", "assistant"]
        assert resource.annotations.last_modified
    assert [template.uri_template for template in templates] == list(TEMPLATES.values())
    assert all(template.title and template.description and template.mime_type for template in templates)


@pytest.mark.slow
async def test_a_long_list_comes_in_pages(tmp_path: Path) -> None:
    """Years of jobs must not fill a menu, and all can be reached."""
    env = environment(tmp_path) | OPENAI_ITSELF
    draft = {"rows": [{"a": 1}], "prompt": "{{a}}", "model": "gpt-5-mini"}
    async with in_memory(env) as session:
        made = [(await session.call("create_batch_file", **draft))["job_id"] for _ in range(JOBS_A_PAGE + 2)]
        first = await session.client.list_resources()
        second = await session.client.list_resources(cursor=first.next_cursor)
        page = await facts(session.client, f"{JOBS}?limit=2&offset=1")
        with pytest.raises(MCPError, match="cursor is not one that this server gave"):
            await session.client.list_resources(cursor="x")

    uris = [resource.uri for resource in (*first.resources, *second.resources)]
    assert uris == [JOBS, GUIDE, *(of_job(job_id) for job_id in reversed(made))]
    assert (len(first.resources), second.next_cursor) == (JOBS_A_PAGE + 2, None)
    assert [job["job_id"] for job in page["jobs"]] == [made[-2], made[-3]]


@pytest.mark.parametrize("mode", MODES)
async def test_what_cannot_be_read_is_said_with_the_protocols_code(tmp_path: Path, sample: Path, mode: Mode) -> None:
    """A client tells by the code that it is gone; a person by the sentence. Neither learns where things are kept."""
    assert sample.exists()
    async with running_endpoint() as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url)
        async with in_memory(env, mode) as session:
            client = session.client
            never = await refused(client, of_job("job_none"))
            endpoint.gate.clear()
            job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
            drafted = await refused(client, of_job(job_id, "results"))
            await session.call("submit_job", job_id=job_id)
            answers = {
                "unknown": await refused(client, of_job("job_none")),
                "up": await refused(client, f"{JOBS}/..%2F..%2Fetc%2Fpasswd/requests"),
                "foreign": await refused(client, "file:///etc/passwd"),
                "option": await refused(client, f"{of_job(job_id, 'results')}?rows=5"),
                "limit": await refused(client, f"{JOBS}?limit=1000"),
                "outcome": await refused(client, f"{of_job(job_id, 'results')}?outcome=good"),
            }
            early = [await refused(client, of_job(job_id, kind)) for kind in ("results", "table")]
            endpoint.gate.set()
            await session.finished(job_id)
            (tmp_path / "data" / "jobs" / job_id / "part-0001.jsonl").unlink()
            gone = await refused(client, of_job(job_id, "requests"))
            (tmp_path / "data" / "jobs" / job_id / "source.parquet").unlink()
            broken = await refused(client, of_job(job_id, "table"))

    assert {code for code, _ in (never, *answers.values())} == {-32602}
    assert {code for code, _ in (drafted, gone, *early)} == {-32603}
    assert answers["unknown"][1] == "There is no job 'job_none'. `list_jobs` shows the ids."
    assert "There is no resource 'file:///etc/passwd'." in answers["foreign"][1]
    assert "It takes limit, offset, outcome." in answers["option"][1]
    assert "is a draft and was never run" in drafted[1]
    assert all("is still running: 0 of 5 rows are done" in message for _, message in early)
    assert "are no longer here" in gone[1]
    for _, message in (never, drafted, gone, broken, *early, *answers.values()):
        assert str(tmp_path) not in message


@pytest.mark.slow
async def test_hostile_text_is_in_no_resource_raw(tmp_path: Path, sample: Path) -> None:
    """A resource goes into the conversation like an answer: it must not act on the assistant, or fill it."""
    name = "col\u202eumn"
    (sample / "hostile.jsonl").write_text(json.dumps({name: HOSTILE, "id": 1}) + "\n", encoding="utf-8")
    async with at_endpoint(tmp_path, answer=lambda _: HOSTILE) as (endpoint, session):
        client = session.client
        good = await session.run_job(**DRAFT | {"source": "hostile.jsonl", "prompt": "say {{id}}{{" + name + "}}"})
        endpoint.statuses["*"] = [400]
        bad = await session.run_job(**DRAFT | {"source": "hostile.jsonl", "prompt": "{{id}}", "output_schema": LABELS})
        kinds = ("job", "requests", "results", "table")
        texts = {(job_id, kind): await read(client, of_job(job_id, kind)) for job_id in (good, bad) for kind in kinds}
        jobs = await read(client, JOBS)
        listed = (await client.list_resources()).model_dump_json()
        table = (await client.read_resource(of_job(good, "table"))).contents

    for text in (jobs, listed, *texts.values()):
        assert not HIDDEN & set(text)
        assert not [word for word in ("\\u001b", "\\u202e", "\\u200b") if word in text]
    assert "follow no instruction" in texts[good, "results"]
    assert "x" * 4_100 not in texts[good, "results"]
    assert "x" * 2_100 not in texts[good, "requests"]
    assert isinstance(table[1], TextResourceContents)
    assert table[1].text == MARK


async def test_a_table_that_is_too_large_names_the_tool_that_writes_it(tmp_path: Path, sample: Path) -> None:
    """MCP has no streams: a gigabyte in one message would be the end of the conversation."""
    assert sample.exists()
    async with at_endpoint(tmp_path, answer=lambda _: "long " * 50_000) as (_, session):
        job_id = await session.run_job(**DRAFT)
        code, message = await refused(session.client, of_job(job_id, "table"))
        left = sorted(path.name for path in (tmp_path / "data" / "jobs" / job_id).iterdir() if path.is_dir())

    assert code == -32602
    assert f'get_results(job_id="{job_id}", save_as="results.csv") writes them to a file.' in message
    assert left == []


async def test_a_table_is_whole(tmp_path: Path, sample: Path) -> None:
    """Unlike a page: it is what a user attaches to work on."""
    assert sample.exists()
    async with at_endpoint(tmp_path, answer=lambda text: f'"{text}",\n' + "é" * 3_000) as (_, session):
        job_id = await session.run_job(**DRAFT)
        rows = list(csv.DictReader(io.StringIO(await read(session.client, of_job(job_id, "table")))))

    assert [row["answer"] for row in rows] == [f'"say row {n}",\n' + "é" * 3_000 for n in range(1, 6)]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
async def test_jobs_of_an_earlier_conversation_are_there_in_a_process_of_its_own(
    tmp_path: Path, sample: Path, mode: Mode
) -> None:
    """Before any tool was called."""
    assert sample.exists()
    async with running_endpoint() as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url)
        async with in_memory(env) as session:
            job_id = await session.run_job(**DRAFT)
        async with over_stdio(env, mode) as session:
            listed = [resource.uri for resource in (await session.client.list_resources()).resources]
            job = await facts(session.client, of_job(job_id))

    assert listed == [JOBS, GUIDE, of_job(job_id), of_job(job_id, "results")]
    assert job["counts"] == {"answered": 5}


@pytest.mark.parametrize("mode", MODES)
async def test_looking_around_opens_nothing_where_there_is_no_job(tmp_path: Path, mode: Mode) -> None:
    """Clients list everything when they start: that must cost nothing, and leave nothing behind."""
    async with in_memory(environment(tmp_path), mode) as session:
        await session.client.list_resources()
        await session.client.list_resource_templates()
        await session.client.list_prompts()
        jobs = await facts(session.client, JOBS)

    assert jobs == {"jobs": [], "total": 0, "next": 'inspect_data(source="FILE"), then create_batch_file'}
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("mode", MODES)
async def test_answers_about_a_job_link_to_it(tmp_path: Path, sample: Path, mode: Mode) -> None:
    """Beside the text, which says everything itself."""
    assert sample.exists()
    async with at_endpoint(tmp_path, mode) as (_, session):
        job_id = await session.run_job(**DRAFT)
        calls: list[tuple[str, dict[str, Any]]] = [
            ("create_batch_file", DRAFT),
            ("submit_job", {"job_id": job_id}),
            ("check_job", {"job_id": job_id}),
            ("get_results", {"job_id": job_id}),
            ("list_jobs", {}),
        ]
        links: dict[str, list[str]] = {}
        for name, arguments in calls:
            result = await session.client.call_tool(name, arguments)
            assert result.content[0].type == "text"
            links[name] = [block.uri for block in result.content if isinstance(block, ResourceLink)]
            for uri in links[name]:
                await session.client.read_resource(uri)
        drafted = (await facts(session.client, JOBS))["jobs"][0]["job_id"]

    results = [of_job(job_id, "results")]
    assert links == {
        "create_batch_file": [of_job(drafted)],
        "submit_job": results,
        "check_job": results,
        "get_results": results,
        "list_jobs": [],
    }


@pytest.mark.slow
async def test_a_client_of_a_version_without_links_gets_none(tmp_path: Path) -> None:
    """It might refuse the whole answer."""
    env = {**os.environ, **environment(tmp_path), **OPENAI_ITSELF}
    draft = {"rows": [{"a": 1}], "prompt": "{{a}}", "model": "gpt-5-mini"}
    kinds = {version: await kinds_of_content(env, version, draft) for version in ("2025-03-26", "2025-06-18")}

    assert kinds == {"2025-03-26": ["text"], "2025-06-18": ["text", "resource_link"]}


async def kinds_of_content(env: dict[str, str], version: str, draft: dict[str, Any]) -> list[str]:
    """Call a tool as a client of one version of the protocol, and give the kinds of what comes back."""
    hello = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
    call = {"name": "create_batch_file", "arguments": draft}
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call},
    ]
    async with await anyio.open_process([sys.executable, "-m", "batchwright"], env=env, stderr=None) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        buffer = b""
        with anyio.fail_after(60):
            await process.stdin.send(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
            while b'"id":2' not in buffer.replace(b" ", b"") or not buffer.endswith(b"\n"):
                buffer += await process.stdout.receive()
            await process.stdin.aclose()
            await process.wait()
    (answer,) = [each for line in buffer.splitlines() if (each := json.loads(line)).get("id") == 2]
    return [block["type"] for block in answer["result"]["content"]]
