"""The demonstration as a terminal shows it; whether real answers come is tested with the embedded model."""

import json
import re
from pathlib import Path

import anyio.to_thread
import pytest

from tests.support.endpoint import running_endpoint
from tests.support.session import environment
from tests.support.terminal import Terminal, in_terminal

pytestmark = pytest.mark.anyio

KEY = "sk-canary-0123456789abcdef"


def demo(env: dict[str, str], columns: int) -> Terminal:
    """Run it to its end."""
    with in_terminal("demo", env=env, columns=columns) as terminal:
        terminal.read_to_end(wait_seconds=120)
    return terminal


@pytest.mark.parametrize("columns", [80, pytest.param(120, marks=pytest.mark.slow)])
async def test_it_keeps_to_the_terminal_and_leaves_a_full_bar_and_the_results(tmp_path: Path, columns: int) -> None:
    """It is the first thing that a new user sees."""
    async with running_endpoint(answer=lambda _: json.dumps({"sentiment": "positive"}), seconds=0.01) as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url, model="m") | {"TMPDIR": str(tmp_path), "OPENAI_API_KEY": KEY}
        terminal = await anyio.to_thread.run_sync(demo, env, columns)
    (folder,) = tmp_path.glob("batchwright-demo-*")
    lines = [line.rpartition("\r")[2] for line in terminal.text.split("\n")]
    bars = [line for line in lines if " left" in line and "%" in line]

    assert terminal.process.returncode == 0, terminal.text
    assert max(len(line) for line in lines if str(folder) not in line) <= columns
    assert all("100%" in bar and "━" * 20 in bar for bar in bars)
    assert len(bars) >= 3
    assert re.search(r"[1-9]\d% .* left ", terminal.text)
    assert re.search(r"^R-001 +negative +positive +Soaked through", terminal.text, re.MULTILINE)
    assert f"  {folder / 'results.csv'}\n" in terminal.text
    assert "batchwright connect" in terminal.text.partition("Next: ")[2]
    assert sorted(path.name for path in folder.iterdir()) == ["results.csv", "reviews.csv"]
    assert f"This demo sends 40 short requests to {endpoint.url}" in " ".join(terminal.text.split())
    assert KEY not in terminal.text


async def test_what_fails_leaves_no_folder_and_no_traceback(tmp_path: Path) -> None:
    """There is then nothing to look at."""
    env = environment(tmp_path, endpoint="http://127.0.0.1:9/v1") | {"TMPDIR": str(tmp_path)}
    terminal = await anyio.to_thread.run_sync(demo, env, 80)

    assert terminal.process.returncode == 2
    assert "\nbatchwright: " in terminal.text
    assert "Traceback" not in terminal.text
    assert list(tmp_path.glob("batchwright-demo-*")) == []
