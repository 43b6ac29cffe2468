"""Trials in the journal: what it costs to try some requests of a job is counted before they are sent."""

import sqlite3
from decimal import Decimal

from batchwright.core.errors import Frozen
from batchwright.core.model import SpendingLimits
from batchwright.core.money import microusd
from batchwright.journal.database import writing
from batchwright.journal.freezes import Standing
from batchwright.journal.ledger import Ledger


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
