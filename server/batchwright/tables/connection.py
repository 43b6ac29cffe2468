"""A DuckDB that reaches only the files it is given, and its errors as sentences."""

import re
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchwright.core.errors import DiskFault, InvalidInput
from batchwright.core.untrusted import one_line

if TYPE_CHECKING:
    import duckdb

    from batchwright.core.progress import Progress


PARQUET = "FORMAT parquet, ROW_GROUP_SIZE 2048"
"""Options of COPY. A row group is held in memory until it is written: at the default size, long texts do not fit."""
WORKING = f"{PARQUET}, COMPRESSION snappy, DICTIONARY_SIZE_LIMIT 1, WRITE_BLOOM_FILTER false"
"""Options of COPY for the program's own files: faster to write. Uncompressed, they take more memory to read."""
_SHOWN_CHARACTERS = 400
_POLL_SECONDS = 0.25
_DISK_FAULTS = (
    *("No space left on device", "Disk quota exceeded", "File too large", "Read-only file system"),
    *("Permission denied", "Input/output error"),
)


@dataclass(frozen=True, slots=True)
class MemoryBounds:
    """The most that one DuckDB may take, as DuckDB writes sizes."""

    memory: str = "512MB"
    spill: str | None = None
    """Disk space for what does not fit in memory; None: whatever the disk has."""


MEMORY = MemoryBounds()


@contextmanager
def connection(
    *,
    files: Sequence[Path] = (),
    folder: Path | None = None,
    name: str = "the file",
    explain: Callable[[], str] | None = None,
    bounds: MemoryBounds = MEMORY,
) -> "Generator[duckdb.DuckDBPyConnection]":
    """Open a DuckDB in memory that reads and writes only *files* and what is in *folder*, where it also spills.

    Errors call the data *name*; if *explain* is given, it says what is wrong with data that cannot be read.

    Raises:
        InvalidInput: A statement fails on the data.
        DiskFault: A statement cannot write its result.
    """
    import duckdb

    con = duckdb.connect(":memory:")
    try:
        con.execute(f"SET allowed_paths = [{', '.join(text for file in files for text in _spellings(file))}]")
        if folder is not None:
            con.execute(f"SET allowed_directories = [{', '.join(_spellings(folder))}]")
            con.execute(f"SET temp_directory = {quote_sql(str(folder / 'spill'))}")
            if bounds.spill is not None:
                con.execute(f"SET max_temp_directory_size = '{bounds.spill}'")
        con.execute(f"SET memory_limit = '{bounds.memory}'")
        # One thread was as fast as two, keeps the rows in order and needs less memory.
        con.execute("SET threads = 1")
        # Files need no threads of their own either: waiting for them took longer than reading.
        con.execute("SET async_threads = 0")
        # DuckDB reports a query's progress only with its progress bar on; the bar itself is not drawn.
        con.execute("SET enable_progress_bar = true")
        con.execute("SET enable_progress_bar_print = false")
        # Otherwise DuckDB takes a name that is not a table for a variable of this program.
        con.execute("SET python_enable_replacements = false")
        con.execute("SET autoinstall_known_extensions = false")
        con.execute("SET enable_external_access = false")
        con.execute("SET lock_configuration = true")
        yield con
    except duckdb.IOException as error:
        if reason := next((text for text in _DISK_FAULTS if text in str(error)), None):
            raise DiskFault.at(folder or "the server's folder", reason) from error
        raise InvalidInput(explain() if explain else _sentence(error, name, bounds)) from error
    except duckdb.OutOfMemoryException as error:
        if bounds.spill is None and folder is not None and "max_temp_directory_size" in str(error):
            raise DiskFault.at(folder, "The disk is full") from error
        raise InvalidInput(_sentence(error, name, bounds)) from error
    except duckdb.Error as error:
        raise InvalidInput(explain() if explain else _sentence(error, name, bounds)) from error
    finally:
        con.close()


def refusal(message: str, advice: str) -> InvalidInput:
    """Return the error for SQL that cannot run, in DuckDB's words."""
    words = one_line(" ".join(message.split()), _SHOWN_CHARACTERS)
    return InvalidInput(f"The query cannot be run: {words.rstrip('.!?')}. {advice}")


def quote_sql(text: str) -> str:
    """Write *text* as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Write *name* as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def pattern(path: Path) -> str:
    """Write *path* as an SQL string that matches this file only: DuckDB reads every file name as a pattern."""
    return quote_sql(re.sub(r"([*?\[])", r"[\1]", str(path)))


def parquet_sql(path: Path) -> str:
    """Return the SQL of the rows of a Parquet file."""
    return f"SELECT * FROM read_parquet({pattern(path)}, hive_partitioning = false)"


def _spellings(path: Path) -> tuple[str, str]:
    return quote_sql(str(path)), pattern(path)


def _sentence(error: "duckdb.Error", name: str, bounds: MemoryBounds) -> str:
    """Say in one sentence what DuckDB found, without the rows and paths that it quotes."""
    text = str(error)
    if "Out of Memory" in text:
        return f"{name} needs more than {bounds.memory} of memory to read. Split it into smaller files."
    if "maximum_object_size" in text:
        return f"{name} has a line that is too long to read. Leave out what the prompt does not need."
    if "No magic bytes" in text or "Parquet" in text or "parquet" in text:
        return f"{name} is not a complete Parquet file. Save it again as Parquet, CSV or JSONL."
    return f"{name} cannot be read ({type(error).__name__}). Save it again as CSV (UTF-8), JSONL or Parquet."


def execute(con: "duckdb.DuckDBPyConnection", sql: str, progress: "Progress") -> "duckdb.DuckDBPyConnection":
    """Run a statement and report its progress; stop it when the caller gives up."""
    if not progress.is_told:
        return con.execute(sql)
    # The statement runs in another thread and is watched from this one: only this thread may speak to the client.
    with ThreadPoolExecutor(1) as other:
        running = other.submit(con.execute, sql)
        try:
            while not wait([running], _POLL_SECONDS).done:
                progress.check()
                progress.at(con.query_progress() / 100)
        except BaseException:
            con.interrupt()
            raise
    progress.at(1)
    return running.result()
