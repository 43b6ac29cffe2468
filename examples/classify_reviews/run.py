"""Classify the reviews beside this file, as an assistant would: `python run.py [RESULTS.csv]`."""

import csv
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

HERE = Path(__file__).parent
SCHEMA = {
    "type": "object",
    "properties": {"sentiment": {"type": "string", "enum": ["positive", "negative"]}},
    "required": ["sentiment"],
}


async def classify(workspace: Path) -> dict[str, Any]:
    """Run the job on `reviews.csv` in *workspace*; the joined rows are in `results.csv` there."""
    env = {**os.environ, "BATCHWRIGHT_WORKSPACE": str(workspace)}
    server = StdioServerParameters(command=sys.executable, args=["-m", "batchwright"], env=env)
    async with Client(server) as client:

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            result = await client.call_tool(tool, arguments)
            assert result.structured_content is not None and not result.is_error, result.content
            return result.structured_content

        draft = await call(
            "create_batch_file",
            source="reviews.csv",
            system="Classify the sentiment of the review as positive or negative.",
            prompt="Review: {{text}}",
            output_schema=SCHEMA,
            parameters={"temperature": 0, "max_completion_tokens": 32},
            id_column="review_id",
        )
        await call("submit_job", job_id=draft["job_id"])
        job = await call("check_job", job_id=draft["job_id"], wait_seconds=600)
        await call("get_results", job_id=draft["job_id"], save_as="results.csv")
        return job


def main() -> None:
    """Run the job, and compare the model's verdict with the person's."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        shutil.copyfile(HERE / "reviews.csv", workspace / "reviews.csv")
        job = anyio.run(classify, workspace)
        with (workspace / "results.csv").open(newline="", encoding="utf-8") as file:
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
