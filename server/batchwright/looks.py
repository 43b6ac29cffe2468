"""Looks at the provider, in the journal: who asks next asks for all callers and processes, and not too soon."""

import sqlite3
from collections.abc import Callable
from datetime import datetime

from batchwright.clock import Moment, Uptime, seconds_between
from batchwright.database import writing


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
            now = self._moment()
            db.execute(
                "INSERT INTO look (what, at, boot, uptime, others) VALUES (?, ?, ?, ?, '[]') "
                "ON CONFLICT (what) DO UPDATE SET at = excluded.at, boot = excluded.boot, uptime = excluded.uptime",
                (what, now.at.isoformat(), now.uptime.boot, now.uptime.seconds),
            )
        return True

    def seconds_until_due(self, what: str, seconds: float) -> float:
        """Return how long *what* need not be looked at, if it is looked at every so many *seconds*."""
        row = self._db.execute("SELECT at, boot, uptime FROM look WHERE what = ?", (what,)).fetchone()
        if row is None:
            return 0.0
        last, now = Moment(datetime.fromisoformat(row["at"]), Uptime(row["boot"], row["uptime"])), self._moment()
        # Either may be later, where only the wall clock tells: one that was set back must not end all looking.
        return max(0.0, seconds - max(seconds_between(last, now), seconds_between(now, last)))

    def keep_others(self, account: str, others: str | None) -> None:
        """Record the batches of an account that this journal does not know."""
        with writing(self._db) as db:
            db.execute("UPDATE look SET others = ? WHERE what = ?", (others, account))

    def others(self, account: str) -> str | None:
        """Return what `keep_others` was given last."""
        row = self._db.execute("SELECT others FROM look WHERE what = ?", (account,)).fetchone()
        return row["others"] if row else None
