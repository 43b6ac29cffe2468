"""Converts a tool's arguments as models write them to what its schema wants, if there is one way to read them. Pure.

Some clients fill in every argument: null and empty ones are left out. Ambiguous values stay unchanged, and validation
rejects them.
"""

import json
from collections.abc import Mapping
from typing import cast

from batchwright.core.model import Json

_LEFT_OUT = object()


def understood(schema: Mapping[str, Json], arguments: Mapping[str, Json]) -> dict[str, Json]:
    """Return *arguments* as the properties of *schema* want them; unknown ones stay unchanged."""
    properties = cast("Mapping[str, Mapping[str, Json]]", schema.get("properties", {}))
    required = cast("list[str]", schema.get("required", []))
    read = {
        name: _read(name, properties.get(name, {}), value, is_required=name in required)
        for name, value in arguments.items()
    }
    return {name: value for name, value in read.items() if value is not _LEFT_OUT}


def _read(name: str, wanted: Mapping[str, Json], value: Json, *, is_required: bool) -> Json:
    if wanted and not is_required and _is_nothing(wanted, value):
        return _LEFT_OUT
    match wanted.get("type"):
        case "array" if _item_type(wanted) == "string":
            return _texts(value)
        case "number" | "integer" if isinstance(value, bool):
            return str(value)  # validation rejects a text
        case "string" if isinstance(value, str) and name.endswith("_id"):
            return value.strip()
        case _:
            return value


def _is_nothing(wanted: Mapping[str, Json], value: Json) -> bool:
    """Whether a value means none: an empty text does, unless the argument is a text."""
    takes_text = wanted.get("type") == "string" and "" in wanted.get("enum", [""])
    return value is None or (value == "" and not takes_text)


def _item_type(wanted: Mapping[str, Json]) -> Json:
    items = wanted.get("items")
    return cast("Mapping[str, Json]", items).get("type") if isinstance(items, Mapping) else None


def _texts(value: Json) -> Json:
    """Return a list of texts, from a single text or from whole numbers such as row numbers."""
    if isinstance(value, str):
        try:
            decoded: Json = json.loads(value)
        except ValueError:
            return [value]
        value = cast("list[Json]", decoded) if isinstance(decoded, list) else value
    items = cast("list[Json]", value) if isinstance(value, list) else [value]
    return [str(item) if type(item) is int else item for item in items]
