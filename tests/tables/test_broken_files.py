"""The corpus of broken files: each is refused with the sentence written here, or read exactly as it was meant."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchwright.core.errors import InvalidInput
from batchwright.tables.frozen import freeze, frozen_rows
from batchwright.tables.reading import MAX_ROWS
from batchwright.tables.source import BOUNDS, ReadingBounds, one_file
from tests.support import sources
from tests.support.xlsx_file import write_book

Content = bytes | str | Callable[[Path], object]
"""Of a file: its bytes, its text, or what writes it."""

LETTERS = 'or name its encoding, like reading={"encoding": "windows-1251"}.'
WIDE_LETTERS = LETTERS.replace("windows-1251", "utf-16-le")
SAVE = "Save the file again as CSV (UTF-8)"
IS_ROW = 'If it is a row, pass reading={"header": false}.'
DOUBLE = "Close it, or double the quote marks inside the text."


def put(folder: Path, name: str, content: Content) -> Path:
    """Write a file of the corpus."""
    path = folder / name
    if callable(content):
        content(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, bounds: ReadingBounds = BOUNDS) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Freeze a file, and return its rows and the warnings about how it was read."""
    frozen = freeze(one_file(path, path.name, bounds=bounds), path.parent / "frozen.parquet", id_column=None)
    return [dict(row) for _, row in frozen_rows(path.parent / "frozen.parquet", frozen.source.columns)], frozen.warnings


def parquet(query: str) -> Callable[[Path], object]:
    """Return the function that writes the rows of *query* as Parquet."""
    return lambda path: sources.parquet(path, query)


def cut(write: Callable[[Path], object]) -> Callable[[Path], object]:
    """Return the function that writes a file and cuts off its end."""

    def write_half(path: Path) -> None:
        write(path)
        path.write_bytes(path.read_bytes()[:-100])

    return write_half


REFUSED: dict[str, tuple[str, Content, str]] = {
    "unclosed quote": (
        "t.csv",
        'a,b\n1,2\n3,"4\n5,6\n',
        f"Line 3 of t.csv opens a quote that is never closed. {DOUBLE}",
    ),
    "row too short": (
        "t.csv",
        "a,b\n1,2\n3\n",
        'Line 3 of t.csv has 1 cell, but the header has 2. Put text with the delimiter into quotes, like "a, b".',
    ),
    "row too long": (
        "t.csv",
        "a,b\n1,2\n3,4,5\n",
        'Line 3 of t.csv has 3 cells, but the header has 2. Put text with the delimiter into quotes, like "a, b".',
    ),
    "duplicate header": ("t.csv", "a,b,a\n1,2,3\n", f"t.csv has two columns named 'a'. Rename one of them. {IS_ROW}"),
    "duplicate header but for case": (
        "t.csv",
        "Name,NAME\n1,2\n",
        f"t.csv has two columns named 'Name' and 'NAME'. Rename one of them. {IS_ROW}",
    ),
    "NUL": ("t.csv", "a,b\n1,\0\n", f"t.csv holds NUL bytes, so it is not plain text in UTF-8. {SAVE}, {WIDE_LETTERS}"),
    "UTF-16 without mark": (
        "t.csv",
        "a,b\n1,ä\n".encode("utf-16-le"),
        f"t.csv holds NUL bytes, so it is not plain text in UTF-8. {SAVE}, {WIDE_LETTERS}",
    ),
    "UTF-16 cut in a letter": (
        "t.csv",
        "a,b\n1,ä\n".encode("utf-16")[:-1],
        f"Line 2 of t.csv is not UTF-16. Save it as CSV (UTF-8), {LETTERS}",
    ),
    "UTF-8 with one broken letter": (
        "t.csv",
        "a,b\n1,äöü\n2,caf".encode() + b"\xe9\n",
        f"Line 3 of t.csv is not UTF-8. {SAVE}, {LETTERS}",
    ),
    "Cyrillic": (
        "t.csv",
        "имя,текст\nАнна,привет\n".encode("cp1251"),
        f"t.csv is not UTF-8, and its encoding is unknown. Save it as CSV (UTF-8), {LETTERS}",
    ),
    "empty": ("t.csv", "", "t.csv is empty: it does not even have a header. Choose a file with data."),
    "header only": ("t.csv", "a,b\n", "t.csv has no rows below its header. Choose a file with data."),
    "lone CR among newlines": (
        "t.csv",
        "a,b\n1,2\r3,4\n",
        f"t.csv cannot be read whole: its line ends or quotes change partway. {SAVE}.",
    ),
    "cell of 17 MB": (
        "t.csv",
        "a,b\n1," + "x" * 17_000_000 + "\n",
        "Line 2 of t.csv is too long to read. Leave out what is not needed.",
    ),
    "gzip of an empty file": (
        "t.csv.gz",
        gzip.compress(b""),
        "t.csv.gz is empty: it does not even have a header. Choose a file with data.",
    ),
    "gzip that is none": (
        "t.csv.gz",
        "a,b\n1,2\n",
        "t.csv.gz is not a complete gzip file. Copy or download it again.",
    ),
    "gzip cut off": (
        "t.csv.gz",
        gzip.compress(b"a,b\n1,2\n" * 9)[:-9],
        "t.csv.gz is cut off: its gzip has no end. Copy or download it again.",
    ),
    "gzip with a wrong sum": (
        "t.csv.gz",
        gzip.compress(b"a,b\n1,2\n")[:-8] + b"12345678",
        "t.csv.gz is not a complete gzip file. Copy or download it again.",
    ),
    "broken CSV inside gzip": (
        "t.csv.gz",
        gzip.compress(b'a,b\n1,"2\n'),
        f"Line 2 of t.csv.gz opens a quote that is never closed. {DOUBLE}",
    ),
    "depth 100,000 in JSONL": (
        "t.jsonl",
        '{"a":' + "[" * 100_000 + "]" * 100_000 + "}\n",
        "Line 1 of t.jsonl is not valid JSON: it is nested too deep. Fix that line.",
    ),
    "depth 100,000 in JSON": (
        "t.json",
        '[{"a":' + "[" * 100_000 + "]" * 100_000 + "}]",
        "Line 1 of t.json is not valid JSON: it is nested too deep. Fix that line.",
    ),
    "1e999 in JSONL": (
        "t.jsonl",
        '{"a":1}\n{"a":1e999}\n',
        "Line 2 of t.jsonl is not valid JSON: … Fix that line.",
    ),
    "1e999 in JSON": (
        "t.json",
        '[{"a":1},\n{"a":1e999}]',
        "Element 2 of t.json is not valid JSON: … Fix that line.",
    ),
    "NaN in JSON": (
        "t.json",
        '[{"a":1},\n{"a":NaN}]',
        "Line 2 of t.json is not valid JSON: NaN is not a JSON number. Fix that line.",
    ),
    "duplicate key in JSON": (
        "t.json",
        '[{"a":1,"a":2}]',
        "Element 1 of t.json has the duplicate key 'a'. Remove one of them.",
    ),
    "JSON cut off": (
        "t.json",
        '[{"a":1},\n{"a":2}',
        "Line 2 of t.json is not valid JSON: ',' is missing. Fix that line.",
    ),
    "JSON cut off in a text": (
        "t.json",
        '[{"a":"x',
        "Line 1 of t.json is not valid JSON: … Fix that line.",
    ),
    "JSON of one text without end": (
        "t.json",
        '[\n{"a":"' + "x" * 40_000_000,
        "Line 2 of t.json is not valid JSON: no value ends within 32,000,000 characters. Fix that line.",
    ),
    "JSON in Latin-1": ("t.json", b'[{"a":"caf\xe9"}]', "t.json is not UTF-8. Save it again as UTF-8."),
    "JSON of numbers": (
        "t.json",
        "[1, 2]",
        'Element 1 of t.json is not a JSON object. Write each row as an object, like {"id": 1, "text": "a text"}.',
    ),
    "JSON without rows": ("t.json", "[]", "t.json has no rows. Choose a file with data."),
    "JSON of one object": (
        "t.json",
        '{"a": [1]}',
        "t.json holds no array of objects. Give an array of objects, like [{...}, {...}].",
    ),
    "JSON of several arrays": (
        "t.json",
        '{"a": [{"x":1}], "b": [{"x":1}]}',
        "t.json holds several arrays of objects, 'a' and 'b'. Save the one you want as a file of its own.",
    ),
    "JSONL called JSON": (
        "t.json",
        '{"a":1}\n{"a":2}\n',
        "Line 2 of t.json continues after the end of the JSON. If each line is an object, name the file .jsonl.",
    ),
    "Parquet that is none": (
        "t.parquet",
        "a,b\n1,2\n",
        "t.parquet is not a complete Parquet file. Save it again as Parquet, CSV or JSONL.",
    ),
    "Parquet cut off": (
        "t.parquet",
        cut(parquet("SELECT i FROM range(1000) t(i)")),
        "t.parquet is not a complete Parquet file. Save it again as Parquet, CSV or JSONL.",
    ),
    "Parquet without rows": (
        "t.parquet",
        parquet("SELECT 1 a WHERE false"),
        "t.parquet has no rows below its header. Choose a file with data.",
    ),
    "Excel that is none": (
        "t.xlsx",
        "a,b\n1,2\n",
        "t.xlsx is not a complete Excel file. Save it again as .xlsx or CSV (UTF-8).",
    ),
    "old Excel that is broken": (
        "t.xls",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(3_000),
        "t.xls is not a complete Excel file. Save it again as .xlsx or CSV (UTF-8).",
    ),
    "Excel cut off": (
        "t.xlsx",
        cut(lambda path: write_book(path, {"S": [["a"], [1]]})),
        "t.xlsx is not a complete Excel file. Save it again as .xlsx or CSV (UTF-8).",
    ),
    "Excel without a header": (
        "t.xlsx",
        lambda path: write_book(path, {"S": []}),
        "t.xlsx is empty: it does not even have a header. Choose a sheet with data.",
    ),
    "Excel with a header only": (
        "t.xlsx",
        lambda path: write_book(path, {"S": [["a"]]}),
        "t.xlsx has no rows. Choose a file with data.",
    ),
    "Excel with one name twice": (
        "t.xlsx",
        lambda path: write_book(path, {"S": [["a", "A"], [1, 2]]}),
        "t.xlsx has two columns named 'a' and 'A'. Rename one of them.",
    ),
    "Excel below a title": (
        "t.xlsx",
        lambda path: write_book(path, {"S": [["Sales of May"], ["id", "sum"], [1, 2]]}),
        "Column 2 of t.xlsx has cells but no name. Name it in the first row.",
    ),
}

FOR_EXCEL = "Saved CSV has commas and UTF-8: for Excel, save as .xlsx."
CP1252 = "t.csv is not UTF-8: it was read as Windows-1252 (Western European)."
WESTERN = (f"{CP1252} If letters look wrong, save it as CSV (UTF-8), {LETTERS}", FOR_EXCEL)
UTF_16 = ("t.csv is not UTF-8: it was read as UTF-16.", FOR_EXCEL)

READ: dict[str, tuple[str, Content, list[dict[str, Any]], tuple[str, ...]]] = {
    "Latin-1": ("t.csv", b"a,b\n1,caf\xe9\n", [{"a": "1", "b": "café"}], WESTERN),
    "Latin-1 header": ("t.csv", b"a,caf\xe9\n1,2\n", [{"a": "1", "café": "2"}], WESTERN),
    "Windows-1252": ("t.csv", b"a\n\x93caf\xe9\x94 5 \x80\n", [{"a": "“café” 5 €"}], WESTERN),
    "accents side by side": ("t.csv", "a\nSüß\nÖl\n".encode("cp1252"), [{"a": "Süß"}, {"a": "Öl"}], WESTERN),
    "semicolons": ("t.csv", "a;b\n1;12,50\n", [{"a": "1", "b": "12,50"}], (FOR_EXCEL,)),
    "UTF-16 LE": ("t.csv", b"\xff\xfe" + "a,b\n1,ä\n".encode("utf-16-le"), [{"a": "1", "b": "ä"}], UTF_16),
    "UTF-16 BE": ("t.csv", b"\xfe\xff" + "a,b\n1,ä\n".encode("utf-16-be"), [{"a": "1", "b": "ä"}], UTF_16),
    "byte order mark": ("t.csv", b"\xef\xbb\xbfa,b\n1,\xc3\xa4\n", [{"a": "1", "b": "ä"}], ()),
    "byte order mark in JSON": ("t.json", b'\xef\xbb\xbf[{"a":1}]', [{"a": 1}], ()),
    "letter across two reads": ("t.csv", "a\n" + "x" * 65_533 + "é\n", [{"a": "x" * 65_533 + "é"}], ()),
    "half a letter at the end": ("t.csv", b"a\ncaf\xc3", [{"a": "cafÃ"}], WESTERN),
    "gzip": ("t.csv.gz", gzip.compress(b"a,b\n1,2\n"), [{"a": "1", "b": "2"}], ()),
    "gzip in pieces": ("t.csv.gz", gzip.compress(b"a,b\n1,2") + gzip.compress(b"\n3,4\n"), [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "4"},
    ], ()),
    "cell of 10 MB": ("t.csv", "a,b\n1," + "x" * 10_000_000 + "\n", [{"a": "1", "b": "x" * 10_000_000}], ()),
    "cell of 10 MB in JSON": ("t.json", json.dumps([{"a": "x" * 10_000_000}]), [{"a": "x" * 10_000_000}], ()),
    "23 digits in JSON": ("t.json", '[{"a":\n12345678901234567890123}]', [{"a": 12345678901234567890123}], ()),
    "23 digits in CSV": ("t.csv", "a\n12345678901234567890123\n", [{"a": "12345678901234567890123"}], ()),
    "U+2028 in CSV": ("t.csv", "a\nx\u2028y\n", [{"a": "x\u2028y"}], ()),
    "U+2028 in JSON": ("t.json", '[{"a":"x\u2028y"}]', [{"a": "x\u2028y"}], ()),
    "line ends in JSON": ("t.json", '[\r\n{"a":\r\n1\r\n}\r\n,\r\n{"a":\n"x\\ny"}\n]\n', [{"a": 1}, {"a": "x\ny"}], ()),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_broken_file_is_refused_in_one_sentence(tmp_path: Path, name: str, content: Content, sentence: str) -> None:
    """The user learns what is wrong and where, and nothing is left in the folder."""
    path = put(tmp_path, name, content)

    with pytest.raises(InvalidInput) as caught:
        read(path)

    # `…` stands for the words of a parser that is not ours.
    assert re.fullmatch(re.escape(sentence).replace("…", ".+"), str(caught.value))
    assert {file.name for file in tmp_path.iterdir()} <= {name, "frozen.parquet"}


@pytest.mark.parametrize(("name", "content", "rows", "said"), READ.values(), ids=READ)
def test_an_unusual_file_is_read_exactly_and_assumptions_are_reported(
    tmp_path: Path, name: str, content: Content, rows: list[dict[str, Any]], said: tuple[str, ...]
) -> None:
    """A file that can be read without doubt is read; doubts are reported to the user."""
    assert read(put(tmp_path, name, content)) == (rows, said)


def test_a_gzip_bomb_is_stopped_while_it_is_unpacked(tmp_path: Path) -> None:
    """A megabyte must not fill the disk."""
    path = put(tmp_path, "t.csv.gz", gzip.compress(b"a\n" + b"x" * 50_000_000))

    with pytest.raises(InvalidInput) as caught:
        read(path, ReadingBounds(inflated_bytes=10_000_000))

    assert str(caught.value) == (
        "t.csv.gz unpacks to more than 10,000,000 bytes, far more than its size suggests. "
        "Unpack it yourself, and use the part that you need."
    )
    assert {file.name for file in tmp_path.iterdir()} == {"t.csv.gz"}


def test_a_parquet_bomb_is_refused_by_the_text_that_its_rows_share(tmp_path: Path) -> None:
    """One text for all rows is written once; frozen, it would be written for each."""
    path = put(tmp_path, "t.parquet", parquet("SELECT repeat('x', 1000000) a FROM range(1001)"))

    with pytest.raises(InvalidInput) as caught:
        read(path, ReadingBounds(text_bytes=1_000_000_000))

    assert path.stat().st_size < 1_000_000
    assert str(caught.value) == "t.parquet unpacks to more than 1,000,000,000 bytes of text. Take a part of it."


def test_a_parquet_bomb_is_refused_by_the_rows_that_it_says_it_has(tmp_path: Path) -> None:
    """A row that repeats a thousand million times takes a few kilobytes: none of them is unpacked."""
    path = put(tmp_path, "t.parquet", parquet(f"SELECT 1::TINYINT a FROM range({MAX_ROWS + 1})"))

    with pytest.raises(InvalidInput) as caught:
        read(path)

    assert path.stat().st_size < 1_000_000
    assert str(caught.value) == ("t.parquet has 50,000,001 rows, more than 50,000,000. Split it, or take a part of it.")
