"""Long statements of DuckDB, and how far they are."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

    from batchwright.core.progress import Progress

_LOOK_SECONDS = 0.25


def execute(
    con: "duckdb.DuckDBPyConnection", sql: str, progress: "Progress", parameters: Sequence[object] = ()
) -> "duckdb.DuckDBPyConnection":
    """Run a statement, and tell meanwhile how far it is; where whoever is told has enough of it, it is ended."""
    if not progress.is_told:
        return con.execute(sql, list(parameters))
    # It runs elsewhere, and is told of from here: only this thread may speak to the client.
    with ThreadPoolExecutor(1) as other:
        running = other.submit(con.execute, sql, list(parameters))
        try:
            while not wait([running], _LOOK_SECONDS).done:
                progress.check()
                progress.at(con.query_progress() / 100)
        except BaseException:
            con.interrupt()
            raise
    progress.at(1)
    return running.result()
