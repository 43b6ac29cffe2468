"""Calls of tools that answers, errors and remedies advise: values, which render as text and as facts. Pure.

A tool that is named with arguments is named by one of these, so that a test can compare each with `tools/list`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from batchwright.core.model import Json
from batchwright.core.untrusted import quote_json


@dataclass(frozen=True, slots=True)
class Blank:
    """Stands for a value that is not known here, and is shown by its words."""

    words: str = "..."


OPEN = Blank()
"""Stands for what only the user knows."""


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
        """Write the call on one line, each argument in JSON, which no text in it leaves."""
        return f"{self.tool}({', '.join(f'{name}={_told(value)}' for name, value in self.arguments.items())})"

    def facts(self) -> dict[str, Json]:
        """Return the call as it is passed on."""
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
