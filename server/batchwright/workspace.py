"""The folders that the user lets the server read and write. The only opener of the user's files."""

import difflib
import itertools
import os
import secrets
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from batchwright.errors import InvalidInput, NotFound, OutsideWorkspace

MAX_FILE_BYTES = 50 * 1024**3
MAX_NAME_CHARACTERS = 1_000
MAX_STEP_CHARACTERS = 255
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
    """A list of folders, and the rule for what may be opened in them.

    A relative name is looked for in each folder, in order, and written to the first.
    """

    def __init__(self, roots: Sequence[Path], *, kept: Path | None = None) -> None:
        """Take the folders; nothing is written into *kept*, where the server keeps its own files."""
        self._roots = tuple(Path(os.path.realpath(root)) for root in roots)
        self._kept = Path(os.path.realpath(kept)) if kept else None

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders, as real paths."""
        return self._roots

    def file_to_read(self, name: str) -> Path:
        """Give the real path of the regular file that *name* means.

        Raises:
            NotFound: There is no such file.
            OutsideWorkspace: It lies outside, or is of a kind that is never opened.
            InvalidInput: It is not a regular file, or too large.
        """
        path = self._existing(name)
        self._refuse_private(path, name)
        info = _stat(path, name)
        if not stat.S_ISREG(info.st_mode):
            what = "a folder" if stat.S_ISDIR(info.st_mode) else "not a regular file"
            inside = path if stat.S_ISDIR(info.st_mode) else None
            raise InvalidInput(f"{name!r} is {what}. Name one data file. {self._offer(folder=inside)}")
        if info.st_size > MAX_FILE_BYTES:
            raise InvalidInput(f"{name!r} has {info.st_size:,} bytes, more than {MAX_FILE_BYTES:,}. Split it first.")
        return path

    def files_to_read(self, pattern: str, *, most: int) -> list[Path]:
        """Give the real paths of the regular files that *pattern* matches, in the order of their names.

        `*`, `?` and `[...]` match within one step of the path; hidden files and folders are passed over, as in a shell.

        Raises:
            NotFound: There is none.
            OutsideWorkspace: One lies outside, or is of a kind that is never opened.
            InvalidInput: It is no pattern of file names, or matches more than *most* files.
        """
        given = _path(pattern)
        if "**" in pattern:
            raise InvalidInput(f"{pattern!r} asks for folders of any depth with '**'. Name each step, as '*/*.csv'.")
        for root in self._roots:
            if given.is_absolute() and not given.is_relative_to(root):
                continue
            relative = given.relative_to(root) if given.is_absolute() else given
            found = list(itertools.islice(_matches(root, relative), most + 1))
            if len(found) > most:
                raise InvalidInput(f"{pattern!r} matches more than {most:,} files. Name fewer, or put them together.")
            if found:
                return [self.file_to_read(str(path)) for path in sorted(found)]
        raise NotFound(f"No file matches {pattern!r} in the workspace {self._where()}. {self._offer(pattern)}")

    def file_to_write(self, name: str, *, overwrite: bool) -> Path:
        """Give the real path that *name* means for a file to be written; its folder may be missing.

        Raises:
            OutsideWorkspace: It lies outside, or is of a kind that is never opened.
            InvalidInput: It cannot be made, or it exists and *overwrite* is false.
        """
        given = _path(name)
        target = given if given.is_absolute() else self._first_root() / given
        folder = Path(os.path.realpath(target.parent))
        path = folder / target.name
        self._refuse_outside(path, name)
        self._refuse_private(path, name)
        if self._kept is not None and path.is_relative_to(self._kept):
            raise OutsideWorkspace(f"{name!r} lies in the folder of the server's own files. Choose another place.")
        nearest = next(step for step in (folder, *folder.parents) if step.exists())
        if not nearest.is_dir():
            raise InvalidInput(f"{name!r} lies in {nearest.name!r}, which is no folder. Choose another name.")
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise InvalidInput(f"{name!r} exists and is not a regular file. Choose another name.")
        if path.exists() and not overwrite:
            raise InvalidInput(f"{name!r} exists already. Choose another name, or pass overwrite=true to replace it.")
        return path

    def shown(self, path: Path) -> str:
        """Name *path* as the user would: relative to the first folder where it lies in it."""
        root = self._roots[0]
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

    def data_files(self, folder: Path | None = None) -> list[str]:
        """Names of data files at the top of the folders, or in *folder*, for advice."""
        tops = (folder,) if folder else self._roots
        return [self.shown(entry) for top in tops for entry in _entries(top) if _is_data(entry)]

    def _first_root(self) -> Path:
        root = self._roots[0]
        root.mkdir(parents=True, exist_ok=True)
        return root

    def _existing(self, name: str) -> Path:
        if not name.strip():
            raise InvalidInput(f"No file is named. {self._offer()}")
        given = _path(name)
        candidates = [given] if given.is_absolute() else [root / given for root in self._roots]
        for candidate in candidates:
            path = Path(os.path.realpath(candidate))
            self._refuse_outside(path, name)
            if _exists(path, name):
                return path
        raise NotFound(f"No file {name!r} in the workspace {self._where()}. {self._offer(name, self._nearest(given))}")

    def _nearest(self, given: Path) -> Path | None:
        """Give the folder that *given* lies in, where that is one of the workspace and not its top."""
        for root in self._roots:
            folder = Path(os.path.realpath((given if given.is_absolute() else root / given).parent))
            is_below = folder != root and folder.is_relative_to(root) and folder.is_dir()
            if is_below and not any(step.startswith(".") for step in folder.relative_to(root).parts):
                return folder
        return None

    def _offer(self, name: str = "", folder: Path | None = None) -> str:
        """Say what is there, or in *folder*: names most like *name* first, then its folders.

        A file of that name in one of the folders comes before all.
        """
        tops = (folder,) if folder else self._roots
        folders = [entry for top in tops for entry in _entries(top) if entry.is_dir() and not entry.is_symlink()]
        is_hidden = any(step.startswith(".") for step in Path(name).parts)
        below = [entry / name for entry in folders if name and not is_hidden and _is_data(entry / name)]
        here = [*map(self.shown, below), *self.data_files(folder)]
        alike = difflib.get_close_matches(name, here, _OFFERED, 0.6)
        others = [*here, *(f"{self.shown(entry)}/" for entry in folders)]
        offered = list(dict.fromkeys([*here[: len(below)], *alike, *others]))
        more = f" and {len(offered) - _OFFERED} more" if len(offered) > _OFFERED else ""
        where = f" in {self.shown(folder)}" if folder else ""
        return f"There are{where}: {', '.join(offered[:_OFFERED])}{more}." if offered else "Put the data file there."

    def _refuse_outside(self, path: Path, name: str) -> None:
        if not any(path.is_relative_to(root) for root in self._roots):
            raise OutsideWorkspace(
                f"{name!r} lies outside the workspace {self._where()}. "
                "Use a file in it, or have the folder added to BATCHWRIGHT_WORKSPACE."
            )

    def _refuse_private(self, path: Path, name: str) -> None:
        root = next(root for root in self._roots if path.is_relative_to(root))
        steps = path.relative_to(root).parts
        if any(step.startswith(".") for step in steps):
            raise OutsideWorkspace(
                f"{name!r} is a hidden file or lies in a hidden folder; these are never opened. Copy it."
            )
        if path.suffix.lower() in _SECRET_SUFFIXES or path.stem.lower() in _SECRET_NAMES:
            raise OutsideWorkspace(
                f"{name!r} looks like a key or a password file; these are never opened. Rename the data."
            )

    def _where(self) -> str:
        return ", ".join(str(root) for root in self._roots)


def _entries(folder: Path) -> list[Path]:
    """Give what is in a folder and not hidden, in the order of names; of a very full one a part."""
    try:
        found = sorted(itertools.islice(folder.iterdir(), _LOOKED_AT))
    except OSError:
        return []
    return [entry for entry in found if not entry.name.startswith(".")]


def _is_data(entry: Path) -> bool:
    return entry.suffix.lower() in _DATA_SUFFIXES and entry.is_file()


def default_root(start: Path, home: Path) -> Path:
    """Give the workspace of a server that was told none: *start*, unless that is no place for data."""
    start = Path(os.path.realpath(start))
    system = {Path(spelling) for folder in _SYSTEM_FOLDERS for spelling in (folder, os.path.realpath(folder))}
    is_system = any(step in system for step in (start, *start.parents))
    if start in {Path(start.anchor), Path(os.path.realpath(home))} or is_system:
        return home / _FALLBACK
    return start


@contextmanager
def whole_file(target: Path, *, overwrite: bool) -> Generator[Path]:
    """Give a temporary path beside *target*; what was written there becomes *target*, whole, or nothing does.

    The folder of *target* is made where it is missing.

    Raises:
        InvalidInput: *target* came into being meanwhile, and *overwrite* is false.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if overwrite:
            temporary.replace(target)
        else:
            _link(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _link(temporary: Path, target: Path) -> None:
    try:
        os.link(temporary, target)
    except FileExistsError as error:
        raise InvalidInput(f"{target.name!r} was made meanwhile. Choose another name.") from error
    except OSError:
        # Some file systems have no links: there, another program may come in between.
        if target.exists():
            raise InvalidInput(f"{target.name!r} was made meanwhile. Choose another name.") from None
        temporary.replace(target)


def _matches(root: Path, pattern: Path) -> Iterator[Path]:
    for path in root.glob(str(pattern)):
        is_hidden = any(step.startswith(".") for step in path.relative_to(root).parts)
        if not is_hidden and not path.is_dir():
            yield path


def _path(name: str) -> Path:
    if not name.strip():
        raise InvalidInput("The file name is empty. Name a file in the workspace.")
    if "\0" in name or not name.isprintable():
        raise InvalidInput("The file name holds a character that no file name has. Name a file in the workspace.")
    if len(name) > MAX_NAME_CHARACTERS or max(map(len, Path(name).parts), default=0) > MAX_STEP_CHARACTERS:
        raise InvalidInput(
            f"The file name has {len(name):,} characters, more than a file can have. Choose a shorter one."
        )
    if ".." in Path(name).parts:
        raise OutsideWorkspace(
            f"{name!r} goes up with '..', which is never followed. Name the file from the workspace."
        )
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise OutsideWorkspace(f"{name!r} names another user's home. Name a file in the workspace.") from error


def _exists(path: Path, name: str) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise InvalidInput(f"{name[:80]!r} cannot be opened: {error.strerror}. Check the name.") from error
    return True


def _stat(path: Path, name: str) -> os.stat_result:
    try:
        info = path.stat()
        if stat.S_ISREG(info.st_mode) and not os.access(path, os.R_OK):
            raise InvalidInput(f"{name!r} may not be read by this user. Change its permissions.")
    except OSError as error:
        raise InvalidInput(f"{name!r} cannot be opened: {error.strerror}. Check the name.") from error
    return info
