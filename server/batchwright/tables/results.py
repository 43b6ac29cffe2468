"""Results joined to the rows of a frozen source, in the source's order: counted, shown and saved."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from batchwright.errors import InvalidInput
from batchwright.model import OUTCOMES, Json, Outcome, Recipe, Result
from batchwright.tables.connection import connection, identifier, quoted
from batchwright.tables.sources import CUSTOM_ID, ROW, plain

if TYPE_CHECKING:
    import duckdb

SaveKind = Literal["csv", "jsonl", "parquet"]

_KINDS: Mapping[str, SaveKind] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_OPTIONS: Mapping[SaveKind, str] = {"csv": "FORMAT csv, HEADER", "jsonl": "FORMAT json", "parquet": "FORMAT parquet"}
_TYPES = {"string": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"}
_FORMULA_START = "^[=+@\\t\\r＝＋－＠-]"
_OUTCOME = '"result outcome"'


@dataclass(frozen=True, slots=True)
class JoinedRows:
    """Some rows of the joined table: the row's number in the source, and its cells by column."""

    rows: Sequence[tuple[int, Mapping[str, Json]]]
    matching: int
    """How many rows have the outcome that was asked for."""


@dataclass(frozen=True, slots=True)
class ResultTable:
    """A job's frozen source and its results, both on disk, and how they join.

    Attributes:
        frozen: The Parquet file of the source.
        results: A JSONL file, as `write_results` writes it.
        columns: Of the source.
        ended: While false, a row without a result is running; afterwards it never ran.
    """

    frozen: Path
    results: Path
    columns: tuple[str, ...]
    recipe: Recipe
    ended: bool

    def counts(self) -> dict[Outcome, int]:
        """Count the rows by outcome; the sum is the number of rows."""
        with self._joined() as con:
            found = dict(con.execute(f"SELECT {_OUTCOME}, count(*) FROM joined GROUP BY 1").fetchall())
        return {name: int(found.get(name, 0)) for name in OUTCOMES}

    def rows(self, *, outcome: Outcome | None, offset: int, limit: int) -> JoinedRows:
        """Give some joined rows, in the source's order; only those of *outcome*, unless that is None."""
        where = f"WHERE {_OUTCOME} = {quoted(outcome)}" if outcome else ""
        output = self._output()
        with self._joined() as con:
            count = con.execute(f"SELECT count(*) FROM joined {where}").fetchone()
            con.execute(
                f"SELECT {', '.join([identifier(ROW), *output.values()])} FROM joined {where} "
                f"ORDER BY {identifier(ROW)} LIMIT {limit:d} OFFSET {offset:d}"
            )
            rows = [
                (int(number), dict(zip(output, map(plain, cells), strict=True))) for number, *cells in con.fetchall()
            ]
        return JoinedRows(rows, int(count[0]) if count else 0)

    def problems(self, most: int) -> list[tuple[str, int]]:
        """Group the rows without a good answer by outcome and problem; the *most* frequent, with their rows."""
        with self._joined() as con:
            found = con.execute(
                f'SELECT {_OUTCOME}, "result problem", count(*) FROM joined '
                f"WHERE {_OUTCOME} NOT IN ('answered', 'running') GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT {most:d}"
            ).fetchall()
        return [(f"{outcome}: {problem}" if problem else outcome, int(count)) for outcome, problem, count in found]

    def save(self, target: Path, kind: SaveKind) -> None:
        """Write the joined table to *target*, in the source's order.

        In CSV, a text that a spreadsheet would take for a formula gets an apostrophe before it; numbers stay.
        """
        with self._joined(target) as con:
            types = {str(row[0]): str(row[1]) for row in con.execute("DESCRIBE joined").fetchall()}
            cells = [
                f"{_without_formula(column) if kind == 'csv' and types[column[1:-1]] == 'VARCHAR' else column} "
                f"AS {identifier(name)}"
                for name, column in self._output().items()
            ]
            con.execute(
                f"COPY (SELECT {', '.join(cells)} FROM joined ORDER BY {identifier(ROW)}) "
                f"TO {quoted(str(target))} ({_OPTIONS[kind]})"
            )

    @property
    def answer_columns(self) -> list[str]:
        """Names of the columns that the results add to the source's."""
        return list(self._output())[len(self.columns) :]

    def _output(self) -> dict[str, str]:
        """Map the columns of the joined table to the view's; where the source has a name, the result's gives way."""
        properties = self._properties()
        results = [(name, f"value {name}") for name in properties]
        results += [("raw_answer" if properties else "answer", "result answer")]
        results += [("outcome", "result outcome"), ("problem", "result problem")]
        output = {column: identifier(column) for column in self.columns}
        taken = {column.lower() for column in self.columns}
        for wanted, column in results:
            name = wanted
            while name.lower() in taken:
                name = f"answer_{name}"
            taken.add(name.lower())
            output[name] = identifier(column)
        return output

    def _properties(self) -> Mapping[str, Json]:
        return (self.recipe.output_schema or {}).get("properties", {})

    @contextmanager
    def _joined(self, target: Path | None = None) -> "Generator[duckdb.DuckDBPyConnection]":
        properties = self._properties()
        shape = dict.fromkeys(["custom_id", "outcome", "text", "problem"], "VARCHAR")
        shape |= {f"v{place}": "JSON" for place in range(len(properties))}
        # With a schema, the properties say it all: the text itself is kept only where it did not fit.
        text = "CASE WHEN r.outcome <> 'answered' THEN r.text END" if properties else "r.text"
        results = [
            *(_value(f"v{place}", schema, f"value {name}") for place, (name, schema) in enumerate(properties.items())),
            f'{text} AS "result answer"',
            f"coalesce(r.outcome, '{'never_ran' if self.ended else 'running'}') AS {_OUTCOME}",
            'r.problem AS "result problem"',
        ]
        columns = ", ".join(f"{name}: '{kind}'" for name, kind in shape.items())
        files = [self.frozen, self.results, *([target] if target else [])]
        with connection(files=files, folder=self.frozen.parent) as con:
            con.execute(
                f"CREATE VIEW joined AS SELECT s.*, {', '.join(results)} "
                f"FROM read_parquet({quoted(str(self.frozen))}) s "
                f"LEFT JOIN read_ndjson({quoted(str(self.results))}, "
                f"columns = {{{columns}}}) r ON s.{identifier(CUSTOM_ID)} = r.custom_id"
            )
            yield con


def save_kind(path: Path) -> SaveKind:
    """Tell by its ending what a result file is to be.

    Raises:
        InvalidInput: It is none that can be written.
    """
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise InvalidInput(f"{path.name!r} does not end in .csv, .jsonl or .parquet. Choose one of these.")
    return kind


def write_results(results: Iterable[Result], path: Path, recipe: Recipe) -> None:
    """Write *results* as the JSONL file that `ResultTable` joins, streaming."""
    names: list[str] = list((recipe.output_schema or {}).get("properties", {}))
    encode = msgspec.json.Encoder().encode
    with path.open("wb") as file:
        for result in results:
            line: dict[str, Json] = {
                "custom_id": result.custom_id,
                "outcome": result.outcome,
                "text": result.text,
                "problem": result.problem,
            }
            if result.values is not None:
                line |= {f"v{place}": result.values.get(name) for place, name in enumerate(names)}
            file.write(encode(line) + b"\n")


def _value(column: str, schema: Mapping[str, Json], name: str) -> str:
    """Cast a property's JSON to the type that its schema gives it; what has no simple type stays JSON."""
    kind = schema.get("type")
    kinds = cast("list[str]", kind) if isinstance(kind, list) else [str(kind)]
    simple = [name for name in kinds if name != "null"]
    sql_type = _TYPES.get(simple[0]) if len(simple) == 1 else None
    if sql_type is None and all(isinstance(value, str) for value in schema.get("enum", [0])):
        sql_type = "VARCHAR"
    if sql_type is None:
        return f"r.{column} AS {identifier(name)}"
    return f"CAST(r.{column} ->> '$' AS {sql_type}) AS {identifier(name)}"


def _without_formula(column: str) -> str:
    is_formula = f"regexp_matches({column}, {quoted(_FORMULA_START)}) AND TRY_CAST({column} AS DOUBLE) IS NULL"
    return f"CASE WHEN {is_formula} THEN '''' || {column} ELSE {column} END"
