"""Embed the answers and questions beside this file, and find each question's answer: `python run.py [RESULTS.csv]`."""

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

NEAREST = """
SELECT q.id, q.topic, arg_max(a.topic, list_cosine_similarity(q.embedding, a.embedding)) AS found
FROM results q JOIN results a ON q.kind = 'question' AND a.kind = 'answer'
GROUP BY ALL ORDER BY q.id
"""


async def search(workspace: Path) -> tuple[dict[str, Any], str]:
    """Embed `texts.csv` in *workspace*; the nearest answer of each question is in `nearest.csv` there."""
    async with conversation(workspace) as call:
        job = await finished(
            call,
            source="texts.csv",
            prompt="{{text}}",
            endpoint="/v1/embeddings",
            id_column="id",
            inputs_per_request=10,
        )
        asked = await call("query_results", job_id=job["job_id"], sql=NEAREST, save_as="nearest.csv")
        return job, asked["saved_as"]


def main() -> None:
    """Run the job, and count the questions whose nearest answer is of their topic."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        shutil.copyfile(HERE / "texts.csv", workspace / "texts.csv")
        job, _ = anyio.run(search, workspace)
        with (workspace / "nearest.csv").open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        if len(sys.argv) > 1:
            shutil.copyfile(workspace / "nearest.csv", sys.argv[1])
    found = sum(row["topic"] == row["found"] for row in rows)
    print(f"{job['counts']} by {job['answered_by']}")
    print(f"{found} of {len(rows)} questions find their answer.")
    assert len(rows) == 10
    assert found >= 8


if __name__ == "__main__":
    main()
