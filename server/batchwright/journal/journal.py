"""The SQLite database that knows every job, part and attempt. Synchronous: each call is one short transaction."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from batchwright.core import transitions
from batchwright.core.clock import Moment, Uptime, uptime
from batchwright.core.errors import NotFound, NotReady
from batchwright.core.model import Job, Outcome, Part, ProviderInfo, Recipe, SpendingLimits
from batchwright.core.money import microusd, share_out, usd
from batchwright.journal.attempts import Attempts, Closing
from batchwright.journal.database import open_database, writing
from batchwright.journal.events import EventKind, Events
from batchwright.journal.freezes import Standing
from batchwright.journal.history import History
from batchwright.journal.ledger import Ledger, Trials
from batchwright.journal.looks import Looks
from batchwright.journal.queries import Catalog
from batchwright.journal.rows import PART_COLUMNS, encode, job_of, part_values
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
        self._now = now
        self._uptime = uptime
        self._db = open_database(path, for_disk=for_disk)
        self._ledger = Ledger(self._db, self._moment)
        self.elapsed = self._ledger.elapsed
        self.events = Events(self._db, now)
        self.attempts = Attempts(self._db, self._moment)
        self.standing = Standing(self._db, now)
        self.catalog = Catalog(self._db)
        self.history = History(self._db, now)
        self.looks = Looks(self._db, self._moment)
        self.trials = Trials(self._db, self._ledger, self.standing)
        self.waits = Waits(self._db, self._moment)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def add_job(self, job: Job, *, nonces: Mapping[int, str] | None = None) -> None:
        """Record a new draft with its parts.

        With *nonces* it is one of another journal, and its parts of these numbers have batches already.
        """
        now = self._now().isoformat()
        with writing(self._db) as db:
            db.execute(
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
        """Record a drafted round over some of a job's rows; it takes the place of one that was never submitted.

        *job* has the round's recipe and provider, *kept* the rows that the round leaves as they are.

        Raises:
            NotReady: The job runs again meanwhile.
        """
        number = job.round + 1
        with writing(self._db):
            now = self.job(job.id)
            if now.ended_at is None or now.round != job.round:
                raise NotReady(f"{job.id} was submitted again meanwhile, so no retry was drafted. See `check_job`.")
            self._forget_drafted_round(job)
            self._add_round(job, number, kept, parts)
            self.events.add(job.id, "round_drafted", detail=number)

    def give_batch(self, part: Part, nonce: str | None = None) -> bool:
        """Record a batch that was found for a part of an ended job, which runs again then.

        With *nonce*, another journal's attempt has made it. Gives false, and changes nothing, if the job runs or the
        part has another batch. A retry that was only drafted is forgotten: its rows may have answers now.
        """
        with writing(self._db) as db:
            job = self.job(part.job_id)
            (before,) = [each for each in job.parts if each.number == part.number]
            if job.ended_at is None or before.batch_id not in {None, part.batch_id}:
                return False
            self._forget_drafted_round(job)
            self._save_part(part)
            if nonce is not None:
                self.attempts.add_made(part, nonce)
            db.execute("UPDATE job SET cancelled_at = NULL, ended_at = NULL, outcomes = NULL WHERE id = ?", (job.id,))
            self.events.add(job.id, "batch_found", part.number)
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
        """Remove what is only drafted: all of *job*, or its drafted round; false if it was submitted meanwhile."""
        with writing(self._db) as db:
            now = self.job(job.id)
            if now.submitted_at != job.submitted_at or now.drafted_parts != job.drafted_parts:
                return False
            if now.submitted_at is not None:
                self._forget_drafted_round(now)
                self.events.add(job.id, "retry_discarded")
                return True
            for table in ("event", "part", "round"):
                db.execute(f"DELETE FROM {table} WHERE job_id = ?", (job.id,))
            db.execute("DELETE FROM job WHERE id = ?", (job.id,))
        return True

    def was_restored(self, job_id: str) -> bool:
        """Whether the job was taken over from another journal."""
        return self.events.has(job_id, "restored")

    def has_job(self, job_id: str) -> bool:
        """Whether there is a job with this id."""
        return self._db.execute("SELECT 1 FROM job WHERE id = ?", (job_id,)).fetchone() is not None

    def is_cancelled(self, job_id: str) -> bool:
        """Whether the user wished that the job ends early."""
        row = self._db.execute("SELECT cancelled_at FROM job WHERE id = ?", (job_id,)).fetchone()
        return row is not None and row[0] is not None

    def jobs(self, *, limit: int, offset: int = 0) -> list[Job]:
        """Return jobs, newest first."""
        rows = self._db.execute("SELECT * FROM job ORDER BY created_at DESC, id LIMIT ? OFFSET ?", (limit, offset))
        return [self._job(row) for row in rows.fetchall()]

    def job_count(self) -> int:
        """Count all jobs."""
        return self._db.execute("SELECT count(*) FROM job").fetchone()[0]

    def unfinished(self) -> list[str]:
        """Return the ids of jobs that were submitted and have not ended, oldest first."""
        query = "SELECT id FROM job WHERE submitted_at IS NOT NULL AND ended_at IS NULL ORDER BY submitted_at, id"
        return [row[0] for row in self._db.execute(query).fetchall()]

    def same_job(self, job: Job) -> str | None:
        """Return the newest other submitted job that asked exactly the same."""
        row = self._db.execute(
            "SELECT id FROM job WHERE sha256 = ? AND sha256 <> '' AND id <> ? AND submitted_at IS NOT NULL "
            "AND (ended_at IS NULL OR json_extract(outcomes, '$.answered') > 0) ORDER BY submitted_at DESC LIMIT 1",
            (job.sha256, job.id),
        ).fetchone()
        return row[0] if row else None

    def agree(
        self, drafted: Job, shares: Mapping[int, Decimal], *, agreed_usd: Decimal | None, limits: SpendingLimits
    ) -> bool:
        """Let the drafted round of a job run, and reserve what each of its parts may cost, in one transaction.

        *drafted* is what was agreed to. Gives false, and changes nothing, if it was submitted before.

        Raises:
            NotReady: Another process has drafted it anew meanwhile.
            OverLimit: It may cost more than was agreed, or than the operator allows.
            Frozen: Nothing is submitted now.
        """
        now, job_id = self._now().isoformat(), drafted.id
        with writing(self._db) as db:
            job = self.job(job_id)
            if not job.drafted_parts:
                return False
            if job.submitted_at is not None and job.ended_at is None:
                raise NotReady(f"{job_id} runs again meanwhile, so nothing was submitted. See `check_job`.")
            if job.drafted_parts != drafted.drafted_parts:
                raise NotReady(f"{job_id} was drafted anew meanwhile, so nothing was submitted. Submit it again.")
            self.standing.refuse_while_frozen()
            number = job.drafted_parts[0].round
            if agreed_usd is not None:
                micro = {part: microusd(share) for part, share in shares.items()}
                self._ledger.reserve(job_id, number, micro, agreed=microusd(agreed_usd), limits=limits)
                db.execute(
                    "UPDATE round SET agreed_microusd = ? WHERE job_id = ? AND number = ?",
                    (microusd(agreed_usd), job_id, number),
                )
            db.execute(
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

    def drafted_round(self, job: Job) -> tuple[Recipe, ProviderInfo]:
        """Return recipe and provider of the round that a submission would run; without one, the current ones."""
        parts = job.drafted_parts
        row = self._db.execute(
            "SELECT recipe, provider FROM round WHERE job_id = ? AND number = ?",
            (job.id, parts[0].round if parts else job.round),
        ).fetchone()
        return msgspec.json.decode(row["recipe"], type=Recipe), msgspec.json.decode(row["provider"], type=ProviderInfo)

    def mark_cancelled(self, job_id: str) -> None:
        """Record the user's wish that the job ends early; a second time changes nothing."""
        with writing(self._db) as db:
            changed = db.execute(
                "UPDATE job SET cancelled_at = ? WHERE id = ? AND cancelled_at IS NULL",
                (self._now().isoformat(), job_id),
            ).rowcount
            if changed:
                self.events.add(job_id, "cancelled")

    def mark_ended(self, job_id: str, outcomes: Mapping[Outcome, int], *, tokens: tuple[int, int]) -> None:
        """Record once that every part came to its end, with what became of the rows, and input and output tokens."""
        with writing(self._db) as db:
            changed = db.execute(
                "UPDATE job SET ended_at = ?, outcomes = ?, input_tokens = ?, output_tokens = ? "
                "WHERE id = ? AND ended_at IS NULL",
                (self._now().isoformat(), encode(outcomes), *tokens, job_id),
            ).rowcount
            if changed:
                self.events.add(job_id, "ended")

    def save_part(self, part: Part, event: EventKind | None = None, detail: str | None = None) -> Part:
        """Record a part as it is now, and give it; with *event*, say in the same transaction what happened.

        A part that has come to its end is settled with its cost; one that ended without a batch gives back all.
        """
        with writing(self._db):
            self._save_part(part)
            if part.state in {"verified", "failed"}:
                if part.batch_id is None:
                    self._ledger.release(part.job_id, part.number)
                else:
                    cost = None if part.cost_usd is None else microusd(part.cost_usd)
                    self._ledger.settle(part.job_id, part.number, cost)
            if event:
                self.events.add(part.job_id, event, part.number, detail)
        return part

    def save_changed(self, part: Part, before: Part) -> Part:
        """Record a part unless it is as it was *before*, and give it."""
        return part if part == before else self.save_part(part)

    def split_part(self, part: Part, pieces: Sequence[Part]) -> None:
        """Put smaller parts in the place of one that has no batch, with what is reserved for it."""
        with writing(self._db) as db:
            self._save_part(transitions.split(part))
            # What was written off counts as well: each piece needs its share of as much again.
            last = usd(self._ledger.last_reserved(part.job_id, part.number) or 0)
            ceilings = {piece.number: piece.ceiling_usd for piece in pieces if piece.ceiling_usd}
            is_bounded = len(ceilings) == len(pieces)
            weights = ceilings if is_bounded else {piece.number: piece.requests for piece in pieces}
            shares = share_out(last, weights)
            given = [
                piece if is_bounded or not last else replace(piece, ceiling_usd=shares[piece.number])
                for piece in pieces
            ]
            self._insert_parts(db, given)
            micro = {number: microusd(share) for number, share in shares.items()}
            self._ledger.move(part.job_id, part.number, micro)
            self.events.add(part.job_id, "split", part.number, len(pieces))

    def open_attempt(self, part: Part, nonce: str, *, share: Decimal | None, limits: SpendingLimits) -> Part:
        """Record, before anything is sent, that a batch is about to be made for *part*.

        *share* is what it may cost: it is reserved, unless it is already; None: nothing is charged.

        Raises:
            sqlite3.IntegrityError: Another attempt is open, or the part has a batch.
            OverLimit: It may cost more than was agreed, or than the operator allows.
            Frozen: Nothing is submitted now.
        """
        submitting = transitions.submitting(part)
        with writing(self._db):
            self.standing.refuse_while_frozen()
            self.attempts.open(part, nonce)
            if share is not None and not self._ledger.reserved(part.job_id, part.number)[1]:
                agreed = self.job(part.job_id).agreed_usd or Decimal(0)
                before = self._ledger.last_reserved(part.job_id, part.number)
                micro = {part.number: microusd(share) if before is None else before}
                self._ledger.reserve(part.job_id, part.round, micro, agreed=microusd(agreed), limits=limits)
            self._save_part(submitting)
            self.events.add(part.job_id, "submitting", part.number)
        return submitting

    def taken_of_day(self) -> Decimal:
        """Return what all jobs have reserved now, or spent within 24 hours."""
        return usd(self._ledger.taken_of_day())

    def share_of(self, part: Part) -> Decimal:
        """Return what is reserved for a part now."""
        return usd(self._ledger.reserved(part.job_id, part.number)[1])

    def close_attempt(self, part: Part, outcome: Closing) -> Part:
        """Record how the part's open attempt ended, and the part as it is now, in one transaction; give the part.

        What is reserved for one that is sent again, or given up, counts as spent; a refused one gives it back. A `void`
        one's batch ran nothing.
        """
        with writing(self._db) as db:
            self.attempts.close(part, outcome)
            if outcome == "resent":
                # The user knows that it may be paid twice: as much comes on top of what was agreed.
                more = self._ledger.reserved(part.job_id, part.number)[1], part.job_id, part.round
                db.execute("UPDATE round SET agreed_microusd = agreed_microusd + ? WHERE job_id=? AND number=?", more)
            if outcome in {"resent", "given_up"}:
                self._ledger.write_off(part.job_id, part.number)
            elif outcome == "refused" or part.state == "failed":
                self._ledger.release(part.job_id, part.number)
            self._save_part(part)
            self.events.add(part.job_id, "attempt_closed", part.number, outcome)
        return part

    def found_late(self, nonce: str, batch_id: str) -> None:
        """Record a batch that showed up after its part was sent again, or its rows were."""
        with writing(self._db):
            self.attempts.found_late(nonce, batch_id)

    def keep_late(self, part: Part, nonce: str) -> None:
        """Record that a part has the batch of an attempt that was not sent again; a job that has ended runs again."""
        with writing(self._db) as db:
            self.attempts.found_late(nonce, part.batch_id or "", "created")
            self._forget_drafted_round(self.job(part.job_id))
            self._save_part(part)
            db.execute("UPDATE job SET ended_at = NULL, outcomes = NULL WHERE id = ?", (part.job_id,))
            self.events.add(part.job_id, "batch_found", part.number)

    def job_of_batch(self, batch_id: str, nonce: str = "") -> str | None:
        """Return the id of the job that has this batch, or for which an attempt made it, also one that was given up."""
        row = self._db.execute("SELECT job_id FROM part WHERE batch_id = ?", (batch_id,)).fetchone()
        return row[0] if row else self.attempts.job_of(batch_id, nonce)

    def _moment(self) -> Moment:
        return Moment(self._now(), self._uptime())

    def _add_round(self, job: Job, number: int, kept: Mapping[Outcome, int], parts: Sequence[Part]) -> None:
        self._db.execute(
            "INSERT INTO round (job_id, number, recipe, provider, kept, drafted_at) VALUES (?, ?, ?, ?, ?, ?)",
            (job.id, number, *map(encode, (job.recipe, job.provider, kept)), self._now().isoformat()),
        )
        self._insert_parts(self._db, parts)

    def _forget_drafted_round(self, job: Job) -> None:
        self._db.execute("DELETE FROM part WHERE job_id = ? AND round = ?", (job.id, job.round + 1))
        self._db.execute("DELETE FROM round WHERE job_id = ? AND number = ?", (job.id, job.round + 1))

    def _insert_parts(self, db: sqlite3.Connection, parts: Sequence[Part]) -> None:
        marks = ", ".join("?" * len(PART_COLUMNS))
        db.executemany(f"INSERT INTO part ({', '.join(PART_COLUMNS)}) VALUES ({marks})", map(part_values, parts))

    def _save_part(self, part: Part) -> None:
        columns = ", ".join(f"{column} = ?" for column in PART_COLUMNS)
        values = (*part_values(part), part.job_id, part.number)
        self._db.execute(f"UPDATE part SET {columns} WHERE job_id = ? AND number = ?", values)

    def _job(self, row: sqlite3.Row) -> Job:
        parts = self._db.execute("SELECT * FROM part WHERE job_id = ? ORDER BY number", (row["id"],)).fetchall()
        current = self._db.execute(
            "SELECT kept, agreed_microusd FROM round WHERE job_id = ? AND number = ?", (row["id"], row["round"])
        ).fetchone()
        return job_of(row, current, parts)
