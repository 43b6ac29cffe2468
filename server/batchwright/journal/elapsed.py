"""How much time has passed for the spending limits, whatever a clock is set to.

Time counts by the machine's uptime, which nobody can set. Time with the machine off counts once the provider has sent
its own time, and only as far as the provider's clock and the wall clock agree: neither alone frees money. Without a
provider's time, a day is 24 hours with the machine on; if the system does not identify its boots, at most 24 hours with
this program running.
"""

import sqlite3
from contextlib import suppress
from datetime import datetime

from batchwright.core.clock import Moment, Uptime, seconds_between
from batchwright.journal.database import Database

_KEPT_SECONDS = 600.0
"""The most that a restart forgets of the time before it."""


class Elapsed:
    """Seconds since the journal was made, in an open database: never more than have really passed."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def seconds(self) -> float:
        """Return the seconds that have passed."""
        row = self._row()
        # Read after the row, so that no other process can have written a later moment into it.
        return _seconds(row, self._db.moment())

    def note(self) -> float:
        """Record and return, within a transaction, the seconds that have passed."""
        row, now = self._row(), self._db.moment()
        return self._save(_seconds(row, now), now)

    def keep(self, told: datetime | None) -> None:
        """Record the time that has passed, at intervals; *told* is the time by the provider's clock."""
        if self._is_kept(told):
            return
        # On a full disk, less time counts for the limits, and everything else continues.
        with suppress(sqlite3.OperationalError), self._db.writing():
            row, now = self._row(), self._db.moment()
            seconds = _seconds(row, now)
            if told is None:
                self._save(seconds, now)
                return
            is_same_run = row is not None and row["told_boot"] is not None and row["told_boot"] == now.uptime.boot
            if row is not None and row["told_at"] and not is_same_run:
                by_provider = told - datetime.fromisoformat(row["told_at"])
                by_wall = now.at - datetime.fromisoformat(row["told_wall"])
                seconds = max(seconds, row["told_seconds"] + min(by_provider, by_wall).total_seconds())
            self._save(seconds, now)
            self._db.execute(
                "UPDATE elapsed SET told_at = ?, told_wall = ?, told_boot = ?, told_seconds = ?",
                (told.isoformat(), now.at.isoformat(), now.uptime.boot, seconds),
            )

    def _is_kept(self, told: datetime | None) -> bool:
        """Whether there is nothing new to record."""
        row, now = self._row(), self._db.moment()
        if row is None or (told is not None and row["told_boot"] != now.uptime.boot):
            return False
        return row["boot"] == now.uptime.boot and 0 <= now.uptime.seconds - row["uptime"] < _KEPT_SECONDS

    def _row(self) -> sqlite3.Row | None:
        return self._db.execute("SELECT * FROM elapsed").fetchone()

    def _save(self, seconds: float, now: Moment) -> float:
        self._db.execute(
            "INSERT INTO elapsed (id, seconds, boot, uptime) VALUES (1, ?, ?, ?) ON CONFLICT (id) DO UPDATE "
            "SET seconds = excluded.seconds, boot = excluded.boot, uptime = excluded.uptime",
            (seconds, now.uptime.boot, now.uptime.seconds),
        )
        return seconds


def _seconds(row: sqlite3.Row | None, now: Moment) -> float:
    return 0.0 if row is None else row["seconds"] + seconds_between(Uptime(row["boot"], row["uptime"]), now.uptime)
