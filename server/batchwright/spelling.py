"""Names of OpenAI's models that are misspelt, and what they seem to mean. Pure."""

import difflib
import re
from functools import cache

from batchwright.deprecations import deprecation_of
from batchwright.families import MODELS
from batchwright.model import ProviderInfo
from batchwright.parameters import MAX_NAME_CHARACTERS
from batchwright.pricing import price

_LIKENESS = 0.85
_DATE = re.compile(r"-\d{4}-\d\d-\d\d$", re.ASCII)


def near(model: str) -> str | None:
    """Give the known name that *model* seems to mean; None: it is known itself, or like none.

    Another version is no misspelling: a model that is newer than the list differs in its numbers.
    """
    name = _DATE.sub("", model.strip().lower())
    if name.startswith("ft:") or name in _known() or _is_priced(name):
        return None
    alike = (other for other in _known() if _numbers(other) == _numbers(name))
    return next(iter(difflib.get_close_matches(name, sorted(alike), 1, _LIKENESS)), None)


def misspelt(model: str, provider: ProviderInfo) -> str | None:
    """Say that the model's name seems misspelt; None: it does not, or only the provider itself knows its names."""
    meant = near(model) if provider.is_openai else None
    return told(model, meant) if meant else None


def told(model: str, meant: str) -> str:
    """Say what a misspelt name seems to mean."""
    said = f"{model[:MAX_NAME_CHARACTERS]!r} is no known name of an OpenAI model. Did you mean {meant!r}?"
    entry = deprecation_of(meant)
    return f"{said} OpenAI shuts that one down on {entry.shutdown}." if entry else said


@cache
def _known() -> frozenset[str]:
    from genai_prices.data import providers

    listed = (model.id for provider in providers if provider.id == "openai" for model in provider.models)
    return frozenset({*MODELS, *(name for name in listed if ":" not in name and _is_priced(name))})


def _is_priced(model: str) -> bool:
    return any(price(model, endpoint=endpoint) for endpoint in ("/v1/chat/completions", "/v1/embeddings"))


def _numbers(name: str) -> str:
    return re.sub(r"\D", "", name)
