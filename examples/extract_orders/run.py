"""Extract typed fields from the orders beside this file: `python run.py [RESULTS.csv]`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from conversation import RESULTS, Call, run_example, run_job  # noqa: E402  # next to the examples, wherever they run from

FIELDS = ("customer", "city", "quantity")
SCHEMA = {
    "type": "object",
    "properties": {"customer": {"type": "string"}, "city": {"type": "string"}, "quantity": {"type": "integer"}},
    "required": ["customer", "city", "quantity"],
}
ORDERS = """
SELECT order_id, text, customer AS person_customer, city AS person_city, quantity AS person_quantity FROM 'orders.csv'
"""


async def extract(call: Call) -> int:
    """Run the job, save its joined rows, and return the sum of a typed column, computed in SQL."""
    job = await run_job(
        call,
        source=ORDERS,
        system="Extract the customer's name, the city and the quantity from the order.",
        prompt="Order: {{text}}",
        output_schema=SCHEMA,
        parameters={"temperature": 0, "max_completion_tokens": 60},
        id_column="order_id",
    )
    await call("get_results", job_id=job["job_id"], save_as=RESULTS)
    asked = await call("query_results", job_id=job["job_id"], sql="SELECT sum(quantity) AS pieces FROM results")
    return asked["shown"][0]["pieces"]


def main() -> None:
    """Run the job, and compare each field with what a person found."""
    pieces, rows = run_example(HERE / "orders.csv", extract)
    right = sum(row[field] == row[f"person_{field}"] for row in rows for field in FIELDS)
    print(f"{right} of {len(FIELDS) * len(rows)} fields are as a person found them. Pieces in all: {pieces}.")
    assert len(rows) == 16
    assert right >= 0.7 * len(FIELDS) * len(rows)
    assert pieces == sum(int(row["quantity"]) for row in rows if row["quantity"])


if __name__ == "__main__":
    main()
