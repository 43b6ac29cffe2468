"""The rows of a frozen source and a recipe to encoded requests, in order, streaming.

Where the recipe only puts texts between texts, as nearly all do, DuckDB does that and gives them as JSON: no long text
becomes an object here, to be taken apart again. Else the template engine fills each row.
"""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from batchwright.errors import InvalidInput
from batchwright.jsonl import encode_request
from batchwright.model import Json, Recipe, Request
from batchwright.part_files import Line, RecipeMeasure
from batchwright.recipe import MAX_TEXT_CHARACTERS, body_builder, plain_texts, template_columns, with_texts
from batchwright.tables.sources import are_texts, frozen_rows, frozen_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_decode = msgspec.json.Decoder(str).decode


class Filled(NamedTuple):
    """A row's request.

    Attributes:
        is_empty: Whether nothing is in any of the columns that it uses.
    """

    custom_id: str
    line: Line
    is_empty: bool


@dataclass(frozen=True, slots=True)
class Filling:
    """A recipe, to be filled from the columns of a source.

    Attributes:
        used: The columns that its texts may use.
    """

    recipe: Recipe
    used: "Sequence[str]"
    _body: "Callable[[Mapping[str, Json]], dict[str, Json]]"

    def requests(self, frozen: Path) -> Iterator[Filled]:
        """Give the request of each row.

        Raises:
            InvalidInput: A row cannot be filled in; the sentence names it.
        """
        texts = plain_texts(self.recipe, self.used)
        if texts and are_texts(frozen, self.used):
            return _put_together(frozen, self.recipe, self.used, texts)
        return self._rendered(frozen)

    def _rendered(self, frozen: Path) -> Iterator[Filled]:
        measure = RecipeMeasure(self.recipe)
        for number, (custom_id, row) in enumerate(frozen_rows(frozen, self.used), 1):
            try:
                line = measure.request(Request(custom_id, self._body(row)))
            except InvalidInput as error:
                raise InvalidInput(f"Row {number}: {error}") from error
            except (UnicodeEncodeError, TypeError, ValueError) as error:
                raise InvalidInput(f"Row {number} holds a value that is not valid JSON text. Mend it.") from error
            yield Filled(custom_id, line, bool(row) and all(value is None or value == "" for value in row.values()))


def filling(recipe: Recipe, columns: "Sequence[str]") -> Filling:
    """Compile *recipe* against *columns*.

    Raises:
        InvalidInput: A template is broken or names an unknown column, or the parameters contradict the recipe.
    """
    used = template_columns(recipe, columns)
    return Filling(recipe, used, body_builder(recipe, columns))


def _put_together(
    frozen: Path, recipe: Recipe, used: "Sequence[str]", texts: "Sequence[Sequence[str]]"
) -> Iterator[Filled]:
    measure = RecipeMeasure(recipe)
    first, *between, last = _around(recipe, len(texts))
    encode_id = msgspec.json.Encoder().encode
    for number, (custom_id, is_empty, *filled) in enumerate(frozen_texts(frozen, used, texts), 1):
        if any(len(text) > MAX_TEXT_CHARACTERS for text in filled):
            _refuse_long(filled, number)
        parts = [first, encode_id(custom_id)]
        for before, text in zip(between, filled, strict=True):
            parts += (before, text)
        parts.append(last)
        yield Filled(custom_id, measure.line(b"".join(parts), map(_decode, filled)), is_empty)


def _around(recipe: Recipe, texts: int) -> list[bytes]:
    """Give what stands before, between and after the id and the texts of each request line."""
    marks = [secrets.token_hex(16) for _ in range(texts + 1)]
    line = encode_request(Request(marks[0], with_texts(recipe, marks[1:])), recipe.endpoint)
    pieces: list[bytes] = []
    for mark in marks:
        before, _, line = line.partition(b'"%b"' % mark.encode())
        pieces.append(before)
    return [*pieces, line]


def _refuse_long(filled: "Sequence[bytes]", number: int) -> None:
    for text in filled:
        if (characters := len(_decode(text))) > MAX_TEXT_CHARACTERS:
            raise InvalidInput(f"Row {number}: the text has {characters:,} characters when filled. Send less of it.")
