"""A DuckDB that reaches the named files and nothing else, and its errors as sentences."""

import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from batchwright.errors import InvalidInput

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "512MB"
MAX_CSV_LINE_BYTES = 16_000_000


@contextmanager
def connection(
    *, files: Sequence[Path] = (), folder: Path | None = None, name: str = "the file"
) -> "Generator[duckdb.DuckDBPyConnection]":
    """Open a DuckDB in memory that reaches only *files* and what lies in *folder*; *name* is the user's data in errors.

    Raises:
        InvalidInput: What is run in it fails on the data.
    """
    import duckdb

    con = duckdb.connect(":memory:")
    try:
        con.execute(f"SET allowed_paths = [{', '.join(quoted(str(file)) for file in files)}]")
        if folder is not None:
            con.execute(f"SET allowed_directories = [{quoted(str(folder))}]")
            con.execute(f"SET temp_directory = {quoted(str(folder / 'spill'))}")
        con.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        # One thread was as fast as two, keeps the rows in order and the memory low.
        con.execute("SET threads = 1")
        con.execute("SET autoinstall_known_extensions = false")
        con.execute("SET enable_external_access = false")
        con.execute("SET lock_configuration = true")
        yield con
    except duckdb.Error as error:
        raise InvalidInput(_sentence(error, name)) from error
    finally:
        con.close()


def quoted(text: str) -> str:
    """Write *text* as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Write *name* as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


_LINE = re.compile(r"CSV Error on Line: (\d+)")
_CELLS = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_JSON = re.compile(r'(?:Malformed JSON|JSON transform error) in file ".*?", (?:at byte (\d+) )?in line (\d+): (.*)')


def _sentence(error: "duckdb.Error", name: str) -> str:
    """Say in one sentence what DuckDB found; the rows that it quotes are left out."""
    text = str(error)
    if line := _LINE.search(text):
        return _csv_sentence(text, f"Line {line[1]} of {name}")
    if found := _JSON.search(text):
        reason = re.sub(r"Object \{.*\} has", "the object has", found[3]).rstrip(" .")
        return f"Line {found[2]} of {name} is not valid JSON: {reason[:120]}. Mend that line."
    if "state machine reached an invalid state" in text:
        return f"{name} is not a regular CSV: its line ends or quotes change on the way. Save it again as CSV (UTF-8)."
    if "Out of Memory" in text:
        return f"{name} needs more than {MEMORY_LIMIT} of memory to be read. Split it into smaller files."
    first = text.splitlines()[0].removeprefix("Invalid Input Error: ")
    return f"{name} cannot be read: {first[:200]}. Check the file."


def _csv_sentence(text: str, place: str) -> str:
    if "unterminated quote" in text:
        return f"{place} opens a quote that is never closed. Close it, or double the quote marks inside the text."
    if cells := _CELLS.search(text):
        return (
            f"{place} has {cells[2]} cells where the header has {cells[1]}. "
            'Put text with commas into quotes, like "a, b".'
        )
    if "unicode" in text.lower():
        return f"{place} is not UTF-8. Save the file again as CSV (UTF-8)."
    if "Maximum line size" in text:
        return f"{place} is longer than {MAX_CSV_LINE_BYTES:,} bytes. Is a quote left open before it?"
    return f"{place} is not valid CSV: a quote stands inside or after a text. Double the quote marks inside the text."
