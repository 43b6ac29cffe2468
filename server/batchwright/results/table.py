"""Results joined to the rows of a frozen source, in the source's order: counted, shown and saved."""

from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from batchwright.core.errors import InvalidInput
from batchwright.core.former_words import former_problem
from batchwright.core.model import OUTCOMES, Json, Outcome, Recipe
from batchwright.core.problem import Problem
from batchwright.core.progress import SILENT, Progress
from batchwright.core.untrusted import one_line, quote_name, quote_names
from batchwright.results.causes.signs import MASKS, MAX_IDS, STATUS, ProblemRows
from batchwright.results.joining import is_embedding, properties
from batchwright.tables.cells import cell_sql, reader, types_of
from batchwright.tables.connection import MEMORY, MemoryBounds, connection, identifier, pattern, quote_sql
from batchwright.tables.frozen import CUSTOM_ID, ROW
from batchwright.tables.reading import Table
from batchwright.tables.saving import SaveKind, save

if TYPE_CHECKING:
    import duckdb

_SHOWN_COLUMNS = 30
_ANOTHER_ROW = "one row beside another"
_CHANGED = "The results no longer match the rows: a file of the job was changed. Restore the job's folder."


@dataclass(frozen=True, slots=True)
class JoinedRows:
    """Some rows of the joined table: each row's number in the source, and its cells by column."""

    rows: Sequence[tuple[int, Mapping[str, Json]]]
    matching: int
    """Number of rows with the requested outcome."""


@dataclass(frozen=True)
class ResultTable:
    """A job's frozen source and its results, both on disk and read side by side: nothing large is joined or sorted.

    The view that joins them renames the columns (`c0`, `v0`, `outcome` ...), so that no user's column name can clash
    with ours.

    Attributes:
        results: The Parquet file that `join_results` writes.
        columns: The source's.
        ended: While false, a row without a result is running.
        rest: The outcome of such a row afterwards.
    """

    frozen: Path
    results: Path
    columns: tuple[str, ...]
    recipe: Recipe
    ended: bool
    rest: Outcome = "never_ran"
    memory: MemoryBounds = MEMORY

    def counts(self) -> dict[Outcome, int]:
        """Count the rows by outcome; the sum is the number of rows."""
        with self.joined() as con:
            found = dict(con.execute("SELECT outcome, count(*) FROM joined GROUP BY 1").fetchall())
        return {name: int(found.get(name, 0)) for name in OUTCOMES}

    def problems(self, most: int) -> list[ProblemRows]:
        """Group the rows without a good answer by outcome and similar problems; return the *most* frequent groups."""
        alike = "problem"
        for differing, instead in MASKS:
            alike = f"regexp_replace({alike}, {quote_sql(differing)}, {quote_sql(instead)}, 'g')"
        with self.joined() as con:
            found = con.execute(
                "SELECT outcome, arg_min(problem, first), told, sum(n), "
                f"flatten(arg_min(ids, first, {MAX_IDS:d})) FROM (SELECT outcome, problem, told, count(*) AS n, "
                f"min(row) AS first, arg_min(id, row, {MAX_IDS:d}) AS ids "
                "FROM joined WHERE outcome NOT IN ('answered', 'running') GROUP BY outcome, problem, told) "
                f"GROUP BY outcome, regexp_extract(problem, {quote_sql(STATUS)}), told, {alike} "
                f"ORDER BY 4 DESC, min(first) LIMIT {most:d}"
            ).fetchall()
        return [
            ProblemRows(outcome, _problem(outcome, words, told), int(rows), tuple(ids[:MAX_IDS]))
            for outcome, words, told, rows, ids in found
        ]

    def ids(self, outcomes: Collection[Outcome]) -> dict[str, Outcome]:
        """Return the custom_id and the outcome of each row with one of *outcomes*."""
        wanted = ", ".join(quote_sql(outcome) for outcome in outcomes) or "NULL"
        with self.joined() as con:
            found = con.execute(f"SELECT id, outcome FROM joined WHERE outcome IN ({wanted})").fetchall()
        return dict(found)

    def rows(
        self, *, outcome: Outcome | None, offset: int, limit: int, columns: Sequence[str] | None = None
    ) -> JoinedRows:
        """Return some joined rows, in the source's order; if *outcome* is given, only rows with it."""
        where = f"WHERE outcome = {quote_sql(outcome)}" if outcome else ""
        chosen = self.chosen(columns)
        with self.joined() as con:
            types = types_of(con, "joined")
            count = con.execute(f"SELECT count(*) FROM joined {where}").fetchone()
            cells = ", ".join(["row", *(cell_sql(alias, types[alias]) for alias in chosen.values())])
            read = reader({name: types[alias] for name, alias in chosen.items()})
            fetched = con.execute(f"SELECT {cells} FROM joined {where} LIMIT {limit:d} OFFSET {offset:d}").fetchall()
            rows = [(int(number), read(row)) for number, *row in fetched]
        return JoinedRows(rows, int(count[0]) if count else 0)

    def save(
        self, target: Path, kind: SaveKind, columns: Sequence[str] | None = None, progress: Progress = SILENT
    ) -> None:
        """Write the joined table to *target*, in the source's order.

        Raises:
            InvalidInput: There is no such column, or the kind of file cannot hold the data.
        """
        named = ", ".join(f"{alias} AS {identifier(name)}" for name, alias in self.chosen(columns).items())
        with self.joined(target) as con:
            save(con, f"SELECT {named} FROM joined", target, kind, progress)

    def chosen(self, columns: Sequence[str] | None) -> Mapping[str, str]:
        """Return the joining view's name for each of *columns*; without *columns*, for all of the joined table.

        A column may be named as it is, or as it is displayed.

        Raises:
            InvalidInput: There is no such column.
        """
        if not columns:
            return self._output
        known = {**self._output, **self._numbering}
        shown = {one_line(name): name for name in reversed(known)}
        named = [name if name in known else shown.get(name, name) for name in columns]
        if unknown := [name for name in named if name not in known]:
            more = f" and {len(known) - _SHOWN_COLUMNS} more" if len(known) > _SHOWN_COLUMNS else ""
            raise InvalidInput(
                f"There is no column {quote_name(unknown[0])}. "
                f"Columns: {quote_names(list(known)[:_SHOWN_COLUMNS])}{more}."
            )
        return {name: known[name] for name in named}

    def tables(self) -> dict[str, Table]:
        """Return the tables for SQL: `results`, with each row's number and custom_id, and `source`."""
        with self.joined() as con:
            counted = con.execute("SELECT count(*) FROM joined").fetchone()
            source, joined = self._source_sql(con), self._sql(con)
        rows = int(counted[0]) if counted else 0
        known = {**self._numbering, **self._output}
        named = ", ".join(f"{alias} AS {identifier(name)}" for name, alias in known.items())
        own = {name: name for name in self.columns}
        numbered = {_free("row", own): ROW, _free("custom_id", own): CUSTOM_ID}
        columns = ", ".join(
            f"{identifier(column)} AS {identifier(name)}" for name, column in {**numbered, **own}.items()
        )
        return {
            "results": Table(f"SELECT {named} FROM ({joined})", (self.frozen, self.results), tuple(known), rows),
            "source": Table(f"SELECT {columns} FROM {source}", (self.frozen,), (*numbered, *own), rows),
        }

    @property
    def answer_columns(self) -> list[str]:
        """Names of the columns that the results add to the source's columns."""
        return list(self._output)[len(self.columns) :]

    @property
    def number_name(self) -> str:
        """Name of the row number column, which is included only on request."""
        return next(iter(self._numbering))

    @property
    def is_embedding(self) -> bool:
        """Whether the answers are vectors."""
        return is_embedding(self.recipe)

    @property
    def values(self) -> Mapping[str, str]:
        """Names of the columns that hold good answers, and their names in the joining view."""
        aliases = {f"v{place}" for place in range(len(properties(self.recipe)))} or {"answer"}
        return {name: alias for name, alias in self._output.items() if alias in aliases}

    @cached_property
    def _output(self) -> Mapping[str, str]:
        """Columns of the joined table to those of the view; a result's column whose name is taken is renamed."""
        added = [(name, f"v{place}") for place, name in enumerate(properties(self.recipe))]
        text = "embedding" if self.is_embedding else "raw_answer" if added else "answer"
        added += [(text, "answer"), ("outcome", "outcome"), ("problem", "problem")]
        output = {column: f"c{place}" for place, column in enumerate(self.columns)}
        for wanted, alias in added:
            output[_free(wanted, output)] = alias
        return output

    @cached_property
    def _numbering(self) -> Mapping[str, str]:
        """Columns that are included only on request."""
        return {_free("row", self._output): "row", _free("custom_id", self._output): "id"}

    @contextmanager
    def joined(self, *targets: Path) -> "Generator[duckdb.DuckDBPyConnection]":
        """Open a DuckDB connection with the view `joined`; it may write *targets*."""
        import duckdb

        files = [self.frozen, self.results, *targets]
        with connection(files=files, folder=self.frozen.parent, name="The results", bounds=self.memory) as con:
            con.execute(f"CREATE VIEW joined AS {self._sql(con)}")
            try:
                yield con
            except duckdb.InvalidInputException as error:
                raise InvalidInput(_CHANGED) if _ANOTHER_ROW in str(error) else error from error

    def _sql(self, con: "duckdb.DuckDBPyConnection") -> str:
        source = "".join(f"s.{identifier(column)} AS c{place}, " for place, column in enumerate(self.columns))
        values = "".join(f"r.v{place} AS v{place}, " for place in range(len(properties(self.recipe))))
        row = identifier(ROW)
        results = _parquet(self.results)
        columns = {name for name, *_ in con.execute(f"DESCRIBE SELECT * FROM {results}").fetchall()}
        # Results of earlier versions have only the words of a problem.
        told = "r.told" if "told" in columns else "NULL"
        return (
            f"SELECT s.{row} AS row, s.{identifier(CUSTOM_ID)} AS id, {source}{values}r.answer AS answer, "
            f"coalesce(r.outcome, '{self.rest if self.ended else 'running'}') AS outcome, r.problem AS problem, "
            f"{told} AS told "
            f"FROM {self._source_sql(con)} s POSITIONAL JOIN {results} r "
            # If the files do not match, nobody must see one row's answer beside another row.
            f"WHERE CASE WHEN s.{row} IS NOT DISTINCT FROM r.row THEN true ELSE error('{_ANOTHER_ROW}') END"
        )

    def _source_sql(self, con: "duckdb.DuckDBPyConnection") -> str:
        """Return the SQL of the source's rows in order, sorted only if the file's order differs."""
        row, frozen = identifier(ROW), _parquet(self.frozen)
        # Parquet's own row numbering is not available if the user has a column of that name.
        placed = f"SELECT {row} AS given, row_number() OVER () AS lies FROM {frozen}"
        found = con.execute(f"SELECT count(*) FROM ({placed}) WHERE given <> lies").fetchone()
        return f"(SELECT * FROM {frozen} ORDER BY {row})" if found and found[0] else frozen


def _problem(outcome: Outcome, words: str | None, told: str | None) -> Problem | None:
    """Rebuild a problem; results of earlier versions have only its words."""
    if words is None:
        return None
    if told is None:
        return former_problem(outcome, words)
    return msgspec.convert({**msgspec.json.decode(told), "words": words}, Problem)


def _parquet(path: Path) -> str:
    return f"read_parquet({pattern(path)}, hive_partitioning = false)"


def _free(wanted: str, taken: Collection[str]) -> str:
    """Return a name that no column has, ignoring case."""
    lowered = {name.lower() for name in taken}
    name = wanted
    while name.lower() in lowered:
        name = f"answer_{name}"
    return name
