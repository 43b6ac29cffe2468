"""The dashboard as clients get it: the page, its policy, and what goes with answers for it alone."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client import advertise
from mcp.types import CallToolResult, TextResourceContents

from batchwright.app.app import build_server
from batchwright.core.settings import Settings
from batchwright.mcp_server.addresses import DASHBOARD
from batchwright.mcp_server.dashboard import framed_policy, outer_page, page
from batchwright.mcp_server.dashboard.facts import KEY
from tests.generate import listed
from tests.support.endpoint import running_endpoint
from tests.support.openai_server import running_openai
from tests.support.sample import DRAFT
from tests.support.session import MODES, Mode, environment, in_memory, openai_environment

UI = "io.modelcontextprotocol/ui"
MIME = "text/html;profile=mcp-app"
BOUNDED = DRAFT | {"model": "gpt-5-mini", "parameters": {"max_completion_tokens": 100}}


@asynccontextmanager
async def shown(env: Mapping[str, str], mode: Mode = "auto") -> AsyncGenerator[Client]:
    """Talk to a server as a host that shows apps."""
    server = build_server(Settings.from_env(env))
    async with Client(server, mode=mode, extensions=[advertise(UI, {"mimeTypes": [MIME]})]) as client:
        yield client


async def call(client: Client, name: str, /, **arguments: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Call a tool, and give what everybody reads, and what only the page does."""
    result = await client.call_tool(name, arguments)
    assert isinstance(result, CallToolResult)
    assert not result.is_error, result.content
    return result.structured_content or {}, (result.meta or {}).get(KEY, {})


@pytest.mark.anyio
@pytest.mark.parametrize("mode", MODES)
async def test_a_host_is_told_of_the_page_and_reads_it(tmp_path: Path, mode: Mode) -> None:
    """It shows a page only of this type, and lets it reach only what is declared: nothing."""
    async with shown(environment(tmp_path), mode) as client:
        capabilities = client.server_capabilities.extensions
        resources = (await client.list_resources()).resources
        (content,) = (await client.read_resource(DASHBOARD)).contents

    # Of the older era the SDK sends none; hosts go by the tools there.
    assert mode == "legacy" or UI in (capabilities or {})
    assert [resource.uri for resource in resources][-1] == DASHBOARD
    assert isinstance(content, TextResourceContents)
    assert (content.uri, content.mime_type, content.text) == (DASHBOARD, MIME, page())
    for meta in (content.meta, resources[-1].meta):
        assert (meta or {})["ui"]["csp"] == {"connectDomains": [], "resourceDomains": [], "frameDomains": []}
    assert not (tmp_path / "data").exists()


@pytest.mark.anyio
async def test_four_tools_show_the_page() -> None:
    """Those whose answers a person wants to look at."""
    tools = await listed("auto")

    showing = [tool["name"] for tool in tools if "ui" in tool.get("_meta", {})]
    assert showing == ["check_job", "list_jobs", "get_results", "compare_costs"]
    assert {tool["_meta"]["ui"]["resourceUri"] for tool in tools if tool["name"] in showing} == {DASHBOARD}


def test_the_page_is_one_document_that_reaches_nothing() -> None:
    """A host puts it into a frame without a network; a fault in it must not become one either."""
    text = page()

    assert re.findall(r"(?:src|href|action|srcdoc)\s*=", text) == []
    assert (text.count("<script"), text.count("</script"), text.count("<style")) == (1, 1, 1)
    assert re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|DOMParser", text) == []
    assert re.findall(r"fetch\(\"|XMLHttpRequest|WebSocket|EventSource|sendBeacon|import\(|localStorage", text) == []
    assert "{{" not in text.replace("${{", "")
    assert len(text) < 100_000


def test_only_the_pages_own_script_and_style_may_run() -> None:
    """The policy holds wherever it is shown, also where a host sets none."""
    for policy in (page(), outer_page()[1], framed_policy()):
        assert "default-src 'none'" in policy
        assert re.search(r"script-src 'sha256-[\w+/]{43}='; style-src 'sha256-[\w+/]{43}='", policy)
        assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in outer_page()[1]
    assert "sandbox allow-scripts;" in framed_policy()


@pytest.mark.anyio
@pytest.mark.parametrize("mode", MODES)
async def test_what_is_for_the_page_alone_goes_only_to_hosts_that_show_it(
    tmp_path: Path, sample: Path, mode: Mode
) -> None:
    """To all others it is a burden."""
    assert sample.exists()
    async with running_endpoint() as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url)
        async with shown(env, mode) as client:
            job_id = (await call(client, "create_batch_file", **DRAFT))[0]["job_id"]
            await call(client, "submit_job", job_id=job_id)
            facts, meta = await call(client, "check_job", job_id=job_id, wait_seconds=60)
            listed_facts, listed_meta = await call(client, "list_jobs")
            _, results_meta = await call(client, "get_results", job_id=job_id)
        async with in_memory(env, mode) as session:
            plain = await session.client.call_tool("check_job", {"job_id": job_id})

    assert KEY not in (getattr(plain, "meta", None) or {})
    assert (meta["source"], meta["model"], meta["prompt"]) == ("sample.csv", "m", "say {{text}}")
    assert meta["submitted_at"] <= meta["ended_at"] <= meta["at"]
    assert "money" not in meta
    assert "offer" not in meta
    assert [counts for _, counts in meta["course"]][-1] == facts["counts"] == {"answered": 5}
    assert listed_meta["counts"] == {job_id: {"answered": 5}}
    assert listed_facts["jobs"][0]["job_id"] == job_id
    assert results_meta["source"] == "sample.csv"


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_draft_goes_with_what_submitting_it_costs_at_most(tmp_path: Path, sample: Path) -> None:
    """The button says it, so it has to be the very amount that is agreed to."""
    assert sample.exists()
    async with running_openai(automatic=True) as server, shown(openai_environment(tmp_path, server)) as client:
        draft, _ = await call(client, "create_batch_file", **BOUNDED)
        _, before = await call(client, "check_job", job_id=draft["job_id"])
        open_ended, _ = await call(client, "create_batch_file", **DRAFT | {"model": "gpt-5-mini"})
        _, unbounded = await call(client, "check_job", job_id=open_ended["job_id"])
        most = before["offer"]["most"]
        _, after = await call(client, "submit_job", job_id=draft["job_id"], max_cost_usd=most["usd"])
        done, end = await call(client, "check_job", job_id=draft["job_id"], wait_seconds=60)

    assert most["usd"] == 0.01
    assert most["text"] == "$0.01"
    assert unbounded["offer"].keys() == {"requests", "answered_by", "charges"}
    assert (after["money"]["agreed"], after["money"]["job_limit"]["text"]) == (most, "$25.00")
    assert "offer" not in after
    assert end["money"]["spent"]["text"] in done["cost"]
    assert end["money"]["day"] == end["money"]["spent"]
