"""Embed the answers and questions beside this file, and find each question's answer: `python run.py [RESULTS.csv]`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from conversation import RESULTS, Call, run_example, run_job  # noqa: E402  # next to the examples, wherever they run from

NEAREST = """
SELECT q.id, q.topic, arg_max(a.topic, list_cosine_similarity(q.embedding, a.embedding)) AS found
FROM results q JOIN results a ON q.kind = 'question' AND a.kind = 'answer'
GROUP BY ALL ORDER BY q.id
"""


async def search(call: Call) -> None:
    """Embed all texts, and save the nearest answer of each question."""
    job = await run_job(
        call,
        source="texts.csv",
        prompt="{{text}}",
        endpoint="/v1/embeddings",
        id_column="id",
        inputs_per_request=10,
    )
    await call("query_results", job_id=job["job_id"], sql=NEAREST, save_as=RESULTS)


def main() -> None:
    """Run the job, and count the questions whose nearest answer has the same topic."""
    _, rows = run_example(HERE / "texts.csv", search)
    found = sum(row["topic"] == row["found"] for row in rows)
    print(f"{found} of {len(rows)} questions find their answer.")
    assert len(rows) == 10
    assert found >= 8


if __name__ == "__main__":
    main()
