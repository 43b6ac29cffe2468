"""Lines of a batch file without what differs in each: what most lines of a file have in common. Pure: judges nothing.

Most lines differ only in their `custom_id`, in the texts that are asked about, and maybe in a seed or another parameter
(`Tag`). What is left of a line without these is its shape. The decoder says how long each of them is, so whether a line
has a given shape is a matter of comparing a few pieces where they should stand: nothing is looked for.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import msgspec

from batchwright.checks.parameters import FREE, TOKEN_LIMITS
from batchwright.core.model import Endpoint, Fault, LineError

_CONTENT = b'"content"'
_CUSTOM_ID = b'"custom_id"'
_INPUT = b'"input"'
_MAX_DIGITS = 15
_USUAL_TOKENS = 16
"""A limit that every endpoint takes, and all above it."""
_FRACTION = re.compile(rb"0\.\d{1,20}")
_ENCLOSED = frozenset({b'""', b"{}"})
_NOWHERE = -(1 << 62)
"""A place that no piece stands at, however much is added to it."""
_TRIES = 8
MAX_CUSTOM_ID_CHARACTERS = 64


class _Message(msgspec.Struct, gc=False):
    content: msgspec.Raw = msgspec.Raw()


class _Chat(msgspec.Struct):
    messages: list[_Message]


class _Input(msgspec.Struct):
    input: msgspec.Raw


class _ChatLine(msgspec.Struct):
    custom_id: str
    body: _Chat


class _InputLine(msgspec.Struct):
    custom_id: str
    body: _Input


class _Tags(msgspec.Struct):
    """Parameters of which many values are judged alike."""

    seed: msgspec.Raw = msgspec.Raw()
    user: msgspec.Raw = msgspec.Raw()
    safety_identifier: msgspec.Raw = msgspec.Raw()
    prompt_cache_key: msgspec.Raw = msgspec.Raw()
    metadata: msgspec.Raw = msgspec.Raw()
    max_completion_tokens: msgspec.Raw = msgspec.Raw()
    max_tokens: msgspec.Raw = msgspec.Raw()
    max_output_tokens: msgspec.Raw = msgspec.Raw()
    temperature: msgspec.Raw = msgspec.Raw()
    top_p: msgspec.Raw = msgspec.Raw()
    presence_penalty: msgspec.Raw = msgspec.Raw()
    frequency_penalty: msgspec.Raw = msgspec.Raw()


TAGS = _Tags.__struct_fields__


class _TagLine(msgspec.Struct):
    body: _Tags


class _Id(msgspec.Struct):
    custom_id: msgspec.Raw


_chat_lines = msgspec.json.Decoder(_ChatLine)
_input_lines = msgspec.json.Decoder(_InputLine)
_tag_lines = msgspec.json.Decoder(_TagLine)
raw_ids = msgspec.json.Decoder(_Id)


class Tag(NamedTuple):
    """A parameter whose value differs from line to line.

    Attributes:
        like: A value that is judged as all that it takes.
    """

    name: str
    like: bytes

    @property
    def is_number(self) -> bool:
        """Whether it is one; else it is within quotes or braces, which stay where they are."""
        return self.like not in _ENCLOSED


def _tag(name: str, value: bytes, is_sound: Callable[[bytes], bool]) -> Tag | None:
    """Give the tag that takes *value*; None: no other is sure to be judged as this one."""
    if name == "metadata":
        return Tag(name, b"{}") if value[:1] == b"{" and is_sound(value) else None
    if name in FREE:
        if value[:1] == b'"':
            return Tag(name, b'""')
        return Tag(name, b"0") if value.isdigit() and len(value) <= _MAX_DIGITS else None
    if name in TOKEN_LIMITS:
        is_usual = value.isdigit() and len(value) <= _MAX_DIGITS and int(value) >= _USUAL_TOKENS
        return Tag(name, b"%d" % _USUAL_TOKENS) if is_usual else None
    # Inside the bounds of all of them, and neither of the values that may say nothing.
    return Tag(name, b"0.5") if _FRACTION.fullmatch(value) and float(value) > 0 else None


@dataclass(frozen=True, slots=True)
class Shape:
    """A line without what differs.

    Attributes:
        head, between, tail: What stands before, between and after what differs, quotes of texts included.
        tags: What each hole after the first is of; none at all: they are of the contents, in their order.
        errors, faults: Of all lines with it.
        wants_json: Whether its texts have to be searched for the word JSON.
        is_plain: Whether the first hole is the custom_id, and all others are texts or tags: no lists of parts.
    """

    head: bytes
    between: tuple[bytes, ...] = ()
    tail: bytes = b""
    tags: tuple["Tag | None", ...] = ()
    errors: tuple[LineError, ...] = ()
    faults: tuple[Fault, ...] = ()
    wants_json: bool = False
    is_plain: bool = False


def run(
    shape: Shape,
    endpoint: Endpoint,
    text: bytes,
    start: int,
    seen: dict[str, None],
    is_sound: Callable[[bytes], bool],
) -> tuple[int, int]:
    """Go on from *start* while the lines are the shape with other texts, and say where that ends, and after how many.

    Each piece begins and ends with the quotes around a text, and in a text no quote stands alone: so a piece that is
    where it should be is no part of a text, and a key that is there twice would be in a piece.

    Args:
        shape: Of the line before, or of one shortly before it.
        endpoint: Of the lines.
        text: Whole lines.
        start: Where the first of them begins.
        seen: The custom_ids so far, which grow.
        is_sound: Whether nothing is wrong inside an object.
    """
    is_chat = endpoint == "/v1/chat/completions"
    decode, view, end, lines = (_chat_lines if is_chat else _input_lines).decode, memoryview(text), len(text), 0
    find, is_at = text.find, text.startswith
    head, between, tail, tags = shape.head, shape.between, shape.tail, shape.tags
    head_bytes, tail_bytes, holes, wants_json = len(head), len(tail), len(between), shape.wants_json
    # Nearly all lines have one text: they are not made to wait for those that have more.
    is_of_one, first = holes == 1 and not tags, between[0] if between else b""
    text_bytes = len(first) - 2  # the text is given with its quotes, and the piece before it has one of them
    while start < end:
        stop = find(b"\n", start) + 1 or end
        try:
            fields = decode(view[start:stop])
        except (msgspec.DecodeError, RecursionError):
            break
        custom_id, contents = fields.custom_id, _contents(fields.body)
        length = len(custom_id)  # in bytes, or else the next piece is not found: what is longer is looked at by itself
        if custom_id in seen or not is_at(head, start) or length > MAX_CUSTOM_ID_CHARACTERS or not custom_id.strip():
            break
        place = start + head_bytes + length
        if is_of_one and len(contents) == 1:
            place = place + text_bytes + len(contents[0]) if is_at(first, place) else _NOWHERE
        elif tags:
            place = _through_tags(shape, view[start:stop], contents, text, place, is_sound)
        elif len(contents) == holes:
            for piece, content in zip(between, contents, strict=True):
                place = place + len(piece) + len(content) - 2 if is_at(piece, place) else _NOWHERE
        else:
            break
        if place + tail_bytes != stop or not is_at(tail, place) or (wants_json and not mention_json(contents)):
            break
        seen[custom_id] = None
        start, lines = stop, lines + 1
    return start, lines


def _through_tags(
    shape: Shape,
    line: memoryview,
    contents: Sequence[msgspec.Raw],
    text: bytes,
    place: int,
    is_sound: Callable[[bytes], bool],
) -> int:
    """Give where the last hole ends, if each is where it should be and of its kind."""
    rest, body = iter(contents), _tag_lines.decode(line).body
    for piece, tag in zip(shape.between, shape.tags, strict=True):
        value = bytes((getattr(body, tag.name) if tag else next(rest, None)) or b"")
        if not value or not text.startswith(piece, place):
            return _NOWHERE
        place += len(piece)
        if tag and not (_tag(tag.name, value, is_sound) == tag and text.startswith(value, place - (not tag.is_number))):
            return _NOWHERE
        place += len(value) - (0 if tag and tag.is_number else 2)
    return _NOWHERE if next(rest, None) else place


def is_usable(custom_id: str) -> bool:
    """Whether results can be found by it everywhere."""
    return 0 < len(custom_id) <= MAX_CUSTOM_ID_CHARACTERS and not custom_id.isspace()


def mention_json(texts: Iterable[msgspec.Raw | bytes]) -> bool:
    """Whether any of the texts has the word; a letter of it that is escaped is not seen."""
    return any(b"json" in bytes(text).lower() for text in texts)


def _contents(body: _Chat | _Input) -> Sequence[msgspec.Raw]:
    if type(body) is _Input:
        return (body.input,)
    messages = cast("_Chat", body).messages
    return (messages[0].content,) if len(messages) == 1 else [each.content for each in messages if each.content]


class Cut(NamedTuple):
    """A line cut into what it has in common with others, and what differs.

    Attributes:
        pieces: What is left of it.
        fillers: What stands for each hole, so that what is left can be read.
        contents: Texts, or lists of their parts, that were cut out.
        objects: Parameters that were.
        tags: As those of a shape.
        is_plain: As that of a shape.
    """

    pieces: tuple[bytes, ...]
    fillers: tuple[bytes, ...] = ()
    contents: tuple[bytes, ...] = ()
    objects: tuple[bytes, ...] = ()
    tags: tuple[Tag | None, ...] = ()
    is_plain: bool = False

    @property
    def line(self) -> bytes:
        """The line without what differs."""
        filled = (piece + filler for piece, filler in zip(self.pieces, (*self.fillers, b""), strict=True))
        return b"".join(filled)


class _Hole(NamedTuple):
    start: int
    end: int
    filler: bytes = b""
    tag: Tag | None = None


def tag_values(line: bytes) -> list[bytes]:
    """Give the values of `TAGS` in a line; those that it does not have are empty."""
    try:
        tags = _tag_lines.decode(line).body
    except (msgspec.DecodeError, RecursionError):
        return [b""] * len(TAGS)
    return [bytes(getattr(tags, name)) for name in TAGS]


def cut(line: bytes, endpoint: Endpoint, tags: Mapping[str, bytes], is_sound: Callable[[bytes], bool]) -> Cut:
    """Cut custom_id, texts or lists of their parts, and *tags*, given with their values, out of a line.

    What is not found where it is looked for stays in its piece.
    """
    is_chat = endpoint == "/v1/chat/completions"
    key = _CONTENT if is_chat else _INPUT
    try:
        custom_id = bytes(raw_ids.decode(line).custom_id)
        fields = _chat_lines.decode(line) if is_chat else _input_lines.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return Cut((line,))
    holes: list[_Hole] = []
    contents: list[bytes] = []
    start = _value_at(line, _CUSTOM_ID, 0, custom_id)
    if start:
        holes.append(_Hole(start + 1, start + len(custom_id) - 1))
    after = 0
    expected = [bytes(content) for content in _contents(fields.body) if content]
    for content in expected:
        start = _value_at(line, key, after, content) if content[:1] in {b'"', b"["} else 0
        if start:
            after = start + len(content)
            holes.append(_Hole(start + 1, after - 1))
            contents.append(content)
    is_plain = len(holes) == 1 + len(expected) and holes == sorted(holes)
    is_plain = is_plain and all(line[hole.start - 1 : hole.start] == b'"' for hole in holes)
    first = holes[0].start if is_plain else 0
    for hole in _tag_holes(line, tags, is_sound):
        # A key of the same name may be inside an object that is cut out as a whole.
        if all(hole.end <= other.start or other.end <= hole.start for other in holes):
            holes.append(hole)
    holes.sort()
    is_plain = is_plain and holes[0].start == first
    pieces: list[bytes] = []
    at = 0
    for hole in holes:
        pieces.append(line[at : hole.start])
        at = hole.end
    found = tuple(hole.tag for hole in holes)
    objects = [line[hole.start - 1 : hole.end + 1] for hole in holes if hole.tag and hole.tag.like == b"{}"]
    return Cut(
        (*pieces, line[at:]),
        tuple(hole.filler for hole in holes),
        tuple(contents),
        tuple(objects),
        found[1:] if any(found) else (),
        is_plain,
    )


def _tag_holes(line: bytes, tags: Mapping[str, bytes], is_sound: Callable[[bytes], bool]) -> Iterable[_Hole]:
    for name, value in tags.items():
        tag = _tag(name, value, is_sound) if value else None
        start = _value_at(line, b'"%b"' % name.encode(), 0, value) if tag else 0
        if tag and start:
            end = start + len(value)
            yield _Hole(start, end, tag.like, tag) if tag.is_number else _Hole(start + 1, end - 1, b"", tag)


def _value_at(line: bytes, key: bytes, after: int, value: bytes) -> int:
    """Find where the value of the next such key begins; 0 where that is not *value*."""
    for _ in range(_TRIES):
        at = line.find(key, after)
        if at < 0:
            return 0
        after = at = at + len(key)
        while line[at : at + 1] in {b" ", b"\t", b":"}:
            at += 1
        # The same word may be a value before it is the key.
        if b":" in line[after:at]:
            return at if line.startswith(value, at) else 0
    return 0
