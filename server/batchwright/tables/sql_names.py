"""The tables that SQL names, found before it runs: it may read these and do nothing else. Reads none of them."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

from batchwright.core.errors import InvalidInput
from batchwright.tables.connection import connection, refusal

if TYPE_CHECKING:
    from batchwright.core.model import Json

FIX_SQL = "Fix the SQL, which is DuckDB's dialect."
_ADVICE = "Name files in quotes, as FROM 'tickets.csv'."

_QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "CTE_NODE", "RECURSIVE_CTE_NODE"})
_TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree", "repeat"})
_REFUSED_FUNCTIONS = frozenset(
    {"current_setting", "getenv", "error", "getvariable", "query", "query_table", "write_log"}
)


def table_names(sql: str, *, advice: str = _ADVICE) -> list[str]:
    """Return the names of the tables that a query reads, in its order; *advice* says which tables there are.

    Raises:
        InvalidInput: It is not one query, or it reads or does something else.
    """
    with connection() as con:
        found = con.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    try:
        tree: dict[str, Json] = json.loads(found[0]) if found else {}
        if tree.get("error_type") == "not implemented":
            raise InvalidInput("This SQL is not a SELECT. Give one SELECT, which only reads.")
        if tree.get("error"):
            raise refusal(str(tree.get("error_message")), FIX_SQL)
        if len(tree["statements"]) != 1:
            raise InvalidInput("The SQL has several statements. Give one SELECT.")
        names = dict.fromkeys(_tables(tree["statements"][0], frozenset(), advice))
    except RecursionError as error:
        raise InvalidInput("The query is nested too deep. Write it more simply.") from error
    by_case: dict[str, str] = {}
    for name in names:
        if by_case.setdefault(name.lower(), name) != name:
            raise InvalidInput(
                f"{name!r} and {by_case[name.lower()]!r} differ only in case. Write the name one way, or rename a file."
            )
    return list(names)


def _tables(node: "Json", known: frozenset[str], advice: str) -> Iterator[str]:
    """Yield the tables read under a node of the syntax tree; *known* are the names that WITH defines there."""
    if not isinstance(node, dict):
        for item in cast("list[Json]", node) if isinstance(node, list) else ():
            yield from _tables(item, known, advice)
        return
    fields = cast("dict[str, Json]", node)
    kind = str(fields.get("type", ""))
    if kind.endswith("_NODE") and kind not in _QUERY_NODES:
        raise InvalidInput("The query would change something. Give one SELECT, which only reads.")
    _refuse_function(fields, advice)
    if kind == "BASE_TABLE":
        *schema, name = [str(fields[step]) for step in ("catalog_name", "schema_name", "table_name") if fields[step]]
        if schema:
            raise InvalidInput(f"There is no table {'.'.join([*schema, name])[:80]}. {advice}")
        if name.lower() not in known:
            yield name
    for item in fields.get("cte_map", {}).get("map", ()):
        # It sees the names before it, and not itself: there its name is that of a table.
        yield from _tables(item["value"], known, advice)
        known |= {str(item["key"]).lower()}
    itself = {str(fields["cte_name"]).lower()} if "cte_name" in fields else frozenset[str]()
    for key, value in fields.items():
        if key != "cte_map":
            # Only the second half of a recursive query sees itself.
            yield from _tables(value, known if key == "left" else known | itself, advice)


def _refuse_function(fields: "Mapping[str, Json]", advice: str) -> None:
    if fields.get("type") == "TABLE_FUNCTION":
        function = str(fields["function"].get("function_name", ""))
        is_refused = function.lower() not in _TABLE_FUNCTIONS
    else:
        function = str(fields.get("function_name", "")).lower()
        is_refused = function in _REFUSED_FUNCTIONS
    if is_refused:
        raise InvalidInput(f"{function[:40]} is not available in queries here. {advice}")
