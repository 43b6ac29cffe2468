"""Rows fit a conversation, whatever is in them: clean, short, and with what is left out said."""

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.mcp_server.views.fitting import fit_names, fit_rows, fit_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchwright.core.model import Json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=8),
    max_leaves=20,
)
LONG = st.text(min_size=1).map(lambda text: text * 500)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.dictionaries(st.sampled_from("abcdefgh"), VALUES | LONG, min_size=1), min_size=1, max_size=20),
    room=st.integers(200, 5_000),
)
def test_rows_take_about_the_room_that_they_are_given(rows: "list[dict[str, Json]]", room: int) -> None:
    """An answer that is too long pushes the conversation out of the model's sight."""
    columns = list(dict.fromkeys(name for row in rows for name in row))

    found = fit_rows(rows, columns, room=room)

    assert len(found.rows) == len(rows)
    shown = {name for row in found.rows for name in row}
    assert len(shown) <= len(columns) - found.columns_left_out
    # A first column is shown in any case; a cut says how much it cut, and JSON escapes what cannot be read.
    least = 40 * len(rows) + 60 * sum(map(len, found.rows))
    assert sum(len(str(cell).encode(errors="replace")) for row in found.rows for cell in row.values()) <= room + least


def test_short_cells_stay_whole_and_leave_their_room_to_long_ones() -> None:
    """A label is no use when it is cut, and a long text is of some use also then."""
    rows = [{"id": str(number), "text": "y" * 1_000, "label": "complaint about the price"} for number in range(4)]

    found = fit_rows(rows, ["id", "text", "label"], room=1_000)

    assert [(row["id"], row["label"]) for row in found.rows] == [(str(n), rows[0]["label"]) for n in range(4)]
    assert all(150 < len(str(row["text"])) < 250 and "more)" in str(row["text"]) for row in found.rows)


def test_what_fits_is_shown_to_the_letter() -> None:
    """Nothing is cut for the sake of it."""
    row: Mapping[str, Json] = {"text": "y" * 900, "n": 5, "none": None, "list": [1, {"a": "b"}]}

    found = fit_rows([row], list(row), room=2_000)

    assert found.rows == [{"text": "y" * 900, "n": 5, "list": [1, {"a": "b"}]}]


def test_of_too_many_columns_those_that_matter_come_first_and_the_others_are_counted() -> None:
    """Of 500 columns the assistant needs those that the model answered."""
    row = {f"column {number}": "some text that is not short" for number in range(500)} | {"label": "a"}

    found = fit_rows([row] * 5, list(row), room=2_000, first=["label"])

    assert all(shown["label"] == "a" for shown in found.rows)
    assert list(found.rows[0])[:2] == ["column 0", "column 1"]
    assert found.columns_left_out == 501 - len(found.rows[0])


def test_columns_that_look_the_same_are_both_shown() -> None:
    """An invisible character in a name must not hide a cell."""
    found = fit_rows([{"a": 1, "a\u200b": 2}], ["a", "a\u200b"], room=500)

    assert found.rows == [{"a": 1, "a (2)": 2}]


def test_bytes_are_counted_not_characters() -> None:
    """A text in Chinese takes three times the tokens of one with as many letters."""
    latin, chinese = (fit_rows([{"t": letter * 3_000}], ["t"], room=600).rows[0]["t"] for letter in "a中")

    assert 2.5 * str(chinese).count("中") < str(latin).count("a") < 3.5 * str(chinese).count("中")


def test_what_is_nested_becomes_a_text_where_it_is_too_long() -> None:
    """A list of a thousand objects is cut like any other cell."""
    shown = fit_value([{"name": "x" * 50, "n": number} for number in range(1_000)], 200)

    assert isinstance(shown, str)
    assert len(shown) < 300
    assert shown.startswith('[{"name":"xxx')


def test_names_are_cleaned_and_the_rest_is_counted() -> None:
    """A table may have thousands of columns."""
    shown = fit_names(["a\u202eb", *(f"column {number}" for number in range(1_000))], 100)

    assert shown[0] == "ab"
    assert len(json.dumps(shown)) < 160
    assert shown[-1] == f"… ({1_001 - len(shown) + 1:,} more)"
