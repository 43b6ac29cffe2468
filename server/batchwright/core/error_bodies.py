"""The error in the body of a provider's answer, in any of the usual shapes. Pure."""

import re
from collections.abc import Mapping
from typing import cast

from batchwright.core.model import Json
from batchwright.core.problem import Problem

MAX_ERROR_CHARACTERS = 2_000
_MAX_FAULTS = 5
_NAME = re.compile(r"[A-Za-z$][\w.\[\]-]{1,63}", re.ASCII)
_TELLING_TYPES = frozenset({"insufficient_quota", "exceed_context_size_error", "not_found_error", "NotFoundError"})
"""Error types that say more than the status if there is no code."""


def refusal(status: int, body: Json) -> Problem:
    """Return the refusal in an error body: the status, the provider's code, parameter and message."""
    error = body_error(body)
    named = ", ".join(f"{what} {name}" for what, name in (("code", error.code), ("param", error.param)) if name)
    words = f"HTTP {status}{named and f' ({named})'}: {error.words}"
    return Problem.said(words, code=error.code, status=status, param=error.param)


def body_error(body: Json) -> Problem:
    """Return the error in a body of any usual shape, with the provider's code and parameter."""
    fields = _fields(body)
    error = _fields(fields.get("error")) or fields
    kind = _name(error.get("type"))
    code = _name(error.get("code")) or (kind if kind in _TELLING_TYPES else None)
    return Problem.said(error_text(body), code=code, param=_name(error.get("param")))


def error_text(body: Json) -> str:
    """Return the message of an error body of any usual shape."""
    return (words_in(_fields(body)) or "no reason given")[:MAX_ERROR_CHARACTERS]


def words_in(error: Json, depth: int = 5) -> str:
    """Return the words of an error: a text, or what contains one, such as FastAPI's list of located faults."""
    if isinstance(error, list):
        items = cast("list[Json]", error)[:_MAX_FAULTS]
        return "; ".join(filter(None, (words_in(item, depth - 1) for item in items))) if depth else ""
    if not isinstance(error, dict):
        return str(error or "")
    fields = cast("dict[str, Json]", error)
    named = (fields.get(name) for name in ("error", "message", "msg", "detail", "errors"))
    said = next((text for value in named if value and (text := words_in(value, depth - 1))), "") if depth else ""
    place = fields.get("loc")
    at = ".".join(map(str, cast("list[Json]", place))) if isinstance(place, list) else ""
    return f"{at}: {said}" if at and said else said


def _name(value: Json) -> str | None:
    """Return a text that can be a name; other values, such as the status again, are not."""
    return value if isinstance(value, str) and _NAME.fullmatch(value) else None


def _fields(value: Json) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", value) if isinstance(value, dict) else {}
