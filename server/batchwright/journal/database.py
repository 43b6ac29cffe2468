"""The journal's SQLite file: opened so that it survives a crash, and migrated to the newest schema."""

import glob
import re
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from importlib import resources
from pathlib import Path, PurePath
from typing import Any

import msgspec
from filelock import FileLock

from batchwright.core import files
from batchwright.core.clock import Moment, Uptime, uptime
from batchwright.core.errors import InvalidInput
from batchwright.core.former_words import former_note

_BUSY_SECONDS = 10
_NETWORK_FILE_SYSTEMS = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "fuse.sshfs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2"}
    | {"smb3", "smbfs", "afpfs", "webdav", "davfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.davfs2"}
)


class Database(sqlite3.Connection):
    """An open journal file, and the clocks by which its rows are dated."""

    now: Callable[[], datetime]
    uptime: Callable[[], Uptime]

    def moment(self) -> Moment:
        """Return the time by both clocks."""
        return Moment(self.now(), self.uptime())

    def first(self, query: str, *values: object) -> Any:  # noqa: ANN401  # each column has its own type
        """Return the first column of the first row that *query* finds; None: it finds none."""
        row = self.execute(query, values).fetchone()
        return row[0] if row else None

    @contextmanager
    def writing(self) -> Generator[None]:
        """Hold one transaction: all of it is written, and on the disk, or nothing."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")


def open_database(
    path: Path, *, now: Callable[[], datetime], uptime: Callable[[], Uptime] = uptime, for_disk: bool = True
) -> Database:
    """Open the journal's database at *path*, created or migrated if needed; without *for_disk*, no write is flushed.

    Raises:
        InvalidInput: It cannot be opened, a newer version wrote it, or it is on another machine.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if kind := network_file_system(path.parent.resolve(), _mounts()):
            raise InvalidInput(
                f"The journal {path} is on a network file system ({kind}), where locks do not hold. "
                "Set BATCHWRIGHT_DATA_DIR to a folder on this machine."
            )
        # SQLite does not wait for a lock while it changes to WAL, so processes that start together take turns.
        with FileLock(path.with_suffix(".lock"), timeout=_BUSY_SECONDS, mode=0o600):
            db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, factory=Database)
            db.now, db.uptime, db.row_factory = now, uptime, sqlite3.Row
            try:
                path.chmod(0o600)
                synchronous = "FULL" if for_disk else "OFF"
                # `fullfsync` is what survives a power failure on macOS; elsewhere it changes nothing.
                for pragma in (
                    "journal_mode = WAL",
                    f"synchronous = {synchronous}",
                    "foreign_keys = ON",
                    "fullfsync = ON",
                ):
                    db.execute(f"PRAGMA {pragma}")
                _migrate(db, path)
            except BaseException:
                db.close()
                raise
    except (sqlite3.OperationalError, OSError) as error:  # also a lock that is not free in time
        raise InvalidInput(
            f"The journal {path} cannot be opened: {error}. Check the folder, or set BATCHWRIGHT_DATA_DIR."
        ) from error
    except sqlite3.DatabaseError as error:
        raise InvalidInput(
            f"The journal {path} cannot be read: {error}. If it is damaged, move it and the files beside it that begin "
            "with its name elsewhere: the next start rebuilds it from the jobs' folders and the provider. "
            "If it is another program's file, set BATCHWRIGHT_DATA_DIR."
        ) from error
    return db


def network_file_system(folder: PurePath, mounts: Iterable[tuple[str, str]]) -> str | None:
    """Return the type of the network file system that *folder* is on; None: it is on a local one.

    *mounts* are mount points with the types of their file systems. A Windows share is known by its name instead.
    """
    if re.match(r"\\\\(?![?.]\\)|\\\\\?\\UNC\\", folder.drive, re.IGNORECASE):
        return "a Windows share"
    holding = [(PurePath(point), kind) for point, kind in mounts if folder.is_relative_to(point)]
    # Of several file systems at one mount point, the last is visible.
    kind = max(reversed(holding), key=lambda mount: len(mount[0].parts), default=(folder, ""))[1].lower()
    return kind if kind in _NETWORK_FILE_SYSTEMS else None


def _mounts() -> list[tuple[str, str]]:
    import psutil

    return [(disk.mountpoint, disk.fstype) for disk in psutil.disk_partitions(all=True)]


def _migrate(db: Database, path: Path) -> None:
    scripts = sorted(entry.name for entry in resources.files("batchwright.journal").joinpath("sql").iterdir())
    with db.writing():
        version = db.first("PRAGMA user_version")
        if version > len(scripts):
            raise InvalidInput(
                f"The journal has version {version}, from a newer Batchwright; this one supports {len(scripts)}. "
                "Upgrade Batchwright, or set another BATCHWRIGHT_DATA_DIR."
            )
        if 0 < version < len(scripts):
            _keep_copy(path, version)
        db.create_function("former_problem", 1, _former_problem)
        for script in scripts[version:]:
            text = resources.files("batchwright.journal").joinpath("sql", script).read_text(encoding="utf-8")
            for statement in _statements(text):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(scripts)}")


def _keep_copy(path: Path, version: int) -> None:
    """Copy a journal of a former version beside itself, whole or not at all, while its writers wait.

    Only the copy made last is kept: whoever has to go back goes back by one version, and prompts must not pile up.
    """
    kept = path.with_name(f"{path.name}.version-{version}")
    temporary = kept.with_name(f"{kept.name}.part")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(temporary)) as target:
        source.backup(target)
    files.sync(temporary)
    temporary.replace(kept)
    for older in path.parent.glob(f"{glob.escape(path.name)}.version-*"):
        if older != kept:
            older.unlink(missing_ok=True)


def _former_problem(note: str) -> str:
    return msgspec.json.encode(former_note(note)).decode()


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
