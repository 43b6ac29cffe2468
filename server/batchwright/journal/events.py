"""What happened to jobs, in an open database: only ever added to, and told apart by its kind.

What adds is part of a transaction that the journal has begun.
"""

import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Literal

EventKind = Literal[
    "drafted",
    "restored",
    "submitted",
    "round_drafted",
    "round_submitted",
    "retry_discarded",
    "cancelled",
    "ended",
    "uploaded",
    "changed_on_disk",
    "never_submitted",
    "submitting",
    "attempt_closed",
    "unknown",
    "cancelling",
    "batch_found",
    "batch_ended",
    "gone",
    "split",
    "verified",
    "failed",
]
"""Of a job, from `drafted` to `ended`, and of one of its parts. `restored`: it was taken over from another journal."""


class Events:
    """The events of all jobs."""

    def __init__(self, db: sqlite3.Connection, now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now

    def add(self, job_id: str, kind: EventKind, part: int | None = None, detail: object = None) -> None:
        """Record that something happened just now."""
        self._db.execute(
            "INSERT INTO event (at, job_id, part, kind, detail) VALUES (?, ?, ?, ?, ?)",
            (self._now().isoformat(), job_id, part, kind, None if detail is None else str(detail)),
        )

    def of(self, job_id: str) -> list[tuple[datetime, int | None, str, str | None]]:
        """Return what happened to a job, oldest first: when, to which part, what, and its detail."""
        rows = self._db.execute("SELECT at, part, kind, detail FROM event WHERE job_id = ? ORDER BY id", (job_id,))
        return [(datetime.fromisoformat(at), part, kind, detail) for at, part, kind, detail in rows.fetchall()]

    def has(self, job_id: str, kind: EventKind) -> bool:
        """Whether something of a kind happened to a job."""
        found = self._db.execute("SELECT 1 FROM event WHERE job_id = ? AND kind = ?", (job_id, kind)).fetchone()
        return found is not None
