"""Models that end: what OpenAI's page and its own list of models say, and what a job hears of it."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from batchwright.checks.deprecations import DEPRECATIONS, deprecation_of, shutdown_notes, shutdown_warning
from batchwright.checks.families import MODELS
from batchwright.costs.comparison import CHAT_MODELS, EMBEDDING_MODELS
from batchwright.providers.shutdown_dates import MAX_ANSWER_BYTES
from tests.generate import DOCUMENTS
from tests.support.openai_server import OpenAIServer, running_openai
from tests.support.paths import PACKAGE, ROOT
from tests.support.session import MODES, Mode, Session, environment, in_memory

OPENAI = "http://api.openai.com/v1"
TODAY = datetime.now(UTC).date()
BEFORE, AFTER = TODAY - timedelta(days=1), TODAY + timedelta(days=9)
MODEL = "gpt-6-luna"
DRAFT: dict[str, Any] = {"rows": [{"a": 1}, {"a": 2}], "prompt": "{{a}}", "parameters": {"max_completion_tokens": 9}}


@asynccontextmanager
async def openai_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode = "auto"
) -> AsyncGenerator[tuple[Session, OpenAIServer]]:
    """Talk to a server whose provider is OpenAI at its own name, which a proxy on loopback leads to."""
    async with running_openai() as server:
        server.automatic = True
        monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/v1"))
        env = environment(tmp_path, prices="openai") | {"OPENAI_API_KEY": server.key, "OPENAI_BASE_URL": OPENAI}
        async with in_memory(env, mode) as session:
            yield session, server


def warnings(answer: dict[str, Any]) -> list[str]:
    """Return what an answer says of the end of a model."""
    said = [*answer.get("warnings", ()), *answer.get("notes", ())]
    return [text for text in said if text.startswith("Shutdown of ")]


def test_a_model_is_warned_of_before_its_end_and_after() -> None:
    """A job may outlive its model: a batch takes up to a day, and waves take days."""
    before, after = (shutdown_warning("gpt-5-mini", date(2026, 12, day)) for day in (11, 12))

    assert before == (
        "Shutdown of gpt-5-mini: 2026-12-11, says OpenAI's deprecations page. After that day requests fail. "
        "OpenAI suggests gpt-6.1-sol, gpt-6.1-terra, gpt-6-luna instead."
    )
    assert after == before.replace("After that day requests fail.", "Requests have failed since then.")
    assert shutdown_warning(MODEL, TODAY) is None


def test_what_openai_lists_counts_before_the_page() -> None:
    """The page was updated before, and this program is not."""
    told = shutdown_warning("gpt-5-mini", date(2027, 1, 1), date(2027, 6, 1))

    assert told is not None
    assert "2027-06-01, says OpenAI's list of models. After that day requests fail." in told


@pytest.mark.parametrize("model", ["gpt-4o-2024-08-06", "gpt-5-mini-2025-08-07", "gpt-4o-2024-05-13"])
def test_a_snapshot_ends_with_its_model(model: str) -> None:
    """OpenAI's page names the model, and jobs name the snapshot."""
    assert deprecation_of(model) is not None


@pytest.mark.parametrize("model", ["ft:gpt-4o-mini-2024-07-18:acme::abc", "gpt-5.4", "gpt-5.4-mini", "llama3.2"])
def test_no_end_is_made_up(model: str) -> None:
    """A fine-tuned model has an end of its own, and other names only look alike."""
    assert deprecation_of(model) is None


def test_models_that_end_together_are_told_in_one_sentence() -> None:
    """A comparison has up to 20 models, and little room."""
    notes = list(shutdown_notes(["gpt-5", MODEL, "gpt-5-mini", "gpt-4o"], date(2026, 11, 30)))

    assert [note.partition(",")[0] for note in notes] == ["Shutdown of gpt-5", "Shutdown of gpt-4o: 2027-01-14"]
    assert "Shutdown of gpt-5, gpt-5-mini: 2026-12-11" in notes[0]


def proposing_texts() -> Iterator[tuple[str, str]]:
    """Return the texts that propose models: all of the product, its documents without the history, and its examples."""
    for path in [*PACKAGE.rglob("*.py"), *DOCUMENTS, *(ROOT / "examples").rglob("*.*")]:
        if path.is_file() and path.stem not in {"deprecations", "families", "tokens", "rules", "prices"}:
            text = path.read_text(encoding="utf-8", errors="replace")
            before, _, rest = text.partition("--model gpt-3.5-turbo-0125")
            yield str(path), before + rest.partition("<!-- costs: generated -->")[2].partition("<!-- end -->")[2]


def test_no_example_and_no_advice_names_a_model_that_ends() -> None:
    """It would be copied."""
    ending = {model for entry in DEPRECATIONS for model in entry.models if model.startswith("gpt-")}
    named = {path: {word.strip("\"'`.,:;()=") for word in text.split()} & ending for path, text in proposing_texts()}

    assert len(named) > 100
    assert {path: models for path, models in named.items() if models} == {}


def test_no_default_and_no_suggestion_ends() -> None:
    """What is compared when nothing is named is what is chosen."""
    assert [model for model in (*CHAT_MODELS, *EMBEDDING_MODELS, *MODELS) if deprecation_of(model)] == []


@pytest.mark.anyio
@pytest.mark.parametrize("mode", MODES)
async def test_a_draft_says_when_its_model_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    """OpenAI's own list knows of ends that no table here has."""
    async with openai_itself(tmp_path, monkeypatch, mode) as (session, server):
        server.shutdown_dates = {MODEL: AFTER.isoformat()}
        ending = await session.call("create_batch_file", **DRAFT, model=MODEL)
        other = await session.call("create_batch_file", **DRAFT, model="gpt-6-sol")

    [told] = warnings(ending)
    assert told.startswith(f"Shutdown of {MODEL}: {AFTER}, says OpenAI's list of models. After that day requests fail.")
    assert warnings(other) == []


@pytest.mark.anyio
async def test_a_model_that_openai_lists_as_gone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request would fail, hours later."""
    async with openai_itself(tmp_path, monkeypatch) as (session, server):
        server.shutdown_dates = {"gpt-4o": BEFORE.isoformat()}
        said = await session.error("create_batch_file", **DRAFT, model="gpt-4o")
        jobs = await session.call("list_jobs")

    assert f"Shutdown of gpt-4o: {BEFORE}, says OpenAI's list of models." in said
    assert "OpenAI suggests gpt-6-luna instead." in said
    assert jobs["jobs"] == []


@pytest.mark.anyio
async def test_the_table_alone_refuses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page changes, and a model may get more time."""
    async with openai_itself(tmp_path, monkeypatch) as (session, server):
        server.shutdown_dates = {"gpt-4": None}
        [listed] = warnings(await session.call("create_batch_file", **DRAFT, model="gpt-4"))
        [unlisted] = warnings(await session.call("create_batch_file", **DRAFT, model="gpt-4-turbo"))

    assert "2026-10-23, says OpenAI's deprecations page. Requests have failed since then." in listed
    assert "2026-10-23, says OpenAI's deprecations page. Requests have failed since then." in unlisted


@pytest.mark.anyio
@pytest.mark.parametrize("listed", ["", "soon", "0000-00-00", "x" * (MAX_ANSWER_BYTES + 1)])
async def test_a_list_that_cannot_be_read_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    """It is a courtesy, and no job fails for it."""
    async with openai_itself(tmp_path, monkeypatch) as (session, server):
        server.shutdown_dates = {MODEL: listed}
        draft = await session.call("create_batch_file", **DRAFT, model=MODEL)

    assert warnings(draft) == []


@pytest.mark.anyio
async def test_a_retry_and_a_comparison_say_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry may come weeks after its job."""
    async with openai_itself(tmp_path, monkeypatch) as (session, server):
        server.answer = lambda _custom_id, body: (400, {"error": {"message": "No.", "type": "invalid_request_error"}})
        draft = await session.call("create_batch_file", **DRAFT, model=MODEL)
        await session.call("submit_job", job_id=draft["job_id"], max_cost_usd=0.1)
        await session.finished(draft["job_id"])
        server.shutdown_dates = {MODEL: AFTER.isoformat()}
        retry = await session.call("retry_job", job_id=draft["job_id"])
        compared = await session.call("compare_costs", job_id=draft["job_id"], models=["gpt-4o", MODEL])

    assert len(warnings(retry)) == 1
    assert [note[: len("Shutdown of gpt-4o")] for note in warnings(compared)] == ["Shutdown of gpt-4o"]


@pytest.mark.anyio
async def test_another_service_is_not_asked(tmp_path: Path) -> None:
    """A deployment is called as its owner likes."""
    async with running_openai() as server:
        env = environment(tmp_path, prices="openai") | {"OPENAI_API_KEY": server.key, "OPENAI_BASE_URL": server.url}
        async with in_memory(env) as session:
            draft = await session.call("create_batch_file", **DRAFT, model="gpt-5-mini")

    assert warnings(draft) == []
    assert [request for request in server.requests if "/models/" in request] == []
