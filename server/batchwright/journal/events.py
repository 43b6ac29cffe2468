"""What happened to jobs, in an open database. Events are only ever added, within a transaction of the journal."""

from datetime import datetime
from typing import Literal

from batchwright.journal.database import Database

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
"""From `drafted` to `ended` of a job, then of one of its parts. `restored`: another journal's job was imported."""


class Events:
    """The events of all jobs."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, job_id: str, kind: EventKind, part: int | None = None, detail: object = None) -> None:
        """Record that something happened now."""
        self._db.execute(
            "INSERT INTO event (at, job_id, part, kind, detail) VALUES (?, ?, ?, ?, ?)",
            (self._db.now().isoformat(), job_id, part, kind, None if detail is None else str(detail)),
        )

    def of(self, job_id: str) -> list[tuple[datetime, int | None, str, str | None]]:
        """Return a job's events, oldest first: time, part, kind and detail."""
        rows = self._db.execute("SELECT at, part, kind, detail FROM event WHERE job_id = ? ORDER BY id", (job_id,))
        return [(datetime.fromisoformat(at), part, kind, detail) for at, part, kind, detail in rows.fetchall()]

    def has(self, job_id: str, kind: EventKind) -> bool:
        """Whether an event of this kind happened to a job."""
        return self._db.first("SELECT 1 FROM event WHERE job_id = ? AND kind = ?", job_id, kind) is not None

    def newest(self) -> int:
        """Return the number of the newest event; 0: there is none yet."""
        return self._db.first("SELECT coalesce(max(id), 0) FROM event")

    def after(self, number: int) -> list[tuple[str, str]]:
        """Return the job and the kind of each event after that *number*, in the order in which they happened."""
        rows = self._db.execute("SELECT job_id, kind FROM event WHERE id > ? ORDER BY id", (number,))
        return [(row["job_id"], row["kind"]) for row in rows.fetchall()]
