"""Costs of jobs and of tokens, through a real MCP client in both protocol eras."""

import base64
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
from mcp.types import ImageContent

from batchwright.core.files import lines
from batchwright.core.jsonl import decode_request
from batchwright.core.money import format_usd
from batchwright.costs.comparison import CHAT_MODELS, EMBEDDING_MODELS, MeanOutput
from batchwright.costs.prices import cost, price
from batchwright.costs.tokens import counter
from tests.support.endpoint import running_endpoint
from tests.support.openai_server import OpenAIServer, running_openai
from tests.support.session import MODES, Mode, Session, environment, in_memory, openai_environment

pytestmark = pytest.mark.anyio

GUIDE = {
    "rows": 50_000,
    "input_tokens": 2048,
    "output_tokens": 158,
    "models": ["gpt-3.5-turbo-0125", "gpt-4-turbo", "gpt-4", "gpt-5-mini"],
}
TABLE = [
    {"model": "gpt-5-mini", "standard": "$41.40", "batch": "$20.70", "saving": "50%"},
    {"model": "gpt-3.5-turbo-0125", "standard": "$63.05", "batch": "$31.53", "saving": "50%"},
    {"model": "gpt-4-turbo", "standard": "$1,261.00", "batch": "$630.50", "saving": "50%"},
    {"model": "gpt-4", "standard": "$3,546.00", "batch": "$1,773.00", "saving": "50%"},
]
ROWS = [{"text": text} for text in ("Eine Überschwemmung in Köln", "雨が降っています", "short")]
DRAFT = {"rows": ROWS, "prompt": "{{text}}", "model": "gpt-5-mini"}
BOUND = {"parameters": {"max_completion_tokens": 10}}


async def ended(session: Session, **draft: Any) -> dict[str, Any]:
    """Run a job to its end, and return it."""
    job_id = (await session.call("create_batch_file", **draft))["job_id"]
    await session.call("submit_job", job_id=job_id)
    return await session.finished(job_id)


async def images(session: Session, **arguments: Any) -> list[bytes]:
    """Call the tool, and give the images of its answer."""
    result = await session.client.call_tool("compare_costs", arguments)
    assert not result.is_error
    blocks = [block for block in result.content if isinstance(block, ImageContent)]
    assert {block.mime_type for block in blocks} <= {"image/png"}
    return [base64.b64decode(block.data) for block in blocks]


def expected(tmp_path: Path, model: str, output: MeanOutput) -> str:
    """Give what the requests on disk cost as a batch, counted one by one for *model*, each with its output."""
    found = price(model, endpoint="/v1/chat/completions")
    assert found is not None
    count = counter(model)
    (part,) = (tmp_path / "data" / "jobs").rglob("part-0001.jsonl")
    bodies = [decode_request(line).body for line in lines(part)]
    inputs = (count(body, "/v1/chat/completions").input_tokens for body in bodies)
    return format_usd(cost(found, [(into, output.of(number)) for number, into in enumerate(inputs)]))


def batch_costs(answer: dict[str, Any]) -> dict[str, str]:
    """Give the batch cost of each model."""
    return {line["model"]: line["batch"] for line in answer["costs"]}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
async def test_the_guides_chart_comes_as_a_table_and_as_an_image_only_when_asked(tmp_path: Path, mode: Mode) -> None:
    """An image takes many tokens of the conversation."""
    async with in_memory(environment(tmp_path), mode) as session:
        answer = await session.call("compare_costs", **GUIDE)
        without = await images(session, **GUIDE)
        shown = await images(session, **GUIDE, chart=True)
        saved = await images(session, **GUIDE, save_chart_as="charts/guide.png")

    assert answer["costs"] == TABLE
    assert answer["compared"] == "50,000 requests of 2,048 input and 158 output tokens each"
    assert answer["prices"].startswith("OpenAI's prices, genai-prices ")
    assert "saved_as" not in answer
    assert without == []
    assert (len(shown), saved) == (1, [])
    assert matplotlib.image.imread(BytesIO(shown[0]), format="png").shape[:2] == (502, 1080)
    assert (tmp_path / "work" / "charts" / "guide.png").read_bytes() == shown[0]


@pytest.mark.parametrize("mode", MODES)
async def test_a_draft_is_counted_anew_for_each_models_tokenizer(
    tmp_path: Path, server: OpenAIServer, mode: Mode
) -> None:
    """The same text has more tokens for an older model, and the longest answers are the most it costs."""
    async with in_memory(openai_environment(tmp_path, server), mode) as session:
        job_id = (await session.call("create_batch_file", **DRAFT, **BOUND))["job_id"]
        answer = await session.call("compare_costs", job_id=job_id, models=["gpt-4", "gpt-5-mini", "other"])
        given = await session.call("compare_costs", job_id=job_id, models=["gpt-5-mini"], output_tokens=3)
        by_itself = await session.call("compare_costs", job_id=job_id)

    assert batch_costs(answer) == {
        model: expected(tmp_path, model, MeanOutput(10)) for model in ("gpt-5-mini", "gpt-4")
    }
    assert batch_costs(given) == {"gpt-5-mini": expected(tmp_path, "gpt-5-mini", MeanOutput(3))}
    assert answer["compared"].startswith(f"3 requests of {job_id}, on average ")
    assert " to " in answer["compared"]
    assert any("(unknown, not free): other." in note for note in answer["notes"])
    assert any("so this is the most" in note for note in answer["notes"])
    assert not any("so this is the most" in note for note in given["notes"])
    assert set(batch_costs(by_itself)) == {"gpt-5-mini", *CHAT_MODELS}


async def test_a_draft_without_a_bound_is_compared_by_its_input(tmp_path: Path, server: OpenAIServer) -> None:
    """Its output is not known, and that is said rather than left out."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
        answer = await session.call("compare_costs", job_id=job_id, models=["gpt-5-mini"])

    assert batch_costs(answer) == {"gpt-5-mini": f"{expected(tmp_path, 'gpt-5-mini', MeanOutput(0))} and more"}
    assert answer["costs"][0]["standard"].endswith(" and more")
    assert "output" not in answer["compared"]
    assert any("comes on top" in note for note in answer["notes"])


async def test_an_ended_job_is_compared_with_its_measured_output(tmp_path: Path, server: OpenAIServer) -> None:
    """What the answers were is a better guess than what they may be."""
    server.automatic = True
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job = await ended(session, **DRAFT, **BOUND)
        answer = await session.call("compare_costs", job_id=job["job_id"], models=["gpt-5-mini"])

    measured = job["output_tokens"]
    assert (job["status"], measured % 3 > 0) == ("completed", True)
    assert batch_costs(answer) == {"gpt-5-mini": expected(tmp_path, "gpt-5-mini", MeanOutput(measured, 3))}
    assert f"and {round(measured / 3)} output tokens" in answer["compared"]
    assert any("as measured on this job" in note for note in answer["notes"])


async def test_a_retry_leaves_the_requests_those_of_the_first_round(tmp_path: Path) -> None:
    """Each row counts once, and the answer says that a changed prompt is not counted."""
    refused = 400, {"error": {"message": "told to fail"}}
    async with (
        running_openai(automatic=True, answer=lambda custom_id, _: refused if custom_id == "2" else "done") as server,
        in_memory(openai_environment(tmp_path, server)) as session,
    ):
        rows = [{"id": str(number), "text": "word"} for number in range(1, 4)]
        draft = DRAFT | BOUND | {"rows": rows, "id_column": "id"}
        job = await ended(session, **draft)
        await session.call("retry_job", job_id=job["job_id"], prompt="much, much longer: {{text}}")
        answer = await session.call("compare_costs", job_id=job["job_id"], models=["gpt-5-mini"])

    assert job["counts"] == {"answered": 2, "failed": 1}
    assert answer["compared"].startswith("3 requests of ")
    assert f"and {job['output_tokens'] // 2} output tokens" in answer["compared"]
    assert any("those of the first round" in note for note in answer["notes"])


async def test_embeddings_are_compared_with_embeddings(tmp_path: Path, server: OpenAIServer) -> None:
    """A chat model cannot take their place."""
    draft = DRAFT | {"model": "text-embedding-3-small", "endpoint": "/v1/embeddings"}
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("create_batch_file", **draft))["job_id"]
        answer = await session.call("compare_costs", job_id=job_id)
        chat = await session.call("compare_costs", job_id=job_id, models=["gpt-5-mini"])

    assert set(batch_costs(answer)) == set(EMBEDDING_MODELS)
    assert any("half the standard price" in note for note in answer["notes"])
    assert chat["costs"] == []
    assert any("(unknown, not free): gpt-5-mini." in note for note in chat["notes"])


async def test_a_job_of_another_provider_is_not_taken_for_openais(tmp_path: Path) -> None:
    """A model there may cost something else, or nothing."""
    async with running_endpoint() as endpoint, in_memory(environment(tmp_path, endpoint=endpoint.url)) as session:
        draft = await session.call("create_batch_file", **DRAFT | {"model": "m"})
        local = await session.call("compare_costs", job_id=draft["job_id"])
    (tmp_path / "second").mkdir()
    async with (
        running_openai() as server,
        in_memory(openai_environment(tmp_path / "second", server, prices="")) as session,
    ):
        draft = await session.call("create_batch_file", **DRAFT)
        unknown = await session.call("compare_costs", job_id=draft["job_id"])

    assert set(batch_costs(local)) == set(CHAT_MODELS)
    assert any("m at 127.0.0.1" in note and "These are OpenAI's prices." in note for note in local["notes"])
    assert any(note.startswith("These are OpenAI's prices; those of 127.0.0.1") for note in unknown["notes"])


async def test_a_job_whose_requests_are_gone_says_what_to_ask_instead(tmp_path: Path, server: OpenAIServer) -> None:
    """Its tokens are known, if not its texts."""
    server.automatic = True
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job = await ended(session, **DRAFT, **BOUND)
        next((tmp_path / "data" / "jobs" / job["job_id"]).glob("part-0001.jsonl")).unlink()
        told = await session.error("compare_costs", job_id=job["job_id"])

    means = job["input_tokens"] / 3, job["output_tokens"] / 3
    assert told.endswith(f"Use compare_costs(rows=3, input_tokens={means[0]:.0f}, output_tokens={means[1]:.0f}).")


async def test_without_matplotlib_the_table_comes_and_the_install_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing extra costs the image, not the answer."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    async with in_memory(environment(tmp_path)) as session:
        answer = await session.call("compare_costs", **GUIDE, save_chart_as="guide.png")

    assert answer["costs"] == TABLE
    assert any("pip install 'batchwright[charts]'" in note for note in answer["notes"])
    assert "saved_as" not in answer
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.slow
async def test_a_chart_replaces_nothing(tmp_path: Path) -> None:
    """The name may be that of somebody's picture."""
    async with in_memory(environment(tmp_path)) as session:
        first = await session.call("compare_costs", **GUIDE, save_chart_as="guide.png")
        before = (tmp_path / "work" / "guide.png").read_bytes()
        told = await session.error("compare_costs", rows=1, input_tokens=1, save_chart_as="guide.png")

    assert first["saved_as"] == str(tmp_path / "work" / "guide.png")
    assert told.startswith("'guide.png' already exists, and a chart never replaces a file.")
    assert (tmp_path / "work" / "guide.png").read_bytes() == before


async def test_where_nothing_is_priced_no_chart_is_drawn(tmp_path: Path) -> None:
    """An empty chart says that all are free."""
    async with in_memory(environment(tmp_path)) as session:
        answer = await session.call("compare_costs", rows=5, input_tokens=5, models=["llama3.2"], save_chart_as="c.png")

    assert answer["costs"] == []
    assert any("No chart was drawn: no price is known." in note for note in answer["notes"])
    assert list((tmp_path / "work").iterdir()) == []


async def test_counting_a_large_job_reports_progress(tmp_path: Path, server: OpenAIServer) -> None:
    """A client that hears nothing gives the call up."""
    draft = DRAFT | {"rows": [{"text": f"row {number}"} for number in range(1_200)]}
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("create_batch_file", **draft))["job_id"]
        session.progress.clear()
        await session.call("compare_costs", job_id=job_id, models=["gpt-4", "gpt-5-mini"])

    assert [point[:2] for point in session.progress] == [(done, 2_400) for done in (500, 1_000, 1_500, 2_000)]
