"""OpenAI's API under every fault that the test server has: what a call has done is told apart, and done once."""

import json
from pathlib import Path
from typing import Any

import pytest

from batchwright.errors import ProviderError, ProviderRefused, ProviderUnclear, ProviderUnreachable
from batchwright.openai_api import OPENAI, OpenAIAPI, service_of
from openai_server import running_openai
from test_batch_api import CHAT, batch_file, ended, made

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("fault", "raised", "batches"),
    [
        ("lost_after_creation", ProviderUnclear, 1),
        ("lost_before", ProviderUnclear, 0),
        ("408_after_creation", ProviderUnclear, 1),
        ("409_after_creation", ProviderUnclear, 1),
        ("500_after_creation", ProviderUnclear, 1),
        ("html_502_after_creation", ProviderUnclear, 1),
        ("no_id", ProviderUnclear, None),
        ("redirect_307", ProviderUnclear, 0),
        ("429_retry_after", ProviderRefused, 0),
        ("insufficient_quota", ProviderRefused, 0),
    ],
)
async def test_a_batch_is_asked_for_once_whatever_comes_back(
    tmp_path: Path, fault: str, raised: type[ProviderError], batches: int | None
) -> None:
    """The SDK alone would send it three times, and each may be paid for."""
    async with (
        running_openai(state=tmp_path / "state") as server,
        OpenAIAPI.opened(key=server.key, base_url=server.url) as api,
    ):
        file = await api.upload(batch_file(tmp_path, "a"))
        server.faults.add("batches.create", fault, times=9)
        with pytest.raises(raised) as caught:
            await api.create_batch(input_file_id=file.id, endpoint=CHAT, metadata={})

    assert type(caught.value) is raised
    assert server.posts == 1
    assert batches is None or server.batches_created == batches


async def test_a_provider_that_is_not_there_was_sent_nothing(tmp_path: Path) -> None:
    """Then, and only then, the batch may be asked for again at once."""
    async with running_openai(state=tmp_path / "state") as server:
        pass
    async with OpenAIAPI.opened(key=server.key, base_url=server.url) as api:
        with pytest.raises(ProviderUnreachable, match="nothing was sent"):
            await api.create_batch(input_file_id="file-a", endpoint=CHAT, metadata={})


async def test_a_refused_key_is_not_shown(tmp_path: Path) -> None:
    """OpenAI's own answer echoes a part of it."""
    async with (
        running_openai(state=tmp_path / "state") as server,
        OpenAIAPI.opened(key="sk-canary-000000", base_url=server.url) as api,
    ):
        with pytest.raises(ProviderRefused) as caught:
            await api.batch("batch_a")

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("fault", ["short_body", "cut_chunk", "truncated"])
async def test_a_download_that_is_not_whole_is_no_download(tmp_path: Path, fault: str) -> None:
    """A file that lacks its last rows looks like one that has them all."""
    async with (
        running_openai(automatic=True, state=tmp_path / "state") as server,
        OpenAIAPI.opened(key=server.key, base_url=server.url) as api,
    ):
        batch = await ended(api, (await made(api, batch_file(tmp_path, "a", "b", "c"))).id)
        server.faults.add("files.content", fault)
        with pytest.raises(ProviderError):
            await api.download(batch.output_file_id or "", tmp_path / "out.jsonl")
        await api.download(batch.output_file_id or "", tmp_path / "out.jsonl")

    assert len((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.parametrize("difference", ["capital_statuses", "null_counts", "empty_output_file_id"])
async def test_a_service_that_differs_is_read_as_openai(tmp_path: Path, difference: str) -> None:
    """Compatible services agree on the shape, and not on its details."""
    async with (
        running_openai(automatic=True, state=tmp_path / "state") as server,
        OpenAIAPI.opened(key=server.key, base_url=server.url) as api,
    ):
        differ(server, difference)
        batch = await ended(api, (await made(api, batch_file(tmp_path, "a"))).id)

    assert batch.status == "completed"
    assert batch.output_file_id != ""


async def test_errors_that_are_a_text_are_errors(tmp_path: Path) -> None:
    """One service writes what is wrong with a batch as a sentence."""
    async with (
        running_openai(automatic=True, state=tmp_path / "state") as server,
        OpenAIAPI.opened(key=server.key, base_url=server.url) as api,
    ):
        differ(server, "errors_as_string")
        batch = await ended(api, (await made(api, batch_file(tmp_path, "a", "a"))).id)

    assert batch.errors is not None
    assert [bool(error.message) for error in batch.errors.data or ()] == [True]


def differ(server: Any, difference: str) -> None:
    """Have the server behave as another service does."""
    server.differences.add(difference)


def test_what_a_service_allows_is_known_by_its_host() -> None:
    """Limits are data; a host that is not known is taken to be like OpenAI, and no name may pass for another's."""
    assert service_of("https://res.openai.azure.com/openai/v1/").limits.max_requests == 100_000
    assert service_of("https://api.groq.com/openai/v1").limits.max_bytes == 100_000_000
    assert service_of("https://api.groq.com.evil.example/v1") is OPENAI
    assert json.dumps(OPENAI.completion_window) == '"24h"'
