"""Every example runs, and asserts what it claims."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

QUICK = "search_answers"
"""Runs each time; the others ask the model more."""
EXAMPLES = [
    pytest.param(path, marks=() if path.parent.name == QUICK else pytest.mark.slow, id=path.parent.name)
    for path in sorted((Path(__file__).parents[2] / "examples").glob("*/run.py"))
]


@pytest.mark.model
@pytest.mark.parametrize("script", EXAMPLES)
def test_an_example_does_what_it_says(script: Path, tmp_path: Path, model_cache: Path) -> None:
    """An example that does not run teaches the wrong thing."""
    env = {
        **os.environ,
        "BATCHWRIGHT_DATA_DIR": str(tmp_path / "data"),
        "BATCHWRIGHT_CACHE_DIR": str(model_cache),
    }
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "results.csv")],
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "results.csv").stat().st_size > 0
