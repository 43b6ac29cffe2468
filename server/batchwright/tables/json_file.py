"""JSON and JSONL files: every line is checked first, so that DuckDB has nothing to guess.

The array of a JSON file is split by our own code, because no library keeps every promise: `ijson`'s C backend crashes
on integers of more than 4,300 digits and turns half a surrogate pair into `?` in silence, its Python backend is five
times slower, `json-stream` rounds numbers and accepts NaN, and DuckDB reads an object around the array whole.
"""

import json
import re
from collections import deque
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never, cast

import msgspec

from batchwright.core.errors import InvalidInput
from batchwright.core.jsonl import duplicate_key
from batchwright.core.progress import SILENT, Progress
from batchwright.tables.connection import execute, identifier, pattern, quote_sql
from batchwright.tables.csv_file import refuse_same_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from batchwright.core.model import Json


MAX_LINE_BYTES = 32_000_000
_MIN_OBJECT_BYTES = 1 << 24
_INT64 = range(-(2**63), 2**63)


class JsonlSource:
    """A JSONL file, of which every line was read once.

    A column whose values all have one plain type gets that type if this loses nothing; other columns stay JSON, digit
    for digit. *unit* is what a line stands for in the user's file, for errors.

    Raises:
        InvalidInput: A line is not a JSON object, or the objects have no keys.
    """

    def __init__(self, path: Path, name: str, *, unit: str = "Line", progress: Progress = SILENT) -> None:
        self._path = path
        self._name = name
        self._unit = unit
        self._kinds: dict[str, set[str]] = {}
        self._longest = 0
        with path.open("rb") as file:
            for number, line in enumerate(progress.through(file, path.stat().st_size), 1):
                if text := line.strip().removeprefix(b"\xef\xbb\xbf"):
                    self._check(text, number)
        if not self._kinds:
            raise InvalidInput(f"{name} has no rows: no line holds an object with keys. Choose a file with data.")
        if not all(column.strip() for column in self._kinds):
            raise InvalidInput(f"{name} has a column without a name: an empty key. Give every key a name.")
        refuse_same_names(tuple(self._kinds), name)

    def sql(self, con: "duckdb.DuckDBPyConnection", progress: Progress = SILENT) -> str:
        """Return the SQL of its rows, in *con*."""
        raw = ", ".join(f"{quote_sql(column)}: 'JSON'" for column in self._kinds)
        size = max(_MIN_OBJECT_BYTES, 2 * self._longest)
        source = (
            f"read_ndjson({pattern(self._path)}, columns = {{{raw}}}, maximum_object_size = {size}, "
            "hive_partitioning = false)"
        )
        types = {column: _sql_type(kinds) for column, kinds in self._kinds.items()}
        if doubles := [column for column, kind in types.items() if kind == "DOUBLE"]:
            exact = ", ".join(
                f"coalesce(bool_and(CAST(TRY_CAST({c} ->> '$' AS DOUBLE) AS VARCHAR) = ({c} ->> '$')), true)"
                for c in map(identifier, doubles)
            )
            found = execute(con, f"SELECT {exact} FROM {source}", progress)
            facts: tuple[Any, ...] = found.fetchone() or ()
            types |= {column: None for column, is_exact in zip(doubles, facts, strict=True) if not is_exact}
        cells = [
            f"CAST({identifier(column)} ->> '$' AS {kind}) AS {identifier(column)}" if kind else identifier(column)
            for column, kind in types.items()
        ]
        return f"SELECT {', '.join(cells)} FROM {source}"

    def _check(self, line: bytes, number: int) -> None:
        place = f"{self._unit} {number} of {self._name}"
        if len(line) > MAX_LINE_BYTES:
            raise InvalidInput(f"{place} is longer than {MAX_LINE_BYTES:,} bytes. Leave out what is not needed.")
        self._longest = max(self._longest, len(line))
        try:
            value = msgspec.json.decode(line)
            key = duplicate_key(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise InvalidInput(f"{place} is not valid JSON: {_reason(error)}. Fix that line.") from error
        if not isinstance(value, dict):
            raise InvalidInput(
                f'{place} is not a JSON object. Write each row as an object, like {{"id": 1, "text": "a text"}}.'
            )
        if key is not None:
            raise InvalidInput(f"{place} has the duplicate key {key!r}. Remove one of them.")
        for column, cell in cast("Mapping[str, Json]", value).items():
            is_long = type(cell) is int and cell not in _INT64
            self._kinds.setdefault(column, set()).add("long" if is_long else type(cell).__name__)


def _sql_type(kinds: set[str]) -> str | None:
    """Return the type that holds values of all these Python types; None: only JSON does."""
    match sorted(kinds - {"NoneType"}):
        case [] | ["str"]:
            return "VARCHAR"
        case ["int"]:
            return "BIGINT"
        case ["float"] | ["float", "int"]:
            return "DOUBLE"
        case ["bool"]:
            return "BOOLEAN"
        case _:
            return None


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(error).removeprefix("JSON is malformed: ").split(" - at ")[0].rstrip(".")[:120]


_CHUNK_CHARACTERS = 1 << 20
_NOT_SPACE = re.compile(r"[^ \t\r\n]")
_SHOWN_KEYS = 5
_ADVICE = "Give an array of objects, like [{...}, {...}]."


def _refuse_constant(constant: str) -> Never:
    raise ValueError(f"{constant} is not a JSON number")


# It only finds where values end: the values themselves are checked when the lines are read.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)


class JsonRows:
    """The objects of the array that a JSON file is or holds, read only as much at a time as one value needs.

    Attributes:
        warnings: Filled while the rows are read: what stands beside the array.
    """

    def __init__(self, path: Path, name: str, progress: Progress = SILENT) -> None:
        self.warnings: tuple[str, ...] = ()
        self._name = name
        self._progress = progress
        self._path = path
        self._size_bytes = path.stat().st_size
        self._text = ""
        self._place = 0
        self._line = 1
        self._is_whole = False

    def lines(self) -> Iterator[bytes]:
        """Yield each object as one line, digit for digit; once.

        Raises:
            InvalidInput: The file is broken, or neither is nor holds an array of objects.
        """
        with (
            self._path.open("rb") as self._raw,
            TextIOWrapper(self._raw, encoding="utf-8-sig", newline="") as self._file,
        ):
            if self._takes("["):
                yield from self._elements()
            elif self._takes("{"):
                yield from self._held()
            else:
                raise InvalidInput(f"{self._name} is JSON without rows. {_ADVICE}")
            if self._peek():
                raise InvalidInput(
                    f"Line {self._line} of {self._name} continues after the end of the JSON. "
                    "If each line is an object, name the file .jsonl."
                )

    def _held(self) -> Iterator[bytes]:
        """Yield the objects of the one array of objects that the object holds."""
        found, beside = "", list[str]()
        for key in self._keys():
            is_array = self._takes("[")
            if is_array and self._peek() == "{":
                if found:
                    raise InvalidInput(
                        f"{self._name} holds several arrays of objects, {found!r} and {key!r}. "
                        "Save the one you want as a file of its own."
                    )
                found = key
                yield from self._elements()
                continue
            beside.append(key)
            if is_array:
                deque(self._elements(), maxlen=0)
            else:
                self._value()
        if not found and not self._peek():
            raise InvalidInput(f"{self._name} holds no array of objects. {_ADVICE}")
        if beside:
            more = f" and {len(beside) - _SHOWN_KEYS} more" if len(beside) > _SHOWN_KEYS else ""
            keys = ", ".join(map(repr, beside[:_SHOWN_KEYS]))
            self.warnings = (f"The rows of {self._name} are those of {found!r}; {keys}{more} were left out.",)

    def _elements(self) -> Iterator[bytes]:
        """Yield each element of the array that was entered, as one line, and leave the array."""
        is_empty = self._takes("]")
        while not is_empty:
            # In valid JSON, bare line ends stand only between values.
            yield self._value().replace("\r", " ").replace("\n", " ").encode()
            if self._takes("]"):
                return
            self._take(",")

    def _keys(self) -> Iterator[str]:
        """Yield each key of the object that was entered, before its value is taken, and leave the object."""
        is_empty = self._takes("}")
        while not is_empty:
            if self._peek() != '"':
                self._refuse("a key has no quotes")
            key = json.loads(self._value())
            self._take(":")
            yield str(key)[:60]
            if self._takes("}"):
                return
            self._take(",")

    def _value(self) -> str:
        """Take the next value, and return its text."""
        self._peek()
        while True:
            try:
                _, end = _DECODER.raw_decode(self._text, self._place)
            except RecursionError:
                self._refuse("it is nested too deep")
            except json.JSONDecodeError as error:
                if self._is_whole:
                    self._move(error.pos)
                    self._refuse(error.msg)
            except ValueError as error:
                self._refuse(str(error))
            else:
                # A number may continue in the next chunk.
                if end < len(self._text) or self._is_whole:
                    value = self._text[self._place : end]
                    self._move(end)
                    return value
            self._read_on()

    def _peek(self) -> str:
        """Skip space and return the next character; at the end, an empty text."""
        while True:
            found = _NOT_SPACE.search(self._text, self._place)
            self._move(found.start() if found else len(self._text))
            if found or self._is_whole:
                return self._text[self._place : self._place + 1]
            self._read_on()

    def _takes(self, token: str) -> bool:
        """Take *token* if it comes next, and return whether it did."""
        if is_next := self._peek() == token:
            self._move(self._place + 1)
        return is_next

    def _take(self, token: str) -> None:
        if not self._takes(token):
            self._refuse(f"{token!r} is missing")

    def _refuse(self, reason: str) -> Never:
        raise InvalidInput(f"Line {self._line} of {self._name} is not valid JSON: {reason}. Fix that line.")

    def _move(self, place: int) -> None:
        self._line += self._text.count("\n", self._place, place)
        self._place = place

    def _read_on(self) -> None:
        """Read the next chunk, the longer the longer the value is, so that the work stays linear."""
        rest = self._text[self._place :]
        if len(rest) > MAX_LINE_BYTES:
            self._refuse(f"no value ends within {MAX_LINE_BYTES:,} characters")
        wanted = max(_CHUNK_CHARACTERS, len(rest))
        try:
            chunk = self._file.read(wanted)
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{self._name} is not UTF-8. Save it again as UTF-8.") from error
        self._is_whole = len(chunk) < wanted
        self._text, self._place = rest + chunk, 0
        self._progress.at(self._raw.tell() / self._size_bytes)
