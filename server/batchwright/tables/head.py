"""The columns of a source, if reading a little of it is enough to tell."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from batchwright.core.errors import InvalidInput
from batchwright.tables.cells import types_of
from batchwright.tables.connection import connection, parquet_sql
from batchwright.tables.csv_file import CsvSource
from batchwright.tables.reading import own_copy, read
from batchwright.tables.source import Origin

MAX_READ_BYTES = 2_000_000
"""A file that must be read whole to find its columns is read up to this size."""
MAX_PARQUET_BYTES = 100_000_000
"""A Parquet file, of which only the end is read, is copied up to this size."""


def columns(origin: Origin, folder: Path) -> tuple[str, ...] | None:
    """Return the columns of *origin*, using *folder*; None: finding them would take too long.

    Raises:
        InvalidInput: The file is broken or empty.
    """
    file = next((files[0] for files in origin.tables.values()), None)
    if file is None or origin.query is not None or file.is_gzipped:
        return None
    most = MAX_PARQUET_BYTES if file.kind == "parquet" else MAX_READ_BYTES
    with TemporaryDirectory(prefix="reading-", dir=folder) as temporary:
        start = own_copy(file, Path(temporary) / "start", most=most + 1)
        is_whole = start.path.stat().st_size <= most
        if file.kind == "parquet":
            if not is_whole:
                return None
            with connection(files=[start.path], name=start.name) as con:
                return tuple(types_of(con, parquet_sql(start.path)))
        if file.kind == "csv":
            # A header that is not UTF-8 is refused here; then the file is read whole.
            with suppress(InvalidInput):
                return CsvSource(start, start.path).columns
        return read([start], Path(temporary) / "file").columns if is_whole else None
