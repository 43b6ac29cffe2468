"""An answer of a tool: facts as structured content, and the same facts as a short text.

Some assistants read only the one, others only the other: so both carry everything. A text of others is a field of a
type that makes it inert when the view is built. In JSON its quotes delimit it. In the text, tables and long texts stand
between `<data>` and `</data>`, which no inert text holds; all else is one line that no name in it ends.
"""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SkipValidation,
    WithJsonSchema,
)

from batchwright.core.calls import Advice
from batchwright.core.untrusted import clean, inert_value, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from batchwright.core.model import Json, Outcome

WORDS_OF_A_PHRASE = 4
"""An item of a list with at least this many spaces may contain commas, so it gets its own line."""

MAX_SENTENCE_CHARACTERS = 500
MAX_WORDS_CHARACTERS = 300
MAX_TEXT_CHARACTERS = 1_500
DATA = "data"
"""Marks a field that is delimited in the text."""


def _write_time(at: "datetime | str") -> str:
    return at if isinstance(at, str) else at.isoformat(timespec="seconds")


Name = Annotated[str, AfterValidator(one_line)]
"""Of a file, a column, a model, a host, a batch or a row: one short line."""
Sentence = Annotated[str, AfterValidator(partial(one_line, most=MAX_SENTENCE_CHARACTERS))]
"""Our own words around pieces that others wrote: one line."""
Time = Annotated[str, BeforeValidator(_write_time)]
"""In UTC, to the second."""
Words = Annotated[str, AfterValidator(partial(clean, most=MAX_WORDS_CHARACTERS))]
"""The words of a provider or a model: a few lines."""
Text = Annotated[str, AfterValidator(partial(clean, most=MAX_TEXT_CHARACTERS)), DATA]
"""A longer text, which may have many lines."""
Facts = Annotated[dict[str, Any], BeforeValidator(inert_value)]
"""Cells by name, for example. Whoever fills it cuts it: what fits depends on all of them."""


def _in_text(advice: Advice) -> str:
    return one_line("".join(map(str, advice)), MAX_TEXT_CHARACTERS)


Next = Annotated[
    Advice,
    SkipValidation,  # the SDK reads an answer once more, as text
    PlainSerializer(_in_text, return_type=str),
    WithJsonSchema({"type": "string"}),
    Field(description="the next useful call"),
]
"""The next useful calls, with the words around them."""


class View(BaseModel):
    """An answer; absent facts are left out, not null."""

    model_config = ConfigDict(frozen=True, defer_build=True, from_attributes=True)

    def facts(self) -> "dict[str, Json]":
        """Return the structured content."""
        return self.model_dump(mode="json", exclude_none=True)

    def text(self) -> str:
        """Return the same facts as lines of `name: value`."""
        fields = type(self).model_fields
        lines = (_text_line(name, value, is_data=DATA in fields[name].metadata) for name, value in self.facts().items())
        return "\n".join(lines)


def _text_line(name: str, value: "Json", *, is_data: bool) -> str:
    import msgspec

    if isinstance(value, dict):
        fields = cast("dict[str, Json]", value)
        is_data = any(isinstance(item, dict | list) for item in fields.values())
        pairs = ", ".join(f"{key} {_inside(item)}" for key, item in fields.items())
        value = msgspec.json.encode(fields).decode() if is_data else pairs
    if not isinstance(value, list):
        return f"{name}: <data>{_inside(value)}</data>" if is_data else f"{name}: {_inside(value)}"
    items = cast("list[Json]", value)
    if any(isinstance(item, dict) for item in items):
        return "\n".join([f"{name}: <data>", *(f"  {msgspec.json.encode(item).decode()}" for item in items), "</data>"])
    said = [_inside(item) for item in items] or ["none"]
    if len(said) > 1 and any(item.count(" ") >= WORDS_OF_A_PHRASE for item in said):
        return "\n".join([f"{name}:", *(f"  {item}" for item in said)])
    return f"{name}: {', '.join(said)}"


def _inside(value: "Json") -> str:
    """Write a value so that no line break in it begins a line that looks like another fact."""
    return str(value).replace("\n", "\n  ")


def present(counts: "Mapping[Outcome, int]") -> "dict[Outcome, int]":
    """Return the counts that are not 0."""
    return {name: count for name, count in counts.items() if count}


def known(**facts: "Json") -> "dict[str, Json]":
    """Return the facts that are not None, in their order."""
    return {name: value for name, value in facts.items() if value is not None}
