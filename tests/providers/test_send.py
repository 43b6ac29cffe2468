"""How long the engine waits before it tries again, and when it gives up."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.errors import ProviderUnclear, ProviderUnreachable
from batchwright.core.model import Request, ResultLine
from batchwright.providers.local.send import (
    MAX_DELAY_SECONDS,
    MAX_LOST,
    MAX_RETRY_AFTER_SECONDS,
    MAX_TRIES,
    Delay,
    Sender,
    delay_seconds,
)
from batchwright.providers.local.target import RemoteEndpoint, Upstream
from tests.support.endpoint import running_endpoint

REQUEST = Request("a", {"model": "m", "messages": [{"role": "user", "content": "hello"}]})


def sender_to(url: str, key: str | None = None, *, delay: Delay | None = None) -> Sender:
    """Return a sender to the server at *url*."""
    return Sender(RemoteEndpoint(Upstream(url, key), "m"), "/v1/chat/completions", delay=delay)


def at_once(_tries: int, _seconds: float | None) -> float:
    """Wait for nothing."""
    return 0.0


async def answer_of(url: str, key: str | None = None) -> ResultLine:
    """Send the request, without waiting between the tries, and return its final answer."""
    async with sender_to(url, key, delay=at_once) as sender:
        line = await sender.answer(REQUEST)
    assert line is not None
    return line


@given(tries=st.integers(1, 10_000), jitter=st.floats(0, 1))
def test_waiting_doubles_up_to_a_bound(tries: int, jitter: float) -> None:
    """Requests that failed together must not come back together, nor ever wait for hours."""
    delay = delay_seconds(tries, None, jitter)

    assert min(0.5 * 2 ** min(tries, 20), MAX_DELAY_SECONDS) / 2 <= delay <= MAX_DELAY_SECONDS


def test_the_server_says_how_long_to_wait() -> None:
    """It knows best, within reason."""
    assert delay_seconds(1, 7.0, 0.0) == 7.0
    assert delay_seconds(1, 9_999.0, 0.0) == MAX_RETRY_AFTER_SECONDS


@pytest.mark.anyio
async def test_the_last_answer_stands_after_the_last_try() -> None:
    """A row that always fails is reported with what the server said, not retried for ever."""
    async with running_endpoint(statuses={"*": [500] * MAX_TRIES}, headers={"Retry-After": "0"}) as endpoint:
        line = await answer_of(endpoint.url)

    assert (line.status_code, line.body["error"]["message"]) == (500, "told to fail")
    assert endpoint.seen["hello"] == MAX_TRIES


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_a_fault_of_the_request_is_not_tried_again(status: int) -> None:
    """The same request gets the same answer."""
    async with running_endpoint(statuses={"*": [status]}) as endpoint:
        line = await answer_of(endpoint.url)

    assert line.status_code == status
    assert endpoint.seen["hello"] == 1


@pytest.mark.anyio
async def test_the_key_is_sent_and_not_shown() -> None:
    """A key in a traceback or a log is a key lost."""
    connection = Upstream("http://127.0.0.1:1/v1", "sk-secret")
    async with running_endpoint(key="sk-secret") as endpoint:
        line = await answer_of(endpoint.url, "sk-secret")

    assert line.status_code == 200
    assert "sk-secret" not in repr(connection)


@asynccontextmanager
async def cutting_server() -> AsyncGenerator[tuple[str, list[int]]]:
    """Serve on loopback, and close every connection after its request; gives the address and the requests' sizes."""
    seen: list[int] = []

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(len(head))
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", seen


@pytest.mark.anyio
async def test_a_request_that_is_cut_off_after_it_was_sent_is_not_sent_without_end() -> None:
    """Each of these may have been answered, and charged."""
    async with cutting_server() as (url, seen):
        line = await answer_of(url)

    assert line.error_code == "connection_lost"
    assert len(seen) == MAX_LOST


@pytest.mark.slow
@pytest.mark.anyio
async def test_an_endpoint_that_is_not_there_is_waited_for_however_long() -> None:
    """Nothing was sent, so nothing can be charged twice; the endpoint may be started an hour later."""
    async with running_endpoint() as endpoint:
        pass
    waits: list[int] = []

    def delay(tries: int, _seconds: float | None) -> float:
        waits.append(tries)
        return 0.0 if len(waits) < 30 else 3600.0

    async with sender_to(endpoint.url, delay=delay) as sender:
        with anyio.move_on_after(5) as waited:
            await sender.answer(REQUEST)

    assert waited.cancelled_caught
    assert waits == list(range(1, 31))


@pytest.mark.anyio
async def test_an_answer_that_no_parser_takes_is_an_answer() -> None:
    """A model may loop; its row failed, and the others go on."""
    async with running_endpoint(raw=b"[" * 100_000) as endpoint:
        line = await answer_of(endpoint.url)

    assert "is not JSON" in line.body["error"]["message"]


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 429, 500, 503])
async def test_whoever_tries_a_request_hears_the_first_answer(status: int) -> None:
    """Somebody waits for it, and each try may cost."""
    async with (
        running_endpoint(statuses={"*": [status] * MAX_TRIES}) as endpoint,
        sender_to(endpoint.url) as sender,
    ):
        line = await sender.answer_once(REQUEST)

    assert (line.status_code, line.body["error"]["message"]) == (status, "told to fail")
    assert endpoint.seen["hello"] == 1


@pytest.mark.anyio
async def test_whether_a_tried_request_was_sent_is_told_apart() -> None:
    """What was not sent costs nothing; of what was cut off, nobody knows."""
    async with running_endpoint() as endpoint:
        pass
    async with sender_to(endpoint.url) as sender:
        with pytest.raises(ProviderUnreachable, match="nothing was sent"):
            await sender.answer_once(REQUEST)
    async with (
        cutting_server() as (url, seen),
        sender_to(url) as sender,
    ):
        with pytest.raises(ProviderUnclear):
            await sender.answer_once(REQUEST)

    assert len(seen) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("text", [rb"half \ud83d", b"half \xf0\x9f\x98"])
async def test_an_answer_that_is_not_quite_json_is_an_answer(text: bytes) -> None:
    """It is paid for; not every server writes JSON that others can read."""
    raw = b'{"choices":[{"message":{"content":"' + text + b'"},"logprob":-Infinity}]}'
    async with running_endpoint(raw=raw) as endpoint:
        line = await answer_of(endpoint.url)

    assert line.status_code == 200
    assert line.body == {"choices": [{"message": {"content": "half \ufffd"}, "logprob": None}]}
