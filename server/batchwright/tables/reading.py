"""Files of any kind as checked rows: read in place or from a copy in Parquet, with nothing lost and nothing guessed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchwright.core.errors import InvalidInput
from batchwright.core.progress import SILENT, Progress
from batchwright.tables.cells import types_of
from batchwright.tables.connection import WORKING, connection, execute, identifier, parquet_sql, quote_sql
from batchwright.tables.csv_file import CsvSource
from batchwright.tables.excel_file import sheet_rows
from batchwright.tables.json_file import JsonlSource, JsonRows
from batchwright.tables.text_file import plain_text

if TYPE_CHECKING:
    import duckdb

    from batchwright.tables.source import DataFile

MAX_ROWS = 50_000_000
"""A thousand of OpenAI's largest batches; a file that claims more is a mistake, or made to fill the disk."""
_SHOWN_WARNINGS = 4
_SUFFIX_CHARACTERS = 8
_COPYING = 0.1
"""The share of reading that is copying."""
_FOR_EXCEL = "Saved CSV has commas and UTF-8: for Excel, save as .xlsx."


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that were read whole: the SQL that returns them in their order from *paths*, the program's own Parquet."""

    sql: str
    paths: tuple[Path, ...]
    columns: tuple[str, ...]
    rows: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scan:
    """Rows to be read once, in their order; only afterwards is it known whether these were all.

    Attributes:
        sql: Returns the SQL of the rows, for a connection that reaches *paths*.
        refuse_missing: Raises InvalidInput if this number of rows is not all of them.
        explain: Says what is wrong with the file, if DuckDB's own words will not do.
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
    """Make *folder*, copy a file of the user into it, at most *most* bytes, and return the copy.

    One of the program's own files is returned as it is.

    Raises:
        InvalidInput: It is no longer the file that was found.
    """
    folder.mkdir()
    if file.workspace is None:
        return file
    path = folder / f"copy{''.join(suffix[:_SUFFIX_CHARACTERS] for suffix in file.path.suffixes[-2:])}"
    file.workspace.copy(file.path, path, progress, most=most)
    return replace(file, path=path, workspace=None)


def _with_file(table: Table, file: "DataFile") -> Table:
    """Add the column with the file's name, if it is wanted."""
    column = file.reading.file_column
    if column is None:
        return table
    if column.lower() in {name.lower() for name in table.columns}:
        raise InvalidInput(f"{file.name} already has a column {column!r}. Give file_column another name.")
    sql = f"SELECT *, {quote_sql(file.name)} AS {identifier(column)} FROM ({table.sql})"
    return replace(table, sql=sql, columns=(*table.columns, column))


def parquet_table(con: "duckdb.DuckDBPyConnection", path: Path, name: str) -> Table:
    """Return the table in a Parquet file that *con* reaches.

    Raises:
        InvalidInput: It has no rows, or too many.
    """
    sql = parquet_sql(path)
    row = con.execute(f"SELECT count(*) FROM ({sql})").fetchone()
    rows = int(row[0]) if row else 0
    if rows == 0:
        raise InvalidInput(f"{name} has no rows below its header. Choose a file with data.")
    if rows > MAX_ROWS:
        raise InvalidInput(f"{name} has {rows:,} rows, more than {MAX_ROWS:,}. Split it, or take a part of it.")
    return Table(sql, (path,), tuple(types_of(con, sql)), rows)


def scan(files: Sequence["DataFile"], folder: Path, progress: Progress = SILENT) -> Scan:
    """Return the rows of files to be read once; those of a single text file come straight from it, without a copy.

    Raises:
        InvalidInput: As for `read`; faults of a single file may be found only while it is read.
    """
    file = files[0]
    if len(files) > 1 or file.kind == "parquet" or file.reading.file_column is not None:
        return scan_of(read(files, folder, progress))
    file = own_copy(file, folder, progress.stage(0, _COPYING))
    return _scan(file, folder, progress.stage(_COPYING, 1))


def scan_of(table: Table) -> Scan:
    """Return the rows of a table that was read whole before."""
    return Scan(table.paths, lambda _con, _progress: table.sql, warnings=table.warnings)


def _read(file: "DataFile", folder: Path, progress: Progress) -> Table:
    if file.kind == "parquet":
        _refuse_empty(file.path, file.name)
        with connection(files=[file.path], name=file.name, bounds=file.bounds.memory) as con:
            table = parquet_table(con, file.path, file.name)
            _refuse_swollen(con, table, file, progress)
            return table
    scan = _scan(file, folder, progress.stage(0, 0.4))
    target = folder / "rows.parquet"
    with connection(
        files=scan.paths, folder=folder, name=file.name, explain=scan.explain, bounds=file.bounds.memory
    ) as con:
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
        raise InvalidInput(f"{name} is empty: it does not even have a header. Choose a file with data.")


def _refuse_swollen(con: "duckdb.DuckDBPyConnection", table: Table, file: "DataFile", progress: Progress) -> None:
    """Refuse texts far larger than the file: Parquet stores a long text that all rows share only once."""
    types, most = types_of(con, table.sql), file.bounds.text_bytes
    sizes = [f"coalesce(sum(strlen({identifier(column)})), 0)" for column, kind in types.items() if kind == "VARCHAR"]
    row = execute(con, f"SELECT {' + '.join(sizes) or '0'} FROM ({table.sql})", progress).fetchone()
    if row and row[0] > most:
        raise InvalidInput(f"{file.name} unpacks to more than {most:,} bytes of text. Take a part of it.")


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
            table = CsvSource(file, text.path)
            warnings = (*text.warnings, *table.warnings)
            if text.encoding is not None or table.delimiter == ";":
                warnings += (_FOR_EXCEL,)
            return Scan(
                (text.path,), lambda _, progress: table.sql(progress), table.refuse_missing, table.fault, warnings
            )
        case "json":
            objects = JsonRows(text.path, file.name, progress.stage(0.5, 0.8))
            path = folder / "rows.jsonl"
            _write_lines(path, objects.lines(), file.name)
            source = JsonlSource(path, file.name, unit="Element", progress=progress.stage(0.8, 1))
            return Scan((path,), source.sql, warnings=(*text.warnings, *objects.warnings))
        case _:
            lines = JsonlSource(text.path, file.name, progress=progress.stage(0.5, 1))
            return Scan((text.path,), lines.sql, warnings=text.warnings)


def _write_lines(path: Path, lines: Iterator[bytes], name: str) -> None:
    with path.open("wb") as file:
        file.writelines(line + b"\n" for line in lines)
    if path.stat().st_size == 0:
        raise InvalidInput(f"{name} has no rows. Choose a file with data.")


def _together(tables: Sequence[Table]) -> Table:
    """Put tables of the same columns one below the other; a column of different types becomes JSON, exact by value."""
    paths = tuple(path for table in tables for path in table.paths)
    with connection(files=paths) as con:
        types = [types_of(con, table.sql) for table in tables]
    cells = [
        name if len({each[column] for each in types}) == 1 else f"to_json({name}) AS {name}"
        for column in tables[0].columns
        for name in [identifier(column)]
    ]
    sql = " UNION ALL ".join(f"SELECT {', '.join(cells)} FROM ({table.sql})" for table in tables)
    warnings = few(warning for table in tables for warning in table.warnings)
    return Table(sql, paths, tables[0].columns, sum(table.rows for table in tables), warnings)


def few(warnings: Iterable[str]) -> tuple[str, ...]:
    """Keep the first of many warnings, each once, and say how many more there are."""
    once = tuple(dict.fromkeys(warnings))
    left_out = len(once) - _SHOWN_WARNINGS
    more = (f"{left_out} more warnings like these were left out.",) if left_out > 0 else ()
    return once[:_SHOWN_WARNINGS] + more


def _unlike(first: str, columns: Sequence[str], other: str, others: Sequence[str]) -> str:
    lacking = [f"lacks {column!r}" for column in columns if column not in others][:1]
    added = [f"has {column!r}" for column in others if column not in columns][:1]
    return (
        f"{other} has other columns than {first}: it {' but '.join(lacking + added)}. Give files with the same "
        "columns, or name them in a query with UNION ALL BY NAME."
    )
