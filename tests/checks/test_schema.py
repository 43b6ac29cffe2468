"""JSON Schemas in the strict form that structured output requires, or a sentence that says what stands in the way."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.checks.schema import (
    MAX_ENUM_VALUES,
    MAX_LEVELS,
    MAX_NAME_CHARACTERS,
    MAX_PROPERTIES,
    optional_properties,
    plain,
    strict,
)
from batchwright.core.errors import InvalidInput
from batchwright.core.model import Json

TEXT = {"type": "string"}
KEYWORDS = [
    "title",
    "items",
    "not",
    "type",
    "properties",
    "required",
    "enum",
    "default",
    "$ref",
    "$defs",
    "anyOf",
    "if",
]


EXTRAS: list[dict[str, Json]] = [{}, {"additionalProperties": False}, {"title": "T", "default": {}}]
REFUSED: list[tuple[str, Json, str]] = [
    ("allOf", [{}], "Write the combined properties out in one object."),
    ("oneOf", [{}], "Use anyOf."),
    ("not", {}, "Say it in the property's description instead"),
    ("if", {}, "Use anyOf with one object for each case."),
    ("then", {}, "Use anyOf"),
    ("else", {}, "Use anyOf"),
    ("dependentRequired", {}, "Use anyOf"),
    ("dependentSchemas", {}, "Use anyOf"),
    ("dependencies", {}, "Use anyOf"),
    ("patternProperties", {}, "Use a list of objects with a name and a value."),
    ("propertyNames", {}, "Use a list of objects"),
    ("prefixItems", [{}], "Use an object with one property for each place."),
    ("contains", {}, "Say it in"),
    ("minContains", 1, "Say it in"),
    ("maxContains", 1, "Say it in"),
    ("uniqueItems", True, "Say it in"),
    ("minProperties", 1, "Say it in"),
    ("maxProperties", 1, "Say it in"),
    ("unevaluatedItems", False, "Say it in"),
    ("unevaluatedProperties", False, "Say it in"),
]


def an_object(properties: dict[str, Json], **keywords: Json) -> dict[str, Json]:
    """Give an object's schema."""
    return {"type": "object", "properties": properties, **keywords}


def closed(properties: dict[str, Json], **keywords: Json) -> dict[str, Json]:
    """Give an object's schema as strict mode requires it."""
    return an_object(properties, required=list(properties), additionalProperties=False, **keywords)


def strict_property(schema: Json, *, is_required: bool = False) -> Json:
    """Give the strict form of *schema* as the property `a` of an object that also defines `x`."""
    required = ["a"] if is_required else []
    return strict(an_object({"a": schema}, required=required, **{"$defs": {"x": TEXT}}))["properties"]["a"]


def objects(schema: Json) -> Iterator[dict[str, Json]]:
    """Give every schema of an object inside *schema*."""
    if "object" in (schema.get("type"), *(schema["type"] if isinstance(schema.get("type"), list) else ())):
        yield schema
    inner: list[Json] = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    for part in [*inner, *schema.get("anyOf", []), *([schema["items"]] if "items" in schema else [])]:
        yield from objects(part)


leaves = st.sampled_from(
    [
        TEXT,
        {"type": "integer", "minimum": 0},
        {"type": ["number", "null"]},
        {"type": "string", "enum": ["x", "y"]},
        {"enum": ["x", None]},
        {"const": 1},
        {"$ref": "#/$defs/thing"},
        {"anyOf": [TEXT, {"type": "null"}]},
    ]
)


@st.composite
def object_schemas(draw: st.DrawFn, inner: st.SearchStrategy[Any] = leaves) -> dict[str, Json]:
    """Give an object's schema, with some of its properties required, open or closed, and some notes."""
    names = st.sampled_from(["label", "why", *KEYWORDS])
    properties = draw(st.dictionaries(names, inner, min_size=1, max_size=3))
    required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True))
    extras = draw(st.sampled_from(EXTRAS))
    return an_object(properties, required=required, **extras)


nested = st.recursive(
    leaves,
    lambda inner: (
        object_schemas(inner)
        | inner.map(lambda items: {"type": "array", "items": items})
        | st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"anyOf": parts})
    ),
    max_leaves=4,
)
schemas = object_schemas(nested).map(lambda schema: {**schema, "$defs": {"thing": an_object({"x": TEXT})}})


@given(schema=schemas)
def test_in_the_strict_form_every_object_is_closed_and_requires_every_property(schema: dict[str, Json]) -> None:
    """One open object, at any depth, and the provider refuses every request of the batch."""
    found = list(objects(strict(schema)))

    assert len(found) >= 2
    for part in found:
        assert part["additionalProperties"] is False
        assert part["required"] == list(part["properties"])


@pytest.mark.slow
@given(schema=schemas)
def test_the_strict_form_of_a_strict_schema_is_itself(schema: dict[str, Json]) -> None:
    """A schema that went through once, in a draft or a retry, does not grow."""
    once = strict(schema)

    assert strict(once) == once


@given(schema=schemas)
def test_the_given_schema_is_left_as_it_was(schema: dict[str, Json]) -> None:
    """The caller shows it to the user, and asks it which properties are optional."""
    before = repr(schema)

    strict(schema)

    assert repr(schema) == before


def test_the_order_of_properties_is_kept() -> None:
    """The model writes them in this order: reasons before the label make better labels."""
    schema = an_object({"why": TEXT, "label": TEXT, "also": TEXT}, required=["label"])

    assert strict(schema)["required"] == ["why", "label", "also"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (TEXT, {"type": ["string", "null"]}),
        ({"type": "integer", "minimum": 1}, {"type": ["integer", "null"], "minimum": 1}),
        ({"type": "array", "items": TEXT}, {"type": ["array", "null"], "items": TEXT}),
        ({"type": ["string", "integer"]}, {"anyOf": [{"type": ["string", "integer"]}, {"type": "null"}]}),
        ({"type": "string", "enum": ["x"]}, {"anyOf": [{"type": "string", "enum": ["x"]}, {"type": "null"}]}),
        ({"enum": ["x"]}, {"anyOf": [{"enum": ["x"]}, {"type": "null"}]}),
        ({"type": "string", "const": "x"}, {"anyOf": [{"type": "string", "const": "x"}, {"type": "null"}]}),
        ({"$ref": "#/$defs/x"}, {"anyOf": [{"$ref": "#/$defs/x"}, {"type": "null"}]}),
        ({"anyOf": [TEXT, {"type": "integer"}]}, {"anyOf": [{"anyOf": [TEXT, {"type": "integer"}]}, {"type": "null"}]}),
    ],
)
def test_an_optional_property_becomes_required_and_nullable(schema: Json, expected: Json) -> None:
    """Strict mode has no optional properties; null among an enum's values would be no value of it."""
    assert strict_property(schema) == expected


@pytest.mark.parametrize(
    ("schema", "is_required"),
    [
        ({"type": ["string", "null"]}, False),
        ({"type": "null"}, False),
        (TEXT, True),
        ({"enum": ["x"]}, True),
        ({"type": "array", "items": TEXT}, True),
    ],
)
def test_a_property_that_may_be_null_already_or_is_required_stays_as_it_is(schema: Json, *, is_required: bool) -> None:
    """Null twice is not a valid list of types; and of a required one the user said that there is always a value."""
    assert strict_property(schema, is_required=is_required) == schema


def test_objects_in_lists_choices_and_definitions_are_closed_too() -> None:
    """The rule holds at every level."""
    inner = an_object({"x": TEXT})
    shut = closed({"x": {"type": ["string", "null"]}})

    made = strict(
        an_object(
            {
                "list": {"type": "array", "items": inner},
                "choice": {"anyOf": [inner, TEXT]},
                "ref": {"$ref": "#/$defs/d"},
            },
            required=["list", "choice", "ref"],
            **{"$defs": {"d": inner}},
        )
    )

    assert made == closed(
        {"list": {"type": "array", "items": shut}, "choice": {"anyOf": [shut, TEXT]}, "ref": {"$ref": "#/$defs/d"}},
        **{"$defs": {"d": shut}},
    )


def test_a_schema_may_refer_to_itself() -> None:
    """A tree of comments is a common answer."""
    node = an_object({"text": TEXT, "replies": {"type": "array", "items": {"$ref": "#/$defs/node"}}}, required=["text"])

    made = strict(an_object({"root": {"$ref": "#/$defs/node"}}, required=["root"], **{"$defs": {"node": node}}))

    assert made["$defs"]["node"]["required"] == ["text", "replies"]
    assert made["properties"]["root"] == {"$ref": "#/$defs/node"}
    assert strict_property({"$ref": "#"}, is_required=True) == {"$ref": "#"}


@pytest.mark.parametrize("name", KEYWORDS)
def test_a_property_may_be_named_like_a_keyword(name: str) -> None:
    """`title`, `items` and `not` are columns of real tables."""
    assert strict(an_object({name: TEXT}, required=[name])) == closed({name: TEXT})
    assert strict(an_object({name: TEXT})) == closed({name: {"type": ["string", "null"]}})


def test_a_definition_may_be_named_like_a_keyword() -> None:
    """Its name is no keyword either."""
    schema = an_object({"a": {"$ref": "#/$defs/not"}}, required=["a"], **{"$defs": {"not": an_object({"x": TEXT})}})

    assert strict(schema)["$defs"] == {"not": closed({"x": {"type": ["string", "null"]}})}


def test_what_only_comments_is_taken_out() -> None:
    """Strict mode refuses these, and they change nothing about what is valid."""
    schema: dict[str, Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "c",
        "description": "kept",
        **an_object({"a": {"type": "string", "default": "x", "examples": ["y"]}}, required=["a"]),
    }

    assert strict(schema) == {"description": "kept", **closed({"a": TEXT})}


@pytest.mark.parametrize(("keyword", "value", "advice"), REFUSED)
def test_a_keyword_that_strict_mode_has_not_is_refused_with_its_place(keyword: str, value: Json, advice: str) -> None:
    """Dropping it would promise what is not checked; the assistant fixes the place that is named."""
    schema = an_object({"a": {"type": "array", "items": an_object({"b": {keyword: value}})}})

    sentence = f"Strict structured output cannot express '{keyword}', used at a[].b. {advice}"
    with pytest.raises(InvalidInput, match=f"^{re.escape(sentence)}"):
        strict(schema)


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        (an_object({"a": TEXT}, minProperties=1), "the top"),
        (an_object({"a": {"not": {}}}), "a"),
        (an_object({"a": an_object({"b": an_object({"c": {"not": {}}})})}), "a.b.c"),
        (an_object({"a": {"anyOf": [TEXT, an_object({"b": {"not": {}}})]}}), "a/anyOf.b"),
        (an_object({"a": TEXT}, **{"$defs": {"d": {"not": {}}}}), "$defs/d"),
        (an_object({"a": TEXT}, **{"$defs": {"d": an_object({"a": {"not": {}}})}}), "$defs/d.a"),
    ],
)
def test_the_place_is_written_as_a_path_of_properties(schema: dict[str, Json], place: str) -> None:
    """It leads to the fault from the top of the schema."""
    with pytest.raises(InvalidInput, match=f"used at {re.escape(place)}\\. "):
        strict(schema)


@pytest.mark.parametrize("additional", [True, {}, TEXT])
def test_an_object_that_says_it_is_open_is_refused(additional: Json) -> None:
    """Closing it in silence would leave no room for the names that the user asked for."""
    with pytest.raises(InvalidInput, match=r"additionalProperties at a allows others\. Leave it out"):
        strict(an_object({"a": an_object({"x": TEXT}, additionalProperties=additional)}))


def test_an_object_without_named_properties_is_refused_at_every_level() -> None:
    """Closed, it could only ever be empty: every row would be paid for `{}`."""
    with pytest.raises(InvalidInput, match=r"\bat a\b"):
        strict(an_object({"a": {"type": "object"}}))


@pytest.mark.parametrize(
    "schema",
    [{"type": "array", "items": TEXT}, {"type": "string"}, {"anyOf": [an_object({"a": TEXT})]}, {"$ref": "#/$defs/x"}],
)
def test_what_is_no_object_at_its_top_is_refused(schema: dict[str, Json]) -> None:
    """Strict structured output allows nothing else there."""
    with pytest.raises(InvalidInput, match=r'must be an object at its top.*Wrap it: \{"type": "object", "properties"'):
        strict(schema)


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"type": "object", "properties": {}}, {"label": "string"}])
def test_a_schema_without_properties_is_refused_with_an_example(schema: dict[str, Json]) -> None:
    """The usual slip is a plain mapping of names to types."""
    with pytest.raises(InvalidInput, match=r"names no properties\. Write it like \{.type.: .object., .properties."):
        strict(schema)


def test_a_type_that_does_not_exist_is_answered_with_those_that_do() -> None:
    """The validator's own words would send the assistant to its manual."""
    with pytest.raises(InvalidInput, match=r"does not exist, at properties/a/type\. The types are string, number"):
        strict(an_object({"a": {"type": "strin"}}))


@pytest.mark.parametrize("key", ["json_schema", "schema"])
def test_a_schema_in_the_wrapper_of_the_api_is_taken_out_of_it(key: str) -> None:
    """Assistants know the wrapper from the API's documentation, and there is one way to read it."""
    wrapped: dict[str, Json] = {"type": "json_schema", "name": "x", key: an_object({"a": TEXT})}

    assert plain(wrapped) == an_object({"a": TEXT})
    assert plain({"format": wrapped}) == an_object({"a": TEXT})
    assert plain({"json_schema": {"name": "x", "schema": an_object({"a": TEXT})}}) == an_object({"a": TEXT})


def test_a_plain_schema_whose_property_is_called_like_the_wrapper_stays_whole() -> None:
    """A property may have any name."""
    own = an_object({"schema": an_object({"a": TEXT}), "json_schema": TEXT})

    assert plain(own) == own


def test_properties_alone_make_an_object() -> None:
    """What it must be is plain; strict mode requires it said."""
    assert strict({"properties": {"a": TEXT}, "required": ["a"]}) == closed({"a": TEXT})


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "object", "properties": []}, "properties"),
        (an_object({"a": TEXT}, required="a"), "required"),
        (an_object({"a": {"anyOf": []}}), "properties/a/anyOf"),
    ],
)
def test_what_is_no_json_schema_is_refused_with_its_place(schema: dict[str, Json], place: str) -> None:
    """The provider would say so only after the upload."""
    with pytest.raises(InvalidInput, match=rf"not a valid JSON Schema: at {place}, .+Correct it there\.$"):
        strict(schema)


def test_a_required_property_that_is_not_defined_is_refused() -> None:
    """A closed object could never hold it."""
    with pytest.raises(InvalidInput, match=r"requires 'b' at the top, but does not define it\. Define it\."):
        strict(an_object({"a": TEXT}, required=["a", "b"]))


@pytest.mark.parametrize("part", [True, False])
def test_a_property_of_any_type_is_refused(part: bool) -> None:  # noqa: FBT001
    """The model must be told what to write."""
    with pytest.raises(InvalidInput, match=r"has no type at a\. Add one\."):
        strict(an_object({"a": part}))


@pytest.mark.parametrize(
    "schema",
    [
        an_object({"a": {"anyOf": [True, TEXT]}}),
        an_object({"a": TEXT}, **{"$defs": {"d": True}}),
        an_object({"a": {"type": "array", "items": True}}),
    ],
    ids=["anyOf", "$defs", "items"],
)
def test_a_schema_that_is_only_true_is_refused_wherever_it_stands(schema: dict[str, Json]) -> None:
    """It is valid JSON Schema, and says as little as a property without a type."""
    with pytest.raises(InvalidInput, match=r"type"):
        strict(schema)


@pytest.mark.parametrize(
    "ref", ["#/$defs/nope", "#/nowhere", "other.json", "file:///etc/hostname", "http://127.0.0.1:9/x"]
)
def test_a_reference_that_leads_out_of_the_schema_is_refused(ref: str) -> None:
    """The provider has nothing to look it up in; and looking it up here would open a file or a connection."""
    with pytest.raises(InvalidInput, match=re.escape(ref)):
        strict(an_object({"a": {"$ref": ref}}))


def test_a_schema_cannot_have_a_file_read(tmp_path: Path) -> None:
    """A schema comes from the conversation; only the workspace's files may be opened, and not from here."""
    path = tmp_path / "meta.json"
    schema = an_object({"a": TEXT}, **{"$schema": path.as_uri()})

    def said(content: str) -> str:
        path.write_text(content)
        try:
            return repr(strict(schema))
        except InvalidInput as error:
            return str(error)

    assert said("{}") == said('{"not": {}}')


def nested_to(level: int) -> dict[str, Json]:
    """Give a schema whose deepest part is at *level*, its top being at 1."""
    schema: dict[str, Json] = dict(TEXT)
    for _ in range(level - 1):
        schema = an_object({"x": schema}, required=["x"])
    return schema


def test_ten_levels_are_taken_and_eleven_are_not() -> None:
    """Strict mode's limit; a schema of any depth gets a sentence, not a crash."""
    strict(nested_to(MAX_LEVELS))

    for level in (MAX_LEVELS + 1, 500):
        with pytest.raises(InvalidInput, match=r"nested deeper than strict mode's 10 levels, at x\.x.*Flatten it"):
            strict(nested_to(level))


def test_a_list_is_a_level() -> None:
    """Lists of lists nest like objects."""
    schema: dict[str, Json] = dict(TEXT)
    for _ in range(MAX_LEVELS):
        schema = {"type": "array", "items": schema}

    with pytest.raises(InvalidInput, match=r"nested deeper .* at a\[\]\[\].*\. Flatten it"):
        strict(an_object({"a": schema}))


def test_the_limits_of_size_may_be_reached_but_not_passed() -> None:
    """Numbers of OpenAI's guide; a schema over them fails every request."""
    half = MAX_PROPERTIES // 2
    values = [f"{n}" for n in range(MAX_ENUM_VALUES)]
    sizes: list[tuple[dict[str, Json], dict[str, Json], str]] = [
        (
            an_object({"a": an_object({f"{n}": TEXT for n in range(half - 2)}), **{f"{n}": TEXT for n in range(half)}}),
            an_object({"a": an_object({f"{n}": TEXT for n in range(half)}), **{f"{n}": TEXT for n in range(half)}}),
            "5,001 properties; strict mode allows 5,000",
        ),
        (
            an_object({"a": {"enum": values}}),
            an_object({"a": {"enum": values}, "b": {"enum": [1]}}),
            "1,001 enum values; strict mode allows 1,000",
        ),
        (
            an_object({"a": {"enum": ["x" * (MAX_NAME_CHARACTERS - 1)]}}),
            an_object({"a": {"const": "x" * MAX_NAME_CHARACTERS}}),
            "120,001 characters of names and enum values; strict mode allows 120,000",
        ),
    ]

    for fitting, over, sentence in sizes:
        strict(fitting)
        with pytest.raises(InvalidInput, match=f"The output schema has {sentence}. Make it smaller."):
            strict(over)


def test_optional_properties_are_those_that_are_not_required() -> None:
    """The answer may have null there, and the user is told so."""
    assert optional_properties(an_object({"a": TEXT, "b": TEXT, "c": TEXT}, required=["b"])) == ["a", "c"]
    assert optional_properties(an_object({"a": TEXT})) == ["a"]
    assert optional_properties({}) == []
