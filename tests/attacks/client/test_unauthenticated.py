"""Clients that have no token, or do not say what they want: they get no time, no memory and nobody else's place."""

import contextlib
import re
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import anyio.abc
import anyio.to_thread
import httpx2
import psutil
import pytest
from starlette.responses import PlainTextResponse

from batchwright.mcp_server.addresses import PATH
from batchwright.mcp_server.connections import HEAD_SECONDS
from batchwright.mcp_server.streamable_http import Access, Gate
from tests.support.http_requests import TOKEN, ask, call
from tests.support.session import environment, http_process, serving
from tests.support.systems import needs_file_limit
from tests.support.waiting import WAIT_SECONDS, until

pytestmark = pytest.mark.anyio

DESCRIPTORS = 256
"""So few files may be opened by default on some systems; half of them may be connections."""

INSIDE = 406
"""What the endpoint itself says, behind the gate, to a client that accepts nothing."""
TWICE = '{"error": "A request must have one Host header and at most one Origin."}'


def place(url: str) -> tuple[str, int]:
    """Give host and port."""
    host, port = url.removeprefix("http://").removesuffix("/mcp").split(":")
    return host, int(port)


def head(url: str, *more: str, method: str = "POST", token: str | None = TOKEN, target: str = "/mcp") -> bytes:
    """Give a request's head; *more* headers stand in it as they are."""
    host, port = place(url)
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}:{port}", *more]
    lines += [f"Authorization: Bearer {token}"] if token else []
    return "\r\n".join([*lines, "", ""]).encode()


def whole(url: str, *, token: str | None = TOKEN) -> bytes:
    """Give a request that is answered at once."""
    return head(url, "Content-Length: 2", "Content-Type: application/json", token=token) + b"{}"


async def status_of(stream: anyio.abc.SocketStream) -> int:
    """Read one answer, and give its status."""
    said, length = b"", 0
    with anyio.fail_after(WAIT_SECONDS):
        while b"\r\n\r\n" not in said or len(said.partition(b"\r\n\r\n")[2]) < length:
            said += await stream.receive()
            length = int((re.findall(rb"(?i)content-length: (\d+)", said) or [0])[0])
    return int(said.split()[1])


async def answered(url: str, *requests: bytes) -> list[int]:
    """Send requests on one connection, one after another, and give the statuses of their answers."""
    statuses: list[int] = []
    async with await anyio.connect_tcp(*place(url)) as stream:
        for request in requests:
            await stream.send(request)
            statuses.append(await status_of(stream))
    return statuses


@contextlib.asynccontextmanager
async def connected(url: str, count: int, first: bytes = b"") -> AsyncGenerator[list[anyio.abc.SocketStream]]:
    """Open connections, and say the same on each."""
    streams: list[anyio.abc.SocketStream] = []
    try:
        for _ in range(count):
            streams.append(await anyio.connect_tcp(*place(url)))
            if first:
                await streams[-1].send(first)
        yield streams
    finally:
        for stream in streams:
            await anyio.aclose_forcefully(stream)


async def seconds_until_closed(url: str, first: bytes, drop: bytes) -> float:
    """Say *first*, then *drop* every second, and give how long the server listens to that."""
    began = anyio.current_time()
    async with await anyio.connect_tcp(*place(url)) as stream:
        with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            await stream.send(first)
            while anyio.current_time() - began < 3 * HEAD_SECONDS:
                with anyio.move_on_after(1):
                    while True:
                        await stream.receive()
                await stream.send(drop)
    return anyio.current_time() - began


@pytest.mark.slow
async def test_who_takes_too_long_is_closed_and_who_was_let_in_may_wait(tmp_path: Path) -> None:
    """A connection costs the server more than the client: it is for those who say what they want."""
    seconds: dict[str, float] = {}
    later: list[int] = []
    async with serving(environment(tmp_path)) as (url, _), anyio.create_task_group() as tasks:
        attacks = {
            "silent": (b"", b""),
            "half a head": (head(url)[:-2], b"X-More: 1\r\n"),
            "blank lines": (b"\r\n", b"\r\n"),
            "refused with a body without end": (head(url, "Content-Length: 999999999", token=None), b"x" * 100),
            "refused again and again": (whole(url, token=None), whole(url, token=None)),
            "let in, then half a head": (whole(url) + head(url)[:-2], b"X-More: 1\r\n"),
            "asks for health": (head(url, method="GET", target="/health"), head(url, method="GET", target="/health")),
        }

        async def attack(name: str) -> None:
            seconds[name] = await seconds_until_closed(url, *attacks[name])

        async def wait_long() -> None:
            async with await anyio.connect_tcp(*place(url)) as stream:
                await stream.send(whole(url))
                later.append(await status_of(stream))
                with anyio.move_on_after(HEAD_SECONDS + 1):
                    await stream.receive()
                await stream.send(whole(url))
                later.append(await status_of(stream))

        tasks.start_soon(wait_long)
        for name in attacks:
            tasks.start_soon(attack, name)

    assert {name: took for name, took in seconds.items() if not took < 2 * HEAD_SECONDS} == {}
    assert later == [INSIDE, INSIDE]


@pytest.mark.slow
@needs_file_limit
async def test_more_connections_than_files_that_may_be_open_lock_nobody_out(tmp_path: Path) -> None:
    """Whoever waits longest goes first, and the log does not fill."""
    async with http_process(environment(tmp_path), descriptors=DESCRIPTORS) as (url, served):
        assert served.stderr is not None
        process = psutil.Process(served.pid)
        async with await anyio.connect_tcp(*place(url)) as idle:
            await idle.send(whole(url))
            kept = [await status_of(idle)]
            async with connected(url, 2 * DESCRIPTORS, head(url)[:-2]):
                with anyio.fail_after(HEAD_SECONDS):
                    during = [await answered(url, whole(url), whole(url)) for _ in range(5)]
                    jobs = (await call(url, "list_jobs")).result["structuredContent"]
                open_files = process.num_fds()
                await idle.send(whole(url))
                kept.append(await status_of(idle))
        after = await answered(url, whole(url))
        served.send_signal(signal.SIGTERM)
        said = await anyio.to_thread.run_sync(served.stderr.read)

    assert during == [[INSIDE, INSIDE]] * 5
    assert jobs["total"] == 0
    assert (kept, after) == ([INSIDE, INSIDE], [INSIDE])
    assert open_files < DESCRIPTORS
    assert len(said) < 2_000


@pytest.mark.slow
@needs_file_limit
async def test_where_all_are_being_answered_a_new_one_is_refused_until_one_has_gone(tmp_path: Path) -> None:
    """Nobody whose request is being answered is cut off for another."""
    async with (
        http_process(environment(tmp_path), descriptors=DESCRIPTORS) as (url, _),
        connected(url, DESCRIPTORS // 2, head(url, "Content-Length: 2", "Expect: 100-continue")) as busy,
    ):
        assert {await status_of(stream) for stream in busy} == {100}  # each is let in, and its body waited for
        refused = await answered(url, b"")
        await anyio.aclose_forcefully(busy.pop())

        async def is_let_in() -> bool:
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                return await answered(url, whole(url)) == [INSIDE]
            return False

        await until(is_let_in)

    assert refused == [503]


async def most_grown(url: str, server: psutil.Process, begun: bytes) -> int:
    """Say *begun*, then 64 MB more, and give by how many bytes the server has grown at most."""
    before = most = server.memory_info().rss
    async with await anyio.connect_tcp(*place(url)) as stream:
        with contextlib.suppress(anyio.BrokenResourceError, anyio.EndOfStream):
            await stream.send(begun)
            for _ in range(64):
                await stream.send(b"x" * 1_000_000)
                most = max(most, server.memory_info().rss)
    return most - before


@pytest.mark.slow
async def test_what_has_no_end_is_not_kept(tmp_path: Path) -> None:
    """Also where another parser is installed, which would keep it all: nobody has shown a token yet."""
    async with http_process(environment(tmp_path)) as (url, served):
        endless = {
            "header": head(url)[:-2] + b"X-Long: ",
            "url": b"POST /mcp?",
            "body": head(url, "Content-Length: 9999999999", token=None),
            "chunk": head(url, "Transfer-Encoding: chunked", token=None) + b"1;x=",
        }
        server = psutil.Process(served.pid)
        grown = {name: await most_grown(url, server, begun) for name, begun in endless.items()}
        health = await answered(url, head(url, method="GET", target="/health"))
        served.send_signal(signal.SIGTERM)
        assert served.stderr is not None
        said = await anyio.to_thread.run_sync(served.stderr.read)

    assert {name: size for name, size in grown.items() if size >= 20_000_000} == {}
    assert health == [200]
    assert "Traceback" not in said


async def test_a_refusal_is_readable_by_whoever_is_still_sending(tmp_path: Path) -> None:
    """A client that has no token yet has to learn why."""
    async with serving(environment(tmp_path)) as (url, _):
        body = b"x" * 1_000_000
        statuses = await answered(url, head(url, f"Content-Length: {len(body)}", token=None) + body)

    assert statuses == [401]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ((), INSIDE),
        (("Host: {place}",), 400),
        (("Host: evil.example",), 400),
        (("Origin: http://{place}",), INSIDE),
        (("Origin: http://{place}", "ORIGIN: http://evil.example"), 400),
        (("Authorization: Bearer another-of-enough-characters",), 401),
        (("Authorization: Bearer {token}",), 401),
    ],
    ids=str,
)
async def test_a_header_that_decides_comes_once(tmp_path: Path, more: tuple[str, ...], status: int) -> None:
    """Of two, a proxy before the server may have looked at the other."""
    async with serving(environment(tmp_path)) as (url, _):
        lines = [line.format(place="{}:{}".format(*place(url)), token=TOKEN) for line in more]
        async with await anyio.connect_tcp(*place(url)) as stream:
            await stream.send(head(url, *lines, "Content-Length: 0", "Content-Type: application/json"))
            text = (await stream.receive()).decode()

    assert int(text.split()[1]) == status
    # The parser refuses two hosts by itself, in its own words.
    assert status != 400 or text.endswith(TWICE) or more[0].startswith("Host: ")


async def test_two_hosts_are_refused_whatever_parser_is_before_the_gate() -> None:
    """The parser of today refuses them by itself, and the next one may not."""
    gate = Gate(PlainTextResponse("inside"), Access(("here.example",), TOKEN, "Ask."))
    sent = [("Host", "here.example"), ("Host", "evil.example"), ("Authorization", f"Bearer {TOKEN}")]
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(gate), base_url="http://here.example") as client:
        answer = await client.post(PATH, headers=sent)

    assert (answer.status_code, answer.text) == (400, TWICE)


@pytest.mark.parametrize("token", [TOKEN, None], ids=["with the token", "without"])
@pytest.mark.parametrize("path", ["/mcp/", "/mcp", "/", "//mcp"])
@pytest.mark.parametrize("host", ["evil.example", "localhost:{port}.evil.example", "0.0.0.0:{port}", "localhost"])
async def test_no_path_answers_to_another_host(tmp_path: Path, host: str, path: str, token: str | None) -> None:
    """A redirection would lead to a place of the caller's choice."""
    async with serving(environment(tmp_path)) as (url, _):
        port = place(url)[1]
        sent = {"Host": host.format(port=port)}
        answer = await ask(url.removesuffix("/mcp") + path, "tools/list", {}, headers=sent, token=token)

    assert answer.status == 421
    assert "Location" not in answer.headers
