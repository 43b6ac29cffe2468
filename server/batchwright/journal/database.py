"""The journal's SQLite file: opened with everything that a crash asks for, and brought to the newest schema."""

import re
import sqlite3
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path, PurePath

import msgspec
from filelock import FileLock

from batchwright.core import files
from batchwright.core.errors import InvalidInput
from batchwright.core.former_words import former_note

_BUSY_SECONDS = 10
_NETWORK_FILE_SYSTEMS = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "fuse.sshfs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2"}
    | {"smb3", "smbfs", "afpfs", "webdav", "davfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.davfs2"}
)


def open_database(path: Path, *, for_disk: bool = True) -> sqlite3.Connection:
    """Open the journal's database at *path*, and make or migrate it; without *for_disk* no write waits for the disk.

    Raises:
        InvalidInput: It cannot be opened, a newer program wrote it, or it lies on another machine.
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
            db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
            try:
                path.chmod(0o600)
                db.row_factory = sqlite3.Row
                synchronous = "FULL" if for_disk else "OFF"
                for pragma in ("journal_mode = WAL", f"synchronous = {synchronous}", "foreign_keys = ON"):
                    db.execute(f"PRAGMA {pragma}")
                # macOS has a call of its own for what outlives a loss of power; elsewhere this changes nothing.
                db.execute("PRAGMA fullfsync = ON")
                _migrate(db, path)
            except BaseException:
                db.close()
                raise
    except sqlite3.DatabaseError as error:
        raise InvalidInput(
            f"The journal {path} cannot be read: {error}. If it is damaged, move it and the files beside it that begin "
            "with its name elsewhere: at the next start it is made anew from the jobs' folders and the provider. "
            "If it is another program's file, set BATCHWRIGHT_DATA_DIR."
            if not isinstance(error, sqlite3.OperationalError)
            else f"The journal {path} cannot be opened: {error}. Check the folder, or set BATCHWRIGHT_DATA_DIR."
        ) from error
    except OSError as error:  # also a lock that is not given in time
        raise InvalidInput(
            f"The journal {path} cannot be opened: {error}. Check the folder, or set BATCHWRIGHT_DATA_DIR."
        ) from error
    return db


@contextmanager
def writing(db: sqlite3.Connection) -> Generator[sqlite3.Connection]:
    """Hold one transaction: all of it is written, and on the disk, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def network_file_system(folder: PurePath, mounts: Iterable[tuple[str, str]]) -> str | None:
    """Return the type of the network file system that *folder* is on; None: it is on none.

    *mounts* are mount points and the types of what is mounted there. A share of Windows has no mount point, but a name.
    """
    if re.match(r"\\\\(?![?.]\\)|\\\\\?\\UNC\\", folder.drive, re.IGNORECASE):
        return "a share of Windows"
    holding = [(PurePath(point), kind) for point, kind in mounts if folder.is_relative_to(point)]
    # Of several on one place the last mounted is what is seen.
    kind = max(reversed(holding), key=lambda mount: len(mount[0].parts), default=(folder, ""))[1].lower()
    return kind if kind in _NETWORK_FILE_SYSTEMS else None


def _mounts() -> list[tuple[str, str]]:
    import psutil

    return [(disk.mountpoint, disk.fstype) for disk in psutil.disk_partitions(all=True)]


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    scripts = sorted(entry.name for entry in resources.files("batchwright.journal").joinpath("sql").iterdir())
    with writing(db):
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(scripts):
            raise InvalidInput(
                f"The journal is of version {version}, from a newer Batchwright; this one knows {len(scripts)}. "
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
    """Copy a journal of a former version, whole or not at all, while its writers wait."""
    kept = path.with_name(f"{path.name}.version-{version}")
    temporary = kept.with_name(f"{kept.name}.part")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(temporary)) as target:
        source.backup(target)
    files.sync(temporary)
    temporary.replace(kept)


def _former_problem(note: str) -> str:
    return msgspec.json.encode(former_note(note)).decode()


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
