"""Cleans and cuts rows and names to fit a conversation, within a limit of bytes. Pure.

Bytes of UTF-8 track a model's tokens better than characters do: about four bytes to a token in most languages.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from batchwright.core.model import Json
from batchwright.core.untrusted import clean, clean_value, one_line

_LEAST_CELL_BYTES = 24
_MARKS = 6
"""Quotes, colon and comma of a cell."""
_MOST_CELL_CHARACTERS = 8_000
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class FittedRows:
    """Rows that fit, without their empty cells, and how many columns did not fit at all."""

    rows: Sequence[Mapping[str, Json]]
    columns_left_out: int


def fit_rows(
    rows: Sequence[Mapping[str, Json]], columns: Sequence[str], *, room: int, first: Collection[str] = ()
) -> FittedRows:
    """Cut *rows* to about *room* bytes: the longest cells first, and columns only if even short cells do not fit.

    Args:
        rows: Cells by column.
        columns: Of the rows, in their order.
        room: Bytes of all rows together.
        first: Columns that are shown before others.
    """
    sizes: dict[str, list[int]] = {}
    for column in sorted(columns, key=lambda column: column not in first):
        cells = [_size(row[column]) for row in rows if row.get(column) is not None]
        names = len(cells) * (len(one_line(column).encode()) + _MARKS)
        if sizes and names + sum(min(size, _LEAST_CELL_BYTES) for size in cells) > room:
            break
        room -= names + sum(min(size, _LEAST_CELL_BYTES) for size in cells)
        sizes[column] = cells
    kept = display_names([column for column in columns if column in sizes])
    each = [size for cells in sizes.values() for size in cells]
    most = _most(each, room + sum(min(size, _LEAST_CELL_BYTES) for size in each))
    fitted = [
        {name: fit_value(row[column], most) for column, name in kept.items() if row.get(column) is not None}
        for row in rows
    ]
    return FittedRows(fitted, len(columns) - len(kept))


def fit_value(value: Json, most: int) -> Json:
    """Clean a value, and cut it to about *most* bytes; a nested value that is too long becomes a text."""
    if not isinstance(value, str):
        plain = clean_value(value, max(most, _LEAST_CELL_BYTES))
        text = _encode(plain).decode()
        if len(text) <= max(most, _LEAST_CELL_BYTES):
            return plain
        value = text
    text = clean(value, _MOST_CELL_CHARACTERS)
    size = len(text.encode())
    return text if size <= most else clean(value, max(4, most * len(text) // size))


def fit_names(names: Sequence[str], room: int) -> list[str]:
    """Return as many cleaned names as fit *room* bytes, and the number left out."""
    shown: list[str] = []
    for name in names:
        text = one_line(name)
        room -= len(text.encode()) + 3
        if shown and room < 0:
            return [*shown, f"… ({len(names) - len(shown):,} more)"]
        shown.append(text)
    return shown


def display_names(columns: Sequence[str]) -> dict[str, str]:
    """Return the shown name of each column, unique even if two differ only in hidden characters."""
    names: dict[str, str] = {}
    for column in columns:
        name, number = one_line(column), 1
        while (shown := name if number == 1 else f"{name} ({number})") in names.values():
            number += 1
        names[column] = shown
    return names


def _size(value: Json) -> int:
    """Return the bytes of a value shown whole."""
    if isinstance(value, str):
        return len(value[:_MOST_CELL_CHARACTERS].encode(errors="replace"))
    return len(_encode(clean_value(value))) if isinstance(value, list | dict) else len(str(value))


def _most(sizes: Sequence[int], room: int) -> int:
    """Return the size to cut to, so that all together fit *room*: long ones get what short ones leave."""
    ordered = sorted(sizes)
    for place, size in enumerate(ordered):
        share = room // (len(ordered) - place)
        if size > share:
            return max(share, _LEAST_CELL_BYTES)
        room -= size
    return max(ordered, default=_LEAST_CELL_BYTES)
