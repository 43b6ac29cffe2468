"""The columns of a source, where they can be told without reading much of it."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from batchwright.core.errors import InvalidInput
from batchwright.tables.cells import types_of
from batchwright.tables.connection import connection, pattern
from batchwright.tables.csv_file import CsvSource
from batchwright.tables.reading import own_copy, read
from batchwright.tables.source import DataFile, Origin

MAX_READ_BYTES = 2_000_000
"""A file that has to be read whole for its columns is read up to this size."""
MAX_PARQUET_BYTES = 100_000_000
"""A Parquet file, of which only the end is read, is copied up to this size."""


def columns(origin: Origin, folder: Path) -> tuple[str, ...] | None:
    """Return the columns of *origin*, using *folder*; None: they are not told so soon.

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
            return _in_parquet(start) if is_whole else None
        if file.kind == "csv":
            # A header in another encoding than UTF-8 is refused here: then the file is looked at as a whole.
            with suppress(InvalidInput):
                return _header(start)
        return read([start], Path(temporary) / "file").columns if is_whole else None


def _in_parquet(file: DataFile) -> tuple[str, ...]:
    with connection(files=[file.path], name=file.name) as con:
        return tuple(types_of(con, f"SELECT * FROM read_parquet({pattern(file.path)}, hive_partitioning = false)"))


def _header(file: DataFile) -> tuple[str, ...]:
    wants_tab = ".tsv" in {suffix.lower() for suffix in file.path.suffixes[-2:]}
    return CsvSource(file.path, file.name, file.reading, prefers_tab=wants_tab).columns
