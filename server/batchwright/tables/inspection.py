"""What is found in a source before a job is made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchwright.core.jsonl import MAX_CUSTOM_ID_CHARACTERS
from batchwright.core.model import Json, SourceKind
from batchwright.core.progress import SILENT, Progress
from batchwright.tables.cells import as_row, cell_sql, reader, types_of
from batchwright.tables.connection import connection, execute, identifier
from batchwright.tables.frozen import ID_TYPES, LONGEST_KEY
from batchwright.tables.rows import open_table
from batchwright.tables.source import Origin

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a source, described."""

    name: str
    type: str
    empty: int
    distinct: int | None
    longest: int | None
    """Characters of the longest text; None for what is not text."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What `inspect_data` found in a source."""

    name: str
    kind: SourceKind
    rows: int
    columns: Sequence[Column]
    sample: Sequence[Mapping[str, Json]]
    id_column: str | None
    """A column that holds a different, short value in every row."""
    warnings: Sequence[str] = ()
    """What should be known of how it was read."""


_ROWS_COUNTED_EXACTLY = 100_000
_FEW_VALUES = 1_000


def profile(origin: Origin, *, folder: Path, sample_rows: int, progress: Progress = SILENT) -> Profile:
    """Describe the rows of *origin*: how many, their columns, and the first *sample_rows* rows.

    Args:
        origin: A file, files or a query.
        folder: May be used as one likes; nothing is left in it.
        sample_rows: How many rows are shown.
        progress: Of the reading, and of the describing.

    Raises:
        InvalidInput: It is empty, broken or of an unknown kind; the sentence names the line.
    """
    with (
        open_table(origin, folder, progress.stage(0, 0.7)) as table,
        connection(files=table.paths, folder=folder, name=origin.name) as con,
    ):
        con.execute(f"CREATE VIEW source AS {table.sql}")
        types = types_of(con, "source")
        columns = _describe(con, types, table.rows, progress.stage(0.7, 1, f"Describing {table.rows:,} rows"))
        cells = ", ".join(cell_sql(column, sql_type) for column, sql_type in types.items())
        read = reader(list(types.values()))
        fetched = con.execute(f"SELECT {cells} FROM source LIMIT {sample_rows:d}").fetchall()
        sample = [as_row(list(types), read(row)) for row in fetched]
    id_column = _id_column(columns, table.rows)
    return Profile(origin.name, origin.kind, table.rows, columns, sample, id_column, table.warnings)


def _describe(
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
        and column.type in ID_TYPES
    ]
    named = [name for name in fit if name.lower() == "id" or name.lower().endswith(("_id", " id", "key", "uuid"))]
    short = [column.name for column in columns if column.name in fit and (column.longest or 0) <= LONGEST_KEY]
    return next(iter(named or short), None)
