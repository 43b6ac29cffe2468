"""JSONL files: every line is looked at first, so that DuckDB has nothing left to guess."""

import codecs
import json
import re
from collections.abc import Iterator
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
    """A JSONL file whose lines were all read once.

    A column whose values are of one plain type gets that type, if nothing is lost by it; others stay JSON, digit for
    digit. *unit* is what a line stands for in the user's file, for errors.

    Raises:
        InvalidInput: A line is no JSON object, or the objects have no keys.
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
                    self._look_at(text, number)
        self.columns = tuple(self._kinds)
        if not self.columns:
            raise InvalidInput(f"{name} has no rows: no line holds an object with keys. Give a file with data.")
        if not all(column.strip() for column in self.columns):
            raise InvalidInput(f"{name} has a column without a name: an empty key. Give every key a name.")
        refuse_same_names(self.columns, name)

    def sql(self, con: "duckdb.DuckDBPyConnection", progress: Progress = SILENT) -> str:
        """Return the SQL of its rows, in *con*."""
        raw = ", ".join(f"{quote_sql(column)}: 'JSON'" for column in self.columns)
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

    def _look_at(self, line: bytes, number: int) -> None:
        if len(line) > MAX_LINE_BYTES:
            raise InvalidInput(
                f"{self._unit} {number} of {self._name} is longer than {MAX_LINE_BYTES:,} bytes. "
                "Leave out what is not needed."
            )
        self._longest = max(self._longest, len(line))
        try:
            value = msgspec.json.decode(line)
            key = duplicate_key(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise InvalidInput(
                f"{self._unit} {number} of {self._name} is not valid JSON: {_reason(error)}. Mend that line."
            ) from error
        if not isinstance(value, dict):
            raise InvalidInput(
                f"{self._unit} {number} of {self._name} is not a JSON object. Write each row as an object, like "
                '{"id": 1, "text": "a text"}.'
            )
        if key is not None:
            raise InvalidInput(
                f"{self._unit} {number} of {self._name} has the duplicate key {key!r}. Leave one of them."
            )
        for column, cell in cast("Mapping[str, Json]", value).items():
            self._kinds.setdefault(column, set()).add(_kind(cell))


def _kind(value: "Json") -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer" if value in _INT64 else "long"
        case float():
            return "number"
        case str():
            return "string"
        case _:
            return "nested"


def _sql_type(kinds: set[str]) -> str | None:
    """Return the type that holds all of *kinds*; None where only JSON does."""
    match sorted(kinds - {"null"}):
        case [] | ["string"]:
            return "VARCHAR"
        case ["integer"]:
            return "BIGINT"
        case ["number"] | ["integer", "number"]:
            return "DOUBLE"
        case ["boolean"]:
            return "BOOLEAN"
        case _:
            return None


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(error).removeprefix("JSON is malformed: ").split(" - at ")[0].rstrip(".")[:120]


_CHUNK_BYTES = 1 << 20
_SPACE = re.compile(r"[ \t\r\n]*")
_SHOWN_KEYS = 5


def _refuse_constant(constant: str) -> Never:
    raise ValueError(f"{constant} is no number of JSON")


# Only the ends of values are looked for: what they are is looked at when the lines are read.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)


class JsonRows:
    """The objects of the array that a JSON file is or holds.

    Attributes:
        warnings: Filled while the rows are read: what stands beside the array.
    """

    def __init__(self, path: Path, name: str, progress: Progress = SILENT) -> None:
        self.warnings: tuple[str, ...] = ()
        self._name = name
        self._text = _Text(path, name, progress)

    def lines(self) -> Iterator[bytes]:
        """Give each object as one line, digit for digit.

        Raises:
            InvalidInput: The file is broken, or is or holds no array of objects.
        """
        text = self._text
        if text.peek() == "[":
            yield from self._array()
        elif text.peek() == "{":
            yield from self._held()
        else:
            raise InvalidInput(f"{self._name} is no JSON with rows. Give an array of objects, like [{{...}}, {{...}}].")
        if text.peek():
            raise InvalidInput(
                f"Line {text.line} of {self._name} goes on after the end of the JSON. If there is one object a line, "
                "name it .jsonl."
            )

    def _array(self) -> Iterator[bytes]:
        text = self._text
        text.take("[")
        if text.peek() == "]":
            text.take("]")
            return
        while True:
            # In valid JSON, bare line ends stand only between values.
            yield text.value().replace("\r", " ").replace("\n", " ").encode()
            if text.peek() == "]":
                text.take("]")
                return
            text.take(",")

    def _held(self) -> Iterator[bytes]:
        """Yield the objects of the one array of objects that the object holds."""
        text, found, beside = self._text, "", list[str]()
        text.take("{")
        while text.peek() != "}":
            key = json.loads(text.value()) if text.peek() == '"' else text.refuse("a key has no quotes")
            text.take(":")
            if text.peek() == "[" and text.peek(1) == "{":
                if found:
                    raise InvalidInput(
                        f"{self._name} holds several arrays of objects, {found!r} and {key!r}. Save the one that is "
                        "wanted as a file of its own."
                    )
                found = str(key)[:60]
                yield from self._array()
            else:
                text.value()
                beside.append(str(key)[:60])
            if text.peek() != "}":
                text.take(",")
        text.take("}")
        if not found and not text.peek():
            raise InvalidInput(f"{self._name} holds no array of objects. Give one, like [{{...}}, {{...}}].")
        if beside:
            more = f" and {len(beside) - _SHOWN_KEYS} more" if len(beside) > _SHOWN_KEYS else ""
            keys = ", ".join(map(repr, beside[:_SHOWN_KEYS]))
            self.warnings = (f"The rows are those of {found!r} in {self._name}; left out is {keys}{more}.",)


class _Text:
    """A JSON text that is read from its beginning to its end, as much at a time as one value needs."""

    def __init__(self, path: Path, name: str, progress: Progress) -> None:
        self.line = 1
        self._name = name
        self._path = path
        self._progress = progress
        self._chunks = self._read()
        self._text = ""
        self._place = 0
        self._is_whole = False

    def peek(self, after: int = 0) -> str:
        """Return the character of the next token, or of one after it where both are brackets; at the end none."""
        place = self._place
        for _ in range(after + 1):
            while (place := _end_of_space(self._text, place)) == len(self._text) and not self._is_whole:
                place -= self._more()
            place += 1
        if after == 0:
            self._move(place - 1)
        return self._text[place - 1 : place]

    def take(self, token: str) -> None:
        """Go past *token*.

        Raises:
            InvalidInput: Something else comes.
        """
        if self.peek() != token:
            self.refuse(f"{token!r} is missing")
        self._move(self._place + 1)

    def value(self) -> str:
        """Return the text of the next value, and go past it.

        Raises:
            InvalidInput: It is none, or longer than a row may be.
        """
        self.peek()
        while True:
            try:
                _, end = _DECODER.raw_decode(self._text, self._place)
            except RecursionError:
                self.refuse("it is nested too deep")
            except ValueError as error:
                reason, at = (error.msg, error.pos) if isinstance(error, json.JSONDecodeError) else (str(error), 0)
                if self._is_whole or not isinstance(error, json.JSONDecodeError):
                    self._move(max(at, self._place))
                    self.refuse(reason)
            else:
                # A number may go on in the next chunk.
                if end < len(self._text) or self._is_whole:
                    value = self._text[self._place : end]
                    self._move(end)
                    return value
            self._more()

    def refuse(self, reason: str) -> Never:
        """Say what is wrong, and where."""
        raise InvalidInput(f"Line {self.line} of {self._name} is not valid JSON: {reason}. Mend that line.")

    def _move(self, place: int) -> None:
        self.line += self._text.count("\n", self._place, place)
        self._place = place

    def _more(self) -> int:
        """Read on, and say how many characters before the place were dropped.

        What is read for a long value grows each time, so that the work stays linear.
        """
        rest, dropped = self._text[self._place :], self._place
        if len(rest) > MAX_LINE_BYTES:
            self.refuse(f"no value ends within {MAX_LINE_BYTES:,} characters")
        parts = [rest]
        wanted = max(_CHUNK_BYTES, len(rest))
        while wanted > 0 and (chunk := next(self._chunks, None)) is not None:
            parts.append(chunk)
            wanted -= len(chunk)
        self._is_whole = wanted > 0
        self._text, self._place = "".join(parts), 0
        return dropped

    def _read(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        with self._path.open("rb") as file:
            try:
                chunks = iter(lambda: file.read(_CHUNK_BYTES), b"")
                for chunk in self._progress.through(chunks, self._path.stat().st_size):
                    yield decoder.decode(chunk)
                yield decoder.decode(b"", final=True)
            except UnicodeDecodeError as error:
                raise InvalidInput(f"{self._name} is not UTF-8. Save it again as UTF-8.") from error


def _end_of_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place
