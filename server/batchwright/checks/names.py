"""Misspelt names of OpenAI's models, and what they seem to mean. Pure."""

import difflib
import re
from collections.abc import Callable, Collection

from batchwright.checks.deprecations import deprecation_of
from batchwright.checks.families import MODELS
from batchwright.checks.parameters import MAX_NAME_CHARACTERS
from batchwright.core.model import ProviderInfo

Meant = Callable[[str], str | None]
"""Returns the known name that a name seems to mean, as `near` does."""

_LIKENESS = 0.85
_DATE = re.compile(r"-\d{4}-\d\d-\d\d$", re.ASCII)


def near(model: str, listed: Callable[[], Collection[str]], is_known: Callable[[str], bool]) -> str | None:
    """Return the known name that *model* seems to mean; None if it is known itself, or resembles none.

    Another version is not a misspelling: a model that is newer than the list differs in its numbers.

    Args:
        model: As the user wrote it.
        listed: Returns more names that may be meant, beside the families'; called only if needed.
        is_known: Whether a name is correct, listed or not.
    """
    name = _DATE.sub("", model.strip().lower())
    if name.startswith("ft:") or name in MODELS or is_known(name):
        return None
    alike = {other for other in (*MODELS, *listed()) if ":" not in other and _numbers(other) == _numbers(name)}
    return next(iter(difflib.get_close_matches(name, sorted(alike), 1, _LIKENESS)), None)


def misspelt(model: str, provider: ProviderInfo, meant: Meant) -> str | None:
    """Say that the model's name seems misspelt; None if it does not, or if only the provider knows its names."""
    name = meant(model) if provider.is_openai else None
    return explain(model, name) if name else None


def explain(model: str, name: str) -> str:
    """Say what a misspelt name seems to mean."""
    said = f"{model[:MAX_NAME_CHARACTERS]!r} is not a known OpenAI model. Did you mean {name!r}?"
    entry = deprecation_of(name)
    return f"{said} OpenAI shuts that model down on {entry.shutdown}." if entry else said


def _numbers(name: str) -> str:
    return re.sub(r"\D", "", name)
