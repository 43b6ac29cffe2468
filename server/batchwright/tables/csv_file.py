"""CSV files: header, delimiter and quotes, how DuckDB must read them, and what is wrong in which line."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from batchwright.core.errors import InvalidInput
from batchwright.core.progress import SILENT, Progress
from batchwright.tables.connection import identifier, pattern, quote_sql
from batchwright.tables.csv_records import Records
from batchwright.tables.text_file import TELL, chunks, first_bad_line

if TYPE_CHECKING:
    from batchwright.tables.source import DataFile

MAX_LINE_BYTES = 16_000_000

_DELIMITERS = ",;\t|"
_LEAST_LINE_BYTES = 1_000_000
"""Room for a line, however short all are: DuckDB holds several buffers of twice this size."""
_HEADER_BYTES = 1_000_000
_ROWS_JUDGED = 200
_LINE_END = re.compile(r"\r\n|\n|\r")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*")
_ADVICE_ON_LETTERS = f"Save the file again as CSV (UTF-8), {TELL}."
_ADVICE_ON_NUL = _ADVICE_ON_LETTERS.replace("windows-1251", "utf-16-le")
_ADVICE_ON_HEADER = 'Pass reading={"header": true} if it names the columns, {"header": false} if it is a row.'
_ADVICE_ON_ROW = 'If it is a row, pass reading={"header": false}.'

# The default limit of 131,072 characters is meant for untrusted streams; a cell may be a whole document.
csv.field_size_limit(2**31 - 1)


class CsvSource:
    """A CSV file, rewritten as UTF-8 in *path*, whose first lines are read.

    Every cell stays the text that it is: `00123` stays `00123`. A broken line is an error, never skipped.
    Without a header, the columns are `column1`, `column2` and so on. What the file's `Reading` leaves open is found:
    the delimiter is the one that the first line has most of, or the tab in a .tsv file; the quote is `"`, or `'` if it
    is around each cell of the first line; and whether this line is a header is judged by the lines below it.

    Raises:
        InvalidInput: The header cannot be used, or it is unclear whether it is one.
    """

    def __init__(self, file: "DataFile", path: Path) -> None:
        how = file.reading
        self._path = path
        self._name = file.name
        self._warnings: list[str] = []
        text = self._start()
        self._quote = self._find_quote(text) if how.quote is None else how.quote
        self._escape = self._quote if how.escape is None else how.escape
        header = self._first_record(text)
        outside = "".join(header.split(self._quote)[::2]) if self._quote else header
        prefers_tab = ".tsv" in {suffix.lower() for suffix in file.path.suffixes[-2:]} and "\t" in outside
        self.delimiter = how.delimiter or ("\t" if prefers_tab else max(_DELIMITERS, key=outside.count))
        cells, *below = self._first_rows(text) or [[]]
        self._has_header = self._is_header(cells, below) if how.has_header is None else how.has_header
        self._first = "header" if self._has_header else "first line"
        self.columns = tuple(cells if self._has_header else (f"column{place}" for place in range(1, len(cells) + 1)))
        self._refuse_bad_names(advice="" if how.has_header is not None else f" {_ADVICE_ON_ROW}")
        if self._has_header:
            self._refuse_other_breaks(header, text[len(header) :])
        self._records = Records(self._quote)

    def sql(self, progress: Progress = SILENT) -> str:
        """Count the records, and return the SQL of the rows."""
        self._records = Records(self._quote)
        for block in progress.through(chunks(self._path), self._path.stat().st_size):
            self._records.add(block)
        # Quote and escape are fixed: left to itself, DuckDB reads a file with an open quote as if it had no quotes.
        columns = ", ".join(f"{quote_sql(column)}: 'VARCHAR'" for column in self.columns)
        longest = min(max(self._records.longest + 64, _LEAST_LINE_BYTES), MAX_LINE_BYTES)
        if self._escape != self._quote:
            longest = MAX_LINE_BYTES  # escaped quotes lead the quick count astray
        # In a file of one column, DuckDB takes blank lines for rows.
        but_blank = f" WHERE {identifier(self.columns[0])} IS NOT NULL" if len(self.columns) == 1 else ""
        return (
            f"SELECT * FROM read_csv({pattern(self._path)}, auto_detect = false, strict_mode = true, "
            f"header = {str(self._has_header).lower()}, delim = {quote_sql(self.delimiter)}, "
            f"quote = {quote_sql(self._quote)}, escape = {quote_sql(self._escape)}, allow_quoted_nulls = false, "
            f"max_line_size = {longest}, buffer_size = {2 * longest}, "
            f"hive_partitioning = false, columns = {{{columns}}}){but_blank}"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was assumed, and what the user should check."""
        if self._has_header and any(_NUMBER.fullmatch(column) for column in self.columns):
            return (*self._warnings, f"The first line of {self._name} holds numbers, as rows do. {_ADVICE_ON_ROW}")
        return tuple(self._warnings)

    def refuse_missing(self, rows: int) -> None:
        """Compare DuckDB's number of *rows* with our own: a reader that stops early must not go unnoticed.

        Raises:
            InvalidInput: They differ.
        """
        if rows != self._records.count - self._has_header and (fault := self.fault(rows)):
            raise InvalidInput(fault)

    def fault(self, rows: int | None = None) -> str:
        """Say what is wrong, and in which line, as an editor counts lines; nothing if the file has *rows* good rows."""
        line, found = 1, -self._has_header
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True, **self._dialect)
                for cells in reader:
                    found += bool(cells)
                    if cells and len(cells) != len(self.columns):
                        number = f"{len(cells)} cell{'s' if len(cells) > 1 else ''}"
                        return (
                            f"Line {line} of {self._name} has {number}, but the {self._first} has {len(self.columns)}. "
                            f'Put text with the delimiter into quotes, like "a, b".{self._on_backslashes}'
                        )
                    if sum(map(len, cells)) > MAX_LINE_BYTES // 2:
                        return f"Line {line} of {self._name} is too long to read. Leave out what is not needed."
                    line = reader.line_num + 1
        except UnicodeDecodeError:
            return f"Line {first_bad_line(self._path)} of {self._name} is not UTF-8. {_ADVICE_ON_LETTERS}"
        except csv.Error as error:
            if "unexpected end" in str(error):
                return (
                    f"Line {line} of {self._name} opens a quote that is never closed. "
                    f"Close it, or double the quote marks inside the text.{self._on_backslashes}"
                )
            fact = f"Line {line} of {self._name} has a quote inside or after a text."
            return f"{fact} Double the quote marks inside the text.{self._on_backslashes}"
        fact = f"{self._name} cannot be read whole: its line ends or quotes change partway."
        return "" if found == rows else f"{fact} Save the file again as CSV (UTF-8)."

    @property
    def _on_backslashes(self) -> str:
        """Advice for a file whose texts may have a backslash before each quote."""
        if not self._quote or self._escape != self._quote:
            return ""
        marked = b"\\" + self._quote.encode()
        has_them = any(marked in chunk for chunk in chunks(self._path))
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

    def _start(self) -> str:
        with self._path.open("rb") as file:
            start = file.read(_HEADER_BYTES)
        if b"\0" in start[:1000]:
            raise InvalidInput(f"{self._name} holds NUL bytes, so it is not plain text in UTF-8. {_ADVICE_ON_NUL}")
        return start.decode("utf-8-sig", errors="replace")

    def _find_quote(self, text: str) -> str:
        line = (_LINE_END.split(text, maxsplit=1) or [""])[0]
        for delimiter in _DELIMITERS:
            if re.fullmatch(f"'[^'\"]*'({re.escape(delimiter)}'[^'\"]*')+", line):
                advice = 'If that is wrong, pass reading={"quote": "\\""}.'
                self._warnings.append(f"The texts of {self._name} were read as being in ' quotes. {advice}")
                return "'"
        return '"'

    def _first_record(self, text: str) -> str:
        """Return the first line; a line end inside quotes does not end it."""
        quote, escape = re.escape(self._quote), re.escape(self._escape)
        inside = f"[^{quote}]*" if escape == quote else f"(?:[^{quote}{escape}]|{escape}.)*"
        quoted = f"|{quote}{inside}{quote}" if quote else ""
        found = re.match(f"(?:[^{quote}\r\n]{quoted})*", text, re.DOTALL)
        header = found[0] if found else ""
        if quote and text.startswith(self._quote, len(header)):
            raise InvalidInput(f"Line 1 of {self._name} opens a quote that is never closed. Close it.")
        return header

    def _first_rows(self, text: str) -> list[list[str]]:
        """Return the first rows that are whole in *text*; a broken row below the first is reported later."""
        rows: list[list[str]] = []
        try:
            for cells in islice(csv.reader(io.StringIO(text, newline=""), **self._dialect), _ROWS_JUDGED):
                rows.append(cells)  # noqa: PERF402  # those before a broken one are kept
        except csv.Error:
            pass
        is_cut = len(text.encode()) >= _HEADER_BYTES and len(rows) < _ROWS_JUDGED
        return rows[:-1] if is_cut and len(rows) > 1 else rows

    def _is_header(self, first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
        """Judge whether the first line names the columns.

        Raises:
            InvalidInput: That is unclear.
        """
        found = verdict(first, [row for row in below if row])
        if found == "doubt":
            raise InvalidInput(
                f"The first line of {self._name} may be column names or a row: the lines below do not tell. "
                f"{_ADVICE_ON_HEADER}"
            )
        if found == "row":
            self._warnings.append(
                f"The first line of {self._name} looks like the rows below it, so it was read as a row, and the "
                'columns are column1 and so on. If it names the columns, pass reading={"header": true}.'
            )
        return found == "names"

    def _refuse_bad_names(self, *, advice: str) -> None:
        name, columns = self._name, self.columns
        if "\ufffd" in "".join(columns):
            raise InvalidInput(f"Line 1 of {name} is not UTF-8. {_ADVICE_ON_LETTERS}")
        if not any(columns):
            raise InvalidInput(f"Line 1 of {name} is blank, but should be the {self._first}. Remove the line.")
        if unnamed := [place for place, column in enumerate(columns, 1) if not column.strip()]:
            raise InvalidInput(
                f"Column {unnamed[0]} of {name} has no name. Name every column in the first line.{advice}"
            )
        refuse_same_names(columns, name, advice=advice)

    def _refuse_other_breaks(self, header: str, rest: str) -> None:
        """Refuse names with other line breaks than those between the lines: DuckDB expects one kind everywhere."""
        inside, after = _LINE_END.search(header), _LINE_END.match(rest)
        if inside and after and inside[0] != after[0]:
            raise InvalidInput(f"A column name of {self._name} holds a line break. Write it without line breaks.")


def refuse_same_names(columns: tuple[str, ...], name: str, *, advice: str = "") -> None:
    """Refuse two columns of one name: DuckDB ignores their case.

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
"""A number or a date: what rows hold, and names hardly ever do."""
_OFTEN = 2
_YEAR = re.compile(r"(19|20)\d\d")


def verdict(first: Sequence[str], below: Sequence[Sequence[str]]) -> Verdict:
    """Judge the cells of the *first* line by some of the rows *below* it.

    A number above numbers, or a text that recurs below itself, suggests a row; a word above numbers suggests names.
    Years, and numbers that count up from one column to the next, may be either.
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
    return "doubt" if for_names or _counts_up(first) or any(map(_YEAR.fullmatch, first)) else "row"


def _counts_up(cells: Sequence[str]) -> bool:
    """Whether two neighbours of at least three cells are whole numbers that follow each other."""
    numbers = [int(cell) if cell.strip().isdecimal() and cell.isascii() else None for cell in cells]
    pairs = pairwise(numbers)
    return any(a is not None and b is not None and abs(a - b) == 1 and len(cells) > 2 for a, b in pairs)
