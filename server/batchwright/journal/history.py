"""The course of jobs over time, for charts only: no decision depends on it."""

import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from batchwright.core.model import Job, Outcome
from batchwright.journal.database import Database

MAX_POINTS = 100
"""Of one job. Beyond that, the point that shows least is dropped."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Point:
    """The outcomes of a job's rows at one time; the sum is the number of rows."""

    at: datetime
    counts: Mapping[Outcome, int]
    round: int = 1


class History:
    """Points of progress, in an open database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def note(self, job: Job) -> None:
        """Record a submitted job's progress if it has changed."""
        if job.submitted_at is None:
            return
        counts = msgspec.json.encode({name: count for name, count in job.counts.items() if count}).decode()
        try:
            last = self._db.execute(
                "SELECT counts, round FROM progress WHERE job_id = ? ORDER BY id DESC LIMIT 1", (job.id,)
            ).fetchone()
            if last is None or tuple(last) != (counts, job.round):
                with self._db.writing():
                    self._db.execute(
                        "INSERT INTO progress (job_id, at, round, counts) VALUES (?, ?, ?, ?)",
                        (job.id, self._db.now().isoformat(), job.round, counts),
                    )
                    self._thin(job.id)
        except sqlite3.Error as error:
            # A job must not stop because of its chart.
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
        """If there are too many points, drop the one whose neighbours are closest; the first and the last stay."""
        rows = self._db.execute("SELECT id, at FROM progress WHERE job_id = ? ORDER BY id", (job_id,)).fetchall()
        if len(rows) <= MAX_POINTS:
            return
        times = [datetime.fromisoformat(row["at"]).timestamp() for row in rows]
        place = min(range(1, len(rows) - 1), key=lambda number: times[number + 1] - times[number - 1])
        self._db.execute("DELETE FROM progress WHERE id = ?", (rows[place]["id"],))
