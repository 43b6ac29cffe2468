"""Waiting for what another task or process does."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

WAIT_SECONDS = 60

T = TypeVar("T")


async def until(look: Callable[[], Awaitable[T]]) -> T:
    """Look again and again, for a bounded time, until there is something to see, and give that."""
    with anyio.fail_after(WAIT_SECONDS):
        while not (seen := await look()):  # noqa: ASYNC110  # what is waited for has no event here
            await anyio.sleep(0.01)  # what is waited for has no event here
    return seen
