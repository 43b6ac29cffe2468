"""Sources opened for reading, and inline rows written to a file that can be read as a source."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from batchwright.core.errors import InvalidInput
from batchwright.core.model import Json
from batchwright.core.progress import Progress
from batchwright.tables.query import run
from batchwright.tables.reading import Scan, Table, read, scan, scan_of
from batchwright.tables.source import Origin


def write_rows(rows: Sequence[Mapping[str, Json]], path: Path) -> None:
    """Write inline rows as a JSONL file; absent keys become null, so that all rows have all columns.

    Raises:
        InvalidInput: The rows are empty, or a text is not valid Unicode.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        raise InvalidInput('The rows are empty. Give each as an object, like {"id": 1, "text": "..."}.')
    try:
        lines = [msgspec.json.encode({column: row.get(column) for column in columns}) for row in rows]
    except (UnicodeEncodeError, TypeError, ValueError) as error:
        raise InvalidInput("A row holds a character that is not valid Unicode. Leave it out.") from error
    path.write_bytes(b"\n".join(lines) + b"\n")


def open_scan(origin: Origin, folder: Path, progress: Progress) -> Scan:
    """Open the rows of *origin* to be read once, using *folder*, which is empty."""
    if origin.query is None:
        return scan(next(iter(origin.tables.values())), folder / "0", progress)
    return scan_of(open_table(origin, folder, progress))


def open_table(origin: Origin, folder: Path, progress: Progress) -> Table:
    """Read all of *origin*, using *folder*, which is empty."""
    of_query = 0 if origin.query is None else 0.4
    tables: dict[str, Table] = {}
    for number, (name, named) in enumerate(origin.tables.items()):
        begin, end = ((1 - of_query) * count / len(origin.tables) for count in (number, number + 1))
        tables[name] = read(named, folder / str(number), progress.stage(begin, end))
    if origin.query is None:
        return next(iter(tables.values()))
    running = progress.stage(1 - of_query, 1, "Running the query")
    return run(origin.query, tables, folder / "query.parquet", running, seconds=origin.bounds.query_seconds)
