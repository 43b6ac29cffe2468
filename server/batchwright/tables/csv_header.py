"""Whether the first line of a table names its columns or is a row like the others. Pure."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

Verdict = Literal["names", "row", "doubt"]

_VALUE = re.compile(r"\s*[+-]?(\d+([.,]\d+)*|\d{4}-\d\d?-\d\d?([T ][\d:.Z+-]+)?|\d\d?[./]\d\d?[./]\d{2,4})\s*%?\s*")
"""A number or a date: what rows hold, and names hardly are."""
_OFTEN = 2
_YEAR = re.compile(r"(19|20)\d\d")


def verdict(first: Sequence[str], below: Sequence[Sequence[str]]) -> Verdict:
    """Say what the line of the cells *first* is, by some of the rows *below* it.

    A number above numbers, or a text that comes again and again below itself, speaks for a row; a word above numbers
    for names.
    Years, and numbers that count on from one column to the next, may be either.
    """
    for_names = for_row = 0
    for place, cell in enumerate(first):
        cells = [row[place] for row in below if len(row) == len(first) and row[place].strip()]
        if not cells:
            continue
        are_values = all(map(_VALUE.fullmatch, cells))
        if _VALUE.fullmatch(cell):
            for_row += are_values
        elif cell.strip() and are_values:
            for_names += 1
        elif cells.count(cell) >= _OFTEN and len(first) > 1:
            for_row += 1
    if not for_row or list(first) in [list(row) for row in below]:
        return "names"
    return "doubt" if for_names or _count_on(first) or any(map(_YEAR.fullmatch, first)) else "row"


def _count_on(cells: Sequence[str]) -> bool:
    """Whether two neighbours are whole numbers of which one follows the other."""
    numbers = [int(cell) if cell.strip().isdecimal() and cell.isascii() else None for cell in cells]
    pairs = pairwise(numbers)
    return any(a is not None and b is not None and abs(a - b) == 1 and len(cells) > 2 for a, b in pairs)
