"""Results as Parquet, one line for each row of a frozen source and in its order, so that both can be read side by side.

Only ids, row numbers and places in a file are joined and sorted; the texts are copied once, whatever their size.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from batchwright.core import files
from batchwright.core.model import Json, Recipe, Result
from batchwright.tables.connection import WORKING, connection, identifier, pattern, quoted
from batchwright.tables.frozen import CUSTOM_ID, ROW, frozen_sql

if TYPE_CHECKING:
    from io import FileIO

    import duckdb

_TYPES = {"string": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"}
_MIN_OBJECT_BYTES = 1 << 24
_ROWS_AT_ONCE = 10_000
_encode = msgspec.json.Encoder().encode


def is_embedding(recipe: Recipe) -> bool:
    """Whether the answers are vectors."""
    return recipe.endpoint == "/v1/embeddings"


def properties(recipe: Recipe) -> Mapping[str, Mapping[str, Json]]:
    """Give the properties of the output schema, each of which has a column of its own."""
    return (recipe.output_schema or {}).get("properties", {})


def write_results(results: Iterable[Result], path: Path, recipe: Recipe, frozen: Path) -> None:
    """Write *results* as the Parquet file that `ResultTable` reads, whole or not at all, streaming.

    Its columns are `row`, `outcome`, `problem`, `told`, `answer`, and `v0`, `v1` ... for the properties of the schema.
    `problem` has the words of a problem, `told` what is known beside them, in JSON. A row without a result has only its
    number. Results that belong to no row are left out.
    """
    lines, index, ordered, part = (path.with_name(f"{path.name}.{name}") for name in ("lines", "index", "rows", "part"))
    try:
        longest = _write_lines(results, lines, index, recipe)
        with connection(files=[frozen, index, ordered, part], folder=path.parent, name="The results") as con:
            _put_in_order(con, lines, index, ordered, frozen)
            _as_parquet(con, _Lines(ordered, longest, recipe), part)
        files.sync(part)
        part.replace(path)
    finally:
        for temporary in (lines, index, ordered, part):
            temporary.unlink(missing_ok=True)


class _Lines:
    """How DuckDB reads the ordered lines."""

    def __init__(self, path: Path, longest: int, recipe: Recipe) -> None:
        self.recipe = recipe
        self._path = path
        # DuckDB takes as much room as a line may need, whether it is needed or not.
        self._room = max(_MIN_OBJECT_BYTES, longest + 1_000)

    def sql(self, text_type: str = "VARCHAR") -> str:
        """Give the SQL of the lines, with texts as *text_type*."""
        columns = {"row": "BIGINT", "outcome": "VARCHAR", "problem": "VARCHAR", "told": "JSON", "text": text_type}
        columns |= {f"v{place}": "JSON" for place in range(len(properties(self.recipe)))}
        shape = ", ".join(f"{quoted(name)}: '{kind}'" for name, kind in columns.items())
        return (
            f"SELECT * FROM read_ndjson({pattern(self._path)}, maximum_object_size = {self._room}, "
            f"hive_partitioning = false, columns = {{{shape}}})"
        )


def _write_lines(results: Iterable[Result], lines: Path, index: Path, recipe: Recipe) -> int:
    """Write each result as a JSON line, and whose it is and where it lies to *index*; gives the longest line's size."""
    names = list(properties(recipe))
    are_vectors = is_embedding(recipe)
    longest = start = 0
    with lines.open("wb") as file, index.open("wb") as places:
        for result in results:
            line: dict[str, Json] = {"outcome": result.outcome, "text": result.text}
            if result.problem is not None:
                told = cast("dict[str, Json]", msgspec.to_builtins(result.problem))
                line |= {"problem": told.pop("words"), "told": told}
            if are_vectors and result.text is not None:
                line["text"] = msgspec.Raw(result.text.encode())
            if result.values is not None:
                line |= {f"v{place}": result.values.get(name) for place, name in enumerate(names)}
            encoded = _encode(line)
            file.write(encoded)
            places.write(_encode({"id": result.custom_id, "start": start, "size": len(encoded)}) + b"\n")
            start += len(encoded)
            longest = max(longest, len(encoded))
    return longest


def _put_in_order(con: "duckdb.DuckDBPyConnection", lines: Path, index: Path, ordered: Path, frozen: Path) -> None:
    """Copy the lines to *ordered*, one for each row of the source; rows that share an id each get their own copy."""
    shape = "columns = {id: 'VARCHAR', start: 'BIGINT', size: 'BIGINT'}"
    row, custom_id = identifier(ROW), identifier(CUSTOM_ID)
    with lines.open("rb", buffering=0) as given, ordered.open("wb") as target:
        con.execute(
            f"SELECT s.{row}, i.start, i.size FROM ({frozen_sql(frozen)}) s LEFT JOIN read_ndjson({pattern(index)}, "
            f"hive_partitioning = false, {shape}) i ON s.{custom_id} = i.id ORDER BY 1"
        )
        while batch := con.fetchmany(_ROWS_AT_ONCE):
            target.writelines(_line(given, number, start, size) for number, start, size in batch)


def _line(given: "FileIO", number: int, start: int | None, size: int) -> bytes:
    if start is None:
        return b'{"row":%d}\n' % number
    given.seek(start + 1)
    return b'{"row":%d,%b\n' % (number, given.read(size - 1))


def _as_parquet(con: "duckdb.DuckDBPyConnection", lines: _Lines, target: Path) -> None:
    con.execute(f"CREATE VIEW lines AS {lines.sql()}")
    columns = ["row", "outcome", "problem", "told"]
    if is_embedding(lines.recipe):
        _write_vectors(con, lines, columns, target)
        return
    schemas = list(properties(lines.recipe).values())
    # With a schema, the properties say it all: the text itself is kept only where it did not fit.
    columns.append("CASE WHEN outcome <> 'answered' THEN text END AS answer" if schemas else "text AS answer")
    columns += _values(con, schemas)
    _copy(con, f"SELECT {', '.join(columns)} FROM lines", target)


def _write_vectors(con: "duckdb.DuckDBPyConnection", lines: _Lines, columns: Sequence[str], target: Path) -> None:
    """Write vectors as lists of floats, or as lists of such where a request had several inputs; else as JSON."""
    import duckdb

    for sql_type in ("FLOAT[]", "FLOAT[][]"):
        try:
            _copy(con, f"SELECT {', '.join(columns)}, text AS answer FROM ({lines.sql(sql_type)})", target)
        except (duckdb.InvalidInputException, duckdb.ConversionException):
            continue
        if _are_finite(con, target, sql_type):
            return
    _copy(con, f"SELECT {', '.join(columns)}, CAST(text AS JSON) AS answer FROM ({lines.sql('JSON')})", target)


def _are_finite(con: "duckdb.DuckDBPyConnection", path: Path, sql_type: str) -> bool:
    """Whether every number had room in a float."""
    vector = "flatten(answer)" if sql_type == "FLOAT[][]" else "answer"
    found = con.execute(f"SELECT bool_and(isfinite(list_sum({vector}))) FROM read_parquet({pattern(path)})").fetchone()
    return not found or found[0] is not False


def _copy(con: "duckdb.DuckDBPyConnection", sql: str, target: Path) -> None:
    con.execute(f"COPY ({sql}) TO {quoted(str(target))} ({WORKING})")


def _values(con: "duckdb.DuckDBPyConnection", schemas: Sequence[Mapping[str, Json]]) -> list[str]:
    """Give the SQL of each property in the type that its schema gives it; what has no plain type stays JSON.

    One value that the type cannot hold, such as a whole number of 23 digits, leaves the whole column as JSON.
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
    """Give the SQL of whether a value fits a type; a whole number does only with all its digits."""
    cast = f"TRY_CAST({text} AS {sql_type})"
    if sql_type != "DOUBLE":
        return f"{cast} IS NOT NULL"
    whole = f"TRY_CAST({text} AS HUGEINT)"
    is_whole = f"regexp_full_match({text}, '-?[0-9]+')"
    return (
        f"CASE WHEN {is_whole} THEN coalesce(TRY_CAST({cast} AS HUGEINT) = {whole}, false) ELSE {cast} IS NOT NULL END"
    )


def _plain_type(schema: Mapping[str, Json]) -> str | None:
    """Give the SQL type of the values that *schema* allows, beside null."""
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
