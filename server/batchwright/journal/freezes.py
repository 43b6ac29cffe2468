"""Freezes: while one holds, nothing is submitted, by any process. In an open database."""

from batchwright.core.errors import SubmissionsFrozen
from batchwright.journal.database import Database

_ASK_FIRST = 'Nothing is submitted until the user agrees: then pass user_says="go_on".'


class Freezes:
    """Why nothing may be submitted; only the user's word lifts it."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def refuse(self, advice: str = _ASK_FIRST) -> None:
        """Refuse to continue during a freeze, with its reason and *advice*.

        Raises:
            SubmissionsFrozen: There is a freeze.
        """
        if reason := self.reason():
            raise SubmissionsFrozen(f"{reason} {advice}")

    def add(self, reason: str) -> None:
        """Stop all submissions until the user lifts the freeze."""
        self._db.execute("INSERT INTO freeze (at, reason) VALUES (?, ?)", (self._db.now().isoformat(), reason))

    def reason(self) -> str | None:
        """Return why nothing may be submitted now; None: there is no freeze."""
        rows = self._db.execute("SELECT DISTINCT reason FROM freeze WHERE lifted_at IS NULL ORDER BY id").fetchall()
        return " ".join(row[0] for row in rows) or None

    def lift(self) -> None:
        """Record that the user allows submissions again."""
        self._db.execute("UPDATE freeze SET lifted_at = ? WHERE lifted_at IS NULL", (self._db.now().isoformat(),))
