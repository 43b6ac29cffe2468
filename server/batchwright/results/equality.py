"""When two answers are equal: one rule for trials and for whole jobs. Pure."""

import re
from contextlib import suppress
from decimal import Context, Decimal
from typing import cast

import msgspec

from batchwright.core.model import Json

_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]{0,400})(\.[0-9]{1,400})?(e[-+]?[0-9]{1,3})?")
"""A number with leading zeros is a name, such as a postcode."""
_exact = Context(prec=1_000)
_decode = msgspec.json.Decoder().decode


def are_same(one: Json, other: Json) -> bool:
    """Whether two answers are equal by `comparable`."""
    return comparable(one) == comparable(other)


def comparable(value: Json) -> str:
    """Return a value's comparison key: case and surrounding spaces are ignored, and numbers compare by value.

    Lists and objects compare item by item, even if a cell holds them as text. Null equals an empty text.
    This is not how a template shows a value (`requests.recipe`): the model must read it exactly as it is written.
    """
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list() | dict():
            return _nested(cast("Json", value))
        case _:
            return _of_text(str(value).strip())


def _of_text(text: str) -> str:
    if text.startswith(("[", "{")):
        with suppress(msgspec.DecodeError, RecursionError):
            return _nested(_decode(text))
    folded = text.casefold()
    return _number(folded) if _NUMBER.fullmatch(folded) else folded


def _number(text: str) -> str:
    number = Decimal(text)
    return str(number.normalize(_exact)) if number else "0"


def _nested(value: Json) -> str:
    return msgspec.json.encode(_items(value), order="sorted").decode()


def _items(value: Json) -> Json:
    match value:
        case list():
            return [_items(item) for item in cast("list[Json]", value)]
        case dict():
            return {name: _items(item) for name, item in cast("dict[str, Json]", value).items()}
        case _:
            return comparable(value)
