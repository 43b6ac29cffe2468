"""What holds for all jobs: whether anything may be submitted, and what providers have let be known. In the journal."""

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta

from batchwright.core.errors import Frozen
from batchwright.core.machine import machine
from batchwright.core.model import LIVE_STATES, ProviderInfo
from batchwright.core.provenance import JOURNAL_KEY, MACHINE_KEY
from batchwright.journal.database import writing

_LIVE = ", ".join(f"'{state}'" for state in LIVE_STATES)


class Standing:
    """Freezes, learned limits and known providers, in an open database."""

    def __init__(self, db: sqlite3.Connection, now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now

    def refuse_while_frozen(self) -> None:
        """Refuse to go on while nothing may be submitted.

        Raises:
            Frozen: With the reason, and how the user lifts it.
        """
        if reason := self.frozen():
            raise Frozen(f'{reason} Nothing is submitted until the user agrees: then pass user_says="go_on".')

    def freeze(self, reason: str) -> None:
        """Have nothing submitted until the user says so."""
        with writing(self._db) as db:
            db.execute("INSERT INTO freeze (at, reason) VALUES (?, ?)", (self._now().isoformat(), reason))

    def frozen(self) -> str | None:
        """Say why nothing is submitted now; None: it is."""
        rows = self._db.execute("SELECT DISTINCT reason FROM freeze WHERE lifted_at IS NULL ORDER BY id").fetchall()
        return " ".join(row[0] for row in rows) or None

    def thaw(self) -> None:
        """Record the user's word that submitting may go on."""
        with writing(self._db) as db:
            db.execute("UPDATE freeze SET lifted_at = ? WHERE lifted_at IS NULL", (self._now().isoformat(),))

    def learn_enqueued_limit(self, provider: ProviderInfo, amount: int) -> None:
        """Record how much of a model the provider lets be enqueued."""
        with writing(self._db) as db:
            db.execute(
                "INSERT OR REPLACE INTO enqueued_limit (host, model, amount, learned_at) VALUES (?, ?, ?, ?)",
                (provider.host, provider.model, amount, self._now().isoformat()),
            )

    def enqueued_limit(self, provider: ProviderInfo) -> int | None:
        """Return what was learned of the enqueued limit of a model, within the last day: it grows with the account."""
        since = (self._now() - timedelta(days=1)).isoformat()
        row = self._db.execute(
            "SELECT amount FROM enqueued_limit WHERE host = ? AND model = ? AND learned_at > ?",
            (provider.host, provider.model, since),
        ).fetchone()
        return row[0] if row else None

    def enqueued(self, provider: ProviderInfo) -> int:
        """Return what all live batches of a model take of the enqueued limit."""
        row = self._db.execute(
            f"SELECT sum(part.load) FROM part JOIN job ON job.id = part.job_id WHERE part.state IN ({_LIVE}) "
            "AND json_extract(job.provider, '$.host') = ? AND json_extract(job.provider, '$.model') = ?",
            (provider.host, provider.model),
        ).fetchone()
        return row[0] or 0

    def origin(self) -> dict[str, str]:
        """Give what the batches of this journal say of where they come from."""
        own = {JOURNAL_KEY: str(self._db.execute("SELECT journal FROM identity").fetchone()[0])}
        return own | ({MACHINE_KEY: name} if (name := machine()) else {})

    def know_host(self, host: str) -> bool:
        """Record that a provider's batches were looked through; false if that was known."""
        with writing(self._db) as db:
            found = db.execute("INSERT OR IGNORE INTO known_host VALUES (?, ?)", (host, self._now().isoformat()))
        return found.rowcount > 0

    def is_host_known(self, host: str) -> bool:
        """Whether a provider's batches were looked through for those of a lost journal."""
        return self._db.execute("SELECT 1 FROM known_host WHERE host = ?", (host,)).fetchone() is not None
