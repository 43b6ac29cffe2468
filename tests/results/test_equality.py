"""One rule says when an answer is right, whether a trial counts it or a job's profile."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.core.model import Json, Outcome, Recipe, Result
from batchwright.jobs.trials.estimates import count_right
from batchwright.results.equality import are_same
from batchwright.results.summary import compare_with_truth
from batchwright.results.table import ResultTable
from batchwright.tables.frozen import freeze, frozen_rows
from batchwright.tables.rows import write_rows
from batchwright.tables.source import one_file
from tests.support.results import write_results

TEXTS = st.sampled_from(
    [
        *("Yes", " yes\n", "a  b", "Straße", "STRASSE", "", " ", "true", "null", "nan"),
        *("5", "5.0", "+5", "-0", "007", "1e2", "100", "12345678901234567890", "12345678901234567891"),
        *('["A", 1]', '[ "a",1.0]', '{"b":2,"a":"X"}', "[1,"),
    ]
) | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES: Mapping[str, st.SearchStrategy[Json]] = {
    "string": TEXTS,
    "integer": st.integers(-9, 9) | st.integers(-(2**63), 2**63 - 1),
    "number": st.floats(-9, 9) | st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "array": st.lists(TEXTS | NUMBERS | st.booleans() | st.none(), max_size=2),
    "object": st.dictionaries(st.sampled_from(["a", "b"]), TEXTS | NUMBERS, max_size=2),
}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Shoes", " shoes\n"),
        ("STRASSE", "straße"),
        (5, "5"),
        (5, "5.0"),
        ("5", "5.0"),
        ("1e5", "100000"),
        (0.1, "0.10"),
        (-0.0, 0),
        (True, "True"),
        (None, ""),
        (["a", 1], ["A ", 1.0]),
        (["a", 1], '[ "A", 1.0 ]'),
        ({"a": 1, "b": "x"}, {"b": "X", "a": 1.0}),
    ],
)
def test_what_says_the_same_is_the_same(one: Any, other: Any) -> None:
    """A cell of a CSV file is a text, and a model writes as it likes."""
    assert are_same(one, other)
    assert are_same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "b"),
        ("a b", "a  b"),
        ("007", "7"),
        ("1_000", "1000"),
        ("12345678901234567890", "12345678901234567891"),
        (1, True),
        (0, None),
        ("nan", 1),
        ("[1", [1]),
        (["a", "b"], ["b", "a"]),
        (["a,b"], ["a", "b"]),
        ({"a": 1}, {"a": 2}),
    ],
)
def test_what_says_something_else_is_not(one: Any, other: Any) -> None:
    """Numbers that are names keep their zeros and all their digits."""
    assert not are_same(one, other)


def test_lists_that_are_nested_beyond_all_measure_are_texts() -> None:
    """A cell may hold anything."""
    deep = "[" * 100_000 + "]" * 100_000

    assert are_same(deep, f" {deep} ")
    assert not are_same(deep, deep[1:-1])


@settings(max_examples=60, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(VALUES)))
def test_a_trial_and_a_profile_count_the_same_rows_as_right(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    """A model that is chosen on 20 rows is measured on all of them by the same rule."""
    truths = data.draw(st.lists(TEXTS | VALUES[kind], min_size=1, max_size=12))
    answers = data.draw(st.lists(st.none() | VALUES[kind], min_size=len(truths), max_size=len(truths)))
    outcomes: list[Outcome] = ["failed" if answer is None else "answered" for answer in answers]
    results = [
        Result(f"r{number}", outcome, text="{}", values={"x": answer})
        for number, (outcome, answer) in enumerate(zip(outcomes, answers, strict=True))
    ]
    folder = tmp_path_factory.mktemp("equality")
    table = joined(folder, truths, results, kind)

    profile = compare_with_truth(table, "truth", "x", folder)

    read = [cells["truth"] for _, cells in frozen_rows(table.frozen, ["truth"])]
    assert (profile.agree, profile.compared + profile.not_answered) == count_right(results, read, "x")


def joined(folder: Path, truths: Sequence[Json], results: Sequence[Result], kind: str) -> ResultTable:
    """Join *results*, of a property `x` of a type, to rows with *truths*."""
    write_rows([{"id": f"r{number}", "truth": truth} for number, truth in enumerate(truths)], folder / "rows.jsonl")
    source = freeze(one_file(folder / "rows.jsonl", "rows"), folder / "source.parquet", id_column="id").source
    schema = {"type": "object", "properties": {"x": {"type": kind}}}
    recipe = Recipe("/v1/chat/completions", "m", "p", output_schema=schema)
    write_results(results, folder / "results.parquet", recipe, folder / "source.parquet")
    return ResultTable(folder / "source.parquet", folder / "results.parquet", source.columns, recipe, ended=True)
