"""What every provider of batches has to do: the same cases on the local engine, and on OpenAI's API over real HTTP."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import anyio
import pytest

from batchwright.core.errors import ProviderGone, ProviderRefused
from batchwright.core.model import Endpoint, Recipe, Request
from batchwright.jobs.recovery import is_final
from batchwright.providers.batch_api import BatchAPI
from batchwright.providers.local.engine import LocalEngine
from batchwright.providers.local.run import Clock
from batchwright.providers.local.target import RemoteEndpoint, Upstream
from batchwright.providers.openai import OpenAIAPI
from batchwright.results.answers import reader
from tests.support.endpoint import running_endpoint
from tests.support.openai_server import running_openai
from tests.support.waiting import until

if TYPE_CHECKING:
    from openai.types import Batch

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"


@asynccontextmanager
async def local(tmp_path: Path) -> AsyncGenerator[BatchAPI]:
    """Open the local engine over an endpoint."""
    async with running_endpoint() as endpoint, anyio.create_task_group() as tasks:
        target = RemoteEndpoint(Upstream(endpoint.url), "m")
        yield LocalEngine(tmp_path / "engine", target, clock=Clock(time.time_ns), tasks=tasks)
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def service(tmp_path: Path) -> AsyncGenerator[BatchAPI]:
    """Open OpenAI's API over the test server."""
    async with (
        running_openai(automatic=True, state=tmp_path / "openai") as server,
        OpenAIAPI.opened(key=server.key, base_url=server.url) as api,
    ):
        yield api


PROVIDERS = pytest.mark.parametrize("provider", [local, service])


def batch_file(tmp_path: Path, *custom_ids: str) -> Path:
    """Write a batch file with a request for each id."""
    body = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hello"}]}
    lines = [{"custom_id": name, "method": "POST", "url": CHAT, "body": body} for name in custom_ids]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


async def made(api: BatchAPI, path: Path) -> "Batch":
    """Upload a file and make a batch of it."""
    file = await api.upload(path, name=path.name)
    return await api.create_batch(input_file_id=file.id, endpoint=CHAT, metadata={"nonce": "n1"})


async def ended(api: BatchAPI, batch_id: str) -> "Batch":
    """Poll a batch until it is final."""
    found: list[Batch] = []

    async def is_ended() -> bool:
        found[:] = [await api.batch(batch_id)]
        return is_final(found[0].status)

    await until(is_ended)
    return found[0]


@PROVIDERS
async def test_every_request_of_a_batch_has_one_result_line(tmp_path: Path, provider: Any) -> None:
    """Nothing else joins answers to rows."""
    async with provider(tmp_path) as api:
        batch = await ended(api, (await made(api, batch_file(tmp_path, "a", "b", "c"))).id)
        await api.download(batch.output_file_id or "", tmp_path / "out.jsonl")

    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert batch.status == "completed"
    assert batch.request_counts is not None
    assert (batch.request_counts.total, batch.request_counts.completed) == (3, 3)
    assert sorted(line["custom_id"] for line in lines) == ["a", "b", "c"]
    assert all(line["response"]["status_code"] == 200 and line["error"] is None for line in lines)


@PROVIDERS
async def test_a_batch_is_found_again_by_what_its_metadata_says(tmp_path: Path, provider: Any) -> None:
    """After a lost answer, the list is the only way to know."""
    async with provider(tmp_path) as api:
        first = await made(api, batch_file(tmp_path, "a"))
        second = await made(api, batch_file(tmp_path, "a"))
        listed = [batch async for batch in api.batches()]

    assert [batch.id for batch in listed] == [second.id, first.id]
    assert [batch.metadata for batch in listed] == [{"nonce": "n1"}] * 2


@PROVIDERS
async def test_a_faulty_file_fails_with_the_line_and_the_code(tmp_path: Path, provider: Any) -> None:
    """It is accepted first, and refused afterwards."""
    async with provider(tmp_path) as api:
        batch = await ended(api, (await made(api, batch_file(tmp_path, "a", "a"))).id)

    assert batch.status == "failed"
    assert batch.errors is not None
    assert [(error.code, error.line) for error in batch.errors.data or ()] == [("duplicate_custom_id", 2)]


@PROVIDERS
async def test_a_final_batch_cannot_be_cancelled(tmp_path: Path, provider: Any) -> None:
    """The provider says so with its own words."""
    async with provider(tmp_path) as api:
        batch = await ended(api, (await made(api, batch_file(tmp_path, "a"))).id)
        with pytest.raises(ProviderRefused, match="Cannot cancel a batch with status 'completed'"):
            await api.cancel_batch(batch.id)


@PROVIDERS
async def test_what_is_not_there_is_gone(tmp_path: Path, provider: Any) -> None:
    """A job whose batch or file is gone comes to its end, instead of asking for ever."""
    async with provider(tmp_path) as api:
        with pytest.raises(ProviderGone):
            await api.batch("batch_none")
        with pytest.raises(ProviderGone):
            await api.download("file-none", tmp_path / "x")
        with pytest.raises(ProviderRefused):
            await api.create_batch(input_file_id="file-none", endpoint=CHAT, metadata={})


@PROVIDERS
async def test_files_are_listed_and_deleted_once(tmp_path: Path, provider: Any) -> None:
    """A deletion that is done again after a crash is no error."""
    async with provider(tmp_path) as api:
        batch = await ended(api, (await made(api, batch_file(tmp_path, "a"))).id)
        listed = {file.id async for file in api.files()}
        await api.delete_file(batch.input_file_id)
        await api.delete_file(batch.input_file_id)
        left = {file.id async for file in api.files()}

    assert {batch.input_file_id, batch.output_file_id} <= listed
    assert batch.input_file_id not in left


@PROVIDERS
@pytest.mark.parametrize("endpoint", get_args(Endpoint))
async def test_a_single_request_is_answered_now_as_its_line_would_be(
    tmp_path: Path, provider: Any, endpoint: Endpoint
) -> None:
    """What is tried on a few rows is what the batch will give."""
    content = {"messages": [{"role": "user", "content": "hello"}]} if endpoint == CHAT else {"input": "hello"}
    async with provider(tmp_path) as api, api.asking(endpoint) as ask:
        line = await ask(Request("a", {"model": "gpt-5-mini", **content}))

    result = reader(Recipe(endpoint, "gpt-5-mini", "{{text}}"))(line)
    assert (line.custom_id, line.status_code, result.outcome) == ("a", 200, "answered")
    assert result.text == "answer to hello" if endpoint != "/v1/embeddings" else str(result.text).startswith("[0.5,")
    assert result.input_tokens > 0


@PROVIDERS
async def test_single_requests_go_side_by_side_and_leave_no_batch(tmp_path: Path, provider: Any) -> None:
    """They are no batch, and nothing of them is left in the lists."""
    texts = [f"hello {number}" for number in range(20)]
    answers: dict[str, Any] = {}
    async with provider(tmp_path) as api:
        async with api.asking(CHAT) as ask, anyio.create_task_group() as tasks:

            async def asked(text: str) -> None:
                messages = [{"role": "user", "content": text}]
                answers[text] = (await ask(Request(text, {"model": "gpt-5-mini", "messages": messages}))).body

            for text in texts:
                tasks.start_soon(asked, text)
        batches = [batch async for batch in api.batches()]
        files = [file async for file in api.files()]

    told = {text: body["choices"][0]["message"]["content"] for text, body in answers.items()}
    assert told == {text: f"answer to {text}" for text in texts}
    assert (batches, files) == ([], [])


@PROVIDERS
async def test_an_error_is_the_answer_with_its_status(tmp_path: Path, provider: Any) -> None:
    """It is said next to the row, like the error of a line."""
    unknown: Any = "/v1/unknown"
    async with provider(tmp_path) as api, api.asking(unknown) as ask:
        line = await ask(Request("a", {"model": "gpt-5-mini"}))

    assert (line.custom_id, line.status_code, line.error_code) == ("a", 404, None)
    assert line.body["error"]["message"]
