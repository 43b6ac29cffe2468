"""The journal at a glance: ids, models and events of all jobs, without reading each of them whole."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from batchwright.core.model import Endpoint


class Catalog:
    """Looks over all jobs, in an open database."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def ids(self, typed: str, limit: int) -> tuple[list[str], int]:
        """Return the ids of jobs that hold *typed*, newest first, and how many there are in all."""
        where = "instr(id, ?) > 0"
        total = self._db.execute(f"SELECT count(*) FROM job WHERE {where}", (typed,)).fetchone()[0]
        rows = self._db.execute(
            f"SELECT id FROM job WHERE {where} ORDER BY created_at DESC, id LIMIT ?", (typed, limit)
        ).fetchall()
        return [row[0] for row in rows], total

    def models(self, endpoint: Endpoint) -> list[str]:
        """Return the models that jobs of an endpoint were made for, the last used first."""
        rows = self._db.execute(
            "SELECT json_extract(provider, '$.model') AS model FROM job WHERE json_extract(recipe, '$.endpoint') = ? "
            "GROUP BY model ORDER BY max(created_at) DESC",
            (endpoint,),
        )
        return [row[0] for row in rows.fetchall()]

    def job_of_file(self, file_id: str) -> str | None:
        """Return the id of the job that a provider's file belongs to."""
        row = self._db.execute(
            "SELECT job_id FROM part WHERE ? IN (file_id, output_file_id, error_file_id)", (file_id,)
        ).fetchone()
        return row[0] if row else None

    def changed_at(self, job_ids: Sequence[str]) -> dict[str, datetime]:
        """Return the time of the last event of each of some jobs."""
        marks = ", ".join("?" * len(job_ids))
        rows = self._db.execute(
            f"SELECT job_id, max(at) FROM event WHERE job_id IN ({marks}) GROUP BY job_id", tuple(job_ids)
        )
        return {row[0]: datetime.fromisoformat(row[1]) for row in rows.fetchall()}

    def last_event(self) -> int:
        """Return the number of the newest event; 0: there is none yet."""
        return self._db.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()[0]

    def events_after(self, number: int) -> list[tuple[str, str]]:
        """Return what happened since an event, by whichever process: the job, and the kind of the event."""
        rows = self._db.execute("SELECT job_id, kind FROM event WHERE id > ? ORDER BY id", (number,)).fetchall()
        return [(row["job_id"], row["kind"]) for row in rows]

    def progress(self) -> dict[str, tuple[int, int, str]]:
        """Return what is written without an event of jobs on their way: answered, failed, and their parts' notes."""
        rows = self._db.execute(
            "SELECT job_id, sum(completed), sum(failed), group_concat(coalesce(note, ''), char(10)) FROM "
            "(SELECT part.* FROM part JOIN job ON job.id = part.job_id "
            "WHERE job.submitted_at IS NOT NULL AND job.ended_at IS NULL ORDER BY part.job_id, part.number) "
            "GROUP BY job_id"
        )
        return {job_id: (completed, failed, notes) for job_id, completed, failed, notes in rows.fetchall()}
