"""Extract typed fields from the orders beside this file: `python run.py [RESULTS.csv]`."""

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

FIELDS = ("customer", "city", "quantity")
SCHEMA = {
    "type": "object",
    "properties": {"customer": {"type": "string"}, "city": {"type": "string"}, "quantity": {"type": "integer"}},
    "required": ["customer", "city", "quantity"],
}


async def extract(workspace: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run the job on `orders.csv` in *workspace*, and ask its results for a sum of numbers."""
    async with conversation(workspace) as call:
        job = await finished(
            call,
            source="SELECT order_id, text, customer AS told_customer, city AS told_city, quantity AS told_quantity "
            "FROM 'orders.csv'",
            system="Extract the customer's name, the city and the quantity from the order.",
            prompt="Order: {{text}}",
            output_schema=SCHEMA,
            parameters={"temperature": 0, "max_completion_tokens": 60},
            id_column="order_id",
        )
        await call("get_results", job_id=job["job_id"], save_as="results.csv")
        asked = await call("query_results", job_id=job["job_id"], sql="SELECT sum(quantity) AS pieces FROM results")
        return job, asked["shown"]


def main() -> None:
    """Run the job, and compare each field with what a person found."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        shutil.copyfile(HERE / "orders.csv", workspace / "orders.csv")
        job, asked = anyio.run(extract, workspace)
        with (workspace / "results.csv").open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        if len(sys.argv) > 1:
            shutil.copyfile(workspace / "results.csv", sys.argv[1])
    right = sum(row[field] == row[f"told_{field}"] for row in rows for field in FIELDS)
    print(f"{job['counts']} by {job['answered_by']}")
    print(f"{right} of {len(FIELDS) * len(rows)} fields are as a person found them. Pieces: {asked[0]['pieces']}.")
    assert len(rows) == 16
    assert right >= 0.7 * len(FIELDS) * len(rows)
    assert asked[0]["pieces"] == sum(int(row["quantity"]) for row in rows if row["quantity"])


if __name__ == "__main__":
    main()
