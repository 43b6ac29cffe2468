"""A DuckDB that reaches the named files and nothing else, and its errors as sentences."""

import re
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from batchwright.core.errors import DiskFault, InvalidInput
from batchwright.core.untrusted import one_line

if TYPE_CHECKING:
    import duckdb

    from batchwright.core.progress import Progress


MEMORY_LIMIT = "512MB"
PARQUET = "FORMAT parquet, ROW_GROUP_SIZE 2048"
"""Options of COPY. A group of rows is held in memory until it is written: at the usual size, long texts do not fit."""
WORKING = f"{PARQUET}, COMPRESSION snappy, DICTIONARY_SIZE_LIMIT 1, WRITE_BLOOM_FILTER false"
"""Options of COPY for the program's own files: faster to write. Not compressed, they take more memory to read."""
_SHOWN_CHARACTERS = 400
_DISK_FAULTS = (
    *("No space left on device", "Disk quota exceeded", "File too large", "Read-only file system"),
    *("Permission denied", "Input/output error"),
)


@contextmanager
def connection(
    *,
    files: Sequence[Path] = (),
    folder: Path | None = None,
    name: str = "the file",
    explain: Callable[[], str] | None = None,
    spill: str | None = None,
) -> "Generator[duckdb.DuckDBPyConnection]":
    """Open a DuckDB in memory that reaches only *files* and what lies in *folder*.

    Args:
        files: What it may read and write.
        folder: What it may use as it likes, also for what does not fit the memory.
        name: Of the user's data, for errors.
        explain: Asked for a better sentence when the data cannot be read.
        spill: The most that it may put into *folder* for want of memory; None: what the disk has.

    Raises:
        InvalidInput: What is run in it fails on the data.
        DiskFault: What is run in it cannot be written.
    """
    import duckdb

    con = duckdb.connect(":memory:")
    try:
        con.execute(f"SET allowed_paths = [{', '.join(text for file in files for text in _spellings(file))}]")
        if folder is not None:
            con.execute(f"SET allowed_directories = [{', '.join(_spellings(folder))}]")
            con.execute(f"SET temp_directory = {quote_sql(str(folder / 'spill'))}")
            if spill is not None:
                con.execute(f"SET max_temp_directory_size = '{spill}'")
        con.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        # One thread was as fast as two, keeps the rows in order and the memory low.
        con.execute("SET threads = 1")
        # Nor do files need threads of their own: waiting for them took more than reading.
        con.execute("SET async_threads = 0")
        # How far a query is can only be asked for with a bar, which is not to be drawn.
        con.execute("SET enable_progress_bar = true")
        con.execute("SET enable_progress_bar_print = false")
        # Else a name that is no table is looked for among the variables of this program.
        con.execute("SET python_enable_replacements = false")
        con.execute("SET autoinstall_known_extensions = false")
        con.execute("SET enable_external_access = false")
        con.execute("SET lock_configuration = true")
        yield con
    except duckdb.IOException as error:
        if reason := next((text for text in _DISK_FAULTS if text in str(error)), None):
            raise DiskFault.at(folder or "the server's folder", reason) from error
        raise InvalidInput(explain() if explain else _sentence(error, name)) from error
    except duckdb.OutOfMemoryException as error:
        if spill is None and folder is not None and "max_temp_directory_size" in str(error):
            raise DiskFault.at(folder, "The disk is full") from error
        raise InvalidInput(_sentence(error, name)) from error
    except duckdb.Error as error:
        raise InvalidInput(explain() if explain else _sentence(error, name)) from error
    finally:
        con.close()


def refusal(message: str, advice: str) -> InvalidInput:
    """Return the error of SQL that cannot be run, in DuckDB's words."""
    words = one_line(" ".join(message.split()), _SHOWN_CHARACTERS)
    return InvalidInput(f"The query cannot be run: {words.rstrip('.!?')}. {advice}")


def quote_sql(text: str) -> str:
    """Write *text* as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Write *name* as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def pattern(path: Path) -> str:
    """Write *path* as an SQL string that only this file matches: DuckDB takes every name for a pattern."""
    return quote_sql(re.sub(r"([*?\[])", r"[\1]", str(path)))


def _spellings(path: Path) -> tuple[str, str]:
    return quote_sql(str(path)), pattern(path)


def _sentence(error: "duckdb.Error", name: str) -> str:
    """Say in one sentence what DuckDB found; the rows and paths that it quotes are left out."""
    text = str(error)
    if "Out of Memory" in text:
        return f"{name} needs more than {MEMORY_LIMIT} of memory to be read. Split it into smaller files."
    if "maximum_object_size" in text:
        return f"{name} has a line that is longer than can be read. Leave out what the prompt does not need."
    if "No magic bytes" in text or "Parquet" in text or "parquet" in text:
        return f"{name} is not a whole Parquet file. Save it again as Parquet, CSV or JSONL."
    return f"{name} cannot be read ({type(error).__name__}). Save it again as CSV (UTF-8), JSONL or Parquet."


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
