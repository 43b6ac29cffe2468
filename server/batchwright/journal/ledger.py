"""Money in the journal: reserved before it may be spent, released or settled afterwards. In whole micro-dollars.

A batch may run for a day, and its share stays reserved meanwhile. A trial is over within a minute: it counts as spent
at its most before it is sent, and at its cost afterwards.

Every method is part of a transaction that the journal has begun: a limit that is looked at here still holds when the
reservation is written.
"""

import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from batchwright.core.clock import Moment
from batchwright.core.errors import Frozen, OverLimit
from batchwright.core.model import SpendingLimits
from batchwright.core.money import format_most, format_usd, microusd, usd
from batchwright.journal.database import writing
from batchwright.journal.elapsed import Elapsed
from batchwright.journal.freezes import Standing

DAY_SECONDS = 86_400


class Ledger:
    """What was reserved, released and settled, in an open database."""

    def __init__(self, db: sqlite3.Connection, moment: Callable[[], Moment]) -> None:
        self._db = db
        self._moment = moment
        self.elapsed = Elapsed(db, moment)

    def reserve(
        self, job_id: str, round_number: int, shares: Mapping[int, int], *, agreed: int, limits: SpendingLimits
    ) -> None:
        """Reserve what each part of a round may cost; *agreed* is the most that the user let the round cost.

        Raises:
            OverLimit: The sum is more than was agreed, or than the operator allows; nothing was reserved.
        """
        wanted = sum(shares.values())
        if (needed := self._taken(job_id, round_number) + wanted) > agreed:
            raise OverLimit(
                f"{job_id} may cost up to {_most(needed)}, and {_shown(agreed)} was agreed. "
                "Ask the user, then pass a higher max_cost_usd."
            )
        self._refuse_dear_job(job_id, wanted, microusd(limits.job_usd))
        self._refuse_full_day(wanted, microusd(limits.day_usd))
        for part, amount in shares.items():
            self._write("reserve", job_id, part, round_number, amount)

    def release(self, job_id: str, part: int) -> None:
        """Let go of what is reserved for a part: nothing was bought."""
        round_number, amount = self.reserved(job_id, part)
        if amount:
            self._write("release", job_id, part, round_number, amount)

    def settle(self, job_id: str, part: int, cost: int | None) -> None:
        """Put the real cost of a part in the place of what was reserved; None: that is not known, so all counts."""
        round_number, amount = self.reserved(job_id, part)
        if amount:
            self._write("release", job_id, part, round_number, amount)
            self._write("settle", job_id, part, round_number, amount if cost is None else cost)

    def move(self, job_id: str, part: int, shares: Mapping[int, int]) -> None:
        """Reserve for the pieces of a part what is reserved for it."""
        round_number, amount = self.reserved(job_id, part)
        if amount:
            self._write("release", job_id, part, round_number, amount)
            for piece, share in shares.items():
                self._write("reserve", job_id, piece, round_number, share)

    def write_off(self, job_id: str, part: int) -> None:
        """Count what is reserved for a part as spent: a batch that nobody could find may have been made for it."""
        self.settle(job_id, part, None)

    def open_trial(self, job_id: str, most: int, *, limits: SpendingLimits) -> int:
        """Count the most that a trial of a job may cost as spent from now on, and give the trial's number.

        So it counts, and its day passes, also if nobody is left to say what it did cost.

        Raises:
            OverLimit: It may cost more than the operator allows; nothing was counted.
        """
        self._refuse_dear_job(job_id, most, microusd(limits.job_usd))
        self._refuse_full_day(most, microusd(limits.day_usd))
        now = self._moment()
        row = self._db.execute(
            "INSERT INTO trial (at, boot, uptime, elapsed, job_id, microusd) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
            (now.at.isoformat(), now.uptime.boot, now.uptime.seconds, self.elapsed.note(), job_id, most),
        ).fetchone()
        return row[0]

    def settle_trial(self, number: int, cost: int) -> None:
        """Put what a trial did cost in the place of the most that it might have."""
        self._db.execute("UPDATE trial SET microusd = ? WHERE id = ?", (cost, number))

    def last_reserved(self, job_id: str, part: int) -> int | None:
        """Return what was last reserved for a part; None: never anything."""
        row = self._db.execute(
            "SELECT microusd FROM ledger WHERE job_id = ? AND part = ? AND kind = 'reserve' ORDER BY id DESC LIMIT 1",
            (job_id, part),
        ).fetchone()
        return row[0] if row else None

    def reserved(self, job_id: str, part: int) -> tuple[int, int]:
        """Return the round and the amount of what is reserved for a part now."""
        row = self._db.execute(
            "SELECT max(round), sum(CASE kind WHEN 'reserve' THEN microusd ELSE -microusd END) FROM ledger "
            "WHERE job_id = ? AND part = ? AND kind <> 'settle'",
            (job_id, part),
        ).fetchone()
        return row[0] or 1, row[1] or 0

    def taken_of_day(self) -> int:
        """Return what counts for the limit of a day: reserved now, or spent within the last 24 hours."""
        return self._sum("kind <> 'settle'") + sum(amount for _, amount in self._settled())

    def _taken(self, job_id: str, round_number: int | None = None) -> int:
        where = "job_id = ?" if round_number is None else f"job_id = ? AND round = {round_number:d}"
        return self._sum(where, job_id)

    def _sum(self, where: str, *values: str) -> int:
        row = self._db.execute(
            f"SELECT sum(CASE kind WHEN 'release' THEN -microusd ELSE microusd END) FROM ledger WHERE {where}", values
        ).fetchone()
        return row[0] or 0

    def _refuse_dear_job(self, job_id: str, wanted: int, limit: int) -> None:
        row = self._db.execute("SELECT sum(microusd) FROM trial WHERE job_id = ?", (job_id,)).fetchone()
        if (needed := self._taken(job_id) + (row[0] or 0) + wanted) > limit:
            raise OverLimit(
                f"{job_id} may cost up to {_most(needed)}, and the operator allows {_shown(limit)} a job. Give it "
                "fewer rows or shorter answers, or have BATCHWRIGHT_MAX_JOB_USD raised."
            )

    def _refuse_full_day(self, wanted: int, limit: int) -> None:
        settled, taken = self._settled(), self.taken_of_day()
        too_much = taken + wanted - limit
        if too_much <= 0:
            return
        if wanted > limit:
            raise OverLimit(
                f"All jobs together may cost {_shown(limit)} within 24 hours, and this alone may take up to "
                f"{_most(wanted)}. Draft it with fewer rows, or have BATCHWRIGHT_MAX_DAY_USD raised."
            )
        raise OverLimit(
            f"All jobs together may cost {_shown(limit)} within 24 hours, of which {_shown(taken)} is taken; "
            f"this would take up to {_most(wanted)}. {_reset(self._moment().at, settled, too_much)}, or have "
            "BATCHWRIGHT_MAX_DAY_USD raised."
        )

    def _settled(self) -> list[tuple[float, int]]:
        """Return what was spent within the last day, each with its age in seconds."""
        now = self.elapsed.seconds()
        rows = self._db.execute(
            "SELECT ? - elapsed AS age, microusd FROM ledger WHERE kind = 'settle' AND microusd > 0 AND age < ? "
            "UNION ALL SELECT ? - elapsed AS age, microusd FROM trial WHERE microusd > 0 AND age < ?",
            (now, DAY_SECONDS, now, DAY_SECONDS),
        ).fetchall()
        return [(row["age"], row["microusd"]) for row in rows]

    def _write(self, kind: str, job_id: str, part: int, round_number: int, amount: int) -> None:
        now = self._moment()
        self._db.execute(
            "INSERT INTO ledger (at, boot, uptime, elapsed, job_id, part, round, kind, microusd) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(now.at.isoformat(), now.uptime.boot, now.uptime.seconds, self.elapsed.note()),
                *(job_id, part, round_number, kind, amount),
            ),
        )


def _reset(now: datetime, settled: list[tuple[float, int]], too_much: int) -> str:
    """Say when there is room again: when enough of what was spent is a day old."""
    freed = 0
    for age, amount in sorted(settled, reverse=True):
        freed += amount
        if freed >= too_much:
            at = now + timedelta(seconds=DAY_SECONDS - age + 59)  # to the next whole minute
            return f"There is room again at {at.isoformat(timespec='minutes')}: submit it then"
    return "Wait until running jobs have ended and their real cost is known"


def _most(micro: int) -> str:
    return format_most(usd(micro))


def _shown(micro: int) -> str:
    return format_usd(usd(micro))


class Trials:
    """The trials of all jobs, in an open database. Each call is one transaction."""

    def __init__(self, db: sqlite3.Connection, ledger: Ledger, standing: Standing) -> None:
        self._db = db
        self._ledger = ledger
        self._standing = standing

    def open(self, job_id: str, most_usd: Decimal, limits: SpendingLimits) -> int:
        """Count the most that a trial may cost as spent, before anything is sent, and give the trial's number.

        Raises:
            OverLimit: It may cost more than the operator allows a job, or all jobs within 24 hours.
            Frozen: Nothing is sent now.
        """
        with writing(self._db):
            if reason := self._standing.frozen():
                raise Frozen(
                    f"{reason} Nothing is sent until the user agrees: list_jobs tells more, and submit_job with "
                    'user_says="go_on" lifts it.'
                )
            return self._ledger.open_trial(job_id, microusd(most_usd), limits=limits)

    def settle(self, number: int, cost_usd: Decimal) -> None:
        """Put what a trial did cost in the place of the most that it might have."""
        with writing(self._db):
            self._ledger.settle_trial(number, microusd(cost_usd))
