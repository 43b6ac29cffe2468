"""Links and blocks are what each assistant's maker publishes. The commands are run in `external/test_assistants.py`."""

import base64
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from batchwright.app.connect import PUBLISHED, Launch, Way, ways, ways_over_http
from tests.support.session import environment

HERE = Launch("/my tools/batchwright", workspace="/my data")
LAUNCHES = [pytest.param(HERE, id="here"), pytest.param(PUBLISHED, id="published")]


def only(launch: Launch, assistant: str, kind: str) -> Way:
    """Give the one way of a kind for an assistant."""
    (found,) = [way for way in ways(launch) if way.assistant.startswith(assistant) and way.kind == kind]
    return found


def server(launch: Launch, **more: str) -> dict[str, Any]:
    """Give the server as the files of all assistants have it."""
    arguments = {"args": list(launch.arguments)} if launch.arguments else {}
    env = {"env": {"BATCHWRIGHT_WORKSPACE": launch.workspace}} if launch.workspace else {}
    return {"command": launch.command, **arguments, **env, **more}


@pytest.mark.parametrize("launch", LAUNCHES)
@pytest.mark.parametrize(
    ("assistant", "address"),
    [("Cursor", "https://cursor.com/en/install-mcp"), ("LM Studio", "https://lmstudio.ai/install-mcp")],
)
def test_a_link_with_base64_holds_the_server_without_its_name(launch: Launch, assistant: str, address: str) -> None:
    """Cursor and LM Studio both publish it so: `name`, and `config`, the value of `mcpServers` in Base64."""
    link = urlsplit(only(launch, assistant, "link").text)
    query = parse_qs(link.query, strict_parsing=True)

    assert f"{link.scheme}://{link.netloc}{link.path}" == address
    assert query["name"] == ["batchwright"]
    assert json.loads(base64.b64decode(query["config"][0], validate=True)) == server(launch)


@pytest.mark.parametrize("launch", LAUNCHES)
def test_the_forms_for_vs_code_hold_the_same_server(launch: Launch) -> None:
    """Its link has `name` and `config`, JSON in percent form; `--add-mcp` the same object with the name in it."""
    folder = {"BATCHWRIGHT_WORKSPACE": launch.workspace or "${workspaceFolder}"}
    expected = server(launch, type="stdio") | {"env": folder}
    link = urlsplit(only(launch, "VS Code", "link").text)
    query = parse_qs(link.query, strict_parsing=True)
    command = shlex.split(only(launch, "VS Code", "command").text)

    assert (link.netloc, link.path) == ("insiders.vscode.dev", "/redirect/mcp/install")
    assert (query["name"], json.loads(query["config"][0])) == (["batchwright"], expected)
    assert (command[:2], json.loads(command[2])) == (["code", "--add-mcp"], {"name": "batchwright", **expected})
    assert json.loads(only(launch, "VS Code", "block").text) == {"servers": {"batchwright": expected}}


@pytest.mark.parametrize("launch", LAUNCHES)
def test_the_block_of_desktop_programs_holds_the_server_by_name(launch: Launch) -> None:
    """Claude Desktop began it, and most others read the same."""
    block = only(launch, "Claude Desktop", "block")

    assert json.loads(block.text) == {"mcpServers": {"batchwright": server(launch)}}


def test_goose_gets_a_link_only_for_what_it_lets_a_link_start() -> None:
    """It refuses every program but a few runners of packages."""
    link = urlsplit(only(PUBLISHED, "Goose", "link").text)
    query = parse_qs(link.query, strict_parsing=True)

    assert (link.scheme, link.netloc) == ("goose", "extension")
    assert [*query["cmd"], *query["arg"]] == PUBLISHED.words
    assert not [way for way in ways(HERE) if way.assistant == "Goose"]


def test_over_http_each_assistant_reads_the_token_where_no_one_else_does() -> None:
    """What a command holds, other users see while it runs; and a file in the user's folder gets shared."""
    url = "http://127.0.0.1:8000/mcp"
    found = {way.assistant: way for way in ways_over_http(url)}
    sent = "Authorization: Bearer ${BATCHWRIGHT_HTTP_TOKEN}"
    vs_code = json.loads(found["VS Code"].text)

    assert [found[name].kind for name in found] == ["command"] * 3 + ["block"] * 3
    assert shlex.split(found["Claude Code"].text)[-4:] == ["batchwright", url, "--header", sent]
    assert shlex.split(found["Codex"].text)[-3:] == [url, "--bearer-token-env-var", "BATCHWRIGHT_HTTP_TOKEN"]
    assert shlex.split(found["Gemini CLI"].text)[-4:] == ["--header", sent, "batchwright", url]
    assert vs_code["servers"]["batchwright"]["headers"] == {"Authorization": "Bearer ${input:token}"}
    assert [(given["id"], given["password"]) for given in vs_code["inputs"]] == [("token", True)]
    assert json.loads(found["Cursor"].text)["mcpServers"]["batchwright"] == {
        "url": url,
        "headers": {"Authorization": "Bearer ${env:BATCHWRIGHT_HTTP_TOKEN}"},
    }


def connect(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    env = {**os.environ, "HOME": str(folder / "home"), **settings}
    command = [sys.executable, "-m", "batchwright", "connect", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_connect_prints_the_way_of_one_assistant_and_no_key(tmp_path: Path) -> None:
    """What it prints is pasted into files and chats."""
    done = connect(tmp_path, "claude", OPENAI_API_KEY="sk-canary-0123456789", BATCHWRIGHT_WORKSPACE=str(tmp_path))

    assert done.returncode == 0
    assert f"claude mcp add batchwright --env BATCHWRIGHT_WORKSPACE={tmp_path} -- /" in done.stdout
    assert "claude_desktop_config.json" in done.stdout
    assert "codex" not in done.stdout
    assert "canary" not in done.stdout + done.stderr


def test_connect_names_the_folder_only_to_programs_that_start_elsewhere(tmp_path: Path) -> None:
    """A command-line assistant is started where the data is; a fixed folder would be the wrong one next time."""
    done = connect(tmp_path)
    folder = tmp_path / "home" / "Batchwright"

    assert "claude mcp add batchwright -- /" in done.stdout
    assert f'"BATCHWRIGHT_WORKSPACE": "{folder}"' in done.stdout


def test_connect_joins_the_ways_for_one_assistant(tmp_path: Path) -> None:
    """Whoever follows all three has three servers."""
    done = connect(tmp_path, "vs code")
    heading, *ways_of_it = [line for line in done.stdout.splitlines() if line.endswith(":")]

    assert heading == "VS Code, one of these:"
    assert ways_of_it == ["  Run this command:", "  Open this link:", "  Put this into .vscode/mcp.json:"]


def test_a_name_that_the_terminal_cannot_show_does_not_end_the_command(tmp_path: Path) -> None:
    """On Windows what is written to a file may hold the characters of one language only."""
    env = {**os.environ, **environment(tmp_path), "PYTHONIOENCODING": "ascii"}
    env["BATCHWRIGHT_WORKSPACE"] = str(tmp_path / "données")
    command = [sys.executable, "-P", "-m", "batchwright", "connect", "desktop"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "donn\\xe9es" in done.stdout


def test_connect_shows_a_block_so_that_it_can_be_added_to_others(tmp_path: Path) -> None:
    """Most files hold other servers already, and a second object of the same name would hide them."""
    shown = connect(tmp_path, "claude desktop").stdout.splitlines()
    start, end = shown.index("    {"), shown.index("    }")

    assert shown[0] == "Claude Desktop:"
    assert list(json.loads("".join(shown[start : end + 1]))["mcpServers"]) == ["batchwright"]
    assert '      "mcpServers": {' in shown
    assert '        "batchwright": {' in shown
    assert shown[end + 1] == '  If the file already has "mcpServers", add only the lines inside it, after a comma.'


@pytest.mark.parametrize("over", [(), ("--http",)])
def test_connect_shows_an_assistant_that_it_does_not_know_what_most_take(tmp_path: Path, over: tuple[str, ...]) -> None:
    """There are more every month; and whoever mistyped a name learns the right one."""
    done = connect(tmp_path, "zed", *over, BATCHWRIGHT_DATA_DIR=str(tmp_path / "data"))

    assert done.returncode == 0
    assert done.stdout.startswith("No instructions for 'zed', only for Claude Code, Codex, Gemini CLI, VS Code,")
    assert '      "mcpServers": {\n        "batchwright": {' in done.stdout
    assert "claude mcp add" not in done.stdout
