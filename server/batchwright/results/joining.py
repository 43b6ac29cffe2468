"""Results as Parquet, one row for each row of a frozen source and in its order, so that both are read side by side.

Only ids, row numbers and file offsets are joined and sorted; the texts are copied once, whatever their size.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

import msgspec

from batchwright.core import files, system
from batchwright.core.model import Json, Outcome, Recipe, Result
from batchwright.tables.connection import WORKING, connection, identifier, parquet_sql, pattern, quote_sql
from batchwright.tables.frozen import CUSTOM_ID, ROW

if TYPE_CHECKING:
    from io import FileIO

    import duckdb

_TYPES = {"string": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"}
_MIN_OBJECT_BYTES = 1 << 24
_ROWS_AT_ONCE = 10_000
_MAX_OPEN = 64
_DID_NOT_RUN: frozenset[Outcome] = frozenset({"never_ran", "expired"})
_encode = msgspec.json.Encoder().encode


def is_embedding(recipe: Recipe) -> bool:
    """Whether the answers are vectors."""
    return recipe.endpoint == "/v1/embeddings"


def properties(recipe: Recipe) -> Mapping[str, Mapping[str, Json]]:
    """Return the properties of the output schema; each becomes a column."""
    return (recipe.output_schema or {}).get("properties", {})


class LineWriter:
    """Writes the results of a part as lines, and an index of them: each line's custom_id, offset, size and rank."""

    def __init__(self, path: Path, part: int, recipe: Recipe) -> None:
        self.longest = 0
        self._part = part
        self._encoded = _encoder(recipe)
        self._start = 0
        self._lines = path.open("wb", buffering=files.CHUNK_BYTES)
        self._index = index_of(path).open("wb", buffering=files.CHUNK_BYTES)

    def add(self, result: Result) -> None:
        """Write a result."""
        line = self._encoded(result)
        self._lines.write(line)
        self._place(result.custom_id, self._start, len(line), _worth(result))
        self._start += len(line)
        self.longest = max(self.longest, len(line))

    def add_missing(self, custom_id: str) -> None:
        """Record that a row of the part has no result."""
        self._place(custom_id, None, None, None)

    def close(self) -> None:
        """Close both files."""
        self._lines.close()
        self._index.close()

    def _place(self, custom_id: str, start: int | None, size: int | None, worth: int | None) -> None:
        place = {"part": self._part, "id": custom_id, "start": start, "size": size, "worth": worth}
        self._index.write(_encode(place) + b"\n")


@dataclass(frozen=True, slots=True)
class PartLines:
    """The results of a part, as `LineWriter` wrote them.

    Attributes:
        longest: Bytes of the longest line.
        missing: Returns the result to show for a row without one, by its custom_id.
        has_gaps: Whether such rows may exist.
    """

    number: int
    path: Path
    longest: int
    missing: Callable[[str], Result]
    has_gaps: bool = True


def index_of(lines: Path) -> Path:
    """Return the index file of some lines."""
    return lines.with_name(f"{lines.name}.index")


def join_results(parts: Sequence[PartLines], path: Path, recipe: Recipe, frozen: Path) -> None:
    """Write the results of *parts* as the Parquet file that `ResultTable` reads, atomically and streaming.

    The columns are `row`, `outcome`, `problem`, `told`, `answer`, and `v0`, `v1` ... for the properties of the schema.
    `problem` holds the words of a problem, `told` its other fields as JSON. A row in no part has only its number.
    Results that belong to no row are left out. If a row has several, the newest answer counts, or if there is none,
    the newest that ran.
    """
    ordered, made = (path.with_name(f"{path.name}.{name}") for name in ("rows", "part"))
    indexes = [index_of(part.path) for part in parts]
    try:
        with connection(files=[frozen, ordered, made, *indexes], folder=path.parent, name="The results") as con:
            with ordered.open("wb", buffering=files.CHUNK_BYTES) as target:
                target.writelines(_in_order(con, parts, recipe, frozen))
            longest = max((part.longest for part in parts), default=0)
            _as_parquet(con, partial(_lines_sql, ordered, longest, recipe), recipe, made)
        files.sync(made)
        system.replace(made, path)
    finally:
        for temporary in (ordered, made):
            temporary.unlink(missing_ok=True)


def _lines_sql(path: Path, longest: int, recipe: Recipe, text_type: str) -> str:
    """Return the SQL of the ordered lines, with texts as *text_type*."""
    columns = {"row": "BIGINT", "outcome": "VARCHAR", "problem": "VARCHAR", "told": "JSON", "text": text_type}
    columns |= {f"v{place}": "JSON" for place in range(len(properties(recipe)))}
    shape = ", ".join(f"{quote_sql(name)}: '{kind}'" for name, kind in columns.items())
    # DuckDB reserves this much, whether a line needs it or not.
    room = max(_MIN_OBJECT_BYTES, longest + 1_000)
    return (
        f"SELECT * FROM read_ndjson({pattern(path)}, maximum_object_size = {room}, hive_partitioning = false, "
        f"columns = {{{shape}}})"
    )


def _encoder(recipe: Recipe) -> Callable[[Result], bytes]:
    """Return the function that encodes a result as a JSON object."""
    names = list(properties(recipe))
    are_vectors = is_embedding(recipe)

    def encoded(result: Result) -> bytes:
        line: dict[str, Json] = {"outcome": result.outcome, "text": result.text}
        if result.problem is not None:
            told = cast("dict[str, Json]", msgspec.to_builtins(result.problem))
            line |= {"problem": told.pop("words"), "told": told}
        if are_vectors and result.text is not None:
            line["text"] = msgspec.Raw(result.text.encode())
        if result.values is not None:
            line |= {f"v{place}": result.values.get(name) for place, name in enumerate(names)}
        return _encode(line)

    return encoded


def _worth(result: Result) -> int:
    """Rank the results of one row: an answer first, then one that ran; an earlier round may have either."""
    return 2 if result.text is not None or result.values is not None else int(result.outcome not in _DID_NOT_RUN)


def _in_order(
    con: "duckdb.DuckDBPyConnection", parts: Sequence[PartLines], recipe: Recipe, frozen: Path
) -> Iterator[bytes]:
    """Yield a line for each row of the source; rows that share an id each get a copy."""
    encoded, missing = _encoder(recipe), {part.number: part.missing for part in parts}
    before = 0
    con.execute(_places_sql(parts, frozen))
    with _PartFiles(parts) as given:
        while batch := con.fetchmany(_ROWS_AT_ONCE):
            for row, part, start, size, custom_id in batch:
                if row == before:  # the result that counts came first
                    continue
                before = row
                if part is None:
                    yield b'{"row":%d}\n' % row
                    continue
                line = encoded(missing[part](custom_id)) if size is None else given.read(part, start, size)
                yield b'{"row":%d,%b\n' % (row, line[1:])


def _places_sql(parts: Sequence[PartLines], frozen: Path) -> str:
    """Return the SQL of where each row's results are, the one that counts first."""
    row, custom_id = identifier(ROW), identifier(CUSTOM_ID)
    if not parts:
        return f"SELECT {row}, NULL, NULL, NULL, NULL FROM ({parquet_sql(frozen)}) ORDER BY 1"
    shape = "columns = {part: 'INTEGER', id: 'VARCHAR', start: 'BIGINT', size: 'INTEGER', worth: 'TINYINT'}"
    indexes = ", ".join(pattern(index_of(part.path)) for part in parts)
    index = f"read_ndjson([{indexes}], hive_partitioning = false, {shape})"
    # The sort holds its columns for a million rows, so ids are included only if needed.
    missing = "CASE WHEN i.size IS NULL THEN i.id END" if any(part.has_gaps for part in parts) else "NULL"
    ran = ", ".join(f"{part.number:d}" for part in parts if _worth(part.missing("")))
    worth = f"coalesce(i.worth, CASE WHEN i.part IN ({ran or 'NULL'}) THEN 1 ELSE 0 END)"
    order = f", {worth} DESC, 2 DESC" if len(parts) > 1 else ""
    return (
        f"SELECT s.{row}, i.part, i.start, i.size, {missing} "
        f"FROM ({parquet_sql(frozen)}) s LEFT JOIN {index} i ON s.{custom_id} = i.id "
        f"ORDER BY 1{order}"
    )


class _PartFiles:
    """Reads the lines of parts at any offset, with a bounded number of open files."""

    def __init__(self, parts: Sequence[PartLines]) -> None:
        self._paths = {part.number: part.path for part in parts}
        self._open: dict[int, FileIO] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for file in self._open.values():
            file.close()

    def read(self, part: int, start: int, size: int) -> bytes:
        """Read from a part's lines."""
        file = self._open.get(part)
        if file is None:
            if len(self._open) == _MAX_OPEN:
                self._open.pop(next(iter(self._open))).close()
            file = self._open[part] = self._paths[part].open("rb", buffering=0)
        file.seek(start)
        return file.read(size)


def _as_parquet(
    con: "duckdb.DuckDBPyConnection", lines_sql: Callable[[str], str], recipe: Recipe, target: Path
) -> None:
    columns = ["row", "outcome", "problem", "told"]
    if is_embedding(recipe):
        _write_vectors(con, lines_sql, columns, target)
        return
    con.execute(f"CREATE VIEW lines AS {lines_sql('VARCHAR')}")
    schemas = list(properties(recipe).values())
    # With a schema, the properties hold everything: the text is kept only if it did not fit.
    columns.append("CASE WHEN outcome <> 'answered' THEN text END AS answer" if schemas else "text AS answer")
    columns += _values(con, schemas)
    _copy(con, f"SELECT {', '.join(columns)} FROM lines", target)


def _write_vectors(
    con: "duckdb.DuckDBPyConnection", lines_sql: Callable[[str], str], columns: Sequence[str], target: Path
) -> None:
    """Write vectors as lists of floats, as lists of these if a request had several inputs, or otherwise as JSON."""
    import duckdb

    for sql_type in ("FLOAT[]", "FLOAT[][]"):
        try:
            _copy(con, f"SELECT {', '.join(columns)}, text AS answer FROM ({lines_sql(sql_type)})", target)
        except (duckdb.InvalidInputException, duckdb.ConversionException):
            continue
        if _are_finite(con, target, sql_type):
            return
    _copy(con, f"SELECT {', '.join(columns)}, CAST(text AS JSON) AS answer FROM ({lines_sql('JSON')})", target)


def _are_finite(con: "duckdb.DuckDBPyConnection", path: Path, sql_type: str) -> bool:
    """Whether every number fits in a float."""
    vector = "flatten(answer)" if sql_type == "FLOAT[][]" else "answer"
    found = con.execute(f"SELECT bool_and(isfinite(list_sum({vector}))) FROM read_parquet({pattern(path)})").fetchone()
    return not found or found[0] is not False


def _copy(con: "duckdb.DuckDBPyConnection", sql: str, target: Path) -> None:
    con.execute(f"COPY ({sql}) TO {quote_sql(str(target))} ({WORKING})")


def _values(con: "duckdb.DuckDBPyConnection", schemas: Sequence[Mapping[str, Json]]) -> list[str]:
    """Return the SQL of each property in its schema's type; a property without a plain type stays JSON.

    One value that the type cannot hold, such as a 23-digit integer, keeps the whole column as JSON.
    """
    types = {f"v{place}": _plain_type(schema) for place, schema in enumerate(schemas)}
    texts = {column: f"{column} ->> '$'" for column in types}
    checks = [
        f"bool_and({_is_kept(texts[column], sql_type)} OR {texts[column]} IS NULL)"
        if sql_type and sql_type != "VARCHAR"
        else "true"
        for column, sql_type in types.items()
    ]
    are_lossless = con.execute(f"SELECT {', '.join(checks)} FROM lines").fetchone() if checks else None
    found = zip(types.items(), are_lossless or (), strict=True)
    return [
        column if sql_type is None or fits is False else f"CAST({texts[column]} AS {sql_type}) AS {column}"
        for (column, sql_type), fits in found
    ]


def _is_kept(text: str, sql_type: str) -> str:
    """Return the SQL of whether a value fits a type; an integer fits only with all its digits."""
    cast = f"TRY_CAST({text} AS {sql_type})"
    if sql_type != "DOUBLE":
        return f"{cast} IS NOT NULL"
    whole = f"TRY_CAST({text} AS HUGEINT)"
    is_whole = f"regexp_full_match({text}, '-?[0-9]+')"
    return (
        f"CASE WHEN {is_whole} THEN coalesce(TRY_CAST({cast} AS HUGEINT) = {whole}, false) ELSE {cast} IS NOT NULL END"
    )


def _plain_type(schema: Mapping[str, Json]) -> str | None:
    """Return the SQL type of the values that *schema* allows, apart from null."""
    if "anyOf" in schema:
        kinds = {_plain_type(part) for part in schema["anyOf"] if part != {"type": "null"}}
        return kinds.pop() if len(kinds) == 1 else None
    kind = schema.get("type")
    names = cast("list[str]", kind) if isinstance(kind, list) else [str(kind)]
    plain = [name for name in names if name != "null"]
    if kind is not None:
        return _TYPES.get(plain[0]) if len(plain) == 1 else None
    values = schema.get("enum", [schema["const"]] if "const" in schema else [0])
    return "VARCHAR" if all(isinstance(value, str) for value in values if value is not None) else None
