"""When the provider was last polled: whoever polls next does so for all callers and processes, and not too soon."""

from batchwright.core.clock import Uptime, seconds_between
from batchwright.journal.database import Database


class Looks:
    """When each thing was last polled, in an open database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def claim(self, what: str, seconds: float) -> bool:
        """Take the turn to poll *what*; false if somebody did within *seconds*."""
        with self._db.writing():
            if self.seconds_until_due(what, seconds) > 0:
                return False
            now = self._db.moment().uptime
            self._db.execute(
                "INSERT INTO look (what, boot, uptime, others) VALUES (?, ?, ?, '[]') "
                "ON CONFLICT (what) DO UPDATE SET boot = excluded.boot, uptime = excluded.uptime",
                (what, now.boot, now.seconds),
            )
        return True

    def seconds_until_due(self, what: str, seconds: float) -> float:
        """Return the seconds until *what*, polled at this interval, is due again."""
        row = self._db.execute("SELECT boot, uptime FROM look WHERE what = ?", (what,)).fetchone()
        if row is None:
            return 0.0
        last = Uptime(row["boot"], row["uptime"])
        return max(0.0, seconds - seconds_between(last, self._db.moment().uptime))

    def keep_others(self, account: str, others: str | None) -> None:
        """Record the batches of an account that this journal does not know."""
        with self._db.writing():
            self._db.execute("UPDATE look SET others = ? WHERE what = ?", (others, account))

    def others(self, account: str) -> str | None:
        """Return what `keep_others` was given last."""
        return self._db.first("SELECT others FROM look WHERE what = ?", account)
