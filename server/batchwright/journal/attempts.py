"""Attempts in the journal: every time that the provider was, or may have been, asked to make a batch of a part.

What writes is part of a transaction that the journal has begun.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from batchwright.core.clock import Moment, Uptime, seconds_between
from batchwright.core.model import Part

Closing = Literal["created", "refused", "not_sent", "void", "resent", "given_up"]
"""How an attempt ended. `void`: its batch was refused whole and ran nothing; `resent`: the user had it sent again;
`given_up`: the user left it."""

_LATE_SECONDS = 2 * 86_400
"""How long a batch is looked for that an attempt may still have made, once its job has ended."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt.

    Attributes:
        file_created_at: By the provider's clock: no batch of the attempt is older. 0: not known.
    """

    nonce: str
    part: int
    file_created_at: int


class Attempts:
    """The attempts of all parts, in an open database."""

    def __init__(self, db: sqlite3.Connection, moment: Callable[[], Moment]) -> None:
        self._db = db
        self._moment = moment

    def open(self, part: Part, nonce: str) -> None:
        """Record that a batch is about to be made for *part*.

        Raises:
            sqlite3.IntegrityError: Another attempt is open, or the part has a batch.
        """
        now = self._moment()
        self._db.execute(
            "INSERT INTO attempt (job_id, part, nonce, file_id, file_created_at, opened_at, opened_boot, opened_uptime)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(part.job_id, part.number, nonce, part.file_id, part.file_created_at),
                *(now.at.isoformat(), now.uptime.boot, now.uptime.seconds),
            ),
        )

    def add_made(self, part: Part, nonce: str) -> None:
        """Record the attempt of another journal that made the part's batch."""
        self._db.execute(
            "INSERT INTO attempt (job_id, part, nonce, file_id, opened_at, outcome, batch_id) "
            "VALUES (?, ?, ?, ?, ?, 'created', ?)",
            (part.job_id, part.number, nonce, part.file_id or "", self._moment().at.isoformat(), part.batch_id),
        )

    def close(self, part: Part, outcome: Closing) -> None:
        """Record how the part's open attempt ended; a `void` one had made a batch."""
        live = "'created'" if outcome == "void" else "'open'"
        self._db.execute(
            "UPDATE attempt SET outcome = ?, batch_id = coalesce(?, batch_id) "
            f"WHERE job_id = ? AND part = ? AND outcome = {live}",
            (outcome, part.batch_id, part.job_id, part.number),
        )

    def open_nonce(self, part: Part) -> str | None:
        """Return the nonce of the part's open attempt."""
        row = self._open_attempt(part)
        return row["nonce"] if row else None

    def seconds_open(self, part: Part) -> float:
        """Return how long the part's open attempt has been open; it does not matter how the clock was set meanwhile."""
        row = self._open_attempt(part)
        if row is None:
            return 0.0
        return seconds_between(_opened(row), self._moment().uptime)

    def count(self, part: Part, outcome: Closing | None = None) -> int:
        """Count the part's attempts that are not open, or those that ended like *outcome*."""
        row = self._db.execute(
            "SELECT count(*) FROM attempt WHERE job_id = ? AND part = ? AND outcome <> 'open' AND outcome LIKE ?",
            (part.job_id, part.number, outcome or "%"),
        ).fetchone()
        return row[0]

    def left(self, job_id: str) -> dict[str, Attempt]:
        """Return the attempts that were sent again or given up, by nonce, but for those whose batch was found late.

        No batch should show up that has one of these nonces.
        """
        rows = self._db.execute(
            "SELECT nonce, part, coalesce(file_created_at, 0) AS since FROM attempt "
            "WHERE job_id = ? AND outcome IN ('resent', 'given_up') AND batch_id IS NULL",
            (job_id,),
        )
        return {row["nonce"]: Attempt(row["nonce"], row["part"], row["since"]) for row in rows.fetchall()}

    def may_show_up(self, job_id: str) -> bool:
        """Whether a batch that was sent again or given up is still to be looked for, though its job has ended."""
        rows = self._db.execute(
            "SELECT * FROM attempt WHERE job_id = ? AND outcome IN ('resent', 'given_up') AND batch_id IS NULL",
            (job_id,),
        )
        now = self._moment().uptime
        return any(seconds_between(_opened(row), now) < _LATE_SECONDS for row in rows.fetchall())

    def found_late(self, nonce: str, batch_id: str, outcome: Closing = "resent") -> None:
        """Record the batch that an attempt had made after all, though the user had it sent again or left it."""
        self._db.execute("UPDATE attempt SET batch_id = ?, outcome = ? WHERE nonce = ?", (batch_id, outcome, nonce))

    def job_of(self, batch_id: str, nonce: str) -> str | None:
        """Return the id of the job for which an attempt made a batch, as far as it is known, or one with its nonce."""
        row = self._db.execute(
            "SELECT job_id FROM attempt WHERE batch_id = ? OR nonce = ?", (batch_id, nonce)
        ).fetchone()
        return row[0] if row else None

    def _open_attempt(self, part: Part) -> sqlite3.Row | None:
        return self._db.execute(
            "SELECT * FROM attempt WHERE job_id = ? AND part = ? AND outcome = 'open'", (part.job_id, part.number)
        ).fetchone()


def _opened(row: sqlite3.Row) -> Uptime:
    return Uptime(row["opened_boot"], row["opened_uptime"])
