"""The process that runs one query, so that a query that takes too much can be stopped whatever it is doing."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from batchwright.core.errors import InvalidInput
from batchwright.core.progress import Progress
from batchwright.tables.cells import types_of
from batchwright.tables.connection import (
    WORKING,
    MemoryBounds,
    connection,
    execute,
    identifier,
    parquet_sql,
    quote_sql,
    refusal,
)
from batchwright.tables.process import ProcessReport, progress_of, serve
from batchwright.tables.saving import SaveKind, cut_cell, save

if TYPE_CHECKING:
    import duckdb

MAX_CELL_CHARACTERS = 10_000
"""Of a cell in the preview; an assistant is shown less of it."""
ADVICE = "Take fewer rows or columns, or sort and join less."
_BOUNDS = MemoryBounds(spill="20GB")
_QUOTED = re.compile(r"""['"].*['"]""", re.DOTALL)
_IN_BRACKETS = re.compile(r"\(.*\)", re.DOTALL)
_PLACE = re.compile(r"\n+LINE \d+:.*", re.DOTALL)


class Order(msgspec.Struct, frozen=True):
    """What to run.

    Attributes:
        tables: The SQL of each table that the query may read, by name.
        files: Where these tables are.
        target: The Parquet file to write, in a folder that may be used freely.
        advice: Ends the message about SQL that cannot run.
        preview: A JSONL file for the first *preview_rows* rows, their texts cut; None: none.
        save_as: A file of *save_kind* for the user, with all rows; None: none.
    """

    sql: str
    tables: Mapping[str, str]
    files: Sequence[str]
    target: str
    advice: str
    preview: str | None = None
    preview_rows: int = 0
    save_as: str | None = None
    save_kind: SaveKind = "parquet"


def run_query(order: Order) -> ProcessReport:
    """Write the result of a query to a Parquet file, in its order.

    Raises:
        InvalidInput: It fails, in DuckDB's words without the data, or needs too much memory.
        DiskFault: The file cannot be written.
    """
    import duckdb

    target = Path(order.target)
    progress = progress_of(target)
    files = [Path(file) for file in (*order.files, *([order.save_as] if order.save_as else []))]
    with connection(files=files, folder=target.parent, name="The query", bounds=_BOUNDS) as con:
        for name, sql in order.tables.items():
            con.execute(f"CREATE VIEW {identifier(name)} AS {sql}")
        try:
            # In a view of its own, no text of the query can end the statement around it.
            con.execute(f"CREATE TEMP VIEW __batchwright_query AS {order.sql}")
            types = types_of(con, "__batchwright_query")
        except duckdb.Error as error:
            raise refusal(_PLACE.sub("", str(error)), order.advice) from error
        try:
            cells = ", ".join(_storable(column, sql_type) for column, sql_type in types.items())
            query = f"SELECT {cells} FROM __batchwright_query"
            copy = f"COPY ({query}) TO {quote_sql(order.target)} ({WORKING})"
            copied = execute(con, copy, progress.stage(0, 0.7 if order.save_as else 1)).fetchall()
            _save_copies(con, order, progress.stage(0.7, 1))
        except duckdb.OutOfMemoryException as error:
            raise InvalidInput(f"The query needs more than {_BOUNDS.memory} of memory. {ADVICE}") from error
        except duckdb.IOException:
            raise
        except duckdb.Error as error:
            raise refusal(_without_data(str(error)), order.advice) from error
    return ProcessReport(rows=int(copied[0][0]))


def _save_copies(con: "duckdb.DuckDBPyConnection", order: Order, progress: Progress) -> None:
    """Write the preview and the user's file here, so that the server never reads a value of any size."""
    result = parquet_sql(Path(order.target))
    if order.preview is not None:
        cells = ", ".join(cut_cell(*column, MAX_CELL_CHARACTERS) for column in types_of(con, result).items())
        save(con, f"SELECT {cells} FROM ({result}) LIMIT {order.preview_rows:d}", Path(order.preview), "jsonl")
    if order.save_as is not None:
        save(con, result, Path(order.save_as), order.save_kind, progress)


def _storable(column: str, sql_type: str) -> str:
    """Return the SQL of a column that Parquet stores exactly: it has no integers of 128 bits, such as `sum` returns."""
    name = identifier(column)
    return f"to_json({name}) AS {name}" if "HUGEINT" in sql_type or "UNION(" in sql_type else name


def _without_data(message: str) -> str:
    """Remove what an error quotes from the rows."""
    return _IN_BRACKETS.sub("", _QUOTED.sub("…", _PLACE.sub("", message)))


if __name__ == "__main__":
    serve(Order, run_query)
