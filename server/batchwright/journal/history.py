"""How far jobs had come, and when. In the journal, for charts alone: nothing is decided by it."""

import logging
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from batchwright.core.model import Outcome
from batchwright.journal.database import writing

if TYPE_CHECKING:
    from batchwright.core.model import Job

MAX_POINTS = 100
"""Of one job. Where there are more, the one that tells least gives way."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Point:
    """How many rows had which outcome at a time; the sum is the job's rows."""

    at: datetime
    counts: Mapping[Outcome, int]
    round: int = 1


class History:
    """Points of progress, in an open database."""

    def __init__(self, db: sqlite3.Connection, now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now

    def note(self, job: "Job") -> None:
        """Record how far a submitted job has come, if that is other than it was."""
        if job.submitted_at is None:
            return
        counts = msgspec.json.encode({name: count for name, count in job.counts.items() if count}).decode()
        try:
            last = self._db.execute(
                "SELECT counts, round FROM progress WHERE job_id = ? ORDER BY id DESC LIMIT 1", (job.id,)
            ).fetchone()
            if last is None or tuple(last) != (counts, job.round):
                with writing(self._db) as db:
                    db.execute(
                        "INSERT INTO progress (job_id, at, round, counts) VALUES (?, ?, ?, ?)",
                        (job.id, self._now().isoformat(), job.round, counts),
                    )
                    self._thin(job.id)
        except sqlite3.Error as error:
            # A job must not stand still for want of a chart.
            log.warning("%s: its progress is not recorded: %s", job.id, type(error).__name__)

    def of(self, job_id: str) -> list[Point]:
        """Return the points of a job, oldest first."""
        rows = self._db.execute("SELECT at, round, counts FROM progress WHERE job_id = ? ORDER BY id", (job_id,))
        return [
            Point(
                datetime.fromisoformat(row["at"]),
                msgspec.json.decode(row["counts"], type=dict[Outcome, int]),
                row["round"],
            )
            for row in rows.fetchall()
        ]

    def _thin(self, job_id: str) -> None:
        """Take out the point whose neighbours are nearest to each other, of too many; the first and the last stay."""
        rows = self._db.execute("SELECT id, at FROM progress WHERE job_id = ? ORDER BY id", (job_id,)).fetchall()
        if len(rows) <= MAX_POINTS:
            return
        times = [datetime.fromisoformat(row["at"]).timestamp() for row in rows]
        place = min(range(1, len(rows) - 1), key=lambda number: times[number + 1] - times[number - 1])
        self._db.execute("DELETE FROM progress WHERE id = ?", (rows[place]["id"],))
