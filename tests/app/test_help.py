"""`batchwright help`, as a user runs it."""

import os
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
from tests.support.terminal import in_terminal


def printed(output: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what the command prints where nobody reads it in a terminal."""
    assert main(["help", *arguments]) == 0
    return output.readouterr().out


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
    with in_terminal("help", "settings", env=environment(tmp_path)) as terminal:
        text = terminal.read_to_end()

    assert "\x1b" in terminal.raw
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
