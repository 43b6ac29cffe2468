"""Cells of any DuckDB type as JSON values: numbers, texts, booleans, lists and objects, or null."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from batchwright.core.model import Json
from batchwright.tables.connection import identifier

if TYPE_CHECKING:
    import duckdb

INTEGERS = frozenset(f"{sign}{size}" for sign in ("", "U") for size in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT"))
FRACTIONS = frozenset({"DOUBLE", "FLOAT"})
PLAIN = INTEGERS | FRACTIONS | {"VARCHAR", "BOOLEAN"}
"""Types that Python has too."""
_FLOATS = frozenset({"FLOAT[]", "FLOAT[][]"})


def types_of(con: "duckdb.DuckDBPyConnection", relation: str) -> dict[str, str]:
    """Return the type of each column of a table, a view or a query."""
    return {str(row[0]): str(row[1]) for row in con.execute(f"DESCRIBE {relation}").fetchall()}


def cell_sql(column: str, sql_type: str) -> str:
    """Return the SQL that fetches a column for `reader`; dates, decimals and the like are fetched as text."""
    name = identifier(column)
    if sql_type == "FLOAT":
        return float_sql(name)
    if sql_type in PLAIN or sql_type == "JSON":
        return name
    return json_sql(name, sql_type) if is_nested(sql_type) else f"CAST({name} AS VARCHAR)"


def float_sql(column: str) -> str:
    """Return the SQL of a column of floats, given as SQL, as the doubles that are written alike: 0.1 as 0.1."""
    return f"CAST(CAST({column} AS VARCHAR) AS DOUBLE)"


def json_sql(column: str, sql_type: str) -> str:
    """Return the SQL of a column, given as SQL, as JSON text; it may hold values that JSON lacks, such as NaN."""
    if sql_type == "JSON":
        return f"CAST({column} AS VARCHAR)"
    if sql_type not in _FLOATS:
        return f"CAST(to_json({column}) AS VARCHAR)"
    # Written as floats, not as the doubles next to them.
    flat = f"flatten({column})" if sql_type == "FLOAT[][]" else column
    is_plain = f"isfinite(list_sum({flat})) AND list_count({flat}) = len({flat})"
    return f"CASE WHEN {is_plain} THEN CAST({column} AS VARCHAR) ELSE CAST(to_json({column}) AS VARCHAR) END"


def reader(types: Mapping[str, str]) -> Callable[[Sequence[Json]], Mapping[str, Json]]:
    """Return the function that turns a fetched row into JSON values by column, given the columns' SQL types."""
    if all(sql_type == "VARCHAR" for sql_type in types.values()):
        # Nearly all data is text, and there is much of it.
        return lambda row: dict(zip(types, row, strict=True))
    decoders = [_decode if sql_type == "JSON" or is_nested(sql_type) else _finite for sql_type in types.values()]
    return lambda row: {name: decode(cell) for name, decode, cell in zip(types, decoders, row, strict=True)}


def is_nested(sql_type: str) -> bool:
    """Whether a type holds lists or objects; JSON may hold anything."""
    return sql_type.endswith("]") or sql_type.startswith(("STRUCT", "MAP", "UNION"))


def _decode(cell: str | None) -> Json:
    if cell is None:
        return None
    try:
        return msgspec.json.decode(cell)
    except msgspec.DecodeError:
        return cell  # it holds what JSON lacks, such as NaN


def _finite(cell: Json) -> Json:
    return str(cell) if isinstance(cell, float) and not math.isfinite(cell) else cell
