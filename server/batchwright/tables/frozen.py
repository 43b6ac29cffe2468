"""The user's tables as rows: what is in them, and a frozen copy that a job is made from and joined to."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from batchwright.core import files
from batchwright.core.errors import InvalidInput
from batchwright.core.jsonl import MAX_CUSTOM_ID_CHARACTERS
from batchwright.core.model import Json, Source
from batchwright.core.progress import SILENT, Progress
from batchwright.core.untrusted import quote_name, quote_names
from batchwright.tables.cells import as_row, cell_sql, reader, types_of
from batchwright.tables.connection import WORKING, connection, identifier, pattern, quoted
from batchwright.tables.inspection import Column, Profile
from batchwright.tables.query import run
from batchwright.tables.reading import Scan, Table, parquet_table, read, scan, scan_of
from batchwright.tables.source import Origin
from batchwright.tables.watching import execute

if TYPE_CHECKING:
    import duckdb

ROW = "__batchwright_row"
"""Column of a frozen source: the row's number, from 1."""
CUSTOM_ID = "__batchwright_id"
"""Column of a frozen source: the custom_id of the row's request."""

_ID_TYPES = frozenset({"varchar", "tinyint", "smallint", "integer", "bigint", "uinteger", "ubigint", "hugeint", "uuid"})
_ROWS_AT_ONCE = 200
_ROWS_COUNTED_EXACTLY = 100_000
_FEW_VALUES = 1_000
_LONGEST_KEY = 36
"""Characters, as a UUID has: what is longer is a text, that happens to be another one in each row."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen source, and what the user should know of how it was read."""

    source: Source
    warnings: tuple[str, ...]


def profile(origin: Origin, *, folder: Path, sample_rows: int, progress: Progress = SILENT) -> Profile:
    """Describe the rows of *origin*: how many, their columns, and the first *sample_rows* rows.

    Args:
        origin: A file, files or a query.
        folder: May be used as one likes; nothing is left in it.
        sample_rows: How many rows are shown.
        progress: Of the reading, and of the describing.

    Raises:
        InvalidInput: It is empty, broken or of an unknown kind; the sentence names the line.
        MissingExtra: What reads it is not installed.
    """
    with (
        _read(origin, folder, progress.stage(0, 0.7)) as table,
        connection(files=table.paths, folder=folder, name=origin.name) as con,
    ):
        con.execute(f"CREATE VIEW source AS {table.sql}")
        types = types_of(con, "source")
        columns = _described(con, types, table.rows, progress.stage(0.7, 1, f"Describing {table.rows:,} rows"))
        cells = ", ".join(cell_sql(column, sql_type) for column, sql_type in types.items())
        read = reader(list(types.values()))
        fetched = con.execute(f"SELECT {cells} FROM source LIMIT {sample_rows:d}").fetchall()
        sample = [as_row(list(types), read(row)) for row in fetched]
    id_column = _id_column(columns, table.rows)
    return Profile(origin.name, origin.kind, table.rows, columns, sample, id_column, table.warnings)


def freeze(origin: Origin, frozen: Path, *, id_column: str | None, progress: Progress = SILENT) -> Frozen:
    """Copy the rows of *origin* to the Parquet file *frozen*, with a row number and a custom_id for each row.

    Raises:
        InvalidInput: The data is broken or empty, or *id_column* is missing, empty, too long or not unique.
        MissingExtra: What reads it is not installed.
    """
    name, folder = origin.name, frozen.parent
    with _scanned(origin, folder, progress.stage(0, 0.3, f"Reading {name}")) as scan:
        with connection(files=scan.paths, folder=folder, name=name, explain=scan.explain) as con:
            types = _frozen(con, scan, name, frozen, id_column, progress.stage(0.3, 1, f"Reading {name}"))
            rows = parquet_table(con, frozen, name).rows
            con.execute(f"CREATE VIEW frozen AS {frozen_sql(frozen)}")
            if id_column is not None:
                _refuse_bad_ids(con, id_column)
        scan.refuse_missing(rows)
    paths = tuple(map(str, origin.paths))
    source = Source(name, origin.kind, tuple(types), rows, id_column, next(iter(paths), None), paths[1:])
    return Frozen(source, scan.warnings)


def _frozen(
    con: "duckdb.DuckDBPyConnection", scan: Scan, name: str, frozen: Path, id_column: str | None, progress: Progress
) -> dict[str, str]:
    """Write what *scan* gives to *frozen*, in its order, and give its columns with their types."""
    sql = scan.sql(con, progress.stage(0, 0.2))
    types = types_of(con, sql)
    if id_column is not None and id_column not in types:
        raise InvalidInput(f"There is no column {quote_name(id_column)} for the ids. Columns: {quote_names(types)}.")
    if reserved := [column for column in types if column.lower() in {ROW, CUSTOM_ID}]:
        raise InvalidInput(f"{name} has a column {reserved[0]!r}, a name that is used here. Rename the column.")
    numbered = f"SELECT row_number() OVER () AS {identifier(ROW)}, * FROM ({sql})"
    rows = f"SELECT *, {_custom_id(id_column, types)} AS {identifier(CUSTOM_ID)} FROM ({numbered})"
    execute(con, f"COPY ({rows}) TO {quoted(str(frozen))} ({WORKING})", progress.stage(0.2, 1))
    return types


def frozen_sql(frozen: Path) -> str:
    """Give the SQL of a frozen source's rows."""
    return f"SELECT * FROM read_parquet({pattern(frozen)}, hive_partitioning = false)"


def frozen_rows(frozen: Path, columns: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """Give custom_id and the cells of *columns* for each row of a frozen source, in order, streaming."""
    with connection(files=[frozen]) as con:
        types = types_of(con, frozen_sql(frozen))
        cells = ", ".join([identifier(CUSTOM_ID), *(cell_sql(column, types[column]) for column in columns)])
        read = reader([types[column] for column in columns])
        # One thread gives the rows as they lie in the file, which is their order: sorting would hold them all.
        con.execute(f"SELECT {cells} FROM ({frozen_sql(frozen)})")
        while batch := con.fetchmany(_ROWS_AT_ONCE):
            for custom_id, *row in batch:
                yield custom_id, as_row(columns, read(row))


def are_texts(frozen: Path, columns: Sequence[str]) -> bool:
    """Whether all of *columns* are texts."""
    with connection(files=[frozen]) as con:
        types = types_of(con, frozen_sql(frozen))
    return all(types[column] == "VARCHAR" for column in columns)


def frozen_texts(frozen: Path, columns: Sequence[str]) -> Iterator[tuple[str, *tuple[bytes, ...]]]:
    """Give custom_id and the texts of *columns* in UTF-8 for each row, in order, streaming; where none is, it is empty.

    Args:
        frozen: The Parquet file.
        columns: They hold texts.
    """
    texts = (f"encode(coalesce({identifier(column)}, ''))" for column in columns)
    with connection(files=[frozen]) as con:
        # As in `frozen_rows`, one thread gives them as they lie in the file.
        con.execute(f"SELECT {', '.join([identifier(CUSTOM_ID), *texts])} FROM ({frozen_sql(frozen)})")
        while batch := con.fetchmany(_ROWS_AT_ONCE):
            yield from batch


def picked_rows(
    frozen: Path, columns: Sequence[str], *, ids: Sequence[str] = (), numbers: Sequence[int] = ()
) -> list[tuple[int, str, Mapping[str, Json]]]:
    """Give the rows of *numbers*, and the first with each of *ids*: number, custom_id and the cells of *columns*."""
    row, custom_id = identifier(ROW), identifier(CUSTOM_ID)
    with connection(files=[frozen]) as con:
        con.execute(f"CREATE VIEW frozen AS {frozen_sql(frozen)}")
        types = types_of(con, "frozen")
        cells = ", ".join([row, custom_id, *(cell_sql(column, types[column]) for column in columns)])
        read = reader([types[column] for column in columns])
        of_ids = (
            f"SELECT min({row}) FROM frozen WHERE {custom_id} IN (SELECT unnest(?::VARCHAR[])) GROUP BY {custom_id}"
        )
        of_numbers = "SELECT unnest(?::BIGINT[])"
        con.execute(
            f"SELECT {cells} FROM frozen WHERE {row} IN ({of_ids}) OR {row} IN ({of_numbers}) ORDER BY {row}",
            [list(ids), list(numbers)],
        )
        return [(number, name, as_row(columns, read(cells))) for number, name, *cells in con.fetchall()]


def share_ids(frozen: Path, listed: Path) -> None:
    """Give rows of a frozen source the custom_id of another row, so that one result is joined to all of them.

    *listed* has a JSON line for each of these rows, with its number `row` and the other row's custom_id `id`.
    """
    temporary = frozen.with_suffix(".new")
    row, custom_id = identifier(ROW), identifier(CUSTOM_ID)
    options = "hive_partitioning = false, columns = {row: 'BIGINT', id: 'VARCHAR'}"
    shared = f"SELECT * FROM read_ndjson({pattern(listed)}, {options})"
    with connection(files=[frozen, listed, temporary], folder=frozen.parent) as con:
        con.execute(
            f"COPY (SELECT f.* REPLACE (coalesce(s.id, f.{custom_id}) AS {custom_id}) FROM ({frozen_sql(frozen)}) f "
            f"LEFT JOIN ({shared}) s ON f.{row} = s.row ORDER BY f.{row}) TO {quoted(str(temporary))} ({WORKING})"
        )
    files.sync(temporary)
    temporary.replace(frozen)


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


@contextmanager
def _read(origin: Origin, folder: Path, progress: Progress) -> Generator[Table]:
    """Read all that *origin* names; what was written for it in *folder* is gone afterwards."""
    with TemporaryDirectory(prefix="reading-", dir=folder) as temporary:
        yield _table(origin, Path(temporary), progress)


@contextmanager
def _scanned(origin: Origin, folder: Path, progress: Progress) -> Generator[Scan]:
    """Give the rows that *origin* names, to be read once; what was written for it in *folder* is gone afterwards."""
    with TemporaryDirectory(prefix="reading-", dir=folder) as temporary:
        place = Path(temporary)
        if origin.query is None:
            yield scan(next(iter(origin.tables.values())), place / "0", progress)
        else:
            yield scan_of(_table(origin, place, progress), origin.name)


def _table(origin: Origin, place: Path, progress: Progress) -> Table:
    of_query = 0 if origin.query is None else 0.4
    tables: dict[str, Table] = {}
    for number, (name, named) in enumerate(origin.tables.items()):
        begin, end = ((1 - of_query) * count / len(origin.tables) for count in (number, number + 1))
        tables[name] = read(named, place / str(number), progress.stage(begin, end))
    if origin.query is None:
        return next(iter(tables.values()))
    return run(origin.query, tables, place / "query.parquet", progress.stage(1 - of_query, 1, "Running the query"))


def _custom_id(id_column: str | None, types: Mapping[str, str]) -> str:
    if id_column is None:
        return f"'row-' || {identifier(ROW)}"
    name = identifier(id_column)
    return f"{name} ->> '$'" if types[id_column] == "JSON" else f"CAST({name} AS VARCHAR)"


def _described(
    con: "duckdb.DuckDBPyConnection", types: Mapping[str, str], rows: int, progress: Progress
) -> list[Column]:
    facts: list[str] = []
    for column, sql_type in types.items():
        c = identifier(column)
        is_text = sql_type == "VARCHAR"
        is_empty = f"coalesce(trim({c}), '') = ''" if is_text else f"{c} IS NULL"
        facts += [
            f"count(*) FILTER ({is_empty})",
            f"approx_count_distinct({c})" if sql_type != "JSON" else "NULL",
            f"max(length({c}))" if is_text else "NULL",
        ]
    values = execute(con, f"SELECT {', '.join(facts)} FROM source", progress.stage(0, 0.6)).fetchone() or ()
    groups = zip(types.items(), values[::3], values[1::3], values[2::3], strict=True)
    described = [Column(name, sql_type.lower(), *facts) for (name, sql_type), *facts in groups]
    stages = (progress.stage(0.6 + 0.4 * n / len(types), 0.6 + 0.4 * (n + 1) / len(types)) for n in range(len(types)))
    return [_with_exact_distinct(con, *each, rows) for each in zip(described, stages, strict=True)]


def _with_exact_distinct(con: "duckdb.DuckDBPyConnection", column: Column, progress: Progress, rows: int) -> Column:
    """Replace the estimate by the count where that is cheap, or where the column may be an id; else leave it out."""
    estimate = column.distinct
    if estimate is None:
        return column
    may_be_id = not column.empty and estimate >= 0.8 * rows and (column.longest or 0) <= MAX_CUSTOM_ID_CHARACTERS
    if rows > _ROWS_COUNTED_EXACTLY and estimate > _FEW_VALUES and not may_be_id:
        return replace(column, distinct=None)
    counted = execute(con, f"SELECT count(DISTINCT {identifier(column.name)}) FROM source", progress).fetchone()
    return replace(column, distinct=int(counted[0]) if counted else 0)


def _id_column(columns: Sequence[Column], rows: int) -> str | None:
    """Suggest the first column that names every row differently; one called an id comes first."""
    fit = [
        column.name
        for column in columns
        if not column.empty
        and column.distinct == rows
        and (column.longest or 0) <= MAX_CUSTOM_ID_CHARACTERS
        and column.type in _ID_TYPES
    ]
    named = [name for name in fit if name.lower() == "id" or name.lower().endswith(("_id", " id", "key", "uuid"))]
    short = [column.name for column in columns if column.name in fit and (column.longest or 0) <= _LONGEST_KEY]
    return next(iter(named or short), None)


def _refuse_bad_ids(con: "duckdb.DuckDBPyConnection", id_column: str) -> None:
    c, row = identifier(CUSTOM_ID), identifier(ROW)
    advice = f"Name another, or leave id_column out: rows are then numbered, and {id_column!r} stays in the results."
    if empty := con.execute(f"SELECT {row} FROM frozen WHERE {c} IS NULL OR trim({c}) = '' LIMIT 1").fetchone():
        raise InvalidInput(f"The id column {id_column!r} is empty in row {empty[0]}. {advice}")
    most = MAX_CUSTOM_ID_CHARACTERS
    if long := con.execute(f"SELECT {row} FROM frozen WHERE length({c}) > {most} LIMIT 1").fetchone():
        raise InvalidInput(f"The id column {id_column!r} has more than {most} characters in row {long[0]}. {advice}")
    twice = con.execute(
        f"SELECT list({row} ORDER BY {row}) FROM frozen GROUP BY {c} HAVING count(*) > 1 ORDER BY min({row}) LIMIT 1"
    ).fetchone()
    if twice:
        rows = " and ".join(str(number) for number in twice[0][:2])
        raise InvalidInput(f"The id column {id_column!r} has the same value in rows {rows}. {advice}")
