"""Lines of a batch file without their texts: what most lines of a file have in common. Pure: judges nothing.

Most lines differ only in their `custom_id` and in the texts that are asked about. What is left of a line without these
is its shape. The decoder says how long each text is, so whether a line has a given shape is a matter of comparing a few
pieces where they should stand: nothing is looked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import msgspec

from batchwright.model import Endpoint, Fault, LineError

_CONTENT = b'"content"'
_CUSTOM_ID = b'"custom_id"'
_INPUT = b'"input"'


class _Message(msgspec.Struct):
    content: msgspec.Raw = msgspec.Raw()


class _ChatBody(msgspec.Struct):
    messages: list[_Message]


class _InputBody(msgspec.Struct):
    input: msgspec.Raw


class ChatLine(msgspec.Struct):
    """What is decoded of a line of the chat endpoint."""

    custom_id: str
    body: _ChatBody


class InputLine(msgspec.Struct):
    """What is decoded of a line of another endpoint."""

    custom_id: str
    body: _InputBody


class _Id(msgspec.Struct):
    custom_id: msgspec.Raw


chat_lines = msgspec.json.Decoder(ChatLine)
input_lines = msgspec.json.Decoder(InputLine)
raw_ids = msgspec.json.Decoder(_Id)


@dataclass(frozen=True, slots=True)
class Shape:
    """A line without its texts.

    Attributes:
        head, between, tail: What stands before, between and after the texts, quotes included.
        errors, faults: Of all lines with it.
        wants_json: Whether its texts have to be searched for the word JSON.
        is_plain: Whether the first text is the custom_id, and all are texts: no lists of parts.
    """

    head: bytes
    between: tuple[bytes, ...] = ()
    tail: bytes = b""
    errors: tuple[LineError, ...] = ()
    faults: tuple[Fault, ...] = ()
    wants_json: bool = False
    is_plain: bool = False


def fits(shape: Shape, line: ChatLine | InputLine, text: bytes, start: int, stop: int) -> bool:
    """Whether the line from *start* to *stop* is the shape with other texts.

    Each piece begins and ends with the quotes around a text, and in a text no quote stands alone: so a piece that is
    where it should be is no part of a text, and a key that is there twice would be in a piece.
    """
    contents = [content for content in _contents(line) if len(content)]
    if len(contents) != len(shape.between) or not text.startswith(shape.head, start):
        return False
    place = start + len(shape.head) + len(line.custom_id)
    for piece, content in zip(shape.between, contents, strict=True):
        if not text.startswith(piece, place):
            return False
        place += len(piece) + len(content) - 2
    is_whole = text.startswith(shape.tail, place) and place + len(shape.tail) == stop
    return is_whole and (not shape.wants_json or mention_json(contents))


def mention_json(texts: Iterable[msgspec.Raw]) -> bool:
    """Whether any of the texts has the word; a letter of it that is escaped is not seen."""
    return any(b"json" in bytes(text).lower() for text in texts)


def _contents(line: ChatLine | InputLine) -> Iterable[msgspec.Raw]:
    body = line.body
    return [message.content for message in body.messages] if isinstance(body, _ChatBody) else (body.input,)


def cut(line: bytes, endpoint: Endpoint) -> tuple[tuple[bytes, ...], list[msgspec.Raw], bool]:
    """Cut custom_id and texts, or lists of their parts, out of a line: pieces, what was cut out, is it plain.

    A text that is not found where it is looked for stays in its piece.
    """
    is_chat = endpoint == "/v1/chat/completions"
    key = _CONTENT if is_chat else _INPUT
    try:
        custom_id: msgspec.Raw | None = raw_ids.decode(line).custom_id
        fields = chat_lines.decode(line) if is_chat else input_lines.decode(line)
        contents = _contents(fields)
    except (msgspec.DecodeError, RecursionError):
        return (line,), [], False
    holes: list[tuple[int, int]] = []
    texts: list[msgspec.Raw] = []
    start = _value_at(line, _CUSTOM_ID, 0, custom_id)
    if start:
        holes.append((start, start + len(custom_id)))
    after = 0
    for content in contents:
        start = _value_at(line, key, after, content) if bytes(content)[:1] in {b'"', b"["} else 0
        if start:
            after = start + len(content)
            holes.append((start, after))
            texts.append(content)
    is_plain = len(holes) == 1 + sum(1 for content in contents if len(content)) and holes == sorted(holes)
    is_plain = is_plain and all(line[start : start + 1] == b'"' for start, _ in holes)
    holes.sort()
    pieces: list[bytes] = []
    at = 0
    for start, end in holes:
        pieces.append(line[at : start + 1])
        at = end - 1
    return (*pieces, line[at:]), texts, is_plain


def _value_at(line: bytes, key: bytes, after: int, value: msgspec.Raw) -> int:
    """Find where the value of the next such key begins; 0 where that is not *value*."""
    at = line.find(key, after)
    if at < 0:
        return 0
    at += len(key)
    while line[at : at + 1] in {b" ", b"\t", b":"}:
        at += 1
    return at if line.startswith(cast("bytes", value), at) else 0
