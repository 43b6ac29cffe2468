"""How much time has gone by for the limits, whatever a clock is set to, in an open database.

Time counts by the machine's own clock, which nobody can set, as far as it is known to have run. What went by while the
machine was switched off counts once the provider has told its time, and then only as far as the provider's clock and
the wall clock agree: neither frees money alone. Where no provider tells it, a day is 24 hours with the machine on; on
systems that do not tell one run of the machine from another, at the latest 24 hours with this program on.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from batchwright.core.clock import Moment, Uptime, seconds_between
from batchwright.journal.database import writing

_KEPT_SECONDS = 600.0
"""A restart forgets at most so much of the time before it."""


class Elapsed:
    """Seconds that have gone by since the journal was made: never more than did."""

    def __init__(self, db: sqlite3.Connection, moment: Callable[[], Moment]) -> None:
        self._db = db
        self._moment = moment

    def seconds(self) -> float:
        """Return the seconds that have gone by."""
        row = self._row()
        # After the row: no other process can have written a later moment into it.
        return _seconds(row, self._moment())

    def note(self) -> float:
        """Write down, within a transaction, how many seconds have gone by, and give them."""
        row, now = self._row(), self._moment()
        return self._save(_seconds(row, now), now)

    def keep(self, told: datetime | None) -> None:
        """Write down from time to time how it stands; *told* is the time by the provider's clock."""
        if self._is_kept(told):
            return
        # On a full disk less time has gone by for the limits, and all else goes on.
        with suppress(sqlite3.OperationalError), writing(self._db):
            row, now = self._row(), self._moment()
            seconds = _seconds(row, now)
            if told is None:
                self._save(seconds, now)
                return
            if row is not None and row["told_at"] and not _is_same_run(row["told_boot"], now):
                by_provider = told - datetime.fromisoformat(row["told_at"])
                by_wall = now.at - datetime.fromisoformat(row["told_wall"])
                seconds = max(seconds, row["told_seconds"] + min(by_provider, by_wall).total_seconds())
            self._save(seconds, now)
            self._db.execute(
                "UPDATE elapsed SET told_at = ?, told_wall = ?, told_boot = ?, told_seconds = ?",
                (told.isoformat(), now.at.isoformat(), now.uptime.boot, seconds),
            )

    def _is_kept(self, told: datetime | None) -> bool:
        """Whether nothing new is to be written down now."""
        row, now = self._row(), self._moment()
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


def _is_same_run(boot: str | None, now: Moment) -> bool:
    return boot is not None and boot == now.uptime.boot
