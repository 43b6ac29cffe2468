"""The engine's files and batches on disk. Records are replaced whole; results are only appended.

files/<id>.json                 a FileObject, and the path of its content
batches/<id>/record.json        a Batch, and the ids that its files will have
batches/<id>/output.jsonl       finished answers, one line each, appended as they arrive
batches/<id>/errors.jsonl       requests that failed or never ran
batches/<id>/payments           what may be charged, one line for each sending, written before it is sent
batches/<id>/cancel             exists once cancellation was requested
batches/<id>/lock               held by the process that runs the batch
"""

import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path

import msgspec

from batchwright.core import files
from batchwright.core.errors import ProviderGone, ProviderRefused
from batchwright.core.model import LineError
from batchwright.core.problem import Problem


@dataclass(slots=True)
class BatchRecord:
    """A stored batch: the fields of OpenAI's Batch under their names, and what the engine needs besides."""

    id: str
    endpoint: str
    input_file_id: str
    metadata: dict[str, str]
    created_at: int
    expires_at: int
    order: int
    """Nanoseconds; newer batches have larger ones."""
    status: str = "validating"
    completion_window: str = "24h"
    object: str = "batch"
    model: str | None = None
    in_progress_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    errors: list[LineError] = field(default_factory=list[LineError])
    problem: Problem | None = None
    """Why nothing comes back at the moment."""
    spent_usd: Decimal | None = None
    """What its requests cost, or may have cost; None: nothing is charged, or no price is known."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A stored file."""

    id: str
    bytes: int
    created_at: int
    filename: str
    purpose: str
    content: str
    order: int


class Store:
    """A folder of files and batches."""

    def __init__(self, folder: Path) -> None:
        self._files = folder / "files"
        self._batches = folder / "batches"

    def new_id(self, prefix: str) -> str:
        """Return an id that no other object has."""
        return prefix + secrets.token_hex(12)

    def add_file(self, source: Path, name: str, *, created_at: int, order: int) -> FileRecord:
        """Copy *source*, an input file, into the store."""
        self._files.mkdir(parents=True, exist_ok=True, mode=0o700)
        file_id = self.new_id("file-")
        content = self._files / f"{file_id}.jsonl"
        try:
            shutil.copyfile(source, content)
            files.sync(content)
        except OSError:
            content.unlink(missing_ok=True)
            raise
        record = FileRecord(file_id, content.stat().st_size, created_at, name, "batch", f"files/{content.name}", order)
        self._save_file(record)
        return record

    def publish(self, batch: BatchRecord, name: str, *, created_at: int, order: int) -> str | None:
        """Give a batch's output or errors a file id; None if nothing was written. Harmless when repeated."""
        content = self.batch_folder(batch.id) / name
        if not content.exists() or not (size := content.stat().st_size):
            return None
        file_id = f"file-{batch.id.removeprefix('batch_')}-{Path(name).stem}"
        relative = f"batches/{batch.id}/{name}"
        self._files.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._save_file(FileRecord(file_id, size, created_at, f"{batch.id}_{name}", "batch_output", relative, order))
        return file_id

    def file(self, file_id: str) -> FileRecord:
        """Return a file's record.

        Raises:
            ProviderRefused: There is none.
        """
        path = self._files / f"{_safe(file_id)}.json"
        if not path.exists():
            raise ProviderGone(f"No such File object: {file_id}")
        return msgspec.json.decode(path.read_bytes(), type=FileRecord)

    def files(self) -> Iterator[FileRecord]:
        """Yield all files, newest first."""
        records = [msgspec.json.decode(path.read_bytes(), type=FileRecord) for path in self._files.glob("*.json")]
        yield from sorted(records, key=lambda record: (-record.order, record.id))

    def content(self, file: FileRecord) -> Path:
        """Return the path of a file's content."""
        return self._files.parent / file.content

    def delete_file(self, file_id: str) -> None:
        """Delete a file with its content; it is no error if it is already gone."""
        try:
            record = self.file(file_id)
        except ProviderRefused:
            return
        (self._files / f"{file_id}.json").unlink(missing_ok=True)
        self.content(record).unlink(missing_ok=True)

    def batch_folder(self, batch_id: str) -> Path:
        """Return the folder of a batch."""
        return self._batches / _safe(batch_id)

    def batch(self, batch_id: str) -> BatchRecord:
        """Return a batch's record.

        Raises:
            ProviderRefused: There is none.
        """
        path = self.batch_folder(batch_id) / "record.json"
        if not path.exists():
            raise ProviderGone(f"No batch found with id '{batch_id}'.")
        return msgspec.json.decode(path.read_bytes(), type=BatchRecord)

    def save_batch(self, batch: BatchRecord) -> None:
        """Replace a batch's record, whole."""
        folder = self.batch_folder(batch.id)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write_whole(folder / "record.json", msgspec.json.encode(asdict(batch)))

    def batches(self) -> Iterator[BatchRecord]:
        """Yield all batches, newest first."""
        paths = self._batches.glob("*/record.json")
        records = [msgspec.json.decode(path.read_bytes(), type=BatchRecord) for path in paths]
        yield from sorted(records, key=lambda record: (-record.order, record.id))

    def _save_file(self, record: FileRecord) -> None:
        files.write_whole(self._files / f"{record.id}.json", msgspec.json.encode(record))


def _safe(name: str) -> str:
    if not name.replace("-", "").replace("_", "").isalnum():
        raise ProviderRefused(f"Invalid id: {name[:80]!r}")
    return name
