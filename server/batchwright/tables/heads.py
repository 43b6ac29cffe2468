"""The columns of a source, where they can be told without reading much of it."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from batchwright.errors import InvalidInput
from batchwright.tables.cells import types_of
from batchwright.tables.connection import connection, pattern
from batchwright.tables.csv_source import CsvSource
from batchwright.tables.origin import DataFile, Origin
from batchwright.tables.reading import read

MAX_READ_BYTES = 2_000_000
"""A file that has to be read whole for its columns is read up to this size."""


def columns(origin: Origin, folder: Path) -> tuple[str, ...] | None:
    """Give the columns of *origin*, using *folder*; None: they are not told so soon.

    Raises:
        InvalidInput: The file is broken or empty.
        MissingExtra: What reads its kind is not installed.
    """
    file = next((files[0] for files in origin.tables.values()), None)
    if file is None or origin.query is not None or file.is_gzipped:
        return None
    if file.kind == "parquet":
        with connection(files=[file.path], name=file.name) as con:
            return tuple(types_of(con, f"SELECT * FROM read_parquet({pattern(file.path)}, hive_partitioning = false)"))
    if file.kind == "csv":
        # A header in another encoding than UTF-8 is refused here: then the file is looked at as a whole.
        with suppress(InvalidInput):
            return _header(file)
    if file.path.stat().st_size > MAX_READ_BYTES:
        return None
    with TemporaryDirectory(prefix="reading-", dir=folder) as temporary:
        return read([file], Path(temporary) / "file").columns


def _header(file: DataFile) -> tuple[str, ...]:
    wants_tab = ".tsv" in {suffix.lower() for suffix in file.path.suffixes[-2:]}
    return CsvSource(file.path, file.name, file.reading, prefers_tab=wants_tab).columns
