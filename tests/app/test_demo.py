"""The embedded model, for real: fetched, started, asked, stopped."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.session import environment, over_stdio

pytestmark = [pytest.mark.anyio, pytest.mark.model]

ENOUGH = 0.7
"""Of the demonstration's reviews: the model is small, and its words vary."""


@pytest.mark.slow
def test_the_demonstration_joins_real_answers_to_the_rows(model_cache: Path, tmp_path: Path) -> None:
    """It is the first thing that a new user runs."""
    env = {**os.environ, "BATCHWRIGHT_CACHE_DIR": str(model_cache), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "batchwright", "demo"], env=env, capture_output=True, text=True, timeout=600, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    for tool in ("inspect_data", "create_batch_file", "submit_job", "check_job", "get_results"):
        assert f"\u2192 {tool}(" in done.stdout
    right, rows = map(int, re.findall(r"(\d+) of (\d+) answers agree with the person", done.stdout)[0])
    assert rows == 40
    assert right >= ENOUGH * rows
    assert "a demonstration, not a substitute for a GPT" in " ".join(done.stdout.split())
    assert "This demo is free" in done.stdout
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {"reviews.csv", "results.csv"}


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ["/v1/chat/completions", "/v1/responses"])
async def test_the_embedded_model_keeps_to_a_schema_on_both_endpoints(
    model_cache: Path, tmp_path: Path, endpoint: str
) -> None:
    """Its own server ignores the schema of `/v1/responses` and hides that an answer was cut: ours does not."""
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
    limit = "max_output_tokens" if endpoint == "/v1/responses" else "max_completion_tokens"
    rows = [{"thing": "sky"}, {"thing": "blood"}]
    async with over_stdio(environment(tmp_path, cache_dir=str(model_cache))) as session:
        draft = {"rows": rows, "prompt": "What colour is {{thing}}?", "endpoint": endpoint}
        fitting = await session.call("create_batch_file", **draft, output_schema=schema, parameters={limit: 40})
        cut = await session.call("create_batch_file", **draft, parameters={limit: 1})
        for job in (fitting, cut):
            await session.call("submit_job", job_id=job["job_id"])
        jobs = [await session.finished(job["job_id"], 300) for job in (fitting, cut)]
        results = await session.call("get_results", job_id=fitting["job_id"])
        refused = await session.error("create_batch_file", **draft, model="gpt-5-mini")

    assert [job["counts"] for job in jobs] == [{"answered": 2}, {"cut_short": 2}]
    assert all(row["colour"] in {"red", "blue"} for row in results["shown"])
    assert "'gpt-5-mini' is not available" in refused
    assert "SmolLM2-135M-Instruct, a small model on this machine" in jobs[0]["answered_by"]
    for path in (tmp_path / "data").rglob("*output.jsonl"):
        assert str(model_cache) not in path.read_text(encoding="utf-8")


async def test_the_embedding_model_answers_embedding_jobs(model_cache: Path, tmp_path: Path) -> None:
    """Similar texts come out near to each other, through the whole path."""
    pytest.importorskip("onnxruntime", reason="the extra `embeddings` is not installed")
    rows = [{"text": text} for text in ("a cat", "a kitten", "the stock exchange")]
    async with over_stdio(environment(tmp_path, cache_dir=str(model_cache))) as session:
        draft = await session.call("create_batch_file", rows=rows, prompt="{{text}}", endpoint="/v1/embeddings")
        await session.call("submit_job", job_id=draft["job_id"])
        await session.finished(draft["job_id"], 300)
        await session.call("get_results", job_id=draft["job_id"], save_as="vectors.jsonl")
    lines = (tmp_path / "work" / "vectors.jsonl").read_text(encoding="utf-8").splitlines()
    cat, kitten, exchange = (json.loads(line)["embedding"] for line in lines)

    def likeness(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert likeness(cat, kitten) > 0.5
    assert likeness(cat, exchange) < 0.2


async def test_the_doctor_says_what_works(model_cache: Path, tmp_path: Path) -> None:
    """A user who is stuck runs it first."""
    env = {**os.environ, **environment(tmp_path, cache_dir=str(model_cache))}
    command = [sys.executable, "-m", "batchwright", "doctor"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0
    assert done.stdout.endswith("Ready to run jobs.\n")
