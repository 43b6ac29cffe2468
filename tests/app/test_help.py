"""`batchwright help`, as a user runs it."""

import os
import pty
import re
import subprocess
from contextlib import redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from batchwright.__main__ import main
from batchwright.mcp_server.guide import INDEX, TOPICS
from tests.support.paths import SCRIPT
from tests.support.session import environment

STYLE = re.compile(r"\x1b\[[0-9;]*m")


def printed(output: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what the command prints where nobody reads it in a terminal."""
    assert main(["help", *arguments]) == 0
    return output.readouterr().out


def shown_in_a_terminal(tmp_path: Path, *arguments: str) -> str:
    """Return what a terminal of 80 columns is sent."""
    ours, theirs = pty.openpty()
    env = {**os.environ, **environment(tmp_path), "COLUMNS": "80", "TERM": "xterm"}
    with subprocess.Popen([SCRIPT, "help", *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        parts: list[bytes] = []
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # the process has closed its end
                break
            if not part:
                break
            parts.append(part)
        os.close(ours)
        assert process.wait(timeout=60) == 0
    return b"".join(parts).decode().replace("\r\n", "\n")


def test_without_a_topic_it_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody knows them by heart."""
    text = printed(capsys)

    assert [topic for topic in TOPICS if f"`batchwright help {topic}`" not in text] == []


@pytest.mark.parametrize("topic", [INDEX, *TOPICS])
def test_a_page_is_plain_markdown_outside_of_a_terminal(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is piped into a file, a pager or another program."""
    text = printed(capsys, topic)

    assert text.startswith("# ")
    assert text.endswith("\n")
    assert "\x1b" not in text
    assert "<!--" not in text


def test_a_page_is_printed_in_any_encoding() -> None:
    """A page that speaks of odd characters holds some."""
    output = TextIOWrapper(BytesIO(), encoding="ascii", write_through=True)
    with redirect_stdout(output):
        code = main(["help", "reliability"])

    assert code == 0
    assert b"shows as `?`" in output.buffer.getvalue()


def test_a_page_is_laid_out_in_a_terminal(tmp_path: Path) -> None:
    """Tables as tables and headings as headings, within its width."""
    sent = shown_in_a_terminal(tmp_path, "settings")
    text = STYLE.sub("", sent)

    assert sent != text
    assert "Settings" in text
    assert "BATCHWRIGHT_MAX_JOB_USD" in text
    assert not re.search(r"^#|\|---|`|<!--", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 80


def test_an_unknown_topic_names_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence is enough."""
    code = main(["help", "prices"])
    output = capsys.readouterr()

    assert code == 2
    assert output.out == ""
    assert output.err == f"batchwright: The guide has no page 'prices'. Topics: {', '.join(TOPICS)}.\n"


def test_it_helps_where_a_setting_is_wrong(tmp_path: Path) -> None:
    """Its page explains the settings: it is then that it is read."""
    env = {**os.environ, **environment(tmp_path, max_job_usd="much")}
    command = [SCRIPT, "help", "settings"]
    done = subprocess.run(command, env=env, capture_output=True, encoding="utf-8", timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "BATCHWRIGHT_MAX_JOB_USD" in done.stdout
