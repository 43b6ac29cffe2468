"""Rewrite the notices beside this file in plain words: `python run.py [RESULTS.csv]`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from conversation import RESULTS, Call, run_example, run_job  # noqa: E402  # next to the examples, wherever they run from


async def rewrite(call: Call) -> None:
    """Run the job, and save its joined rows."""
    job = await run_job(
        call,
        source="notices.jsonl",
        system="Rewrite the sentence in short, simple words.",
        prompt="Sentence: {{text}}",
        parameters={"temperature": 0, "max_completion_tokens": 80},
        id_column="id",
    )
    await call("get_results", job_id=job["job_id"], save_as=RESULTS)


def main() -> None:
    """Run the job, and count the notices that became shorter."""
    _, rows = run_example(HERE / "notices.jsonl", rewrite)
    shorter = sum(0 < len(row["answer"]) < len(row["text"]) for row in rows)
    print(f"{shorter} of {len(rows)} notices became shorter.")
    assert [row["id"] for row in rows] == [f"n{number}" for number in range(1, 11)]
    assert shorter >= 0.7 * len(rows)


if __name__ == "__main__":
    main()
