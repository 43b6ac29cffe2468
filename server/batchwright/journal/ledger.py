"""Money in the journal: reserved before it may be spent, released or settled afterwards. In whole micro-dollars.

A batch may run for a day, and its share stays reserved meanwhile. A trial takes less than a minute: it counts as spent
at its maximum before it is sent, and at its cost afterwards.

Every method of `Ledger` is part of a transaction that the journal has begun: a limit that was checked still holds when
the reservation is written.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from batchwright.core.errors import OverLimit
from batchwright.core.model import Part, SpendingLimits
from batchwright.core.money import format_most, format_usd, microusd, usd
from batchwright.journal.database import Database
from batchwright.journal.elapsed import Elapsed
from batchwright.journal.freezes import Freezes

DAY_SECONDS = 86_400
_LIFT_FIRST = (
    'Nothing is sent until the user agrees: list_jobs tells more, and submit_job with user_says="go_on" lifts it.'
)


class Ledger:
    """What was reserved, released and settled, in an open database."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.elapsed = Elapsed(db)

    def reserve(
        self, job_id: str, round_number: int, shares: Mapping[int, Decimal], *, agreed: Decimal, limits: SpendingLimits
    ) -> None:
        """Reserve what each part of a round may cost; *agreed* is the most that the user let the round cost.

        Raises:
            OverLimit: The sum is more than was agreed, or than the operator allows; nothing was reserved.
        """
        amounts = {part: usd(microusd(share)) for part, share in shares.items()}
        wanted, most = sum(amounts.values(), Decimal(0)), usd(microusd(agreed))
        if (needed := self._sum("job_id = ? AND round = ?", job_id, round_number) + wanted) > most:
            raise OverLimit(
                f"{job_id} may cost up to {format_most(needed)}, and {format_usd(most)} was agreed. "
                "Ask the user, then pass a higher max_cost_usd."
            )
        self.refuse_over_limits(job_id, wanted, limits)
        for part, amount in amounts.items():
            self._write("reserve", job_id, part, round_number, amount)

    def release(self, part: Part) -> None:
        """Release what is reserved for a part: nothing was bought."""
        if amount := self.reserved(part):
            self._write("release", part.job_id, part.number, part.round, amount)

    def settle(self, part: Part, cost_usd: Decimal | None) -> None:
        """Replace what is reserved for a part by its real cost; None: that is not known, so all of it counts."""
        if amount := self.reserved(part):
            self.release(part)
            cost = amount if cost_usd is None else cost_usd
            self._write("settle", part.job_id, part.number, part.round, cost)

    def move(self, part: Part, shares: Mapping[int, Decimal]) -> None:
        """Reserve for the pieces of a part what is reserved for it."""
        if self.reserved(part):
            self.release(part)
            for piece, share in shares.items():
                self._write("reserve", part.job_id, piece, part.round, share)

    def refuse_over_limits(self, job_id: str, wanted: Decimal, limits: SpendingLimits) -> None:
        """Refuse what would cost a job, or all jobs within 24 hours, more than the operator allows.

        Raises:
            OverLimit: It would.
        """
        tried = usd(self._db.first("SELECT sum(microusd) FROM trial WHERE job_id = ?", job_id) or 0)
        if (needed := self._sum("job_id = ?", job_id) + tried + wanted) > limits.job_usd:
            raise OverLimit(
                f"{job_id} may cost up to {format_most(needed)}, and the operator allows "
                f"{format_usd(limits.job_usd)} a job. Give it fewer rows or shorter answers, or have "
                "BATCHWRIGHT_MAX_JOB_USD raised."
            )
        self._refuse_full_day(wanted, limits.day_usd)

    def last_reserved(self, part: Part) -> Decimal | None:
        """Return what was last reserved for a part; None: never anything."""
        micro = self._db.first(
            "SELECT microusd FROM ledger WHERE job_id = ? AND part = ? AND kind = 'reserve' ORDER BY id DESC LIMIT 1",
            *(part.job_id, part.number),
        )
        return None if micro is None else usd(micro)

    def reserved(self, part: Part) -> Decimal:
        """Return what is reserved for a part now; each settlement releases it first."""
        return self._sum("kind <> 'settle' AND job_id = ? AND part = ?", part.job_id, part.number)

    def taken_of_day(self) -> Decimal:
        """Return what counts towards the daily limit: reserved now, or spent within the last 24 hours."""
        return self._sum("kind <> 'settle'") + sum((amount for _, amount in self._settled()), Decimal(0))

    def _sum(self, where: str, *values: object) -> Decimal:
        query = f"SELECT sum(CASE kind WHEN 'release' THEN -microusd ELSE microusd END) FROM ledger WHERE {where}"
        return usd(self._db.first(query, *values) or 0)

    def _refuse_full_day(self, wanted: Decimal, limit: Decimal) -> None:
        taken = self.taken_of_day()
        if taken + wanted <= limit:
            return
        if wanted > limit:
            raise OverLimit(
                f"All jobs together may cost {format_usd(limit)} within 24 hours, and this alone may take up to "
                f"{format_most(wanted)}. Draft it with fewer rows, or have BATCHWRIGHT_MAX_DAY_USD raised."
            )
        raise OverLimit(
            f"All jobs together may cost {format_usd(limit)} within 24 hours, of which {format_usd(taken)} is taken; "
            f"this would take up to {format_most(wanted)}. "
            f"{_wait_for_room(self._db.now(), self._settled(), taken + wanted - limit)}, or have "
            "BATCHWRIGHT_MAX_DAY_USD raised."
        )

    def _settled(self) -> list[tuple[float, Decimal]]:
        """Return what was spent within the last day, each with its age in seconds."""
        now = self.elapsed.seconds()
        rows = self._db.execute(
            "SELECT ? - elapsed AS age, microusd FROM ledger WHERE kind = 'settle' AND microusd > 0 AND age < ? "
            "UNION ALL SELECT ? - elapsed AS age, microusd FROM trial WHERE microusd > 0 AND age < ?",
            (now, DAY_SECONDS, now, DAY_SECONDS),
        ).fetchall()
        return [(row["age"], usd(row["microusd"])) for row in rows]

    def _write(self, kind: str, job_id: str, part: int, round_number: int, amount: Decimal) -> None:
        now = self._db.moment()
        self._db.execute(
            "INSERT INTO ledger (at, boot, uptime, elapsed, job_id, part, round, kind, microusd) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(now.at.isoformat(), now.uptime.boot, now.uptime.seconds, self.elapsed.note()),
                *(job_id, part, round_number, kind, microusd(amount)),
            ),
        )


def _wait_for_room(now: datetime, settled: list[tuple[float, Decimal]], too_much: Decimal) -> str:
    """Say when there is room again: when enough of what was spent is a day old."""
    freed = Decimal(0)
    for age, amount in sorted(settled, reverse=True):
        freed += amount
        if freed >= too_much:
            at = now + timedelta(seconds=DAY_SECONDS - age + 59)  # to the next whole minute
            return f"There is room again at {at.isoformat(timespec='minutes')}: submit it then"
    return "Wait until running jobs have ended and their real cost is known"


class Trials:
    """The trials of all jobs, in an open database. Each call is one transaction."""

    def __init__(self, db: Database, ledger: Ledger, freezes: Freezes) -> None:
        self._db = db
        self._ledger = ledger
        self._freezes = freezes

    def open(self, job_id: str, most_usd: Decimal, limits: SpendingLimits) -> int:
        """Count the most that a trial may cost as spent, before anything is sent, and return the trial's number.

        It counts for a day from now, even if nobody is left to record what it did cost.

        Raises:
            OverLimit: It may cost more than the operator allows a job, or all jobs within 24 hours.
            SubmissionsFrozen: Nothing is sent now.
        """
        with self._db.writing():
            self._freezes.refuse(_LIFT_FIRST)
            self._ledger.refuse_over_limits(job_id, most_usd, limits)
            now = self._db.moment()
            return self._db.first(
                "INSERT INTO trial (at, boot, uptime, elapsed, job_id, microusd) VALUES (?, ?, ?, ?, ?, ?) "
                "RETURNING id",
                *(now.at.isoformat(), now.uptime.boot, now.uptime.seconds, self._ledger.elapsed.note()),
                *(job_id, microusd(most_usd)),
            )

    def settle(self, number: int, cost_usd: Decimal) -> None:
        """Replace the most that a trial might have cost by what it did cost."""
        self._db.execute("UPDATE trial SET microusd = ? WHERE id = ?", (microusd(cost_usd), number))
