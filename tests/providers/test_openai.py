"""OpenAI's API under every fault that the test server has: what a call has done is told apart, and done once."""

import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
from aiohttp import web

from batchwright.core import files
from batchwright.core.bounds import ReadLimits
from batchwright.core.errors import (
    ProviderError,
    ProviderGone,
    ProviderNotNow,
    ProviderRefused,
    ProviderUnclear,
    ProviderUnreachable,
)
from batchwright.core.jsonl import decode_result
from batchwright.core.model import Request
from batchwright.providers.openai import OpenAIAPI
from batchwright.providers.services import Service, service_of
from tests.contract.test_batch_api import CHAT, batch_file, ended, made
from tests.support.loopback import on_loopback
from tests.support.openai_server import OpenAIServer, running_openai

if TYPE_CHECKING:
    from openai.types import Batch

pytestmark = pytest.mark.anyio

KEY = "sk-canary-0123456789abcdef"
CANARY = "Zx9-the-text-of-a-row"


@asynccontextmanager
async def service(tmp_path: Path, *, automatic: bool = False) -> AsyncGenerator[tuple[OpenAIServer, OpenAIAPI]]:
    """Open OpenAI's API over the test server."""
    async with (
        running_openai(automatic=automatic, state=tmp_path / "state") as server,
        OpenAIAPI.opened(key=server.key, base_url=server.url) as api,
    ):
        yield server, api


@asynccontextmanager
async def serving(*routes: web.RouteDef, like: Service | None = None) -> AsyncGenerator[OpenAIAPI]:
    """Open the API over a server that has these routes and no others."""
    from openai import AsyncOpenAI

    app = web.Application()
    app.add_routes(routes)
    async with on_loopback(app) as url:
        if like is None:
            async with OpenAIAPI.opened(key=KEY, base_url=url) as api:
                yield api
        else:
            async with AsyncOpenAI(api_key=KEY, base_url=url, max_retries=0) as client:
                yield OpenAIAPI(client, like, model=None, charges="unknown", key_print="", bounds=ReadLimits())


def always(answer: object, status: int = 200, **headers: str) -> Any:
    """Give a handler that answers every request alike."""

    async def handler(_request: web.Request) -> web.Response:
        return web.json_response(answer, status=status, headers=headers)

    return handler


def refusal(message: str, code: str | None = None) -> dict[str, Any]:
    """Give an error in OpenAI's shape."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def listed(*ids: str, **fields: object) -> dict[str, Any]:
    """Give a page of a list of batches."""
    return {"object": "list", "data": [{"id": name, "object": "batch", "status": "completed"} for name in ids]} | fields


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
        ("429_retry_after", ProviderNotNow, 0),
        ("insufficient_quota", ProviderRefused, 0),
    ],
)
async def test_a_batch_is_asked_for_once_whatever_comes_back(
    tmp_path: Path, fault: str, raised: type[ProviderError], batches: int | None
) -> None:
    """The SDK alone would send it three times, and each may be paid for."""
    async with service(tmp_path) as (server, api):
        file = await api.upload(batch_file(tmp_path, "a"), name="part.jsonl")
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


async def test_a_quota_that_is_used_up_is_no_matter_of_waiting(tmp_path: Path) -> None:
    """It comes with the status of a rate limit, but only money helps."""
    async with service(tmp_path) as (server, api):
        server.faults.add("batches.create", "insufficient_quota")
        with pytest.raises(ProviderRefused, match="used up its quota; nothing was sent again"):
            await api.create_batch(input_file_id="file-a", endpoint=CHAT, metadata={})


@pytest.mark.parametrize("call", ["batch", "batches", "files", "download", "delete", "upload", "cancel"])
async def test_a_service_that_asks_to_wait_two_minutes_holds_up_no_call(tmp_path: Path, call: str) -> None:
    """The SDK alone would sleep for as long as it is told, several times over, while the assistant waits."""
    async with service(tmp_path) as (server, api):
        for operation in ("files.create", "files.delete", "batches.cancel", "GET"):
            server.faults.add(operation, "429_retry_after", times=9)
        with anyio.fail_after(20), pytest.raises(ProviderNotNow) as caught:
            await done(api, call, tmp_path)

    assert caught.value.after_seconds == 120
    assert server.requests.total() == 1


async def done(api: OpenAIAPI, call: str, tmp_path: Path) -> None:
    """Make a call of a name."""
    match call:
        case "batch":
            await api.batch("batch_a")
        case "batches":
            _ = [batch async for batch in api.batches()]
        case "files":
            _ = [file async for file in api.files()]
        case "download":
            await api.download("file-a", tmp_path / "out.jsonl")
        case "delete":
            await api.delete_file("file-a")
        case "cancel":
            await api.cancel_batch("batch_a")
        case _:
            await api.upload(batch_file(tmp_path, "a"), name="part.jsonl")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": "Sun, 06 Nov 1994 08:48:37 GMT"}, 60.0),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({}, None),
    ],
)
async def test_how_long_to_wait_is_what_the_provider_says(header: dict[str, str], seconds: float | None) -> None:
    """Seconds or a date, by the provider's own clock; what makes no sense is not said."""
    route = web.get("/batches/b", always(refusal("Slow down."), 429, **header))
    async with serving(route) as api:
        with pytest.raises(ProviderNotNow, match=r"Slow down\.") as caught:
            await api.batch("b")

    assert caught.value.after_seconds == seconds


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_refused_is_a_no_for_now(status: int) -> None:
    """The user can correct the key, and nothing of the job is given up."""
    async with serving(web.post("/batches", always(refusal("Not allowed."), status))) as api:
        with pytest.raises(ProviderNotNow) as caught:
            await api.create_batch(input_file_id="file-a", endpoint=CHAT, metadata={})

    assert caught.value.after_seconds is None


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        *(("batch", fault) for fault in ("lost", "408", "500", "503", "html_502", "redirect_307")),
        ("batches", "lost"),
        ("files", "lost"),
    ],
)
async def test_what_only_reads_is_asked_for_once_more(tmp_path: Path, call: str, fault: str) -> None:
    """A connection that the other side has closed is no reason to fail a user's call; a service that is down is."""
    async with service(tmp_path) as (server, api):
        batch = await made(api, batch_file(tmp_path, "a"))
        server.requests.clear()
        server.faults.add("GET", fault)
        seen = {
            "batch": [await api.batch(batch.id)] if call == "batch" else [],
            "batches": [found async for found in api.batches()] if call == "batches" else [],
            "files": [found async for found in api.files()] if call == "files" else [],
        }
        asked = server.requests.total()
        server.faults.add("GET", fault, times=9)
        with pytest.raises(ProviderUnclear):
            await done(api, call, tmp_path)

    assert len(seen[call]) == 1
    assert asked == 2
    assert server.requests.total() == 4


async def test_an_upload_is_not_repeated(tmp_path: Path) -> None:
    """It may be 200 MB; whoever asked for it decides."""
    async with service(tmp_path) as (server, api):
        server.faults.add("files.create", "500", times=9)
        with pytest.raises(ProviderUnclear):
            await api.upload(batch_file(tmp_path, "a"), name="part.jsonl")

    assert server.requests.total() == 1


async def test_a_deletion_whose_answer_was_lost_is_done(tmp_path: Path) -> None:
    """Asked once more, the provider says that there is no such file."""
    async with service(tmp_path) as (server, api):
        file = await api.upload(batch_file(tmp_path, "a"), name="part.jsonl")
        server.faults.add("files.delete", "lost_after_creation")
        await api.delete_file(file.id)

    assert server.files == {}


async def test_a_web_page_is_no_answer() -> None:
    """A sign-in page comes with status 200; what became of a batch behind it is not known."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<html>Sign in</html>", content_type="text/html")

    async with serving(web.get("/{path:.*}", page), web.post("/{path:.*}", page)) as api:
        for call in (api.batch("b"), api.create_batch(input_file_id="f", endpoint=CHAT, metadata={})):
            with pytest.raises(ProviderUnclear, match="Check that the base URL"):
                await call
        with pytest.raises(ProviderUnclear):
            _ = [batch async for batch in api.batches()]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"error": "The file is odd."}, "The file is odd."),
        ({"detail": "The file is odd."}, "The file is odd."),
        ({"code": 20012, "message": "The file is odd.", "data": None}, "The file is odd."),
    ],
)
async def test_a_refusal_may_have_any_of_the_usual_shapes(answer: dict[str, Any], said: str) -> None:
    """A refusal that is not understood leaves a batch unknown, and the user with a question."""
    async with serving(web.post("/batches", always(answer, 400))) as api:
        with pytest.raises(ProviderRefused) as caught:
            await api.create_batch(input_file_id="file-a", endpoint=CHAT, metadata={})

    assert str(caught.value) == said


@pytest.mark.parametrize("answer", [refusal("Invalid URL (GET /batches/b)"), {"detail": "Not Found"}])
async def test_an_address_that_is_wrong_does_not_mean_that_a_batch_is_gone(answer: dict[str, Any]) -> None:
    """A job whose batch is gone is given up; one whose base URL was changed continues when that is corrected."""
    async with serving(web.get("/batches/b", always(answer, 404))) as api:
        with pytest.raises(ProviderRefused, match="Check the base URL") as caught:
            await api.batch("b")

    assert type(caught.value) is ProviderRefused


@pytest.mark.parametrize("code", ["invalid_api_key", None])
@pytest.mark.parametrize(
    "echo", [KEY, KEY[:11], "sk-cana****cdef", "sk-ca...cdef", "*****cdef", "sk-proj-another_one-0123"]
)
async def test_an_error_shows_no_key(echo: str, code: str | None) -> None:
    """Providers echo a part of it, also where it is right; an error goes to the assistant, the journal and the log."""
    route = web.get("/batches/b", always(refusal(f"Incorrect API key provided: {echo}", code), 401))
    async with serving(route) as api:
        with pytest.raises(ProviderNotNow) as caught:
            await api.batch("b")
        shown = f"{caught.value!r} {caught.value} {api!r} {vars(api)!r}"

    assert not [part for part in ("sk-", "cana", "cdef", "another_one") if part in shown]
    assert code or "Incorrect API key provided: [key]" in shown


async def test_words_that_only_end_like_a_key_begins_are_shown() -> None:
    """An error without its words helps nobody."""
    said = "The task-completion_window of risk-assessments is too short."
    async with serving(web.get("/batches/b", always(refusal(said), 400))) as api:
        with pytest.raises(ProviderRefused) as caught:
            await api.batch("b")

    assert str(caught.value) == said


LOGGED = """
import logging, sys
from pathlib import Path
import anyio

# As the server does: its log is set up before the SDK is imported.
logging.basicConfig(level="DEBUG", stream=sys.stderr)
from batchwright.core.errors import ProviderError
from batchwright.providers.openai import OpenAIAPI

async def main(url, key, path):
    async with OpenAIAPI.opened(key=key, base_url=url) as api:
        file = await api.upload(Path(path), name="part.jsonl")
        batch = await api.create_batch(input_file_id=file.id, endpoint="/v1/chat/completions", metadata={})
        for _ in range(4):
            batch = await api.batch(batch.id)
        await api.download(batch.output_file_id, Path(path + ".out"))
    async with OpenAIAPI.opened(key=key + "-wrong", base_url=url) as api:
        try:
            await api.batch(batch.id)
        except ProviderError as error:
            logging.getLogger("test").warning("refused: %s", error)

anyio.run(main, *sys.argv[1:])
"""


@pytest.mark.slow
async def test_no_log_level_brings_a_key_or_a_row_to_the_log(tmp_path: Path) -> None:
    """Whoever looks for a fault sets them, and shares what he sees."""
    path = tmp_path / "in.jsonl"
    path.write_text(batch_file(tmp_path, "a").read_text(encoding="utf-8").replace("hello", CANARY), encoding="utf-8")
    async with running_openai(automatic=True, state=tmp_path / "state") as server:
        ran = await anyio.to_thread.run_sync(
            lambda: subprocess.run(
                [sys.executable, "-c", LOGGED, server.url, server.key, str(path)],
                env={**os.environ, "OPENAI_LOG": "debug", "BATCHWRIGHT_LOG_LEVEL": "DEBUG"},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        )

    assert ran.returncode == 0, ran.stderr
    assert CANARY in Path(f"{path}.out").read_text(encoding="utf-8")
    assert "DEBUG:asyncio" in ran.stderr
    assert "refused: The API key is not valid" in ran.stderr
    assert not [secret for secret in (server.key, server.key[-8:], CANARY, "127.0.0.1") if secret in ran.stderr]


@pytest.mark.parametrize("fault", ["short_body", "cut_chunk", "truncated", "cut_line", "cut_gzip"])
async def test_a_download_that_is_not_whole_is_no_download(tmp_path: Path, fault: str) -> None:
    """A file that lacks its last rows looks like one that has them all."""
    async with service(tmp_path, automatic=True) as (server, api):
        batch = await ended(api, (await made(api, batch_file(tmp_path, "a", "b", "c"))).id)
        server.faults.add("files.content", fault)
        with pytest.raises(ProviderError):
            await api.download(batch.output_file_id or "", tmp_path / "out.jsonl")
        await api.download(batch.output_file_id or "", tmp_path / "out.jsonl")

    assert len((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.parametrize("status", [404, 405])
async def test_a_service_that_knows_only_the_content_of_a_file_gives_that(tmp_path: Path, status: int) -> None:
    """Then there is no size to compare with; the lines are checked one by one anyway."""
    no_metadata = web.get("/files/f", always({"detail": "Not here"}, status))
    async with serving(no_metadata, web.get("/files/f/content", always({"custom_id": "a"}))) as api:
        await api.download("f", tmp_path / "out.jsonl")

    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == '{"custom_id": "a"}'


async def test_a_file_whose_content_is_gone_is_gone(tmp_path: Path) -> None:
    """A job must not ask for it for ever."""
    gone = always(refusal("No such File object: f"), 404)
    async with serving(web.get("/files/f", gone), web.get("/files/f/content", gone)) as api:
        with pytest.raises(ProviderGone):
            await api.download("f", tmp_path / "out.jsonl")


async def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    """Azure has an error file without a byte for every batch that went well."""
    async with service(tmp_path, automatic=True) as (server, api):
        server.differences.add("empty_error_file")
        batch = await ended(api, (await made(api, batch_file(tmp_path, "a"))).id)
        await api.download(batch.error_file_id or "", tmp_path / "errors.jsonl")

    assert (tmp_path / "errors.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    "difference",
    [
        None,
        "capital_statuses",
        "null_counts",
        "empty_output_file_id",
        "empty_error_file",
        "string_bodies",
        "bom_and_blank_lines",
    ],
)
@pytest.mark.parametrize("refused", [frozenset[str](), frozenset({"b"}), frozenset({"a", "b", "c"})], ids=len)
async def test_the_lines_of_any_service_are_read_alike(
    tmp_path: Path, difference: Any, refused: frozenset[str]
) -> None:
    """Compatible services agree on the shape, and not on its details."""
    async with service(tmp_path, automatic=True) as (server, api):
        server.answer = lambda name, _body: (400, refusal("Too long.")) if name in refused else "yes"
        if difference:
            server.differences.add(difference)
        batch = await ended(api, (await made(api, batch_file(tmp_path, "a", "b", "c"))).id)
        results = [result async for result in downloaded(api, batch, tmp_path)]

    assert batch.status == "completed"
    assert batch.output_file_id != ""
    assert {result.custom_id: result.status_code for result in results} == {
        name: 400 if name in refused else 200 for name in "abc"
    }
    assert {next(iter(result.body)) for result in results if result.custom_id in refused} <= {"error"}
    assert all(result.body["choices"] for result in results if result.custom_id not in refused)


async def downloaded(api: OpenAIAPI, batch: "Batch", tmp_path: Path) -> AsyncGenerator[Any]:
    """Give the results in both files of a batch."""
    for number, file_id in enumerate(name for name in (batch.output_file_id, batch.error_file_id) if name):
        await api.download(file_id, path := tmp_path / f"{number}.jsonl")
        for line in files.lines(path):
            yield decode_result(line)


async def test_errors_that_are_a_text_are_errors(tmp_path: Path) -> None:
    """One service writes what is wrong with a batch as a sentence."""
    async with service(tmp_path, automatic=True) as (server, api):
        server.differences.add("errors_as_string")
        batch = await ended(api, (await made(api, batch_file(tmp_path, "a", "a"))).id)

    assert batch.errors is not None
    assert [bool(error.message) for error in batch.errors.data or ()] == [True]


async def test_a_status_never_heard_of_is_shown_as_it_is(tmp_path: Path) -> None:
    """It is not final, so the batch is looked at again."""
    async with service(tmp_path, automatic=True) as (server, api):
        made_batch = await made(api, batch_file(tmp_path, "a"))
        server.faults.add("batches.retrieve", "unknown_status")
        first = await api.batch(made_batch.id)
        last = await ended(api, made_batch.id)

    assert [first.status, last.status] == ["preparing_output", "completed"]


@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("name", ["files", "batches"])
async def test_a_service_without_a_list_says_so(name: str, status: int) -> None:
    """It is neither a fault of the line, nor is anything gone."""
    async with serving(web.get(f"/{name}", always({"detail": "Not Found"}, status))) as api:
        with pytest.raises(ProviderRefused, match=f"cannot list its {name}") as caught:
            await done(api, name, Path())

    assert type(caught.value) is ProviderRefused


async def many_batches(server: OpenAIServer, api: OpenAIAPI, tmp_path: Path, count: int) -> list[str]:
    """Put batches of one file into the test server, and return their ids, oldest first."""
    file = await api.upload(batch_file(tmp_path, "a"), name="part.jsonl")
    fields = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h", "metadata": None}
    return [server.create_batch(dict(fields))["id"] for _ in range(count)]


async def test_a_list_is_read_to_its_end(tmp_path: Path) -> None:
    """The batch that is looked for may be on the last page."""
    async with service(tmp_path) as (server, api):
        created = await many_batches(server, api, tmp_path, 201)
        seen = [batch.id async for batch in api.batches()]

    assert seen == created[::-1]
    assert server.requests["GET /v1/batches"] == 3


@pytest.mark.parametrize("more", [{"has_more": True}, {}])
async def test_a_service_that_gives_the_same_page_for_ever_is_asked_twice(more: dict[str, bool]) -> None:
    """Some do not page, and ignore what they do not know."""
    asked: list[str] = []

    async def same_page(request: web.Request) -> web.Response:
        asked.append(request.query.get("after", ""))
        return web.json_response(listed("b2", "b1", **more))

    async with serving(web.get("/batches", same_page)) as api:
        with anyio.fail_after(20):
            seen = [batch.id async for batch in api.batches()]

    assert seen == ["b2", "b1"]
    assert asked == ["", "b1"]


async def test_a_list_that_goes_on_by_a_cursor_is_read_to_its_end() -> None:
    """Groq marks the next page so, and ignores `after`."""
    pages = {"": ("b3", "two"), "two": ("b2", "three"), "three": ("b1", None)}

    async def page(request: web.Request) -> web.Response:
        name, cursor = pages[request.query.get("cursor", "")]
        return web.json_response(listed(name, paging={"next_cursor": cursor}))

    async with serving(web.get("/batches", page)) as api:
        with anyio.fail_after(20):
            seen = [batch.id async for batch in api.batches()]

    assert seen == ["b3", "b2", "b1"]


async def test_who_has_found_what_he_looks_for_reads_no_further(tmp_path: Path) -> None:
    """An account may have many thousand batches."""
    async with service(tmp_path) as (server, api):
        created = await many_batches(server, api, tmp_path, 250)
        found = [batch.id async for batch in first(api, 100)]

    assert found == created[:149:-1]
    assert server.requests["GET /v1/batches"] == 1


async def first(api: OpenAIAPI, count: int) -> "AsyncGenerator[Batch]":
    """Give the first batches of a list, and leave the rest."""
    async for batch in api.batches():
        yield batch
        count -= 1
        if not count:
            return


async def test_an_error_on_a_later_page_is_told_apart() -> None:
    """What was not seen must not be taken for what does not exist."""

    async def page(request: web.Request) -> web.Response:
        broken = "after" in request.query
        return web.json_response({} if broken else listed("b1", has_more=True), status=500 if broken else 200)

    async with serving(web.get("/batches", page)) as api:
        batches = api.batches()
        first_id = (await anext(batches)).id
        with pytest.raises(ProviderUnclear):
            await anext(batches)

    assert first_id == "b1"


AZURE = service_of("https://res.openai.azure.com/openai/v1/")


@pytest.mark.parametrize(
    ("endpoint", "sent"),
    [(CHAT, "/chat/completions"), ("/v1/responses", "/chat/completions"), ("/v1/embeddings", "/v1/embeddings")],
)
async def test_a_new_batch_at_azure_names_the_endpoint_as_azure_does(endpoint: str, sent: str) -> None:
    """Its guide wants another name here than in the lines."""
    posted: list[dict[str, Any]] = []
    async with serving(taking(posted), file_with("processed"), like=AZURE) as api:
        batch = await api.create_batch(input_file_id="f", endpoint=endpoint, metadata={"n": "1"})

    assert batch.status == "validating"
    assert posted == [{"completion_window": "24h", "endpoint": sent, "input_file_id": "f", "metadata": {"n": "1"}}]


@pytest.mark.parametrize("status", ["pending", "running"])
async def test_a_file_that_azure_is_still_reading_is_waited_for(status: str) -> None:
    """A batch of it would be refused for good."""
    posted: list[dict[str, Any]] = []
    async with serving(taking(posted), file_with(status), like=AZURE) as api:
        with pytest.raises(ProviderNotNow, match="still reading"):
            await api.create_batch(input_file_id="f", endpoint=CHAT, metadata={})

    assert posted == []


async def test_a_batch_that_was_not_asked_for_since_its_file_was_not_seen_was_not_sent() -> None:
    """It may be asked for again: no batch can have come of it."""
    posted: list[dict[str, Any]] = []
    async with serving(taking(posted), web.get("/files/f", always({}, 500)), like=AZURE) as api:
        with pytest.raises(ProviderUnreachable, match="nothing was sent"):
            await api.create_batch(input_file_id="f", endpoint=CHAT, metadata={})

    assert posted == []


async def test_a_service_gets_the_window_that_it_has() -> None:
    """One that is not on offer is refused."""
    posted: list[dict[str, Any]] = []
    async with serving(taking(posted), like=service_of("https://api.novita.ai/openai/v1")) as api:
        await api.create_batch(input_file_id="f", endpoint=CHAT, metadata={})

    assert [body["completion_window"] for body in posted] == ["48h"]


def taking(posted: list[dict[str, Any]]) -> web.RouteDef:
    """Give a route that makes batches, and keeps what it was asked for."""

    async def create(request: web.Request) -> web.Response:
        posted.append(await request.json())
        return web.json_response({"id": "b", "object": "batch", "status": "Validating"}, status=201)

    return web.post("/batches", create)


def file_with(status: str) -> web.RouteDef:
    """Give a route to a file with a status."""
    return web.get("/files/f", always({"id": "f", "object": "file", "bytes": 1, "status": status}))


async def test_a_file_in_an_envelope_is_taken_out(tmp_path: Path) -> None:
    """SiliconFlow answers an upload so."""
    file = {"id": "file-a", "object": "file", "bytes": 7, "createdAt": 1741685396, "filename": "part.jsonl"}
    envelope = {"code": 20000, "message": "Ok", "status": True, "data": file}
    async with serving(web.post("/files", always(envelope))) as api:
        uploaded = await api.upload(batch_file(tmp_path, "a"), name="part.jsonl")

    assert (uploaded.id, uploaded.bytes, uploaded.created_at) == ("file-a", 7, 1741685396)


async def test_an_upload_that_names_no_file_is_not_known_to_be_one(tmp_path: Path) -> None:
    """A batch of no file could not be made."""
    async with serving(web.post("/files", always({"object": "file"}))) as api:
        with pytest.raises(ProviderUnclear, match="names no id"):
            await api.upload(batch_file(tmp_path, "a"), name="part.jsonl")


ASKED = Request("a", {"model": "gpt-5-mini", "messages": [{"role": "user", "content": CANARY}]})


@pytest.mark.parametrize(
    ("fault", "status"),
    [("408", 408), ("409", 409), ("429_retry_after", 429), ("insufficient_quota", 429), ("500", 500), ("503", 503)],
)
async def test_a_single_request_is_sent_once_and_an_error_is_its_answer(
    tmp_path: Path, fault: str, status: int
) -> None:
    """The SDK alone would send it three times, and wait in between as long as it is told to."""
    async with service(tmp_path) as (server, api), api.asking(CHAT) as ask:
        server.faults.add("chat.completions.create", fault)
        line = await ask(ASKED)

    assert (line.status_code, bool(line.body["error"]["message"])) == (status, True)
    assert server.requests["POST /v1/chat/completions"] == 1


@pytest.mark.parametrize("fault", ["lost", "lost_after_creation", "cut_answer", "html_502", "redirect_307"])
async def test_a_single_request_without_a_whole_answer_is_not_known(tmp_path: Path, fault: str) -> None:
    """It may be charged, so it counts; it is sent once all the same."""
    async with service(tmp_path) as (server, api), api.asking(CHAT) as ask:
        server.faults.add("chat.completions.create", fault)
        with pytest.raises(ProviderUnclear):
            await ask(ASKED)

    assert server.requests["POST /v1/chat/completions"] == 1


async def test_a_single_request_to_nobody_was_not_sent() -> None:
    """So it costs nothing for certain."""
    async with running_openai() as gone:
        pass
    async with OpenAIAPI.opened(key=KEY, base_url=gone.url) as api, api.asking(CHAT) as ask:
        with pytest.raises(ProviderUnreachable):
            await ask(ASKED)


async def test_what_a_model_refuses_is_told_in_its_words_and_without_the_key(tmp_path: Path) -> None:
    """The remedy is in them."""
    async with service(tmp_path) as (server, api), api.asking(CHAT) as ask:
        refused = await ask(Request("a", {**ASKED.body, "max_tokens": 5}))
        fine = await ask(Request("b", {**ASKED.body, "max_completion_tokens": 5}))
        async with OpenAIAPI.opened(key=KEY, base_url=server.url) as other, other.asking(CHAT) as ask_with_a_wrong_key:
            denied = await ask_with_a_wrong_key(ASKED)

    assert (refused.status_code, refused.body["error"]["param"]) == (400, "max_tokens")
    assert refused.body["error"]["message"].endswith("Use 'max_completion_tokens' instead.")
    assert fine.status_code == 200
    assert (denied.status_code, denied.body["error"]["code"]) == (401, "invalid_api_key")
    assert KEY[:8] not in str(denied)


@pytest.mark.parametrize("answer", [[], "done", None])
async def test_a_single_answer_that_is_no_object_is_none(answer: object) -> None:
    """A page of a gateway says nothing about the row."""
    async with (
        serving(web.post("/chat/completions", always(answer))) as api,
        api.asking(CHAT) as ask,
    ):
        with pytest.raises(ProviderUnclear):
            await ask(ASKED)


@pytest.mark.parametrize("answer", [{}, {"error": {"message": "busy"}}, {"object": "list", "data": "none"}])
async def test_an_error_with_a_good_status_is_neither_a_batch_nor_a_list(answer: dict[str, Any]) -> None:
    """A batch that says nothing would seem to be cancelled, and a list without items that nothing runs."""
    routes = [
        web.get("/batches", always(answer)),
        web.get("/batches/b", always(answer)),
        web.post("/batches/b/cancel", always(answer)),
    ]
    async with serving(*routes) as api:
        with pytest.raises(ProviderUnclear):
            await anext(aiter(api.batches()))
        with pytest.raises(ProviderUnclear):
            await api.batch("b")
        with pytest.raises(ProviderUnclear):
            await api.cancel_batch("b")


async def test_null_is_a_list_without_items() -> None:
    """So some servers write an empty one."""
    async with serving(web.get("/batches", always({"object": "list", "data": None}))) as api:
        assert [batch.id async for batch in api.batches()] == []
