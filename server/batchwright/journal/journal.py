"""The journal of all jobs: a database whose parts are used directly, and the changes that concern a job as a whole.

Synchronous: each call is one short transaction.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from batchwright.core.clock import Uptime, uptime
from batchwright.core.errors import NotFound, NotReady
from batchwright.core.model import Job, Outcome, Part, SpendingLimits
from batchwright.core.money import microusd
from batchwright.journal.attempts import Attempts
from batchwright.journal.database import open_database
from batchwright.journal.events import Events
from batchwright.journal.freezes import Freezes
from batchwright.journal.history import History
from batchwright.journal.ledger import Ledger, Trials
from batchwright.journal.looks import Looks
from batchwright.journal.parts import Parts
from batchwright.journal.providers import KnownProviders
from batchwright.journal.queries import Queries
from batchwright.journal.rows import encode, job_of
from batchwright.journal.waits import Waits


class Journal:
    """An open journal. Not to be used from two threads; several processes may have the same one open."""

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], datetime],
        uptime: Callable[[], Uptime] = uptime,
        for_disk: bool = True,
    ) -> None:
        """Open the journal at *path*, and make or migrate it; see `Waiting` for *for_disk*.

        Raises:
            InvalidInput: It cannot be opened, or a newer program wrote it.
        """
        self._db = open_database(path, now=now, uptime=uptime, for_disk=for_disk)
        self.attempts = Attempts(self._db)
        self.events = Events(self._db)
        self.freezes = Freezes(self._db)
        self.history = History(self._db)
        self.ledger = Ledger(self._db)
        self.elapsed = self.ledger.elapsed
        self.looks = Looks(self._db)
        self.parts = Parts(self._db, self.attempts, self.events, self.ledger, self.freezes)
        self.providers = KnownProviders(self._db)
        self.queries = Queries(self._db)
        self.trials = Trials(self._db, self.ledger, self.freezes)
        self.waits = Waits(self._db)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def add_job(self, job: Job, *, nonces: Mapping[int, str] | None = None) -> None:
        """Record a draft with its parts; with *nonces*, of another journal: parts of these numbers have batches."""
        now = self._db.now().isoformat()
        with self._db.writing():
            self._db.execute(
                "INSERT INTO job (id, created_at, source, recipe, provider, submitted_at, sha256) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *(job.id, job.created_at.isoformat()),
                    *map(encode, (job.source, job.recipe, job.provider)),
                    *(now if nonces else None, job.sha256),
                ),
            )
            self._add_round(job, 1, {}, job.parts)
            for part in job.parts:
                if nonces and part.number in nonces:
                    self.attempts.add_made(part, nonces[part.number])
            self.events.add(job.id, "drafted" if nonces is None else "restored")

    def add_round(self, job: Job, parts: Sequence[Part], *, kept: Mapping[Outcome, int]) -> None:
        """Record a drafted round over some of a job's rows, in place of one that was never submitted.

        *job* has the round's recipe and provider; *kept* are the rows that the round leaves as they are.

        Raises:
            NotReady: The job has been submitted again meanwhile.
        """
        with self._db.writing():
            now = self.job(job.id)
            if now.ended_at is None or now.round != job.round:
                raise NotReady(f"{job.id} was submitted again meanwhile, so no retry was drafted. See `check_job`.")
            self._forget_drafted_round(job)
            self._add_round(job, job.round + 1, kept, parts)
            self.events.add(job.id, "round_drafted", detail=job.round + 1)

    def give_batch(self, part: Part, nonce: str | None = None) -> bool:
        """Record a batch that was found for a part of a finished job, which then runs again.

        With *nonce*, another journal's attempt made it. Returns false, and changes nothing, if the job is running or
        the part has another batch. A drafted retry is forgotten: its rows may have answers now.
        """
        with self._db.writing():
            job = self.job(part.job_id)
            (before,) = [each for each in job.parts if each.number == part.number]
            if job.ended_at is None or before.batch_id not in {None, part.batch_id}:
                return False
            if nonce is not None:
                self.attempts.add_made(part, nonce)
            self._run_again(job, part)
            self._db.execute("UPDATE job SET cancelled_at = NULL WHERE id = ?", (job.id,))
        return True

    def job(self, job_id: str) -> Job:
        """Return the job with its parts.

        Raises:
            NotFound: There is none with this id.
        """
        row = self._db.execute("SELECT * FROM job WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            raise NotFound(f"There is no job {job_id[:80]!r}. `list_jobs` shows the ids.")
        return self._job(row)

    def forget_draft(self, job: Job) -> bool:
        """Remove a draft: all of *job*, or its drafted round; false if it was submitted meanwhile."""
        with self._db.writing():
            now = self.job(job.id)
            if now.submitted_at != job.submitted_at or now.drafted_parts != job.drafted_parts:
                return False
            if now.submitted_at is not None:
                self._forget_drafted_round(now)
                self.events.add(job.id, "retry_discarded")
                return True
            for table in ("event", "part", "round"):
                self._db.execute(f"DELETE FROM {table} WHERE job_id = ?", (job.id,))
            self._db.execute("DELETE FROM job WHERE id = ?", (job.id,))
        return True

    def jobs(self, *, limit: int, offset: int = 0) -> list[Job]:
        """Return jobs, newest first."""
        rows = self._db.execute("SELECT * FROM job ORDER BY created_at DESC, id LIMIT ? OFFSET ?", (limit, offset))
        return [self._job(row) for row in rows.fetchall()]

    def agree(
        self, drafted: Job, shares: Mapping[int, Decimal], *, agreed_usd: Decimal | None, limits: SpendingLimits
    ) -> bool:
        """Let the drafted round of a job run, and reserve what each of its parts may cost, in one transaction.

        *drafted* is what the user agreed to. Returns false, and changes nothing, if it was submitted before.

        Raises:
            NotReady: Another process has submitted the job, or drafted it again, meanwhile.
            OverLimit: It may cost more than was agreed, or than the operator allows.
            SubmissionsFrozen: Nothing is submitted now.
        """
        now, job_id = self._db.now().isoformat(), drafted.id
        with self._db.writing():
            job = self.job(job_id)
            if not job.drafted_parts:
                return False
            if job.submitted_at is not None and job.ended_at is None:
                raise NotReady(f"{job_id} is running again, so nothing was submitted. See `check_job`.")
            if job.drafted_parts != drafted.drafted_parts:
                raise NotReady(f"{job_id} was drafted again meanwhile, so nothing was submitted. Submit it again.")
            self.freezes.refuse()
            number = job.drafted_parts[0].round
            if agreed_usd is not None:
                self.ledger.reserve(job_id, number, shares, agreed=agreed_usd, limits=limits)
                self._db.execute(
                    "UPDATE round SET agreed_microusd = ? WHERE job_id = ? AND number = ?",
                    (microusd(agreed_usd), job_id, number),
                )
            self._db.execute(
                "UPDATE job SET round = ?, submitted_at = coalesce(submitted_at, ?), cancelled_at = NULL, "
                "ended_at = NULL, outcomes = NULL, (recipe, provider) = "
                "(SELECT recipe, provider FROM round WHERE job_id = job.id AND number = ?) WHERE id = ?",
                (number, now, number, job_id),
            )
            if number == 1:
                self.events.add(job_id, "submitted")
            else:
                self.events.add(job_id, "round_submitted", detail=number)
        return True

    def mark_cancelled(self, job_id: str) -> None:
        """Record that the user wants the job to end early; a second time changes nothing."""
        with self._db.writing():
            changed = self._db.execute(
                "UPDATE job SET cancelled_at = ? WHERE id = ? AND cancelled_at IS NULL",
                (self._db.now().isoformat(), job_id),
            ).rowcount
            if changed:
                self.events.add(job_id, "cancelled")

    def mark_ended(self, job_id: str, outcomes: Mapping[Outcome, int], *, tokens: tuple[int, int]) -> None:
        """Record, once, the end of a job: what became of its rows, and its input and output tokens."""
        with self._db.writing():
            changed = self._db.execute(
                "UPDATE job SET ended_at = ?, outcomes = ?, input_tokens = ?, output_tokens = ? "
                "WHERE id = ? AND ended_at IS NULL",
                (self._db.now().isoformat(), encode(outcomes), *tokens, job_id),
            ).rowcount
            if changed:
                self.events.add(job_id, "ended")

    def keep_late(self, part: Part, nonce: str) -> None:
        """Record a part's batch that showed up late and was not sent again; a finished job runs again."""
        with self._db.writing():
            self.attempts.found_late(nonce, part.batch_id or "", "created")
            self._run_again(self.job(part.job_id), part)

    def _run_again(self, job: Job, part: Part) -> None:
        self._forget_drafted_round(job)
        self.parts.update(part)
        self._db.execute("UPDATE job SET ended_at = NULL, outcomes = NULL WHERE id = ?", (job.id,))
        self.events.add(job.id, "batch_found", part.number)

    def _add_round(self, job: Job, number: int, kept: Mapping[Outcome, int], parts: Sequence[Part]) -> None:
        self._db.execute(
            "INSERT INTO round (job_id, number, recipe, provider, kept, drafted_at) VALUES (?, ?, ?, ?, ?, ?)",
            (job.id, number, *map(encode, (job.recipe, job.provider, kept)), self._db.now().isoformat()),
        )
        self.parts.add(parts)

    def _forget_drafted_round(self, job: Job) -> None:
        self._db.execute("DELETE FROM part WHERE job_id = ? AND round = ?", (job.id, job.round + 1))
        self._db.execute("DELETE FROM round WHERE job_id = ? AND number = ?", (job.id, job.round + 1))

    def _job(self, row: sqlite3.Row) -> Job:
        parts = self._db.execute("SELECT * FROM part WHERE job_id = ? ORDER BY number", (row["id"],)).fetchall()
        current = self._db.execute(
            "SELECT kept, agreed_microusd FROM round WHERE job_id = ? AND number = ?", (row["id"], row["round"])
        ).fetchone()
        return job_of(row, current, parts)
