"""What is refused in a recipe, and what the user is warned of, before anything is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from batchwright.checks.families import tight_bound
from batchwright.checks.rules import faults, lacks_json_word
from batchwright.core.errors import InvalidInput
from batchwright.core.model import Endpoint, Fault, Json, ProviderInfo, Recipe
from batchwright.requests.recipe import shared_body, single_braces

BATCH_FIELDS = ["body", "custom_id", "method", "url"]
"""What the lines of a batch file hold, sorted."""
SHOWN_ERRORS = 5

WarningKind = Literal[
    "source",
    "may_fail",
    "unknown_model",
    "tight_bound",
    "same_for_all",
    "single_braces",
    "empty_rows",
    "shared_requests",
    "misspelt_model",
    "shutdown",
    "nullable",
    "run_before",
    "paid_twice",
]
"""With `unknown_model`, requests may fail because the model's name is not known."""


@dataclass(frozen=True, slots=True)
class DraftWarning:
    """What the user should know about a draft before submitting it."""

    kind: WarningKind
    text: str

    @property
    def is_to_fix(self) -> bool:
        """Whether the draft should be fixed before anyone agrees to its cost."""
        return self.kind in {"may_fail", "unknown_model", "same_for_all"}


def is_batch_file(columns: Sequence[str]) -> bool:
    """Whether a JSONL file with these columns holds the lines of a batch."""
    return sorted(columns) == BATCH_FIELDS


def check_recipe(recipe: Recipe, provider: ProviderInfo) -> list[DraftWarning]:
    """Check what all requests of a recipe share, and return what may make them fail or cut their answers short.

    Raises:
        InvalidInput: Every request would fail at *provider*.
    """
    body = shared_body(recipe)
    tight = tight_bound(recipe.endpoint, body) if provider.kind == "service" else None
    return [*check_body(recipe.endpoint, body, provider), *([DraftWarning("tight_bound", tight)] if tight else [])]


def check_body(endpoint: Endpoint, body: Mapping[str, Json], provider: ProviderInfo) -> list[DraftWarning]:
    """Return what may make requests with *body* fail.

    Raises:
        InvalidInput: Every request would fail.
    """
    lacking = lacks_json_word(endpoint, body, provider)
    found = [*faults(endpoint, body, provider), *([lacking] if lacking else ())]
    if certain := [fault for fault in found if fault.is_certain]:
        raise InvalidInput(f"Every request with these parameters would fail. {describe(certain[:SHOWN_ERRORS])}")
    return [warn_of(fault, describe([fault])) for fault in found[:SHOWN_ERRORS]]


def warn_of(fault: Fault, text: str) -> DraftWarning:
    """Return the warning that requests may fail because of *fault*, which *text* describes."""
    kind = "unknown_model" if fault.code == "unknown_model" else "may_fail"
    return DraftWarning(kind, f"Requests may fail: {text}")


def describe(faults: Sequence[Fault]) -> str:
    """Describe faults to the user in one line."""
    return " ".join(f"{fault.message} ({fault.code}: {fault.param})" for fault in faults)


def draft_warnings(recipe: Recipe, columns: Sequence[str], used: Sequence[str], empty: int) -> list[DraftWarning]:
    """Warn of a prompt that uses no column, and of *empty* rows: those without a value in the columns *used*."""
    fault = "the prompt names no column"
    if single := single_braces(recipe.prompt or "", columns):
        fault = f"the prompt has {{{single[0]}}} in single braces, which is sent literally: write {{{{{single[0]}}}}}"
    if not used:
        return [DraftWarning("same_for_all", f"Every row gets the same request: {fault}.")]
    warnings = [DraftWarning("single_braces", f"{fault[0].upper()}{fault[1:]}.")] if single else []
    if empty:
        text = f"{empty:,} rows are empty in {', '.join(used)}: their requests hold only the prompt's fixed text."
        warnings.append(DraftWarning("empty_rows", text))
    return warnings
