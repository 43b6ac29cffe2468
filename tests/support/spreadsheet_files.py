"""Sheets of other kinds than .xlsx for tests: .xls and .xlsb as small libraries write them, .ods by hand."""

import importlib
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

Cell = str | int | float | bool | date | datetime | time | None

# They have no types of their own.
_xlwt: Any = importlib.import_module("xlwt")
_xlsb: Any = importlib.import_module("pyxlsbwriter")

_STYLES: dict[type, str] = {datetime: "YYYY-MM-DD HH:MM", date: "YYYY-MM-DD", object: "General"}
_NAMES = "urn:oasis:names:tc:opendocument:xmlns"
_SPACES = " ".join(f'xmlns:{name}="{_NAMES}:{name}:1.0"' for name in ("office", "table", "text"))


def write_xls(path: Path, rows: Sequence[Sequence[Cell]]) -> None:
    """Write a sheet named One as Excel 97 would."""
    book = _xlwt.Workbook()
    sheet = book.add_sheet("One")
    styles = {shown: _xlwt.easyxf(num_format_str=shown) for shown in _STYLES.values()}
    for number, row in enumerate(rows):
        for place, cell in enumerate(row):
            if cell is not None:
                sheet.write(number, place, cell, styles[_STYLES.get(type(cell), "General")])
    book.save(str(path))


def write_xlsb(path: Path, rows: Sequence[Sequence[Cell]]) -> None:
    """Write a sheet named One in Excel's binary format."""
    with _xlsb.XlsbWriter(str(path)) as book:
        book.add_sheet("One")
        book.write_sheet([list(row) for row in rows])


def write_ods(path: Path, rows: Sequence[Sequence[Cell]], *, repeated: int = 1) -> None:
    """Write a sheet named One as LibreOffice would; its last row stands for so many."""
    written = ["".join(map(_ods_cell, row)) for row in rows]
    body = "".join(f"<table:table-row>{row}</table:table-row>" for row in written[:-1])
    body += f'<table:table-row table:number-rows-repeated="{repeated}">{written[-1]}</table:table-row>'
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    entry = f'<m:file-entry m:full-path="/" m:media-type="{kind}"/>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("mimetype", kind)
        book.writestr("META-INF/manifest.xml", f'<m:manifest xmlns:m="{_NAMES}:manifest:1.0">{entry}</m:manifest>')
        book.writestr(
            "content.xml",
            f"<office:document-content {_SPACES}><office:body><office:spreadsheet>"
            f'<table:table table:name="One">{body}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        )


def _ods_cell(cell: Cell) -> str:
    match cell:
        case None:
            return "<table:table-cell/>"
        case bool():
            value = f'office:value-type="boolean" office:boolean-value="{str(cell).lower()}"'
        case int() | float():
            value = f'office:value-type="float" office:value="{cell}"'
        case datetime() | date():
            value = f'office:value-type="date" office:date-value="{cell.isoformat()}"'
        case time():
            value = f'office:value-type="time" office:time-value="PT{cell.hour:02}H{cell.minute:02}M{cell.second:02}S"'
        case str():
            text = f"<text:p>{escape(cell)}</text:p>"
            return f'<table:table-cell office:value-type="string">{text}</table:table-cell>'
    return f"<table:table-cell {value}/>"
