"""When OpenAI shuts its models down, as data, and what that means for a job. Pure: the caller passes the day.

From OpenAI's deprecations page of November 2026. The page changes: the `shutdown_date` in OpenAI's own list of models
takes precedence over this table, and only that refuses a job.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

SOURCE = "OpenAI's deprecations page"
_SNAPSHOT = re.compile(r"-\d{4}-\d\d-\d\d$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Deprecation:
    """Models that OpenAI shuts down on one day, after which requests fail.

    Attributes:
        models: Their names. A dated snapshot that is not listed itself is shut down with its model.
        replacements: Those that OpenAI names for all of them together.
    """

    models: tuple[str, ...]
    shutdown: date
    replacements: tuple[str, ...]


DEPRECATIONS = (
    Deprecation(
        (
            *("gpt-3.5-turbo", "gpt-3.5-turbo-0125", "gpt-4", "gpt-4-0613", "gpt-4-1106-preview", "gpt-4-turbo"),
            *("gpt-4o-2024-05-13", "o1", "o1-pro", "o3-mini", "o4-mini", "gpt-4.1-nano"),
        ),
        date(2026, 10, 23),
        ("gpt-5.6-terra", "gpt-5.6-sol"),
    ),
    Deprecation(
        ("gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-5-pro", "o3", "o3-pro"),
        date(2026, 12, 11),
        ("gpt-6.1-sol", "gpt-6.1-terra", "gpt-6-luna"),
    ),
    Deprecation(("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini"), date(2027, 1, 14), ("gpt-6-luna",)),
    Deprecation(("gpt-5.1", "gpt-5.4-nano"), date(2027, 4, 1), ()),
)

_BY_MODEL = {model: entry for entry in DEPRECATIONS for model in entry.models}


def deprecation_of(model: str) -> Deprecation | None:
    """Return the entry for an OpenAI model; None if no shutdown is announced, or if it is fine-tuned."""
    return _BY_MODEL.get(model) or _BY_MODEL.get(_SNAPSHOT.sub("", model))


def shutdown_warning(model: str, today: date, listed: date | None = None) -> str | None:
    """Warn of a model with a past or announced shutdown; None if it has none.

    *listed* is the day in OpenAI's own list of models, if that has one.
    """
    entry = deprecation_of(model)
    shutdown = listed or (entry.shutdown if entry else None)
    if shutdown is None:
        return None
    source = "OpenAI's list of models" if listed else SOURCE
    return _warn(model, shutdown, today, source, entry.replacements if entry else ())


def shutdown_notes(models: Iterable[str], today: date) -> Iterator[str]:
    """Warn of models with a past or announced shutdown, once for each day."""
    ending: dict[Deprecation, list[str]] = {}
    for model in models:
        if entry := deprecation_of(model):
            ending.setdefault(entry, []).append(model)
    for entry, names in ending.items():
        yield _warn(", ".join(names), entry.shutdown, today, SOURCE, entry.replacements)


def _warn(models: str, shutdown: date, today: date, source: str, replacements: tuple[str, ...]) -> str:
    when = "After that day requests fail." if today <= shutdown else "Requests have failed since then."
    advice = f"OpenAI suggests {', '.join(replacements)} instead." if replacements else "Choose another model."
    return f"Shutdown of {models}: {shutdown}, says {source}. {when} {advice}"
