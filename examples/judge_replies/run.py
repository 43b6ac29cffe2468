"""Judge the replies beside this file, and measure the judge: `python run.py [RESULTS.csv]`."""

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from conversation import RESULTS, Call, run_example, run_job  # noqa: E402  # next to the examples, wherever they run from

SCHEMA = {
    "type": "object",
    "properties": {"tone": {"type": "string", "enum": ["positive", "negative"]}},
    "required": ["tone"],
}


async def judge(call: Call) -> dict[str, Any]:
    """Run the job, save its joined rows, and return how well they agree with the person's column."""
    job = await run_job(
        call,
        source="replies.csv",
        system="Classify the tone of the reply as positive or negative.",
        prompt="Reply: {{reply}}",
        output_schema=SCHEMA,
        parameters={"temperature": 0, "max_completion_tokens": 32},
        id_column="reply_id",
    )
    await call("get_results", job_id=job["job_id"], save_as=RESULTS)
    profile = await call("query_results", job_id=job["job_id"], truth="verdict")
    return profile["agreement"]


def main() -> None:
    """Run the job, and say how often the judge agrees with a person."""
    agreement, rows = run_example(HERE / "replies.csv", judge)
    print(f"{agreement['agree']} of {agreement['compared']} verdicts agree with the person's.")
    for mistake in agreement.get("disagree", []):
        print(f"  {mistake['truth']} taken for {mistake['answered']}: {mistake['rows']}")
    assert agreement["compared"] == len(rows) == 20
    assert agreement["agree"] == sum(row["tone"] == row["verdict"] for row in rows)
    assert agreement["accuracy"] >= 0.7


if __name__ == "__main__":
    main()
