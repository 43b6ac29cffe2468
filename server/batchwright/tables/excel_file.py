"""Sheets of Excel and LibreOffice: their rows, written as JSON objects, one a line.

Run as a module, it is the process that reads one sheet. The reader allocates the whole rectangle around a sheet's
cells at once, and aborts its process when there is not enough memory; how much it needs cannot be known before.
"""

import datetime as dt
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from batchwright.core.errors import InvalidInput
from batchwright.core.progress import Progress
from batchwright.tables.csv_file import refuse_same_names
from batchwright.tables.process import ProcessBounds, ProcessReport, carry_out, progress_of, serve

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

    from batchwright.core.model import Json
    from batchwright.tables.source import DataFile


MAX_TEXT_BYTES = 500_000_000
_MAX_SECONDS = 300.0
_CHUNK_BYTES = 1 << 20
_ROWS_A_REPORT = 500
_OVERLAP_BYTES = 64
_FAULT = re.compile(rb'<(?:\w+:)?c\s[^>]*?\bt="e"')
_EXACT = 2**53
_SHOWN_SHEETS = 5
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError)
_ADVICE = "Save the sheet as CSV (UTF-8)."


class SheetOrder(msgspec.Struct, frozen=True):
    """A sheet to read, the first unless one is named, into *target*, with a JSON object for each row."""

    path: str
    name: str
    target: str
    max_cells: int
    sheet: str | None = None


def sheet_rows(file: "DataFile", folder: Path, progress: Progress) -> tuple[Path, tuple[str, ...]]:
    """Write the rows of a sheet to a file in *folder*, and return it with the warnings.

    Raises:
        InvalidInput: The file is broken or too large, has no such sheet, or its column names cannot be used.
    """
    path = folder / "rows.jsonl"
    bounds = ProcessBounds(file.name, _ADVICE, _MAX_SECONDS, MAX_TEXT_BYTES, file.bounds.process_bytes)
    order = SheetOrder(str(file.path), file.name, str(path), file.bounds.sheet_cells, file.sheet)
    report = carry_out("batchwright.tables.excel_file", order, path, bounds, progress)
    if not report.rows:
        raise InvalidInput(f"{file.name} has no rows. Choose a file with data.")
    return path, report.warnings


class _Sheet:
    """One sheet, whose first row that is not empty names the columns."""

    def __init__(self, order: SheetOrder) -> None:
        import python_calamine

        self._name = order.name
        self._book = order.name.partition("#")[0]
        try:
            with python_calamine.load_workbook(order.path) as book:  # pyright: ignore[reportUnknownMemberType]  # not generic there
                self.warnings = self._choose(book.sheet_names, order.sheet)
                self._sheet = book.get_sheet_by_name(order.sheet or book.sheet_names[0])
            if _has_faults(Path(order.path)):
                self.warnings += (f"{self._book} has cells with an error, such as #N/A: they are empty here.",)
        except python_calamine.PasswordError as error:
            raise InvalidInput(f"{self._name} is protected by a password. Save it without one.") from error
        except (python_calamine.CalamineError, *_BROKEN, ValueError) as error:
            fact = f"{self._name} is not a complete Excel file"
            raise InvalidInput(f"{fact}. Save it again as .xlsx or CSV (UTF-8).") from error
        # calamine calls the position of the last cell, counted from 0, the total.
        self._height = self._sheet.total_height + 1
        if self._height * (self._sheet.total_width + 1) > order.max_cells:
            raise InvalidInput(f"{self._name} has more than {order.max_cells:,} cells in a sheet. {_ADVICE}")
        self._columns = self._read_header()

    def lines(self, progress: Progress) -> Iterator[bytes]:
        """Yield each row that is not empty as a JSON object: dates and times as ISO text, whole numbers as such."""
        rows = _rows(self._sheet)
        next(rows)  # the header
        for number, row in enumerate(rows):
            if number % _ROWS_A_REPORT == 0:
                progress.at(number / self._height)
            if nameless := [place for place, cell in enumerate(row) if cell is not None and not self._columns[place]]:
                raise InvalidInput(
                    f"Column {nameless[0] + 1} of {self._name} has cells but no name. Name it in the first row."
                )
            yield msgspec.json.encode({name: cell for name, cell in zip(self._columns, row, strict=True) if name})

    def _choose(self, sheets: Sequence[str], wanted: str | None) -> tuple[str, ...]:
        """Check that there is the sheet that is *wanted*, and warn of sheets that nobody chose between."""
        shown = ", ".join(map(repr, sheets[:_SHOWN_SHEETS]))
        shown += f" and {len(sheets) - _SHOWN_SHEETS} more" if len(sheets) > _SHOWN_SHEETS else ""
        if not sheets:
            raise InvalidInput(f"{self._name} has no sheet. Save it again as .xlsx or CSV (UTF-8).")
        if wanted is not None and wanted not in sheets:
            raise InvalidInput(f"{self._book} has no such sheet. Its sheets are {shown}.")
        if wanted is None and len(sheets) > 1:
            return (f"{self._name} has the sheets {shown}; the first was read. For another, write {self._name}#NAME.",)
        return ()

    def _read_header(self) -> list[str]:
        names = ["" if cell is None else str(cell) for cell in next(_rows(self._sheet), None) or ()]
        if not any(name.strip() for name in names):
            raise InvalidInput(f"{self._name} is empty: it does not even have a header. Choose a sheet with data.")
        refuse_same_names(tuple(name for name in names if name), self._name)
        return names


def _rows(sheet: "CalamineSheet") -> "Iterator[list[Json]]":
    """Yield the rows that are not empty."""
    for row in sheet.iter_rows():
        cells = [_cell(value) for value in row]
        if any(cell is not None for cell in cells):
            yield cells


def _cell(value: object) -> "Json":
    match value:
        case "":
            return None
        case float() if value.is_integer() and abs(value) < _EXACT:
            # Excel has one kind of number, and shows whole ones without a point.
            return int(value)
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return str(value)
        case _:
            return value


def _has_faults(path: Path) -> bool:
    """Whether a sheet holds a cell such as #N/A, which the reader returns as an empty one; only .xlsx tells."""
    if path.suffix.lower() not in {".xlsx", ".xlsm"}:
        return False
    with zipfile.ZipFile(path) as book:
        for member in book.namelist():
            if "worksheets/" in member:
                end = b""
                with book.open(member) as sheet:
                    while chunk := sheet.read(_CHUNK_BYTES):
                        if _FAULT.search(end + chunk):
                            return True
                        end = chunk[-_OVERLAP_BYTES:]
    return False


def execute(order: SheetOrder) -> ProcessReport:
    """Write the rows of a sheet."""
    target = Path(order.target)
    sheet = _Sheet(order)
    rows = 0
    with target.open("wb") as file:
        for line in sheet.lines(progress_of(target)):
            file.write(line + b"\n")
            rows += 1
    return ProcessReport(rows=rows, warnings=sheet.warnings)


if __name__ == "__main__":
    serve(SheetOrder, execute)
