"""The folders that the server may read and write. The only module that opens the user's files."""

import difflib
import errno
import itertools
import os
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from batchwright.core import descriptors, system
from batchwright.core.errors import DiskFault, InvalidInput, NotFound, OutsideWorkspace
from batchwright.core.progress import SILENT, Progress

MAX_FILE_BYTES = 50 * 1024**3
MAX_NAME_CHARACTERS = 1_000
MAX_STEP_CHARACTERS = 255
_CHUNK_BYTES = 1 << 20
_SWAPPED = frozenset({errno.ELOOP, errno.ENOTDIR, errno.ENOENT})
"""Errors of opening if a step of a name became a link, a file or nothing after the check."""
_OFFERED = 8
_LOOKED_AT = 10_000

_SECRET_SUFFIXES = frozenset({".pem", ".key", ".p12", ".pfx", ".kdbx", ".keystore", ".jks", ".ppk"})
_SECRET_NAMES = frozenset({"id_rsa", "id_ed25519", "id_ecdsa", "id_dsa", "credentials", "secrets"})
_SYSTEM_FOLDERS = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/opt", "/proc", "/root", "/run", "/sbin", "/sys", "/tmp", "/usr"),  # noqa: S108  # named to be refused
    *("/var", "/Applications", "/Library", "/System", "C:\\Windows", "C:\\Program Files", "C:\\Program Files (x86)"),
)
_FALLBACK = "Batchwright"
_DATA_SUFFIXES = frozenset({".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".xlsm", ".gz"})


class Workspace:
    """A list of folders, and the rules for what may be opened in them.

    A relative name is looked up in each folder in turn, and written to the first.
    """

    def __init__(self, roots: Sequence[Path], *, kept: Path | None = None) -> None:
        """Take the folders; nothing is written into *kept*, the folder of the server's own files."""
        self._roots = tuple(Path(os.path.realpath(root)) for root in roots)
        self._kept = Path(os.path.realpath(kept)) if kept else None

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders, as real paths."""
        return self._roots

    def file_to_read(self, name: str) -> Path:
        """Return the real path of the regular file that *name* means; `copy` reads it.

        Raises:
            NotFound: There is no such file.
            OutsideWorkspace: It is outside, or of a kind that is never opened.
            InvalidInput: It is not a regular file, is too large, or has several names.
        """
        path = self._existing(name)
        self._refuse_private(path, name)
        if path.is_dir():
            raise InvalidInput(f"{name!r} is a folder. Name one data file. {self._offer(folder=path)}")
        with self._open(path, name) as file:
            self._fit(file, name)
        return path

    def copy(self, path: Path, target: Path, progress: Progress = SILENT, *, most: int | None = None) -> None:
        """Copy a file that `file_to_read` found to *target*, a new file of the server's own; at most *most* bytes.

        Only the copy is read, checked and used, whatever happens to the user's file meanwhile.

        Raises:
            InvalidInput: It is not what it was, or changes while it is copied.
        """
        name = self.display_name(path)
        with self._open(path, name) as file:
            before, done = self._fit(file, name), 0
            wanted = before.st_size if most is None else min(most, before.st_size)
            with target.open("xb") as out:
                while done < wanted and (chunk := file.read(min(_CHUNK_BYTES, wanted - done))):
                    out.write(chunk)
                    done += len(chunk)
                    progress.at(done / wanted)
            if _state(os.fstat(file.fileno())) != _state(before) or done < wanted:
                raise InvalidInput(f"{name} was changed while it was read. Try again when nothing is writing to it.")

    def files_to_read(self, pattern: str, *, most: int) -> list[Path]:
        """Return the real paths of the regular files that *pattern* matches, sorted by name.

        `*`, `?` and `[...]` match within one step of the path; hidden files and folders are skipped, as in a shell.

        Raises:
            NotFound: There is none.
            OutsideWorkspace: One is outside, or of a kind that is never opened.
            InvalidInput: It is not a pattern of file names, or matches more than *most* files.
        """
        given = _path(pattern)
        if "**" in pattern:
            raise InvalidInput(f"{pattern!r} searches all subfolders with '**'. Name each level, as in '*/*.csv'.")
        for root in self._roots:
            if given.is_absolute() and not given.is_relative_to(root):
                continue
            relative = given.relative_to(root) if given.is_absolute() else given
            matches = (path for path in root.glob(str(relative)) if not (_is_hidden_below(root, path) or path.is_dir()))
            found = list(itertools.islice(matches, most + 1))
            if len(found) > most:
                raise InvalidInput(f"{pattern!r} matches more than {most:,} files. Name fewer, or merge them.")
            if found:
                return [self.file_to_read(str(path)) for path in sorted(found)]
        raise NotFound(f"No file matches {pattern!r} in the workspace {self._where()}. {self._offer(pattern)}")

    def file_to_write(self, name: str, *, overwrite: bool) -> Path:
        """Return the real path of a file to be written as *name*; its folder may not exist yet.

        Raises:
            OutsideWorkspace: It is outside, or of a kind that is never opened.
            InvalidInput: It cannot be created, or it exists and *overwrite* is false.
        """
        given = self._given(name)
        if not given.is_absolute():
            self._roots[0].mkdir(parents=True, exist_ok=True)
        target = self._roots[0] / given
        folder = _real(target.parent, name)
        path = folder / target.name
        self._refuse_outside(path, name)
        self._refuse_private(path, name)
        if self._kept is not None and _is_within(path, self._kept):
            raise OutsideWorkspace(f"{name!r} lies in the folder of the server's own files. Choose another place.")
        nearest = next(step for step in (folder, *folder.parents) if step.exists())
        if not nearest.is_dir():
            raise InvalidInput(f"{name!r} lies in {nearest.name!r}, which is not a folder. Choose another name.")
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise InvalidInput(f"{name!r} exists and is not a regular file. Choose another name.")
        if path.exists() and not overwrite:
            raise InvalidInput(f"{name!r} already exists. Choose another name, or pass overwrite=true to replace it.")
        return path

    @contextmanager
    def new_file(self, path: Path, *, overwrite: bool) -> Generator[BinaryIO]:
        """Open a file that becomes *path*, from `file_to_write`, at the end: whole, or not at all.

        Raises:
            InvalidInput: A file of that name was created meanwhile.
            DiskFault: It cannot be written.
        """
        try:
            with descriptors.new_file(self._root(path), path, overwrite=overwrite) as file:
                yield file
        except FileExistsError as error:
            raise InvalidInput(f"{path.name!r} was created meanwhile. Choose another name.") from error
        except OSError as error:
            if error.errno in _SWAPPED:
                raise InvalidInput(
                    f"The folder of {path.name!r} was replaced meanwhile. Try again, or choose another place."
                ) from error
            raise DiskFault(
                f"{self.display_name(path)} cannot be written: {error.strerror}. Make room, or choose another place."
            ) from error

    def display_name(self, path: Path) -> str:
        """Name *path* as the user would: relative to the first folder if it is in it."""
        root = self._roots[0]
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

    def data_files(self, folder: Path | None = None) -> list[str]:
        """Return the names of data files at the top of the folders, or in *folder*, for advice."""
        tops = (folder,) if folder else self._roots
        return [self.display_name(entry) for top in tops for entry in _entries(top) if _is_data(entry)]

    def _root(self, path: Path) -> Path:
        return next(root for root in self._roots if path.is_relative_to(root))

    def _open(self, path: Path, name: str) -> BinaryIO:
        try:
            return descriptors.open_file(self._root(path), path)
        except PermissionError as error:
            raise InvalidInput(f"{name!r} is not readable by this user. Change its permissions.") from error
        except OSError as error:
            if error.errno in _SWAPPED:
                raise _replaced(name) from error
            raise InvalidInput(f"{name!r} cannot be opened: {error.strerror}. Check the name.") from error

    def _fit(self, file: BinaryIO, name: str) -> os.stat_result:
        """Return the state of an open file, which nothing can replace any more; refuse one that is never read."""
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode):
            raise InvalidInput(f"{name!r} is not a regular file. Name one data file. {self._offer()}")
        if info.st_nlink > 1:
            raise InvalidInput(
                f"{name!r} has {info.st_nlink:,} names (hard links), and the others may lie outside the workspace. "
                "Copy it, and name the copy."
            )
        if info.st_size > MAX_FILE_BYTES:
            raise InvalidInput(f"{name!r} has {info.st_size:,} bytes, more than {MAX_FILE_BYTES:,}. Split it first.")
        return info

    def _existing(self, name: str) -> Path:
        if not name.strip():
            raise InvalidInput(f"No file was named. {self._offer()}")
        given = self._given(name)
        for root in self._roots:
            path = _real(root / given, name)  # an absolute name stays as it is
            self._refuse_outside(path, name)
            if _exists(path, name):
                return path
        raise NotFound(f"No file {name!r} in the workspace {self._where()}. {self._offer(name, self._nearest(given))}")

    def _given(self, name: str) -> Path:
        """Return *name* as a path, absolute or not; refuse one on another machine, which only Windows has."""
        path = _path(name)
        # Checked first: to look there, Windows would sign the user in to that machine.
        if path.drive.startswith("\\\\") and path.drive.lower() not in {root.drive.lower() for root in self._roots}:
            raise self._outside(name)
        return path

    def _nearest(self, given: Path) -> Path | None:
        """Return the folder of *given* if it is in the workspace and not its top."""
        for root in self._roots:
            folder = _real((root / given).parent, given.name)
            is_below = folder != root and folder.is_relative_to(root) and folder.is_dir()
            if is_below and not _is_hidden_below(root, folder):
                return folder
        return None

    def _offer(self, name: str = "", folder: Path | None = None) -> str:
        """List the data in the workspace, or in *folder*: that name in its folders, similar names, the rest."""
        tops = (folder,) if folder else self._roots
        folders = [entry for top in tops for entry in _entries(top) if entry.is_dir() and not entry.is_symlink()]
        is_hidden = any(step.startswith(".") for step in Path(name).parts)
        below = [entry / name for entry in folders if name and not is_hidden and _is_data(entry / name)]
        here = [*map(self.display_name, below), *self.data_files(folder)]
        alike = difflib.get_close_matches(name, here, _OFFERED, 0.6)
        others = [*here, *(f"{self.display_name(entry)}/" for entry in folders)]
        offered = list(dict.fromkeys([*here[: len(below)], *alike, *others]))
        more = f" and {len(offered) - _OFFERED} more" if len(offered) > _OFFERED else ""
        where = f" in {self.display_name(folder)}" if folder else ""
        return f"There are{where}: {', '.join(offered[:_OFFERED])}{more}." if offered else "Put the data file there."

    def _refuse_outside(self, path: Path, name: str) -> None:
        if not any(path.is_relative_to(root) for root in self._roots):
            raise self._outside(name)

    def _outside(self, name: str) -> OutsideWorkspace:
        return OutsideWorkspace(
            f"{name!r} lies outside the workspace {self._where()}. "
            "Use a file in it, or have the folder added to BATCHWRIGHT_WORKSPACE."
        )

    def _refuse_private(self, path: Path, name: str) -> None:
        if _is_hidden_below(self._root(path), path):
            raise OutsideWorkspace(
                f"{name!r} is a hidden file or lies in a hidden folder; these are never opened. Copy it."
            )
        # Case is folded as case-insensitive file systems do: to them the long s is an s.
        if path.suffix.casefold() in _SECRET_SUFFIXES or path.stem.casefold() in _SECRET_NAMES:
            raise OutsideWorkspace(
                f"{name!r} looks like a key or a password file; these are never opened. Rename the data."
            )

    def _where(self) -> str:
        return ", ".join(str(root) for root in self._roots)


def _entries(folder: Path) -> list[Path]:
    """Return the entries of a folder that are not hidden, sorted; of a very full folder, a part."""
    try:
        found = sorted(itertools.islice(folder.iterdir(), _LOOKED_AT))
    except OSError:
        return []
    return [entry for entry in found if not system.is_hidden(entry)]


def _is_data(entry: Path) -> bool:
    return entry.suffix.lower() in _DATA_SUFFIXES and entry.is_file()


def default_root(start: Path, home: Path) -> Path:
    """Return the default workspace: *start*, unless that is no place for data."""
    start = Path(os.path.realpath(start))
    system = {Path(spelling) for folder in _SYSTEM_FOLDERS for spelling in (folder, os.path.realpath(folder))}
    is_system = any(step in system for step in (start, *start.parents))
    if start in {Path(start.anchor), Path(os.path.realpath(home))} or is_system:
        return home / _FALLBACK
    return start


def _is_hidden_below(root: Path, path: Path) -> bool:
    """Whether a step of a path below *root* is hidden; the path to *root* is the user's own choice."""
    return any(map(system.is_hidden, itertools.takewhile(lambda step: step != root, (path, *path.parents))))


def _is_within(path: Path, folder: Path) -> bool:
    """Whether *path* is in a folder, even if its name is written in another case, as most Macs allow."""
    if path.is_relative_to(folder):
        return True
    return folder.exists() and any(step.exists() and step.samefile(folder) for step in path.parents)


def _path(name: str) -> Path:
    if not name.strip():
        raise InvalidInput("The file name is empty. Name a file in the workspace.")
    if "\0" in name or not name.isprintable():
        raise InvalidInput("The file name contains a character that no file name has. Name a file in the workspace.")
    if len(name) > MAX_NAME_CHARACTERS or max(map(len, Path(name).parts), default=0) > MAX_STEP_CHARACTERS:
        raise InvalidInput(
            f"The file name has {len(name):,} characters, more than a file name may have. Choose a shorter one."
        )
    if ".." in Path(name).parts:
        raise OutsideWorkspace(f"{name!r} contains '..', which is never followed. Name the file from the workspace.")
    if system.is_read_otherwise(Path(name)):
        raise InvalidInput(f"{name!r} is not a file's own name on Windows. Name the file as its folder shows it.")
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise OutsideWorkspace(f"{name!r} names another user's home. Name a file in the workspace.") from error


def _real(path: Path, name: str) -> Path:
    try:
        return Path(os.path.realpath(path))
    except OSError as error:  # a link was replaced while it was read
        raise _replaced(name) from error


def _replaced(name: str) -> InvalidInput:
    return InvalidInput(f"{name!r} was replaced while it was opened. Try again when nothing replaces it.")


def _exists(path: Path, name: str) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise InvalidInput(f"{name[:80]!r} cannot be opened: {error.strerror}. Check the name.") from error
    return True


def _state(info: os.stat_result) -> tuple[int, int, int]:
    """Return what changes with a file's content, even if its modification time was set back."""
    return info.st_size, info.st_mtime_ns, info.st_ctime_ns
