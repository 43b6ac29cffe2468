"""Every example runs, and asserts what it claims."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

QUICK = "search_answers"
"""Runs each time; the others ask the model more."""
EXAMPLES = [
    pytest.param(path, marks=() if path.parent.name == QUICK else pytest.mark.slow, id=path.parent.name)
    for path in sorted((ROOT / "examples").glob("*/run.py"))
]


WITHOUT_EMBEDDINGS = "import sys; sys.modules['onnxruntime'] = None"
"""Run by every interpreter that finds it as `sitecustomize`: the extra is then missing, whatever is installed."""


def run(script: Path, tmp_path: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run an example, and have it keep its results."""
    env = {**os.environ, "BATCHWRIGHT_DATA_DIR": str(tmp_path / "data"), **settings}
    command = [sys.executable, str(script), str(tmp_path / "results.csv")]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.model
@pytest.mark.parametrize("script", EXAMPLES)
def test_an_example_does_what_it_says(script: Path, tmp_path: Path, model_cache: Path) -> None:
    """An example that does not run teaches the wrong thing."""
    done = run(script, tmp_path, BATCHWRIGHT_CACHE_DIR=str(model_cache))

    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "results.csv").stat().st_size > 0
    assert re.match(
        r"Rows: \d+ answered\.\nAnswered by .+\.\nAt OpenAI, \S+ would cost \$\S+ for this job", done.stdout
    )
    assert "{" not in done.stdout


def test_an_example_without_its_extra_says_what_to_install(tmp_path: Path) -> None:
    """A user who tries it meets this first, and must not meet a traceback."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_EMBEDDINGS, encoding="utf-8")
    done = run(ROOT / "examples" / QUICK / "run.py", tmp_path, PYTHONPATH=str(tmp_path))

    assert done.returncode == 1
    assert done.stderr.startswith("Batchwright cannot run this example. ")
    assert "pip install 'batchwright[embeddings]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("readme", sorted((ROOT / "examples").glob("*/README.md")), ids=lambda path: path.parent.name)
def test_an_example_shows_what_to_say_and_what_comes_out(readme: Path) -> None:
    """Users speak to an assistant; the script is for those who want to see the calls."""
    text = readme.read_text(encoding="utf-8")

    assert re.search(r"^Say to your assistant:\n\n> \w.+\.$", text, re.MULTILINE)
    assert re.search(r"^```text\nRows: \d+ answered\.\n.*\nAt OpenAI, \S+ would cost \$", text, re.MULTILINE)
