"""Which jobs have changed since the last check, in whichever process: all write to the one journal."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchwright.journal.events import EventKind

if TYPE_CHECKING:
    from batchwright.journal.journal import Journal

_NEW_IN_LISTS: frozenset[EventKind] = frozenset({"drafted", "restored", "ended"})
"""Events that bring a job, or its results, into being."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The ids of jobs that are new or changed, and whether lists of jobs and results have new entries."""

    jobs: frozenset[str]
    has_new_entries: bool


class Changes:
    """Remembers what the last check found; the first one is made on construction."""

    def __init__(self, journal: "Journal") -> None:
        self._journal = journal
        self._event = journal.events.newest()
        self._progress = journal.queries.progress()

    def check(self) -> Changed:
        """Return what has changed since the last check."""
        newest, progress = self._journal.events.newest(), self._journal.queries.progress()
        events = self._journal.events.after(self._event)
        moved = {job_id for job_id, how_far in progress.items() if self._progress.get(job_id) != how_far}
        self._event, self._progress = newest, progress
        jobs = frozenset(moved | {job_id for job_id, _ in events})
        return Changed(jobs, any(kind in _NEW_IN_LISTS for _, kind in events))
