"""Files below a folder, reached step by step through descriptors: no link is followed, whatever is swapped meanwhile.

Each step is opened in the folder before it, so a checked name leads to the same file or nowhere. Linux's `openat2`
would close no further hole: it refuses the same links, no checked name contains `..`, and whoever can move an open
folder out of the root could also put a file into the root.

Windows has no folder descriptors: there a file is opened by its full name, and refused if that leads elsewhere
afterwards; a swap that is undone in between is not noticed.
"""

import errno
import os
import secrets
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from batchwright.core import system

_HAS_FOLDERS = os.open in os.supports_dir_fd


def _flag(name: str) -> int:
    return int(getattr(os, name, 0))  # each system has some of them


_NO_LINK = _flag("O_NOFOLLOW") | _flag("O_BINARY")
_FOLDER = os.O_RDONLY | _NO_LINK | _flag("O_DIRECTORY") | _flag("O_PATH")
_READ = os.O_RDONLY | _NO_LINK | _flag("O_NONBLOCK") | _flag("O_NOCTTY")
_NEW = os.O_WRONLY | _NO_LINK | os.O_CREAT | os.O_EXCL


def open_file(root: Path, path: Path) -> BinaryIO:
    """Open *path* below *root*, without waiting: a pipe is opened too, for the caller to refuse.

    Raises:
        OSError: It cannot be opened, or a step of its name is a link.
    """
    *steps, name = path.relative_to(root).parts or (".",)
    with _folder(root, steps) as folder:
        return os.fdopen(folder.open(name, _READ), "rb", buffering=0)


@contextmanager
def new_file(root: Path, path: Path, *, overwrite: bool) -> Generator[BinaryIO]:
    """Open a file that becomes *path* below *root* at the end, whole and on the disk, or not at all.

    Missing folders on the way to *path* are created.

    Raises:
        FileExistsError: *path* exists, and *overwrite* is false.
        OSError: It cannot be written, or a step of its name is a link.
    """
    temporary = f".{secrets.token_hex(8)}.part"
    with _folder(root, path.parent.relative_to(root).parts, make=True) as folder:
        descriptor = folder.open(temporary, _NEW)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                system.to_disk(file.fileno())
            folder.rename(temporary, path.name, overwrite=overwrite)
        finally:
            folder.remove(temporary)


@dataclass(frozen=True, slots=True)
class _Folder:
    """An open folder, whose files are named by one step; *descriptor* is None on Windows."""

    path: Path
    descriptor: int | None

    def open(self, name: str, flags: int) -> int:
        descriptor = os.open(self._at(name), flags, 0o666, dir_fd=self.descriptor)
        if self.descriptor is None and os.path.realpath(self.path / name) != str(self.path / name):
            os.close(descriptor)
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return descriptor

    def rename(self, name: str, new_name: str, *, overwrite: bool) -> None:
        old, new, folder = self._at(name), self._at(new_name), self.descriptor
        if not overwrite:
            try:
                os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=folder is None)
            except FileExistsError:
                raise
            except OSError:
                # Some file systems have no links: on these, another program may create the file in between.
                with suppress(FileNotFoundError):
                    os.stat(new, dir_fd=folder, follow_symlinks=False)
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
            else:
                return
        system.replace(old, new, folder=folder)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._at(name), dir_fd=self.descriptor)

    def _at(self, name: str) -> str:
        return name if self.descriptor is not None else str(self.path / name)


@contextmanager
def _folder(root: Path, steps: Sequence[str], *, make: bool = False) -> Generator[_Folder]:
    path = root.joinpath(*steps)
    if make:
        (root if _HAS_FOLDERS else path).mkdir(parents=True, exist_ok=True)
    if not _HAS_FOLDERS:
        yield _Folder(path, None)
        return
    descriptor = os.open(root, _FOLDER)
    try:
        for step in steps:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(step, dir_fd=descriptor)
            above, descriptor = descriptor, os.open(step, _FOLDER, dir_fd=descriptor)
            os.close(above)
        yield _Folder(path, descriptor)
    finally:
        os.close(descriptor)
