"""Excel sheets: rows written as they come, a text always as a text."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# XlsxWriter has types, but does not say so, and not for all that its functions pass on.

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from batchwright.core.errors import DiskFault, InvalidInput
from batchwright.core.progress import SILENT, Progress

if TYPE_CHECKING:
    import duckdb
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

    from batchwright.core.model import Json

MAX_ROWS = 1_048_576
"""Of a sheet, its header included."""
MAX_COLUMNS = 16_384
MAX_CELL_CHARACTERS = 32_767
"""As Excel counts them: in units of UTF-16."""
_EXACT = 10**15
_ROWS_AT_ONCE = 1_000
_ADVICE = "Save as .csv or .parquet"


def check_size(rows: int, columns: int) -> None:
    """Refuse a table that is too large for a sheet.

    Raises:
        InvalidInput: It has more rows or columns.
    """
    if rows >= MAX_ROWS:
        raise InvalidInput(
            f"There are {rows:,} rows, and a sheet of Excel takes {MAX_ROWS:,} with its header. {_ADVICE}."
        )
    if columns > MAX_COLUMNS:
        raise InvalidInput(f"There are {columns:,} columns, and a sheet takes {MAX_COLUMNS:,}. {_ADVICE}.")


def write(
    con: "duckdb.DuckDBPyConnection",
    sql: str,
    columns: Sequence[str],
    target: Path,
    *,
    is_formula: Callable[[str], bool],
    progress: Progress = SILENT,
) -> None:
    """Write the rows of *sql*, whose cells are numbers, truth values, texts or null, below a header of *columns*.

    Whole numbers that Excel would round, of more than 15 digits, become texts.

    Raises:
        InvalidInput: It has more rows, columns or characters in a cell than Excel takes.
        DiskFault: It cannot be written.
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
                cells = _Cells(sheet, book.add_format({"quote_prefix": True}), columns, is_formula)
                cells.write_row(0, columns)
                con.execute(sql)
                for number, row in enumerate(_rows(con), 1):
                    cells.write_row(number, row)
                    if number % _ROWS_AT_ONCE == 0:
                        progress.counted(number, total, "rows")
        except (OSError, XlsxFileError) as error:
            with suppress(OSError):  # it was left open, and finds no room now either
                sheet.fh.close()
            fault = next((each for each in (error, *error.args) if isinstance(each, OSError)), None)
            raise DiskFault.at(target.parent, (fault and fault.strerror) or "The Excel file is refused") from error


def _rows(con: "duckdb.DuckDBPyConnection") -> "Iterator[Sequence[Json]]":
    while batch := con.fetchmany(_ROWS_AT_ONCE):
        yield from batch


class _Cells:
    """Writes cells, and knows what Excel does not take."""

    def __init__(
        self, sheet: "Worksheet", quoted: "Format", columns: Sequence[str], is_formula: Callable[[str], bool]
    ) -> None:
        self._sheet = sheet
        self._quoted = quoted
        self._columns = columns
        self._is_formula = is_formula

    def write_row(self, number: int, row: "Sequence[Json]") -> None:
        sheet = self._sheet
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
                    self._write_text(number, place, str(value))

    def _write_text(self, number: int, place: int, text: str) -> None:
        if len(text) * 2 > MAX_CELL_CHARACTERS and (units := len(text.encode("utf-16-le")) // 2) > MAX_CELL_CHARACTERS:
            column = self._columns[place]
            raise InvalidInput(
                f"Row {number:,} has {units:,} characters in column {column[:64]!r}, and a cell of Excel takes "
                f"{MAX_CELL_CHARACTERS:,}. {_ADVICE}, or leave that column out."
            )
        # Marked as a text, it is none the more a formula when somebody edits the cell.
        self._sheet.write_string(number, place, text, self._quoted if self._is_formula(text) else None)
