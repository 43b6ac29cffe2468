"""A frozen copy of the user's rows, from which a job is made and to which its results are joined."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from batchwright.core import files, system
from batchwright.core.errors import InvalidInput
from batchwright.core.jsonl import MAX_CUSTOM_ID_CHARACTERS
from batchwright.core.model import Json, Source
from batchwright.core.progress import SILENT, Progress
from batchwright.core.untrusted import quote_name, quote_names
from batchwright.tables.cells import cell_sql, reader, types_of
from batchwright.tables.connection import WORKING, connection, execute, identifier, parquet_sql, pattern, quote_sql
from batchwright.tables.reading import Scan, parquet_table
from batchwright.tables.rows import open_scan
from batchwright.tables.source import Origin

if TYPE_CHECKING:
    import duckdb


ROW = "__batchwright_row"
"""Column of a frozen source: the row's number, from 1."""
CUSTOM_ID = "__batchwright_id"
"""Column of a frozen source: the custom_id of the row's request."""
_ROWS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen source, and what the user should know about how it was read."""

    source: Source
    warnings: tuple[str, ...]


def freeze(origin: Origin, frozen: Path, *, id_column: str | None, progress: Progress = SILENT) -> Frozen:
    """Copy the rows of *origin* to the Parquet file *frozen*, with a row number and a custom_id for each row.

    Raises:
        InvalidInput: The data is broken or empty, or *id_column* is missing, empty, too long or not unique.
    """
    name, folder = origin.name, frozen.parent
    with TemporaryDirectory(prefix="reading-", dir=folder) as temporary:
        scan = open_scan(origin, Path(temporary), progress.stage(0, 0.3, f"Reading {name}"))
        with connection(
            files=scan.paths, folder=folder, name=name, explain=scan.explain, bounds=origin.bounds.memory
        ) as con:
            types = _copy(con, scan, name, frozen, id_column, progress.stage(0.3, 1, f"Reading {name}"))
            rows = parquet_table(con, frozen, name).rows
            con.execute(f"CREATE VIEW frozen AS {parquet_sql(frozen)}")
            if id_column is not None:
                _refuse_bad_ids(con, id_column)
        scan.refuse_missing(rows)
    paths = tuple(map(str, origin.paths))
    source = Source(name, origin.kind, tuple(types), rows, id_column, next(iter(paths), None), paths[1:])
    return Frozen(source, scan.warnings)


def _copy(
    con: "duckdb.DuckDBPyConnection", scan: Scan, name: str, frozen: Path, id_column: str | None, progress: Progress
) -> dict[str, str]:
    """Copy the rows of *scan* to *frozen*, in order, and return its columns with their types."""
    sql = scan.sql(con, progress.stage(0, 0.2))
    types = types_of(con, sql)
    if id_column is not None and id_column not in types:
        raise InvalidInput(f"There is no column {quote_name(id_column)} for the ids. Columns: {quote_names(types)}.")
    if reserved := [column for column in types if column.lower() in {ROW, CUSTOM_ID}]:
        raise InvalidInput(f"{name} has a column {reserved[0]!r}, a reserved name. Rename the column.")
    numbered = f"SELECT row_number() OVER () AS {identifier(ROW)}, * FROM ({sql})"
    rows = f"SELECT *, {_custom_id(id_column, types)} AS {identifier(CUSTOM_ID)} FROM ({numbered})"
    execute(con, f"COPY ({rows}) TO {quote_sql(str(frozen))} ({WORKING})", progress.stage(0.2, 1))
    return types


def frozen_rows(frozen: Path, columns: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """Yield custom_id and the cells of *columns* for each row of a frozen source, in order, streaming."""
    with connection(files=[frozen]) as con:
        types = types_of(con, parquet_sql(frozen))
        cells = ", ".join([identifier(CUSTOM_ID), *(cell_sql(column, types[column]) for column in columns)])
        read = reader({column: types[column] for column in columns})
        # One thread returns the rows as they stand in the file, in order: sorting would hold them all.
        con.execute(f"SELECT {cells} FROM ({parquet_sql(frozen)})")
        while batch := con.fetchmany(_ROWS_AT_ONCE):
            for custom_id, *row in batch:
                yield custom_id, read(row)


def pick_rows(
    frozen: Path, columns: Sequence[str], *, ids: Sequence[str] = (), numbers: Sequence[int] = ()
) -> list[tuple[int, str, Mapping[str, Json]]]:
    """Return the rows of *numbers*, and the first with each of *ids*: number, custom_id and the cells of *columns*."""
    row, custom_id = identifier(ROW), identifier(CUSTOM_ID)
    with connection(files=[frozen]) as con:
        con.execute(f"CREATE VIEW frozen AS {parquet_sql(frozen)}")
        types = types_of(con, "frozen")
        cells = ", ".join([row, custom_id, *(cell_sql(column, types[column]) for column in columns)])
        read = reader({column: types[column] for column in columns})
        of_ids = (
            f"SELECT min({row}) FROM frozen WHERE {custom_id} IN (SELECT unnest(?::VARCHAR[])) GROUP BY {custom_id}"
        )
        of_numbers = "SELECT unnest(?::BIGINT[])"
        con.execute(
            f"SELECT {cells} FROM frozen WHERE {row} IN ({of_ids}) OR {row} IN ({of_numbers}) ORDER BY {row}",
            [list(ids), list(numbers)],
        )
        return [(number, name, read(cells)) for number, name, *cells in con.fetchall()]


def share_ids(frozen: Path, listed: Path) -> None:
    """Set the custom_id of rows of a frozen source to that of another row, so that one result is joined to them all.

    *listed* has a JSON line for each of these rows, with its number `row` and the other row's custom_id `id`.
    """
    temporary = frozen.with_suffix(".new")
    row, custom_id = identifier(ROW), identifier(CUSTOM_ID)
    options = "hive_partitioning = false, columns = {row: 'BIGINT', id: 'VARCHAR'}"
    shared = f"SELECT * FROM read_ndjson({pattern(listed)}, {options})"
    with connection(files=[frozen, listed, temporary], folder=frozen.parent) as con:
        con.execute(
            f"COPY (SELECT f.* REPLACE (coalesce(s.id, f.{custom_id}) AS {custom_id}) FROM ({parquet_sql(frozen)}) f "
            f"LEFT JOIN ({shared}) s ON f.{row} = s.row ORDER BY f.{row}) TO {quote_sql(str(temporary))} ({WORKING})"
        )
    files.sync(temporary)
    system.replace(temporary, frozen)


def _custom_id(id_column: str | None, types: Mapping[str, str]) -> str:
    if id_column is None:
        return f"'row-' || {identifier(ROW)}"
    name = identifier(id_column)
    return f"{name} ->> '$'" if types[id_column] == "JSON" else f"CAST({name} AS VARCHAR)"


def _refuse_bad_ids(con: "duckdb.DuckDBPyConnection", id_column: str) -> None:
    c, row, most = identifier(CUSTOM_ID), identifier(ROW), MAX_CUSTOM_ID_CHARACTERS
    faults = {
        "is empty in row": f"SELECT min({row}) FROM frozen WHERE coalesce(trim({c}), '') = ''",
        f"has more than {most} characters in row": f"SELECT min({row}) FROM frozen WHERE length({c}) > {most}",
        "has the same value in rows": f"SELECT array_to_string(list({row} ORDER BY {row})[:2], ' and ') FROM frozen "
        f"GROUP BY {c} HAVING count(*) > 1 ORDER BY min({row}) LIMIT 1",
    }
    for fault, sql in faults.items():
        if (found := con.execute(sql).fetchone()) and found[0] is not None:
            raise InvalidInput(
                f"The id column {id_column!r} {fault} {found[0]}. Choose another, or leave id_column out: rows are "
                f"then numbered, and {id_column!r} stays in the results."
            )
