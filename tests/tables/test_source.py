"""What a user names as a source: files are found by the workspace's rules, however they are named."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from batchwright.core.errors import InvalidInput, NotFound, OutsideWorkspace
from batchwright.core.workspace import Workspace
from batchwright.tables.source import ReadingBounds, find, kind_of, reading
from tests.support.session import environment, in_memory
from tests.support.sources import look
from tests.support.systems import needs_links
from tests.support.xlsx_file import DATE_STYLE, TIME_STYLE, write_book

pytestmark = pytest.mark.anyio

FOR_EXCEL = "Saved CSV has commas and UTF-8: for Excel, save as .xlsx."


def put(work: Path, name: str, content: str | bytes = "a,b\n1,2\n") -> Path:
    """Write a file, by default of one row."""
    path = work / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def names(work: Path, source: str) -> list[str]:
    """Return the names of the files that *source* means."""
    return [file.name for files in find(Workspace([work]), source, {}).tables.values() for file in files]


def test_a_pattern_means_its_files_in_the_order_of_their_names(work: Path) -> None:
    """The rows of a job have an order, and the user knows it."""
    for name in ("data/b.csv", "data/a.csv", "data/c.txt", "data/.hidden.csv", "other/d.csv"):
        put(work, name, f"name\n{name}\n")
    (work / "data" / "folder.csv").mkdir()

    found = look(work, "data/*.csv")

    assert names(work, "data/*.csv") == ["data/a.csv", "data/b.csv"]
    assert (found.name, found.kind, found.rows) == ("data/*.csv", "files", 2)
    assert found.sample == [{"name": "data/a.csv"}, {"name": "data/b.csv"}]


def test_a_file_whose_name_looks_like_a_pattern_or_a_query_is_that_file(work: Path) -> None:
    """Browsers save `t[1].csv`, and people write sentences."""
    put(work, "t1.csv")
    put(work, "t[1].csv")
    put(work, "from may.csv")
    put(work, "book.xlsx#1.csv")

    assert names(work, "t[1].csv") == ["t[1].csv"]
    assert names(work, "from may.csv") == ["from may.csv"]
    assert names(work, "book.xlsx#1.csv") == ["book.xlsx#1.csv"]


def test_columns_in_another_order_are_joined_by_name(work: Path) -> None:
    """What matters is what a column is called."""
    put(work, "d/1.csv", "a,b\n1,2\n")
    put(work, "d/2.csv", "b,a\n4,3\n")

    assert look(work, "d/*.csv").sample == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_a_file_with_other_columns_is_named(work: Path) -> None:
    """Of twelve files of the year, the user must know which one."""
    put(work, "d/1.csv", "a,b\n1,2\n")
    put(work, "d/2.csv", "a,c\n1,2\n")

    with pytest.raises(InvalidInput) as caught:
        look(work, "d/*.csv")

    assert str(caught.value) == (
        "d/2.csv has other columns than d/1.csv: it lacks 'b' but has 'c'. "
        "Give files with the same columns, or name them in a query with UNION ALL BY NAME."
    )


def test_a_broken_file_among_others_is_named_with_its_line(work: Path) -> None:
    """Nothing of it is left out in silence, and neither are the others."""
    put(work, "d/1.csv", "a,b\n1,2\n")
    put(work, "d/2.csv", 'a,b\n1,"2\n')

    with pytest.raises(InvalidInput, match=r"^Line 2 of d/2\.csv opens a quote"):
        look(work, "d/*.csv")


def test_values_of_different_types_in_different_files_stay_what_they_are(work: Path) -> None:
    """A text "5" and a number 5 are different, also in two files."""
    put(work, "d/1.jsonl", '{"a":12345678901234567890123,"b":1}\n')
    put(work, "d/2.jsonl", '{"a":"5","b":null}\n')
    put(work, "d/3.json", '[{"a":5,"b":1.5}]')

    assert look(work, "d/*.json*").sample == [
        {"a": 12345678901234567890123, "b": 1},
        {"a": "5", "b": None},
        {"a": 5, "b": 1.5},
    ]


def test_a_pattern_that_matches_too_many_files_is_refused(work: Path) -> None:
    """A folder of a million files is not a source."""
    for number in range(4):
        put(work, f"{number}.csv")

    with pytest.raises(InvalidInput, match=r"'\*\.csv' matches more than 3 files\."):
        look(work, "*.csv", bounds=ReadingBounds(files=3))


@needs_links
@pytest.mark.parametrize(
    ("source", "error", "fact"),
    [
        ("no*.csv", NotFound, "No file matches 'no*.csv'"),
        ("../*.csv", OutsideWorkspace, "contains '..'"),
        ("/etc/*.csv", OutsideWorkspace, "lies outside the workspace"),
        ("**/*.csv", InvalidInput, "searches all subfolders"),
        ("link*.csv", OutsideWorkspace, "lies outside the workspace"),
        (".hidden/*.csv", NotFound, "No file matches"),
        ("keys/*", OutsideWorkspace, "looks like a key"),
        ("none.xlsx#S", NotFound, "No file 'none.xlsx'"),
        ("SELECT * FROM '../secret.csv'", OutsideWorkspace, "contains '..'"),
        ("SELECT * FROM '/etc/passwd'", OutsideWorkspace, "lies outside the workspace"),
        ("SELECT * FROM 'link.csv'", OutsideWorkspace, "lies outside the workspace"),
        ("SELECT * FROM '.hidden/h.csv'", OutsideWorkspace, "hidden"),
        ("SELECT * FROM 'keys/id_rsa'", OutsideWorkspace, "looks like a key"),
        ("SELECT (SELECT max(a) FROM '/etc/*.csv')", OutsideWorkspace, "lies outside the workspace"),
        ("WITH x AS (FROM 'link.csv') FROM x", OutsideWorkspace, "lies outside the workspace"),
        ("FROM 'folder'", InvalidInput, "a folder"),
        ("FROM tickets", NotFound, "No file 'tickets'"),
    ],
)
def test_no_name_leads_out_of_the_workspace(work: Path, source: str, error: type[Exception], fact: str) -> None:
    """A query comes from a conversation, and may have been asked for by a cell of the data."""
    put(work.parent, "secret.csv")
    (work / "link.csv").symlink_to(work.parent / "secret.csv")
    (work / "folder").mkdir()
    put(work, ".hidden/h.csv")
    put(work, "keys/id_rsa")

    with pytest.raises(error) as caught:
        look(work, source)

    assert fact in str(caught.value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("t.csv", "csv"),
        ("t.TSV", "csv"),
        ("t.json", "json"),
        ("t.ndjson", "jsonl"),
        ("t.parquet", "parquet"),
        ("t.xlsx", "excel"),
        ("t.csv.gz", "csv"),
        ("t.JSON.GZ", "json"),
        ("t.jsonl.gz", "jsonl"),
    ],
)
def test_the_ending_says_what_a_file_is(name: str, kind: str) -> None:
    """Also below gzip."""
    assert kind_of(Path(name)) == kind


def test_the_object_that_holds_the_rows_is_named_with_what_is_left_out(work: Path) -> None:
    """Exports of many services are an object around the rows; what else they say must not vanish unsaid."""
    put(work, "t.json.gz", gzip.compress(b'{"meta": {"n": [1]}, "rows": [{"a": 1}, {"a": 2}], "next": null}'))

    found = look(work, "t.json.gz")

    assert found.sample == [{"a": 1}, {"a": 2}]
    assert found.warnings == ("The rows of t.json.gz are those of 'rows'; 'meta', 'next' were left out.",)


@pytest.mark.slow
def test_a_json_file_larger_than_a_chunk_is_read_whole(work: Path) -> None:
    """Rows lie across the borders of what is read at a time."""
    rows: list[dict[str, Any]] = [{"n": n, "text": f'"{n}" ]}}, ä\u2028' * (n % 50)} for n in range(9_000)]
    path = put(work, "t.json", json.dumps(rows, indent=1, ensure_ascii=False))

    found = look(work, "SELECT count(*) AS c, sum(n) AS s, sum(length(text)) AS l FROM 't.json'")

    assert path.stat().st_size > 3_000_000
    assert found.sample == [
        {"c": 9_000, "s": sum(row["n"] for row in rows), "l": sum(len(row["text"]) for row in rows)}
    ]


def test_a_wrong_guess_can_be_corrected(work: Path) -> None:
    """No guess is always right."""
    put(work, "t.csv", "1:привет\n2:мир\n".encode("cp1251"))

    found = look(work, "t.csv", {"delimiter": ":", "encoding": "windows-1251", "header": False})

    assert found.sample == [{"column1": "1", "column2": "привет"}, {"column1": "2", "column2": "мир"}]
    assert found.warnings == (FOR_EXCEL,)


def test_a_first_line_of_numbers_that_was_set_to_be_a_header_is_pointed_out(work: Path) -> None:
    """Otherwise the first row would be mistaken for names, and lost."""
    put(work, "t.csv", "1001,great\n1002,bad\n")

    (warning,) = look(work, "t.csv", {"header": True}).warnings

    assert warning == (
        'The first line of t.csv holds numbers, as rows do. If it is a row, pass reading={"header": false}.'
    )


@pytest.mark.parametrize(
    "options",
    [
        {"delimeter": ";"},
        {"delimiter": ";;"},
        {"delimiter": '"'},
        {"delimiter": 1},
        {"encoding": "none"},
        {"encoding": "unicode_escape"},
        {"encoding": "zip"},
        {"encoding": "utf-7"},
        {"header": "no"},
        {"quote": "''"},
        {"quote": ";", "delimiter": ";"},
        {"escape": 1},
        {"escape": ""},
        {"file_column": " "},
        {"file_column": True},
    ],
)
def test_a_reading_that_cannot_be_is_refused(options: dict[str, object]) -> None:
    """A misspelt option must not be dropped in silence."""
    with pytest.raises(InvalidInput):
        reading(options)


def test_a_tab_is_the_delimiter_of_a_tsv_file(work: Path) -> None:
    """Its ending says so, whatever else its header holds."""
    put(work, "t.tsv", "a,b,c\td\n1\t2\n")

    assert look(work, "t.tsv").sample == [{"a,b,c": "1", "d": "2"}]


def test_an_excel_sheet_keeps_numbers_truth_and_dates(work: Path) -> None:
    """An id of 1001 is not 1001.0, and a date is no number of days."""
    rows = [
        ["id", "text", "day", "time", "n", "ok", "fault"],
        [1001, "00123", (45292, DATE_STYLE), (45292.5, TIME_STYLE), 1.5, True, "#N/A"],
        [],
        [1002, " a\u2028b\n", None, None, 2, False, None],
    ]
    write_book(work / "b.xlsx", {"One": rows, "Two": [["x"], [1]]})

    found = look(work, "b.xlsx")

    first = {"id": 1001, "text": "00123", "day": "2024-01-01", "time": "2024-01-01T12:00:00", "n": 1.5, "ok": True}
    second = {"id": 1002, "text": " a\u2028b\n", "day": None, "time": None, "n": 2, "ok": False}
    assert found.sample == [{**first, "fault": None}, {**second, "fault": None}]
    assert found.warnings == (
        "b.xlsx has the sheets 'One', 'Two'; the first was read. For another, write b.xlsx#NAME.",
        "b.xlsx has cells with an error, such as #N/A: they are empty here.",
    )


@pytest.mark.slow
def test_a_sheet_is_named_after_the_book(work: Path) -> None:
    """Workbooks have several, and the first is often a cover."""
    write_book(work / "b.xlsx", {"One": [["x"], [1]], "My sheet": [["y"], [2]]})

    assert look(work, "b.xlsx#My sheet").sample == [{"y": 2}]
    assert look(work, "SELECT y + 1 AS z FROM 'b.xlsx#My sheet'").sample == [{"z": 3}]
    with pytest.raises(InvalidInput, match=r"^b\.xlsx has no such sheet\. Its sheets are 'One', 'My sheet'\.$"):
        look(work, "b.xlsx#Three")


async def test_an_assistant_learns_how_a_file_was_read_and_can_change_it(tmp_path: Path, work: Path) -> None:
    """It sees the letters, and knows better than a program whether they are right."""
    put(work, "t.csv", b"id;text\n1;caf\xe9\n")

    async with in_memory(environment(tmp_path)) as session:
        guessed = await session.call("inspect_data", source="t.csv")
        told = await session.call("inspect_data", source="t.csv", reading={"encoding": "cp437"})
        drafted = await session.call("create_batch_file", source="t.csv", prompt="Label {{text}}")
        again = await session.call(
            "create_batch_file", source="t.csv", prompt="Label {{text}}", reading={"encoding": "latin-1"}
        )
        inline = await session.error("create_batch_file", rows=[{"a": 1}], prompt="{{a}}", reading={"delimiter": ";"})
        wrong = await session.error("inspect_data", source="t.csv", reading={"sheet": 1})

    assert guessed["sample"] == [{"id": "1", "text": "café"}]
    assert "read as Windows-1252" in guessed["warnings"][0]
    assert told["sample"] == [{"id": "1", "text": "cafΘ"}]
    assert told["warnings"] == [FOR_EXCEL]
    assert "reading=as here" in told["next"]
    assert any("read as Windows-1252" in warning for warning in drafted["warnings"])
    assert not any("read as" in warning for warning in again.get("warnings", []))
    assert "Leave reading out" in inline
    assert "There is no reading option 'sheet'" in wrong
    assert list((tmp_path / "data" / "jobs").glob("*/reading-*")) == []


async def test_files_of_a_pattern_become_one_job_and_none_of_them_is_overwritten(tmp_path: Path, work: Path) -> None:
    """Twelve exports of the months are one question."""
    put(work, "d/1.csv", "id,text\n1,x\n")
    put(work, "d/2.csv", "id,text\n2,y\n")

    async with in_memory(environment(tmp_path)) as session:
        seen = await session.call("inspect_data", source="d/*.csv")
        drafted = await session.call("create_batch_file", source="d/*.csv", prompt="Label {{text}}", id_column="id")
        refused = await session.error("get_results", job_id=drafted["job_id"], save_as="d/2.csv", overwrite=True)

    assert 'create_batch_file(source="d/*.csv"' in seen["next"]
    assert (drafted["source"], drafted["rows"]) == ("d/*.csv", 2)
    assert "is never replaced" in refused
