"""How files are read: what is detected, what the user can set, and that decisions are reported."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.errors import InvalidInput
from batchwright.tables.csv_file import verdict
from batchwright.tables.csv_records import Records
from batchwright.tables.source import ReadingBounds
from tests.support.session import environment, in_memory
from tests.support.sources import look, rows
from tests.support.spreadsheet_files import Cell, write_ods, write_xls, write_xlsb

pytestmark = pytest.mark.anyio

ROWS: list[list[Cell]] = [
    ["id", "text", "day", "ok", "share", "when"],
    [1001, "00123 é", date(2024, 1, 31), True, 1.5, datetime(2024, 1, 31, 12, 30)],  # noqa: DTZ001  # sheets know no zones
    [1002, None, date(2024, 2, 1), False, 2.0, None],
]
SEEN: list[dict[str, Any]] = [
    {"id": 1001, "text": "00123 é", "day": "2024-01-31", "ok": True, "share": 1.5, "when": "2024-01-31T12:30:00"},
    {"id": 1002, "text": None, "day": "2024-02-01", "ok": False, "share": 2, "when": None},
]
QUOTE = "'"
SHEETS = {"xls": write_xls, "xlsb": write_xlsb, "ods": write_ods}


def test_another_quote_and_an_escape_can_be_set(work: Path) -> None:
    """Exports of databases have texts in single quotes, or a backslash before a quote."""
    (work / "a.csv").write_text("id;text\n1;'x; \"y\"'\n2;'it''s'\n")
    (work / "b.csv").write_text('id,text\n1,"a \\"b\\", c"\n2,"line\nbreak \\\\"\n')
    (work / "c.tsv").write_text('id\ttext\n1\t5" pipe\n2\t"open\n')

    assert rows(work, "a.csv", quote="'") == [{"id": "1", "text": 'x; "y"'}, {"id": "2", "text": "it's"}]
    assert rows(work, "b.csv", escape="\\") == [
        {"id": "1", "text": 'a "b", c'},
        {"id": "2", "text": "line\nbreak \\"},
    ]
    assert rows(work, "c.tsv", quote="") == [{"id": "1", "text": '5" pipe'}, {"id": "2", "text": '"open'}]


def test_backslashes_before_quotes_are_pointed_out_where_they_break_a_file(work: Path) -> None:
    """The sentence about the broken line must lead to a file that is read."""
    (work / "b.csv").write_text('id,text\n1,"a \\"b\\", c"\n')

    with pytest.raises(InvalidInput) as caught:
        look(work, "b.csv")

    assert str(caught.value).startswith("Line 2 of b.csv has a quote inside or after a text.")
    assert str(caught.value).endswith('If a backslash marks them, pass reading={"escape": "\\\\"}.')


def test_single_quotes_around_each_cell_of_the_first_line_are_detected_and_reported(work: Path) -> None:
    """Read as letters, they would be in every name and every prompt."""
    (work / "a.csv").write_text("'id';'text'\n'1';'x; y'\n")
    (work / "b.csv").write_text("'id';'text'\n'1';'x y'\n")

    found = look(work, "a.csv")

    assert found.sample == [{"id": "1", "text": "x; y"}]
    assert found.warnings[:1] == (
        'The texts of a.csv were read as being in \' quotes. If that is wrong, pass reading={"quote": "\\""}.',
    )
    assert look(work, "b.csv", {"quote": '"'}).columns[0].name == "'id'"


def test_a_first_line_like_the_others_is_read_as_a_row_and_that_is_reported(work: Path) -> None:
    """Mistaken for names, a row of the user's data would never be answered."""
    (work / "a.csv").write_text("1001,great\n1002,bad\n")
    (work / "b.csv").write_text("I like it,good\nI do not,bad\nNice,good\nFine,good\n")

    for name, row in (("a.csv", ["1001", "great"]), ("b.csv", ["I like it", "good"])):
        found = look(work, name)
        (warning,) = found.warnings
        assert list(found.sample[0].values()) == row
        assert warning == (
            f"The first line of {name} looks like the rows below it, so it was read as a row, and the columns are "
            'column1 and so on. If it names the columns, pass reading={"header": true}.'
        )
        assert look(work, name, {"header": False}).warnings == ()
        assert look(work, name, {"header": True}).columns[0].name == row[0]


@pytest.mark.parametrize(
    "content",
    ["name,2019,2020\nAnna,5,6\n", "2019,Paris\n2020,Rome\n", "id,7\n1,8\n2,9\n"],
    ids=["years", "one", "both"],
)
def test_if_the_first_line_may_be_either_the_user_is_asked(work: Path, content: str) -> None:
    """A guess would lose a row, or send the names to the model."""
    (work / "t.csv").write_text(content)

    with pytest.raises(InvalidInput, match="The first line of t"):
        look(work, "t.csv")

    assert look(work, "t.csv", {"header": True}).rows == content.count("\n") - 1
    assert look(work, "t.csv", {"header": False}).rows == content.count("\n")


@pytest.mark.parametrize(
    ("first", "below"),
    [
        (["id", "text"], [["1", "x"], ["2", "y"]]),
        (["text"], [["text"], ["text"], ["x"]]),
        (["a", "b"], []),
        (["label", "text"], [["label", "x"], ["good", "y"]]),
        (["id", "day"], [["a", "2024-01-01"], ["b", "01.02.2024"]]),
        (["a", "b"], [["a", "b"], ["a", "b"], ["1", "2"]]),
    ],
)
def test_names_are_taken_for_names(first: list[str], below: list[list[str]]) -> None:
    """Nearly every file has them, and asking each time would not help."""
    assert verdict(first, below) == "names"


def test_a_nameless_or_double_name_says_how_to_read_the_line_as_a_row(work: Path) -> None:
    """A row has empty and equal cells more often than a header."""
    (work / "a.csv").write_text("x,x\ny,z\n")
    (work / "b.csv").write_text("x,\ny,z\n")

    for name in ("a.csv", "b.csv"):
        with pytest.raises(InvalidInput, match=r'If it is a row, pass reading=\{"header": false\}\.$'):
            look(work, name)
        assert look(work, name, {"header": False}).rows == 2


@pytest.mark.slow
def test_each_row_can_have_the_name_of_its_file(work: Path) -> None:
    """Twelve exports of the months often say nowhere else which month they are of."""
    (work / "d").mkdir()
    (work / "d" / "may.csv").write_text("text\nx\ny\n")
    (work / "d" / "june.jsonl").write_text('{"text":"z"}\n')

    assert rows(work, "d/*", file_column="file") == [
        {"text": "z", "file": "d/june.jsonl"},
        {"text": "x", "file": "d/may.csv"},
        {"text": "y", "file": "d/may.csv"},
    ]
    assert rows(work, "d/may.csv", file_column="file")[0] == {"text": "x", "file": "d/may.csv"}
    counted = rows(work, "SELECT file, count(*) n FROM 'd/*' GROUP BY file ORDER BY n DESC", file_column="file")
    assert counted == [{"file": "d/may.csv", "n": 2}, {"file": "d/june.jsonl", "n": 1}]
    with pytest.raises(InvalidInput, match="already has a column 'TEXT'"):
        look(work, "d/*", {"file_column": "TEXT"})


@pytest.mark.parametrize("kind", SHEETS)
def test_sheets_of_other_kinds_are_read_as_those_of_xlsx(work: Path, kind: str) -> None:
    """An id of 1001 is not 1001.0, and a date is no number of days, whoever wrote the file."""
    SHEETS[kind](work / f"b.{kind}", ROWS)

    assert rows(work, f"b.{kind}") == SEEN
    assert rows(work, f"b.{kind}#One") == SEEN
    with pytest.raises(InvalidInput, match=rf"^b\.{kind} has no such sheet\. Its sheets are 'One'\.$"):
        look(work, f"b.{kind}#Two")


@pytest.mark.slow
def test_a_sheet_that_says_it_repeats_without_end_is_stopped(work: Path) -> None:
    """A kilobyte must not fill the memory of the server: another process reads it, and is ended."""
    row: list[Cell] = ["x" * 1_000] * 100
    write_ods(work / "b.ods", [[f"c{n}" for n in range(100)], row], repeated=30_000)

    with pytest.raises(InvalidInput, match=r"^b\.ods needs more than 1,500 MB of memory\. Save the sheet as CSV"):
        look(work, "b.ods")

    assert (work / "b.ods").stat().st_size < 10_000


def test_a_sheet_with_too_many_cells_is_refused_by_their_number(work: Path) -> None:
    """It would be held in memory as a rectangle."""
    write_xls(work / "b.xls", ROWS)

    with pytest.raises(InvalidInput, match="has more than 11 cells in a sheet"):
        look(work, "b.xls", bounds=ReadingBounds(sheet_cells=11))


async def test_an_assistant_reads_an_old_book_and_sets_the_quote_of_a_file(tmp_path: Path, work: Path) -> None:
    """Through the tools, as in a conversation."""
    write_xls(work / "b.xls", ROWS)
    (work / "a.csv").write_text("id;text\n1;'x; y'\n")
    (work / "c.csv").write_text("1,good\n2,bad\n")

    async with in_memory(environment(tmp_path)) as session:
        book = await session.call("inspect_data", source="b.xls")
        drafted = await session.call("create_batch_file", source="a.csv", prompt="{{text}}", reading={"quote": "'"})
        headless = await session.call("create_batch_file", source="c.csv", prompt="Say {{column2}}")

    assert book["rows"] == 2
    assert "x; y" in drafted["first_request"]
    assert headless["rows"] == 2
    assert any("was read as a row" in warning for warning in headless["warnings"])


@given(
    records=st.lists(st.lists(st.text("ab \"'\n\r,\\", max_size=5), min_size=1, max_size=3), max_size=6),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    blanks=st.lists(st.booleans(), min_size=6, max_size=6),
    size=st.integers(1, 9),
    has_last_end=st.booleans(),
)
def test_records_are_counted_wherever_the_blocks_end(
    records: list[list[str]], end: str, blanks: list[bool], size: int, *, has_last_end: bool
) -> None:
    """A wrong count would refuse a good file, or accept one of which a part was lost."""
    quoted = [",".join(f"'{cell.replace(QUOTE, QUOTE * 2)}'" for cell in record) + end for record in records]
    data = "".join(line + end * blank for line, blank in zip(quoted, blanks, strict=False))
    content = (data if has_last_end else data.removesuffix(end)).encode()
    counted = Records(QUOTE)

    for start in range(0, len(content), size):
        counted.add(content[start : start + size])

    assert counted.count == len(records)
    assert counted.longest <= len(content)
