"""Attempts: every time that the provider was, or may have been, asked to make a batch of a part."""

import sqlite3
from dataclasses import dataclass
from typing import Literal

from batchwright.core.clock import Uptime, seconds_between
from batchwright.core.model import Part
from batchwright.journal.database import Database

Closing = Literal["created", "refused", "not_sent", "void", "resent", "given_up"]
"""How an attempt ended. `void`: its batch was refused whole and ran nothing; `resent`: the user had it sent again;
`given_up`: the user gave it up."""

_LATE_SECONDS = 2 * 86_400
"""How long a finished job keeps looking for a batch that one of its attempts may have made."""
_ABANDONED = "job_id = ? AND outcome IN ('resent', 'given_up') AND batch_id IS NULL"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt for a part. By the provider's clock, no batch of it is older than *file_created_at*; 0: not known."""

    nonce: str
    part: int
    file_created_at: int


class Attempts:
    """The attempts of all parts, in an open database. `Parts` opens and closes them, within its transactions."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def open(self, part: Part, nonce: str) -> None:
        """Record that a batch is about to be made for *part*.

        Raises:
            sqlite3.IntegrityError: Another attempt is open, or the part has a batch.
        """
        now = self._db.moment()
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
            (part.job_id, part.number, nonce, part.file_id or "", self._db.moment().at.isoformat(), part.batch_id),
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
        """Return how long the part's open attempt has been open, however the wall clock was set meanwhile."""
        row = self._open_attempt(part)
        return self._age(row) if row else 0.0

    def count(self, part: Part, outcome: Closing | None = None) -> int:
        """Count the part's closed attempts, or those closed as *outcome*."""
        return self._db.first(
            "SELECT count(*) FROM attempt WHERE job_id = ? AND part = ? AND outcome <> 'open' AND outcome LIKE ?",
            *(part.job_id, part.number, outcome or "%"),
        )

    def abandoned(self, job_id: str) -> dict[str, Attempt]:
        """Return, by nonce, the attempts that were sent again or given up and whose batch has not shown up."""
        rows = self._db.execute(f"SELECT * FROM attempt WHERE {_ABANDONED}", (job_id,))
        return {row["nonce"]: Attempt(row["nonce"], row["part"], row["file_created_at"] or 0) for row in rows}

    def may_show_up(self, job_id: str) -> bool:
        """Whether a finished job still looks for a batch of an attempt that was sent again or given up."""
        rows = self._db.execute(f"SELECT * FROM attempt WHERE {_ABANDONED}", (job_id,)).fetchall()
        return any(self._age(row) < _LATE_SECONDS for row in rows)

    def found_late(self, nonce: str, batch_id: str, outcome: Closing = "resent") -> None:
        """Record the batch that an attempt had made after all, though the user had it sent again or gave it up."""
        self._db.execute("UPDATE attempt SET batch_id = ?, outcome = ? WHERE nonce = ?", (batch_id, outcome, nonce))

    def _open_attempt(self, part: Part) -> sqlite3.Row | None:
        return self._db.execute(
            "SELECT * FROM attempt WHERE job_id = ? AND part = ? AND outcome = 'open'", (part.job_id, part.number)
        ).fetchone()

    def _age(self, opened: sqlite3.Row) -> float:
        return seconds_between(Uptime(opened["opened_boot"], opened["opened_uptime"]), self._db.moment().uptime)
