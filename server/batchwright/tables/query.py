"""SQL over the user's files: what it names is found out first, and it reaches nothing else."""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from batchwright.errors import InvalidInput
from batchwright.tables.cells import types_of
from batchwright.tables.connection import MEMORY_LIMIT, WORKING, connection, identifier, quoted
from batchwright.tables.reading import Table, few, parquet_table
from batchwright.untrusted import cleaned

if TYPE_CHECKING:
    from collections.abc import Generator

    import duckdb

    from batchwright.model import Json

MAX_SECONDS = 120.0
MAX_SPILL = "20GB"
_SHOWN_CHARACTERS = 400
_ADVICE = "Name files in quotes, as FROM 'tickets.csv'."

_QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "CTE_NODE", "RECURSIVE_CTE_NODE"})
_TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree", "repeat"})
_REFUSED_FUNCTIONS = frozenset(
    {"current_setting", "getenv", "error", "getvariable", "query", "query_table", "write_log"}
)
_QUOTED = re.compile(r"""['"].*['"]""", re.DOTALL)
_IN_BRACKETS = re.compile(r"\(.*\)", re.DOTALL)
_PLACE = re.compile(r"\n+LINE \d+:.*", re.DOTALL)


def table_names(sql: str) -> list[str]:
    """Give the names of the files that a query reads, in its order.

    Raises:
        InvalidInput: It is not one query, or reads or does something else.
    """
    with connection() as con:
        found = con.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    try:
        tree: dict[str, Json] = json.loads(found[0]) if found else {}
        if tree.get("error_type") == "not implemented":
            raise InvalidInput("The source is SQL, and no SELECT. Give one SELECT, which only reads.")
        if tree.get("error"):
            raise InvalidInput(_refusal(str(tree.get("error_message"))))
        if len(tree["statements"]) != 1:
            raise InvalidInput("The source is several statements. Give one SELECT.")
        names = dict.fromkeys(_tables(tree["statements"][0], frozenset()))
    except RecursionError as error:
        raise InvalidInput("The query is nested too deep. Write it more simply.") from error
    by_case: dict[str, str] = {}
    for name in names:
        if by_case.setdefault(name.lower(), name) != name:
            raise InvalidInput(f"{name!r} and {by_case[name.lower()]!r} differ only in case. Rename one of the files.")
    return list(names)


def run(sql: str, tables: Mapping[str, Table], target: Path) -> Table:
    """Write what a query gives to the Parquet file *target*, in its order, and give it as a table.

    Args:
        sql: One query, as `table_names` takes it.
        tables: What its names stand for.
        target: In a folder that may be used as one likes.

    Raises:
        InvalidInput: It fails, in DuckDB's words without the data; it takes too long, or too much memory.
    """
    import duckdb

    reached = [path for table in tables.values() for path in table.paths]
    with connection(files=reached, folder=target.parent, name="The query", spill=MAX_SPILL) as con:
        for name, table in tables.items():
            con.execute(f"CREATE VIEW {identifier(name)} AS {table.sql}")
        try:
            # A view of its own: nothing of the query's text can end what stands around it.
            con.execute(f"CREATE TEMP VIEW __batchwright_query AS {sql}")
            types = types_of(con, "__batchwright_query")
        except duckdb.Error as error:
            raise InvalidInput(_refusal(_PLACE.sub("", str(error)))) from error
        try:
            with _bounded(con):
                cells = ", ".join(_kept(column, sql_type) for column, sql_type in types.items())
                query = f"SELECT {cells} FROM __batchwright_query"
                copied = con.execute(f"COPY ({query}) TO {quoted(str(target))} ({WORKING})")
            if copied.fetchall() == [(0,)]:
                raise InvalidInput("The query gives no rows. Ask for more.")
            table = parquet_table(con, target, "The query's result")
        except duckdb.InterruptException as error:
            raise InvalidInput(
                f"The query ran for more than {MAX_SECONDS:.0f} seconds. Take fewer rows, or join on fewer."
            ) from error
        except duckdb.OutOfMemoryException as error:
            raise InvalidInput(
                f"The query needs more than {MEMORY_LIMIT} of memory. Take fewer rows or columns, or sort less."
            ) from error
        except duckdb.IOException:
            raise
        except duckdb.Error as error:
            raise InvalidInput(_refusal(_without_data(str(error)))) from error
    return replace(table, warnings=few(warning for part in tables.values() for warning in part.warnings))


def _tables(node: "Json", known: frozenset[str]) -> Iterator[str]:
    """Give what is read under a node of the syntax tree; *known* are the names that WITH gives there."""
    if not isinstance(node, dict):
        for item in cast("list[Json]", node) if isinstance(node, list) else ():
            yield from _tables(item, known)
        return
    fields = cast("dict[str, Json]", node)
    kind = str(fields.get("type", ""))
    if kind.endswith("_NODE") and kind not in _QUERY_NODES:
        raise InvalidInput("The query would change something. Give one SELECT, which only reads.")
    if "cte_map" in fields:
        known |= {str(item["key"]).lower() for item in fields["cte_map"]["map"]}
    if "cte_name" in fields:
        known |= {str(fields["cte_name"]).lower()}
    if (function := str(fields.get("function_name", "")).lower()) in _REFUSED_FUNCTIONS:
        raise InvalidInput(f"{function} is not for queries over files. Leave it out.")
    if kind == "TABLE_FUNCTION":
        _refuse_reader(str(fields["function"].get("function_name", "")))
    if kind == "BASE_TABLE" and (name := _table_name(fields)).lower() not in known:
        yield name
    for value in fields.values():
        yield from _tables(value, known)


def _refuse_reader(function: str) -> None:
    if function.lower() not in _TABLE_FUNCTIONS:
        raise InvalidInput(f"{function[:40]} is not for queries here. {_ADVICE}")


def _table_name(table: "Mapping[str, Json]") -> str:
    steps = [str(step) for step in (table.get("catalog_name"), table.get("schema_name")) if step]
    if steps:
        raise InvalidInput(f"There is no table {'.'.join([*steps, str(table['table_name'])])[:80]}. {_ADVICE}")
    return str(table["table_name"])


def _kept(column: str, sql_type: str) -> str:
    """Give the SQL of a column that Parquet keeps as it is: it has no integers of 128 bits, such as `sum` gives."""
    name = identifier(column)
    return f"to_json({name}) AS {name}" if "HUGEINT" in sql_type or "UNION(" in sql_type else name


@contextmanager
def _bounded(con: "duckdb.DuckDBPyConnection") -> "Generator[None]":
    timer = threading.Timer(MAX_SECONDS, con.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _without_data(message: str) -> str:
    """Leave out what an error quotes of the rows."""
    return _IN_BRACKETS.sub("", _QUOTED.sub("…", _PLACE.sub("", message)))


def _refusal(message: str) -> str:
    words = cleaned(" ".join(message.split()), _SHOWN_CHARACTERS)
    return f"The query cannot be run: {words.rstrip('.!?')}. Mend the SQL, in DuckDB's dialect."
