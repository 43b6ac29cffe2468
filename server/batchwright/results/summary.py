"""A summary of a job's answers in plain counts: labels, lengths, numbers, oddities, and agreement with known truth.

Texts are grouped by hash, so that a million long ones take the memory of a million numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from batchwright.core.progress import SILENT, Progress
from batchwright.results.equality import comparable
from batchwright.tables.cells import types_of
from batchwright.tables.connection import pattern
from batchwright.tables.saving import text_of

if TYPE_CHECKING:
    import duckdb

    from batchwright.results.table import ResultTable

FEW_LABELS = 50
"""A column with at most this many different values holds labels."""
_LABEL_CHARACTERS = 100
_SHOWN_LABELS = 10
_SHOWN_REPEATS = 3
_SHOWN_ALIKE = 3
_SHOWN_PAIRS = 8
_TEXT_CHARACTERS = 200
_ROWS_AT_ONCE = 2_000
_NUMBERS = frozenset({"BIGINT", "DOUBLE"})
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Value:
    """A value, and how many rows have it."""

    text: str
    rows: int


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The range of numbers, or of the lengths of texts and vectors."""

    least: float
    middle: float
    """The mean of numbers, the median of lengths."""
    most: float


@dataclass(frozen=True, slots=True)
class AnswerColumn:
    """One column of the good answers.

    Attributes:
        filled, empty: Rows with a value, and rows with none or only spaces; their sum is the rows with a good answer.
        distinct: Number of different values.
        once: Number of values that only one row has.
        top: The most frequent values; if there are many different ones, only those that several rows have.
        left_out: Number of labels that *top* does not show.
        alike: Values that differ only in case and spaces, most rows first.
        numbers: The range of a numeric column.
        lengths: The range of characters in a text, or of numbers in a vector.
    """

    name: str
    filled: int
    empty: int
    distinct: int | None = None
    once: int = 0
    top: Sequence[Value] = ()
    left_out: int = 0
    alike: Sequence[Sequence[Value]] = ()
    numbers: ValueRange | None = None
    lengths: ValueRange | None = None
    is_vector: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """A disagreement: the true value, and the answer."""

    truth: str
    answered: str
    rows: int


@dataclass(frozen=True, slots=True)
class LabelScore:
    """How well one label was found.

    Attributes:
        rows: Rows whose truth is this label.
        answered: Rows whose answer is this label.
        right: Rows where both are.
    """

    label: str
    rows: int
    answered: int
    right: int


@dataclass(frozen=True, slots=True)
class TruthComparison:
    """How far the good answers and a column of the source agree, by the rule of `equality`.

    Attributes:
        compared: Rows with a good answer and a truth.
        not_answered: Rows with a truth but no good answer; not compared.
        without_truth: Rows whose truth is empty; not compared.
        pairs: The most frequent disagreements.
        pairs_left_out: Number of other disagreements, each of one or more rows.
        labels: The most frequent labels; empty if there are too many different ones.
    """

    truth: str
    answer: str
    compared: int
    agree: int
    not_answered: int
    without_truth: int
    pairs: Sequence[Pair]
    pairs_left_out: int
    labels: Sequence[LabelScore]
    labels_left_out: int


def answer_columns(table: "ResultTable", progress: Progress = SILENT) -> list[AnswerColumn]:
    """Describe each column of the good answers."""
    with table.joined() as con:
        con.execute("CREATE TEMP VIEW good AS SELECT * FROM joined WHERE outcome = 'answered'")
        types = types_of(con, "joined")
        described: list[AnswerColumn] = []
        for name, alias in table.values.items():
            described.append(_describe(con, name, alias, types[alias]))
            progress.counted(len(described), len(table.values), "columns")
        return described


def compare_with_truth(table: "ResultTable", truth: str, answer: str, folder: Path) -> TruthComparison:
    """Compare the column *answer* of the good answers with the column *truth* of the source.

    *folder*, inside the job's own, is for temporary files.
    """
    with table.joined() as con:
        types = types_of(con, "joined")
        columns = table.chosen(None)
        given, wanted = (text_of(columns[name], types[columns[name]]) for name in (answer, truth))
        _compare(con, wanted, given, folder / "compared.jsonl")
        counted = con.execute(
            "SELECT count(*) FILTER (is_good AND has_truth), count(*) FILTER (is_good AND has_truth AND agrees), "
            "count(*) FILTER (has_truth AND NOT is_good), count(*) FILTER (NOT has_truth) FROM compared"
        ).fetchone() or (0, 0, 0, 0)
        con.execute("CREATE TEMP VIEW rated AS SELECT * FROM compared WHERE is_good AND has_truth")
        pairs, labels = _pairs(con, wanted, given), _scores(con, wanted, given)
    compared, agree, not_answered, without_truth = map(int, counted)
    return TruthComparison(truth, answer, compared, agree, not_answered, without_truth, *pairs, *labels)


def _compare(con: "duckdb.DuckDBPyConnection", truth: str, answer: str, path: Path) -> None:
    """Create the table `compared`: each row's truth `t` and answer `a` as hashes, and whether they are equal."""
    rows = con.execute(f"SELECT row, outcome = 'answered', {truth}, {answer} FROM joined")
    with path.open("wb") as file:
        while batch := rows.fetchmany(_ROWS_AT_ONCE):
            for row, is_good, wanted, given in batch:
                t, a = comparable(wanted), comparable(given)
                line = {"row": row, "is_good": is_good, "t": hash(t), "a": hash(a), "agrees": t == a}
                file.write(_encode(line | {"has_truth": t != ""}) + b"\n")
    columns = "row: 'BIGINT', is_good: 'BOOLEAN', has_truth: 'BOOLEAN', t: 'BIGINT', a: 'BIGINT', agrees: 'BOOLEAN'"
    lines = f"read_ndjson({pattern(path)}, hive_partitioning = false, columns = {{{columns}}})"
    con.execute(f"CREATE TEMP TABLE compared AS SELECT * FROM {lines}")


def _describe(con: "duckdb.DuckDBPyConnection", name: str, alias: str, sql_type: str) -> AnswerColumn:
    if sql_type.startswith("FLOAT["):
        return _vectors(con, name, alias)
    text = text_of(alias, sql_type)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE valued AS "
        "SELECT hash(t) AS value, any_value(hash(n)) AS alike, count(*) AS rows, "
        f"min(row) AS first FROM (SELECT row, t, {_plain('t')} AS n FROM (SELECT row, {text} AS t FROM good)) "
        "WHERE n <> '' GROUP BY 1"
    )
    sums = con.execute("SELECT coalesce(sum(rows), 0), count(*), count(*) FILTER (rows = 1) FROM valued").fetchone()
    filled, distinct, once = map(int, sums or (0, 0, 0))
    numbers = lengths = None
    if sql_type in _NUMBERS:
        numbers = _range(con, alias, "avg", f"{alias} IS NOT NULL")
    elif sql_type != "BOOLEAN":
        lengths = _range(con, f"length({text})", "median", f"{_plain(text)} <> ''")
    are_labels = 0 < distinct <= FEW_LABELS and (lengths is None or lengths.middle <= _LABEL_CHARACTERS)
    top = _top(con, text, are_labels=are_labels)
    return AnswerColumn(
        name,
        filled,
        _rows(con) - filled,
        distinct=distinct,
        once=once,
        top=top if numbers is None or are_labels else (),
        left_out=distinct - len(top) if are_labels else 0,
        alike=_alike(con, text),
        numbers=numbers,
        lengths=lengths,
    )


def _vectors(con: "duckdb.DuckDBPyConnection", name: str, alias: str) -> AnswerColumn:
    counted = con.execute(f"SELECT count({alias}) FROM good").fetchone()
    filled = int(counted[0]) if counted else 0
    lengths = _range(con, f"len({alias})", "median", f"{alias} IS NOT NULL")
    return AnswerColumn(name, filled, _rows(con) - filled, lengths=lengths, is_vector=True)


def _rows(con: "duckdb.DuckDBPyConnection") -> int:
    counted = con.execute("SELECT count(*) FROM good").fetchone()
    return int(counted[0]) if counted else 0


def _range(con: "duckdb.DuckDBPyConnection", value: str, middle: str, where: str) -> ValueRange | None:
    found = con.execute(f"SELECT min({value}), {middle}({value}), max({value}) FROM good WHERE {where}").fetchone()
    return ValueRange(*found) if found and found[0] is not None else None


def _top(con: "duckdb.DuckDBPyConnection", text: str, *, are_labels: bool) -> list[Value]:
    """Return the most frequent values; for texts, only those that several rows have."""
    most = _SHOWN_LABELS if are_labels else _SHOWN_REPEATS
    where = "" if are_labels else "WHERE rows > 1"
    found = con.execute(f"SELECT first, rows FROM valued {where} ORDER BY rows DESC, first LIMIT {most:d}").fetchall()
    texts = _texts(con, text, [row for row, _ in found])
    return [Value(texts[row], int(rows)) for row, rows in found]


def _alike(con: "duckdb.DuckDBPyConnection", text: str) -> list[list[Value]]:
    found = con.execute(
        "SELECT list(first ORDER BY rows DESC, first)[:5], list(rows ORDER BY rows DESC, first)[:5] FROM valued "
        f"GROUP BY alike HAVING count(*) > 1 ORDER BY sum(rows) DESC, min(first) LIMIT {_SHOWN_ALIKE:d}"
    ).fetchall()
    texts = _texts(con, text, [row for firsts, _ in found for row in firsts])
    return [
        [Value(texts[row], int(rows)) for row, rows in zip(firsts, counts, strict=True)] for firsts, counts in found
    ]


def _pairs(con: "duckdb.DuckDBPyConnection", truth: str, answer: str) -> tuple[list[Pair], int]:
    """Return the most frequent disagreements, and the number of others."""
    con.execute(
        "CREATE TEMP TABLE pairs AS SELECT t, a, count(*) AS rows, min(row) AS first FROM rated WHERE NOT agrees "
        "GROUP BY 1, 2"
    )
    counted = con.execute("SELECT count(*) FROM pairs").fetchone()
    found = con.execute(f"SELECT first, rows FROM pairs ORDER BY rows DESC, first LIMIT {_SHOWN_PAIRS:d}").fetchall()
    rows = [row for row, _ in found]
    truths, answers = _texts(con, truth, rows), _texts(con, answer, rows)
    pairs = [Pair(truths[row], answers[row], int(count)) for row, count in found]
    return pairs, (int(counted[0]) if counted else 0) - len(pairs)


def _scores(con: "duckdb.DuckDBPyConnection", truth: str, answer: str) -> tuple[list[LabelScore], int]:
    """Return how well the most frequent labels were found, and the number of others; none if there are too many."""
    con.execute(
        "CREATE TEMP TABLE scored AS SELECT label, sum(of_truth) AS rows, sum(1 - of_truth) AS answered, "
        "sum(is_right) AS good, min(row) FILTER (of_truth = 1) AS first_truth, min(row) AS first FROM ("
        "SELECT t AS label, 1 AS of_truth, CAST(agrees AS INTEGER) AS is_right, row FROM rated UNION ALL "
        "SELECT a, 0, 0, row FROM rated) GROUP BY 1"
    )
    counted = con.execute("SELECT count(*) FROM scored").fetchone()
    labels = int(counted[0]) if counted else 0
    if labels > 2 * FEW_LABELS:
        return [], 0
    found = con.execute(
        "SELECT first_truth, first, rows, answered, good FROM scored ORDER BY rows DESC, answered DESC, first "
        f"LIMIT {_SHOWN_LABELS:d}"
    ).fetchall()
    truths = _texts(con, truth, [first_truth for first_truth, *_ in found if first_truth is not None])
    answers = _texts(con, answer, [first for _, first, *_ in found])
    scores = [
        LabelScore(answers[first] if first_truth is None else truths[first_truth], *map(int, counts))
        for first_truth, first, *counts in found
    ]
    return scores, labels - len(scores)


def _texts(con: "duckdb.DuckDBPyConnection", text: str, rows: Sequence[int]) -> Mapping[int, str]:
    """Return the text of some rows as written, cut to a maximum length."""
    if not rows:
        return {}
    wanted = ", ".join(f"{row:d}" for row in rows)
    sql = f"SELECT row, left(coalesce({text}, ''), {_TEXT_CHARACTERS:d}) FROM joined WHERE row IN ({wanted})"
    return dict(con.execute(sql).fetchall())


def _plain(text: str) -> str:
    """Return the SQL of a text in lower case, with single spaces between words."""
    return f"lower(trim(regexp_replace(coalesce({text}, ''), '\\s+', ' ', 'g')))"
