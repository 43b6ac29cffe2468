"""A job of five rows that costs at most five dollars."""

from typing import Any

from tests.support import five_rows
from tests.support.session import Session

FIVE_DOLLARS = {"max_completion_tokens": 999_000}
"""Of output for each of five rows, at a dollar for a million tokens, and a fraction of a cent of input: $5.00."""
DRAFT = five_rows.DRAFT | {"parameters": FIVE_DOLLARS}
"""The arguments of `create_batch_file`."""


async def drafted(session: Session, **changes: Any) -> str:
    """Draft the job, and return its id."""
    return (await session.call("create_batch_file", **DRAFT | changes))["job_id"]
