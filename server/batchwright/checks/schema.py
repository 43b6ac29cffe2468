"""A plain JSON Schema to the strict form that structured output requires. Pure: knows neither endpoints nor rows.

The rules are OpenAI's, from its guide to structured outputs: every object closed, every property required, at most
5,000 properties, 10 levels, 1,000 enum values and 120,000 characters of names and values.
"""

from collections.abc import Iterator, Mapping
from typing import cast

from batchwright.core.errors import InvalidInput
from batchwright.core.model import Json

MAX_PROPERTIES = 5_000
MAX_LEVELS = 10
MAX_ENUM_VALUES = 1_000
MAX_NAME_CHARACTERS = 120_000

_NO_REWRITE = "Say it in the property's description instead, and check it in the results."
_CASES = "Use anyOf with one object for each case."
_NAMED_VALUES = "Use a list of objects with a name and a value."
_OWN_REFERENCES = "Use $ref with #/$defs/NAME."
_REFUSED = {
    "allOf": "Write the combined properties out in one object.",
    "oneOf": "Use anyOf.",
    "prefixItems": "Use an object with one property for each place.",
    **dict.fromkeys(("if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies"), _CASES),
    **dict.fromkeys(("patternProperties", "propertyNames"), _NAMED_VALUES),
    **dict.fromkeys(("$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef"), _OWN_REFERENCES),
    **dict.fromkeys(("not", "contains", "minContains", "maxContains", "uniqueItems"), _NO_REWRITE),
    **dict.fromkeys(("minProperties", "maxProperties", "unevaluatedItems", "unevaluatedProperties"), _NO_REWRITE),
}
_NOTES = frozenset({"$schema", "$id", "$comment", "examples", "default", "deprecated", "readOnly", "writeOnly"})
"""They do not affect what is valid, and strict mode refuses them."""

_NAMED = frozenset({"$defs", "definitions"})
_PARTS_BY_NAME = frozenset({"properties", *_NAMED})
_SAYS_WHAT = frozenset({"type", "anyOf", "enum", "const", "$ref", "properties"})


def strict(schema: Mapping[str, Json]) -> dict[str, Json]:
    """Return the strict form of a plain *schema*: closed objects, and optional properties required but nullable.

    Raises:
        InvalidInput: It is not a JSON Schema, or strict mode cannot express it; the sentence names the place.
    """
    _refuse_invalid(schema)
    if "anyOf" in schema or "$ref" in schema or schema.get("type", "object") != "object":
        raise InvalidInput(
            "The output schema must be an object at its top level: strict structured output allows nothing else. "
            'Wrap it: {"type": "object", "properties": {"answer": ...}}.'
        )
    if not schema.get("properties"):
        raise InvalidInput(
            "The output schema names no properties. "
            'Write it like {"type": "object", "properties": {"label": {"type": "string", "enum": ["a", "b"]}}}.'
        )
    result = _strict(schema, "the top", 1)
    _refuse_oversized(result)
    _refuse_foreign_references(result)
    return result


def plain(schema: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the schema itself, taken out of the API's wrapper of `json_schema`, `schema` or both if it has one."""
    for key in ("format", "json_schema", "schema"):
        inner = schema.get(key)
        if "properties" not in schema and isinstance(inner, dict):
            schema = cast("Mapping[str, Json]", inner)
    return schema


def strict_fault(schema: Mapping[str, Json]) -> str | None:
    """Say why strict mode refuses *schema* unchanged; unlike `strict`, this fixes nothing."""
    if schema.get("type") != "object":
        return 'The output schema is not an object at its top level. Give it "type": "object".'
    try:
        parts = list(_parts(schema))
        for part in parts:
            if ("properties" in part or _has_type(part, "object")) and (fault := _open_fault(part)):
                return fault
        if all(part.get("properties") for part in parts if _has_type(part, "object")):
            strict(schema)
    except InvalidInput as error:
        return str(error)
    except (AttributeError, TypeError, ValueError, RecursionError):
        return "The output schema is not a valid JSON Schema. Correct its properties."
    return None


def _open_fault(part: Mapping[str, Json]) -> str | None:
    if part.get("additionalProperties") is not False:
        return (
            "Strict structured output requires every object of the output schema to be closed, and one is not. "
            'Give each "additionalProperties": false.'
        )
    required: list[Json] = list(part.get("required", ()))
    if any(name not in required for name in part.get("properties", ())):
        return (
            "Strict structured output requires every property of the output schema to be required, and one is not. "
            'Name them all in "required", and let those that may be missing be null.'
        )
    return None


def optional_properties(schema: Mapping[str, Json]) -> list[str]:
    """Return the top-level properties that *schema* does not require: in the strict form they may be null."""
    required = set(cast("list[str]", schema.get("required", ())))
    return [name for name in schema.get("properties", {}) if name not in required]


def _refuse_invalid(schema: Mapping[str, Json]) -> None:
    import jsonschema_rs

    try:
        # Without the notes: for `$schema` the validator would fetch the schema that it names.
        jsonschema_rs.meta.validate(_without_notes(schema))  # pyright: ignore[reportUnknownMemberType]  # no types there
    except RecursionError:
        return  # `_strict` says where it is nested too deeply.
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        steps = [str(step) for step in getattr(error, "instance_path", ())]
        where = "/".join(steps) or "its top"
        if steps[-1:] == ["type"]:
            raise InvalidInput(
                f"The output schema names a type that does not exist, at {where}. "
                "The types are string, number, integer, boolean, object, array and null."
            ) from error
        message = str(getattr(error, "message", error)).splitlines()[0][:200]
        raise InvalidInput(
            f"The output schema is not a valid JSON Schema: at {where}, {message}. Correct it there."
        ) from error


def _without_notes(schema: Json) -> Json:
    if isinstance(schema, list):
        return [_without_notes(item) for item in cast("list[Json]", schema)]
    if not isinstance(schema, Mapping):
        return schema
    kept = {key: value for key, value in cast("Mapping[str, Json]", schema).items() if key not in _NOTES}
    return {
        key: _parts_without_notes(value) if key in _PARTS_BY_NAME else _without_notes(value)
        for key, value in kept.items()
    }


def _parts_without_notes(parts: Json) -> Json:
    # A property may itself be called `default`.
    if not isinstance(parts, Mapping):
        return parts
    return {name: _without_notes(part) for name, part in cast("Mapping[str, Json]", parts).items()}


def _refuse_foreign_references(schema: Mapping[str, Json]) -> None:
    """Refuse references that lead nowhere or out of the schema: the validator would read files and URLs for them."""
    for part in _parts(schema):
        reference = part.get("$ref")
        if reference is not None and not _is_inside(schema, reference):
            raise InvalidInput(
                f"The output schema refers to {reference!r}, which it does not contain. Write that part under $defs."
            )


def _is_inside(schema: Mapping[str, Json], reference: Json) -> bool:
    if reference == "#":
        return True
    steps = reference.split("/") if isinstance(reference, str) else []
    return len(steps) == 3 and steps[0] == "#" and steps[1] in _NAMED and steps[2] in schema.get(steps[1], {})


def _strict(schema: Mapping[str, Json], place: str, level: int) -> dict[str, Json]:
    if level > MAX_LEVELS:
        raise InvalidInput(
            f"The output schema is nested deeper than strict mode's {MAX_LEVELS} levels, at {place}. Flatten it."
        )
    for keyword in _REFUSED.keys() & schema.keys():
        raise InvalidInput(f"Strict structured output cannot express {keyword!r}, used at {place}. {_REFUSED[keyword]}")
    result = {key: value for key, value in schema.items() if key not in _NOTES}
    if not _SAYS_WHAT & result.keys():
        raise InvalidInput(_untyped(place))
    if "properties" in result or _has_type(result, "object"):
        _close_object(result, place, level)
    if "items" in result or _has_type(result, "array"):
        result["items"] = _strict(_schema_at(result.get("items"), f"{place}[]"), f"{place}[]", level + 1)
    if "anyOf" in result:
        where = f"{place}/anyOf"
        result["anyOf"] = [_strict(_schema_at(part, where), where, level) for part in result["anyOf"]]
    for key in _NAMED & result.keys():
        parts: Mapping[str, Json] = result[key]
        places = {name: f"{key}/{name}" for name in parts}
        result[key] = {name: _strict(_schema_at(parts[name], where), where, 1) for name, where in places.items()}
    return result


def _close_object(schema: dict[str, Json], place: str, level: int) -> None:
    if schema.get("additionalProperties", False) is not False:
        raise InvalidInput(
            f"Strict structured output allows named properties only; additionalProperties at {place} allows others. "
            "Leave it out, or use a list of objects with a name and a value."
        )
    properties: Mapping[str, Json] = schema.get("properties", {})
    if not properties:
        raise InvalidInput(f"The object at {place} in the output schema names no properties. Name them.")
    required = set(cast("list[str]", schema.get("required", ())))
    if missing := sorted(required - set(properties)):
        raise InvalidInput(f"The output schema requires {missing[0]!r} at {place}, but does not define it. Define it.")
    closed: dict[str, Json] = {}
    for name, part in properties.items():
        where = name if place == "the top" else f"{place}.{name}"
        inner = _strict(_schema_at(part, where), where, level + 1)
        closed[name] = inner if name in required else _nullable(inner)
    schema.setdefault("type", "object")
    schema |= {"properties": closed, "required": list(closed), "additionalProperties": False}


def _schema_at(part: Json, place: str) -> Mapping[str, Json]:
    if not isinstance(part, Mapping):
        raise InvalidInput(_untyped(place))
    return cast("Mapping[str, Json]", part)


def _untyped(place: str) -> str:
    return f"The output schema has no type at {place}. Add one."


def _nullable(schema: dict[str, Json]) -> dict[str, Json]:
    if _has_type(schema, "null"):
        return schema
    if isinstance(kind := schema.get("type"), str) and not {"enum", "const"} & schema.keys():
        return {**schema, "type": [kind, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def _has_type(schema: Mapping[str, Json], name: str) -> bool:
    kind = schema.get("type")
    return kind == name or (isinstance(kind, list) and name in kind)


def _refuse_oversized(schema: dict[str, Json]) -> None:
    properties, enum_values, characters = 0, 0, 0
    for part in _parts(schema):
        names = list(part.get("properties", ())) + [name for key in _NAMED for name in part.get(key, ())]
        values = [value for value in part.get("enum", ()) if isinstance(value, str)]
        properties += len(part.get("properties", ()))
        enum_values += len(part.get("enum", ()))
        characters += sum(map(len, names + values)) + len(str(part.get("const", "")))
    for count, most, what in (
        (properties, MAX_PROPERTIES, "properties"),
        (enum_values, MAX_ENUM_VALUES, "enum values"),
        (characters, MAX_NAME_CHARACTERS, "characters of names and enum values"),
    ):
        if count > most:
            raise InvalidInput(f"The output schema has {count:,} {what}; strict mode allows {most:,}. Make it smaller.")


def _parts(schema: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    yield schema
    nested = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    nested += [part for key in _NAMED for part in schema.get(key, {}).values()]
    for part in (*nested, schema.get("items")):
        if isinstance(part, Mapping):
            yield from _parts(cast("Mapping[str, Json]", part))
