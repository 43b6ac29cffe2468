"""Text files as UTF-8: gzip is inflated and other encodings are rewritten, streaming, into a temporary file."""

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from batchwright.core.errors import InvalidInput
from batchwright.core.progress import SILENT, Progress

if TYPE_CHECKING:
    from batchwright.tables.source import DataFile

MAX_INFLATED_BYTES = 50 * 1024**3
FREE_INFLATED_BYTES = 1024**3
MAX_RATIO = 50
"""A gzip may inflate to 1 GB, or to 50 times its size if that is more, and never to more than 50 GB."""

_CHUNK_BYTES = 1 << 16
"""Small enough to stay in the processor's cache while it is decoded."""
_LINE_END = re.compile(r"\r\n|\n|\r")
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_HIGH = re.compile(rb"[\x80-\xff]+")
_UTF8_LETTER = re.compile(rb"[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_NOT_IN_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
TELL = 'or tell its encoding, like reading={"encoding": "windows-1251"}'
_SHOWN_NAMES = {"cp1252": "Windows-1252 (Western European)", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}


@dataclass(frozen=True, slots=True)
class PlainText:
    """A file in UTF-8, and what the user should know of how it became so."""

    path: Path
    warnings: tuple[str, ...] = ()


def plain_text(file: "DataFile", folder: Path, progress: Progress = SILENT) -> PlainText:
    """Return a text file as UTF-8; where it is not, it is rewritten in *folder*, which takes up to two copies.

    Raises:
        InvalidInput: It is no whole gzip, inflates to too much, or its encoding is not known.
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
        return PlainText(target)
    advice = f" If letters look wrong, save it as CSV (UTF-8), {TELL}." if encoding == "cp1252" else ""
    read = f"{file.name} is not UTF-8: it was read as {_SHOWN_NAMES[encoding]}.{advice}"
    return PlainText(target, (f"{read} Results are saved as UTF-8: for Excel, choose .xlsx.",))


def first_bad_line(path: Path) -> int:
    """Return the number of the first line that is not UTF-8, as an editor counts them."""
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    for chunk in _chunks(path):
        try:
            line += len(_LINE_END.findall(decoder.decode(chunk)))
        except UnicodeDecodeError as error:
            return line + len(_LINE_END.findall(error.object[: error.start].decode("utf-8", errors="replace")))
    return line


def _inflate(file: "DataFile", target: Path, progress: Progress) -> None:
    size = file.path.stat().st_size
    most = min(MAX_INFLATED_BYTES, max(FREE_INFLATED_BYTES, MAX_RATIO * size))
    written = 0
    try:
        with file.path.open("rb") as raw, gzip.open(raw) as inflated, target.open("wb") as out:
            for chunk in _read(cast("BinaryIO", inflated)):
                written += len(chunk)
                if written > most:
                    raise InvalidInput(
                        f"{file.name} inflates to more than {most:,} bytes, far more than its size lets expect. "
                        "Unpack it yourself, and give the part that is needed."
                    )
                out.write(chunk)
                progress.at(raw.tell() / size)
    except EOFError as error:
        raise InvalidInput(f"{file.name} is cut off: its gzip has no end. Copy or download it again.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InvalidInput(f"{file.name} is not a whole gzip file. Copy or download it again.") from error


def _encoding(path: Path, file: "DataFile", progress: Progress) -> str | None:
    """Return the encoding that *path* is to be rewritten from; None: it is UTF-8, or its fault is told elsewhere."""
    if told := file.reading.encoding:
        return None if told in {"utf-8", "utf-8-sig", "ascii"} else told
    with path.open("rb") as opened:
        start = opened.read(1_000)
    if mark := _MARKS.get(start[:2]):
        return mark
    if b"\0" in start or file.kind != "csv" or _is_utf8(path, progress):
        return None
    return _western(path, file.name)


def _is_utf8(path: Path, progress: Progress) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in progress.through(_chunks(path), path.stat().st_size):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _western(path: Path, name: str) -> str | None:
    """Say whether a file that is not UTF-8 is Windows-1252, of which Latin-1 is a part; None: it is broken UTF-8."""
    stray = in_groups = letters = 0
    has_gaps = False
    for chunk in _chunks(path):
        if _SURROGATE.search(chunk):
            return None
        rest, found = _UTF8_LETTER.subn(b"", chunk)
        groups = [len(group) for group in _HIGH.findall(rest)]
        letters += found
        stray += sum(groups)
        in_groups += sum(length for length in groups if length > 1)
        has_gaps = has_gaps or _NOT_IN_CP1252.search(rest) is not None
    # Letters of UTF-8 are two bytes and more that hardly meet by chance: with them it is UTF-8 with broken places.
    if 10 * letters >= stray:
        return None
    # In Western texts a letter with an accent rarely has another beside it; in other scripts nearly all letters do.
    if has_gaps or 2 * in_groups > stray:
        raise InvalidInput(f"{name} is not UTF-8, and its encoding cannot be told. Save it as CSV (UTF-8), {TELL}.")
    return "cp1252"


def _rewrite(path: Path, target: Path, encoding: str, name: str, progress: Progress) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    try:
        with target.open("wb") as out:
            for number, chunk in enumerate(progress.through(_chunks(path), path.stat().st_size)):
                text = decoder.decode(chunk)
                out.write((text.removeprefix("\ufeff") if number == 0 else text).encode())
                line += len(_LINE_END.findall(text))
            out.write(decoder.decode(b"", final=True).encode())
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(encoding, errors="replace")
        shown = _SHOWN_NAMES.get(encoding, encoding)
        raise InvalidInput(
            f"Line {line + len(_LINE_END.findall(before))} of {name} is not {shown}. Save it as CSV (UTF-8), {TELL}."
        ) from error


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        yield from _read(file)


def _read(file: BinaryIO | FileIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk
