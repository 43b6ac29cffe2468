"""Questions about all jobs, answered without reading each of them whole."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from batchwright.core.machine import machine
from batchwright.core.model import Endpoint, Job, ProviderInfo, Recipe
from batchwright.core.provenance import JOURNAL_KEY, MACHINE_KEY
from batchwright.journal.database import Database


class Queries:
    """Reads from an open database, and changes nothing."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def origin(self) -> dict[str, str]:
        """Return the metadata by which batches of this journal say where they come from."""
        own = {JOURNAL_KEY: str(self._db.first("SELECT journal FROM identity"))}
        return own | ({MACHINE_KEY: name} if (name := machine()) else {})

    def has_job(self, job_id: str) -> bool:
        """Whether there is a job with this id."""
        return self._db.first("SELECT id FROM job WHERE id = ?", job_id) is not None

    def is_cancelled(self, job_id: str) -> bool:
        """Whether the user wants the job to end early."""
        return self._db.first("SELECT cancelled_at FROM job WHERE id = ?", job_id) is not None

    def job_count(self) -> int:
        """Count all jobs."""
        return self._db.first("SELECT count(*) FROM job")

    def unfinished(self) -> list[str]:
        """Return the ids of submitted jobs that have not finished, oldest first."""
        query = "SELECT id FROM job WHERE submitted_at IS NOT NULL AND ended_at IS NULL ORDER BY submitted_at, id"
        return [row[0] for row in self._db.execute(query).fetchall()]

    def same_job(self, job: Job) -> str | None:
        """Return the newest other submitted job with exactly the same requests."""
        return self._db.first(
            "SELECT id FROM job WHERE sha256 = ? AND sha256 <> '' AND id <> ? AND submitted_at IS NOT NULL "
            "AND (ended_at IS NULL OR json_extract(outcomes, '$.answered') > 0) ORDER BY submitted_at DESC LIMIT 1",
            job.sha256,
            job.id,
        )

    def drafted_round(self, job: Job) -> tuple[Recipe, ProviderInfo]:
        """Return recipe and provider of the round that a submission would run; without one, the current ones."""
        parts = job.drafted_parts
        row = self._db.execute(
            "SELECT recipe, provider FROM round WHERE job_id = ? AND number = ?",
            (job.id, parts[0].round if parts else job.round),
        ).fetchone()
        return msgspec.json.decode(row["recipe"], type=Recipe), msgspec.json.decode(row["provider"], type=ProviderInfo)

    def job_of_batch(self, batch_id: str, nonce: str = "") -> str | None:
        """Return the id of the job that a batch was made for, whether its part has it or an attempt left it behind."""
        return self._db.first(
            "SELECT job_id FROM part WHERE batch_id = ? UNION ALL "
            "SELECT job_id FROM attempt WHERE batch_id = ? OR nonce = ?",
            *(batch_id, batch_id, nonce),
        )

    def job_of_file(self, file_id: str) -> str | None:
        """Return the id of the job that a provider's file belongs to."""
        return self._db.first("SELECT job_id FROM part WHERE ? IN (file_id, output_file_id, error_file_id)", file_id)

    def ids(self, typed: str, limit: int) -> tuple[list[str], int]:
        """Return the ids of jobs that contain *typed*, newest first, and how many there are in all."""
        where = "instr(id, ?) > 0"
        total = self._db.first(f"SELECT count(*) FROM job WHERE {where}", typed)
        rows = self._db.execute(
            f"SELECT id FROM job WHERE {where} ORDER BY created_at DESC, id LIMIT ?", (typed, limit)
        ).fetchall()
        return [row[0] for row in rows], total

    def models(self, endpoint: Endpoint) -> list[str]:
        """Return the models that an endpoint's jobs use, the last used first."""
        rows = self._db.execute(
            "SELECT json_extract(provider, '$.model') AS model FROM job WHERE json_extract(recipe, '$.endpoint') = ? "
            "GROUP BY model ORDER BY max(created_at) DESC",
            (endpoint,),
        )
        return [row[0] for row in rows.fetchall()]

    def changed_at(self, job_ids: Sequence[str]) -> dict[str, datetime]:
        """Return when the last event of each job happened."""
        marks = ", ".join("?" * len(job_ids))
        rows = self._db.execute(
            f"SELECT job_id, max(at) FROM event WHERE job_id IN ({marks}) GROUP BY job_id", tuple(job_ids)
        )
        return {row[0]: datetime.fromisoformat(row[1]) for row in rows.fetchall()}

    def progress(self) -> dict[str, tuple[int, int, str]]:
        """Return what running jobs record without an event: rows answered and failed, and their parts' notes."""
        rows = self._db.execute(
            "SELECT job_id, sum(completed), sum(failed), group_concat(coalesce(note, ''), char(10)) FROM "
            "(SELECT part.* FROM part JOIN job ON job.id = part.job_id "
            "WHERE job.submitted_at IS NOT NULL AND job.ended_at IS NULL ORDER BY part.job_id, part.number) "
            "GROUP BY job_id"
        )
        return {job_id: (completed, failed, notes) for job_id, completed, failed, notes in rows.fetchall()}
