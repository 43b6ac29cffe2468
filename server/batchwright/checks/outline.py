"""The outline of a request line: the line without its id and its texts. Pure: judges nothing.

Nearly all lines of a batch file have the outline of another one, and what depends on the outline is judged once.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import NamedTuple, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from batchwright.checks.parameters import FREE, PARAMETERS
from batchwright.core.jsonl import duplicate_key, json_values

MAX_BYTES = 1 << 15
"""Of an outline: longer ones are rare, and those that are remembered must not fill the memory."""
_MAX_DIGITS = 15
_BLANKED = ("input", "instructions", *FREE)
"""Parameters that are judged by the kind of their value alone."""
_NO_VALUES = (UNSET,) * len(_BLANKED)
_ANY_ID = Raw(b'"-"')
_ANY_TEXT = Raw(b'""')
_ANY_NUMBER = Raw(b"0")
_ANY_OBJECT = Raw(b"{}")
_ANY_LIST = Raw(b"[]")


class _Message(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    role: Raw | UnsetType = UNSET
    content: Raw | UnsetType = UNSET
    name: Raw | UnsetType = UNSET
    refusal: Raw | UnsetType = UNSET
    tool_calls: Raw | UnsetType = UNSET
    tool_call_id: Raw | UnsetType = UNSET


class _Body(msgspec.Struct):
    messages: list[_Message] | UnsetType = UNSET


class _Line(msgspec.Struct):
    custom_id: Raw
    body: _Body


def _line_type() -> type[msgspec.Struct]:
    """Return the type of a line whose body may have each known parameter, and nothing else."""
    names = {name: Raw | UnsetType for parameters in PARAMETERS.values() for name in parameters}
    body = [(name, kind, UNSET) for name, kind in names.items() if name != "messages"]
    body_type = msgspec.defstruct("_AnyBody", body, bases=(_Body,), forbid_unknown_fields=True, omit_defaults=True)
    line = [("custom_id", Raw), ("method", Raw), ("url", Raw), ("body", body_type)]
    return msgspec.defstruct("_AnyLine", line, bases=(_Line,), forbid_unknown_fields=True)


_decode = cast("Callable[[bytes], _Line]", msgspec.json.Decoder(_line_type()).decode)
_encode = msgspec.json.Encoder().encode
_blanked = attrgetter(*_BLANKED)


class Outline(NamedTuple):
    """What a line has in common with others.

    Attributes:
        custom_id: The line's own.
        line: The line with another id and empty texts; every other value is as it was written.
    """

    custom_id: str
    line: bytes


def outline(line: bytes) -> Outline | None:
    """Return the outline of a line of valid UTF-8; None: it has unusual fields, or may have a key twice."""
    try:
        fields = _decode(line)
        custom_id = json_values.decode(fields.custom_id)
    except (ValueError, RecursionError):
        return None
    body = fields.body
    taken, given = [fields.custom_id], [_ANY_ID]
    fields.custom_id = _ANY_ID
    if (values := _blanked(body)) != _NO_VALUES:
        for name, value in zip(_BLANKED, values, strict=True):
            if value is not UNSET:
                taken.append(value)
                given.append(_any_of_its_kind(value))
                setattr(body, name, given[-1])
    for message in body.messages or ():
        if message.content is not UNSET:
            taken.append(message.content)
            message.content = _any_of_its_kind(message.content)
            given.append(message.content)
    left = _encode(fields)
    is_usual = isinstance(custom_id, str) and len(left) <= MAX_BYTES and _is_all(left, line, taken, given)
    return Outline(custom_id, left) if is_usual else None


def _any_of_its_kind(value: Raw) -> Raw:
    """Return a value that is judged as *value* is, which is *value* itself if parsers may not agree on it."""
    text = bytes(value)
    match text[:1]:
        case b'"':
            return _ANY_TEXT
        case b"{" if _is_sound(text):
            return _ANY_OBJECT
        case b"[" if _is_sound(text):
            return _ANY_LIST
        case _:
            return _ANY_NUMBER if text.isdigit() and len(text) <= _MAX_DIGITS else value


def _is_sound(value: bytes) -> bool:
    """Whether a list or an object holds no key twice, and no number that is too large."""
    try:
        json_values.decode(value)
        return duplicate_key(value) is None
    except (ValueError, RecursionError):
        return False


def _is_all(left: bytes, line: bytes, taken: Sequence[Raw], given: Sequence[Raw]) -> bool:
    """Whether *left* is all of *line* but what was taken; of a key that is there twice, it has only one.

    A line without spaces is then as long. One with spaces has as many quotes: each key has two, each value its own.
    """
    is_as_long = len(line) - len(left) == sum(map(len, taken)) - sum(map(len, given))
    return is_as_long or _quotes(line) - _quotes(left) == sum(map(_quotes, taken)) - sum(map(_quotes, given))


def _quotes(text: bytes | Raw) -> int:
    # Faster than to count them.
    text = bytes(text)
    return len(text) - len(text.replace(b'"', b""))
