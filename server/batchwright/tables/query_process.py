"""A process that runs one query, so that what takes too long or too much memory can be ended whatever it is doing.

It is told what to do in one line on standard input, says in one on standard output what came of it, and ends when its
input is closed.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from batchwright.core.errors import InvalidInput
from batchwright.core.progress import Progress
from batchwright.tables.cells import types_of
from batchwright.tables.connection import MEMORY_LIMIT, WORKING, connection, identifier, pattern, quote_sql, refusal
from batchwright.tables.connection import execute as watched
from batchwright.tables.process import Report, progress_of, serve
from batchwright.tables.saving import SaveKind, cut_cell, save

if TYPE_CHECKING:
    import duckdb

MAX_CELL_CHARACTERS = 10_000
"""Of a cell that is shown; what an assistant is shown of it is less."""
MAX_SPILL = "20GB"
_QUOTED = re.compile(r"""['"].*['"]""", re.DOTALL)
_IN_BRACKETS = re.compile(r"\(.*\)", re.DOTALL)
_PLACE = re.compile(r"\n+LINE \d+:.*", re.DOTALL)


class Order(msgspec.Struct, frozen=True):
    """What is to be run.

    Attributes:
        tables: The SQL of each table that the query may read, by name.
        files: What these lie in.
        target: The Parquet file to write, in a folder that may be used as one likes.
        advice: Ends the sentence about SQL that cannot be run.
        preview: A JSONL file with the first *preview_rows* rows, their texts cut; None: not wanted.
        save_as, save_kind: A file for the user, with all rows; None: not wanted.
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


def too_much_memory() -> InvalidInput:
    """Return the error of a query that needs too much memory."""
    return InvalidInput(
        f"The query needs more than {MEMORY_LIMIT} of memory. Take fewer rows or columns, or sort less."
    )


def execute(order: Order) -> int:
    """Write what a query gives to a Parquet file, in its order, and say how many rows these are.

    Raises:
        InvalidInput: It fails, in DuckDB's words without the data, or needs too much memory.
        DiskFault: It cannot be written.
    """
    import duckdb

    target = Path(order.target)
    progress = progress_of(target)
    files = [Path(file) for file in (*order.files, *([order.save_as] if order.save_as else []))]
    with connection(files=files, folder=target.parent, name="The query", spill=MAX_SPILL) as con:
        for name, sql in order.tables.items():
            con.execute(f"CREATE VIEW {identifier(name)} AS {sql}")
        try:
            # A view of its own: nothing of the query's text can end what stands around it.
            con.execute(f"CREATE TEMP VIEW __batchwright_query AS {order.sql}")
            types = types_of(con, "__batchwright_query")
        except duckdb.Error as error:
            raise refusal(_PLACE.sub("", str(error)), order.advice) from error
        try:
            cells = ", ".join(_kept(column, sql_type) for column, sql_type in types.items())
            query = f"SELECT {cells} FROM __batchwright_query"
            copy = f"COPY ({query}) TO {quote_sql(order.target)} ({WORKING})"
            copied = watched(con, copy, progress.stage(0, 0.7 if order.save_as else 1)).fetchall()
            _show(con, order, progress.stage(0.7, 1))
        except duckdb.OutOfMemoryException as error:
            raise too_much_memory() from error
        except duckdb.IOException:
            raise
        except duckdb.Error as error:
            raise refusal(_without_data(str(error)), order.advice) from error
    return int(copied[0][0])


def _show(con: "duckdb.DuckDBPyConnection", order: Order, progress: Progress) -> None:
    """Write what is shown, and what is saved. Whoever asked need not read a value of any size."""
    made = f"SELECT * FROM read_parquet({pattern(Path(order.target))}, hive_partitioning = false)"
    if order.preview is not None:
        cells = [f"{cut_cell(name, sql_type, MAX_CELL_CHARACTERS)}" for name, sql_type in types_of(con, made).items()]
        save(con, f"SELECT {', '.join(cells)} FROM ({made}) LIMIT {order.preview_rows:d}", Path(order.preview), "jsonl")
    if order.save_as is not None:
        save(con, made, Path(order.save_as), order.save_kind, progress)


def _kept(column: str, sql_type: str) -> str:
    """Return the SQL of a column that Parquet keeps as it is: it has no integers of 128 bits, such as `sum` gives."""
    name = identifier(column)
    return f"to_json({name}) AS {name}" if "HUGEINT" in sql_type or "UNION(" in sql_type else name


def _without_data(message: str) -> str:
    """Leave out what an error quotes of the rows."""
    return _IN_BRACKETS.sub("", _QUOTED.sub("…", _PLACE.sub("", message)))


def main() -> None:
    """Run the query that is asked for."""
    serve(Order, lambda order: Report(rows=execute(order)))


if __name__ == "__main__":
    main()
