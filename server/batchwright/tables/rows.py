"""Tables opened for reading, and rows written as a file that can be read as one."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from batchwright.core.errors import InvalidInput
from batchwright.core.model import Json
from batchwright.core.progress import Progress
from batchwright.tables.query import run
from batchwright.tables.reading import Scan, Table, read, scan, scan_of
from batchwright.tables.source import Origin

ROWS_AT_ONCE = 200


def write_rows(rows: Sequence[Mapping[str, Json]], path: Path) -> None:
    """Write rows that were given inline as a JSONL file; absent keys become null, so that all rows have all columns.

    Raises:
        InvalidInput: A row is empty, or a text is not valid Unicode.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        raise InvalidInput('The rows are empty. Give each as an object, like {"id": 1, "text": "..."}.')
    try:
        lines = [msgspec.json.encode({column: row.get(column) for column in columns}) for row in rows]
    except (UnicodeEncodeError, TypeError, ValueError) as error:
        raise InvalidInput("A row holds a character that is not valid Unicode. Leave it out.") from error
    path.write_bytes(b"\n".join(lines) + b"\n")


@contextmanager
def open_table(origin: Origin, folder: Path, progress: Progress) -> Generator[Table]:
    """Read all that *origin* names; what was written for it in *folder* is gone afterwards."""
    with TemporaryDirectory(prefix="reading-", dir=folder) as temporary:
        yield _table(origin, Path(temporary), progress)


@contextmanager
def open_scan(origin: Origin, folder: Path, progress: Progress) -> Generator[Scan]:
    """Give the rows that *origin* names, to be read once; what was written for it in *folder* is gone afterwards."""
    with TemporaryDirectory(prefix="reading-", dir=folder) as temporary:
        place = Path(temporary)
        if origin.query is None:
            yield scan(next(iter(origin.tables.values())), place / "0", progress)
        else:
            yield scan_of(_table(origin, place, progress), origin.name)


def _table(origin: Origin, place: Path, progress: Progress) -> Table:
    of_query = 0 if origin.query is None else 0.4
    tables: dict[str, Table] = {}
    for number, (name, named) in enumerate(origin.tables.items()):
        begin, end = ((1 - of_query) * count / len(origin.tables) for count in (number, number + 1))
        tables[name] = read(named, place / str(number), progress.stage(begin, end))
    if origin.query is None:
        return next(iter(tables.values()))
    return run(origin.query, tables, place / "query.parquet", progress.stage(1 - of_query, 1, "Running the query"))
