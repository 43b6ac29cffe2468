"""What a recipe would be refused for, or what is worth a warning, before anything is written."""

from collections.abc import Mapping, Sequence

from batchwright.checks.families import tight_bound
from batchwright.checks.rules import faults, lacks_json_word
from batchwright.core.errors import InvalidInput
from batchwright.core.model import Endpoint, Fault, Json, ProviderInfo, Recipe
from batchwright.costs.spending import SAME_FOR_ALL, SUSPECTED
from batchwright.requests.recipe import shared_body, single_braces

BATCH_FIELDS = ["body", "custom_id", "method", "url"]
"""What the lines of a batch file hold, sorted."""
SHOWN_ERRORS = 5


def is_batch_file(columns: Sequence[str]) -> bool:
    """Whether a JSONL file with these columns holds the lines of a batch."""
    return sorted(columns) == BATCH_FIELDS


def check_recipe(recipe: Recipe, provider: ProviderInfo) -> list[str]:
    """Check once what all requests of a recipe share, and give what may make them fail, or fall short.

    Raises:
        InvalidInput: Every request would fail at *provider*.
    """
    body = shared_body(recipe)
    tight = tight_bound(recipe.endpoint, body) if provider.kind == "service" else None
    return [*check_body(recipe.endpoint, body, provider), *([tight] if tight else [])]


def check_body(endpoint: Endpoint, body: Mapping[str, Json], provider: ProviderInfo) -> list[str]:
    """Give what may make requests with *body* fail.

    Raises:
        InvalidInput: Every one would.
    """
    lacking = lacks_json_word(endpoint, body, provider)
    found = [*faults(endpoint, body, provider), *([lacking] if lacking else ())]
    if certain := [fault for fault in found if fault.is_certain]:
        raise InvalidInput(f"Every request with these parameters would fail. {tell(certain[:SHOWN_ERRORS])}")
    return [f"{SUSPECTED}: {tell([fault])}" for fault in found[:SHOWN_ERRORS]]


def tell(found: Sequence[Fault]) -> str:
    """Write faults as one line for the user."""
    return " ".join(f"{fault.message} ({fault.code}: {fault.param})" for fault in found)


def draft_warnings(recipe: Recipe, columns: Sequence[str], used: Sequence[str], empty: int) -> list[str]:
    """Warn of a prompt that names no column, and of *empty* rows that say nothing in the columns *used*."""
    warnings: list[str] = []
    if single := single_braces(recipe.prompt or "", columns):
        name = single[0]
        warnings.append(
            f"{'The prompt has' if used else f'{SAME_FOR_ALL}: the prompt has'} {{{name}}} in single braces, which is "
            f"sent as it stands: write {{{{{name}}}}}."
        )
    elif not used:
        warnings.append(f"{SAME_FOR_ALL}: the prompt names no column.")
    if empty:
        warnings.append(
            f"{empty:,} rows have nothing in {', '.join(used)}: they ask only what the prompt says by itself."
        )
    return warnings
