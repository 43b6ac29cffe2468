"""Tool calls that answers, errors and remedies recommend: values, rendered as text or as data. Pure.

Every recommended call with arguments is one of these, so that a test can check each against `tools/list`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from batchwright.core.model import Json
from batchwright.core.untrusted import quote_json


@dataclass(frozen=True, slots=True)
class Blank:
    """A placeholder for a value that is not known here, shown as its words."""

    words: str = "..."


OPEN = Blank()
"""A placeholder for what only the user knows."""


@dataclass(frozen=True, slots=True, init=False)
class Call:
    """A call of a tool by name; an argument that is None is left out."""

    tool: str
    arguments: Mapping[str, Json]

    def __init__(self, tool: str, /, **arguments: Json) -> None:
        given = {name: value for name, value in arguments.items() if value is not None}
        object.__setattr__(self, "tool", tool)
        object.__setattr__(self, "arguments", given)

    def __str__(self) -> str:
        """Write the call on one line, with arguments as JSON, from which no text can escape."""
        return f"{self.tool}({', '.join(f'{name}={_told(value)}' for name, value in self.arguments.items())})"

    def facts(self) -> dict[str, Json]:
        """Return the call as data."""
        return {"call": self.tool, "arguments": dict(self.arguments)}


Advice = tuple[str | Call, ...]
"""Prose with calls in it."""


def _told(value: Json) -> str:
    match value:
        case Blank(words):
            return words
        case dict():
            pairs = cast("dict[Json, Json]", value).items()
            return f"{{{', '.join(f'{_told(name)}: {_told(item)}' for name, item in pairs)}}}"
        case list():
            return f"[{', '.join(map(_told, cast('list[Json]', value)))}]"
        case _:
            return quote_json(value)
