"""Another user of the machine, who reaches the port as its owner does, and looks for the token."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from batchwright.app.app import http_token
from batchwright.core.errors import InvalidInput
from batchwright.core.settings import Settings
from batchwright.mcp_server.question_key import KeptKey
from tests.support.http_requests import ask
from tests.support.session import environment, http_process
from tests.support.systems import needs_modes, needs_root, needs_scripts
from tests.support.waiting import WAIT_SECONDS

pytestmark = pytest.mark.anyio

NOBODY = 65_534
AS_NOBODY = """
import http.client, json, os, sys

def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except OSError as error:
        return type(error).__name__

place, paths = sys.argv[1], sys.argv[2:]
body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}})
sent = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
answers = {}
for name, method, path in (("tools", "POST", "/mcp"), ("stream", "GET", "/mcp"), ("health", "GET", "/health")):
    connection = http.client.HTTPConnection(place, timeout=30)
    connection.request(method, path, body if method == "POST" else None, sent)
    answer = connection.getresponse()
    answers[name] = [answer.status, answer.read().decode()]
print(json.dumps({"uid": os.getuid(), "answers": answers, "files": [read(path) for path in paths]}))
"""


@pytest.fixture
def open_folder() -> Generator[Path]:
    """Give a folder that every user can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def own_token(folder: Path, **settings: str) -> dict[str, str]:
    """Give settings for a server that makes its token itself."""
    return environment(folder, http_token="", **settings)


def as_nobody(place: str, *paths: Path | str) -> dict[str, Any]:
    """Have another user call the server and read the files."""
    # The Python of these tests may lie in a folder of their user's own.
    for python in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")):
        with suppress(PermissionError):
            done = subprocess.run(
                [python or "python3", "-I", "-c", AS_NOBODY, place, *map(str, paths)],
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                cwd="/",
                capture_output=True,
                text=True,
                timeout=WAIT_SECONDS,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)
    pytest.skip("another user may not run Python here")


@needs_root
@pytest.mark.parametrize("mode", [0o700, 0o755])
async def test_another_user_is_neither_let_in_nor_finds_the_token(open_folder: Path, mode: int) -> None:
    """Also where the data folder was made by hand, open to all."""
    data = open_folder / "data"
    data.mkdir(mode=mode)
    async with http_process(own_token(open_folder)) as (url, served):
        token = (data / "http.token").read_text(encoding="utf-8")
        assert (await ask(url, "tools/list", {}, token=token)).status == 200
        place = url.removeprefix("http://").removesuffix("/mcp")
        process = f"/proc/{served.pid}"
        paths = [data / "http.token", f"{process}/environ", f"{process}/cmdline"]
        seen = await anyio.to_thread.run_sync(lambda: as_nobody(place, *paths))

    assert seen["uid"] == NOBODY
    assert [seen["answers"][name][0] for name in ("tools", "stream")] == [401, 401]
    assert seen["answers"]["health"] == [200, '{"status": "ok"}']
    assert seen["files"][:2] == ["PermissionError"] * 2
    assert token not in json.dumps(seen)


@needs_modes
@pytest.mark.slow
async def test_the_token_is_made_once_for_its_user_alone_and_never_said(tmp_path: Path) -> None:
    """Output of a service ends up in logs, which more people read than its user."""
    said: list[str] = []
    tokens: set[str] = set()
    file = tmp_path / "data" / "http.token"
    env = own_token(tmp_path, log_level="DEBUG")
    async with http_process(env) as (first, served), http_process(env) as (second, other):
        tokens.add(file.read_text(encoding="utf-8"))
        statuses = [(await ask(url, "tools/list", {}, token=next(iter(tokens)))).status for url in (first, second)]
        wrong = await ask(first, "tools/list", {}, token="another-of-enough-characters")
        for process in (served, other):
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            said.append(await anyio.to_thread.run_sync(process.stderr.read))
    tokens.add(http_token(Settings.from_env(env)))

    (token,) = tokens
    assert (statuses, wrong.status) == ([200] * 2, 401)
    assert len(token) >= 43
    assert token not in "".join(said)
    assert "another-of-enough" not in "".join(said)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir() if path.suffix == ".tmp"] == []


def readable(file: Path) -> None:
    """Let others read the token."""
    file.write_text("a-token-that-others-know", encoding="utf-8")
    file.chmod(0o644)


def writable(file: Path) -> None:
    """Let the group write the token."""
    file.write_text("a-token-that-others-know", encoding="utf-8")
    file.chmod(0o620)


def linked(file: Path) -> None:
    """Put a link where the token is."""
    aim = file.with_name("elsewhere")
    aim.write_text("a-token-that-others-know", encoding="utf-8")
    aim.chmod(0o600)
    file.symlink_to(aim)


def piped(file: Path) -> None:
    """Put a pipe where the token is, which nobody writes to."""
    os.mkfifo(file, 0o600)


def short(file: Path) -> None:
    """Keep a token that can be guessed."""
    file.write_text("1234", encoding="utf-8")
    file.chmod(0o600)


@needs_modes
@pytest.mark.parametrize("put", [readable, writable, linked, short])
def test_a_token_that_others_may_know_is_not_used(tmp_path: Path, put: Callable[[Path], None]) -> None:
    """Whoever could put it there, or read it, could come in."""
    settings = Settings.from_env(own_token(tmp_path))
    (tmp_path / "data").mkdir()
    put(tmp_path / "data" / "http.token")

    with pytest.raises(InvalidInput) as refused:
        http_token(settings)

    assert str(refused.value).startswith(f"{tmp_path / 'data' / 'http.token'} ")
    assert "others-know" not in str(refused.value)


@needs_modes
@pytest.mark.parametrize(
    ("command", "put"),
    [(("serve", "--http", "--port", "0"), readable), (("connect", "--http"), piped)],
    ids=["serve", "connect"],
)
def test_a_command_ends_at_a_token_that_others_may_know(
    tmp_path: Path, put: Callable[[Path], None], command: tuple[str, ...]
) -> None:
    """And does not wait for what nobody writes."""
    env = own_token(tmp_path)
    (tmp_path / "data").mkdir()
    put(tmp_path / "data" / "http.token")
    words = [sys.executable, "-m", "batchwright", *command]
    done = subprocess.run(
        words, env={**os.environ, **env}, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )

    assert done.returncode == 2
    assert done.stderr.startswith(f"batchwright: {tmp_path / 'data' / 'http.token'} ")
    assert "others-know" not in done.stdout + done.stderr


@needs_scripts
def test_connect_says_where_the_token_is_and_not_what_it_is(tmp_path: Path) -> None:
    """What a command holds, other users see while it runs; what is printed is pasted into chats."""
    env = {**os.environ, **own_token(tmp_path)}
    command = [sys.executable, "-m", "batchwright", "connect", "--http", "--port", "8123"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=WAIT_SECONDS, check=True)
    token = (tmp_path / "data" / "http.token").read_text(encoding="utf-8")
    (line,) = [line.strip() for line in done.stdout.splitlines() if line.strip().startswith("export ")]
    shell = ["sh", "-c", f'{line}; printf %s "$BATCHWRIGHT_HTTP_TOKEN"']
    set_so = subprocess.run(shell, capture_output=True, text=True, timeout=WAIT_SECONDS, check=True)

    assert token not in done.stdout + done.stderr
    assert set_so.stdout == token
    for assistant in ("Claude Code", "Codex", "Gemini CLI", "VS Code", "Cursor", "Other assistants"):
        assert f"{assistant}:\n" in done.stdout
    for file in (".vscode/mcp.json", "~/.cursor/mcp.json"):
        assert f"Put this into {file}:\n" in done.stdout
    assert done.stdout.count("http://127.0.0.1:8123/mcp") == 6


@needs_modes
def test_a_key_for_questions_that_others_can_read_is_made_anew(tmp_path: Path) -> None:
    """With it an answer could be forged that the user never gave."""
    file = tmp_path / "questions.key"
    file.write_bytes(b"k" * 32)
    file.chmod(0o644)

    KeptKey(tmp_path).seal(b"asked")

    assert file.read_bytes() != b"k" * 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
