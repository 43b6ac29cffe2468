"""Tables as files for the user: CSV, JSONL, Parquet or Excel, by the ending of their name."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from batchwright.core.errors import InvalidInput
from batchwright.core.progress import SILENT, Progress
from batchwright.tables.cells import FRACTIONS, INTEGERS, PLAIN, float_sql, is_nested, json_sql, types_of
from batchwright.tables.connection import PARQUET, execute, identifier, quote_sql
from batchwright.tables.excel_target import formula_pattern, is_formula, write_sheet

if TYPE_CHECKING:
    import duckdb

    from batchwright.core.model import Json

SaveKind = Literal["csv", "jsonl", "parquet", "xlsx"]

_KINDS: Mapping[str, SaveKind] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
}
_FORMULA_IN_SQL = quote_sql(formula_pattern(r"\x{{{:x}}}"))
_EXACT_DECIMAL = re.compile(r"DECIMAL\((\d|1[0-5]),")
"""Excel keeps 15 digits."""
_ROWS_AT_ONCE = 1_000
_encode = msgspec.json.Encoder().encode
_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


def save_kind(path: Path) -> SaveKind:
    """Return the kind of file that an ending asks for.

    Raises:
        InvalidInput: It is not one that can be written.
    """
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise InvalidInput(f"{path.name!r} does not end in .csv, .jsonl, .parquet or .xlsx. Choose one of these.")
    return kind


def save(con: "duckdb.DuckDBPyConnection", sql: str, target: Path, kind: SaveKind, progress: Progress = SILENT) -> None:
    """Write the rows of *sql* to *target*, in their order; lists and objects become JSON, except in Parquet.

    CSV gets no BOM: many programs would take it for part of the first column's name, and for Excel there is .xlsx.
    A text that a spreadsheet would take for a formula gets an apostrophe before it in CSV, and is marked as a text in
    Excel; numbers stay.

    Raises:
        InvalidInput: The rows, columns or characters in a cell are more than Excel takes.
    """
    con.execute(f"CREATE OR REPLACE TEMP VIEW saved AS {sql}")
    types = types_of(con, "saved")
    match kind:
        case "xlsx":
            cells = [_in_sheet(identifier(name), sql_type) for name, sql_type in types.items()]
            write_sheet(con, _select(cells), list(types), target, progress)
        case "jsonl":
            cells = [_json_cell(identifier(name), sql_type) for name, sql_type in types.items()]
            # Counting is quick, and fetching does not report progress.
            counted = con.execute("SELECT count(*) FROM saved").fetchone() if progress.is_told else None
            _write_lines(con.execute(_select(cells)), types, target, progress, counted[0] if counted else 0)
        case "csv":
            cells = [_csv_cell(identifier(name), sql_type) for name, sql_type in types.items()]
            names = (f"'{name}" if is_formula(name) else name for name in types)
            cells = (f"{cell} AS {identifier(name)}" for cell, name in zip(cells, names, strict=True))
            execute(con, f"COPY ({_select(cells)}) TO {quote_sql(str(target))} (FORMAT csv, HEADER)", progress)
        case "parquet":
            execute(con, f"COPY (FROM saved) TO {quote_sql(str(target))} ({PARQUET})", progress)


def cut_cell(name: str, sql_type: str, most: int) -> str:
    """Return the SQL of a column whose texts and JSON have at most *most* characters; JSON that is cut becomes text."""
    column = identifier(name)
    if _is_number(sql_type):
        return column
    if sql_type != "JSON" and not is_nested(sql_type):
        return f"left({text_of(column, sql_type)}, {most:d}) AS {column}"
    text = json_sql(column, sql_type)
    cut = f"CASE WHEN length({text}) <= {most:d} THEN {text} ELSE to_json(left({text}, {most:d})) END"
    return f"CAST({cut} AS JSON) AS {column}"


def _select(cells: Iterable[str]) -> str:
    return f"SELECT {', '.join(cells)} FROM saved"


def _write_lines(
    rows: "duckdb.DuckDBPyConnection", types: Mapping[str, str], target: Path, progress: Progress, total: int
) -> None:
    """Write rows as JSON objects. DuckDB's own writer holds the text of 2,048 rows in memory several times."""
    is_json = [sql_type not in PLAIN for sql_type in types.values()]
    done = 0
    with target.open("wb") as file:
        while batch := rows.fetchmany(_ROWS_AT_ONCE):
            for row in batch:
                cells = (_raw(cell) if json else cell for cell, json in zip(row, is_json, strict=True))
                file.write(_encode(dict(zip(types, cells, strict=True))) + b"\n")
            done += len(batch)
            progress.counted(done, total, "rows")


def _raw(cell: str | None) -> "Json":
    """Return JSON text unchanged, in one line; what JSON lacks, such as NaN, stays a text."""
    if cell is None:
        return None
    try:
        raw = _decode_raw(cell)
    except msgspec.DecodeError:
        return cell
    return msgspec.Raw(msgspec.json.format(bytes(raw), indent=-1)) if "\n" in cell else raw


def _csv_cell(column: str, sql_type: str) -> str:
    """Return the SQL of a column for CSV."""
    if _is_number(sql_type):
        return column
    text = text_of(column, sql_type)
    if is_nested(sql_type):
        return text
    is_formula = f"regexp_matches({text}, {_FORMULA_IN_SQL}) AND TRY_CAST({text} AS DOUBLE) IS NULL"
    return f"CASE WHEN {is_formula} THEN '''' || ({text}) ELSE {text} END"


def _json_cell(column: str, sql_type: str) -> str:
    """Return the SQL of a column for JSONL: plain values unchanged, all others as JSON text."""
    if sql_type in FRACTIONS:
        # A float has its own shortest form, not that of the double next to it; JSON has no NaN or infinity.
        return f"CASE WHEN isfinite({column}) THEN {float_sql(column)} END"
    return column if sql_type in PLAIN else json_sql(column, sql_type)


def _in_sheet(column: str, sql_type: str) -> str:
    """Return the SQL of a column for a sheet: numbers that Excel keeps exactly, otherwise texts."""
    if sql_type == "FLOAT":
        return float_sql(column)
    if sql_type.startswith("DECIMAL"):
        return f"CAST({column} AS {'DOUBLE' if _EXACT_DECIMAL.match(sql_type) else 'VARCHAR'})"
    return column if _is_number(sql_type) else text_of(column, sql_type)


def _is_number(sql_type: str) -> bool:
    return sql_type in INTEGERS | FRACTIONS | {"BOOLEAN"} or sql_type.startswith("DECIMAL")


def text_of(column: str, sql_type: str) -> str:
    """Return the SQL of a column as text, without the quotes of JSON."""
    if sql_type == "JSON":
        has_parts = f"json_type({column}) IN ('OBJECT', 'ARRAY')"
        return f"CASE WHEN {has_parts} THEN CAST({column} AS VARCHAR) ELSE {column} ->> '$' END"
    if is_nested(sql_type):
        return json_sql(column, sql_type)
    return column if sql_type == "VARCHAR" else f"CAST({column} AS VARCHAR)"
