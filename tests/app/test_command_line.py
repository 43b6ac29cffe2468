"""`batchwright` in a terminal, as a new user meets it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.session import environment
from tests.support.terminal import in_terminal

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}


def test_alone_in_a_terminal_it_shows_help_and_where_to_begin(tmp_path: Path) -> None:
    """A server that waits in silence looks like a program that hangs."""
    with in_terminal(env=environment(tmp_path)) as terminal:
        shown = terminal.read_to_end()

    assert terminal.process.returncode == 0
    assert "usage: batchwright" in shown
    for command in ("demo", "connect", "doctor"):
        assert f"  batchwright {command} " in shown.partition("where to begin:")[2]


def test_help_is_shown_whatever_the_settings_are(tmp_path: Path) -> None:
    """Whoever has a setting wrong needs it most."""
    with in_terminal(env=environment(tmp_path, poll_seconds="soon")) as terminal:
        assert "where to begin:" in terminal.read_to_end()


def test_an_assistant_that_starts_it_without_a_command_is_served(tmp_path: Path) -> None:
    """Every setup instruction starts it so."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "batchwright"],
        env=environment(tmp_path),
        input=json.dumps(INITIALIZE) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert json.loads(done.stdout)["result"]["serverInfo"]["name"] == "batchwright"
    assert "usage:" not in done.stdout


@pytest.mark.parametrize(
    ("command", "typed", "shown"),
    [
        pytest.param(("serve",), "", "Waiting for an MCP client", id="starting"),
        pytest.param(("serve",), json.dumps(INITIALIZE) + "\n", '"serverInfo"', id="stdio"),
        pytest.param(("serve", "--http", "--port", "0"), "", "Ctrl+C stops", id="http"),
        pytest.param(("work", "--stay"), "", "Ctrl+C stops", id="work"),
    ],
)
def test_ctrl_c_ends_a_server_at_once_and_without_a_traceback(
    tmp_path: Path, command: tuple[str, ...], typed: str, shown: str
) -> None:
    """It is how everyone stops a program."""
    with in_terminal(*command, env=environment(tmp_path)) as terminal:
        terminal.read_until("Ctrl+C stops")
        terminal.type(typed)
        terminal.read_until(shown)

        terminal.type("\x03")
        text = terminal.read_to_end(wait_seconds=10)

    assert terminal.process.returncode in {0, 130}
    assert "Traceback" not in text


@pytest.mark.parametrize("module", ["argparse", "batchwright.core.settings", "anyio", "batchwright.app.use_cases"])
def test_ctrl_c_while_it_starts_prints_one_line(tmp_path: Path, module: str) -> None:
    """Whoever mistypes a command stops it at once, and a traceback looks like a broken program."""
    command = [sys.executable, "-X", "importtime", "-P", "-m", "batchwright", "work", "--stay"]
    with subprocess.Popen(command, env=environment(tmp_path), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(line.endswith(f" {module}\n") for line in process.stderr)

        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert [line for line in errors.splitlines() if not line.startswith("import time:")] == ["batchwright: stopped"]
    assert process.returncode == 130


def test_a_server_over_http_prints_the_lines_that_connect_a_client_and_not_its_token(tmp_path: Path) -> None:
    """They are pasted; the token is read from its file when they are run."""
    with in_terminal("serve", "--http", "--port", "0", env=environment(tmp_path), columns=300) as terminal:
        terminal.read_until("Ctrl+C stops")
        port = terminal.text.partition("http://127.0.0.1:")[2].partition("/")[0]
        token_file = tmp_path / "data" / "http.token"
        token = token_file.read_text(encoding="utf-8").strip()

    assert f'  export BATCHWRIGHT_HTTP_TOKEN="$(cat {token_file})"' in terminal.text
    assert f"  claude mcp add --transport http batchwright http://127.0.0.1:{port}/mcp --header " in terminal.text
    assert f"batchwright connect --http --port {port}" in terminal.text
    assert token not in terminal.text


def test_a_token_of_the_users_own_is_not_printed_either(tmp_path: Path) -> None:
    """It is set already where the server runs."""
    token = "canary-0123456789abcdef"
    with in_terminal("serve", "--http", "--port", "0", env=environment(tmp_path, http_token=token)) as terminal:
        terminal.read_until("Ctrl+C stops")

    assert "claude mcp add" in terminal.text
    assert "http.token" not in terminal.text
    assert token not in terminal.text
