"""HTTP whose answers always end: they are bounded in decoded bytes, in time and in disk space."""

import errno
import shutil
import ssl
from collections.abc import AsyncIterable
from functools import cache
from pathlib import Path
from typing import Any, get_args

import anyio
import anyio.to_thread
import httpx2
from openai import DefaultAsyncHttpxClient

from batchwright.core.bounds import ReadLimits, longest_answer
from batchwright.core.errors import AnswerTooLarge, ProviderUnreachable
from batchwright.core.model import Endpoint

_LOOK_AT_DISK_BYTES = 16 << 20
_DECODED = ("content-encoding", "content-length", "transfer-encoding")
_ASKED = tuple(path.removeprefix("/v1") for path in get_args(Endpoint))
"""Paths at which models answer; their answers may be longer than descriptions of batches and files."""


class BoundedClient(DefaultAsyncHttpxClient):
    """Reads no answer beyond its bound. Whoever streams an answer bounds it, unless it is an error."""

    def __init__(self, bounds: ReadLimits, timeout: httpx2.Timeout) -> None:
        # A redirect would carry the key, and the user's rows, to another host.
        super().__init__(follow_redirects=False, timeout=timeout, verify=_certificates())
        self._bounds = bounds

    async def send(
        self,
        request: httpx2.Request,
        *,
        stream: bool = False,
        **options: Any,  # noqa: ANN401  # passed on unchanged
    ) -> httpx2.Response:
        """Send a request; see `httpx2.AsyncClient`.

        Raises:
            AnswerTooLarge: The answer is longer than any honest one.
        """
        response = await super().send(request, stream=True, **options)
        if stream and response.is_success:
            return response
        try:
            content = await self._read(response)
        finally:
            await response.aclose()
        headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in _DECODED]
        return httpx2.Response(
            response.status_code, headers=headers, content=content, request=request, extensions=response.extensions
        )

    async def _read(self, response: httpx2.Response) -> bytes:
        path = response.request.url.path
        most = longest_answer(path) if path.endswith(_ASKED) else self._bounds.json_bytes
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > most:
                raise AnswerTooLarge(f"The provider's answer has more than {most:,} bytes. It was not read to its end.")
        return bytes(content)


async def save(chunks: AsyncIterable[bytes], target: Path, *, max_bytes: int, bounds: ReadLimits) -> None:
    """Write a download to *target*, whole or not at all.

    Raises:
        AnswerTooLarge: It has more than *max_bytes*.
        ProviderUnreachable: It arrives too slowly.
        OSError: It would leave less of the disk free than it takes.
    """
    try:
        with anyio.fail_after(bounds.download_seconds):
            await _write(chunks, target, max_bytes, bounds)
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await anyio.Path(target).unlink(missing_ok=True)
        if isinstance(error, TimeoutError):
            raise ProviderUnreachable(_too_slow(target)) from error
        raise


async def _write(chunks: AsyncIterable[bytes], target: Path, max_bytes: int, bounds: ReadLimits) -> None:
    began, size, looked_at = anyio.current_time(), 0, 0
    async with await anyio.open_file(target, "wb") as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > max_bytes:
                raise AnswerTooLarge(
                    f"The file at the provider has more than {max_bytes:,} bytes, which is more than was asked for. "
                    "It was not kept; fetch it by other means to see what it is."
                )
            late = anyio.current_time() - began - bounds.grace_seconds
            if late > 0 and size < late * bounds.slowest_bytes_a_second:
                raise ProviderUnreachable(_too_slow(target))
            if size - looked_at >= _LOOK_AT_DISK_BYTES:
                looked_at = size
                await anyio.to_thread.run_sync(check_room, target, size)
            await file.write(chunk)


def check_room(target: Path, size: int) -> None:
    """Refuse to let a file take more of the disk than it leaves free, so that several at once leave some free too.

    Raises:
        OSError: There is too little room.
    """
    if shutil.disk_usage(target.parent).free < size:
        raise OSError(errno.ENOSPC, "the disk has too little room for its results; make room", str(target))


def _too_slow(target: Path) -> str:
    return f"The provider sends {target.stem} too slowly, so the download was stopped. It is tried again automatically."


@cache
def _certificates() -> ssl.SSLContext:
    """Return the certificates that this process trusts: loading them is slow, and each client and proxy would do it."""
    return httpx2.create_ssl_context()
