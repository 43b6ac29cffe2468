"""Classify the reviews beside this file, as an assistant would: `python run.py [RESULTS.csv]`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from conversation import RESULTS, Call, carried_out, finished  # noqa: E402  # beside the examples, wherever they are run from

SCHEMA = {
    "type": "object",
    "properties": {"sentiment": {"type": "string", "enum": ["positive", "negative"]}},
    "required": ["sentiment"],
}


async def classify(call: Call) -> None:
    """Run the job, and save its joined rows."""
    job = await finished(
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
    _, rows = carried_out(HERE / "reviews.csv", classify)
    agreeing = sum(row["sentiment"] == row["answer_sentiment"] for row in rows)
    print(f"{agreeing} of {len(rows)} verdicts agree with the person's.")
    assert len(rows) == 40
    assert agreeing >= 0.7 * len(rows)


if __name__ == "__main__":
    main()
