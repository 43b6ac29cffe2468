"""The rows of a frozen source and a recipe to encoded requests, in order, streaming.

Where the recipe only puts texts between texts, as nearly all do, the bytes of the request are put together from those
of the cells: most need no escapes, and are not even decoded. Else the template engine fills each row.
"""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from batchwright.core.errors import InvalidInput
from batchwright.core.jsonl import encode_request
from batchwright.core.model import Json, Recipe, Request
from batchwright.requests.measure import Line, RecipeMeasure
from batchwright.requests.recipe import MAX_TEXT_CHARACTERS, body_builder, plain_texts, template_columns, with_texts
from batchwright.tables.frozen import are_texts, frozen_rows, frozen_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_decode = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_PLAIN = bytes(byte for byte in range(0x20, 0x100) if byte not in b'"\\')
"""What stands in JSON as it is."""


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
    line, id_place, places, spans = _line(recipe, used, texts)
    for number, (custom_id, *cells) in enumerate(frozen_texts(frozen, used), 1):
        line[id_place] = _encode(custom_id)
        for place, column in places:
            line[place] = _escaped(cells[column])
        data = b"".join(line)
        if len(data) > MAX_TEXT_CHARACTERS:
            _refuse_long(_texts(line, spans), number)
        yield Filled(custom_id, measure.line(data, _texts(line, spans)), bool(cells) and not any(cells))


def _line(
    recipe: Recipe, used: "Sequence[str]", texts: "Sequence[Sequence[str]]"
) -> tuple[list[bytes], int, list[tuple[int, int]], list[slice]]:
    """Give the pieces of a request line, quotes around texts included, and what is to be put where.

    That is the place of the id, those of the cells with the number of their column, and the pieces of each text.
    """
    first, *between, last = _around(recipe, len(texts))
    line: list[bytes] = [first, b""]
    places: list[tuple[int, int]] = []
    spans: list[slice] = []
    for before, text in zip(between, texts, strict=True):
        line += [before, b'"']
        begin = len(line)
        for place, piece in enumerate(text):
            if place % 2:
                places.append((len(line), used.index(piece)))
            line.append(b"" if place % 2 else _encode(piece)[1:-1])
        spans.append(slice(begin, len(line)))
        line.append(b'"')
    return [*line, last], 1, places, spans


def _escaped(text: bytes) -> bytes:
    """Give a text as it stands within the quotes of JSON."""
    return text if not text.translate(None, _PLAIN) else _encode(text.decode())[1:-1]


def _texts(line: "Sequence[bytes]", spans: "Sequence[slice]") -> Iterator[str]:
    """Give the texts of a line, which are read only when they are asked for: most are not even counted."""
    return (_decode(b'"%b"' % b"".join(line[span])) for span in spans)


def _around(recipe: Recipe, texts: int) -> list[bytes]:
    """Give what stands before, between and after the id and the texts of each request line."""
    marks = [secrets.token_hex(16) for _ in range(texts + 1)]
    line = encode_request(Request(marks[0], with_texts(recipe, marks[1:])), recipe.endpoint)
    pieces: list[bytes] = []
    for mark in marks:
        before, _, line = line.partition(b'"%b"' % mark.encode())
        pieces.append(before)
    return [*pieces, line]


def _refuse_long(texts: "Iterable[str]", number: int) -> None:
    for text in texts:
        if len(text) > MAX_TEXT_CHARACTERS:
            raise InvalidInput(f"Row {number}: the text has {len(text):,} characters when filled. Send less of it.")
