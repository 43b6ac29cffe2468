"""Which jobs have changed since the last look, by whichever process: each writes what it did into the one journal."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchwright.journal.events import EventKind

if TYPE_CHECKING:
    from batchwright.journal.queries import Catalog

_LISTED_ANEW: frozenset[EventKind] = frozenset({"drafted", "restored", "ended"})
"""Events with which a job, or its results, come into being."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What is other than at the last look.

    Attributes:
        jobs: Ids of the jobs that changed, or are new.
        is_list_other: Whether there is a job, or there are results, that were not there before.
    """

    jobs: frozenset[str]
    is_list_other: bool


class Changes:
    """Remembers the last look; the first is at its making."""

    def __init__(self, catalog: "Catalog") -> None:
        self._catalog = catalog
        self._event = catalog.last_event()
        self._progress = catalog.progress()

    def look(self) -> Changed:
        """Say what has changed since the last look."""
        newest, progress = self._catalog.last_event(), self._catalog.progress()
        events = self._catalog.events_after(self._event)
        moved = {job_id for job_id, how_far in progress.items() if self._progress.get(job_id) != how_far}
        self._event, self._progress = newest, progress
        jobs = frozenset(moved | {job_id for job_id, _ in events})
        return Changed(jobs, any(kind in _LISTED_ANEW for _, kind in events))
