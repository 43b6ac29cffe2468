"""Sheets of Excel and LibreOffice: their rows, written as JSON, one a line."""

import datetime as dt
import re
import zipfile
import zlib
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import msgspec

from batchwright.core.errors import InvalidInput
from batchwright.core.progress import SILENT, Progress
from batchwright.tables.csv_file import refuse_same_names
from batchwright.tables.process import Bounds, carry_out, progress_file

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

    from batchwright.core.model import Json
    from batchwright.tables.source import DataFile


MAX_UNPACKED_BYTES = 500_000_000
MAX_CELLS = 20_000_000
_MAX_SECONDS = 300.0
"""A sheet is held in memory as the rectangle around its cells: what is larger belongs into CSV or Parquet."""

_CHUNK_BYTES = 1 << 20
_ROWS_A_REPORT = 500
_OVERLAP_BYTES = 64
_PLACE = re.compile(rb'<(?:\w+:)?c\s[^>]*?\br="([A-Z]{1,3})(\d{1,7})"')
_FAULT = re.compile(rb'<(?:\w+:)?c\s[^>]*?\bt="e"')
_SHARED = re.compile(rb'\bt="s"[^>]*><v>(\d{1,9})</v>')
_TEXT_END = b"</si>"
_EXACT = 2**53
_SHOWN_SHEETS = 5


class SheetOrder(msgspec.Struct, frozen=True):
    """What is to be read: a sheet, the first unless one is named, to a file with a JSON object for each row."""

    path: str
    name: str
    target: str
    sheet: str | None = None


class ExcelRows:
    """The rows of one sheet; its first row that is not empty names the columns.

    Raises:
        InvalidInput: The file is broken or too large, there is no such sheet, or the column names cannot be used.
    """

    def __init__(self, path: Path, name: str, sheet: str | None, progress: Progress = SILENT) -> None:
        import python_calamine

        self._name = name
        has_faults = is_measured(path) and _unpack(path, name, progress)
        try:
            with python_calamine.load_workbook(str(path)) as book:  # pyright: ignore[reportUnknownMemberType]  # not generic there
                self.warnings = self._chosen(book.sheet_names, sheet)
                self._sheet = book.get_sheet_by_name(sheet or book.sheet_names[0])
        except python_calamine.PasswordError as error:
            raise InvalidInput(f"{name} is protected by a password. Save it without one, or as CSV (UTF-8).") from error
        except (python_calamine.CalamineError, OSError, ValueError) as error:
            raise InvalidInput(f"{name} is not a whole Excel file. Save it again as .xlsx or CSV (UTF-8).") from error
        # What is called so is the place of the last cell, counted from 0.
        if (self._sheet.total_height + 1) * (self._sheet.total_width + 1) > MAX_CELLS:
            raise _too_large(name, f"{MAX_CELLS:,} cells in a sheet")
        self._header = _header(self._sheet)
        self._columns = self._named()
        if has_faults:
            self.warnings += (f"{name.partition('#')[0]} has cells with a fault, such as #N/A: these are empty here.",)

    def lines(self, progress: Progress = SILENT) -> Iterator[bytes]:
        """Give each row that is not empty as a JSON object: dates and times as ISO text, whole numbers as such.

        Raises:
            InvalidInput: A cell stands where no column has a name.
        """
        is_below = False
        for number, row in enumerate(self._sheet.iter_rows()):
            if number % _ROWS_A_REPORT == 0:
                progress.at(number / (self._sheet.total_height + 1))
            cells = [_cell(value) for value in row]
            if all(cell is None for cell in cells):
                continue
            if not is_below:
                is_below = True
                continue
            if nameless := [place for place, cell in enumerate(cells) if cell is not None and not self._columns[place]]:
                raise InvalidInput(
                    f"Column {nameless[0] + 1} of {self._name} has cells and no name. Give it one in the first row."
                )
            yield msgspec.json.encode(
                {column: cell for column, cell in zip(self._columns, cells, strict=True) if column}
            )

    def _chosen(self, sheets: Sequence[str], wanted: str | None) -> tuple[str, ...]:
        shown = ", ".join(map(repr, sheets[:_SHOWN_SHEETS]))
        shown += f" and {len(sheets) - _SHOWN_SHEETS} more" if len(sheets) > _SHOWN_SHEETS else ""
        if not sheets:
            raise InvalidInput(f"{self._name} has no sheet. Save it again as .xlsx or CSV (UTF-8).")
        if wanted is not None and wanted not in sheets:
            raise InvalidInput(f"{self._name.partition('#')[0]} has no such sheet. Its sheets are {shown}.")
        if wanted is None and len(sheets) > 1:
            return (f"{self._name} has the sheets {shown}: the first was read. For another, write {self._name}#NAME.",)
        return ()

    def _named(self) -> list[str]:
        names = ["" if cell is None else str(cell) for cell in self._header]
        if not any(name.strip() for name in names):
            raise InvalidInput(f"{self._name} is empty: it has not even a header. Give a sheet with data.")
        refuse_same_names(tuple(name for name in names if name), self._name)
        return names


def _header(sheet: "CalamineSheet") -> "list[Json]":
    for row in sheet.iter_rows():
        cells = [_cell(value) for value in row]
        if any(cell is not None for cell in cells):
            return cells
    return []


def _cell(value: object) -> "Json":
    match value:
        case "":
            return None
        case float() if value.is_integer() and abs(value) < _EXACT:
            # Excel knows one kind of numbers, and shows whole ones without a point.
            return int(value)
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return str(value)
        case _:
            return value


def is_measured(path: Path) -> bool:
    """Whether how large a sheet is can mostly be seen before it is read, and said in so many words."""
    return path.suffix.lower() in {".xlsx", ".xlsm"}


def _too_large(name: str, most: str) -> InvalidInput:
    return InvalidInput(f"{name} has more than {most}. Save the sheet as CSV (UTF-8).")


def _unpack(path: Path, name: str, progress: Progress) -> bool:
    """Unpack everything once, and keep nothing: what a file says of its size need not be so.

    Says whether there are cells with a fault.

    Raises:
        InvalidInput: It is broken, or larger than can be held in memory.
    """
    measure = _Measure(name)
    try:
        with zipfile.ZipFile(path) as book:
            said_bytes = sum(member.file_size for member in book.infolist())
            # The texts that cells share come before the sheets.
            for member in sorted(book.infolist(), key=lambda member: member.filename):
                with book.open(member) as file:
                    chunks = measure.counted(cast("BinaryIO", file), progress, said_bytes)
                    if member.filename.endswith("sharedStrings.xml"):
                        measure.texts.extend(_text_sizes(chunks))
                    elif "worksheets/" in member.filename:
                        measure.look_at_sheet(chunks)
                    else:
                        deque(chunks, maxlen=0)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise InvalidInput(f"{name} is not a whole Excel file. Save it again as .xlsx or CSV (UTF-8).") from error
    return measure.has_faults


class _Measure:
    """How much an Excel file is when it is unpacked, and its cells filled in.

    Raises:
        InvalidInput: It is too much.
    """

    def __init__(self, name: str) -> None:
        self.texts = array("L")
        self.has_faults = False
        self._name = name
        self._unpack = 0
        self._filled = 0

    def counted(self, file: BinaryIO, progress: Progress, said_bytes: int) -> Iterator[bytes]:
        while chunk := file.read(_CHUNK_BYTES):
            self._unpack += len(chunk)
            self._refuse(self._unpack > MAX_UNPACKED_BYTES, f"{MAX_UNPACKED_BYTES:,} bytes unpacked")
            progress.at(self._unpack / max(said_bytes, 1))
            yield chunk

    def look_at_sheet(self, chunks: Iterable[bytes]) -> None:
        last_row = last_column = 0
        end = b""
        for chunk in chunks:
            # No cell's place is cut in two: a chunk begins with the end of the one before.
            text, end = end + chunk, chunk[-_OVERLAP_BYTES:]
            self.has_faults = self.has_faults or _FAULT.search(text) is not None
            for column, row in _PLACE.findall(text):
                last_row, last_column = max(last_row, int(row)), max(last_column, _number(column))
            shared = (int(number) for number in _SHARED.findall(text))
            self._filled += sum(self.texts[number] for number in shared if number < len(self.texts))
            self._refuse(last_row * last_column > MAX_CELLS, f"{MAX_CELLS:,} cells in a sheet")
            self._refuse(self._filled > MAX_UNPACKED_BYTES, f"{MAX_UNPACKED_BYTES:,} bytes of text in its cells")

    def _refuse(self, is_too_large: bool, most: str) -> None:  # noqa: FBT001  # what is measured
        if is_too_large:
            raise _too_large(self._name, most)


def _text_sizes(chunks: Iterable[bytes]) -> Iterator[int]:
    """Yield the size of each text that cells share."""
    size, end = 0, b""
    for chunk in chunks:
        *texts, rest = (end + chunk).split(_TEXT_END)
        for text in texts:
            yield size + len(text)
            size = 0
        end = rest[1 - len(_TEXT_END) :]
        size += len(rest) - len(end)


def _number(column: bytes) -> int:
    number = 0
    for letter in column:
        number = number * 26 + letter - ord("A") + 1
    return number


def sheet_rows(file: "DataFile", folder: Path, progress: Progress) -> tuple[Path, tuple[str, ...]]:
    """Write the rows of a sheet into *folder*, and give the file and what is to be said.

    Raises:
        InvalidInput: The file is broken or too large, there is no such sheet, or the column names cannot be used.
    """
    path = folder / "rows.jsonl"
    advice = "Save the sheet as CSV (UTF-8)."
    bounds = Bounds(
        _MAX_SECONDS,
        MAX_UNPACKED_BYTES,
        too_long=f"{file.name} took more than {_MAX_SECONDS:.0f} seconds to read. {advice}",
        too_much=f"{file.name} has more cells or text than the memory may hold. {advice}",
        too_large=f"{file.name} has more than {MAX_UNPACKED_BYTES:,} bytes of text in its cells. {advice}",
        broken=f"{file.name} cannot be read: it is broken, or needs more memory than there is. {advice}",
    )
    order = SheetOrder(str(file.path), file.name, str(path), file.sheet)
    report = carry_out("batchwright.tables.sheet_process", order, path, bounds, progress)
    progress_file(path).unlink(missing_ok=True)
    if not report.rows:
        raise _without_rows(file.name)
    return path, report.warnings


def written(path: Path, lines: Iterable[bytes], name: str) -> Path:
    """Write *lines* to *path*.

    Raises:
        InvalidInput: There are none.
    """
    with path.open("wb") as file:
        for line in lines:
            file.write(line + b"\n")
    if path.stat().st_size == 0:
        raise _without_rows(name)
    return path


def _without_rows(name: str) -> InvalidInput:
    return InvalidInput(f"{name} has no rows. Give a file with data.")
