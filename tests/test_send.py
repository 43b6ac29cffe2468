"""How long the engine waits before it tries again, and when it gives up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.local.send import MAX_DELAY_SECONDS, MAX_RETRY_AFTER_SECONDS, MAX_TRIES, Sender, delay_seconds
from batchwright.local.target import Connection, RemoteEndpoint
from batchwright.model import Request
from endpoint import running_endpoint

REQUEST = Request("a", {"model": "m", "messages": [{"role": "user", "content": "hello"}]})


@given(tries=st.integers(1, 1000), jitter=st.floats(0, 1))
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
        target = RemoteEndpoint(Connection(endpoint.url), "m")
        async with Sender(target, "/v1/chat/completions", jitter=lambda: 0.0) as sender:
            line = await sender.answer(REQUEST)

    assert (line.status_code, line.body["error"]["message"]) == (500, "told to fail")
    assert endpoint.seen["hello"] == MAX_TRIES


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_a_fault_of_the_request_is_not_tried_again(status: int) -> None:
    """The same request gets the same answer."""
    async with (
        running_endpoint(statuses={"*": [status]}) as endpoint,
        Sender(RemoteEndpoint(Connection(endpoint.url), "m"), "/v1/chat/completions") as sender,
    ):
        line = await sender.answer(REQUEST)

    assert line.status_code == status
    assert endpoint.seen["hello"] == 1


@pytest.mark.anyio
async def test_the_key_is_sent_and_not_shown() -> None:
    """A key in a traceback or a log is a key lost."""
    connection = Connection("http://127.0.0.1:1/v1", "sk-secret")
    async with running_endpoint(key="sk-secret") as endpoint:
        target = RemoteEndpoint(Connection(endpoint.url, "sk-secret"), "m")
        async with Sender(target, "/v1/chat/completions") as sender:
            line = await sender.answer(REQUEST)

    assert line.status_code == 200
    assert "sk-secret" not in repr(connection)
