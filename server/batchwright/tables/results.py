"""Results joined to the rows of a frozen source, in the source's order: counted, shown and saved."""

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from batchwright import files
from batchwright.causes.problems import MASKS, MAX_IDS, STATUS, Problem
from batchwright.errors import InvalidInput
from batchwright.model import OUTCOMES, Json, Outcome, Recipe, Result
from batchwright.tables.cells import as_row, cell_sql, reader, types_of
from batchwright.tables.connection import PARQUET, connection, identifier, pattern, quoted
from batchwright.tables.sources import CUSTOM_ID, ROW, frozen_sql

if TYPE_CHECKING:
    import duckdb

SaveKind = Literal["csv", "jsonl", "parquet"]

_KINDS: Mapping[str, SaveKind] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_OPTIONS: Mapping[SaveKind, str] = {"csv": "FORMAT csv, HEADER", "jsonl": "FORMAT json", "parquet": PARQUET}
_TYPES = {"string": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"}
_FORMULA_START = "=+@\t\r＝＋－＠-"
_MIN_OBJECT_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class JoinedRows:
    """Some rows of the joined table: the row's number in the source, and its cells by column."""

    rows: Sequence[tuple[int, Mapping[str, Json]]]
    matching: int
    """How many rows have the outcome that was asked for."""


@dataclass(frozen=True)
class ResultTable:
    """A job's frozen source and its results, both on disk, and how they join.

    In the view that joins them, columns have names of their own (`c0`, `v0`, `outcome` ...), so that no name of the
    user's can meet one of ours.

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
            found = dict(con.execute("SELECT outcome, count(*) FROM joined GROUP BY 1").fetchall())
        return {name: int(found.get(name, 0)) for name in OUTCOMES}

    def problems(self, most: int) -> list[Problem]:
        """Group the rows without a good answer by outcome and by problems that are alike; the *most* frequent."""
        alike = "problem"
        for differing, instead in MASKS:
            alike = f"regexp_replace({alike}, {quoted(differing)}, {quoted(instead)}, 'g')"
        with self._joined() as con:
            found = con.execute(
                f"SELECT outcome, arg_min(problem, first), sum(n), flatten(arg_min(ids, first, {MAX_IDS:d})) FROM "
                f"(SELECT outcome, problem, count(*) AS n, min(row) AS first, arg_min(id, row, {MAX_IDS:d}) AS ids "
                "FROM joined WHERE outcome NOT IN ('answered', 'running') GROUP BY outcome, problem) "
                f"GROUP BY outcome, regexp_extract(problem, {quoted(STATUS)}), {alike} "
                f"ORDER BY 3 DESC, min(first) LIMIT {most:d}"
            ).fetchall()
        return [Problem(outcome, words, int(rows), tuple(ids[:MAX_IDS])) for outcome, words, rows, ids in found]

    def ids(self, outcomes: Collection[Outcome]) -> dict[str, Outcome]:
        """Give the custom_ids of the rows with one of *outcomes*, each with its own."""
        wanted = ", ".join(quoted(outcome) for outcome in outcomes) or "NULL"
        with self._joined() as con:
            found = con.execute(f"SELECT id, outcome FROM joined WHERE outcome IN ({wanted})").fetchall()
        return dict(found)

    def rows(self, *, outcome: Outcome | None, offset: int, limit: int) -> JoinedRows:
        """Give some joined rows, in the source's order; only those of *outcome*, unless that is None."""
        where = f"WHERE outcome = {quoted(outcome)}" if outcome else ""
        with self._joined() as con:
            types = types_of(con, "joined")
            count = con.execute(f"SELECT count(*) FROM joined {where}").fetchone()
            cells = ", ".join(["row", *(cell_sql(alias, types[alias]) for alias in self._output.values())])
            read = reader([types[alias] for alias in self._output.values()])
            fetched = con.execute(
                f"SELECT {cells} FROM joined {where} ORDER BY row LIMIT {limit:d} OFFSET {offset:d}"
            ).fetchall()
            rows = [(int(number), as_row(list(self._output), read(row))) for number, *row in fetched]
        return JoinedRows(rows, int(count[0]) if count else 0)

    def save(self, target: Path, kind: SaveKind) -> None:
        """Write the joined table to *target*, in the source's order.

        In CSV, a text that a spreadsheet would take for a formula gets an apostrophe before it; numbers stay.
        """
        names = {name: _without_formula(name) if kind == "csv" else name for name in self._output}
        with self._joined(target) as con:
            types = types_of(con, "joined")
            cells = [
                f"{_saved(alias, types[alias], kind)} AS {identifier(names[name])}"
                for name, alias in self._output.items()
            ]
            con.execute(
                f"COPY (SELECT {', '.join(cells)} FROM joined ORDER BY row) TO {quoted(str(target))} ({_OPTIONS[kind]})"
            )

    @property
    def answer_columns(self) -> list[str]:
        """Names of the columns that the results add to the source's."""
        return list(self._output)[len(self.columns) :]

    @cached_property
    def _output(self) -> Mapping[str, str]:
        """Columns of the joined table to those of the view; where the source has a name, the result's gives way."""
        added = [(name, f"v{place}") for place, name in enumerate(self._properties)]
        text = "embedding" if self._is_embedding else "raw_answer" if added else "answer"
        added += [(text, "answer"), ("outcome", "outcome"), ("problem", "problem")]
        output = {column: f"c{place}" for place, column in enumerate(self.columns)}
        taken = {column.lower() for column in self.columns}
        for wanted, alias in added:
            name = wanted
            while name.lower() in taken:
                name = f"answer_{name}"
            taken.add(name.lower())
            output[name] = alias
        return output

    @property
    def _is_embedding(self) -> bool:
        return self.recipe.endpoint == "/v1/embeddings"

    @property
    def _properties(self) -> Mapping[str, Mapping[str, Json]]:
        return (self.recipe.output_schema or {}).get("properties", {})

    @contextmanager
    def _joined(self, target: Path | None = None) -> "Generator[duckdb.DuckDBPyConnection]":
        reached = [self.frozen, self.results, *([target] if target else [])]
        with connection(files=reached, folder=self.frozen.parent, name="the results") as con:
            con.execute(f"CREATE VIEW results AS {self._results_sql()}")
            source = ", ".join(f"s.{identifier(column)} AS c{place}" for place, column in enumerate(self.columns))
            # With a schema, the properties say it all: the text itself is kept only where it did not fit.
            text = "CASE WHEN r.outcome <> 'answered' THEN r.text END" if self._properties else "r.text"
            if self._is_embedding:
                text = _vector(con)
            values = "".join(
                f"{_value(con, f'v{place}', schema)} AS v{place}, "
                for place, schema in enumerate(self._properties.values())
            )
            con.execute(
                f"CREATE VIEW joined AS SELECT s.{identifier(ROW)} AS row, s.{identifier(CUSTOM_ID)} AS id, "
                f"{source}, {values} {text} AS answer, "
                f"coalesce(r.outcome, '{'never_ran' if self.ended else 'running'}') AS outcome, r.problem AS problem "
                f"FROM ({frozen_sql(self.frozen)}) s LEFT JOIN results r ON s.{identifier(CUSTOM_ID)} = r.custom_id"
            )
            yield con

    def _results_sql(self) -> str:
        columns = dict.fromkeys(["custom_id", "outcome", "text", "problem"], "VARCHAR")
        columns |= {f"v{place}": "JSON" for place in range(len(self._properties))}
        shape = ", ".join(f"{name}: '{kind}'" for name, kind in columns.items())
        return (
            f"SELECT * FROM read_ndjson({pattern(self.results)}, maximum_object_size = {self._longest_line}, "
            f"hive_partitioning = false, columns = {{{shape}}})"
        )

    @cached_property
    def _longest_line(self) -> int:
        """How much room DuckDB has to make for a line: it takes it whether it is needed or not."""
        if self.results.stat().st_size <= _MIN_OBJECT_BYTES:
            return _MIN_OBJECT_BYTES
        return max(_MIN_OBJECT_BYTES, *(len(line) + 1_000 for line in files.lines(self.results)))


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


def _value(con: "duckdb.DuckDBPyConnection", column: str, schema: Mapping[str, Json]) -> str:
    """Give the SQL of a property in the type that its schema gives it; what has no plain type stays JSON.

    One value that the type cannot hold, such as a whole number of 23 digits, leaves the whole column as JSON.
    """
    sql_type = _plain_type(schema)
    if sql_type is None:
        return f"r.{column}"
    text = f"{column} ->> '$'"
    fits = con.execute(f"SELECT bool_and(TRY_CAST({text} AS {sql_type}) IS NOT NULL OR {text} IS NULL) FROM results")
    is_lossless = (fits.fetchone() or (True,))[0] is not False
    return f"CAST(r.{text} AS {sql_type})" if is_lossless else f"r.{column}"


def _vector(con: "duckdb.DuckDBPyConnection") -> str:
    """Give the SQL of the embedding: a list of numbers, or of such lists where a request had several inputs."""
    several = con.execute("SELECT bool_or(starts_with(text, '[[')) FROM results").fetchone()
    return f"CAST(CAST(r.text AS JSON) AS DOUBLE[]{'[]' if several and several[0] else ''})"


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


def _saved(column: str, sql_type: str, kind: SaveKind) -> str:
    """Give the SQL of a column as it is written to a file of *kind*."""
    if kind == "jsonl" and sql_type in {"DOUBLE", "FLOAT"}:
        return f"CASE WHEN isfinite({column}) THEN {column} END"  # JSON has no word for the others.
    if kind != "csv":
        return column
    text = column
    if sql_type == "JSON":
        is_nested = f"json_type({column}) IN ('OBJECT', 'ARRAY')"
        text = f"CASE WHEN {is_nested} THEN CAST({column} AS VARCHAR) ELSE {column} ->> '$' END"
    elif sql_type != "VARCHAR":
        return column
    is_formula = f"regexp_matches({text}, {quoted(f'^[{_FORMULA_START}]')}) AND TRY_CAST({text} AS DOUBLE) IS NULL"
    return f"CASE WHEN {is_formula} THEN '''' || ({text}) ELSE {text} END"


def _without_formula(name: str) -> str:
    return f"'{name}" if name[:1] in _FORMULA_START else name
