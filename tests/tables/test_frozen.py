"""The user's tables: no cell is lost or changed in silence, and only the named file is reached."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.core.errors import InvalidInput
from batchwright.core.model import Json, Source
from batchwright.tables.connection import MEMORY, MemoryBounds, connection
from batchwright.tables.frozen import CUSTOM_ID, ROW, freeze, frozen_rows
from batchwright.tables.inspection import profile
from batchwright.tables.rows import write_rows
from batchwright.tables.source import ReadingBounds, kind_of, one_file
from tests.support.sources import parquet

if TYPE_CHECKING:
    import duckdb

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NAME = TEXT.filter(lambda text: text.strip() and not set("\r\n") & set(text) and text.lower() not in {ROW, CUSTOM_ID})


def frozen(
    path: Path, id_column: str | None = None, memory: str = MEMORY.memory
) -> tuple[Source, list[tuple[str, Mapping[str, Json]]]]:
    """Freeze the table in *path* beside it, and read it back: the source, and custom_id and cells by row."""
    target = path.parent / "frozen.parquet"
    origin = one_file(path, path.name, bounds=ReadingBounds(memory=MemoryBounds(memory)))
    source = freeze(origin, target, id_column=id_column).source
    return source, list(frozen_rows(target, source.columns))


def cells(folder: Path, name: str, content: str | bytes) -> list[Mapping[str, Json]]:
    """Write a file, freeze it, and give its rows."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [row for _, row in frozen(path)[1]]


def refusal(
    folder: Path, name: str, content: str | bytes, id_column: str | None = None, memory: str = MEMORY.memory
) -> str:
    """Write a file that cannot be used, and give the sentence that says so, checked to be one sentence for a user."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InvalidInput) as caught:
        frozen(path, id_column, memory)
    sentence = str(caught.value)
    assert len(sentence) < 400
    assert str(folder) not in sentence
    assert "Error" not in sentence, "DuckDB's own words are not for the user"
    assert ".." not in sentence
    return sentence


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    """Any table of text: columns that differ, and one to eight rows."""
    columns = draw(st.lists(NAME, min_size=1, max_size=4, unique_by=str.lower))
    row = st.lists(TEXT, min_size=len(columns), max_size=len(columns))
    return columns, draw(st.lists(row, min_size=1, max_size=8))


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(table=tables(), delimiter=st.sampled_from(",;\t|"), line_end=st.sampled_from(["\n", "\r\n"]))
def test_any_table_of_text_survives_cell_for_cell(
    tmp_path_factory: pytest.TempPathFactory, table: tuple[list[str], list[list[str]]], delimiter: str, line_end: str
) -> None:
    """Whatever people write, in whatever script, the model is shown that and nothing else."""
    columns, rows = table
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator=line_end).writerows([columns, *rows])
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(buffer.getvalue().encode())

    source, found = frozen(path)

    assert source.columns == tuple(columns)
    assert [list(row.values()) for _, row in found] == rows
    assert [custom_id for custom_id, _ in found] == [f"row-{number}" for number in range(1, len(rows) + 1)]


def test_a_cell_that_looks_like_a_number_a_date_or_nothing_stays_the_text_it_is(tmp_path: Path) -> None:
    """A postal code keeps its zeros, and somebody's name is Null."""
    rows = cells(tmp_path, "t.csv", "zip,n,d,x\n00123,1e5,2024-02-30,NULL\n007,+1,true,NA\n")

    assert [list(row.values()) for row in rows] == [["00123", "1e5", "2024-02-30", "NULL"], ["007", "+1", "true", "NA"]]


def test_an_empty_cell_is_absent_and_a_quoted_empty_one_is_an_empty_text(tmp_path: Path) -> None:
    """Quotes mean a text, even an empty one."""
    rows = cells(tmp_path, "t.csv", 'a,b,c\n,"",x\n"","",\n')

    assert rows == [{"a": None, "b": "", "c": "x"}, {"a": "", "b": "", "c": None}]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_blank_line_is_no_row_also_where_there_is_one_column(tmp_path: Path, end: str) -> None:
    """Lists of texts often end with a few; they were taken for rows, and the file for one that is broken."""
    lines = ["text", "a", "", '""', "b", "", ""]

    assert cells(tmp_path, "t.csv", end.join(lines) + end) == [{"text": "a"}, {"text": ""}, {"text": "b"}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_the_header_has_most_of(tmp_path: Path, delimiter: str) -> None:
    """Spreadsheets write what their country uses."""
    others = ",;\t|".replace(delimiter, "")
    rows = cells(tmp_path, "t.csv", f"a{others}{delimiter}b{delimiter}c\n1{delimiter}x{others}{delimiter}3\n")

    assert rows == [{f"a{others}": "1", "b": f"x{others}", "c": "3"}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_inside_a_quoted_column_name_do_not_count(tmp_path: Path, delimiter: str) -> None:
    """A column called `Name, Vorname` does not make a comma the delimiter."""
    rows = cells(tmp_path, "t.csv", f'"a,,;;||\t\t"{delimiter}b\n1{delimiter}2\n')

    assert rows == [{"a,,;;||\t\t": "1", "b": "2"}]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xef\xbb\xbfa,b\n1,2\n3,4\n", id="byte order mark"),
        pytest.param(b"a,b\r\n1,2\r\n3,4\r\n", id="CRLF"),
        pytest.param(b"a,b\r1,2\r3,4\r", id="lone CR"),
        pytest.param(b"a,b\n1,2\n3,4", id="no last newline"),
        pytest.param(b"a,b\n1,2\n\n3,4\n\n", id="blank lines"),
    ],
)
def test_files_of_every_system_read_the_same(tmp_path: Path, content: bytes) -> None:
    """The user does not know what ends the lines of a file, and need not."""
    assert cells(tmp_path, "t.csv", content) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_line_breaks_inside_quotes_belong_to_the_cell(tmp_path: Path) -> None:
    """Mails and tickets have several lines, and whichever line ends they came with."""
    rows = cells(tmp_path, "t.csv", 'a,b\n1,"x\ny"\n2,"p\r\nq"\n3,"m\rn"\n')

    assert [row["b"] for row in rows] == ["x\ny", "p\r\nq", "m\rn"]


def test_a_column_name_may_hold_a_quote_a_delimiter_or_a_line_break(tmp_path: Path) -> None:
    """Spreadsheets allow all of it in a header."""
    rows = cells(tmp_path, "t.csv", '"say ""hi""","a,b","two\nlines",it\'s\n1,2,3,4\n')

    assert rows == [{'say "hi"': "1", "a,b": "2", "two\nlines": "3", "it's": "4"}]


@pytest.mark.parametrize(("inside", "line_end"), [("\n", "\r\n"), ("\r", "\n"), ("\r\n", "\n")])
def test_a_column_name_with_another_line_break_than_the_lines_is_refused(
    tmp_path: Path, inside: str, line_end: str
) -> None:
    """DuckDB takes the first line break for all, and would find no rows."""
    sentence = refusal(tmp_path, "t.csv", line_end.join([f'"a{inside}b",c', "1,2", "3,4", ""]))

    assert sentence == "A column name of t.csv holds a line break. Write it without line breaks."


def test_an_unclosed_quote_in_the_header_is_refused_as_one(tmp_path: Path) -> None:
    """The rows are there: to say that there are none sends the user the wrong way."""
    sentence = refusal(tmp_path, "t.csv", 'a,"b\n1,2\n3,4\n')

    assert "Line 1" in sentence
    assert "quote" in sentence


@pytest.mark.parametrize(
    ("broken", "fault"), [("ü,ö,".encode() + b"caf\xe9\n", "UTF-8"), (b"2,3,4\n", "3 cells")], ids=["UTF-8", "ragged"]
)
def test_the_line_that_is_named_is_the_line_that_an_editor_shows(tmp_path: Path, broken: bytes, fault: str) -> None:
    """A cell of three lines lies above: the user goes to the line that the sentence names."""
    sentence = refusal(tmp_path, "t.csv", b'a,b\n1,"x\ny\nz"\n' + broken)

    assert sentence.startswith("Line 5 of t.csv")
    assert fault in sentence


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        pytest.param(b"a,b", "no rows", id="header without newline"),
        pytest.param(b"\n\n", "blank", id="blank lines only"),
        pytest.param(b"\xef\xbb\xbf", "blank", id="byte order mark only"),
        pytest.param(b"a,,b\n1,2,3\n", "Column 2", id="unnamed column"),
        pytest.param(b",a\n0,1\n", "Column 1", id="unnamed first column"),
        pytest.param(b"a,b\n1,\xed\xa0\x80\n", "Line 2", id="lone surrogate"),
        pytest.param(b'a,b\n1,"x"y\n', "Line 2", id="text after a quote"),
        pytest.param(b"__batchwright_id,b\n1,2\n", "__batchwright_id", id="reserved name"),
        pytest.param(b"__BATCHWRIGHT_ROW,b\nkept,2\n", "__BATCHWRIGHT_ROW", id="reserved name but for case"),
    ],
)
def test_a_csv_file_that_cannot_be_read_whole_is_refused_with_the_reason(
    tmp_path: Path, content: bytes, fact: str
) -> None:
    """Every such file would otherwise lose or change cells, and nobody would see it."""
    assert fact in refusal(tmp_path, "t.csv", content)


@pytest.mark.slow
def test_a_file_of_long_texts_is_read_in_less_memory_than_it_has(tmp_path: Path) -> None:
    """Everything streams: what is read and written at a time must fit, however long the rows are."""
    bounds = ReadingBounds(memory=MemoryBounds("250MB"))
    path = tmp_path / "t.csv"
    with path.open("w") as file:
        file.write("id,text\n")
        for number in range(30_000):
            file.write(f"{number},{hashlib.sha256(str(number).encode()).hexdigest() * 156}\n")

    source = freeze(one_file(path, "t.csv", bounds=bounds), tmp_path / "frozen.parquet", id_column="id").source

    assert path.stat().st_size > 290_000_000
    assert source.rows == 30_000


def test_a_file_that_does_not_fit_in_memory_is_refused_for_that(tmp_path: Path) -> None:
    """The file is not broken, and the user must not search it for a fault."""
    sentence = refusal(tmp_path, "t.csv", "a\n" + "x" * 15_000_000 + "\n", memory="20MB")

    assert sentence == "t.csv needs more than 20MB of memory to read. Split it into smaller files."


def test_a_nul_deep_in_a_file_is_kept_in_its_cell(tmp_path: Path) -> None:
    """A text must not end at it, as it does in C."""
    rows = cells(tmp_path, "t.csv", "a,b\n" + "1,x\n" * 500 + "1,x\0y\n")

    assert rows[-1] == {"a": "1", "b": "x\0y"}


def test_json_values_keep_their_types(tmp_path: Path) -> None:
    """A template asks for numbers and truth, and shows lists as they are."""
    row: dict[str, Json] = {"s": "00123", "i": 5, "f": 0.1, "b": True, "n": None, "l": [1, "x"], "o": {"k": [None, {}]}}
    rows = cells(tmp_path, "t.jsonl", json.dumps(row) + "\n")

    assert rows == [row]
    assert [type(value) for value in rows[0].values()] == [type(value) for value in row.values()]


def test_values_of_different_types_in_one_column_stay_what_they_are(tmp_path: Path) -> None:
    """A text "5" and a number 5 are different answers of a form."""
    values: list[Json] = ["x", "5", 5, 1.5, None, True, [1], {"k": "v"}, "null", ""]
    rows = cells(tmp_path, "t.jsonl", "".join(json.dumps({"a": value}) + "\n" for value in values))

    assert [row["a"] for row in rows] == values


def test_keys_that_only_some_rows_have_are_columns_of_all(tmp_path: Path) -> None:
    """A key that first comes in row 10,000 must not be dropped."""
    lines = ['{"a":1}\n'] * 10_000 + ['{"a":2,"late":"x"}\n']
    rows = cells(tmp_path, "t.jsonl", "".join(lines))

    assert rows[0] == {"a": 1, "late": None}
    assert rows[-1] == {"a": 2, "late": "x"}


@pytest.mark.parametrize(
    "number",
    [
        0,
        -1,
        2**53 + 1,
        2**63 - 1,
        2**63,
        2**64 - 1,
        12345678901234567890123,
        -12345678901234567890123,
        10**40,
    ],
)
def test_integers_of_any_size_are_exact(tmp_path: Path, number: int) -> None:
    """The numbers of accounts and orders are identifiers, of which no digit may change."""
    rows = cells(tmp_path, "t.jsonl", f'{{"a":{number},"l":[{number}]}}\n{{"a":1,"l":[]}}\n')

    assert rows == [{"a": number, "l": [number]}, {"a": 1, "l": []}]
    assert type(rows[0]["a"]) is int
    assert type(rows[1]["a"]) is int


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'{"a":"x"}\n{"a":"y"}', id="no last newline"),
        pytest.param(b'{"a":"x"}\r\n{"a":"y"}\r\n', id="CRLF"),
        pytest.param(b'\n{"a":"x"}\n\n  \n{"a":"y"}\n\n', id="blank lines"),
        pytest.param(b'\xef\xbb\xbf{"a":"x"}\n{"a":"y"}\n', id="byte order mark"),
        pytest.param(b'{"\\u0061":"x"}\n{"a":"\\u0079"}\n', id="escapes"),
    ],
)
def test_json_lines_of_every_program_read_the_same(tmp_path: Path, content: bytes) -> None:
    """None of this changes what is said."""
    assert cells(tmp_path, "t.jsonl", content) == [{"a": "x"}, {"a": "y"}]


@pytest.mark.parametrize("text", ["x\u2028y\u2029z", "x\0y", "\ufeff", "👩‍👩‍👧", "\x7f\u0085"])
def test_texts_with_unusual_characters_are_kept(tmp_path: Path, text: str) -> None:
    """They end no line and no text, whatever other formats say."""
    content = json.dumps({"a": text}, ensure_ascii="\0" in text) + '\n{"a":"next"}\n'

    assert cells(tmp_path, "t.jsonl", content) == [{"a": text}, {"a": "next"}]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"a":', id="cut off"),
        pytest.param(b'{"a":1', id="brace missing"),
        pytest.param(b'{"a":1} tail', id="text after the object"),
        pytest.param(b'{"a":1}{"a":2}', id="two objects"),
        pytest.param(b'{"a":1} // note', id="comment"),
        pytest.param(b"{'a':1}", id="single quotes"),
        pytest.param(b'{"a":"caf\xe9"}', id="Latin-1"),
        pytest.param(b'{"a":"\\ud800"}', id="lone surrogate"),
        pytest.param(b'{"a":"x\0y"}', id="bare NUL"),
        pytest.param(b'{"a":1,"a":2}', id="duplicate key"),
        pytest.param(b'{"a":{"b":1,"b":2}}', id="duplicate key inside"),
        pytest.param(b'{"a":NaN}', id="NaN"),
        pytest.param(b'{"a":[-Infinity]}', id="Infinity"),
        pytest.param(b'{"a":' + b"1" * 5_000 + b"}", id="5,000 digits"),
        pytest.param(b"[1]", id="array"),
        pytest.param(b"5", id="number"),
        pytest.param(b'"x"', id="text"),
        pytest.param(b"null", id="null"),
    ],
)
@pytest.mark.parametrize("before", [b"", b"\n\n"], ids=["", "below blank lines"])
def test_a_line_that_is_no_json_object_is_refused_with_its_number(tmp_path: Path, line: bytes, before: bytes) -> None:
    """A row must not vanish or change because one line is broken, and the user must find that line."""
    above = b'{"a":1}\n' + before
    number = above.count(b"\n") + 1

    sentence = refusal(tmp_path, "t.jsonl", above + line + b'\n{"a":3}\n')

    assert f"Line {number} of t.jsonl" in sentence


def test_two_keys_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    """As in CSV: a column must not be given another name in silence, which no template would find."""
    assert "'A'" in refusal(tmp_path, "t.jsonl", '{"a":1}\n{"A":2}\n')


def test_an_empty_key_is_refused_as_a_column_without_a_name(tmp_path: Path) -> None:
    """No template could name it."""
    assert "name" in refusal(tmp_path, "t.jsonl", '{"":1}\n')


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        pytest.param("", "is empty", id="empty file"),
        pytest.param("\n\n", "no rows", id="blank lines only"),
        pytest.param("{}\n{}\n", "t.jsonl", id="objects without keys"),
        pytest.param('[{"a":1},\n{"a":2}]\n', "Line 1", id="an array over lines"),
        pytest.param('{\n "a": 1\n}\n', "Line 1", id="an object over lines"),
        pytest.param('{"__batchwright_row":1}\n', "__batchwright_row", id="reserved name"),
    ],
)
def test_a_jsonl_file_that_is_something_else_is_refused_with_the_reason(
    tmp_path: Path, content: str, fact: str
) -> None:
    """Files of JSON come in many shapes; only rows, one a line, are a table."""
    assert fact in refusal(tmp_path, "t.jsonl", content)


@pytest.mark.parametrize("columns", [2, 60, 100, 250, 1_000])
def test_a_table_may_have_many_columns(tmp_path: Path, columns: int) -> None:
    """Surveys have hundreds of questions."""
    row = {f"q{number}": number for number in range(columns)}

    assert cells(tmp_path, "t.jsonl", (json.dumps(row) + "\n") * 3) == [row] * 3


def test_a_json_line_larger_than_can_be_read_is_refused_without_the_path(tmp_path: Path) -> None:
    """The sentence goes into the conversation; where the file lies on the disk is not its business."""
    sentence = refusal(tmp_path, "t.jsonl", b'{"a":1}\n{"a":"' + b"x" * 34_000_000 + b'"}\n')

    assert "t.jsonl" in sentence


def test_parquet_values_become_json_values(tmp_path: Path) -> None:
    """What has no JSON type is shown as people write it; decimals keep their cents."""
    path = parquet(
        tmp_path / "t.parquet",
        "SELECT DATE '2024-02-29' d, 1.10::DECIMAL(9,2) c, TIMESTAMP '2024-01-01 10:00:00' t,"
        " 18446744073709551615::UBIGINT u,"
        " [1, NULL] l, {'a': 1, 'b': [DATE '2024-01-01']} s, MAP {'k': 2} m, NULL::VARCHAR n, true b",
    )

    _, rows = frozen(path)

    assert rows[0][1] == {
        "d": "2024-02-29",
        "c": "1.10",
        "t": "2024-01-01 10:00:00",
        "u": 2**64 - 1,
        "l": [1, None],
        "s": {"a": 1, "b": ["2024-01-01"]},
        "m": {"k": 2},
        "n": None,
        "b": True,
    }


def test_parquet_times_with_a_zone_can_be_read(tmp_path: Path) -> None:
    """Most programs that write Parquet write times so."""
    path = parquet(tmp_path / "t.parquet", "SELECT TIMESTAMPTZ '2024-01-01 10:00:00+00' t")

    _, rows = frozen(path)

    assert str(rows[0][1]["t"]).startswith("2024-01-01")
    assert profile(one_file(path, "t"), folder=path.parent, sample_rows=1).rows == 1


def test_every_cell_of_a_parquet_file_can_be_written_as_json(tmp_path: Path) -> None:
    """JSON has no NaN and no infinity, and a request is JSON."""
    path = parquet(tmp_path / "t.parquet", "SELECT 'NaN'::DOUBLE x, 'inf'::DOUBLE y, ['-inf'::DOUBLE] z")

    _, rows = frozen(path)

    assert json.dumps(rows[0][1], allow_nan=False)


@pytest.mark.parametrize(
    ("name", "neighbour"),
    [("t[1].csv", "t1.csv"), ("t*.csv", "tx.csv"), ("t?.csv", "tx.csv"), ("*.csv", ".hidden.csv")],
)
def test_a_file_name_is_a_name_and_no_pattern(tmp_path: Path, name: str, neighbour: str) -> None:
    """Browsers save a second download as `t[1].csv`: the rows of another file must not stand in for it, or be added."""
    (tmp_path / neighbour).write_text("a\nneighbour\n")

    assert cells(tmp_path, name, "a\nnamed\n") == [{"a": "named"}]


def test_a_parquet_file_name_is_a_name_and_no_pattern(tmp_path: Path) -> None:
    """The same holds for each kind of file."""
    parquet(tmp_path / "t1.parquet", "SELECT 'neighbour' a")
    (tmp_path / "t1.jsonl").write_text('{"a":"neighbour"}\n')
    path = parquet(tmp_path / "t[1].parquet", "SELECT 'named' a")

    assert frozen(path)[1] == [("row-1", {"a": "named"})]
    assert cells(tmp_path, "t[1].jsonl", '{"a":"named"}\n') == [{"a": "named"}]


@pytest.mark.parametrize(
    "name", ["it's.csv", 'say "hi".csv', "a b.csv", "ä.csv", "%20.csv", "#1.csv", "T.CSV", "t.tsv", "t.txt"]
)
def test_a_file_may_be_called_anything(tmp_path: Path, name: str) -> None:
    """Names are put into SQL, and must not end the text there."""
    assert cells(tmp_path, name, "a\tb\n1\t2\n") == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_folder_named_like_a_key_and_a_value_adds_no_column(tmp_path: Path, name: str) -> None:
    """`year=2024` is a folder's name: the table has the columns that its file has."""
    folder = tmp_path / "year=2024"
    folder.mkdir()
    path = folder / name
    match path.suffix:
        case ".csv":
            path.write_text("a\nx\n")
        case ".jsonl":
            path.write_text('{"a":"x"}\n')
        case _:
            parquet(path, "SELECT 'x' a")

    source, rows = frozen(path)

    assert source.columns == ("a",)
    assert rows == [("row-1", {"a": "x"})]
    assert [column.name for column in profile(one_file(path, name), folder=path.parent, sample_rows=1).columns] == ["a"]


@pytest.mark.parametrize("name", ["t.doc", "t.docx", "t", "t.gz", "t.parquet.gz", "t.xlsx.gz"])
def test_a_kind_of_file_that_cannot_be_read_is_refused_by_its_ending(name: str) -> None:
    """The sentence names the kinds that can be read, so that the user can save the file as one."""
    with pytest.raises(InvalidInput, match="CSV, TSV, JSON, JSONL, Parquet or Excel"):
        kind_of(Path(name))


def test_the_ids_are_those_of_the_id_column(tmp_path: Path) -> None:
    """Results are joined by them, and the user knows rows by them."""
    path = tmp_path / "t.csv"
    path.write_text("sku,t\n007,x\nä-1,y\n")

    source, rows = frozen(path, "sku")

    assert source.id_column == "sku"
    assert [custom_id for custom_id, _ in rows] == ["007", "ä-1"]


@pytest.mark.parametrize("values", [("1", "2"), ('"a"', '"b"'), ("1", '"b"'), ("9007199254740993", "9007199254740992")])
def test_an_id_in_json_is_the_text_of_its_value(tmp_path: Path, values: tuple[str, str]) -> None:
    """An id is written without quotes, also where other rows have numbers."""
    path = tmp_path / "t.jsonl"
    path.write_text("".join(f'{{"id":{value}}}\n' for value in values))

    _, rows = frozen(path, "id")

    assert [custom_id for custom_id, _ in rows] == [value.strip('"') for value in values]


@pytest.mark.parametrize(
    ("content", "column", "fact"),
    [
        pytest.param("a,b\n1,2\n", "z", "no column 'z' for the ids. Columns: 'a', 'b'.", id="missing column"),
        pytest.param("a,b\n1,2\n2,2\n1,2\n1,2\n", "a", "the same value in rows 1 and 3.", id="duplicate"),
        pytest.param("a,b\n1,2\n,2\n", "a", "is empty in row 2.", id="absent"),
        pytest.param('a,b\n1,2\n"  ",2\n', "a", "is empty in row 2.", id="blank"),
        pytest.param("a,b\n1,2\n" + "x" * 65 + ",2\n", "a", "more than 64 characters in row 2.", id="too long"),
    ],
)
def test_an_id_column_that_cannot_name_every_row_is_refused_with_the_rows(
    tmp_path: Path, content: str, column: str, fact: str
) -> None:
    """Two rows of one id would share one answer, and one answer would be lost."""
    assert fact in refusal(tmp_path, "t.csv", content, column)


def test_an_id_of_64_characters_is_taken(tmp_path: Path) -> None:
    """The limit itself is allowed."""
    path = tmp_path / "t.csv"
    path.write_text("a\n" + "é" * 64 + "\n")

    assert frozen(path, "a")[1][0][0] == "é" * 64


def test_a_frozen_source_does_not_change_with_its_file(tmp_path: Path) -> None:
    """The user goes on editing the table while the job runs."""
    path = tmp_path / "t.csv"
    path.write_text("a\nbefore\n")
    source, _ = frozen(path)

    path.write_text("a\nafter\nmore\n")

    assert list(frozen_rows(tmp_path / "frozen.parquet", source.columns)) == [("row-1", {"a": "before"})]


def test_only_the_columns_that_are_asked_for_are_read(tmp_path: Path) -> None:
    """A prompt of one column does not carry the others through memory."""
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n1,2,3\n")
    frozen(path)

    assert list(frozen_rows(tmp_path / "frozen.parquet", ["c", "a"])) == [("row-1", {"c": "3", "a": "1"})]
    assert list(frozen_rows(tmp_path / "frozen.parquet", [])) == [("row-1", {})]


def test_a_profile_counts_rows_empty_cells_different_values_and_the_longest_text(tmp_path: Path) -> None:
    """The assistant writes the prompt, and the user chooses rows, by these numbers."""
    path = tmp_path / "tickets.csv"
    path.write_text('id,text,team\n1,häßlich,a\n2,,a\n3,"  ",b\n')

    found = profile(one_file(path, "tickets.csv"), folder=path.parent, sample_rows=2)

    assert (found.name, found.kind, found.rows) == ("tickets.csv", "csv", 3)
    assert [(c.name, c.type, c.empty, c.distinct, c.longest) for c in found.columns] == [
        ("id", "text", 0, 3, 1),
        ("text", "text", 2, 2, 7),
        ("team", "text", 0, 2, 1),
    ]
    assert found.sample == [{"id": "1", "text": "häßlich", "team": "a"}, {"id": "2", "text": None, "team": "a"}]
    assert found.id_column == "id"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("t.csv", "id;preis\n1;12,50\n", ["text", "text"]),
        ("t.jsonl", '{"a":1,"b":12.50,"c":true,"d":null}\n', ["number", "number", "boolean", "text"]),
        ("t.jsonl", '{"a":0.1000000000000000055}\n{"a":12345678901234567890123}\n', ["number"]),
        ("t.jsonl", '{"a":"x","b":[1],"c":{}}\n{"a":5,"b":null,"c":{}}\n', ["number or text", "list", "object"]),
    ],
)
def test_a_column_s_type_is_said_in_words(tmp_path: Path, name: str, content: str, expected: list[str]) -> None:
    """A user who reads "json" above a column of prices looks for a fault in the file."""
    path = tmp_path / name
    path.write_text(content)

    found = profile(one_file(path, name), folder=path.parent, sample_rows=1)

    assert [column.type for column in found.columns] == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("name,order_id\na,1\nb,2\n", "order_id"),
        ("name,team\na,x\nb,x\n", "name"),
        ("name,id\na,1\nb,1\n", "name"),
        ("id,name\n,a\n2,b\n", "name"),
        ("name,team\na,x\na,x\n", None),
        ("text\n" + "x" * 65 + "\ny\n", None),
    ],
)
def test_the_suggested_id_names_every_row_and_is_called_an_id_where_one_is(
    tmp_path: Path, content: str, expected: str | None
) -> None:
    """A suggestion that `create_batch_file` refuses would cost the user a round."""
    path = tmp_path / "t.csv"
    path.write_text(content)

    assert profile(one_file(path, "t"), folder=path.parent, sample_rows=1).id_column == expected


def test_a_sample_shows_the_values_that_the_model_will_be_given(tmp_path: Path) -> None:
    """In a column of numbers and texts a text has no quotes of its own, and a list is a list."""
    path = tmp_path / "t.jsonl"
    path.write_text('{"a":"x","l":[1]}\n{"a":5,"l":[2]}\n')

    found = profile(one_file(path, "t"), folder=path.parent, sample_rows=2)

    assert found.sample == [row for _, row in frozen(path)[1]]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [("t.csv", "a,b\n1,2\n" * 50 + '3,"4\n', 101), ("t.jsonl", '{"a":1}\n{"a":NaN}\n', 2)],
    ids=["quote", "NaN"],
)
def test_a_broken_file_is_refused_by_the_profile_too(tmp_path: Path, name: str, content: str, line: int) -> None:
    """A file that is inspected first must not look fine and fail later."""
    path = tmp_path / name
    path.write_text(content)

    with pytest.raises(InvalidInput, match=rf"Line {line} of {name}"):
        profile(one_file(path, name), folder=path.parent, sample_rows=1)


def test_rows_given_inline_become_a_table_with_all_their_columns(tmp_path: Path) -> None:
    """A key that only one row has is a column of all, in the order of first sight."""
    path = tmp_path / "rows.jsonl"
    write_rows([{"id": 1, "text": "a\u2028b"}, {"text": "x", "n": 12345678901234567890123}], path)

    source, rows = frozen(path)

    assert source.columns == ("id", "text", "n")
    assert [row for _, row in rows] == [
        {"id": 1, "text": "a\u2028b", "n": None},
        {"id": None, "text": "x", "n": 12345678901234567890123},
    ]


@pytest.mark.parametrize("rows", [[], [{}], [{}, {}]])
def test_inline_rows_without_any_column_are_refused(tmp_path: Path, rows: list[dict[str, Json]]) -> None:
    """There is nothing to ask about."""
    with pytest.raises(InvalidInput, match="rows are empty"):
        write_rows(rows, tmp_path / "rows.jsonl")


def test_an_inline_text_that_is_no_unicode_is_refused(tmp_path: Path) -> None:
    """It cannot be sent, and half a file must not be left."""
    with pytest.raises(InvalidInput, match="Unicode"):
        write_rows([{"a": "ok"}, {"a": "\ud800"}], tmp_path / "rows.jsonl")

    assert list(tmp_path.iterdir()) == []


SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TEXT | st.floats(allow_nan=False, allow_infinity=False)
)
JSON_VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(TEXT, SCALARS | st.lists(SCALARS), max_size=3)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(values=st.lists(JSON_VALUES, min_size=1, max_size=6))
def test_any_json_value_survives_as_a_cell(tmp_path_factory: pytest.TempPathFactory, values: list[Any]) -> None:
    """Inline rows are whatever the assistant has; the template is given the same."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write_rows([{"n": number, "value": value} for number, value in enumerate(values)], path)

    _, rows = frozen(path)

    assert [row["value"] for _, row in rows] == values


def run(sql: str, con: "duckdb.DuckDBPyConnection") -> list[Any]:
    """Run one statement and give its rows."""
    return con.execute(sql).fetchall()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{other}')",
        "SELECT * FROM '{other}'",
        "SELECT * FROM read_text('{other}')",
        "SELECT * FROM read_blob('/proc/self/environ')",
        "SELECT * FROM glob('{root}/*')",
        "SELECT * FROM sniff_csv('{other}')",
        "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
        "CREATE TABLE t AS SELECT 1 a; COPY t FROM '{other}'",
        "ATTACH '{root}/x.db'",
        "IMPORT DATABASE '{root}'",
    ],
)
def test_a_connection_reads_no_file_but_those_it_was_given(tmp_path: Path, sql: str) -> None:
    """SQL comes from a conversation: nothing it says may reach the rest of the disk, or the network."""
    named, other = tmp_path / "named.csv", tmp_path / "other.csv"
    named.write_text("a\n1\n")
    other.write_text("a\nsecret\n")

    with pytest.raises(InvalidInput) as caught, connection(files=[named]) as con:  # noqa: PT012  # a first query shows that the connection works
        assert run(f"SELECT a FROM read_csv('{named}')", con) == [(1,)]
        run(sql.format(other=other, root=tmp_path), con)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{root}/new.csv'",
        "COPY (SELECT 1) TO '{root}/job/../new.csv'",
        "COPY (SELECT 1) TO '{root}/job-2/new.csv'",
        "EXPORT DATABASE '{root}/new'",
        "ATTACH '{root}/new.db'",
    ],
)
def test_a_connection_writes_nowhere_but_in_its_folder(tmp_path: Path, sql: str) -> None:
    """A query must not replace the user's files."""
    for name in ("job", "job-2"):
        (tmp_path / name).mkdir()
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(InvalidInput), connection(folder=tmp_path / "job") as con:
        run(sql.format(root=tmp_path), con)

    assert sorted(tmp_path.rglob("*")) == before


def test_a_connection_writes_in_its_folder(tmp_path: Path) -> None:
    """Otherwise the tests of what it may not do would prove nothing."""
    with connection(folder=tmp_path) as con:
        run(f"COPY (SELECT 1 a) TO '{tmp_path}/new.csv'", con)

    assert (tmp_path / "new.csv").read_text() == "a\n1\n"


@pytest.mark.parametrize(
    "sql",
    [
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET memory_limit = '100GB'",
        "RESET memory_limit",
        "PRAGMA threads = 64",
        "SET allowed_directories = ['/']",
        "SET temp_directory = '/'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CREATE SECRET (TYPE s3)",
    ],
)
def test_a_connection_s_settings_cannot_be_changed(sql: str) -> None:
    """The lock is worth nothing if it can be opened from inside."""
    with pytest.raises(InvalidInput), connection() as con:
        run(sql, con)
