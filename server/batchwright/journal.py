"""The SQLite database that knows every job, part and attempt. Synchronous: each call is one short transaction."""

import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import msgspec
from filelock import FileLock

from batchwright.errors import InvalidInput, NotFound
from batchwright.model import Job, LineError, Outcome, Part, ProviderInfo, Recipe, Source

_BUSY_SECONDS = 10
_PART_COLUMNS = (
    *("job_id", "number", "state", "sha256", "size_bytes", "requests", "file_id", "batch_id", "batch_status"),
    *("output_file_id", "error_file_id", "completed", "failed", "note", "errors"),
)

Closing = Literal["created", "refused", "not_sent"]


class Journal:
    """An open journal. Not to be used from two threads; several processes may have the same one open."""

    def __init__(self, path: Path, *, now: Callable[[], datetime]) -> None:
        """Open the journal at *path*, and make or migrate it.

        Raises:
            InvalidInput: It cannot be opened, or a newer program wrote it.
        """
        self._now = now
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # SQLite does not wait for a lock while it changes to WAL, so processes that start together take turns.
            with FileLock(path.with_suffix(".lock"), timeout=_BUSY_SECONDS, mode=0o600):
                self._db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
                path.chmod(0o600)
                self._db.row_factory = sqlite3.Row
                for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                    self._db.execute(f"PRAGMA {pragma}")
                self._migrate()
        except (sqlite3.Error, OSError) as error:  # a lock that is not given in time is an OSError
            raise InvalidInput(
                f"The journal {path} cannot be opened: {error}. Check the folder, or set BATCHWRIGHT_DATA_DIR."
            ) from error

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def add_job(self, job: Job) -> None:
        """Record a new draft with its parts."""
        with self._writing() as db:
            db.execute(
                "INSERT INTO job (id, created_at, source, recipe, provider) VALUES (?, ?, ?, ?, ?)",
                (job.id, job.created_at.isoformat(), *map(_encoded, (job.source, job.recipe, job.provider))),
            )
            for part in job.parts:
                marks = ", ".join("?" * len(_PART_COLUMNS))
                db.execute(f"INSERT INTO part ({', '.join(_PART_COLUMNS)}) VALUES ({marks})", _part_values(part))
            self._add_event(job.id, "drafted")

    def job(self, job_id: str) -> Job:
        """Give the job with its parts.

        Raises:
            NotFound: There is none with this id.
        """
        row = self._db.execute("SELECT * FROM job WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            raise NotFound(f"There is no job {job_id[:80]!r}. `list_jobs` shows the ids.")
        return self._job(row)

    def has_job(self, job_id: str) -> bool:
        """Whether there is a job with this id."""
        return self._db.execute("SELECT 1 FROM job WHERE id = ?", (job_id,)).fetchone() is not None

    def is_cancelled(self, job_id: str) -> bool:
        """Whether the user wished that the job ends early."""
        row = self._db.execute("SELECT cancelled_at FROM job WHERE id = ?", (job_id,)).fetchone()
        return row is not None and row[0] is not None

    def jobs(self, *, limit: int, offset: int = 0) -> list[Job]:
        """Give jobs, newest first."""
        rows = self._db.execute("SELECT * FROM job ORDER BY created_at DESC, id LIMIT ? OFFSET ?", (limit, offset))
        return [self._job(row) for row in rows.fetchall()]

    def job_count(self) -> int:
        """Count all jobs."""
        return self._db.execute("SELECT count(*) FROM job").fetchone()[0]

    def unfinished(self) -> list[str]:
        """Give the ids of jobs that were submitted and have not ended, oldest first."""
        rows = self._db.execute(
            "SELECT id FROM job WHERE submitted_at IS NOT NULL AND ended_at IS NULL ORDER BY submitted_at, id"
        )
        return [row[0] for row in rows.fetchall()]

    def job_of_file(self, file_id: str) -> str | None:
        """Give the id of the job that a provider's file belongs to."""
        row = self._db.execute(
            "SELECT job_id FROM part WHERE ? IN (file_id, output_file_id, error_file_id)", (file_id,)
        ).fetchone()
        return row[0] if row else None

    def mark_submitted(self, job_id: str) -> None:
        """Record the user's wish that the job runs; a second time changes nothing."""
        self._mark(job_id, "submitted_at", "submitted")

    def mark_cancelled(self, job_id: str) -> None:
        """Record the user's wish that the job ends early; a second time changes nothing."""
        self._mark(job_id, "cancelled_at", "cancelled")

    def mark_ended(self, job_id: str, outcomes: Mapping[Outcome, int], *, tokens: tuple[int, int]) -> None:
        """Record once that every part came to its end, with what became of the rows, and input and output tokens."""
        with self._writing() as db:
            changed = db.execute(
                "UPDATE job SET ended_at = ?, outcomes = ?, input_tokens = ?, output_tokens = ? "
                "WHERE id = ? AND ended_at IS NULL",
                (self._now().isoformat(), _encoded(outcomes), *tokens, job_id),
            ).rowcount
            if changed:
                self._add_event(job_id, "ended")

    def save_part(self, part: Part, event: str | None = None) -> None:
        """Record a part as it is now; with *event*, say in the same transaction what happened."""
        columns = ", ".join(f"{column} = ?" for column in _PART_COLUMNS)
        with self._writing() as db:
            values = (*_part_values(part), part.job_id, part.number)
            db.execute(f"UPDATE part SET {columns} WHERE job_id = ? AND number = ?", values)
            if event:
                self._add_event(part.job_id, event, part.number)

    def open_attempt(self, part: Part, nonce: str) -> Part:
        """Record, before anything is sent, that a batch is about to be made for *part*.

        Raises:
            sqlite3.IntegrityError: Another attempt is open, or the part has a batch.
        """
        submitting = replace(part, state="submitting")
        with self._writing() as db:
            db.execute(
                "INSERT INTO attempt (job_id, part, nonce, file_id, opened_at) VALUES (?, ?, ?, ?, ?)",
                (part.job_id, part.number, nonce, part.file_id, self._now().isoformat()),
            )
            db.execute(
                "UPDATE part SET state = ? WHERE job_id = ? AND number = ?", ("submitting", part.job_id, part.number)
            )
            self._add_event(part.job_id, "submitting", part.number)
        return submitting

    def open_nonce(self, part: Part) -> str | None:
        """Give the nonce of the part's open attempt."""
        row = self._db.execute(
            "SELECT nonce FROM attempt WHERE job_id = ? AND part = ? AND outcome = 'open'", (part.job_id, part.number)
        ).fetchone()
        return row[0] if row else None

    def close_attempt(self, part: Part, outcome: Closing) -> None:
        """Record how the part's open attempt ended, and the part as it is now, in one transaction."""
        columns = ", ".join(f"{column} = ?" for column in _PART_COLUMNS)
        with self._writing() as db:
            db.execute(
                "UPDATE attempt SET outcome = ?, batch_id = ? WHERE job_id = ? AND part = ? AND outcome = 'open'",
                (outcome, part.batch_id, part.job_id, part.number),
            )
            values = (*_part_values(part), part.job_id, part.number)
            db.execute(f"UPDATE part SET {columns} WHERE job_id = ? AND number = ?", values)
            self._add_event(part.job_id, f"attempt {outcome}", part.number)

    def events(self, job_id: str) -> list[tuple[datetime, int | None, str]]:
        """Give what happened to a job, oldest first: when, to which part, and what."""
        rows = self._db.execute("SELECT at, part, kind FROM event WHERE job_id = ? ORDER BY id", (job_id,))
        return [(datetime.fromisoformat(row["at"]), row["part"], row["kind"]) for row in rows.fetchall()]

    def _mark(self, job_id: str, column: str, event: str) -> None:
        with self._writing() as db:
            changed = db.execute(
                f"UPDATE job SET {column} = ? WHERE id = ? AND {column} IS NULL", (self._now().isoformat(), job_id)
            ).rowcount
            if changed:
                self._add_event(job_id, event)

    def _add_event(self, job_id: str, kind: str, part: int | None = None) -> None:
        self._db.execute(
            "INSERT INTO event (at, job_id, part, kind) VALUES (?, ?, ?, ?)",
            (self._now().isoformat(), job_id, part, kind),
        )

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _migrate(self) -> None:
        scripts = sorted(entry.name for entry in resources.files("batchwright").joinpath("sql").iterdir())
        with self._writing() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > len(scripts):
                raise InvalidInput(
                    f"The journal is of version {version}, from a newer Batchwright; this one knows {len(scripts)}. "
                    "Upgrade Batchwright, or set another BATCHWRIGHT_DATA_DIR."
                )
            for script in scripts[version:]:
                text = resources.files("batchwright").joinpath("sql", script).read_text(encoding="utf-8")
                for statement in _statements(text):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(scripts)}")

    def _job(self, row: sqlite3.Row) -> Job:
        parts = self._db.execute("SELECT * FROM part WHERE job_id = ? ORDER BY number", (row["id"],)).fetchall()
        return Job(
            id=row["id"],
            created_at=datetime.fromisoformat(row["created_at"]),
            source=msgspec.json.decode(row["source"], type=Source),
            recipe=msgspec.json.decode(row["recipe"], type=Recipe),
            provider=msgspec.json.decode(row["provider"], type=ProviderInfo),
            parts=tuple(map(_part, parts)),
            submitted_at=_time(row["submitted_at"]),
            cancelled_at=_time(row["cancelled_at"]),
            ended_at=_time(row["ended_at"]),
            outcomes=msgspec.json.decode(row["outcomes"], type=dict[Outcome, int]) if row["outcomes"] else None,
            input_tokens=row["input_tokens"],
            output_tokens=row["output_tokens"],
        )


def _part(row: sqlite3.Row) -> Part:
    fields: dict[str, Any] = {column: row[column] for column in _PART_COLUMNS}
    fields["errors"] = msgspec.json.decode(row["errors"], type=tuple[LineError, ...])
    return Part(**fields)


def _part_values(part: Part) -> tuple[Any, ...]:
    fields = {column: getattr(part, column) for column in _PART_COLUMNS}
    return tuple({**fields, "errors": _encoded(part.errors)}.values())


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
