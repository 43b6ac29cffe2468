"""Serving an application on a free port of loopback."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aiohttp import web

_TURNS_TO_ACCEPT = 3


@asynccontextmanager
async def on_loopback(app: web.Application, port: int = 0) -> AsyncGenerator[str]:
    """Serve *app* until the block ends, and return its address: scheme, host and port."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", port))
    await web.SockSite(runner, listening).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        # asyncio leaves a connection open that is being accepted while its server closes: let it get through first.
        asyncio.get_running_loop().remove_reader(listening)
        for _ in range(_TURNS_TO_ACCEPT):
            await asyncio.sleep(0)
        await runner.cleanup()
