"""What a retry changes of a job's recipe. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from batchwright.core.errors import InvalidInput
from batchwright.core.model import Json, Outcome, Recipe
from batchwright.core.untrusted import model_name

RETRIED: tuple[Outcome, ...] = ("failed", "expired", "never_ran")
"""Outcomes that are retried unless others are named."""


@dataclass(frozen=True, slots=True)
class RetryRequest:
    """What a retry changes; None keeps what was there. A parameter that is None is omitted from now on."""

    outcomes: Collection[Outcome] = RETRIED
    prompt: str | None = None
    system: str | None = None
    model: str | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict[str, Json])

    def recipe(self, before: Recipe) -> Recipe:
        """Return the changed recipe.

        Raises:
            InvalidInput: A ready-made batch file has no prompt to change.
        """
        if before.prompt is None and (self.prompt or self.system):
            raise InvalidInput(
                "The job was made from a ready-made batch file, which has no prompt of its own. "
                "Change its model or parameters, or make a new job."
            )
        parameters = {
            name: value for name, value in {**before.parameters, **self.parameters}.items() if value is not None
        }
        return replace(
            before,
            prompt=self.prompt or before.prompt,
            system=self.system or before.system,
            model=model_name(self.model) if self.model else before.model,
            parameters=parameters,
        )

    def changes(self, before: Recipe) -> list[str]:
        """Return what changes, in words; what a ready-made batch file said before is not known."""
        given = [("prompt", self.prompt), ("system", self.system)]
        told = [f"another {name}" for name, text in given if text and text != getattr(before, name)]
        if self.model and self.model != before.model:
            told.append(f"model {before.model} -> {self.model}")
        for name, value in self.parameters.items():
            old, new = (_show(before.parameters.get(name)), _show(value))
            if before.prompt is None:
                told.append(f"{name} -> {new}")
            elif old != new:
                told.append(f"{name} {old} -> {new}")
        return told

    def body(self, before: Mapping[str, Json]) -> dict[str, Json]:
        """Return the changed body of a ready-made request."""
        changed = {**before, **self.parameters, **({"model": self.model} if self.model else {})}
        return {name: value for name, value in changed.items() if value is not None}


def _show(value: Json) -> str:
    return "left out" if value is None else msgspec.json.encode(value).decode()
