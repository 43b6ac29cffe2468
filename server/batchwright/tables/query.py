"""SQL over the user's files, run in a process of its own: it reaches the tables that it names, and nothing else."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from batchwright.core.errors import InvalidInput
from batchwright.core.progress import SILENT, Progress
from batchwright.tables.connection import connection
from batchwright.tables.process import Bounds, carry_out
from batchwright.tables.query_process import Order, too_much_memory
from batchwright.tables.reading import Table, few, parquet_table
from batchwright.tables.sql_names import MEND

MAX_SECONDS = 120.0
MAX_RESULT_BYTES = 20_000_000_000


def run(sql: str, tables: Mapping[str, Table], target: Path, progress: Progress = SILENT) -> Table:
    """Write what a query gives to the Parquet file *target*, in its order, and give it as a table.

    Args:
        sql: One query, as `table_names` takes it.
        tables: What its names stand for.
        target: In a folder that may be used as one likes.
        progress: Of the query.

    Raises:
        InvalidInput: It fails, in DuckDB's words without the data; it takes too long, or too much memory or room.
        DiskFault: It cannot be written.
    """
    files = [str(path) for table in tables.values() for path in table.paths]
    order = Order(sql, {name: table.sql for name, table in tables.items()}, files, str(target), MEND)
    if not write_result(order, MAX_SECONDS, progress):
        raise InvalidInput("The query gives no rows. Ask for more.")
    with connection(files=[target], folder=target.parent, name="The query's result") as con:
        table = parquet_table(con, target, "The query's result")
    return replace(table, warnings=few(warning for part in tables.values() for warning in part.warnings))


def write_result(order: Order, seconds: float, progress: Progress = SILENT) -> int:
    """Have a query run in a process of its own, which is ended where it takes too much; says how many rows it gives.

    Raises:
        InvalidInput: It fails, in DuckDB's words without the data; it takes too long, or too much memory or room.
        DiskFault: It cannot be written.
    """
    bounds = Bounds(
        seconds,
        MAX_RESULT_BYTES,
        too_long=f"The query ran for more than {seconds:.0f} seconds. Take fewer rows, or join on fewer.",
        too_much=str(too_much_memory()),
        too_large=f"The query gives more than {MAX_RESULT_BYTES // 10**9}GB. Take fewer rows or columns.",
        broken="The query cannot be run: it ended DuckDB. Write it more simply.",
    )
    return carry_out("batchwright.tables.query_process", order, Path(order.target), bounds, progress).rows
