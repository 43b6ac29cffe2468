"""Files of any kind as checked rows: read as they are or from a copy in Parquet, nothing lost and nothing guessed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchwright.core.errors import InvalidInput
from batchwright.core.progress import SILENT, Progress
from batchwright.tables.cells import types_of
from batchwright.tables.connection import WORKING, connection, execute, identifier, pattern, quote_sql
from batchwright.tables.csv_file import CsvSource
from batchwright.tables.excel_file import sheet_rows, written
from batchwright.tables.json_file import JsonlSource, JsonRows
from batchwright.tables.text_file import plain_text

if TYPE_CHECKING:
    import duckdb

    from batchwright.tables.source import DataFile

MAX_ROWS = 50_000_000
"""A thousand batches of OpenAI's size; what claims to hold more is a mistake, or made to fill the disk."""
MAX_TEXT_BYTES = 50 * 1024**3
_SHOWN_WARNINGS = 4
_SUFFIX_CHARACTERS = 8
_COPYING = 0.1
"""The share of reading that is copying."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that were read whole.

    Attributes:
        sql: Gives them, in their order, from *paths*.
        paths: Parquet files of the program's own.
    """

    sql: str
    paths: tuple[Path, ...]
    columns: tuple[str, ...]
    rows: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scan:
    """Rows to be read once, in their order; only when that is done it is known whether these were all.

    Attributes:
        sql: Gives them, in a connection that reaches *paths*.
        refuse_missing: Raises InvalidInput if so many rows are not all of them.
        explain: Says what is wrong with the file, where DuckDB's own words would not do.
    """

    paths: tuple[Path, ...]
    sql: Callable[["duckdb.DuckDBPyConnection", Progress], str]
    refuse_missing: Callable[[int], None] = lambda _: None
    explain: Callable[[], str] | None = None
    warnings: tuple[str, ...] = ()


def read(files: Sequence["DataFile"], folder: Path, progress: Progress = SILENT) -> Table:
    """Read files with the same columns, in their order, using *folder* for what has to be rewritten.

    Raises:
        InvalidInput: A file is broken, empty, or has other columns than the first; the sentence names it.
    """
    folder.mkdir()
    copying, reading = progress.stage(0, _COPYING), progress.stage(_COPYING, 1)
    count = len(files)
    files = [
        own_copy(file, folder / str(number), copying.stage(number / count, (number + 1) / count))
        for number, file in enumerate(files)
    ]
    tables: list[Table] = []
    sizes = [file.path.stat().st_size for file in files]
    for number, file in enumerate(files):
        begin, end = (sum(sizes[:count]) / max(sum(sizes), 1) for count in (number, number + 1))
        table = _read(file, folder / str(number), reading.stage(begin, end, f"Reading {file.name}"))
        if tables and set(table.columns) != set(tables[0].columns):
            raise InvalidInput(_unlike(files[0].name, tables[0].columns, file.name, table.columns))
        tables.append(table)
    tables = [_with_file(table, file) for table, file in zip(tables, files, strict=True)]
    return tables[0] if len(tables) == 1 else _together(tables)


def own_copy(file: "DataFile", folder: Path, progress: Progress = SILENT, *, most: int | None = None) -> "DataFile":
    """Copy a file of the user into *folder*, which is made here; all that is said of it is said of the copy.

    Args:
        file: One of the program's own is returned as it is.
        folder: For all that is written to read it.
        progress: Of the copying.
        most: How many bytes of it are wanted; None: all.

    Raises:
        InvalidInput: It is not what it was when it was found.
    """
    folder.mkdir()
    if file.workspace is None:
        return file
    path = folder / f"copy{''.join(suffix[:_SUFFIX_CHARACTERS] for suffix in file.path.suffixes[-2:])}"
    file.workspace.copy(file.path, path, progress, most=most)
    return replace(file, path=path, workspace=None)


def _with_file(table: Table, file: "DataFile") -> Table:
    """Add the column with the file's name, where that is wanted."""
    column = file.reading.file_column
    if column is None:
        return table
    if column.lower() in {name.lower() for name in table.columns}:
        raise InvalidInput(f"{file.name} has a column {column!r} of its own. Give file_column another name.")
    sql = f"SELECT *, {quote_sql(file.name)} AS {identifier(column)} FROM ({table.sql})"
    return replace(table, sql=sql, columns=(*table.columns, column))


def parquet_table(con: "duckdb.DuckDBPyConnection", path: Path, name: str) -> Table:
    """Return the table in a Parquet file that *con* reaches.

    Raises:
        InvalidInput: It has no rows, or too many.
    """
    sql = f"SELECT * FROM read_parquet({pattern(path)}, hive_partitioning = false)"
    row = con.execute(f"SELECT count(*) FROM ({sql})").fetchone()
    rows = int(row[0]) if row else 0
    if rows == 0:
        raise InvalidInput(f"{name} has no rows below its header. Give a file with data.")
    if rows > MAX_ROWS:
        raise InvalidInput(f"{name} has {rows:,} rows, more than {MAX_ROWS:,}. Split it, or take a part of it.")
    return Table(sql, (path,), tuple(types_of(con, sql)), rows)


def scan(files: Sequence["DataFile"], folder: Path, progress: Progress = SILENT) -> Scan:
    """Return the rows of files to be read once: those of a single text file straight from it, without a copy.

    Raises:
        InvalidInput: As for `read`; of a single file, what is only seen on the way is told on the way.
    """
    file = files[0]
    if len(files) > 1 or file.kind == "parquet" or file.reading.file_column is not None:
        return scan_of(read(files, folder, progress), file.name)
    file = own_copy(file, folder, progress.stage(0, _COPYING))
    return _scan(file, folder, progress.stage(_COPYING, 1))


def scan_of(table: Table, name: str) -> Scan:
    """Return the rows of a table that was read whole before."""

    def refuse_missing(rows: int) -> None:
        if rows != table.rows:
            raise InvalidInput(f"{name} was changed while it was read. Try again when it is no longer written to.")

    return Scan(table.paths, lambda _con, _progress: table.sql, refuse_missing, warnings=table.warnings)


def _read(file: "DataFile", folder: Path, progress: Progress) -> Table:
    if file.kind == "parquet":
        _refuse_empty(file.path, file.name)
        with connection(files=[file.path], name=file.name) as con:
            table = parquet_table(con, file.path, file.name)
            _refuse_swollen(con, table, file.name, progress)
            return table
    scan = _scan(file, folder, progress.stage(0, 0.4))
    target = folder / "rows.parquet"
    with connection(files=scan.paths, folder=folder, name=file.name, explain=scan.explain) as con:
        sql = scan.sql(con, progress.stage(0.4, 0.5))
        execute(con, f"COPY ({sql}) TO {quote_sql(str(target))} ({WORKING})", progress.stage(0.5, 1))
        table = parquet_table(con, target, file.name)
    scan.refuse_missing(table.rows)
    for path in {file.path, *scan.paths}:
        if path.is_relative_to(folder):
            path.unlink(missing_ok=True)
    return replace(table, warnings=scan.warnings)


def _refuse_empty(path: Path, name: str) -> None:
    if path.stat().st_size == 0:
        raise InvalidInput(f"{name} is empty: it has not even a header. Give a file with data.")


def _refuse_swollen(con: "duckdb.DuckDBPyConnection", table: Table, name: str, progress: Progress) -> None:
    """Refuse texts that are far more than the file: in Parquet, one long text for all rows is written once."""
    types = types_of(con, table.sql)
    sizes = [f"coalesce(sum(strlen({identifier(column)})), 0)" for column, kind in types.items() if kind == "VARCHAR"]
    row = execute(con, f"SELECT {' + '.join(sizes) or '0'} FROM ({table.sql})", progress).fetchone()
    if row and row[0] > MAX_TEXT_BYTES:
        raise InvalidInput(f"{name} unpacks to more than {MAX_TEXT_BYTES:,} bytes of text. Take a part of it.")


def _scan(file: "DataFile", folder: Path, progress: Progress) -> Scan:
    _refuse_empty(file.path, file.name)
    if file.kind == "excel":
        path, warnings = sheet_rows(file, folder, progress.stage(0, 0.8))
        rows = JsonlSource(path, file.name, unit="Row", progress=progress.stage(0.8, 1))
        return Scan((path,), rows.sql, warnings=warnings)
    text = plain_text(file, folder, progress.stage(0, 0.5))
    _refuse_empty(text.path, file.name)
    match file.kind:
        case "csv":
            wants_tab = ".tsv" in {suffix.lower() for suffix in file.path.suffixes[-2:]}
            table = CsvSource(text.path, file.name, file.reading, prefers_tab=wants_tab)
            warnings = (*text.warnings, *table.warnings)
            return Scan(
                (text.path,), lambda _, progress: table.sql(progress), table.refuse_missing, table.fault, warnings
            )
        case "json":
            objects = JsonRows(text.path, file.name, progress.stage(0.5, 0.8))
            path = written(folder / "rows.jsonl", objects.lines(), file.name)
            source = JsonlSource(path, file.name, unit="Element", progress=progress.stage(0.8, 1))
            return Scan((path,), source.sql, warnings=(*text.warnings, *objects.warnings))
        case _:
            lines = JsonlSource(text.path, file.name, progress=progress.stage(0.5, 1))
            return Scan((text.path,), lines.sql, warnings=text.warnings)


def _together(tables: Sequence[Table]) -> Table:
    """Put tables of the same columns one below the other; a column of different types becomes JSON, exact by value."""
    paths = tuple(path for table in tables for path in table.paths)
    with connection(files=paths) as con:
        types = [types_of(con, table.sql) for table in tables]
    parts: list[str] = []
    for table in tables:
        cells = [
            identifier(column)
            if len({types_of_one[column] for types_of_one in types}) == 1
            else f"to_json({identifier(column)}) AS {identifier(column)}"
            for column in tables[0].columns
        ]
        parts.append(f"SELECT {', '.join(cells)} FROM ({table.sql})")
    warnings = few(warning for table in tables for warning in table.warnings)
    return Table(" UNION ALL ".join(parts), paths, tables[0].columns, sum(table.rows for table in tables), warnings)


def few(warnings: Iterable[str]) -> tuple[str, ...]:
    """Keep the first of many warnings, each once, and say how many more there are."""
    once = tuple(dict.fromkeys(warnings))
    left_out = len(once) - _SHOWN_WARNINGS
    more = (f"{left_out} more files have something to be said of them, like this.",) if left_out > 0 else ()
    return once[:_SHOWN_WARNINGS] + more


def _unlike(first: str, columns: Sequence[str], other: str, others: Sequence[str]) -> str:
    lacking = [column for column in columns if column not in others]
    added = [column for column in others if column not in columns]
    what = [f"lacks {lacking[0]!r}"] if lacking else []
    what += [f"has {added[0]!r} besides"] if added else []
    return (
        f"{other} has other columns than {first}: it {' and '.join(what)}. Give files with the same columns, or name "
        "them in a query with UNION ALL BY NAME."
    )
