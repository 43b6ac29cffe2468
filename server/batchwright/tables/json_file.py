"""JSONL files: every line is looked at first, so that DuckDB has nothing left to guess."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from batchwright.core.errors import InvalidInput
from batchwright.core.jsonl import duplicate_key
from batchwright.core.progress import SILENT, Progress
from batchwright.tables.connection import identifier, pattern, quoted
from batchwright.tables.csv_file import refuse_same_names
from batchwright.tables.watching import execute

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
        """Give the SQL of its rows, in *con*."""
        raw = ", ".join(f"{quoted(column)}: 'JSON'" for column in self.columns)
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
    """Give the type that holds all of *kinds*; None where only JSON does."""
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
