"""The test double of OpenAI's Batch API, as the real client sees it."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI
from openai.types import Batch

from batchwright.core.jsonl import decode_result, encode_request, whole_lines
from batchwright.core.model import Request
from tests.support import openai_server
from tests.support.openai_server import Difference, OpenAIServer
from tests.support.waiting import WAIT_SECONDS, until

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"


@pytest.fixture
async def client(server: OpenAIServer) -> AsyncGenerator[AsyncOpenAI]:
    """Make a client that never repeats a request by itself."""
    async with AsyncOpenAI(base_url=server.url, api_key=server.key, max_retries=0, timeout=WAIT_SECONDS) as client:
        yield client


def chat(*custom_ids: str, **more: Any) -> bytes:
    """Make a batch file."""
    body = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hello"}]} | more
    return b"".join(encode_request(Request(custom_id, body), CHAT) for custom_id in custom_ids)


async def upload(client: AsyncOpenAI, content: bytes = chat("a", "b", "c")) -> str:
    """Upload a batch file and give its id."""
    return (await client.files.create(file=("part.jsonl", content), purpose="batch")).id


async def create(client: AsyncOpenAI, content: bytes = chat("a", "b", "c"), endpoint: Any = CHAT) -> Batch:
    """Upload a batch file and make a batch of it."""
    file_id = await upload(client, content)
    metadata = {"nonce": "n"}
    return await client.batches.create(
        input_file_id=file_id, endpoint=endpoint, completion_window="24h", metadata=metadata
    )


async def results(client: AsyncOpenAI, file_id: str | None) -> dict[str, Any]:
    """Read an output or error file."""
    assert file_id
    content = (await client.files.content(file_id)).content
    return {(line := decode_result(raw)).custom_id: line for raw in whole_lines([content])}


async def test_a_batch_goes_from_upload_to_results(server: OpenAIServer, client: AsyncOpenAI) -> None:
    """Every field that a client reads is there, and each status is passed."""
    batch = await create(client)
    assert (batch.status, batch.metadata, batch.request_counts and batch.request_counts.total) == (
        ("validating", {"nonce": "n"}, 0)
    )

    statuses = [server.step(batch.id)["status"] for _ in range(4)]
    batch = await client.batches.retrieve(batch.id)

    assert statuses == ["in_progress", "finalizing", "completed", "completed"]
    assert batch.request_counts
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (3, 3, 0)
    assert batch.usage
    assert batch.usage.total_tokens == batch.usage.input_tokens + batch.usage.output_tokens > 0
    assert (batch.model, batch.error_file_id) == ("gpt-4.1", None)
    found = await results(client, batch.output_file_id)
    assert found["a"].body["choices"][0]["message"]["content"] == "answer to hello"
    assert (server.uploads, server.batches_created, server.posts) == (1, 1, 1)


async def test_each_look_moves_an_automatic_batch(server: OpenAIServer, client: AsyncOpenAI) -> None:
    """A test of a whole job needs no hand on the server."""
    server.automatic = True
    batch = await create(client)

    assert [(await client.batches.retrieve(batch.id)).status for _ in range(4)] == [
        *("in_progress", "finalizing", "completed", "completed")
    ]


@pytest.mark.parametrize(
    ("endpoint", "body", "path"),
    [
        ("/v1/responses", {"model": "m", "input": "hi"}, ("output", 0, "content", 0, "text")),
        ("/v1/embeddings", {"model": "m", "input": ["hi", "you"]}, ("data", 1, "embedding", 1)),
    ],
)
async def test_answers_have_the_shape_of_their_endpoint(
    server: OpenAIServer, client: AsyncOpenAI, endpoint: str, body: dict[str, Any], path: tuple[Any, ...]
) -> None:
    """The three endpoints put their text and their tokens in different places."""
    batch = await create(client, encode_request(Request("a", body), endpoint), endpoint)
    server.finish(batch.id)

    ended = await client.batches.retrieve(batch.id)
    value = (await results(client, ended.output_file_id))["a"].body
    for key in path:
        value = value[key]

    assert value in {"answer to hi", 3.0}
    assert ended.usage
    assert ended.usage.input_tokens > 0


async def test_output_lines_are_shuffled_the_same_way_each_time(server: OpenAIServer, client: AsyncOpenAI) -> None:
    """The order of the input must never be relied on, and a failure must be repeatable."""
    ids = [f"r{n}" for n in range(50)]
    batch = await create(client, chat(*ids))
    server.finish(batch.id)

    order = list(await results(client, server.batches[batch.id]["output_file_id"]))

    assert order != ids
    assert sorted(order) == sorted(ids)


async def test_refused_lines_are_in_the_error_file_with_no_error(server: OpenAIServer, client: AsyncOpenAI) -> None:
    """The top-level error of a refused line is null; with every line refused there is no output file."""
    server.answer = lambda custom_id, _: (400, {"error": {"message": f"bad {custom_id}"}})
    batch = await create(client)
    server.finish(batch.id)

    ended = await client.batches.retrieve(batch.id)
    found = await results(client, ended.error_file_id)

    assert (ended.status, ended.output_file_id) == ("completed", None)
    assert (found["a"].status_code, found["a"].error_code, found["a"].body["error"]["message"]) == (400, None, "bad a")


@pytest.mark.parametrize(("outcome", "code"), [("expired", "batch_expired"), ("cancelled", "batch_cancelled")])
async def test_a_batch_cut_short_keeps_its_partial_results(
    server: OpenAIServer, client: AsyncOpenAI, outcome: Any, code: str
) -> None:
    """What was answered is paid; what never ran says so in the error file."""
    batch = await create(client)
    server.finish(batch.id, outcome, answered=1)

    ended = await client.batches.retrieve(batch.id)

    assert ended.status == outcome
    assert list(await results(client, ended.output_file_id)) == ["a"]
    never_ran = await results(client, ended.error_file_id)
    assert {key: (line.status_code, line.error_code) for key, line in never_ran.items()} == {
        "b": (None, code),
        "c": (None, code),
    }


async def test_a_bad_later_line_fails_the_batch_after_it_was_made(server: OpenAIServer, client: AsyncOpenAI) -> None:
    """At upload only the first line is looked at."""
    batch = await create(client, chat("a", "a") + b"{\n")
    server.step(batch.id)

    ended = await client.batches.retrieve(batch.id)

    assert ended.status == "failed"
    assert ended.errors
    assert ended.errors.data
    assert [(e.code, e.line) for e in ended.errors.data] == [("duplicate_custom_id", 2), ("invalid_json_line", 3)]


async def test_too_many_enqueued_tokens_fail_a_batch_until_another_ends(
    server: OpenAIServer, client: AsyncOpenAI
) -> None:
    """The limit is learned from the text alone, and what is enqueued counts over all live batches of a model."""
    first, second = await create(client), await create(client)
    server.step(first.id)
    server.enqueued_limit = 150
    server.step(second.id)
    server.finish(first.id)
    third = await create(client)

    error = server.batches[second.id]["errors"]["data"][0]
    assert error["code"] == "token_limit_exceeded"
    assert error["message"] == (
        "Enqueued token limit reached for gpt-4.1 in organization org-X. Limit: 150 enqueued tokens. "
        "Please try again once some in_progress batches have been completed."
    )
    assert server.step(third.id)["status"] == "in_progress"


async def test_cancelling_goes_through_cancelling_and_is_refused_at_the_end(
    server: OpenAIServer, client: AsyncOpenAI
) -> None:
    """A batch that ended cannot be cancelled any more."""
    batch = await create(client)
    assert server.live_batches_of(batch.input_file_id) == [batch.id]
    assert (await client.batches.cancel(batch.id)).status == "cancelling"
    assert server.step(batch.id)["status"] == "cancelled"

    with pytest.raises(openai.ConflictError, match="Cannot cancel a batch with status 'cancelled'"):
        await client.batches.cancel(batch.id)
    assert server.live_batches_of(batch.input_file_id) == []


async def test_a_failed_batch_may_hold_paid_results(server: OpenAIServer, client: AsyncOpenAI) -> None:
    """Both files are read in every end state, and the counts need not add up."""
    batch = await create(client)
    server.finish(batch.id, "failed", answered=2)

    ended = await client.batches.retrieve(batch.id)

    assert (ended.status, ended.errors, ended.error_file_id) == ("failed", None, None)
    assert sorted(await results(client, ended.output_file_id)) == ["a", "b"]


async def test_an_upload_cut_off_makes_no_file(server: OpenAIServer) -> None:
    """A client that dies while it sends leaves nothing behind."""
    host, port = server.url.removeprefix("http://").removesuffix("/v1").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="part.jsonl"\r\n\r\n' + chat("a")
    head = f"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\nContent-Length: 999\r\n"
    writer.write(head.encode() + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + part)
    await writer.drain()

    async def is_cut_off() -> bool:
        return server.cut_off == 1

    writer.close()
    await until(is_cut_off)

    assert (server.uploads, server.files) == (0, {})


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("endpoint", "/v1/none", 400),
        ("completion_window", "48h", 400),
        ("metadata", {"n": 1}, 400),
        ("metadata", {"n": "x" * 513}, 400),
        ("input_file_id", "file-none", 404),
    ],
)
async def test_a_wrong_batch_is_refused_and_not_made(
    server: OpenAIServer, client: AsyncOpenAI, field: str, value: Any, status: int
) -> None:
    """These are the refusals after which nothing needs to be looked for."""
    fields: dict[str, Any] = {"input_file_id": await upload(client), "endpoint": CHAT, "completion_window": "24h"}

    with pytest.raises(openai.APIStatusError) as refusal:
        await client.batches.create(**fields | {field: value})

    assert refusal.value.status_code == status
    assert (server.posts, server.batches_created) == (1, 0)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("part.txt", chat("a"), r"Invalid file format for Batch API. Must be .jsonl"),
        ("part.jsonl", b"not json\n" + chat("a"), "Line 1 is not a dictionary"),
    ],
)
async def test_a_wrong_upload_is_refused(
    server: OpenAIServer, client: AsyncOpenAI, name: str, content: bytes, match: str
) -> None:
    """The name and the first line are looked at."""
    with pytest.raises(openai.BadRequestError, match=match):
        await client.files.create(file=(name, content), purpose="batch")

    assert (server.uploads, server.files) == (0, {})


async def test_a_wrong_key_is_echoed_in_part(server: OpenAIServer) -> None:
    """OpenAI's own error text holds part of the key, so it must not be passed on."""
    client = AsyncOpenAI(base_url=server.url, api_key="sk-wrong-and-secret", max_retries=0)

    with pytest.raises(openai.AuthenticationError, match=r"provided: sk-wrong\*+cret\."):
        await client.batches.retrieve("batch_1")
    await client.close()


async def test_errors_off_the_known_paths_have_openais_shape(server: OpenAIServer, client: AsyncOpenAI) -> None:
    """A client that reads `error.message` finds it everywhere."""
    with pytest.raises(openai.NotFoundError, match=r"Invalid URL \(GET /v1/models\)"):
        await client.models.list()
    for call in (client.files.retrieve, client.files.delete, client.files.content, client.batches.retrieve):
        with pytest.raises(openai.NotFoundError, match="none"):
            await call("none")

    assert server.requests["DELETE /v1/files/none"] == 1


async def test_pages_hold_everything_once_newest_first(server: OpenAIServer, client: AsyncOpenAI) -> None:
    """A batch on a later page must be found."""
    made = [(await create(client)).id for _ in range(5)]

    first = await client.batches.list(limit=2)
    listed = [batch.id async for batch in client.batches.list(limit=2)]
    files = [file.id async for file in client.files.list(limit=2, purpose="batch", order="asc")]

    assert (first.has_more, len(first.data)) == (True, 2)
    assert listed == made[::-1]
    assert files == list(server.files)


@pytest.mark.parametrize("limit", [0, 101])
async def test_a_page_of_batches_has_1_to_100(client: AsyncOpenAI, limit: int) -> None:
    """OpenAI's bounds."""
    with pytest.raises(openai.BadRequestError, match="1 to 100"):
        await client.batches.list(limit=limit)


async def test_a_deleted_file_is_gone_but_its_running_batch_goes_on(server: OpenAIServer, client: AsyncOpenAI) -> None:
    """After validation the input file is no longer needed; before, its batch fails."""
    batch, unseen = await create(client), await create(client)
    server.step(batch.id)
    for file_id in (batch.input_file_id, unseen.input_file_id):
        assert (await client.files.delete(file_id)).deleted

    assert server.finish(batch.id)["request_counts"]["completed"] == 3
    assert server.step(unseen.id)["status"] == "failed"
    assert server.deletes == 2


@pytest.mark.parametrize("when", ["_before", "_after_creation"])
@pytest.mark.parametrize(
    ("kind", "status", "retry_after"),
    [
        *((name, int(name), None) for name in ("408", "409", "429", "500")),
        *(("429_retry_after", 429, "120"), ("insufficient_quota", 429, None), ("html_502", 502, None)),
    ],
)
async def test_a_broken_answer_says_nothing_about_the_batch(
    server: OpenAIServer, client: AsyncOpenAI, when: str, kind: str, status: int, retry_after: str | None
) -> None:
    """The same error comes with and without a batch; only the list tells."""
    server.faults.add("batches.create", kind + when)

    with pytest.raises(openai.APIStatusError) as broken:
        await create(client)

    assert (broken.value.status_code, broken.value.response.headers.get("Retry-After")) == (status, retry_after)
    assert (server.posts, server.faults.waiting) == (1, [])
    assert len((await client.batches.list()).data) == server.batches_created == (when == "_after_creation")


@pytest.mark.parametrize(("name", "created"), [("lost_before", 0), ("lost_after_creation", 1)])
async def test_a_lost_answer_says_nothing_about_the_batch(
    server: OpenAIServer, client: AsyncOpenAI, name: str, created: int
) -> None:
    """The connection closes in the same way."""
    server.faults.add("batches.create", name)

    with pytest.raises(openai.APIConnectionError):
        await create(client)

    assert (server.posts, server.batches_created, len((await client.batches.list()).data)) == (1, created, created)


async def test_the_clients_own_retries_make_two_batches(server: OpenAIServer) -> None:
    """It is for this danger that the double exists."""
    server.faults.add("batches.create", "lost_after_creation")
    async with AsyncOpenAI(base_url=server.url, api_key=server.key) as client:
        batch = await create(client)

    assert (server.posts, server.batches_created) == (2, 2)
    assert len(server.live_batches_of(batch.input_file_id)) == 2


async def test_a_followed_redirect_is_a_second_post(server: OpenAIServer, client: AsyncOpenAI) -> None:
    """The SDK follows redirects unless it is told not to."""
    server.faults.add("batches.create", "redirect_307")

    await create(client)

    assert (server.posts, server.batches_created) == (2, 1)


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_a_late_creation_happens_when_it_appears_if_its_file_is_there(
    server: OpenAIServer, client: AsyncOpenAI, *, is_deleted: bool
) -> None:
    """Deleting the input file is what makes sending again safe."""
    server.faults.add("batches.create", "late_creation")
    with pytest.raises(openai.APIConnectionError):
        await create(client)
    assert (await client.batches.list()).data == []

    if is_deleted:
        await client.files.delete(next(iter(server.files)))
    server.appear()

    assert len((await client.batches.list()).data) == server.batches_created == (not is_deleted)


async def test_a_lagging_list_does_not_show_a_batch_that_exists(server: OpenAIServer, client: AsyncOpenAI) -> None:
    """An empty list proves nothing; here the answer is lost too."""
    server.faults.add("batches.create", "list_lag")
    server.faults.add("batches.create", "lost_after_creation")
    with pytest.raises(openai.APIConnectionError):
        await create(client)
    before = (await client.batches.list()).data
    server.appear()

    assert (before, len((await client.batches.list()).data)) == ([], 1)


async def test_a_held_request_waits_for_the_test(server: OpenAIServer, client: AsyncOpenAI) -> None:
    """A process can be killed while its POST is in flight."""
    server.faults.add("batches.create", "held_after_creation")
    call = asyncio.create_task(create(client))
    async with asyncio.timeout(WAIT_SECONDS):
        await server.holding.wait()
    assert (server.batches_created, call.done()) == (1, False)
    server.release()

    assert (await call).id in server.batches
    assert not server.holding.is_set()


async def test_a_request_takes_effect_after_its_client_is_gone(server: OpenAIServer, client: AsyncOpenAI) -> None:
    """What was sent cannot be called back: a batch may come into being when nobody waits for it."""
    server.faults.add("batches.create", "held")
    call = asyncio.create_task(create(client))
    async with asyncio.timeout(WAIT_SECONDS):
        await server.holding.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert server.batches_created == 0
    server.release()

    async def is_made() -> bool:
        return server.batches_created == 1

    await until(is_made)


async def test_gets_fail_as_often_as_told(server: OpenAIServer, client: AsyncOpenAI) -> None:
    """A retry that works must be told from one that never comes."""
    batch = await create(client)
    server.faults.add("GET", "500", times=2)
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            await client.batches.retrieve(batch.id)

    assert (await client.batches.retrieve(batch.id)).id == batch.id


@pytest.mark.parametrize(
    ("name", "is_noticed"),
    [("short_body", True), ("cut_chunk", True), ("truncated", False), ("cut_line", False), ("cut_gzip", False)],
)
async def test_a_damaged_download_is_short_and_the_next_one_whole(
    server: OpenAIServer, client: AsyncOpenAI, *, name: str, is_noticed: bool
) -> None:
    """Some damages no HTTP client can notice; that the file is whole has to be checked."""
    batch = server.finish((await create(client, chat(*map(str, range(200))))).id)
    file = await client.files.retrieve(batch["output_file_id"])
    server.faults.add("files.content", name)
    key = {"Authorization": f"Bearer {server.key}"}
    content = b""
    noticed = False
    async with aiohttp.ClientSession(headers=key) as session, session.get(f"{server.url}/files/{file.id}/content") as r:
        try:
            async for chunk in r.content.iter_any():
                content += chunk
        except aiohttp.ClientError:
            noticed = True
    again = (await client.files.content(file.id)).content

    assert (noticed, len(content) < file.bytes, len(again)) == (is_noticed, True, file.bytes)
    assert server.bytes_downloaded == file.bytes


@pytest.mark.parametrize(
    ("difference", "name", "value"),
    [
        ("capital_statuses", "status", "COMPLETED"),
        ("null_counts", "request_counts", None),
        ("empty_output_file_id", "output_file_id", ""),
    ],
)
async def test_other_services_write_batches_differently(
    server: OpenAIServer, client: AsyncOpenAI, difference: Difference, name: str, value: Any
) -> None:
    """The client passes all of it through."""
    server.differences.add(difference)
    server.answer = lambda custom_id, body: (400, {})
    batch = await create(client)
    server.finish(batch.id)

    assert getattr(await client.batches.retrieve(batch.id), name) == value


async def test_errors_may_be_a_string(server: OpenAIServer, client: AsyncOpenAI) -> None:
    """One service gives text in place of a list."""
    server.differences.add("errors_as_string")
    batch = await create(client, b"")
    server.step(batch.id)

    assert str((await client.batches.retrieve(batch.id)).errors).startswith("The input file is empty.")


async def test_an_unknown_status_is_seen_once(server: OpenAIServer, client: AsyncOpenAI) -> None:
    """A new status is not an end."""
    server.faults.add("batches.retrieve", "unknown_status")
    batch = await create(client)

    assert [(await client.batches.retrieve(batch.id)).status for _ in range(2)] == ["preparing_output", "validating"]


async def test_output_files_may_have_a_bom_blank_lines_and_string_bodies(
    server: OpenAIServer, client: AsyncOpenAI
) -> None:
    """All three have been seen; a reader must cope."""
    server.differences |= {"bom_and_blank_lines", "string_bodies"}
    output_file_id = server.finish((await create(client)).id)["output_file_id"]

    content = (await client.files.content(output_file_id)).content

    assert content.startswith(b"\xef\xbb\xbf\n")
    assert b"\n\n" in content
    assert isinstance(json.loads(content.splitlines()[1])["response"]["body"], str)
    assert sorted(await results(client, output_file_id)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("operation", "name"), [("batches.get", "500"), ("files.create", "list_lag"), ("batches.create", "501")]
)
def test_a_fault_that_can_never_happen_is_an_error(operation: str, name: str) -> None:
    """A misspelt fault would make a test pass for nothing."""
    with pytest.raises(ValueError, match=name):
        openai_server.Faults().add(operation, name)


async def test_a_server_of_its_own_process_outlives_a_client(tmp_path: Path) -> None:
    """A client that was killed meets the same batches again."""
    port_file = tmp_path / "port"
    arguments = ("--port-file", port_file, "--state", tmp_path, "--fault", "batches.create:lost_after_creation")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", openai_server.__name__), *arguments, cwd=Path(__file__).parents[2]
    )

    async def port() -> str | None:
        return port_file.read_text() if port_file.exists() else None

    try:
        root = f"http://127.0.0.1:{await until(port)}"
        key = OpenAIServer(tmp_path).key
        async with AsyncOpenAI(base_url=f"{root}/v1", api_key=key, max_retries=0) as client:
            with pytest.raises(openai.APIConnectionError):
                await create(client)
        async with AsyncOpenAI(base_url=f"{root}/v1", api_key=key) as client, aiohttp.ClientSession() as session:
            (found,) = (await client.batches.list()).data
            ending = {"batch_id": found.id, "outcome": "expired", "answered": 2}
            async with session.post(f"{root}/control/finish", json=ending) as response:
                seen = await response.json()
            ended = await client.batches.retrieve(found.id)
    finally:
        process.terminate()
        async with asyncio.timeout(WAIT_SECONDS):
            await process.wait()

    assert (ended.status, seen["posts"], seen["batches_created"]) == ("expired", 1, 1)


async def test_single_requests_are_answered_at_once(client: AsyncOpenAI) -> None:
    """The same answers as in a batch, without one."""
    messages: Any = [{"role": "user", "content": "hello"}]
    chat = await client.chat.completions.create(model="gpt-4.1", messages=messages)
    response = await client.responses.create(model="gpt-4.1", input="hello")
    vectors = await client.embeddings.create(model="text-embedding-3-small", input=["a", "bc"], encoding_format="float")

    assert chat.choices[0].message.content == "answer to hello"
    assert chat.usage is not None
    assert chat.usage.completion_tokens > 0
    assert response.output_text == "answer to hello"
    assert [item.embedding for item in vectors.data] == [[0.5, 1.0], [0.5, 2.0]]


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({}, 400, None, None),
        ({"model": "gpt-5"}, 400, "missing_required_parameter", "messages"),
        ({"model": "unknown", "messages": []}, 404, "model_not_found", None),
        ({"model": "gpt-5", "messages": [], "max_tokens": 5}, 400, "unsupported_parameter", "max_tokens"),
        ({"model": "gpt-5", "messages": [], "temperature": 0}, 400, "unsupported_value", "temperature"),
        ({"model": "gpt-4.1", "messages": [], "max_tokens": "5"}, 400, "invalid_type", "max_tokens"),
        ({"model": "gpt-4.1", "messages": [], "bogus": 1}, 400, "unknown_parameter", "bogus"),
    ],
)
async def test_a_single_request_that_openai_refuses_is_refused(
    server: OpenAIServer, client: AsyncOpenAI, body: Any, status: int, code: str | None, param: str | None
) -> None:
    """A double that takes everything proves nothing."""
    server.models = frozenset({"gpt-5", "gpt-4.1"})
    with pytest.raises(openai.APIStatusError) as refused:
        await client.post("/chat/completions", cast_to=object, body=body)

    assert (refused.value.status_code, refused.value.code, refused.value.param) == (status, code, param)
    assert server.asked == []
