"""What has to be waited for, in the journal: a process that takes over waits for the rest of the time, not anew."""

import sqlite3
from datetime import timedelta

from batchwright.core.clock import Uptime, seconds_between
from batchwright.core.model import Part, ProviderInfo
from batchwright.journal.database import Database

LONGEST_PAUSE_SECONDS = 1_800.0


class Waits:
    """Pauses after refusals, results that were fetched before, and tightened limits, in an open database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def pause(self, part: Part, seconds: float | None, *, first_seconds: float) -> None:
        """Leave a part alone for *seconds*; without them for *first_seconds*, and twice as long each further time."""
        with self._db.writing():
            last = self._db.first("SELECT seconds FROM pause WHERE job_id = ? AND part = ?", part.job_id, part.number)
            wanted = seconds if seconds is not None else first_seconds if last is None else last * 2
            now = self._db.moment().uptime
            self._db.execute(
                "INSERT OR REPLACE INTO pause (job_id, part, boot, uptime, seconds) VALUES (?, ?, ?, ?, ?)",
                (part.job_id, part.number, now.boot, now.seconds, min(wanted, LONGEST_PAUSE_SECONDS)),
            )

    def paused(self, job_id: str) -> frozenset[int]:
        """Return the numbers of the parts that are to be left alone now."""
        rows = self._db.execute("SELECT * FROM pause WHERE job_id = ?", (job_id,)).fetchall()
        return frozenset(row["part"] for row in rows if self._seconds_since(row) < row["seconds"])

    def count_fetch(self, part: Part, content: str) -> tuple[int, float]:
        """Count that a part's results came as *content*; return how often by now, and the seconds since the first."""
        with self._db.writing():
            now = self._db.moment().uptime
            row = self._db.execute(
                "INSERT INTO fetch (job_id, part, content, boot, uptime, times) VALUES (?, ?, ?, ?, ?, 1) "
                "ON CONFLICT (job_id, part, content) DO UPDATE SET times = times + 1 RETURNING *",
                (part.job_id, part.number, content, now.boot, now.seconds),
            ).fetchone()
            return row["times"], self._seconds_since(row)

    def tighten_limit(self, provider: ProviderInfo, amount: int) -> None:
        """Record that no more than *amount* of a model may be enqueued, whatever the provider says."""
        with self._db.writing():
            self._db.execute(
                "INSERT OR REPLACE INTO tightened_limit (host, model, amount, found_at) VALUES (?, ?, ?, ?)",
                (provider.host, provider.model, amount, self._db.moment().at.isoformat()),
            )

    def tightened_limit(self, provider: ProviderInfo) -> int | None:
        """Return what was found within the last day to be the most that may be enqueued: it grows with the account."""
        since = (self._db.moment().at - timedelta(days=1)).isoformat()
        query = "SELECT amount FROM tightened_limit WHERE host = ? AND model = ? AND found_at > ?"
        return self._db.first(query, provider.host, provider.model, since)

    def _seconds_since(self, row: sqlite3.Row) -> float:
        return seconds_between(Uptime(row["boot"], row["uptime"]), self._db.moment().uptime)
