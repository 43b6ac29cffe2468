"""Classify the reviews beside this file, as an assistant would: `python run.py [RESULTS.csv]`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from conversation import RESULTS, Call, run_example, run_job  # noqa: E402  # next to the examples, wherever they run from

SCHEMA = {
    "type": "object",
    "properties": {"sentiment": {"type": "string", "enum": ["positive", "negative"]}},
    "required": ["sentiment"],
}


async def classify(call: Call) -> None:
    """Run the job, and save its joined rows."""
    job = await run_job(
        call,
        source="reviews.csv",
        system="Classify the sentiment of the review as positive or negative.",
        prompt="Review: {{text}}",
        output_schema=SCHEMA,
        parameters={"temperature": 0, "max_completion_tokens": 32},
        id_column="review_id",
    )
    await call("get_results", job_id=job["job_id"], save_as=RESULTS)


def main() -> None:
    """Run the job, and compare the model's verdict with the person's."""
    _, rows = run_example(HERE / "reviews.csv", classify)
    agreeing = sum(row["sentiment"] == row["answer_sentiment"] for row in rows)
    print(f"{agreeing} of {len(rows)} verdicts agree with the person's.")
    assert len(rows) == 40
    assert agreeing >= 0.7 * len(rows)


if __name__ == "__main__":
    main()
