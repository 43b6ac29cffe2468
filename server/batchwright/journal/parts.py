"""Parts in the journal, and what each change of a part does to its attempts and to the money reserved for it."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from batchwright.core import transitions
from batchwright.core.model import Part, SpendingLimits
from batchwright.core.money import microusd, share_out, usd
from batchwright.journal.attempts import Attempts, Closing
from batchwright.journal.database import Database
from batchwright.journal.events import EventKind, Events
from batchwright.journal.freezes import Freezes
from batchwright.journal.ledger import Ledger
from batchwright.journal.rows import PART_COLUMNS, part_values


class Parts:
    """The parts of all jobs, in an open database. Each call is one transaction, except for `add` and `update`."""

    def __init__(self, db: Database, attempts: Attempts, events: Events, ledger: Ledger, freezes: Freezes) -> None:
        self._db = db
        self._attempts = attempts
        self._events = events
        self._ledger = ledger
        self._freezes = freezes

    def add(self, parts: Sequence[Part]) -> None:
        """Write new parts, within a transaction."""
        marks = ", ".join("?" * len(PART_COLUMNS))
        self._db.executemany(f"INSERT INTO part ({', '.join(PART_COLUMNS)}) VALUES ({marks})", map(part_values, parts))

    def update(self, part: Part) -> None:
        """Write a part as it is now, within a transaction."""
        columns = ", ".join(f"{column} = ?" for column in PART_COLUMNS)
        values = (*part_values(part), part.job_id, part.number)
        self._db.execute(f"UPDATE part SET {columns} WHERE job_id = ? AND number = ?", values)

    def save(self, part: Part, event: EventKind | None = None, detail: str | None = None) -> Part:
        """Record and return a part as it is now; *event* records in the same transaction what happened.

        A part that is verified or failed is settled at its cost; without a batch, all that it reserved is released.
        """
        with self._db.writing():
            self.update(part)
            if part.state in {"verified", "failed"}:
                if part.batch_id is None:
                    self._ledger.release(part)
                else:
                    self._ledger.settle(part, part.cost_usd)
            if event:
                self._events.add(part.job_id, event, part.number, detail)
        return part

    def save_changed(self, part: Part, before: Part) -> Part:
        """Return a part, and record it unless it equals *before*."""
        return part if part == before else self.save(part)

    def split(self, part: Part, pieces: Sequence[Part]) -> None:
        """Replace a part that has no batch by smaller ones, which share what is reserved for it."""
        with self._db.writing():
            self.update(transitions.split(part))
            # What was written off counts as well: each piece needs its share of as much again.
            last = self._ledger.last_reserved(part) or Decimal(0)
            ceilings = {piece.number: piece.ceiling_usd for piece in pieces if piece.ceiling_usd}
            is_bounded = len(ceilings) == len(pieces)
            weights = ceilings if is_bounded else {piece.number: piece.requests for piece in pieces}
            shares = share_out(last, weights)
            if last and not is_bounded:
                pieces = [replace(piece, ceiling_usd=shares[piece.number]) for piece in pieces]
            self.add(pieces)
            self._ledger.move(part, shares)
            self._events.add(part.job_id, "split", part.number, len(pieces))

    def open_attempt(self, part: Part, nonce: str, *, share: Decimal | None, limits: SpendingLimits) -> Part:
        """Record, before anything is sent, that a batch is about to be made for *part*; return the part.

        *share* is what it may cost: it is reserved, unless it is already; None: nothing is charged.

        Raises:
            sqlite3.IntegrityError: Another attempt is open, or the part has a batch.
            OverLimit: It may cost more than was agreed, or than the operator allows.
            SubmissionsFrozen: Nothing is submitted now.
        """
        submitting = transitions.submitting(part)
        with self._db.writing():
            self._freezes.refuse()
            self._attempts.open(part, nonce)
            if share is not None and not self._ledger.reserved(part):
                before = self._ledger.last_reserved(part)
                shares = {part.number: share if before is None else before}
                self._ledger.reserve(part.job_id, part.round, shares, agreed=self._agreed(part), limits=limits)
            self.update(submitting)
            self._events.add(part.job_id, "submitting", part.number)
        return submitting

    def close_attempt(self, part: Part, outcome: Closing) -> Part:
        """Record how the part's open attempt ended, and the part as it is now, in one transaction; return the part.

        What is reserved counts as spent if the part is sent again or given up; if it was refused, it is released.
        """
        with self._db.writing():
            self._attempts.close(part, outcome)
            if outcome == "resent":
                # The user knows that it may be paid twice: as much is added to what was agreed.
                more = microusd(self._ledger.reserved(part)), part.job_id, part.round
                self._db.execute(
                    "UPDATE round SET agreed_microusd = agreed_microusd + ? WHERE job_id=? AND number=?", more
                )
            if outcome in {"resent", "given_up"}:
                self._ledger.settle(part, None)
            elif outcome == "refused" or part.state == "failed":
                self._ledger.release(part)
            self.update(part)
            self._events.add(part.job_id, "attempt_closed", part.number, outcome)
        return part

    def _agreed(self, part: Part) -> Decimal:
        query = "SELECT agreed_microusd FROM round WHERE job_id = ? AND number = ?"
        return usd(self._db.first(query, part.job_id, part.round) or 0)
