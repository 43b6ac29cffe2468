"""SQL over a job's results: guarded as SQL over files is, and limited to the tables `results` and `source`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from batchwright.core import files
from batchwright.core.errors import InvalidInput
from batchwright.core.progress import SILENT, Progress
from batchwright.core.untrusted import one_line, quote_name
from batchwright.tables.cells import types_of
from batchwright.tables.connection import connection, identifier, pattern
from batchwright.tables.query import write_result
from batchwright.tables.query_process import Order
from batchwright.tables.sql_names import FIX_SQL, table_names

if TYPE_CHECKING:
    from batchwright.core.model import Json
    from batchwright.results.table import ResultTable
    from batchwright.tables.saving import SaveKind

MAX_SECONDS = 40.0
"""Many clients give up on a call after 60 seconds."""
_NAMED_COLUMNS = 40


@dataclass(frozen=True, slots=True)
class QueryRows:
    """The result of a query: its columns, its first rows with long cells cut, and the number of rows."""

    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, "Json"]]
    total: int


def query(  # noqa: PLR0913  # what is asked, what is saved, and who waits
    table: "ResultTable",
    sql: str,
    folder: Path,
    *,
    limit: int,
    target: Path | None = None,
    kind: "SaveKind" = "parquet",
    progress: Progress = SILENT,
) -> QueryRows:
    """Run one SELECT over `results` and `source`: return its first rows, and save all of them to *target*, if given.

    Args:
        table: The job's results.
        sql: In DuckDB's dialect.
        folder: For temporary files.
        limit: The most rows to return.
        target: Where to save all rows.
        kind: The format of that file.
        progress: Of the query and of the saving.

    Raises:
        InvalidInput: *sql* is not one SELECT over these tables, fails, or takes too long or too much memory.
    """
    tables = table.tables()
    columns = _columns(tables["results"].columns)
    advice = f"Tables: results ({columns}), and source."
    for name in table_names(sql, advice=advice):
        if name.lower() not in tables:
            raise InvalidInput(f"There is no table {quote_name(name)}. {advice}")
    made, preview = folder / "query.parquet", folder / "query.jsonl"
    paths = {str(path): None for each in tables.values() for path in each.paths}
    order = Order(
        sql,
        {name: each.sql for name, each in tables.items()},
        list(paths),
        str(made),
        f"{FIX_SQL} Columns of results: {columns}.",
        preview=str(preview),
        preview_rows=limit,
        save_as=str(target) if target else None,
        save_kind=kind,
    )
    total = write_result(order, MAX_SECONDS, progress)
    with connection(files=[made], folder=folder, name="The answer") as con:
        names = tuple(types_of(con, f"SELECT * FROM read_parquet({pattern(made)}, hive_partitioning = false)"))
    return QueryRows(names, [msgspec.json.decode(line) for line in files.lines(preview)], total)


def _columns(names: Sequence[str]) -> str:
    """List column names as they are written in SQL."""
    named = (one_line(name) for name in names[:_NAMED_COLUMNS])
    shown = ", ".join(name if name.isidentifier() else identifier(name) for name in named)
    return shown + (f" and {len(names) - _NAMED_COLUMNS} more" if len(names) > _NAMED_COLUMNS else "")
