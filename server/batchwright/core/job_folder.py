"""A job's folder: what each file in it is, and who writes it. No other module knows the names.

A temporary file is beside its target, and only its writer knows it.
"""

import secrets
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import msgspec
from filelock import FileLock, Timeout

from batchwright.core import files
from batchwright.core.model import Job, Part

DownloadKind = Literal["output", "errors"]

_ID_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def part_name(part: Part) -> str:
    """Return the name of a part's file, which users see too."""
    return f"part-{part.number:04d}.jsonl"


class _File:
    """A file of the folder that has this name in every job."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, folder: "JobFolder", _: object) -> Path:
        return folder.path / self._name


@dataclass(frozen=True, slots=True)
class JobFolder:
    """The folder of one job. The names never change: folders of older versions must open."""

    path: Path

    job_file = _File("job.json")
    """The job as drafted, in case the journal is lost; written by `save_job`."""
    lock_file = _File("lock")
    """Locked by the process that works on the job; stays afterwards."""
    frozen = _File("source.parquet")
    """The rows of the source; written once, when the job is drafted or adopted."""
    results = _File("results.parquet")
    """The results of all rows; replaced whenever a round finishes."""
    inline_rows = _File("rows.jsonl")
    """Rows that were given inline; written by the draft that freezes them."""
    batch_file = _File("batch.jsonl")
    """A copy of the user's ready-made batch file; deleted once its draft is made."""
    ids = _File("ids.jsonl")
    """The ids of ready-made requests, one a line; deleted once they are frozen as the source."""
    repeats = _File("repeats.jsonl")
    """Which rows share another row's request; deleted once the source contains this."""

    @property
    def job_id(self) -> str:
        """The job's id, which is the folder's name."""
        return self.path.name

    def requests(self, part: Part) -> Path:
        """Return the file of a part's requests, as uploaded; written once, when the part is made."""
        return self.path / part_name(part)

    def members(self, part: Part) -> Path:
        """Return the file that lists the rows of each request; written with requests that pack several rows."""
        return self.requests(part).with_suffix(".members.jsonl")

    def download(self, part: Part, kind: DownloadKind) -> Path:
        """Return the provider's output or error file; it exists once it is complete."""
        return self.requests(part).with_suffix(f".{kind}.jsonl")

    def downloads(self, part: Part) -> tuple[Path, Path]:
        """Return the provider's output file and its error file."""
        return self.download(part, "output"), self.download(part, "errors")

    def arriving(self, part: Part, kind: DownloadKind) -> Path:
        """Return the file that a download is written to; renamed when it is complete."""
        return self.requests(part).with_suffix(f".{kind}.part")

    def lines(self, part: Part) -> Path:
        """Return a part's results as read, from which they are joined; deleted once its round has finished."""
        return self.requests(part).with_suffix(".lines")

    def stand_in(self, part: Part) -> Path:
        """Return where the results of an adopted part without requests are read; deleted once they are read."""
        return self.requests(part).with_suffix(".results")

    def lock(self) -> FileLock:
        """Return the job's lock, not yet held."""
        return FileLock(self.lock_file, thread_local=False)

    @contextmanager
    def held(self) -> Generator[bool]:
        """Hold the job for this process unless another does; yield whether it is held."""
        lock = self.lock()
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def save_job(self, job: Job) -> None:
        """Write the job file, whole or not at all."""
        files.write_whole(self.job_file, msgspec.json.encode(job))

    def read_job(self) -> Job:
        """Read the job file.

        Raises:
            OSError: It cannot be read.
            ValueError: It is damaged.
        """
        return msgspec.json.decode(self.job_file.read_bytes(), type=Job)

    @contextmanager
    def scratch(self, purpose: Literal["asking", "reading", "saving"]) -> Generator[Path]:
        """Hold a temporary folder inside the job's own."""
        with TemporaryDirectory(prefix=f"{purpose}-", dir=self.path) as temporary:
            yield Path(temporary)

    def remove(self) -> None:
        """Delete the folder and its content; what cannot be deleted stays, as a held lock on Windows."""
        shutil.rmtree(self.path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class JobFolders:
    """The folders of all jobs, in one that is created with the first of them."""

    path: Path

    @classmethod
    def in_data(cls, data_folder: Path) -> "JobFolders":
        """Return the job folders of a data folder."""
        return cls(data_folder / "jobs")

    def of(self, job_id: str) -> JobFolder:
        """Return the folder with a job's files."""
        return JobFolder(self.path / job_id)

    def all(self) -> Sequence[JobFolder]:
        """Return the folders of all jobs, and of interrupted drafts."""
        return list(map(JobFolder, sorted(self.path.iterdir()))) if self.path.exists() else ()

    @contextmanager
    def new(self) -> Generator[JobFolder]:
        """Create a folder for a new job and hold its lock; it is removed if the block raises."""
        folder = self.of(new_job_id())
        folder.path.mkdir(parents=True, mode=0o700)
        try:
            with folder.lock():
                yield folder
        except BaseException:
            folder.remove()
            raise

    @contextmanager
    def scratch(self) -> Generator[JobFolder]:
        """Create a folder for no job, which is removed at the end."""
        with self.new() as folder:
            yield folder
        folder.remove()


def new_job_id() -> str:
    """Return a new random job id."""
    return "job_" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))
