"""SQL over the user's files, run in a separate process: it reaches the tables that it names, and nothing else."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from batchwright.core.errors import InvalidInput
from batchwright.core.progress import SILENT, Progress
from batchwright.tables.connection import connection
from batchwright.tables.process import ProcessBounds, carry_out
from batchwright.tables.query_process import ADVICE, Order
from batchwright.tables.reading import Table, few, parquet_table
from batchwright.tables.sql_names import FIX_SQL

MAX_RESULT_BYTES = 20_000_000_000


def run(sql: str, tables: Mapping[str, Table], target: Path, progress: Progress = SILENT, *, seconds: float) -> Table:
    """Write the result of a query to the Parquet file *target*, in its order, and return it as a table.

    *tables* are those that `table_names` finds in *sql*. The query may use the folder of *target* freely.

    Raises:
        InvalidInput: It fails, in DuckDB's words without the data; or takes too much time, memory or room.
        DiskFault: The file cannot be written.
    """
    files = [str(path) for table in tables.values() for path in table.paths]
    order = Order(sql, {name: table.sql for name, table in tables.items()}, files, str(target), FIX_SQL)
    if not write_result(order, seconds, progress):
        raise InvalidInput("The query returns no rows. Ask for more.")
    with connection(files=[target], folder=target.parent, name="The query's result") as con:
        table = parquet_table(con, target, "The query's result")
    return replace(table, warnings=few(warning for part in tables.values() for warning in part.warnings))


def write_result(order: Order, seconds: float, progress: Progress = SILENT) -> int:
    """Run a query in a separate process, which is stopped when it takes too much; return the number of rows.

    Raises:
        InvalidInput: It fails, in DuckDB's words without the data; or takes too much time, memory or room.
        DiskFault: The file cannot be written.
    """
    bounds = ProcessBounds("The query", ADVICE, seconds, MAX_RESULT_BYTES)
    return carry_out("batchwright.tables.query_process", order, Path(order.target), bounds, progress).rows
