"""The Inspector's command line, an independent client, against the installed console script."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from batchwright.mcp_server.addresses import DASHBOARD, JOBS, TEMPLATES, of_guide
from batchwright.mcp_server.prompts.common_jobs import WALKTHROUGHS
from tests.generate import SNAPSHOT
from tests.support.endpoint import running_endpoint
from tests.support.paths import SCRIPT
from tests.support.session import OPENAI_ITSELF, environment, http_process

INSPECTOR = shutil.which("mcp-inspector")

pytestmark = [
    pytest.mark.node,
    pytest.mark.anyio,
    pytest.mark.skipif(INSPECTOR is None, reason="npm's @modelcontextprotocol/inspector is not on the PATH"),
]


Server = dict[str, str] | list[str]
"""Of what is inspected: the environment of the console script, or the arguments that reach a server over HTTP."""


def inspect(era: str, server: Server, *arguments: str) -> Any:
    """Run the Inspector once, and return the result of the method."""
    return json.loads(inspected(era, server, *arguments))["result"]


def inspected(era: str, server: Server, *arguments: str, may_fail: bool = False) -> str:
    """Run the Inspector once, and return what it prints."""
    if isinstance(server, dict):
        server = [SCRIPT, *(part for name, value in server.items() for part in ("-e", f"{name}={value}"))]
    command = [INSPECTOR or "", "--cli", *server, "-q", "--format", "json", "--protocol-era", era, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ))
    assert may_fail or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr if may_fail else done.stdout


def call(era: str, server: Server, name: str, **arguments: object) -> dict[str, Any]:
    """Call a tool, and return its structured content."""
    pairs = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in arguments.items()]
    given = [part for pair in pairs for part in ("--tool-arg", pair)]
    return inspect(era, server, "--method", "tools/call", "--tool-name", name, *given)["structuredContent"]


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_schemas_are_portable(tmp_path: Path, era: str) -> None:
    """What the strict check finds, some client stumbles over."""
    tools = inspect(era, environment(tmp_path), "--method", "tools/list", "--strict")["tools"]

    assert {tool["name"] for tool in tools} == {tool["name"] for tool in json.loads(SNAPSHOT.read_text("utf-8"))}


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_dashboard_is_found_beside_its_tools(tmp_path: Path, era: str) -> None:
    """A host that shows apps looks for the page, its type and its policy as the Inspector does."""
    lines = inspected(era, environment(tmp_path), "--method", "tools/list", "--app-info", "--advertise-apps")
    told = {line["toolName"]: line for line in map(json.loads, lines.splitlines())}

    shown = {name for name, line in told.items() if line["hasApp"]}
    assert shown == {"check_job", "list_jobs", "get_results", "compare_costs"}
    for name in shown:
        assert told[name]["resourceUri"] == DASHBOARD
        assert told[name]["resourceMimeType"] == "text/html;profile=mcp-app"
        assert not any(told[name]["csp"].values())


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_main_job_runs_call_by_call_in_processes_of_their_own(tmp_path: Path, sample: Path, era: str) -> None:
    """Each call starts a server anew, so everything has to be in the journal."""
    async with running_endpoint() as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url)

        def converse() -> dict[str, Any]:
            draft = call(era, env, "create_batch_file", source="sample.csv", prompt="say {{text}}", model="m")
            call(era, env, "submit_job", job_id=draft["job_id"])
            job = call(era, env, "check_job", job_id=draft["job_id"], wait_seconds=60)
            assert job["status"] == "completed"
            given = {"job_id": draft["job_id"]}
            return {
                "results": call(era, env, "get_results", **given, save_as="out.csv"),
                "asked": call(era, env, "query_results", **given, sql="SELECT count(*) AS n FROM results"),
                "compared": call(era, env, "compare_costs", **given, models=["gpt-5", "gpt-5-mini"]),
            }

        seen = await anyio.to_thread.run_sync(converse)

    assert seen["results"]["counts"] == {"answered": 5}
    assert seen["asked"]["shown"] == [{"n": 5}]
    assert [line["model"] for line in seen["compared"]["costs"]][-2:] == ["gpt-5-mini", "gpt-5"]
    assert len((sample / "out.csv").read_text(encoding="utf-8").splitlines()) == 6


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_refusal_is_an_error_of_the_tool_with_its_sentence(tmp_path: Path, sample: Path, era: str) -> None:
    """An error of the protocol would not reach the model; a plain answer would look like a success."""
    asked = ["--method", "tools/call", "--tool-name", "inspect_data", "--tool-arg", "source=missing.csv"]
    printed = inspected(era, environment(tmp_path), *asked, may_fail=True)
    found = next(line for line in printed.splitlines() if line.startswith("{") and "result" in json.loads(line))
    result = json.loads(found)["result"]

    assert sample.exists()
    assert "tool_is_error" in printed
    assert result["isError"] is True
    assert "There are: sample.csv." in result["content"][0]["text"]


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_resources_and_prompts_are_listed_and_read(tmp_path: Path, sample: Path, era: str) -> None:
    """Another client's parser sees what the SDK's own lets pass."""
    assert sample.exists()
    env = environment(tmp_path) | OPENAI_ITSELF

    def converse() -> dict[str, Any]:
        draft = call(era, env, "create_batch_file", source="sample.csv", prompt="{{text}}", model="gpt-5-mini")
        job = f"batchwright://jobs/{draft['job_id']}"
        asked = ["--method", "prompts/get", "--prompt-name", "classify", "--prompt-args", "source=sample.csv"]
        return {
            "job": job,
            "resources": inspect(era, env, "--method", "resources/list")["resources"],
            "templates": inspect(era, env, "--method", "resources/templates/list")["resourceTemplates"],
            "read": inspect(era, env, "--method", "resources/read", "--uri", f"{job}/requests")["contents"],
            "prompts": inspect(era, env, "--method", "prompts/list")["prompts"],
            "prompt": inspect(era, env, *asked, "labels=a, b")["messages"],
        }

    seen = await anyio.to_thread.run_sync(converse)

    assert [resource["uri"] for resource in seen["resources"]] == [JOBS, of_guide("index"), seen["job"]]
    assert [template["uriTemplate"] for template in seen["templates"]] == list(TEMPLATES.values())
    assert json.loads(seen["read"][0]["text"])["shown"][0]["body"]["messages"][0]["content"] == "row 1"
    assert [prompt["name"] for prompt in seen["prompts"]] == list(WALKTHROUGHS)
    assert '"enum": ["a", "b"]' in seen["prompt"][0]["content"]["text"]


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_job_runs_over_http_with_a_token(tmp_path: Path, sample: Path, era: str) -> None:
    """The Inspector takes a task for an answer where it gets one: its call then goes on asking by itself."""
    assert sample.exists()
    token = "a-secret-of-enough-characters"
    async with running_endpoint(seconds=0.4) as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url, concurrency="1", http_token=token)
        async with http_process(env) as (url, _):
            server = [url, "--transport", "http", "--header", f"Authorization: Bearer {token}"]

            def converse() -> dict[str, Any]:
                assert inspect(era, server, "--method", "tools/list", "--strict")["tools"]
                draft = call(era, server, "create_batch_file", source="sample.csv", prompt="say {{text}}", model="m")
                call(era, server, "submit_job", job_id=draft["job_id"])
                assert inspect(era, server, "--method", "resources/list")["resources"]
                return call(era, server, "check_job", job_id=draft["job_id"], wait_seconds=60)

            job = await anyio.to_thread.run_sync(converse)

    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})
