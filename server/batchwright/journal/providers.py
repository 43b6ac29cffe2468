"""What this journal knows about providers: their limits for enqueued batches, and which were searched for ours."""

from datetime import timedelta

from batchwright.core.model import LIVE_STATES, ProviderInfo
from batchwright.journal.database import Database

_LIVE = ", ".join(f"'{state}'" for state in LIVE_STATES)


class KnownProviders:
    """Enqueued limits and searched hosts, in an open database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def learn_enqueued_limit(self, provider: ProviderInfo, amount: int) -> None:
        """Record how much of a model the provider lets be enqueued."""
        self._db.execute(
            "INSERT OR REPLACE INTO enqueued_limit (host, model, amount, learned_at) VALUES (?, ?, ?, ?)",
            (provider.host, provider.model, amount, self._db.now().isoformat()),
        )

    def enqueued_limit(self, provider: ProviderInfo) -> int | None:
        """Return a model's enqueued limit if it was learned within the last day: it grows with the account."""
        since = (self._db.now() - timedelta(days=1)).isoformat()
        return self._db.first(
            "SELECT amount FROM enqueued_limit WHERE host = ? AND model = ? AND learned_at > ?",
            *(provider.host, provider.model, since),
        )

    def enqueued(self, provider: ProviderInfo) -> int:
        """Return how much of the enqueued limit all live batches of a model use."""
        load = self._db.first(
            f"SELECT sum(part.load) FROM part JOIN job ON job.id = part.job_id WHERE part.state IN ({_LIVE}) "
            "AND json_extract(job.provider, '$.host') = ? AND json_extract(job.provider, '$.model') = ?",
            *(provider.host, provider.model),
        )
        return load or 0

    def mark_searched(self, host: str) -> None:
        """Record that a host's batches were searched for those of a lost journal."""
        self._db.execute("INSERT OR IGNORE INTO known_host VALUES (?, ?)", (host, self._db.now().isoformat()))

    def was_searched(self, host: str) -> bool:
        """Whether a host's batches were searched for those of a lost journal."""
        return self._db.first("SELECT 1 FROM known_host WHERE host = ?", host) is not None
