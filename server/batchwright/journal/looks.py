"""Looks at the provider, in the journal: who asks next asks for all callers and processes, and not too soon."""

import sqlite3
from collections.abc import Callable

from batchwright.core.clock import Moment, Uptime, seconds_between
from batchwright.journal.database import writing


class Looks:
    """When each thing was last looked at, in an open database."""

    def __init__(self, db: sqlite3.Connection, moment: Callable[[], Moment]) -> None:
        self._db = db
        self._moment = moment

    def claim(self, what: str, seconds: float) -> bool:
        """Take the turn to look at *what*; false if somebody did within *seconds*."""
        with writing(self._db) as db:
            if self.seconds_until_due(what, seconds) > 0:
                return False
            now = self._moment().uptime
            db.execute(
                "INSERT INTO look (what, boot, uptime, others) VALUES (?, ?, ?, '[]') "
                "ON CONFLICT (what) DO UPDATE SET boot = excluded.boot, uptime = excluded.uptime",
                (what, now.boot, now.seconds),
            )
        return True

    def seconds_until_due(self, what: str, seconds: float) -> float:
        """Return how long *what* need not be looked at, if it is looked at every so many *seconds*."""
        row = self._db.execute("SELECT boot, uptime FROM look WHERE what = ?", (what,)).fetchone()
        if row is None:
            return 0.0
        last = Uptime(row["boot"], row["uptime"])
        return max(0.0, seconds - seconds_between(last, self._moment().uptime))

    def keep_others(self, account: str, others: str | None) -> None:
        """Record the batches of an account that this journal does not know."""
        with writing(self._db) as db:
            db.execute("UPDATE look SET others = ? WHERE what = ?", (others, account))

    def others(self, account: str) -> str | None:
        """Return what `keep_others` was given last."""
        row = self._db.execute("SELECT others FROM look WHERE what = ?", (account,)).fetchone()
        return row["others"] if row else None
