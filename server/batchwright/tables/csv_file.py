"""CSV files: header, delimiter and quotes, how DuckDB is to read them, and what is wrong where."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Literal

from batchwright.core.errors import InvalidInput
from batchwright.core.progress import SILENT, Progress
from batchwright.tables.connection import identifier, pattern, quote_sql
from batchwright.tables.csv_records import Records
from batchwright.tables.source import Reading
from batchwright.tables.text_file import TELL, first_bad_line

MAX_LINE_BYTES = 16_000_000

_DELIMITERS = ",;\t|"
_LEAST_LINE_BYTES = 1_000_000
"""Room for a line, however short all are: DuckDB holds several buffers of twice this size."""
_HEADER_BYTES = 1_000_000
_CHUNK_BYTES = 1 << 16
"""Small enough to stay in the processor's cache while it is looked at more than once."""
_ROWS_LOOKED_AT = 200
_LINE_END = re.compile(r"\r\n|\n|\r")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*")
_ADVICE = "Save the file again as CSV (UTF-8)."
_ADVICE_ON_LETTERS = f"Save the file again as CSV (UTF-8), {TELL}."
_ADVICE_ON_NUL = _ADVICE_ON_LETTERS.replace("windows-1251", "utf-16-le")
_ADVICE_ON_HEADER = 'Pass reading={"header": true} if the line holds names, {"header": false} if it is a row.'
_ADVICE_ON_ROW = 'If it is a row, pass reading={"header": false}.'

# Its own limit of 131,072 characters is meant for untrusted streams; a cell may be a whole document.
csv.field_size_limit(2**31 - 1)


class CsvSource:
    """A CSV file in UTF-8 whose first lines are read.

    Every cell is the text that it is: `00123` stays `00123`. A broken line is an error, never skipped.
    Without a header, the columns are `column1`, `column2` and so on. What *how* does not tell is found: the delimiter
    is the one that the first line has most of, or the tab; the quote is `"`, or `'` where that is around each cell of
    the first line; and whether this line is a header is judged by those below it.

    Raises:
        InvalidInput: The header cannot be used, or it is in doubt whether it is one.
    """

    def __init__(self, path: Path, name: str, how: Reading | None = None, *, prefers_tab: bool = False) -> None:
        how = how or Reading()
        self._path = path
        self._name = name
        self._found: list[str] = []
        text = self._start()
        self._quote = self._quote_of(text) if how.quote is None else how.quote
        self._escape = self._quote if how.escape is None else how.escape
        header = self._first_record(text)
        outside = "".join(header.split(self._quote)[::2]) if self._quote else header
        found = "\t" if prefers_tab and "\t" in outside else max(_DELIMITERS, key=outside.count)
        self.delimiter = how.delimiter or found
        cells, *below = self._first_rows(text) or [[]]
        self._has_header = self._is_header(cells, below) if how.has_header is None else how.has_header
        self._is_told = how.has_header is not None
        self.columns = tuple(cells if self._has_header else (f"column{place}" for place in range(1, len(cells) + 1)))
        self._refuse_bad_names()
        if self._has_header:
            self._refuse_unlike_breaks(header, text[len(header) :])
        self._records = Records(self._quote, self._escape)

    def sql(self, progress: Progress = SILENT) -> str:
        """Count the records, and give the SQL that gives its rows."""
        self._records = Records(self._quote, self._escape)
        for block in progress.through(self._chunks(), self._path.stat().st_size):
            self._records.add(block)
        # Quote and escape are fixed: left to itself, DuckDB reads a file with an open quote as if it had no quotes.
        columns = ", ".join(f"{quote_sql(column)}: 'VARCHAR'" for column in self.columns)
        longest = min(max(self._records.longest + 64, _LEAST_LINE_BYTES), MAX_LINE_BYTES)
        return (
            f"SELECT * FROM read_csv({pattern(self._path)}, auto_detect = false, strict_mode = true, "
            f"header = {str(self._has_header).lower()}, delim = {quote_sql(self.delimiter)}, "
            f"quote = {quote_sql(self._quote)}, escape = {quote_sql(self._escape)}, allow_quoted_nulls = false, "
            f"max_line_size = {longest}, buffer_size = {2 * longest}, "
            f"hive_partitioning = false, columns = {{{columns}}}){self._but_blank_lines}"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was found, and what the user should look at."""
        if self._has_header and any(_NUMBER.fullmatch(column) for column in self.columns):
            advice = 'If so, pass reading={"header": false}.'
            said = f"The first line of {self._name} holds numbers, like a row and not like column names. {advice}"
            return (*self._found, said)
        return tuple(self._found)

    def refuse_missing(self, rows: int) -> None:
        """Count the records here too: a reader that stops early must not pass for one that read everything.

        Raises:
            InvalidInput: DuckDB found another number of *rows*.
        """
        counted = self._records.count - self._has_header
        if rows != counted and rows != self._count_by_records():  # the second is much slower
            raise InvalidInput(self.fault())

    def fault(self) -> str:
        """Say what is wrong with the file, and in which line, as an editor counts them."""
        line = 1
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True, **self._dialect)
                for cells in reader:
                    if cells and len(cells) != len(self.columns):
                        return (
                            f"Line {line} of {self._name} has {len(cells)} cells where the {self._first} has "
                            f'{len(self.columns)}. Put text with the delimiter into quotes, like "a, b".'
                            f"{self._on_backslashes}"
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
                    f"Close it, or double the quote marks inside the text.{self._on_backslashes}"
                )
            place = f"Line {line} of {self._name}"
            advice = f"Double the quote marks inside the text.{self._on_backslashes}"
            return f"{place} has a quote inside or after a text. {advice}"
        return f"{self._name} cannot be read whole: its line ends or quotes change on the way. {_ADVICE}"

    @property
    def _on_backslashes(self) -> str:
        """Advice for a file that marks the quotes inside its texts in another way."""
        if not self._quote or self._escape != self._quote:
            return ""
        marked = b"\\" + self._quote.encode()
        has_them = any(marked in chunk for chunk in self._chunks())
        return ' If a backslash marks them, pass reading={"escape": "\\\\"}.' if has_them else ""

    @property
    def _dialect(self) -> dict[str, Any]:
        is_doubled = self._escape == self._quote
        return {
            "delimiter": self.delimiter,
            "quotechar": self._quote or None,
            "quoting": csv.QUOTE_MINIMAL if self._quote else csv.QUOTE_NONE,
            "doublequote": is_doubled,
            "escapechar": None if is_doubled or not self._quote else self._escape,
        }

    @property
    def _but_blank_lines(self) -> str:
        """SQL that leaves out blank lines: where there is one column only, DuckDB takes them for rows."""
        return f" WHERE {identifier(self.columns[0])} IS NOT NULL" if len(self.columns) == 1 else ""

    @property
    def _first(self) -> str:
        return "header" if self._has_header else "first line"

    def _start(self) -> str:
        with self._path.open("rb") as file:
            start = file.read(_HEADER_BYTES)
        if b"\0" in start[:1000]:
            raise InvalidInput(f"{self._name} holds NUL bytes, so it is no plain text in UTF-8. {_ADVICE_ON_NUL}")
        return start.decode("utf-8-sig", errors="replace")

    def _quote_of(self, text: str) -> str:
        line = (_LINE_END.split(text, maxsplit=1) or [""])[0]
        for delimiter in _DELIMITERS:
            if re.fullmatch(f"'[^'\"]*'({re.escape(delimiter)}'[^'\"]*')+", line):
                self._found.append(
                    f"{self._name} has its texts in ' quotes, and was read so. "
                    'If that is wrong, pass reading={"quote": "\\""}.'
                )
                return "'"
        return '"'

    def _first_record(self, text: str) -> str:
        """Return the first line, taking line ends inside quotes as text."""
        is_quoted = is_escaped = False
        for place, character in enumerate(text):
            if is_escaped:
                is_escaped = False
            elif is_quoted and character == self._escape != self._quote:
                is_escaped = True
            elif character == self._quote:
                is_quoted = not is_quoted
            elif character in "\r\n" and not is_quoted:
                return text[:place]
        if is_quoted:
            raise InvalidInput(f"Line 1 of {self._name} opens a quote that is never closed. Close it.")
        return text

    def _first_rows(self, text: str) -> list[list[str]]:
        """Return the first rows that are whole in *text*; what is broken below the first is told later."""
        rows: list[list[str]] = []
        try:
            for cells in islice(csv.reader(io.StringIO(text, newline=""), **self._dialect), _ROWS_LOOKED_AT):
                rows.append(cells)  # noqa: PERF402  # those before a broken one are kept
        except csv.Error:
            pass
        is_cut = len(text.encode()) >= _HEADER_BYTES and len(rows) < _ROWS_LOOKED_AT
        return rows[:-1] if is_cut and len(rows) > 1 else rows

    def _is_header(self, first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
        """Judge whether the first line names the columns.

        Raises:
            InvalidInput: It may, or may not.
        """
        found = verdict(first, [row for row in below if row])
        if found == "doubt":
            raise InvalidInput(
                f"It is in doubt whether the first line of {self._name} names the columns or is a row. "
                f"{_ADVICE_ON_HEADER}"
            )
        if found == "row":
            self._found.append(
                f"The first line of {self._name} is like the rows below it, so it was read as a row, and the columns "
                'are column1 and so on. If it holds names, pass reading={"header": true}.'
            )
        return found == "names"

    def _refuse_bad_names(self) -> None:
        name, columns = self._name, self.columns
        if "\ufffd" in "".join(columns):
            raise InvalidInput(f"Line 1 of {name} is not UTF-8. {_ADVICE_ON_LETTERS}")
        if not any(columns):
            raise InvalidInput(f"Line 1 of {name} is blank, where the {self._first} should be. Remove the line.")
        advice = "" if self._is_told else f" {_ADVICE_ON_ROW}"
        if unnamed := [place for place, column in enumerate(columns, 1) if not column.strip()]:
            raise InvalidInput(
                f"Column {unnamed[0]} of {name} has no name. Give every column a name in the first line.{advice}"
            )
        refuse_same_names(columns, name, advice=advice)

    def _refuse_unlike_breaks(self, header: str, rest: str) -> None:
        """Refuse a header whose names hold other line breaks than the lines: DuckDB takes the first for all."""
        inside, after = _LINE_END.search(header), _LINE_END.match(rest)
        if inside and after and inside[0] != after[0]:
            raise InvalidInput(
                f"A column name of {self._name} holds a line break. Write the names without line breaks."
            )

    def _count_by_records(self) -> int:
        """Count the records below the header as Python's reader sees them."""
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                return sum(1 for cells in csv.reader(file, **self._dialect) if cells) - self._has_header
        except (csv.Error, UnicodeDecodeError):
            return -1

    def _chunks(self) -> Iterator[bytes]:
        with self._path.open("rb", buffering=0) as file:
            yield from iter(lambda: file.read(_CHUNK_BYTES), b"")


def refuse_same_names(columns: tuple[str, ...], name: str, *, advice: str = "") -> None:
    """Refuse two columns of one name: DuckDB tells them apart without regard to case.

    Raises:
        InvalidInput: There are two.
    """
    counts = Counter(column.lower() for column in columns)
    if twice := [column for column in columns if counts[column.lower()] > 1]:
        names = dict.fromkeys(column for column in twice if column.lower() == twice[0].lower())
        raise InvalidInput(
            f"{name} has two columns named {' and '.join(map(repr, names))}. Rename one of them.{advice}"
        )


Verdict = Literal["names", "row", "doubt"]

_VALUE = re.compile(r"\s*[+-]?(\d+([.,]\d+)*|\d{4}-\d\d?-\d\d?([T ][\d:.Z+-]+)?|\d\d?[./]\d\d?[./]\d{2,4})\s*%?\s*")
"""A number or a date: what rows hold, and names hardly are."""
_OFTEN = 2
_YEAR = re.compile(r"(19|20)\d\d")


def verdict(first: Sequence[str], below: Sequence[Sequence[str]]) -> Verdict:
    """Say what the line of the cells *first* is, by some of the rows *below* it.

    A number above numbers, or a text that comes again and again below itself, speaks for a row; a word above numbers
    for names.
    Years, and numbers that count on from one column to the next, may be either.
    """
    for_names = for_row = 0
    for place, cell in enumerate(first):
        cells = [row[place] for row in below if len(row) == len(first) and row[place].strip()]
        if not cells:
            continue
        are_values = all(map(_VALUE.fullmatch, cells))
        if _VALUE.fullmatch(cell):
            for_row += are_values
        elif cell.strip() and are_values:
            for_names += 1
        elif cells.count(cell) >= _OFTEN and len(first) > 1:
            for_row += 1
    if not for_row or list(first) in [list(row) for row in below]:
        return "names"
    return "doubt" if for_names or _count_on(first) or any(map(_YEAR.fullmatch, first)) else "row"


def _count_on(cells: Sequence[str]) -> bool:
    """Whether two neighbours are whole numbers of which one follows the other."""
    numbers = [int(cell) if cell.strip().isdecimal() and cell.isascii() else None for cell in cells]
    pairs = pairwise(numbers)
    return any(a is not None and b is not None and abs(a - b) == 1 and len(cells) > 2 for a, b in pairs)
