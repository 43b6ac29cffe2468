"""A provider that says more, or says it longer, than can be meant: every call ends, and keeps nothing of it."""

import asyncio
import gzip
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from batchwright.core.bounds import ReadLimits
from batchwright.core.errors import AnswerTooLarge, ProviderError, ProviderUnclear, ProviderUnreachable
from batchwright.core.model import Request
from batchwright.providers.openai import OpenAIAPI
from batchwright.providers.transport import check_room
from tests.support.loopback import on_loopback

pytestmark = pytest.mark.anyio

KEY = "sk-canary-0123456789abcdef"
SMALL = ReadLimits(json_bytes=1 << 20, read_seconds=0.5, pages=20, list_seconds=2, grace_seconds=0.3)
BOMB = gzip.compress(bytes(64 << 20))
CHAT = "/v1/chat/completions"


@asynccontextmanager
async def provider(*routes: web.RouteDef, bounds: ReadLimits = SMALL) -> AsyncGenerator[OpenAIAPI]:
    """Open the API over a server that has these routes and no others."""
    app = web.Application()
    app.add_routes(routes)
    async with on_loopback(app) as url, OpenAIAPI.opened(key=KEY, base_url=f"{url}/v1", bounds=bounds) as api:
        yield api


async def bomb(_request: web.Request) -> web.Response:
    """Answer with little that becomes much."""
    return web.Response(body=BOMB, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})


async def refuse_at_length(_request: web.Request) -> web.Response:
    """Refuse in more words than anybody reads."""
    return web.json_response({"error": {"message": "no " * (1 << 20)}}, status=400)


async def trickle(request: web.Request) -> web.StreamResponse:
    """Send a byte now and then, without end."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    with anyio.move_on_after(30):
        while True:
            await answer.write(b" ")
            await asyncio.sleep(0.05)
    return answer


def size_of(size: int) -> web.RouteDef:
    """Give the route to what a service tells of a file."""

    async def told(_request: web.Request) -> web.Response:
        return web.json_response({"id": "f", "object": "file", "bytes": size})

    return web.get("/v1/files/f", told)


async def test_a_download_that_unpacks_to_more_than_was_asked_for_is_not_kept(tmp_path: Path) -> None:
    """A kilobyte on the wire may be a gigabyte on the disk."""
    target = tmp_path / "out.part"
    async with provider(size_of(0), web.get("/v1/files/f/content", bomb)) as api:
        with pytest.raises(AnswerTooLarge, match="more than 1,000,000 bytes, which is more than was asked for"):
            await api.download("f", target, max_bytes=1_000_000)

    assert not target.exists()


async def test_a_download_that_comes_by_drops_is_given_up(tmp_path: Path) -> None:
    """Each byte is in time, and the last never comes."""
    target = tmp_path / "out.part"
    async with provider(size_of(0), web.get("/v1/files/f/content", trickle)) as api:
        with anyio.fail_after(10), pytest.raises(ProviderUnreachable, match="too slowly"):
            await api.download("f", target)

    assert not target.exists()


async def test_a_download_has_its_time_however_fast_it_is(tmp_path: Path) -> None:
    """Whoever holds the job waits for it."""

    async def flow(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(400):
            await answer.write(bytes(1 << 10))
            await asyncio.sleep(0.02)
        return answer

    bounds = ReadLimits(download_seconds=0.5)
    async with provider(size_of(0), web.get("/v1/files/f/content", flow), bounds=bounds) as api:
        with anyio.fail_after(5), pytest.raises(ProviderUnreachable, match="too slowly"):
            await api.download("f", tmp_path / "out.part")


def test_a_download_takes_no_more_of_the_disk_than_it_leaves(tmp_path: Path) -> None:
    """A full disk stops everything else on the machine too."""
    check_room(tmp_path / "out.part", 1)
    with pytest.raises(OSError, match="too little room"):
        check_room(tmp_path / "out.part", 1 << 60)


Route = tuple[Callable[..., web.RouteDef], str, Callable[[OpenAIAPI], Awaitable[object]]]


def create(api: OpenAIAPI) -> Awaitable[object]:
    """Have a batch made."""
    return api.create_batch(input_file_id="f", endpoint=CHAT, metadata={})


ROUTES: dict[str, Route] = {
    "batch": (web.get, "/v1/batches/b", lambda api: api.batch("b")),
    "batches": (web.get, "/v1/batches", lambda api: anext(aiter(api.batches()))),
    "files": (web.get, "/v1/files", lambda api: anext(aiter(api.files()))),
    "cancel": (web.post, "/v1/batches/b/cancel", lambda api: api.cancel_batch("b")),
    "create": (web.post, "/v1/batches", create),
}


@pytest.mark.parametrize("call", ROUTES)
@pytest.mark.parametrize("answer", [bomb, refuse_at_length])
async def test_what_is_told_of_batches_and_files_is_read_up_to_a_bound(call: str, answer: Any) -> None:
    """Also an error: its text is shown, so it is read."""
    route, path, ask = ROUTES[call]
    async with provider(route(path, answer)) as api:
        with anyio.fail_after(10), pytest.raises(AnswerTooLarge, match="more than 1,048,576 bytes"):
            await ask(api)


async def test_the_refusal_of_a_download_is_read_up_to_a_bound(tmp_path: Path) -> None:
    """It comes where a stream was asked for."""
    async with provider(size_of(0), web.get("/v1/files/f/content", refuse_at_length)) as api:
        with pytest.raises(AnswerTooLarge):
            await api.download("f", tmp_path / "out.part")


@pytest.mark.slow
@pytest.mark.parametrize("call", ["batch", "batches", "files", "cancel"])
async def test_an_answer_that_comes_by_drops_ends(call: str) -> None:
    """No byte is late, and all together they are."""
    route, path, ask = ROUTES[call]
    async with provider(route(path, trickle)) as api:
        with anyio.fail_after(10), pytest.raises(ProviderUnclear, match="did not come within"):
            await ask(api)


async def test_a_single_answer_without_end_is_read_up_to_a_bound() -> None:
    """A model's answer may be long, but not so long."""
    async with provider(web.post("/v1/chat/completions", bomb)) as api, api.asking(CHAT) as ask:
        with anyio.fail_after(10), pytest.raises(AnswerTooLarge):
            await ask(Request("a", {"model": "m", "messages": []}))


async def test_json_that_is_nested_without_end_is_no_answer() -> None:
    """It must not look like a fault of this program."""

    async def deep(_request: web.Request) -> web.Response:
        return web.Response(body=b"[" * 200_000, content_type="application/json")

    async with provider(web.get("/v1/batches/b", deep), web.get("/v1/batches", deep)) as api:
        for ask in (lambda: api.batch("b"), lambda: anext(aiter(api.batches()))):
            with pytest.raises(ProviderError):
                await ask()


def endless(name: Callable[[int], str], *, seconds: float = 0.0, **fields: object) -> Any:
    """Give a list that has always one more page; *name* gives an item's id."""
    numbers = itertools.count()

    async def page(_request: web.Request) -> web.Response:
        await asyncio.sleep(seconds)
        item = {"id": name(next(numbers)), "object": "batch", "status": "completed"}
        return web.json_response({"object": "list", "data": [item], "has_more": True} | fields)

    return page


@pytest.mark.parametrize("listed", ["batches", "files"])
@pytest.mark.parametrize(
    ("page", "words"),
    [
        (endless("item-{}".format), "does not end: 20 items on 20 pages"),
        (endless("item-{}".format, paging={"next_cursor": "same"}), "does not end: 20 items on 20 pages"),
        (endless("item-{}".format, seconds=0.3), "does not end"),
        (endless("item-{}".format, extra="x" * 500_000), "does not end"),
    ],
    ids=["new items", "a cursor that does not move", "slow pages", "long pages"],
)
async def test_a_list_that_pages_for_ever_ends_with_a_sentence(listed: str, page: Any, words: str) -> None:
    """What is looked for there is looked for while a job is held."""
    bounds = ReadLimits(json_bytes=1 << 20, pages=20, list_seconds=1, list_bytes=5 << 20)
    async with provider(web.get(f"/v1/{listed}", page), bounds=bounds) as api:
        with anyio.fail_after(10), pytest.raises(AnswerTooLarge, match=words):
            [item.id async for item in getattr(api, listed)()]


@pytest.mark.parametrize("name", ["same", "", "{}" * 2_000], ids=["same", "no", "long"])
async def test_a_page_without_a_new_item_is_the_last(name: str) -> None:
    """Whatever the service says of more; an id that nobody can mean is none."""
    async with provider(web.get("/v1/batches", endless(lambda n: name.replace("{}", str(n))))) as api:
        seen = [batch.id async for batch in api.batches()]

    assert len(seen) <= 1


async def test_batches_that_failed_in_every_line_are_listed_in_smaller_pages() -> None:
    """Each names all its faults, and so a page of them is long."""
    data = [
        {"id": f"b{n}", "object": "batch", "status": "failed", "errors": {"data": [{"message": "x" * 400_000}]}}
        for n in range(5)
    ]

    async def page(request: web.Request) -> web.Response:
        start = int(request.query.get("after", "b-1")[1:]) + 1
        end = start + int(request.query["limit"])
        return web.json_response({"object": "list", "data": data[start:end], "has_more": end < len(data)})

    async with provider(web.get("/v1/batches", page)) as api:
        seen = [batch.id async for batch in api.batches()]

    assert seen == ["b0", "b1", "b2", "b3", "b4"]
