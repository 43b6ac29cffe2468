"""Results joined to their rows: every row is there once, in its place, with what became of it."""

import csv
import json
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.core.errors import InvalidInput
from batchwright.core.model import OUTCOMES, Json, Outcome, Recipe, Result
from batchwright.core.problem import Problem
from batchwright.results.causes.signs import ProblemRows, alike
from batchwright.results.table import ResultTable
from batchwright.tables.connection import MemoryBounds
from batchwright.tables.frozen import CUSTOM_ID, ROW, freeze, frozen_rows
from batchwright.tables.rows import write_rows
from batchwright.tables.saving import SaveKind
from batchwright.tables.source import one_file
from tests.support.results import write_results

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
Rows = Sequence[Mapping[str, Json]]


def table(
    folder: Path,
    rows: Rows,
    results: Iterable[Result],
    *,
    properties: Mapping[str, Json] | None = None,
    recipe: Recipe | None = None,
    ended: bool = True,
) -> ResultTable:
    """Freeze *rows*, whose ids are in `id`, write *results*, and join them."""
    source = folder / "rows.jsonl"
    write_rows(rows, source)
    return joined(source, results, properties=properties, recipe=recipe, ended=ended)


def joined(
    path: Path,
    results: Iterable[Result],
    *,
    properties: Mapping[str, Json] | None = None,
    recipe: Recipe | None = None,
    ended: bool = True,
) -> ResultTable:
    """Freeze the table in *path*, whose ids are in `id`, write *results*, and join them."""
    schema = {"type": "object", "properties": properties} if properties else None
    recipe = recipe or Recipe("/v1/chat/completions", "m", "p", output_schema=schema)
    frozen = path.parent / "source.parquet"
    source = freeze(one_file(path, path.name), frozen, id_column="id").source
    write_results(results, path.parent / "results.parquet", recipe, frozen)
    return ResultTable(frozen, path.parent / "results.parquet", source.columns, recipe, ended)


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
        case "xlsx":
            return sheet(target)


def sheet(path: Path) -> list[dict[str, Any]]:
    """Read the rows of an Excel file."""
    import python_calamine

    header, *rows = python_calamine.load_workbook(str(path)).get_sheet_by_index(0).to_python(skip_empty_area=False)  # pyright: ignore[reportUnknownMemberType]  # not generic there
    return [dict(zip(map(str, header), row, strict=True)) for row in rows]


def refused(constant: str) -> None:
    """Fail on what Python takes for JSON and no other program does."""
    raise AssertionError(f"{constant} is not JSON")


def ids(count: int) -> list[dict[str, Json]]:
    """Give rows of an id only: r1, r2, and so on."""
    return [{"id": f"r{number}"} for number in range(1, count + 1)]


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    results = [answer("r1", "hi"), Result("r2", "refused", text="I can't", problem=Problem.said("unsafe"))]

    found = table(tmp_path, ids(3), results)

    assert found.answer_columns == ["answer", "outcome", "problem"]
    assert shown(found) == [
        {"id": "r1", "answer": "hi", "outcome": "answered", "problem": None},
        {"id": "r2", "answer": "I can't", "outcome": "refused", "problem": "unsafe"},
        {"id": "r3", "answer": None, "outcome": "never_ran", "problem": None},
    ]


def test_with_a_schema_each_property_is_a_column_and_the_raw_answer_stays_where_it_did_not_fit(tmp_path: Path) -> None:
    """What was paid for is kept, also when it cannot be put into columns."""
    results = [values("r1", label="a"), Result("r2", "not_fitting", text='{"label":', problem=Problem.said("not JSON"))]

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


@pytest.mark.parametrize("endpoint_text", ["[0.1,-0.25,1e-07]", "[[0.1,-0.25],[1.5,2.0]]"])
def test_an_embedding_is_a_list_of_floats_in_parquet_and_json_elsewhere(tmp_path: Path, endpoint_text: str) -> None:
    """Programs compute with it as it is; and each number is written as the provider wrote it."""
    recipe = Recipe("/v1/embeddings", "m", "p")
    found = table(tmp_path, ids(2), [answer("r1", endpoint_text)], recipe=recipe)
    vector = json.loads(endpoint_text)

    assert found.answer_columns == ["embedding", "outcome", "problem"]
    assert shown(found)[0]["embedding"] == vector
    assert json.loads(saved(found, "csv")[0]["embedding"]) == vector
    assert saved(found, "jsonl")[0]["embedding"] == vector
    assert saved(found, "jsonl")[1]["embedding"] is None
    found.save(tmp_path / "v.parquet", "parquet")
    import duckdb

    with duckdb.connect() as con:
        types = con.execute(f"SELECT typeof(embedding), embedding FROM '{tmp_path}/v.parquet'").fetchall()
    assert types[0][0] == ("FLOAT[][]" if isinstance(vector[0], list) else "FLOAT[]")
    assert types[1][1] is None


@pytest.mark.parametrize("odd", ["[1e300,1]", '["x"]', "[[1],2]"])
def test_a_vector_that_is_no_list_of_floats_is_kept_as_it_came(tmp_path: Path, odd: str) -> None:
    """A provider's odd answer must not keep the user from the others, and is not made another."""
    found = table(tmp_path, ids(2), [answer("r1", "[0.5]"), answer("r2", odd)], recipe=Recipe("/v1/embeddings", "m"))

    assert [row["embedding"] for row in shown(found)] == [[0.5], json.loads(odd)]
    assert [row["embedding"] for row in saved(found, "jsonl")] == [[0.5], json.loads(odd)]


def test_chosen_columns_are_shown_and_saved_in_the_order_asked_for(tmp_path: Path) -> None:
    """Of 40 columns the user wants three in the file."""
    rows = [{"id": f"r{n}", "a\u202eb": n, "t": "x"} for n in (1, 2)]
    found = table(tmp_path, rows, [answer("r2")])
    columns = ["answer", "ab", "row", "custom_id"]

    page = found.rows(outcome=None, offset=0, limit=9, columns=columns)
    found.save(tmp_path / "t.jsonl", "jsonl", columns)

    expected = [
        {"answer": None, "a\u202eb": 1, "row": 1, "custom_id": "r1"},
        {"answer": "ok", "a\u202eb": 2, "row": 2, "custom_id": "r2"},
    ]
    assert [row for _, row in page.rows] == expected
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert lines == expected
    assert list(page.rows[0][1]) == list(lines[0]) == list(expected[0])


def test_a_column_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    """The assistant corrects the name at the next call."""
    found = table(tmp_path, ids(1), [])

    with pytest.raises(
        InvalidInput, match=r"There is no column 'labl'. Columns: 'id', 'answer', 'outcome', 'problem', 'row',"
    ):
        found.rows(outcome=None, offset=0, limit=1, columns=["labl"])


def test_a_source_s_own_row_and_custom_id_are_kept(tmp_path: Path) -> None:
    """The names of what is added give way, as those of answers do."""
    found = table(tmp_path, [{"id": "r1", "row": "mine", "Custom_ID": "too"}], [answer("r1")])

    page = found.rows(outcome=None, offset=0, limit=1, columns=["row", "answer_row", "answer_custom_id", "Custom_ID"])

    assert list(page.rows[0][1].values()) == ["mine", 1, "r1", "too"]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(data=st.data(), count=st.integers(1, 40))
def test_rows_that_share_an_id_each_appear_once_in_order_however_the_source_lies(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, count: int
) -> None:
    """Identical rows are asked once, and a file of rows may have been written in another order."""
    folder = tmp_path_factory.mktemp("shared")
    of_row = data.draw(st.lists(st.integers(1, count), min_size=count, max_size=count))
    order = data.draw(st.permutations(range(count)))
    answered = data.draw(st.sets(st.integers(1, count)))
    frozen, results = folder / "source.parquet", folder / "results.parquet"
    import duckdb

    lines = ", ".join(f"({place + 1}, 'id{of_row[place]}', 't{place + 1}')" for place in order)
    with duckdb.connect() as con:
        con.execute(f'COPY (FROM (VALUES {lines}) AS t("{ROW}", "{CUSTOM_ID}", t)) TO \'{frozen}\' (FORMAT parquet)')
    recipe = Recipe("/v1/chat/completions", "m", "p")
    write_results((answer(f"id{number}", f"a{number}") for number in sorted(answered)), results, recipe, frozen)

    found = ResultTable(frozen, results, ("t",), recipe, ended=True)
    page = found.rows(outcome=None, offset=0, limit=100)

    expected = [f"a{number}" if number in answered else None for number in of_row]
    assert [number for number, _ in page.rows] == list(range(1, count + 1))
    assert [row["t"] for _, row in page.rows] == [f"t{number}" for number in range(1, count + 1)]
    assert [row["answer"] for _, row in page.rows] == expected
    assert [row["answer"] for row in saved(found, "jsonl")] == expected


def test_results_of_another_source_are_never_shown_beside_its_rows(tmp_path: Path) -> None:
    """They are read side by side: were a file put in another's place, every answer would stand at a wrong row."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = table(tmp_path / "a", ids(3), [answer("r1")]), table(tmp_path / "b", ids(2), [answer("r1")])
    mixed = ResultTable(one.frozen, other.results, one.columns, one.recipe, ended=True)

    for asked in (mixed.counts, lambda: shown(mixed), lambda: mixed.save(tmp_path / "t.csv", "csv")):
        with pytest.raises(InvalidInput, match="no longer match the rows"):
            asked()


def big_table(folder: Path, count: int, text: str) -> ResultTable:
    """Make a table of *count* rows with a *text* each, whose results came in another order."""
    import duckdb

    with duckdb.connect() as con:
        con.execute(
            f"COPY (SELECT i AS {ROW}, 'row-' || i AS {CUSTOM_ID}, i AS n, {text} AS t "
            f"FROM range(1, {count + 1}) t(i)) "
            f"TO '{folder}/source.parquet' (FORMAT parquet, ROW_GROUP_SIZE 2048)"
        )
    recipe = Recipe("/v1/chat/completions", "m", "p")
    # 700,001 is prime to the count, so that each number comes once.
    results = (answer(f"row-{number}", f"a{number}") for number in (1 + i * 700_001 % count for i in range(count)))
    write_results(results, folder / "results.parquet", recipe, folder / "source.parquet")
    return ResultTable(folder / "source.parquet", folder / "results.parquet", ("n", "t"), recipe, ended=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "text"),
    [
        pytest.param(50_000, "repeat(md5(i::VARCHAR), 70)", id="long rows"),
        pytest.param(1_000_000, "'x'", id="many rows"),
    ],
)
def test_a_large_table_is_saved_in_order_with_little_memory(tmp_path: Path, count: int, text: str) -> None:
    """Nothing large is hashed or sorted: 110 MB of rows go through a DuckDB that may use half of that, and no disk."""
    found = replace(big_table(tmp_path, count, text), memory=MemoryBounds("64MB"))

    found.save(tmp_path / "t.csv", "csv")

    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        assert next(rows) == ["n", "t", "answer", "outcome", "problem"]
        numbers = [(row[0], row[2]) for row in rows]
    assert numbers == [(str(number), f"a{number}") for number in range(1, count + 1)]
    assert not list(tmp_path.glob("spill/*"))


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
    results = [values("r1", label="=1+1"), Result("r2", "failed", problem=Problem.said("@SUM(A1)"))]

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
    given_outcomes: list[Outcome] = [outcome for outcome in OUTCOMES if outcome not in {"never_ran", "running"}]
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
    results = [answer(f"r{n}") if n % 2 else Result(f"r{n}", "failed", problem=Problem.said("p")) for n in range(1, 12)]
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
    results += [Result(f"r{n}", "failed", problem=Problem.said("HTTP 500: oops")) for n in (2, 3, 4, 8)]
    results += [Result(f"r{n}", "refused", problem=Problem.said("unsafe")) for n in (5, 6)]
    found = table(tmp_path, ids(8), [*results, Result("r7", "expired")])

    assert found.problems(9) == [
        ProblemRows("failed", Problem.said("HTTP 500: oops"), 4, ("r2", "r3", "r4")),
        ProblemRows("refused", Problem.said("unsafe"), 2, ("r5", "r6")),
        ProblemRows("expired", None, 1, ("r7",)),
    ]
    assert found.problems(1) == [ProblemRows("failed", Problem.said("HTTP 500: oops"), 4, ("r2", "r3", "r4"))]


def test_problems_are_known_by_their_codes_and_keep_whose_words_they_are(tmp_path: Path) -> None:
    """The same words may be a model's, a provider's, or those of this program."""
    problems = [
        Problem.found("lost", "no result"),
        Problem.said("no result", code="gone", status=410, param="input"),
        Problem.said("no result"),
        Problem.found("refused", "no result", "model"),
    ]
    results = [Result(f"r{n}", "failed", problem=problem) for n, problem in enumerate(problems, 1)]
    found = table(tmp_path, ids(4), results)

    assert {each.problem for each in found.problems(9)} == set(problems)


def test_results_of_the_version_before_have_only_words_and_are_read_all_the_same(tmp_path: Path) -> None:
    """They lie in the folders of jobs that ended long ago."""
    words = "the provider has no result for this row"
    found = table(tmp_path, ids(2), [answer("r1"), Result("r2", "failed", problem=Problem.said(words))])
    former = tmp_path / "former.parquet"
    with duckdb.connect() as con:
        kept = f"SELECT * EXCLUDE (told) FROM read_parquet('{found.results}') ORDER BY row"
        con.execute(f"COPY ({kept}) TO '{former}' (FORMAT parquet)")
    former.replace(found.results)

    assert found.problems(9) == [ProblemRows("failed", Problem.found("lost", words), 1, ("r2",))]
    assert [row["problem"] for row in shown(found)] == [None, words]


@pytest.mark.slow
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
        Result(f"r{n}", "not_fitting" if n % 5 == 3 else "failed", problem=Problem.said(words[n % 5].format(n=n)))
        for n in range(1, 50_001)
    ]
    found = table(tmp_path, ids(50_000), results).problems(50)

    assert sorted((problem.outcome, problem.rows) for problem in found) == [
        *[("failed", 10_000)] * 4,
        ("not_fitting", 10_000),
    ]
    assert found[0] == ProblemRows("failed", Problem.said(words[1].format(n=1)), 10_000, ("r1", "r6", "r11"))


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
    results = [Result(f"r{n}", "failed", problem=Problem.said(text)) for n, text in enumerate((words, other), 1)]
    found = table(tmp_path, ids(2), results)

    assert len(found.problems(9)) == len({alike(words), alike(other)}) == 1


def test_rows_that_are_still_running_are_no_problem(tmp_path: Path) -> None:
    """Nothing is wrong with them yet."""
    found = table(tmp_path, ids(2), [answer("r1")], ended=False)

    assert found.problems(9) == []


def test_saving_to_a_name_with_quotes_and_stars_writes_that_file(tmp_path: Path) -> None:
    """Names are put into SQL, and must not end the text there."""
    folder = tmp_path / "it's [1]"
    folder.mkdir()
    found = table(tmp_path, ids(1), [])

    found.save(folder / "a*b.csv", "csv")

    assert [path.name for path in folder.iterdir()] == ["a*b.csv"]


def test_a_column_named_like_parquets_own_numbering_is_joined_like_any_other(tmp_path: Path) -> None:
    """The numbering of the file was asked for, which Parquet refuses to a table that has such a column of its own."""
    rows = [{"id": f"r{number}", "file_row_number": 7, "filename": "x", "file_index": 3} for number in range(3)]
    found = table(tmp_path, rows, [answer("r0"), answer("r2")])

    assert found.counts()["answered"] == 2
    assert [row["file_row_number"] for row in shown(found)] == [7, 7, 7]
    assert [row["answer"] for row in shown(found)] == ["ok", None, "ok"]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ([12345678901234567], ["12345678901234567"]),
        ([-9007199254740993, 1.5], ["-9007199254740993", "1.5"]),
        ([123456789012345678901234567890], ["123456789012345678901234567890"]),
        ([10**16, 5, 0.1], ["1e+16", "5.0", "0.1"]),
    ],
)
def test_a_whole_number_keeps_its_digits_where_any_number_is_allowed(
    tmp_path: Path, given: Sequence[Json], written: Sequence[str]
) -> None:
    """Models give order numbers as numbers; of 17 digits a float keeps 16."""
    results = [values(f"r{place}", n=number) for place, number in enumerate(given)]
    rows = [{"id": f"r{place}"} for place in range(len(given))]
    found = table(tmp_path, rows, results, properties={"n": {"type": "number"}})

    assert [row["n"] for row in shown(found)] == given
    assert [row["n"] for row in saved(found, "csv")] == written


def test_floats_of_four_bytes_are_written_as_they_are_and_not_as_the_doubles_next_to_them(tmp_path: Path) -> None:
    """0.1 in a Parquet file is 0.1 in the prompt, in what is shown, and in a sheet."""
    path = tmp_path / "rows.parquet"
    with duckdb.connect() as con:
        con.execute(f"COPY (SELECT 'r0' AS id, 0.1::FLOAT AS f, 'nan'::FLOAT AS g) TO '{path}' (FORMAT parquet)")
    found = joined(path, [answer("r0")])
    saved_as = tmp_path / "out.xlsx"
    found.save(saved_as, "xlsx")

    assert [row["f"] for _, row in frozen_rows(found.frozen, ["f"])] == [0.1]
    assert (shown(found)[0]["f"], shown(found)[0]["g"]) == (0.1, "nan")
    assert "<v>0.1</v>" in zipfile.ZipFile(saved_as).read("xl/worksheets/sheet1.xml").decode()
