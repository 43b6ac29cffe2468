"""Formulas behind characters that nobody sees: none of them acts where the file is opened, and numbers stay numbers."""

import csv
import zipfile
from pathlib import Path

import duckdb
import pytest

from batchwright.tables.connection import identifier
from batchwright.tables.saving import save

STARTS = ["=", "+", "-", "@", "＝", "＋", "－", "＠"]
UNSEEN = [
    *("", "\n", "\r", "\r\n", "\0", "\t", " ", "  \n", "\x0b", "\x1f", "\x7f"),
    *("\u00a0", "\u00ad", "\u200b", "\u202e", "\u2060", "\u3000", "\ufeff", " \0\n\t\ufeff"),
]
NUMBERS = ["-1", "+1.5", "-1e3", " -7", "\n-7", "-0.25 "]
HARMLESS = ["a=b", "text", "3-1", "\nAn answer", "  indented", "\0x", "1+1", "", "'=1"]


def saved(target: Path, texts: list[str]) -> None:
    """Save a column of texts, and one text as the name of another column."""
    with duckdb.connect() as con:
        con.execute("SET threads = 1")
        con.execute("CREATE TABLE t AS SELECT unnest($1::VARCHAR[]) AS text", [texts])
        sql = f"SELECT text, 1 AS {identifier(' =name()')} FROM t"
        save(con, sql, target, "xlsx" if target.suffix == ".xlsx" else "csv")


def rows(path: Path) -> list[list[str]]:
    """Read a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("unseen", UNSEEN, ids=ascii)
def test_a_formula_behind_what_is_not_seen_gets_an_apostrophe_in_csv(tmp_path: Path, unseen: str) -> None:
    """Programs differ in what they drop at the start of a cell."""
    texts = [f'{unseen}{start}HYPERLINK("http://evil.example")' for start in STARTS]
    saved(tmp_path / "t.csv", texts)

    header, *found = rows(tmp_path / "t.csv")

    assert header[1] == "' =name()"
    assert [row[0] for row in found] == [f"'{text}" for text in texts]


@pytest.mark.parametrize("text", [*NUMBERS, *HARMLESS], ids=ascii)
def test_numbers_and_other_texts_stay_as_they_are_in_csv(tmp_path: Path, text: str) -> None:
    """An apostrophe before a number, or before an answer, would be a change of the user's data."""
    saved(tmp_path / "t.csv", [text])

    assert rows(tmp_path / "t.csv")[1][0] == text


@pytest.mark.parametrize("unseen", UNSEEN, ids=ascii)
def test_a_formula_behind_what_is_not_seen_is_marked_as_a_text_in_a_sheet(tmp_path: Path, unseen: str) -> None:
    """A text with this mark is none the more a formula when somebody edits the cell."""
    saved(tmp_path / "t.xlsx", [f'{unseen}{start}HYPERLINK("http://evil.example")' for start in STARTS])

    with zipfile.ZipFile(tmp_path / "t.xlsx") as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
        styles = book.read("xl/styles.xml").decode()
    marked = [cell.split(">")[0] for cell in sheet.split("<c ")[1:] if 't="inlineStr"' in cell.split(">")[0]]
    assert 'quotePrefix="1"' in styles
    assert len(marked) == 2 + len(STARTS), "the header and the texts"
    assert all('s="1"' in cell for cell in marked[1:])
    assert "<f>" not in sheet
    assert "hyperlink" not in sheet.lower().replace("hyperlink(", "")
