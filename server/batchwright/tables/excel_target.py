"""Excel sheets: rows are written as they come, and a text always as a text."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# XlsxWriter has types, but does not say so, and not for everything that its functions pass on.

import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from batchwright.core.errors import DiskFault, InvalidInput
from batchwright.core.progress import Progress

if TYPE_CHECKING:
    import duckdb
    from xlsxwriter.workbook import Workbook

    from batchwright.core.model import Json

MAX_ROWS = 1_048_576
"""Of a sheet, including its header."""
MAX_COLUMNS = 16_384
MAX_CELL_CHARACTERS = 32_767
"""As Excel counts them: in units of UTF-16."""
_EXACT = 10**15
_ROWS_AT_ONCE = 1_000
_ADVICE = "Save as .csv or .parquet"
_FORMULA_START = "=+@＝＋－＠-"
_UNSEEN = (
    *((0x00, 0x20), (0x7F, 0xA0), (0xAD, 0xAD), (0x1680, 0x1680), (0x2000, 0x200F), (0x2028, 0x202F)),
    *((0x205F, 0x206F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
)
"""Blank and invisible characters, which programs may drop at the start of a cell."""


def formula_pattern(character: str) -> str:
    """Return the pattern of a text that may be a formula; *character* is how the pattern writes a code point."""
    unseen = "".join(f"{character.format(first)}-{character.format(last)}" for first, last in _UNSEEN)
    return f"^([\t\r]|[{unseen}]*[{_FORMULA_START}])"


_FORMULA = re.compile(formula_pattern(r"\u{:04x}"))


def is_formula(text: str) -> bool:
    """Whether a spreadsheet might take *text* for a formula, or for a number."""
    return _FORMULA.match(text) is not None


def check_size(rows: int, columns: int) -> None:
    """Refuse a table that is too large for a sheet.

    Raises:
        InvalidInput: It has too many rows or columns.
    """
    if rows >= MAX_ROWS:
        raise InvalidInput(
            f"There are {rows:,} rows, but an Excel sheet holds {MAX_ROWS:,} including its header. {_ADVICE}."
        )
    if columns > MAX_COLUMNS:
        raise InvalidInput(f"There are {columns:,} columns, but an Excel sheet holds {MAX_COLUMNS:,}. {_ADVICE}.")


def write_sheet(
    con: "duckdb.DuckDBPyConnection", sql: str, columns: Sequence[str], target: Path, progress: Progress
) -> None:
    """Write the rows of *sql*, whose cells are numbers, booleans, texts or null, below a header of *columns*.

    Whole numbers of more than 15 digits, which Excel would round, become texts.

    Raises:
        InvalidInput: It has more rows, columns or characters in a cell than Excel takes.
        DiskFault: The file cannot be written.
    """
    import xlsxwriter
    from xlsxwriter.exceptions import XlsxFileError

    counted = con.execute(f"SELECT count(*) FROM ({sql})").fetchone()
    total = int(counted[0]) if counted else 0
    check_size(total, len(columns))
    with TemporaryDirectory(dir=target.parent, prefix=".", suffix=".part") as temporary:
        book = xlsxwriter.Workbook(str(target), {"constant_memory": True, "tmpdir": temporary})
        sheet = book.add_worksheet("results")
        try:
            with book:
                book.use_zip64()
                sheet.freeze_panes(1, 0)
                write_row = _row_writer(book, columns)
                write_row(0, columns)
                con.execute(sql)
                done = 0
                while batch := con.fetchmany(_ROWS_AT_ONCE):
                    for number, row in enumerate(batch, done + 1):
                        write_row(number, row)
                    done += len(batch)
                    progress.counted(done, total, "rows")
        except (OSError, XlsxFileError) as error:
            with suppress(OSError):  # it was left open, and there is no room for it now either
                sheet.fh.close()
            fault = next((each for each in (error, *error.args) if isinstance(each, OSError)), None)
            raise DiskFault.at(target.parent, (fault and fault.strerror) or "The Excel file is refused") from error


def _row_writer(book: "Workbook", columns: Sequence[str]) -> "Callable[[int, Sequence[Json]], None]":
    """Return the function that writes a row of a book's first sheet."""
    sheet = book.worksheets()[0]
    # A text with this mark does not become a formula when somebody edits the cell.
    quoted = book.add_format({"quote_prefix": True})

    def write_text(number: int, place: int, text: str) -> None:
        if len(text) * 2 > MAX_CELL_CHARACTERS and (units := len(text.encode("utf-16-le")) // 2) > MAX_CELL_CHARACTERS:
            raise InvalidInput(
                f"Row {number:,} has {units:,} characters in column {columns[place][:64]!r}, but an Excel cell holds "
                f"{MAX_CELL_CHARACTERS:,}. {_ADVICE}, or leave that column out."
            )
        sheet.write_string(number, place, text, quoted if is_formula(text) else None)

    def write_row(number: int, row: "Sequence[Json]") -> None:
        for place, value in enumerate(row):
            match value:
                case None:
                    pass
                case bool():
                    sheet.write_boolean(number, place, value)
                case int() if abs(value) < _EXACT:
                    sheet.write_number(number, place, value)
                case float() if math.isfinite(value):
                    sheet.write_number(number, place, value)
                case _:
                    write_text(number, place, str(value))

    return write_row
