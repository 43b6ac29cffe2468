"""The profile of answers: its counts are those that one would make by hand."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.core.model import Json, Outcome, Recipe, Result
from batchwright.results.summary import AnswerColumn, Pair, ValueRange, answer_columns, compare_with_truth
from batchwright.results.table import ResultTable
from batchwright.tables.frozen import freeze
from batchwright.tables.rows import write_rows
from batchwright.tables.source import one_file
from tests.support.results import write_results

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LABELS = st.sampled_from(["a", "b", "A", " a ", "a b", "a  b", "", "5", "5.0", "5.00", "é", "É"])


def table(folder: Path, truths: "Sequence[str]", answers: "Sequence[str | None]", **schema: Json) -> ResultTable:
    """Join *answers*, each to its row; None: that row failed."""
    write_rows([{"id": f"r{n}", "truth": truth} for n, truth in enumerate(truths)], folder / "rows.jsonl")
    source = freeze(one_file(folder / "rows.jsonl", "rows"), folder / "source.parquet", id_column="id").source
    recipe = Recipe("/v1/chat/completions", "m", "p", output_schema=schema or None)
    outcomes: list[Outcome] = ["failed" if answer is None else "answered" for answer in answers]
    results = [Result(f"r{n}", outcomes[n], text=answer) for n, answer in enumerate(answers)]
    write_results(results, folder / "results.parquet", recipe, folder / "source.parquet")
    return ResultTable(folder / "source.parquet", folder / "results.parquet", source.columns, recipe, ended=True)


def valued(
    folder: Path, values: "Sequence[Mapping[str, Json]]", properties: "Mapping[str, Json]"
) -> list[AnswerColumn]:
    """Describe answers that fit a schema."""
    write_rows([{"id": f"r{n}"} for n in range(len(values))], folder / "rows.jsonl")
    source = freeze(one_file(folder / "rows.jsonl", "rows"), folder / "source.parquet", id_column="id").source
    recipe = Recipe("/v1/chat/completions", "m", "p", output_schema={"type": "object", "properties": properties})
    results = [Result(f"r{n}", "answered", text="{}", values=value) for n, value in enumerate(values)]
    write_results(results, folder / "results.parquet", recipe, folder / "source.parquet")
    return answer_columns(
        ResultTable(folder / "source.parquet", folder / "results.parquet", source.columns, recipe, ended=True)
    )


def plain(text: str) -> str:
    """Leave out what does not count in a comparison."""
    words = text.lower().strip()
    return str(float(words)) if words.replace(".", "").isdigit() else words


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(answers=st.lists(st.none() | LABELS, min_size=1, max_size=30))
def test_values_are_counted_as_by_hand(tmp_path_factory: pytest.TempPathFactory, answers: list[str | None]) -> None:
    """A count that is wrong is worse than none."""
    found = answer_columns(table(tmp_path_factory.mktemp("p"), ["x"] * len(answers), answers))[0]

    good = [answer for answer in answers if answer is not None]
    counts = Counter(answer for answer in good if answer.strip())
    assert (found.filled, found.empty) == (counts.total(), len(good) - counts.total())
    assert (found.distinct, found.once) == (len(counts), sum(count == 1 for count in counts.values()))
    assert Counter({value.text: value.rows for value in found.top}) <= counts
    assert len(found.top) + found.left_out == len(counts)
    assert [value.rows for value in found.top] == sorted(counts.values(), reverse=True)[:10]
    alike = Counter(" ".join(answer.lower().split()) for answer in counts)
    assert len(found.alike) == min(3, sum(count > 1 for count in alike.values()))


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(pairs=st.lists(st.tuples(LABELS, st.none() | LABELS), min_size=1, max_size=30))
def test_agreement_is_counted_as_by_hand(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str | None]]
) -> None:
    """It decides whether a model is good enough for 50,000 rows."""
    truths, answers = [truth for truth, _ in pairs], [answer for _, answer in pairs]

    folder = tmp_path_factory.mktemp("p")
    found = compare_with_truth(table(folder, truths, answers), "truth", "answer", folder)

    known = [(plain(truth), None if answer is None else plain(answer)) for truth, answer in pairs if plain(truth)]
    compared = [(truth, answer) for truth, answer in known if answer is not None]
    assert found.without_truth == len(pairs) - len(known)
    assert found.not_answered == len(known) - len(compared)
    assert (found.compared, found.agree) == (len(compared), sum(truth == answer for truth, answer in compared))
    wrong = Counter((truth, answer) for truth, answer in compared if truth != answer)
    assert [pair.rows for pair in found.pairs] == sorted(wrong.values(), reverse=True)[:8]
    assert all(wrong[plain(pair.truth), plain(pair.answered)] == pair.rows for pair in found.pairs)
    assert len(found.pairs) + found.pairs_left_out == len(wrong)
    of_truth, of_answer = Counter(truth for truth, _ in compared), Counter(answer for _, answer in compared)
    assert len(found.labels) + found.labels_left_out == len(of_truth.keys() | of_answer.keys())
    for score in found.labels:
        label = plain(score.label)
        right = sum(truth == answer == label for truth, answer in compared)
        assert (score.rows, score.answered, score.right) == (of_truth[label], of_answer[label], right)


def test_columns_of_every_type_are_described(tmp_path: Path) -> None:
    """Numbers have a range, labels have counts, and lists are compared as they are written."""
    values = [{"n": n, "x": n / 2, "ok": n > 1, "tags": ["a"] * (n % 2), "t": None if n else "x"} for n in range(4)]
    properties = {
        "n": {"type": "integer"},
        "x": {"type": "number"},
        "ok": {"type": "boolean"},
        "tags": {"type": "array"},
        "t": {"type": ["string", "null"]},
    }

    n, x, ok, tags, t = valued(tmp_path, values, properties)

    assert (n.numbers, x.numbers) == (ValueRange(0, 1.5, 3), ValueRange(0, 0.75, 1.5))
    assert [(value.text, value.rows) for value in ok.top] == [("false", 2), ("true", 2)]
    assert [(value.text, value.rows) for value in tags.top] == [("[]", 2), ('["a"]', 2)]
    assert (t.filled, t.empty, t.lengths) == (1, 3, ValueRange(1, 1, 1))


def test_long_texts_are_no_labels_but_those_that_repeat_are_told(tmp_path: Path) -> None:
    """Of 50,000 summaries only the one that comes 500 times is odd."""
    answers = [f"a summary of its own, {number}, " + "long " * 40 for number in range(100)]
    answers += ["I cannot help with that. " + "Sorry. " * 20] * 7

    found = answer_columns(table(tmp_path, ["x"] * len(answers), list(answers)))[0]

    assert (found.distinct, found.once, found.left_out) == (101, 100, 0)
    assert [(value.text[:8], value.rows) for value in found.top] == [("I cannot", 7)]


def test_what_differs_in_a_long_number_does_not_agree(tmp_path: Path) -> None:
    """Two ids may be the same as floating-point numbers, and are two ids."""
    truths = ["12345678901234567890", "007", "1e5", "nan", "5"]
    answers = ["12345678901234567891", "7", "100000", "NaN", " 5.0"]

    found = compare_with_truth(table(tmp_path, truths, list(answers)), "truth", "answer", tmp_path)

    assert (found.compared, found.agree) == (5, 3)
    assert Pair("12345678901234567890", "12345678901234567891", 1) in found.pairs
    assert Pair("007", "7", 1) in found.pairs


def test_a_job_without_a_good_answer_has_a_profile_too(tmp_path: Path) -> None:
    """The assistant asks before it knows."""
    made = table(tmp_path, ["a", "b"], [None, None])

    found, compared = answer_columns(made)[0], compare_with_truth(made, "truth", "answer", tmp_path)

    assert (found.filled, found.empty, found.distinct, found.lengths, found.top) == (0, 0, 0, None, [])
    assert (compared.compared, compared.not_answered, compared.pairs, compared.labels) == (0, 2, [], [])
