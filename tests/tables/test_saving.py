"""Tables as files for the user: nothing is changed on the way, and nothing in them acts."""

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
import python_calamine
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.core.errors import InvalidInput
from batchwright.tables import excel_target
from batchwright.tables.connection import identifier, quote_sql
from batchwright.tables.saving import SaveKind, save, save_kind

CELL = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
FORMULAS = ['=HYPERLINK("http://evil.example","x")', "@SUM(A1:A9)", "+cmd|' /C calc'!A0", "-1+1", "\t=1+1", "＝1"]


def saved(folder: Path, sql: str, kind: SaveKind = "xlsx") -> Path:
    """Save the rows of *sql*."""
    target = folder / f"saved.{kind}"
    with duckdb.connect() as con:
        con.execute("SET threads = 1")
        save(con, sql, target, kind)
    return target


def cells(path: Path) -> list[list[Any]]:
    """Read an Excel file with another program, header and all."""
    return python_calamine.load_workbook(str(path)).get_sheet_by_index(0).to_python()  # pyright: ignore[reportUnknownMemberType]  # not generic there


def values(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> str:
    """Return the SQL of rows of texts."""
    listed = ", ".join(f"({', '.join(map(quote_sql, row))})" for row in rows)
    return f"FROM (VALUES {listed}) t({', '.join(map(identifier, columns))})"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("t.csv", "csv"),
        ("T.CSV", "csv"),
        ("t.jsonl", "jsonl"),
        ("t.ndjson", "jsonl"),
        ("t.parquet", "parquet"),
        ("t.xlsx", "xlsx"),
    ],
)
def test_the_ending_says_what_kind_of_file_is_saved(name: str, kind: SaveKind) -> None:
    """The user asks for a file by its name only."""
    assert save_kind(Path(name)) == kind


@pytest.mark.parametrize("name", ["t.xls", "t", "t.csv.gz", "csv", "t.xlsm"])
def test_an_ending_that_cannot_be_written_is_refused(name: str) -> None:
    """Better than a CSV that is called a spreadsheet."""
    with pytest.raises(InvalidInput, match=r"\.csv, \.jsonl, \.parquet or \.xlsx"):
        save_kind(Path(name))


def test_cells_of_a_sheet_have_their_types(tmp_path: Path) -> None:
    """Numbers can be added up there, and no long number loses its last digits."""
    path = saved(
        tmp_path,
        "SELECT 7 AS n, 1.5::DOUBLE AS d, 2.50::DECIMAL(9,2) AS c, 1234567890123456.78::DECIMAL(18,2) AS cc, "
        "true AS b, 'a' AS t, NULL AS nothing, "
        "DATE '2024-01-31' AS day, 12345678901234567890 AS id, 'nan'::DOUBLE AS odd, [1, 2] AS l, "
        "{'a': 'x'} AS o, '\"text\"'::JSON AS j, [0.1::FLOAT] AS v, '007' AS zip",
    )

    header, row = cells(path)

    assert dict(zip(header, row, strict=True)) == {
        "n": 7,
        "d": 1.5,
        "c": 2.5,
        "cc": "1234567890123456.78",
        "b": True,
        "t": "a",
        "nothing": "",
        "day": "2024-01-31",
        "id": "12345678901234567890",
        "odd": "nan",
        "l": "[1,2]",
        "o": '{"a":"x"}',
        "j": "text",
        "v": "[0.1]",
        "zip": "007",
    }


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_gets_an_apostrophe_in_csv_whatever_the_type_of_its_column(tmp_path: Path, text: str) -> None:
    """A text hides in many types."""
    told = quote_sql(text)
    sql = f"SELECT {told} AS t, encode({told}) AS b, to_json({told}) AS j, -5 AS n, [-5] AS l"

    with saved(tmp_path, sql, "csv").open(newline="", encoding="utf-8") as file:
        row = list(csv.reader(file))[1]

    assert row[0] == row[2] == f"'{text}"
    assert row[1][:1] in {"'", "\\"}
    assert row[3:] == ["-5", "[-5]"]


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(rows=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6))
def test_every_text_reads_back_from_a_sheet(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    """Whatever the model wrote, the file opens and holds it; what XML cannot hold is written as Excel writes it."""
    path = saved(tmp_path_factory.mktemp("sheet"), values([("x" + a, "x" + b) for a, b in rows], ["a", "b"]))

    found = cells(path)[1:]

    def plain(text: str) -> str:
        text = re.sub("_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), text)
        return text.replace("\r\n", "\n").replace("\r", "\n")

    assert [[plain(cell) for cell in row] for row in found] == [[plain("x" + a), plain("x" + b)] for a, b in rows]


def test_a_cell_that_is_too_long_for_excel_is_refused_with_its_place(tmp_path: Path) -> None:
    """It is not cut in silence; Excel counts some characters twice."""
    fits = saved(tmp_path, "SELECT repeat('x', 32767) AS t, repeat('😀', 16383) AS u")
    assert [len(cell.encode("utf-16-le")) // 2 for cell in cells(fits)[1]] == [32_767, 32_766]
    fits.unlink()

    for text in ("repeat('x', 32768)", "repeat('😀', 16384)"):
        with pytest.raises(InvalidInput, match=r"Row 2 has 32,768 characters in column 't', .* holds 32,767\. Save as"):
            saved(tmp_path, f"SELECT 'short' AS t UNION ALL SELECT {text}")
    assert [path.name for path in tmp_path.iterdir()] == ["saved.xlsx"], "what was written on the way is gone"


def test_more_rows_than_a_sheet_has_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    """Nobody waits a minute to learn that."""
    with pytest.raises(InvalidInput, match=r"1,048,576 rows, but an Excel sheet holds 1,048,576 including its header"):
        saved(tmp_path, "SELECT i FROM range(1048576) t(i)")
    with pytest.raises(InvalidInput, match="16,385 columns, but an Excel sheet holds 16,384"):
        excel_target.check_size(5, 16_385)
    assert list(tmp_path.iterdir()) == []


def test_csv_has_no_mark_at_its_start(tmp_path: Path) -> None:
    """Programs would take it for a part of the first column's name; for Excel there is .xlsx."""
    assert saved(tmp_path, "SELECT 'ü' AS é", "csv").read_bytes() == "é\nü\n".encode()


def test_json_lines_are_valid_whatever_the_types(tmp_path: Path) -> None:
    """JSON has no word for NaN: a number that is none is null, and in a list it is kept as a text."""
    path = saved(
        tmp_path,
        "SELECT 'nan'::DOUBLE AS x, ['nan'::FLOAT] AS v, [1.5::FLOAT, NULL] AS w, 0.1::FLOAT AS f, {'a': [NULL]} AS o, "
        "'{\n \"k\": 1.50}'::JSON AS j, 12345678901234567890123::HUGEINT AS h, "
        "'Infinity' AS t, ['nan'] AS n, TIMESTAMP '2024-01-31 10:00:00' AS s",
        "jsonl",
    )

    def refused(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert path.read_text().count("\n") == 1
    assert json.loads(path.read_text(), parse_constant=refused) == {
        "x": None,
        "v": "[NaN]",
        "w": [1.5, None],
        "f": 0.1,
        "o": {"a": [None]},
        "j": {"k": 1.5},
        "h": 12345678901234567890123,
        "t": "Infinity",
        "n": ["nan"],
        "s": "2024-01-31 10:00:00",
    }
