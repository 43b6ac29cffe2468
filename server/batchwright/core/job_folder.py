"""A job's folder: what each file in it is, and who writes it. No other module knows the names.

Both what writes requests and what reads results work in this folder, so this module stands below them. A temporary file
lies beside its target, and only its writer knows it.
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
    """Return the name of a part's file, by which users know it too."""
    return f"part-{part.number:04d}.jsonl"


@dataclass(frozen=True, slots=True)
class JobFolder:
    """The folder of one job. The names never change: folders of older versions must open."""

    path: Path

    @property
    def job_id(self) -> str:
        """The job's id, which is the folder's name."""
        return self.path.name

    @property
    def job_file(self) -> Path:
        """The job as it was drafted, for the day when the journal is gone; written by `save_job`."""
        return self.path / "job.json"

    @property
    def lock_file(self) -> Path:
        """Locked by the process that works on the job; it stays when the work is done."""
        return self.path / "lock"

    @property
    def frozen(self) -> Path:
        """The rows of the source, in Parquet; written once, when the job is drafted or adopted."""
        return self.path / "source.parquet"

    @property
    def results(self) -> Path:
        """The results of all rows, in Parquet; replaced whenever a round ends."""
        return self.path / "results.parquet"

    @property
    def inline_rows(self) -> Path:
        """Rows that were given inline; written by the draft that freezes them."""
        return self.path / "rows.jsonl"

    @property
    def batch_file(self) -> Path:
        """A copy of the user's ready-made batch file; gone once its draft is made."""
        return self.path / "batch.jsonl"

    @property
    def ids(self) -> Path:
        """The ids of ready-made requests, one a line; gone once they are frozen as the source."""
        return self.path / "ids.jsonl"

    @property
    def repeats(self) -> Path:
        """Which rows share another row's request; gone once the source says so itself."""
        return self.path / "repeats.jsonl"

    def requests(self, part: Part) -> Path:
        """Return the file of a part's requests, as they are uploaded; written once, when the part is made."""
        return self.path / part_name(part)

    def members(self, part: Part) -> Path:
        """Return the file that lists the rows of each request; written with the requests, where they pack several."""
        return self.requests(part).with_suffix(".members.jsonl")

    def download(self, part: Part, kind: DownloadKind) -> Path:
        """Return the provider's output or error file; it exists once it has arrived whole."""
        return self.requests(part).with_suffix(f".{kind}.jsonl")

    def downloads(self, part: Part) -> tuple[Path, Path]:
        """Return both files that the provider may answer with, the output first."""
        return self.download(part, "output"), self.download(part, "errors")

    def arriving(self, part: Part, kind: DownloadKind) -> Path:
        """Return the file that a download is written to; renamed when it is whole."""
        return self.requests(part).with_suffix(f".{kind}.part")

    def lines(self, part: Part) -> Path:
        """Return what a part's results are joined from, as they were read; gone once its round has ended."""
        return self.requests(part).with_suffix(".lines")

    def stand_in(self, part: Part) -> Path:
        """Return where an adopted part's results are read when its requests are lost; deleted once they are read."""
        return self.requests(part).with_suffix(".results")

    def lock(self) -> FileLock:
        """Return the job's lock, not yet held."""
        return FileLock(self.lock_file, thread_local=False)

    @contextmanager
    def held(self) -> Generator[bool]:
        """Hold the job for this process, if no other does; yields whether it is held."""
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
        """Write the job down, whole or not at all."""
        files.write_whole(self.job_file, msgspec.json.encode(job))

    def read_job(self) -> Job:
        """Read the job that was written down.

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
        """Delete the folder with all that is in it; what cannot be deleted stays, as on Windows a lock that is held."""
        shutil.rmtree(self.path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class JobFolders:
    """The folders of all jobs, in one that is made with the first of them."""

    path: Path

    @classmethod
    def in_data(cls, data_folder: Path) -> "JobFolders":
        """Return those of a data folder."""
        return cls(data_folder / "jobs")

    def of(self, job_id: str) -> JobFolder:
        """Return the folder with a job's files."""
        return JobFolder(self.path / job_id)

    def all(self) -> Sequence[JobFolder]:
        """Return the folders of all jobs, and of drafts that were cut off."""
        return list(map(JobFolder, sorted(self.path.iterdir()))) if self.path.exists() else ()

    @contextmanager
    def new(self) -> Generator[JobFolder]:
        """Make a folder for a new job, and hold its lock meanwhile; removed if the block raises."""
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
        """Hold a folder of no job, which is removed at the end."""
        with self.new() as folder:
            yield folder
        folder.remove()


def new_job_id() -> str:
    """Return an id that no job has."""
    return "job_" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))
