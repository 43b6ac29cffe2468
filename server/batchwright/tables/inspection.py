"""What is found in a source before a job is made of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from batchwright.core.jsonl import MAX_CUSTOM_ID_CHARACTERS
from batchwright.core.model import Json, SourceKind
from batchwright.core.progress import SILENT, Progress
from batchwright.tables.cells import INTEGERS, cell_sql, reader, types_of
from batchwright.tables.connection import connection, execute, identifier
from batchwright.tables.rows import open_table
from batchwright.tables.source import Origin

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a source, described: `type` in words, and how many cells are empty or different."""

    name: str
    type: str
    empty: int
    distinct: int | None
    longest: int | None
    """Characters of the longest text; None: it is not text."""


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
    """What the user should know about how it was read."""


_ROWS_COUNTED_EXACTLY = 100_000
_FEW_VALUES = 1_000
_ID_TYPES = INTEGERS | {"VARCHAR", "HUGEINT", "UUID"}
_LONGEST_KEY = 36
"""Characters, as in a UUID: what is longer is a text that happens to differ in each row."""
_WORDS = {
    "text": r"VARCHAR",
    "number": r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*",
    "list": r"ARRAY|.*\]",
    "object": r"OBJECT|STRUCT.*|MAP.*",
}


def profile(origin: Origin, *, folder: Path, sample_rows: int, progress: Progress = SILENT) -> Profile:
    """Describe *origin*: how many rows it has, its columns, and its first *sample_rows* rows.

    Nothing is left in *folder*.

    Raises:
        InvalidInput: It is empty, broken or of an unknown kind; the sentence names the line.
    """
    bounds = origin.bounds.memory
    with TemporaryDirectory(prefix="reading-", dir=folder) as temporary:
        table = open_table(origin, Path(temporary), progress.stage(0, 0.7))
        with connection(files=table.paths, folder=folder, name=origin.name, bounds=bounds) as con:
            con.execute(f"CREATE VIEW source AS {table.sql}")
            types = types_of(con, "source")
            columns = _describe(con, types, table.rows, progress.stage(0.7, 1, f"Describing {table.rows:,} rows"))
            cells = ", ".join(cell_sql(column, sql_type) for column, sql_type in types.items())
            fetched = con.execute(f"SELECT {cells} FROM source LIMIT {sample_rows:d}").fetchall()
            sample = list(map(reader(types), fetched))
    fit = [column for column in columns if types[column.name] in _ID_TYPES]
    return Profile(origin.name, origin.kind, table.rows, columns, sample, _id_column(fit, table.rows), table.warnings)


def _describe(
    con: "duckdb.DuckDBPyConnection", types: Mapping[str, str], rows: int, progress: Progress
) -> list[Column]:
    facts: list[str] = []
    for column, sql_type in types.items():
        c = identifier(column)
        is_text = sql_type == "VARCHAR"
        is_empty = f"coalesce(trim({c}), '') = ''" if is_text else f"{c} IS NULL"
        facts += [
            f"list(DISTINCT json_type({c}))" if sql_type == "JSON" else f"[{sql_type!r}]",
            f"count(*) FILTER ({is_empty})",
            f"approx_count_distinct({c})" if sql_type != "JSON" else "NULL",
            f"max(length({c}))" if is_text else "NULL",
        ]
    values = execute(con, f"SELECT {', '.join(facts)} FROM source", progress.stage(0, 0.6)).fetchone() or ()
    groups = zip(types, *(values[place::4] for place in range(4)), strict=True)
    described = [Column(name, _in_words(kinds), *facts) for name, kinds, *facts in groups]
    stages = (progress.stage(0.6 + 0.4 * n / len(types), 0.6 + 0.4 * (n + 1) / len(types)) for n in range(len(types)))
    return [_with_exact_distinct(con, *each, rows) for each in zip(described, stages, strict=True)]


def _in_words(sql_types: Sequence[str | None]) -> str:
    """Name the types in a column: the SQL type of all its cells, or what is found in its JSON."""
    words = {
        next((word for word, pattern in _WORDS.items() if re.fullmatch(pattern, sql_type)), sql_type.lower())
        for sql_type in sql_types
        if sql_type and sql_type != "NULL"
    }
    return " or ".join(sorted(words))


def _with_exact_distinct(con: "duckdb.DuckDBPyConnection", column: Column, progress: Progress, rows: int) -> Column:
    """Replace the estimate by the count if that is cheap, or the column may be an id; otherwise leave it out."""
    estimate = column.distinct
    if estimate is None:
        return column
    may_be_id = not column.empty and estimate >= 0.8 * rows and (column.longest or 0) <= MAX_CUSTOM_ID_CHARACTERS
    if rows > _ROWS_COUNTED_EXACTLY and estimate > _FEW_VALUES and not may_be_id:
        return replace(column, distinct=None)
    counted = execute(con, f"SELECT count(DISTINCT {identifier(column.name)}) FROM source", progress).fetchone()
    return replace(column, distinct=int(counted[0]) if counted else 0)


def _id_column(columns: Sequence[Column], rows: int) -> str | None:
    """Suggest the first column with a different value in every row; one that is named like an id comes first."""
    fit = {
        column.name: column.longest or 0
        for column in columns
        if not column.empty and column.distinct == rows and (column.longest or 0) <= MAX_CUSTOM_ID_CHARACTERS
    }
    named = [name for name in fit if name.lower() == "id" or name.lower().endswith(("_id", " id", "key", "uuid"))]
    short = [name for name, longest in fit.items() if longest <= _LONGEST_KEY]
    return next(iter(named or short), None)
