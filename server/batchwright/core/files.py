"""The program's own files: read by lines, hashed, replaced whole. The user's files are `workspace`'s."""

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from batchwright.core import system
from batchwright.core.jsonl import whole_lines

CHUNK_BYTES = 1 << 20
BLOCK_BYTES = 1 << 17


def lines(path: Path, *, longest: int | None = None) -> Iterator[bytes]:
    """Yield the lines of a JSONL file without their newline, streaming, as `whole_lines` does."""
    with path.open("rb") as file:
        yield from whole_lines(iter(lambda: file.read(CHUNK_BYTES), b""), longest=longest)


def blocks(path: Path) -> Iterator[bytes]:
    """Yield a file's content, streaming."""
    with path.open("rb", buffering=0) as file:
        # Small enough to stay in the processor's cache while the block is checked.
        yield from iter(lambda: file.read(BLOCK_BYTES), b"")


def sha256(path: Path) -> str:
    """Return the hash of a file's content, as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file; a reader finds the old content or the new, even after a crash."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_bytes(data)
        sync(temporary)
        system.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file's content to the disk."""
    with path.open("rb+") as file:
        system.to_disk(file.fileno())


def append(file: FileIO, data: bytes) -> None:
    """Append a whole line, or nothing: a full disk may take a part of it without an error."""
    written = file.write(data)
    if written != len(data):
        file.truncate(file.seek(0, os.SEEK_END) - (written or 0))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)


def cut_to_whole_lines(path: Path) -> None:
    """Remove a last line that a killed process left unfinished."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        place = end
        while place > 0:
            start = max(0, place - CHUNK_BYTES)
            file.seek(start)
            newline = file.read(place - start).rfind(b"\n")
            if newline >= 0:
                place = start + newline + 1
                break
            place = start
        if place < end:
            file.truncate(place)
