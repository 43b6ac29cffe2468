"""The outline of a request line: the line without its id, and without the values that no rule looks at. Pure.

Nearly all lines of a batch file share their outline with others, so whatever depends on the outline is judged once.
"""

from collections.abc import Iterable
from typing import Any, cast

import msgspec
from msgspec import Raw

from batchwright.checks.parameters import FREE, PARAMETERS
from batchwright.core.jsonl import duplicate_key, json_values

MAX_BYTES = 1 << 15
"""Longer outlines are rare, and those that are remembered must not fill the memory."""
_MAX_DIGITS = 15
_JUDGED_BY_VALUE = frozenset(name for known in PARAMETERS.values() for name in known) - {"input", "instructions", *FREE}
"""All other parameters are judged by the kind of their value alone, or by their name if they are unknown."""
_ANY_ID = Raw(b'"-"')
_ANY_TEXT = Raw(b'""')
_ANY_NUMBER = Raw(b"0")
_ANY_OBJECT = Raw(b"{}")
_ANY_LIST = Raw(b"[]")


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    custom_id: Raw
    method: Raw
    url: Raw
    body: dict[str, Raw]


_decode = msgspec.json.Decoder(_Line).decode
_decode_messages = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_encode = msgspec.json.Encoder().encode


def outline(line: bytes) -> tuple[str, bytes] | None:
    """Return the id and the outline of a line of valid UTF-8; None if the line is unusual or may repeat a key.

    The outline is the line with another id and empty texts; every other value is as it was written.
    """
    try:
        fields = _decode(line)
        custom_id = json_values.decode(fields.custom_id)
        messages = _decode_messages(fields.body.get("messages", _ANY_LIST))
    except (ValueError, RecursionError):
        return None
    body = cast("dict[str, Any]", fields.body)
    if messages:
        body["messages"] = messages
    blanks = [(message, "content") for message in messages if "content" in message]
    if not body.keys() <= _JUDGED_BY_VALUE:
        blanks += [(body, name) for name in body if name not in _JUDGED_BY_VALUE]
    replaced = [(fields.custom_id, _ANY_ID)]
    saved = len(fields.custom_id) - len(_ANY_ID)
    fields.custom_id = _ANY_ID
    for values, name in blanks:
        value = values[name]
        values[name] = other = _any_of_its_kind(value)
        replaced.append((value, other))
        saved += len(value) - len(other)
    left = _encode(fields)
    # Of a repeated key, *left* has only one. A line without spaces is then shorter than it should be.
    is_all = len(line) - len(left) == saved or _has_all_quotes(left, line, replaced)
    return (custom_id, left) if isinstance(custom_id, str) and len(left) <= MAX_BYTES and is_all else None


def _any_of_its_kind(value: Raw) -> Raw:
    """Return a value that is judged as *value* is, which is *value* itself if parsers may disagree about it."""
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
    """Whether a list or an object repeats no key and holds no number that is too large."""
    try:
        json_values.decode(value)
        return duplicate_key(value) is None
    except (ValueError, RecursionError):
        return False


def _has_all_quotes(left: bytes, line: bytes, replaced: Iterable[tuple[Raw, Raw]]) -> bool:
    """Whether *left* lacks no quotes of a line with spaces: each key has two, each value its own."""
    return _quotes(line) - _quotes(left) == sum(_quotes(old) - _quotes(new) for old, new in replaced)


def _quotes(text: bytes | Raw) -> int:
    """Count quotes, also those that are escaped by their number, which the encoder writes in the short form."""
    text = bytes(text)
    # Faster than to count them.
    return len(text) - len(text.replace(b'"', b"")) + text.count(rb"\u0022")
