"""The servers of the tests themselves."""

import asyncio
import gc
import socket
from contextlib import suppress

import pytest
from aiohttp import web

from tests.support.loopback import on_loopback


@pytest.mark.anyio
@pytest.mark.parametrize("turns", range(6))
async def test_a_server_that_stops_closes_the_connection_that_it_is_about_to_accept(turns: int) -> None:
    """Left open, it would fail whatever test the garbage collector runs in."""
    async with on_loopback(web.Application()) as url:
        client = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
        for _ in range(turns):
            await asyncio.sleep(0)
    with client:
        client.settimeout(5)
        with suppress(ConnectionResetError):  # it was not accepted
            assert client.recv(1) == b""
    gc.collect()
