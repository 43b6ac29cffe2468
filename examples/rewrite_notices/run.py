"""Rewrite the notices beside this file in plain words: `python run.py [RESULTS.csv]`."""

import csv
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from conversation import conversation, finished  # noqa: E402  # beside the examples, wherever they are run from


async def rewrite(workspace: Path) -> dict[str, Any]:
    """Run the job on `notices.jsonl` in *workspace*; the joined rows are in `results.csv` there."""
    async with conversation(workspace) as call:
        job = await finished(
            call,
            source="notices.jsonl",
            system="Rewrite the sentence in short, simple words.",
            prompt="Sentence: {{text}}",
            parameters={"temperature": 0, "max_completion_tokens": 80},
            id_column="id",
        )
        await call("get_results", job_id=job["job_id"], save_as="results.csv")
        return job


def main() -> None:
    """Run the job, and see that the notices became shorter."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        shutil.copyfile(HERE / "notices.jsonl", workspace / "notices.jsonl")
        job = anyio.run(rewrite, workspace)
        with (workspace / "results.csv").open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        if len(sys.argv) > 1:
            shutil.copyfile(workspace / "results.csv", sys.argv[1])
    shorter = sum(0 < len(row["answer"]) < len(row["text"]) for row in rows)
    print(f"{job['counts']} by {job['answered_by']}")
    print(f"{shorter} of {len(rows)} notices became shorter.")
    assert [row["id"] for row in rows] == [f"n{number}" for number in range(1, 11)]
    assert shorter >= 0.7 * len(rows)


if __name__ == "__main__":
    main()
