"""Classify the reviews beside this file, as an assistant would: `python run.py [RESULTS.csv]`."""

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

SCHEMA = {
    "type": "object",
    "properties": {"sentiment": {"type": "string", "enum": ["positive", "negative"]}},
    "required": ["sentiment"],
}


async def classify(workspace: Path) -> dict[str, Any]:
    """Run the job on `reviews.csv` in *workspace*; the joined rows are in `results.csv` there."""
    async with conversation(workspace) as call:
        job = await finished(
            call,
            source="reviews.csv",
            system="Classify the sentiment of the review as positive or negative.",
            prompt="Review: {{text}}",
            output_schema=SCHEMA,
            parameters={"temperature": 0, "max_completion_tokens": 32},
            id_column="review_id",
        )
        await call("get_results", job_id=job["job_id"], save_as="results.csv")
        return job


def main() -> None:
    """Run the job, and compare the model's verdict with the person's."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        shutil.copyfile(HERE / "reviews.csv", workspace / "reviews.csv")
        job = anyio.run(classify, workspace)
        with (workspace / "results.csv").open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        if len(sys.argv) > 1:
            shutil.copyfile(workspace / "results.csv", sys.argv[1])
    agreeing = sum(row["sentiment"] == row["answer_sentiment"] for row in rows)
    print(f"{job['counts']} by {job['answered_by']}")
    print(f"{agreeing} of {len(rows)} verdicts agree with the person's.")
    assert len(rows) == 40
    assert agreeing >= 0.7 * len(rows)


if __name__ == "__main__":
    main()
