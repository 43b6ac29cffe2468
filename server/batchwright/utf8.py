"""Whether bytes are UTF-8, told faster than any decoder does. Pure."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter, ValidationError

MOST_WAITING_BYTES = 1 << 20
"""Of a line that is longer than what is looked at together."""
_too_short = TypeAdapter(Annotated[str, StringConstraints(min_length=1 << 60)])
"""Refuses every text, and so makes none: it only says what is wrong with the bytes."""


def is_utf8(data: bytes) -> bool:
    """Whether *data* is UTF-8, as a whole."""
    if data.isascii():
        return True
    try:
        _too_short.validate_python(data)
    except ValidationError as error:
        (found,) = error.errors(include_url=False, include_context=False, include_input=False)
        return found["type"] != "string_unicode"
    return True


def are_utf8(chunks: Iterable[bytes]) -> bool:
    """Whether *chunks* are UTF-8 together; a letter may be cut in two between them."""
    rest = b""
    for chunk in chunks:
        # Letters are whole before every ASCII character, and a line end is one: other texts wait for the next chunk.
        end = chunk.rfind(b"\n") + 1
        if end:
            if not is_utf8(b"".join((rest, memoryview(chunk)[:end]))):
                return False
            rest = chunk[end:]
        else:
            rest += chunk
            if len(rest) > MOST_WAITING_BYTES:
                rest, whole = _cut(rest)
                if not is_utf8(whole):
                    return False
    return is_utf8(rest)


def _cut(data: bytes) -> tuple[bytes, bytes]:
    """Give a letter that may not be whole at the end, and what is before it."""
    last = range(len(data) - 1, max(len(data) - 5, 0), -1)
    start = next((place for place in last if data[place] & 0xC0 != 0x80), len(data))
    return data[start:], data[:start]
