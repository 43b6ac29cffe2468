"""The user's tables as rows: what is in them, and a frozen copy that a job is made from and joined to."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from batchwright.errors import InvalidInput
from batchwright.jsonl import MAX_CUSTOM_ID_CHARACTERS
from batchwright.model import Column, Json, Profile, Source
from batchwright.tables.connection import MAX_CSV_LINE_BYTES, connection, identifier, quoted

if TYPE_CHECKING:
    import duckdb

FileKind = Literal["csv", "jsonl", "parquet"]

ROW = "__batchwright_row"
"""Column of a frozen source: the row's number, from 1."""
CUSTOM_ID = "__batchwright_id"
"""Column of a frozen source: the custom_id of the row's request."""

_KINDS: Mapping[str, FileKind] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_DELIMITERS = ",;\t|"
_HEADER_BYTES = 1_000_000
_ROWS_AT_ONCE = 2_000
_ROWS_COUNTED_EXACTLY = 100_000
_FEW_VALUES = 1_000


@dataclass(frozen=True, slots=True)
class _Scan:
    """How DuckDB reads a source: an SQL expression that gives its rows, and its columns."""

    sql: str
    columns: tuple[str, ...]


def kind_of(path: Path) -> FileKind:
    """Tell by its ending what a data file is.

    Raises:
        InvalidInput: It is none that can be read.
    """
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise InvalidInput(f"{path.name!r} is not a CSV, JSONL or Parquet file by its ending. Save it as one of these.")
    return kind


def profile(path: Path, *, name: str, sample_rows: int) -> Profile:
    """Describe the table in *path*: rows, columns, and the first *sample_rows* rows.

    Raises:
        InvalidInput: It is empty, broken or of an unknown kind; the sentence names the line.
    """
    kind = kind_of(path)
    with connection(files=[path], name=name) as con:
        scan = _scan(con, path, kind, name)
        con.execute(f"CREATE VIEW source AS {scan.sql}")
        columns, rows = _described(con, scan.columns)
        if rows == 0:
            raise InvalidInput(f"{name} has no rows below its header. Give a file with data.")
        con.execute(f"SELECT * FROM source LIMIT {sample_rows:d}")
        sample = [dict(zip(scan.columns, map(plain, row), strict=True)) for row in con.fetchall()]
    return Profile(name, kind, rows, columns, sample, _id_column(columns, rows))


def freeze(path: Path, frozen: Path, *, kind: FileKind, name: str, id_column: str | None) -> Source:
    """Copy the table in *path* to the Parquet file *frozen*, with a row number and a custom_id for each row.

    Raises:
        InvalidInput: The table is broken or empty, or *id_column* is missing, empty, too long or not unique.
    """
    with connection(files=[path], folder=frozen.parent, name=name) as con:
        scan = _scan(con, path, kind, name)
        if id_column is not None and id_column not in scan.columns:
            raise InvalidInput(f"There is no column {id_column!r} for the ids. Columns: {', '.join(scan.columns)}.")
        custom_id = f"CAST({identifier(id_column)} AS VARCHAR)" if id_column else f"'row-' || {identifier(ROW)}"
        numbered = f"SELECT row_number() OVER () AS {identifier(ROW)}, * FROM ({scan.sql})"
        con.execute(
            f"COPY (SELECT *, {custom_id} AS {identifier(CUSTOM_ID)} FROM ({numbered})) "
            f"TO {quoted(str(frozen))} (FORMAT parquet)"
        )
        con.execute(f"CREATE VIEW frozen AS SELECT * FROM read_parquet({quoted(str(frozen))})")
        rows = _number(con, "SELECT count(*) FROM frozen")
        if rows == 0:
            raise InvalidInput(f"{name} has no rows below its header. Give a file with data.")
        if id_column is not None:
            _refuse_bad_ids(con, id_column)
    return Source(name, kind, scan.columns, rows, id_column)


def frozen_rows(frozen: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Json]]]:
    """Give custom_id and the cells of *columns* for each row of a frozen source, in order, streaming."""
    with connection(files=[frozen]) as con:
        names = ", ".join([identifier(CUSTOM_ID), *map(identifier, columns)])
        con.execute(f"SELECT {names} FROM read_parquet({quoted(str(frozen))}) ORDER BY {identifier(ROW)}")
        is_json = ["JSON" in str(column[1]) for column in con.description or ()]
        while batch := con.fetchmany(_ROWS_AT_ONCE):
            for custom_id, *cells in batch:
                values = (
                    msgspec.json.decode(cell) if json and cell is not None else plain(cell)
                    for json, cell in zip(is_json[1:], cells, strict=True)
                )
                yield custom_id, dict(zip(columns, values, strict=True))


def write_rows(rows: Sequence[Mapping[str, Json]], path: Path) -> None:
    """Write rows that were given inline as a JSONL file; absent keys become null, so that all rows have all columns.

    Raises:
        InvalidInput: A row is empty, or a text is not valid Unicode.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        raise InvalidInput('The rows are empty. Give each as an object, like {"id": 1, "text": "..."}.')
    try:
        lines = [msgspec.json.encode({column: row.get(column) for column in columns}) for row in rows]
    except (UnicodeEncodeError, TypeError, ValueError) as error:
        raise InvalidInput("A row holds a character that is not valid Unicode. Leave it out.") from error
    path.write_bytes(b"\n".join(lines) + b"\n")


def plain(value: Json) -> Json:
    """Give a cell as a JSON value: dates, decimals and the like become their text."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return value.hex()
        case list() | tuple():
            return [plain(item) for item in cast("Sequence[Json]", value)]
        case dict():
            return {str(key): plain(item) for key, item in cast("Mapping[Json, Json]", value).items()}
        case _:
            return str(value)


def _scan(con: "duckdb.DuckDBPyConnection", path: Path, kind: FileKind, name: str) -> _Scan:
    if path.stat().st_size == 0:
        raise InvalidInput(f"{name} is empty: it has not even a header. Give a file with data.")
    match kind:
        case "csv":
            scan = _csv_scan(path, name)
        case "jsonl":
            scan = _jsonl_scan(con, path)
        case "parquet":
            sql = f"SELECT * FROM read_parquet({quoted(str(path))})"
            scan = _Scan(sql, _columns(con, sql))
    if reserved := {ROW, CUSTOM_ID} & set(scan.columns):
        raise InvalidInput(f"{name} has a column {reserved.pop()!r}, a name that is used here. Rename the column.")
    return scan


def _csv_scan(path: Path, name: str) -> _Scan:
    """Read every cell as the text it is: `00123` stays `00123`, and a broken line is an error, never skipped."""
    header, delimiter = _csv_header(path, name)
    columns = ", ".join(f"{quoted(column)}: 'VARCHAR'" for column in header)
    sql = (
        f"SELECT * FROM read_csv({quoted(str(path))}, auto_detect = false, header = true, strict_mode = true, "
        f"delim = {quoted(delimiter)}, quote = '\"', escape = '\"', allow_quoted_nulls = false, "
        f"max_line_size = {MAX_CSV_LINE_BYTES}, columns = {{{columns}}})"
    )
    return _Scan(sql, header)


def _csv_header(path: Path, name: str) -> tuple[tuple[str, ...], str]:
    """Give the column names and the delimiter: the one of comma, semicolon, tab and bar that the header has most of."""
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start[:1000]:
        raise InvalidInput(f"{name} is not UTF-8 text. Save it again as CSV (UTF-8).")
    text = start.decode("utf-8-sig", errors="replace")
    line = _first_record(text)
    delimiter = max(_DELIMITERS, key=_unquoted(line).count)
    header = tuple(next(csv.reader(io.StringIO(line), delimiter=delimiter), ()))
    if "\ufffd" in line:
        raise InvalidInput(f"Line 1 of {name} is not UTF-8. Save the file again as CSV (UTF-8).")
    if not any(header):
        raise InvalidInput(f"Line 1 of {name} is blank, where the column names should be. Give the columns names.")
    if unnamed := [place for place, column in enumerate(header, 1) if not column.strip()]:
        raise InvalidInput(f"Column {unnamed[0]} of {name} has no name. Give every column a name in the first line.")
    # DuckDB tells columns apart without regard to case.
    counts = Counter(column.lower() for column in header)
    if twice := [column for column in header if counts[column.lower()] > 1]:
        raise InvalidInput(f"{name} has two columns named {twice[-1]!r}. Rename one of them.")
    return header, delimiter


def _first_record(text: str) -> str:
    """Give the first line, taking line ends inside quotes as text."""
    is_quoted = False
    for place, character in enumerate(text):
        if character == '"':
            is_quoted = not is_quoted
        elif character in "\r\n" and not is_quoted:
            return text[:place]
    return text


def _unquoted(line: str) -> str:
    return "".join(line.split('"')[::2])


def _jsonl_scan(con: "duckdb.DuckDBPyConnection", path: Path) -> _Scan:
    """Read values as they stand; a column of one plain type gets that type, if nothing is lost by it."""
    raw = f"SELECT * FROM read_ndjson({quoted(str(path))}, records = true, maximum_depth = 1, sample_size = -1)"
    columns = _columns(con, raw)
    facts = ", ".join(
        f"list(DISTINCT json_type({c})), bool_and({c} ->> '$' IS NULL OR TRY_CAST({c} ->> '$' AS BIGINT) IS NOT NULL), "
        f"bool_and(CAST(TRY_CAST({c} ->> '$' AS DOUBLE) AS VARCHAR) = ({c} ->> '$'))"
        for c in map(identifier, columns)
    )
    row: tuple[Any, ...] = con.execute(f"SELECT {facts} FROM ({raw})").fetchone() or ()
    typed = [
        _typed(identifier(column), {kind for kind in kinds or () if kind}, fits_bigint=whole, fits_double=exact)
        for column, kinds, whole, exact in zip(columns, row[::3], row[1::3], row[2::3], strict=True)
    ]
    return _Scan(f"SELECT {', '.join(typed)} FROM ({raw})", columns)


def _typed(column: str, kinds: set[str], *, fits_bigint: bool | None, fits_double: bool | None) -> str:
    """Give the SQL of a JSON column in its own type; mixed values and long numbers stay JSON, digit for digit."""
    integers = {"BIGINT", "UBIGINT", "NULL"}
    if kinds <= {"VARCHAR", "NULL"}:
        sql_type = "VARCHAR"
    elif kinds <= integers and fits_bigint:
        sql_type = "BIGINT"
    elif kinds <= {*integers, "DOUBLE"} and fits_double:
        sql_type = "DOUBLE"
    elif kinds <= {"BOOLEAN", "NULL"}:
        sql_type = "BOOLEAN"
    else:
        return column
    return f"CAST({column} ->> '$' AS {sql_type}) AS {column}"


def _columns(con: "duckdb.DuckDBPyConnection", sql: str) -> tuple[str, ...]:
    return tuple(str(row[0]) for row in con.execute(f"DESCRIBE {sql}").fetchall())


def _described(con: "duckdb.DuckDBPyConnection", columns: Sequence[str]) -> tuple[list[Column], int]:
    types = {str(row[0]): str(row[1]) for row in con.execute("DESCRIBE source").fetchall()}
    facts = ["count(*)"]
    for column in columns:
        c = identifier(column)
        is_text = types[column] == "VARCHAR"
        is_empty = f"coalesce(trim({c}), '') = ''" if is_text else f"{c} IS NULL"
        facts += [
            f"count(*) FILTER ({is_empty})",
            f"approx_count_distinct({c})" if types[column] != "JSON" else "NULL",
            f"max(length({c}))" if is_text else "NULL",
        ]
    rows, *values = con.execute(f"SELECT {', '.join(facts)} FROM source").fetchone() or (0,)
    groups = zip(columns, values[::3], values[1::3], values[2::3], strict=True)
    described = [Column(name, types[name].lower(), *facts) for name, *facts in groups]
    return [_with_exact_distinct(con, column, rows) for column in described], rows


def _with_exact_distinct(con: "duckdb.DuckDBPyConnection", column: Column, rows: int) -> Column:
    """Replace the estimate by the count where that is cheap, or where the column may be an id; else leave it out."""
    estimate = column.distinct
    if estimate is None:
        return column
    may_be_id = not column.empty and estimate >= 0.8 * rows and (column.longest or 0) <= MAX_CUSTOM_ID_CHARACTERS
    if rows > _ROWS_COUNTED_EXACTLY and estimate > _FEW_VALUES and not may_be_id:
        return replace(column, distinct=None)
    return replace(column, distinct=_number(con, f"SELECT count(DISTINCT {identifier(column.name)}) FROM source"))


def _id_column(columns: Sequence[Column], rows: int) -> str | None:
    """Suggest the first column that names every row differently; one called an id comes first."""
    fit = [
        column.name
        for column in columns
        if not column.empty
        and column.distinct == rows
        and (column.longest or 0) <= MAX_CUSTOM_ID_CHARACTERS
        and column.type in {"varchar", "bigint", "integer", "hugeint", "uuid", "ubigint", "smallint", "uinteger"}
    ]
    named = [name for name in fit if name.lower() == "id" or name.lower().endswith(("_id", " id", "key", "uuid"))]
    return next(iter(named or fit), None)


def _refuse_bad_ids(con: "duckdb.DuckDBPyConnection", id_column: str) -> None:
    c, row = identifier(CUSTOM_ID), identifier(ROW)
    advice = "Name another id column, or none: then rows are numbered."
    if empty := con.execute(f"SELECT {row} FROM frozen WHERE {c} IS NULL OR trim({c}) = '' LIMIT 1").fetchone():
        raise InvalidInput(f"The id column {id_column!r} is empty in row {empty[0]}. {advice}")
    if long := con.execute(
        f"SELECT {row} FROM frozen WHERE length({c}) > {MAX_CUSTOM_ID_CHARACTERS} LIMIT 1"
    ).fetchone():
        most = MAX_CUSTOM_ID_CHARACTERS
        raise InvalidInput(f"The id column {id_column!r} has more than {most} characters in row {long[0]}. {advice}")
    twice = con.execute(
        f"SELECT list({row} ORDER BY {row}) FROM frozen GROUP BY {c} HAVING count(*) > 1 ORDER BY min({row}) LIMIT 1"
    ).fetchone()
    if twice:
        rows = " and ".join(str(number) for number in twice[0][:2])
        raise InvalidInput(f"The id column {id_column!r} has the same value in rows {rows}. {advice}")


def _number(con: "duckdb.DuckDBPyConnection", sql: str) -> int:
    row = con.execute(sql).fetchone()
    return int(row[0]) if row else 0
