"""What a recipe would be refused for, or what is worth a warning, before anything is written."""

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
"""What a draft is warned of. `unknown_model`: its requests may fail since the model's name is not known."""
_TO_MEND: frozenset[WarningKind] = frozenset({"may_fail", "unknown_model", "same_for_all"})
_SAME_FOR_ALL = "Every row gets the same request"


@dataclass(frozen=True, slots=True)
class DraftWarning:
    """What the user should know of a draft before it is submitted."""

    kind: WarningKind
    text: str

    @property
    def is_to_mend(self) -> bool:
        """Whether it had better be heeded before anything is agreed."""
        return self.kind in _TO_MEND


def is_batch_file(columns: Sequence[str]) -> bool:
    """Whether a JSONL file with these columns holds the lines of a batch."""
    return sorted(columns) == BATCH_FIELDS


def check_recipe(recipe: Recipe, provider: ProviderInfo) -> list[DraftWarning]:
    """Check once what all requests of a recipe share, and give what may make them fail, or fall short.

    Raises:
        InvalidInput: Every request would fail at *provider*.
    """
    body = shared_body(recipe)
    tight = tight_bound(recipe.endpoint, body) if provider.kind == "service" else None
    return [*check_body(recipe.endpoint, body, provider), *([DraftWarning("tight_bound", tight)] if tight else [])]


def check_body(endpoint: Endpoint, body: Mapping[str, Json], provider: ProviderInfo) -> list[DraftWarning]:
    """Return what may make requests with *body* fail.

    Raises:
        InvalidInput: Every one would.
    """
    lacking = lacks_json_word(endpoint, body, provider)
    found = [*faults(endpoint, body, provider), *([lacking] if lacking else ())]
    if certain := [fault for fault in found if fault.is_certain]:
        raise InvalidInput(f"Every request with these parameters would fail. {tell(certain[:SHOWN_ERRORS])}")
    return [suspicion(fault, tell([fault])) for fault in found[:SHOWN_ERRORS]]


def suspicion(fault: Fault, told: str) -> DraftWarning:
    """Warn of requests that may fail for *fault*, as it was *told*."""
    kind = "unknown_model" if fault.code == "unknown_model" else "may_fail"
    return DraftWarning(kind, f"Requests may fail: {told}")


def tell(found: Sequence[Fault]) -> str:
    """Write faults as one line for the user."""
    return " ".join(f"{fault.message} ({fault.code}: {fault.param})" for fault in found)


def draft_warnings(recipe: Recipe, columns: Sequence[str], used: Sequence[str], empty: int) -> list[DraftWarning]:
    """Warn of a prompt that names no column, and of *empty* rows that say nothing in the columns *used*."""
    warnings: list[DraftWarning] = []
    if single := single_braces(recipe.prompt or "", columns):
        name = single[0]
        text = f"prompt has {{{name}}} in single braces, which is sent as it stands: write {{{{{name}}}}}."
        warnings.append(
            DraftWarning("single_braces", f"The {text}")
            if used
            else DraftWarning("same_for_all", f"{_SAME_FOR_ALL}: the {text}")
        )
    elif not used:
        warnings.append(DraftWarning("same_for_all", f"{_SAME_FOR_ALL}: the prompt names no column."))
    if empty:
        text = f"{empty:,} rows have nothing in {', '.join(used)}: they ask only what the prompt says by itself."
        warnings.append(DraftWarning("empty_rows", text))
    return warnings
