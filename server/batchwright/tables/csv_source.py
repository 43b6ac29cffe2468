"""CSV files: header and delimiter, how DuckDB is to read them, and what is wrong where."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from batchwright.errors import InvalidInput
from batchwright.tables.connection import pattern, quoted
from batchwright.tables.plain_text import TELL, first_bad_line

MAX_LINE_BYTES = 16_000_000

_DELIMITERS = ",;\t|"
_LEAST_LINE_BYTES = 1_000_000
"""Room for a line, however short all are: DuckDB holds several buffers of twice this size."""
_HEADER_BYTES = 1_000_000
_CHUNK_BYTES = 1 << 18
_LINE_END = re.compile(r"\r\n|\n|\r")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*")
_ADVICE = "Save the file again as CSV (UTF-8)."
_ADVICE_ON_LETTERS = f"Save the file again as CSV (UTF-8), {TELL}."
_ADVICE_ON_NUL = _ADVICE_ON_LETTERS.replace("windows-1251", "utf-16-le")

# Its own limit of 131,072 characters is meant for untrusted streams; a cell may be a whole document.
csv.field_size_limit(2**31 - 1)


class _Records(NamedTuple):
    """How many records there are, and the bytes of the longest, header and quotes included."""

    records: int
    longest: int


class CsvSource:
    """A CSV file in UTF-8 whose first line is read.

    Every cell is the text that it is: `00123` stays `00123`. A broken line is an error, never skipped.
    Without a header, the columns are `column1`, `column2` and so on. Where the delimiter is not told, it is the one
    that the header has most of, or the tab.

    Raises:
        InvalidInput: The header cannot be used.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        *,
        delimiter: str | None = None,
        prefers_tab: bool = False,
        has_header: bool = True,
    ) -> None:
        self._path = path
        self._name = name
        self._has_header = has_header
        text = self._start()
        header = self._first_record(text)
        outside = "".join(header.split('"')[::2])
        found = "\t" if prefers_tab and "\t" in outside else max(_DELIMITERS, key=outside.count)
        self.delimiter = delimiter or found
        cells = tuple(next(csv.reader(io.StringIO(header), delimiter=self.delimiter), ()))
        self.columns = cells if has_header else tuple(f"column{place}" for place in range(1, len(cells) + 1))
        self._refuse_bad_names()
        if has_header:
            self._refuse_unlike_breaks(header, text[len(header) :])

    @property
    def sql(self) -> str:
        """The SQL that gives its rows."""
        # Quote and escape are fixed: left to itself, DuckDB reads a file with an open quote as if it had no quotes.
        columns = ", ".join(f"{quoted(column)}: 'VARCHAR'" for column in self.columns)
        longest = min(max(self._by_quotes.longest + 64, _LEAST_LINE_BYTES), MAX_LINE_BYTES)
        return (
            f"SELECT * FROM read_csv({pattern(self._path)}, auto_detect = false, strict_mode = true, "
            f"header = {str(self._has_header).lower()}, "
            f"delim = {quoted(self.delimiter)}, quote = '\"', escape = '\"', allow_quoted_nulls = false, "
            f"max_line_size = {longest}, buffer_size = {2 * longest}, "
            f"hive_partitioning = false, columns = {{{columns}}})"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should look at."""
        if self._has_header and any(_NUMBER.fullmatch(column) for column in self.columns):
            advice = 'If so, pass reading={"header": false}.'
            return (f"The first line of {self._name} holds numbers, like a row and not like column names. {advice}",)
        return ()

    def refuse_missing(self, rows: int) -> None:
        """Count the records here too: a reader that stops early must not pass for one that read everything.

        Raises:
            InvalidInput: DuckDB found another number of *rows*.
        """
        if rows != self._by_quotes.records and rows != self._counted_by_records():  # the second is much slower
            raise InvalidInput(self.fault())

    def fault(self) -> str:
        """Say what is wrong with the file, and in which line, as an editor counts them."""
        line = 1
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, delimiter=self.delimiter, strict=True)
                for cells in reader:
                    if cells and len(cells) != len(self.columns):
                        return (
                            f"Line {line} of {self._name} has {len(cells)} cells where the {self._first} has "
                            f'{len(self.columns)}. Put text with the delimiter into quotes, like "a, b".'
                        )
                    if sum(map(len, cells)) > MAX_LINE_BYTES // 2:
                        return f"Line {line} of {self._name} is longer than can be read. Leave out what is not needed."
                    line = reader.line_num + 1
        except UnicodeDecodeError:
            return f"Line {first_bad_line(self._path)} of {self._name} is not UTF-8. {_ADVICE_ON_LETTERS}"
        except csv.Error as error:
            if "unexpected end" in str(error):
                return (
                    f"Line {line} of {self._name} opens a quote that is never closed. "
                    "Close it, or double the quote marks inside the text."
                )
            place = f"Line {line} of {self._name}"
            return f"{place} has a quote inside or after a text. Double the quote marks inside the text."
        return f"{self._name} cannot be read whole: its line ends or quotes change on the way. {_ADVICE}"

    @property
    def _first(self) -> str:
        return "header" if self._has_header else "first line"

    def _start(self) -> str:
        with self._path.open("rb") as file:
            start = file.read(_HEADER_BYTES)
        if b"\0" in start[:1000]:
            raise InvalidInput(f"{self._name} holds NUL bytes, so it is no plain text in UTF-8. {_ADVICE_ON_NUL}")
        return start.decode("utf-8-sig", errors="replace")

    def _first_record(self, text: str) -> str:
        """Give the first line, taking line ends inside quotes as text."""
        is_quoted = False
        for place, character in enumerate(text):
            if character == '"':
                is_quoted = not is_quoted
            elif character in "\r\n" and not is_quoted:
                return text[:place]
        if is_quoted:
            raise InvalidInput(f"Line 1 of {self._name} opens a quote that is never closed. Close it.")
        return text

    def _refuse_bad_names(self) -> None:
        name, columns = self._name, self.columns
        if "\ufffd" in "".join(columns):
            raise InvalidInput(f"Line 1 of {name} is not UTF-8. {_ADVICE_ON_LETTERS}")
        if not any(columns):
            raise InvalidInput(f"Line 1 of {name} is blank, where the {self._first} should be. Remove the line.")
        if unnamed := [place for place, column in enumerate(columns, 1) if not column.strip()]:
            raise InvalidInput(
                f"Column {unnamed[0]} of {name} has no name. Give every column a name in the first line."
            )
        refuse_same_names(columns, name)

    def _refuse_unlike_breaks(self, header: str, rest: str) -> None:
        """Refuse a header whose names hold other line breaks than the lines: DuckDB takes the first for all."""
        inside, after = _LINE_END.search(header), _LINE_END.match(rest)
        if inside and after and inside[0] != after[0]:
            raise InvalidInput(
                f"A column name of {self._name} holds a line break. Write the names without line breaks."
            )

    @cached_property
    def _by_quotes(self) -> _Records:
        """Count the records below the header, fast; wrong where quotes stand inside unquoted text."""
        records, length, longest, is_quoted = 0, 0, 0, False
        for text in self._chunks():
            for place, piece in enumerate(text.split(b'"')):
                if place:
                    is_quoted, length = not is_quoted, length + 1
                if is_quoted:
                    length += len(piece)
                    continue
                first, *others = map(len, piece.replace(b"\r", b"\n").split(b"\n"))
                length += first
                if others:
                    *whole, last = others
                    records += (length > 0) + sum(map(bool, whole))
                    longest = max(longest, length, *whole)
                    length = last
        return _Records(records + (length > 0) - self._has_header, max(longest, length))

    def _counted_by_records(self) -> int:
        """Count the records below the header as Python's reader sees them."""
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                return sum(1 for cells in csv.reader(file, delimiter=self.delimiter) if cells) - self._has_header
        except (csv.Error, UnicodeDecodeError):
            return -1

    def _chunks(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            yield from iter(lambda: file.read(_CHUNK_BYTES), b"")


def refuse_same_names(columns: tuple[str, ...], name: str) -> None:
    """Refuse two columns of one name: DuckDB tells them apart without regard to case.

    Raises:
        InvalidInput: There are two.
    """
    counts = Counter(column.lower() for column in columns)
    if twice := [column for column in columns if counts[column.lower()] > 1]:
        names = dict.fromkeys(column for column in twice if column.lower() == twice[0].lower())
        raise InvalidInput(f"{name} has two columns named {' and '.join(map(repr, names))}. Rename one of them.")
