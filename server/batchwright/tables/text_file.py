"""Text files as UTF-8: gzip is unpacked and other encodings are rewritten, streaming, into a temporary file.

Whether a file is Windows-1252 is judged by our own code, because no library judges it well: `charset-normalizer` and
`chardet` take short French or Danish files for other alphabets, and never say that they cannot tell.
"""

import codecs
import gzip
import re
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchwright.core.errors import InvalidInput
from batchwright.core.progress import SILENT, Progress

if TYPE_CHECKING:
    from batchwright.tables.source import DataFile

MAX_INFLATED_BYTES = 50 * 1024**3
MAX_RATIO = 50
"""A gzip file may unpack to `inflated_bytes` of its bounds, or to 50 times its size if that is more, up to 50 GB."""

_CHUNK_BYTES = 1 << 16
"""Small enough to stay in the processor's cache while it is read more than once."""
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_HIGH = re.compile(rb"[\x80-\xff]+")
_UTF8_LETTER = re.compile(rb"[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_NOT_IN_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_WESTERN_LETTERS = 2
"""The most letters with accents side by side, as in `Süß`; in other alphabets whole words are such bytes."""
_BOMS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
TELL = 'or name its encoding, like reading={"encoding": "windows-1251"}'
_SHOWN_NAMES = {"cp1252": "Windows-1252 (Western European)", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}


@dataclass(frozen=True, slots=True)
class PlainText:
    """A file in UTF-8, the encoding that it was rewritten from, if any, and what the user should know about that."""

    path: Path
    encoding: str | None = None
    warnings: tuple[str, ...] = ()


def plain_text(file: "DataFile", folder: Path, progress: Progress = SILENT) -> PlainText:
    """Return a text file as UTF-8, rewritten in *folder* if needed, which takes up to two copies.

    Raises:
        InvalidInput: It is a broken gzip file, unpacks to too much, or its encoding is unknown.
    """
    path = file.path
    if file.is_gzipped:
        path = folder / "inflated"
        _inflate(file, path, progress.stage(0, 0.7))
    encoding = _encoding(path, file, progress.stage(0.7 if file.is_gzipped else 0, 0.9))
    if encoding is None:
        return PlainText(path)
    target = folder / "text"
    _rewrite(path, target, encoding, file.name, progress.stage(0.9 if file.is_gzipped else 0, 1))
    if file.is_gzipped:
        path.unlink()
    if file.reading.encoding:
        return PlainText(target, encoding)
    advice = f" If letters look wrong, save it as CSV (UTF-8), {TELL}." if encoding == "cp1252" else ""
    warning = f"{file.name} is not UTF-8: it was read as {_SHOWN_NAMES[encoding]}.{advice}"
    return PlainText(target, encoding, (warning,))


def first_bad_line(path: Path, progress: Progress = SILENT) -> int | None:
    """Return the number of the first line that is not UTF-8, as an editor counts lines; None: all of them are."""
    try:
        deque(_texts(path, "utf-8", progress), maxlen=0)
    except _UndecodableError as error:
        return error.line
    return None


def _inflate(file: "DataFile", target: Path, progress: Progress) -> None:
    size = file.path.stat().st_size
    most = min(MAX_INFLATED_BYTES, max(file.bounds.inflated_bytes, MAX_RATIO * size))
    written = 0
    try:
        with file.path.open("rb") as raw, gzip.open(raw) as inflated, target.open("wb") as out:
            while chunk := inflated.read(_CHUNK_BYTES):
                written += len(chunk)
                if written > most:
                    raise InvalidInput(
                        f"{file.name} unpacks to more than {most:,} bytes, far more than its size suggests. "
                        "Unpack it yourself, and use the part that you need."
                    )
                out.write(chunk)
                progress.at(raw.tell() / size)
    except EOFError as error:
        raise InvalidInput(f"{file.name} is cut off: its gzip has no end. Copy or download it again.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InvalidInput(f"{file.name} is not a complete gzip file. Copy or download it again.") from error


def _encoding(path: Path, file: "DataFile", progress: Progress) -> str | None:
    """Return the encoding to rewrite *path* from; None: it is UTF-8, or its fault is reported elsewhere."""
    if given := file.reading.encoding:
        return None if given in {"utf-8", "utf-8-sig", "ascii"} else given
    with path.open("rb") as opened:
        start = opened.read(1_000)
    if encoding := _BOMS.get(start[:2]):
        return encoding
    if b"\0" in start or file.kind != "csv" or first_bad_line(path, progress) is None:
        return None
    return _western(path, file.name)


def _western(path: Path, name: str) -> str | None:
    """Return Windows-1252, which includes Latin-1, if a file that is not UTF-8 is that; None: it is broken UTF-8."""
    stray = in_words = letters = 0
    has_gaps = False
    for chunk in chunks(path):
        if _SURROGATE.search(chunk):
            return None
        rest, found = _UTF8_LETTER.subn(b"", chunk)
        groups = [len(group) for group in _HIGH.findall(rest)]
        letters += found
        stray += sum(groups)
        in_words += sum(length for length in groups if length > _WESTERN_LETTERS)
        has_gaps = has_gaps or _NOT_IN_CP1252.search(rest) is not None
    # A letter in UTF-8 is two or more bytes that rarely meet by chance: a file with them is UTF-8 with broken places.
    if 10 * letters >= stray:
        return None
    if has_gaps or 2 * in_words > stray:
        raise InvalidInput(f"{name} is not UTF-8, and its encoding is unknown. Save it as CSV (UTF-8), {TELL}.")
    return "cp1252"


def _rewrite(path: Path, target: Path, encoding: str, name: str, progress: Progress) -> None:
    try:
        with target.open("wb") as out:
            for number, text in enumerate(_texts(path, encoding, progress)):
                out.write((text.removeprefix("\ufeff") if number == 0 else text).encode())
    except _UndecodableError as error:
        shown = _SHOWN_NAMES.get(encoding, encoding)
        raise InvalidInput(f"Line {error.line} of {name} is not {shown}. Save it as CSV (UTF-8), {TELL}.") from error


class _UndecodableError(ValueError):
    def __init__(self, line: int) -> None:
        super().__init__(f"line {line} has another encoding")
        self.line = line


def _texts(path: Path, encoding: str, progress: Progress) -> Iterator[str]:
    """Yield the decoded text of a file; raise with the number of the first line that has another encoding."""
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    try:
        for chunk in progress.through(chunks(path), path.stat().st_size):
            text = decoder.decode(chunk)
            line += _line_ends(text)
            yield text
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(encoding, errors="replace")
        raise _UndecodableError(line + _line_ends(before)) from error


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def chunks(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, a little at a time."""
    with path.open("rb", buffering=0) as file:
        yield from iter(lambda: file.read(_CHUNK_BYTES), b"")
