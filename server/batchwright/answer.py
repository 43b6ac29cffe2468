"""An answer of a tool: facts as structured content, and the same facts as a short text.

Some assistants read only the one, others only the other: so both carry everything.
"""

from typing import TYPE_CHECKING, Annotated, cast

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchwright.model import Json, Outcome

WORDS_OF_A_PHRASE = 4
"""From so many on, an item of a list has commas of its own, and a line of its own."""

Next = Annotated[str, Field(description="the next useful call")]


class View(BaseModel):
    """An answer; absent facts are left out, not null."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    def facts(self) -> "dict[str, Json]":
        """Give the structured content."""
        return self.model_dump(mode="json", exclude_none=True)

    def text(self) -> str:
        """Give the same facts as lines of `name: value`."""
        return "\n".join(_text_line(name, value) for name, value in self.facts().items())


def _text_line(name: str, value: "Json") -> str:
    import msgspec

    if isinstance(value, dict):
        fields = cast("dict[str, Json]", value)
        if any(isinstance(item, dict | list) for item in fields.values()):
            return f"{name}: {msgspec.json.encode(fields).decode()}"
        return f"{name}: {', '.join(f'{key} {_inside(item)}' for key, item in fields.items())}"
    if not isinstance(value, list):
        return f"{name}: {_inside(value)}"
    items = cast("list[Json]", value)
    if any(isinstance(item, dict) for item in items):
        return "\n".join([f"{name}:", *(f"  {msgspec.json.encode(item).decode()}" for item in items)])
    said = [_inside(item) for item in items] or ["none"]
    if len(said) > 1 and any(item.count(" ") >= WORDS_OF_A_PHRASE for item in said):
        return "\n".join([f"{name}:", *(f"  {item}" for item in said)])
    return f"{name}: {', '.join(said)}"


def _inside(value: "Json") -> str:
    """Write a value so that no line break in it begins a line that looks like another fact."""
    return str(value).replace("\n", "\n  ")


def present(counts: "Mapping[Outcome, int]") -> "dict[Outcome, int]":
    """Give the counts that are not 0."""
    return {name: count for name, count in counts.items() if count}
