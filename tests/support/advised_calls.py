"""Calls that a text advises, read as an assistant reads them, and compared with what `tools/list` says."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import jsonschema_rs

Schemas = Mapping[str, Mapping[str, Any]]
"""Of the arguments, by the name of a tool."""

_NAME = re.compile(r"(\w+)=")
_BLANK = re.compile(r"(?:[^()\"]|\"[^\"]*\")*?(?=, \w+=|\))")
"""What stands for a value that is not known, such as `...` or `{LIMIT: twice as many}`."""


def calls_in(text: str, tools: Schemas) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each call of a tool with its arguments; one that stands for what is not known is `...`."""
    for begin in re.finditer(rf"\b({'|'.join(tools)})\(", text):
        arguments, place = dict[str, Any](), begin.end()
        while found := _NAME.match(text, place):
            arguments[found[1]], place = _value(text, found.end())
            place += len(", ") if text.startswith(", ", place) else 0
        assert text.startswith(")", place), f"no end: {text[begin.start() :]}"
        yield begin[1], arguments


def wrong_calls(text: str, tools: Schemas, named: Collection[str] = ()) -> list[str]:
    """Say which calls that *text* advises would be refused."""
    return [fault for tool, arguments in calls_in(text, tools) for fault in faults(tool, arguments, tools[tool], named)]


def faults(
    tool: str, arguments: Mapping[str, Any], schema: Mapping[str, Any], named: Collection[str] = ()
) -> list[str]:
    """Say why a tool would not take these arguments; `...` stands for any value.

    What is *named* beside the call, as an answer names its job, need not stand in it.
    """
    known = {name: value for name, value in arguments.items() if value is not ...}
    missing = set(schema.get("required", ())) - arguments.keys() - set(named)
    checked = jsonschema_rs.validator_for({**schema, "required": []}).iter_errors(known)
    unknown = arguments.keys() - known.keys() - schema["properties"].keys()
    return [
        *(f"{tool}: {name} is needed" for name in sorted(missing)),
        *(f"{tool} has no {name}" for name in sorted(unknown)),
        *(f"{tool}: {error.message}" for error in checked),
    ]


def _value(text: str, place: int) -> tuple[Any, int]:
    try:
        return json.JSONDecoder().raw_decode(text, place)
    except ValueError:
        blank = _BLANK.match(text, place)
        assert blank is not None, f"no value: {text[place:]}"
        return ..., blank.end()
