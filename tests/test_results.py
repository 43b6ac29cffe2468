"""Results joined to their rows: every row is there once, in its place, with what became of it."""

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.causes.problems import Problem, alike
from batchwright.errors import InvalidInput
from batchwright.model import OUTCOMES, Json, Outcome, Recipe, Result
from batchwright.tables.origin import one_file
from batchwright.tables.results import ResultTable, SaveKind, save_kind, write_results
from batchwright.tables.sources import freeze, frozen_rows, write_rows

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
Rows = Sequence[Mapping[str, Json]]


def table(
    folder: Path,
    rows: Rows,
    results: Iterable[Result],
    *,
    properties: Mapping[str, Json] | None = None,
    ended: bool = True,
) -> ResultTable:
    """Freeze *rows*, whose ids are in `id`, write *results*, and join them."""
    source = folder / "rows.jsonl"
    write_rows(rows, source)
    return joined(source, results, properties=properties, ended=ended)


def joined(
    path: Path, results: Iterable[Result], *, properties: Mapping[str, Json] | None = None, ended: bool = True
) -> ResultTable:
    """Freeze the table in *path*, whose ids are in `id`, write *results*, and join them."""
    schema = {"type": "object", "properties": properties} if properties else None
    recipe = Recipe("/v1/chat/completions", "m", "p", output_schema=schema)
    frozen = path.parent / "source.parquet"
    source = freeze(one_file(path, path.name), frozen, id_column="id").source
    write_results(results, path.parent / "results.jsonl", recipe)
    return ResultTable(frozen, path.parent / "results.jsonl", source.columns, recipe, ended)


def answer(custom_id: str, text: str = "ok") -> Result:
    """Give a good answer of text."""
    return Result(custom_id, "answered", text=text)


def values(custom_id: str, **properties: Json) -> Result:
    """Give a good answer that fits a schema."""
    return Result(custom_id, "answered", text=json.dumps(properties), values=properties)


def shown(result_table: ResultTable) -> list[Mapping[str, Json]]:
    """Give all joined rows."""
    return [row for _, row in result_table.rows(outcome=None, offset=0, limit=1_000).rows]


def saved(result_table: ResultTable, kind: SaveKind) -> list[dict[str, Any]]:
    """Save the table, and read it back with another program where there is one."""
    target = result_table.frozen.parent / f"saved.{kind}"
    result_table.save(target, kind)
    match kind:
        case "csv":
            with target.open(newline="", encoding="utf-8") as file:
                return list(csv.DictReader(file, strict=True))
        case "jsonl":
            return [json.loads(line, parse_constant=refused) for line in target.read_bytes().splitlines()]
        case "parquet":
            back = target.parent / "back.parquet"
            source = freeze(one_file(target, "saved"), back, id_column=None).source
            return [dict(row) for _, row in frozen_rows(back, source.columns)]


def refused(constant: str) -> None:
    """Fail on what Python takes for JSON and no other program does."""
    raise AssertionError(f"{constant} is not JSON")


def ids(count: int) -> list[dict[str, Json]]:
    """Give rows of an id only: r1, r2, and so on."""
    return [{"id": f"r{number}"} for number in range(1, count + 1)]


@settings(max_examples=25, deadline=None)
@given(data=st.data(), count=st.integers(1, 30))
def test_rows_keep_the_source_s_order_and_none_is_lost_whatever_order_results_come_in(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, count: int
) -> None:
    """A batch answers in any order, and not for every row."""
    rows = ids(count)
    order = data.draw(st.permutations(range(1, count + 1)))
    outcomes = data.draw(st.lists(st.sampled_from(OUTCOMES[:-2]), max_size=count))
    results = {f"r{n}": Result(f"r{n}", outcome, text=f"text {n}") for n, outcome in zip(order, outcomes, strict=False)}

    found = table(tmp_path_factory.mktemp("join"), rows, results.values())

    expected = [results.get(str(row["id"]), Result(str(row["id"]), "never_ran")) for row in rows]
    assert [(row["id"], row["outcome"], row["answer"]) for row in shown(found)] == [
        (result.custom_id, result.outcome, result.text) for result in expected
    ]
    assert found.counts() == {name: [r.outcome for r in expected].count(name) for name in OUTCOMES}
    assert sum(found.counts().values()) == count


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(st.tuples(TEXT, st.none() | TEXT), min_size=1, max_size=6), kind=st.sampled_from(["jsonl", "parquet"])
)
def test_saved_results_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str | None]], kind: SaveKind
) -> None:
    """The file that the user keeps holds every text to the letter, the source's and the model's."""
    source = [{"id": f"r{number}", "text": text} for number, (text, _) in enumerate(rows)]
    results = [answer(f"r{number}", text) for number, (_, text) in enumerate(rows) if text is not None]

    found = table(tmp_path_factory.mktemp("save"), source, results)

    assert saved(found, kind) == [
        {**row, "answer": text, "outcome": "never_ran" if text is None else "answered", "problem": None}
        for row, (_, text) in zip(source, rows, strict=True)
    ]


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(TEXT.map("x".__add__), min_size=1, max_size=6))
def test_saved_csv_reads_back_equal(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    """Commas, quotes and line breaks stay inside their cell; formulas have tests of their own."""
    source = [{"id": f"r{number}", "text": text} for number, text in enumerate(texts)]

    found = table(tmp_path_factory.mktemp("save"), source, [answer(str(row["id"]), str(row["text"])) for row in source])

    assert [(row["text"], row["answer"]) for row in saved(found, "csv")] == [(text, text) for text in texts]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_results_are_saved_in_the_source_s_order_with_all_columns(tmp_path: Path, kind: SaveKind) -> None:
    """Row 7 of the result is row 7 of the source, so that columns can be pasted beside it."""
    rows = [{"id": f"r{number}", "t": f"t{number}"} for number in range(3_000)]

    found = saved(table(tmp_path, rows, [answer(f"r{number}") for number in reversed(range(3_000))]), kind)

    assert list(found[0]) == ["id", "t", "answer", "outcome", "problem"]
    assert [row["t"] for row in found] == [row["t"] for row in rows]


def test_without_a_schema_the_answer_the_outcome_and_the_problem_are_added(tmp_path: Path) -> None:
    """The user sees beside each row what the model said, or why it said nothing."""
    results = [answer("r1", "hi"), Result("r2", "refused", text="I can't", problem="unsafe")]

    found = table(tmp_path, ids(3), results)

    assert found.answer_columns == ["answer", "outcome", "problem"]
    assert shown(found) == [
        {"id": "r1", "answer": "hi", "outcome": "answered", "problem": None},
        {"id": "r2", "answer": "I can't", "outcome": "refused", "problem": "unsafe"},
        {"id": "r3", "answer": None, "outcome": "never_ran", "problem": None},
    ]


def test_with_a_schema_each_property_is_a_column_and_the_raw_answer_stays_where_it_did_not_fit(tmp_path: Path) -> None:
    """What was paid for is kept, also when it cannot be put into columns."""
    results = [values("r1", label="a"), Result("r2", "not_fitting", text='{"label":', problem="not JSON")]

    found = table(tmp_path, ids(2), results, properties={"label": {"type": "string"}})

    assert found.answer_columns == ["label", "raw_answer", "outcome", "problem"]
    assert shown(found) == [
        {"id": "r1", "label": "a", "raw_answer": None, "outcome": "answered", "problem": None},
        {"id": "r2", "label": None, "raw_answer": '{"label":', "outcome": "not_fitting", "problem": "not JSON"},
    ]


@pytest.mark.parametrize(
    ("source", "properties", "expected"),
    [
        pytest.param(["answer"], [], ["answer_answer", "outcome", "problem"], id="answer"),
        pytest.param(["Outcome", "PROBLEM"], [], ["answer", "answer_outcome", "answer_problem"], id="but for case"),
        pytest.param(["answer", "answer_answer"], [], ["answer_answer_answer", "outcome", "problem"], id="twice"),
        pytest.param(["Label"], ["label"], ["answer_label", "raw_answer", "outcome", "problem"], id="property"),
        pytest.param([], ["answer"], ["answer", "raw_answer", "outcome", "problem"], id="property answer"),
        pytest.param([], ["outcome"], ["outcome", "raw_answer", "answer_outcome", "problem"], id="property outcome"),
        pytest.param([], ["problem"], ["problem", "raw_answer", "outcome", "answer_problem"], id="property problem"),
        pytest.param([], ["raw_answer"], ["raw_answer", "answer_raw_answer", "outcome", "problem"], id="raw_answer"),
        pytest.param([], ["label", "Label"], ["label", "answer_Label", "raw_answer", "outcome", "problem"], id="case"),
        pytest.param(["result outcome"], [], ["answer", "outcome", "problem"], id="result outcome"),
        pytest.param(["Value score"], ["score"], ["score", "raw_answer", "outcome", "problem"], id="value score"),
        pytest.param(['say "hi"'], ['a "b"'], ['a "b"', "raw_answer", "outcome", "problem"], id="quotes"),
        pytest.param(
            ["custom_id", "text", "v0", "r", "s"], ["n"], ["n", "raw_answer", "outcome", "problem"], id="own names"
        ),
        pytest.param(["it's", "a,b", "ä"], ["x y"], ["x y", "raw_answer", "outcome", "problem"], id="any name"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_source_columns_survive_and_a_result_of_the_same_name_gives_way(
    tmp_path: Path, source: list[str], properties: list[str], expected: list[str], kind: SaveKind
) -> None:
    """No name in the user's table or schema may hide a cell, or put another in its place."""
    row: dict[str, Json] = {"id": "r1", **{name: f"source {name}" for name in source}}
    result = (
        values("r1", **{name: f"value {name}" for name in properties}) if properties else answer("r1", "the answer")
    )

    found = table(tmp_path, [row], [result], properties={name: {"type": "string"} for name in properties})

    added: list[Json] = [f"value {name}" for name in properties] + ([None] if properties else ["the answer"])
    cells = {**row, **dict(zip(expected, [*added, "answered", None], strict=True))}
    assert found.answer_columns == expected
    assert found.counts()["answered"] == 1
    assert shown(found) == [cells]
    assert saved(found, kind) == [{name: cell or "" for name, cell in cells.items()} if kind == "csv" else cells]


TYPED: list[tuple[dict[str, Json], Json]] = [
    ({"type": "string"}, "00123"),
    ({"type": "integer"}, 5),
    ({"type": "integer"}, -(2**63)),
    ({"type": "number"}, 1.5),
    ({"type": "boolean"}, True),
    ({"type": ["string", "null"]}, "x"),
    ({"type": ["string", "null"]}, None),
    ({"type": ["integer", "null"]}, 5),
    ({"enum": ["a", "b"]}, "a"),
    ({"type": "string", "enum": ["a", "b"]}, "a"),
    ({"anyOf": [{"type": "string", "enum": ["a", "b"]}, {"type": "null"}]}, "a"),
    ({"anyOf": [{"type": "string", "enum": ["a", "b"]}, {"type": "null"}]}, None),
    ({"type": "array", "items": {"type": "string"}}, ["a", "b"]),
    ({"type": ["array", "null"]}, None),
    ({"type": "object"}, {"k": [1, None]}),
    ({"enum": ["a", 1]}, 1),
    ({"type": "integer"}, 10**22),
]


@pytest.mark.parametrize(("schema", "value"), TYPED)
def test_a_property_is_shown_as_the_value_that_it_is(tmp_path: Path, schema: dict[str, Json], value: Json) -> None:
    """Numbers can be added up and lists counted, and a text has no quotes of its own."""
    found = shown(table(tmp_path, ids(2), [values("r1", p=value)], properties={"p": schema}))

    assert found[0]["p"] == value
    assert type(found[0]["p"]) is type(value)
    assert found[1]["p"] is None


@pytest.mark.parametrize(("schema", "value"), TYPED)
def test_a_property_is_saved_as_json_as_the_value_that_it_is(
    tmp_path: Path, schema: dict[str, Json], value: Json
) -> None:
    """A program that reads the file gets what the model answered."""
    found = saved(table(tmp_path, ids(2), [values("r1", p=value)], properties={"p": schema}), "jsonl")

    assert found[0]["p"] == value
    assert found[1]["p"] is None


@pytest.mark.parametrize(
    ("schema", "value", "cell"),
    [
        ({"type": "string"}, 'say "hi"', 'say "hi"'),
        ({"enum": ["a", "b"]}, "a", "a"),
        ({"anyOf": [{"type": "string", "enum": ["a", "b"]}, {"type": "null"}]}, "a", "a"),
        ({"anyOf": [{"type": "string", "enum": ["a", "b"]}, {"type": "null"}]}, None, ""),
        ({"type": "integer"}, -5, "-5"),
        ({"type": "boolean"}, False, "false"),
        ({"type": "array"}, ["a"], '["a"]'),
    ],
)
def test_a_property_is_saved_as_csv_in_plain_writing(
    tmp_path: Path, schema: dict[str, Json], value: Json, cell: str
) -> None:
    """In a spreadsheet a label is a label, without the quotes of JSON."""
    found = saved(table(tmp_path, ids(1), [values("r1", p=value)], properties={"p": schema}), "csv")

    assert found[0]["p"] == cell


def test_one_answer_with_an_enormous_number_does_not_hide_the_others(tmp_path: Path) -> None:
    """A single odd answer among 50,000 must not keep the user from those that were paid for."""
    properties = {"n": {"type": "integer"}}

    found = table(
        tmp_path, ids(3), [values("r1", n=1), values("r2", n=1e300), values("r3", n=3)], properties=properties
    )

    assert [row["n"] for row in shown(found)][::2] == [1, 3]
    assert found.counts()["answered"] == 3
    assert len(saved(found, "csv")) == 3


def test_a_result_of_many_megabytes_can_be_joined(tmp_path: Path) -> None:
    """One embedding request may hold two thousand texts, and its answer is one line."""
    found = table(tmp_path, ids(2), [answer("r1", "x" * 40_000_000), answer("r2")])

    assert found.counts()["answered"] == 2


@pytest.mark.parametrize("value", ["x", 5, 1.5, True, None, ["=x"], {"k": "v"}])
def test_a_source_cell_is_shown_as_it_was_given_whatever_else_its_column_holds(tmp_path: Path, value: Json) -> None:
    """The user knows the row by its cells."""
    rows: Rows = [{"id": "r1", "mixed": value}, {"id": "r2", "mixed": "text"}, {"id": "r3", "mixed": 7}]

    found = shown(table(tmp_path, rows, []))

    assert [row["mixed"] for row in found] == [value, "text", 7]


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("http://evil.example","x")',
        "@SUM(A1:A9)",
        "+cmd|' /C calc'!A0",
        "-1+1",
        "-2+3+cmd",
        "\t=1+1",
        "\r=1+1",
        "＝1+1",
        "＋1+1",
        "－1+1",
        "＠SUM(A1)",
    ],
)
def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe_in_csv_only(tmp_path: Path, text: str) -> None:
    """A row's author, or the model, must not run anything on the machine of who opens the file."""
    rows = [{"id": "r1", "source": text}]

    found = table(tmp_path, rows, [answer("r1", text)])

    assert [(row["source"], row["answer"]) for row in saved(found, "csv")] == [(f"'{text}", f"'{text}")]
    assert [(row["source"], row["answer"]) for row in saved(found, "jsonl")] == [(text, text)]
    assert [(row["source"], row["answer"]) for row in saved(found, "parquet")] == [(text, text)]
    assert shown(found)[0]["answer"] == text


@pytest.mark.parametrize("text", ["+1", "-1.5", "-1e5", "+0.25", "x=1", "a@b.example", "1-2", "'=kept"])
def test_a_number_or_a_text_that_runs_nothing_is_saved_as_it_is(tmp_path: Path, text: str) -> None:
    """A column of amounts must still add up."""
    found = table(tmp_path, [{"id": "r1", "source": text}], [answer("r1", text)])

    assert [(row["source"], row["answer"]) for row in saved(found, "csv")] == [(text, text)]


def test_properties_and_problems_are_made_harmless_too(tmp_path: Path) -> None:
    """Every text that the model or the provider wrote ends up in the same file."""
    results = [values("r1", label="=1+1"), Result("r2", "failed", problem="@SUM(A1)")]

    found = saved(table(tmp_path, ids(2), results, properties={"label": {"type": "string"}}), "csv")

    assert [found[0]["label"], found[1]["problem"]] == ["'=1+1", "'@SUM(A1)"]


def test_a_column_name_that_a_spreadsheet_would_run_is_made_harmless_in_csv(tmp_path: Path) -> None:
    """The header is a row of cells like the others."""
    found = table(tmp_path, [{"id": "r1", "=1+1": "x"}], [answer("r1")])

    found.save(tmp_path / "t.csv", "csv")

    assert (tmp_path / "t.csv").read_text().splitlines()[0] == "id,'=1+1,answer,outcome,problem"


def test_a_long_text_is_never_cut_when_it_is_saved(tmp_path: Path) -> None:
    """Some spreadsheets take 32,767 characters; the file holds them all."""
    text = "x" * 40_000

    found = table(tmp_path, [{"id": "r1", "source": text}], [answer("r1", text)])

    assert [(row["source"], row["answer"]) for row in saved(found, "csv")] == [(text, text)]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_an_absent_cell_and_an_empty_text_are_told_apart_when_they_are_saved(tmp_path: Path, kind: SaveKind) -> None:
    """A row that got an empty answer is not one that got none."""
    found = table(tmp_path, ids(2), [answer("r1", "")])
    target = tmp_path / f"t.{kind}"
    found.save(target, kind)

    source = freeze(one_file(target, "t"), tmp_path / "back.parquet", id_column=None).source

    assert [row["answer"] for _, row in frozen_rows(tmp_path / "back.parquet", source.columns)] == ["", None]


def test_parquet_cells_of_every_type_are_saved_as_valid_json(tmp_path: Path) -> None:
    """JSON has no NaN; dates, decimals and lists stay readable."""
    import duckdb

    path = tmp_path / "t.parquet"
    with duckdb.connect() as con:
        con.execute(
            "COPY (SELECT 'r1' id, 'NaN'::DOUBLE x, 'inf'::DOUBLE y, DATE '2024-01-01' d, 1.50::DECIMAL(9,2) c, "
            f"['=x'] l, {{'k': 1}} s) TO '{path}' (FORMAT parquet)"
        )

    found = saved(joined(path, [answer("r1")]), "jsonl")

    assert found[0] == {
        "id": "r1",
        "x": None,
        "y": None,
        "d": "2024-01-01",
        "c": 1.5,
        "l": ["=x"],
        "s": {"k": 1},
        "answer": "ok",
        "outcome": "answered",
        "problem": None,
    }


def test_every_outcome_is_counted_by_name_and_can_be_asked_for(tmp_path: Path) -> None:
    """The counts add up to the rows, and no row hides behind another's name."""
    given_outcomes: tuple[Outcome, ...] = OUTCOMES[:-2]
    results = [Result(f"r{n}", outcome, text="t") for n, outcome in enumerate(given_outcomes, 1)]

    found = table(tmp_path, ids(len(results) + 2), results)

    assert found.counts() == {**dict.fromkeys(given_outcomes, 1), "never_ran": 2, "running": 0}
    for number, outcome in enumerate(given_outcomes, 1):
        page = found.rows(outcome=outcome, offset=0, limit=9)
        assert ([row["id"] for _, row in page.rows], page.matching) == ([f"r{number}"], 1)


def test_a_row_without_a_result_is_running_until_the_job_has_ended(tmp_path: Path) -> None:
    """Only then it is certain that no answer will come."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    before = table(tmp_path / "a", ids(3), [answer("r2")], ended=False)
    after = table(tmp_path / "b", ids(3), [answer("r2")], ended=True)

    assert [row["outcome"] for row in shown(before)] == ["running", "answered", "running"]
    assert [row["outcome"] for row in shown(after)] == ["never_ran", "answered", "never_ran"]


def test_a_job_without_any_result_has_all_its_rows(tmp_path: Path) -> None:
    """A batch that was cancelled at once has written nothing."""
    found = table(tmp_path, ids(2), [])

    assert found.counts()["never_ran"] == 2
    assert len(saved(found, "csv")) == 2


def test_a_result_that_belongs_to_no_row_adds_none(tmp_path: Path) -> None:
    """A provider's stray line is not the user's data."""
    found = table(tmp_path, ids(1), [answer("r1"), answer("stranger")])

    assert sum(found.counts().values()) == 1


def test_pages_put_end_to_end_are_all_rows_with_their_numbers(tmp_path: Path) -> None:
    """The assistant reads on where it stopped, and names rows by their place in the source."""
    results = [answer(f"r{n}") if n % 2 else Result(f"r{n}", "failed", problem="p") for n in range(1, 12)]
    found = table(tmp_path, ids(11), results)

    pages = [found.rows(outcome="failed", offset=offset, limit=2) for offset in range(0, 6, 2)]

    assert [(number, row["id"]) for page in pages for number, row in page.rows] == [
        (number, f"r{number}") for number in range(2, 12, 2)
    ]
    assert {page.matching for page in pages} == {5}


def test_a_page_beyond_the_end_is_empty_and_still_says_how_many_there_are(tmp_path: Path) -> None:
    """The assistant learns that it is past the end, not that there is nothing."""
    page = table(tmp_path, ids(3), []).rows(outcome=None, offset=10, limit=5)

    assert (page.rows, page.matching) == ([], 3)


def test_problems_are_grouped_by_outcome_and_words_the_most_frequent_first(tmp_path: Path) -> None:
    """Of 5,000 failures the user wants to know the three causes, and some rows to look at."""
    results = [answer("r1")]
    results += [Result(f"r{n}", "failed", problem="HTTP 500: oops") for n in (2, 3, 4, 8)]
    results += [Result(f"r{n}", "refused", problem="unsafe") for n in (5, 6)]
    found = table(tmp_path, ids(8), [*results, Result("r7", "expired")])

    assert found.problems(9) == [
        Problem("failed", "HTTP 500: oops", 4, ("r2", "r3", "r4")),
        Problem("refused", "unsafe", 2, ("r5", "r6")),
        Problem("expired", None, 1, ("r7",)),
    ]
    assert found.problems(1) == [Problem("failed", "HTTP 500: oops", 4, ("r2", "r3", "r4"))]


def test_50_000_problems_that_differ_in_numbers_ids_and_quotes_are_a_few(tmp_path: Path) -> None:
    """Each row may be told its own request id; what the assistant reads stays short."""
    words = [
        "HTTP 429: Limit {n}, used {n}. Try again in {n}s.",
        "HTTP 400: Unsupported value: 'temperature' does not support 0.{n}",
        "HTTP 400: Unsupported value: 'top_p' does not support 0.{n} (req_{n:024x})",
        'label: "value {n}" is not one of "a" or "b"',
        "HTTP 503: Limit {n}, used {n}. Try again in {n}s.",
    ]
    results = [
        Result(f"r{n}", "not_fitting" if n % 5 == 3 else "failed", problem=words[n % 5].format(n=n))
        for n in range(1, 50_001)
    ]
    found = table(tmp_path, ids(50_000), results).problems(50)

    assert sorted((problem.outcome, problem.rows) for problem in found) == [
        *[("failed", 10_000)] * 4,
        ("not_fitting", 10_000),
    ]
    assert found[0] == Problem("failed", words[1].format(n=1), 10_000, ("r1", "r6", "r11"))


@pytest.mark.parametrize(
    "words",
    [
        "HTTP 400 (code unsupported_value, param temperature): Unsupported value: 'temperature' does not support 0.2",
        "HTTP 404: The model `a-b.c` does not exist",
        'tags/0: {"a":"it\'s"} is not of type "string"',
        "its batch failed (invalid_image_url: Timeout while downloading https://h/x?y=1.)",
        'label: "a value that was cut off in the mi',
        "Rate limit in organization org-AbC on tokens: Limit 3, Used 2.",
        "été 12 “quoted” ￼\n2",
    ],
)
def test_python_and_duckdb_make_words_alike_in_the_same_way(tmp_path: Path, words: str) -> None:
    """Large tables are grouped by the one, their groups by the other."""
    other = re.sub("[0-9]+", "77", words) if re.search("[0-9]", words) and not words.startswith("HTTP") else words
    results = [Result("r1", "failed", problem=words), Result("r2", "failed", problem=other)]
    found = table(tmp_path, ids(2), results)

    assert len(found.problems(9)) == len({alike(words), alike(other)}) == 1


def test_rows_that_are_still_running_are_no_problem(tmp_path: Path) -> None:
    """Nothing is wrong with them yet."""
    found = table(tmp_path, ids(2), [answer("r1")], ended=False)

    assert found.problems(9) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [("t.csv", "csv"), ("T.CSV", "csv"), ("t.jsonl", "jsonl"), ("t.ndjson", "jsonl"), ("t.parquet", "parquet")],
)
def test_the_ending_says_what_kind_of_file_is_saved(name: str, kind: SaveKind) -> None:
    """The user asks for a file by its name only."""
    assert save_kind(Path(name)) == kind


@pytest.mark.parametrize("name", ["t.xlsx", "t", "t.csv.gz", "csv"])
def test_an_ending_that_cannot_be_written_is_refused(name: str) -> None:
    """Better than a CSV that is called a spreadsheet."""
    with pytest.raises(InvalidInput, match=r"\.csv, \.jsonl or \.parquet"):
        save_kind(Path(name))


def test_saving_to_a_name_with_quotes_and_stars_writes_that_file(tmp_path: Path) -> None:
    """Names are put into SQL, and must not end the text there."""
    folder = tmp_path / "it's [1]"
    folder.mkdir()
    found = table(tmp_path, ids(1), [])

    found.save(folder / "a*b.csv", "csv")

    assert [path.name for path in folder.iterdir()] == ["a*b.csv"]
