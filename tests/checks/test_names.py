"""Misspelt names of models: found before hours are lost, and never where a name may be anything."""

from pathlib import Path
from typing import Any

import pytest

from batchwright.checks.families import MODELS
from batchwright.checks.names import misspelt
from batchwright.core.model import ProviderInfo
from batchwright.costs.prices import closest_priced_name
from tests.support.openai_server import running_openai
from tests.support.session import MODES, OPENAI_ITSELF, Mode, environment, in_memory, openai_environment

"""No draft reaches out, so no key is needed that is good."""
DRAFT: dict[str, Any] = {"rows": [{"n": 1}], "prompt": "{{n}}", "parameters": {"max_completion_tokens": 9}}


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gtp-5-mini", "gpt-5-mini"),
        ("gpt5-mini", "gpt-5-mini"),
        ("gpt-4o-minni", "gpt-4o-mini"),
        ("GPT-4o mini", "gpt-4o-mini"),
        ("o4-mimi", "o4-mini"),
        ("text-embeding-3-small", "text-embedding-3-small"),
    ],
)
def test_a_misspelt_name_is_told_what_it_seems_to_mean(model: str, name: str) -> None:
    """One letter is easily missed."""
    assert closest_priced_name(model) == name


@pytest.mark.parametrize(
    "model",
    [
        *MODELS,
        "gpt-5-mini-2025-08-07",
        "gpt-4.1-mini-2025-04-14",
        "gpt-5.9-mini",
        "gpt-7-mini",
        "gpt-5.1-codex-max",
        "gpt-5.1-codex-max-2025-11-19",
        "ft:gpt-4o-mini-2024-07-18:acme::abc",
        "my-deployment",
        "",
    ],
)
def test_a_known_name_and_a_new_version_are_no_misspellings(model: str) -> None:
    """A model that is newer than the list is not an older one."""
    assert closest_priced_name(model) is None


def test_only_openai_s_own_names_are_known() -> None:
    """At Azure a deployment is called as its owner likes, and so is a model of one's own server."""
    assert misspelt("gtp-6-luna", ProviderInfo("service", "api.openai.com", "gtp-6-luna"), closest_priced_name) == (
        "'gtp-6-luna' is not a known OpenAI model. Did you mean 'gpt-6-luna'?"
    )
    assert (
        misspelt("gtp-6-luna", ProviderInfo("service", "x.openai.azure.com", "gtp-6-luna"), closest_priced_name) is None
    )
    assert misspelt("gtp-6-luna", ProviderInfo("endpoint", "localhost:8000", "gtp-6-luna"), closest_priced_name) is None


@pytest.mark.anyio
@pytest.mark.usefixtures("openai_out_of_reach")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", ["gtp-6-luna", "gpt-6-lunna"])
async def test_a_draft_asks_once_whether_another_model_was_meant(tmp_path: Path, mode: Mode, model: str) -> None:
    """Also a name that looks like one of a family; the batch would be refused only after it was sent."""
    async with in_memory(environment(tmp_path) | OPENAI_ITSELF, mode) as session:
        draft = await session.call("create_batch_file", **DRAFT, model=model)
        good = await session.call("create_batch_file", **DRAFT, model="gpt-6-luna")

    assert [warning.count("Did you mean 'gpt-6-luna'?") for warning in draft["warnings"]].count(1) == 1
    assert not any("Did you mean" in warning for warning in good.get("warnings", ()))


@pytest.mark.anyio
async def test_another_service_is_asked_for_whatever_is_wished(tmp_path: Path) -> None:
    """Only it knows its names."""
    async with running_openai() as server, in_memory(openai_environment(tmp_path, server)) as session:
        draft = await session.call("create_batch_file", **DRAFT, model="gpt-6-lunna")

    assert not any("Did you mean" in warning for warning in draft.get("warnings", ()))


@pytest.mark.anyio
@pytest.mark.parametrize("mode", MODES)
async def test_a_comparison_asks_too(tmp_path: Path, mode: Mode) -> None:
    """Unpriced is not the same as misspelt."""
    numbers = {"rows": 5, "input_tokens": 10, "output_tokens": 1}
    async with in_memory(environment(tmp_path), mode) as session:
        answer = await session.call("compare_costs", **numbers, models=["gpt-6-lunna", "gpt-6-luna", "own"])

    asked = [note for note in answer["notes"] if "Did you mean" in note]
    assert asked == ["'gpt-6-lunna' is not a known OpenAI model. Did you mean 'gpt-6-luna'?"]
