"""Sends one request to an endpoint, with backoff: it is retried while that can help, then its last answer stands."""

import logging
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

import aiohttp
import anyio
import msgspec

from batchwright.core.bounds import longest_answer
from batchwright.core.errors import BatchwrightError, ProviderAway, ProviderUnclear
from batchwright.core.jsonl import ANSWER_LOST, KEPT_BYTES, repair_value
from batchwright.core.model import Json, Request, ResultLine
from batchwright.core.problem import Problem
from batchwright.providers.local.payments import Free, Payments
from batchwright.providers.retry_after import retry_after_seconds

if TYPE_CHECKING:
    from batchwright.providers.local.target import Target

log = logging.getLogger(__name__)

MAX_TRIES = 8
MAX_TIMEOUTS = 2
MAX_LOST = 5
MAX_RETRY_AFTER_SECONDS = 120.0
MAX_DELAY_SECONDS = 60.0
REQUEST_SECONDS = 600

_FREE = Free()
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


def delay_seconds(tries: int, retry_after: float | None, jitter: float) -> float:
    """Return how long to wait after the *tries*-th failure: what the server asked for, or twice as long each time.

    Args:
        tries: From 1.
        retry_after: Seconds that the server asked for.
        jitter: From 0 to 1; spreads requests that failed together.
    """
    if retry_after is not None:
        return min(retry_after, MAX_RETRY_AFTER_SECONDS) + jitter
    return min(0.5 * 2 ** min(tries, 10), MAX_DELAY_SECONDS) * (0.5 + jitter / 2)


Delay = Callable[[int, float | None], float]
"""Takes the failures so far and the seconds that the server asked for; returns the seconds to wait."""


class Sender:
    """Sends requests to one endpoint of a target. Use as an async context manager."""

    def __init__(
        self,
        target: "Target",
        endpoint: str,
        *,
        payments: Free | Payments = _FREE,
        delay: Delay | None = None,
        seconds: float = REQUEST_SECONDS,
    ) -> None:
        """Prepare to send to *endpoint*; *payments* records each sending."""
        self._target = target
        self._endpoint = endpoint
        self._payments = payments
        self._delay = delay or _jitter
        self._seconds = seconds
        self.trouble: Problem | None = None
        """Why nothing comes back at the moment; None while answers arrive."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers={"Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=self._seconds, sock_connect=30),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def answer(self, request: Request, number: int = 0) -> ResultLine | None:
        """Return the final answer to *request*, good or bad, retrying while that can help.

        None: it may not be sent, or not again. *number* identifies the request in the payments.
        """
        tries = lost = away = 0
        while await self._payments.begin(number):
            retry_after = None
            try:
                status, retry_after, body = await self._once(request)
            except (BatchwrightError, aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                # It was not sent, so the request is not at fault: it can wait.
                away += 1
                self.trouble = _away(error)
                self._payments.not_sent(number)
            except TimeoutError:
                tries += 1
                if tries >= MAX_TIMEOUTS:
                    message = f"The request was not answered within {self._seconds:g} seconds."
                    return self._lost(request, "request_timeout", message)
            except aiohttp.ClientError as error:
                # It was sent, and may have been answered and charged: retries are limited.
                lost += 1
                words = f"the endpoint breaks the connection ({type(error).__name__}); trying again"
                self.trouble = Problem.found("connection_lost", words)
                if lost >= MAX_LOST:
                    message = f"The connection was lost each of the {MAX_LOST} times that this request was sent."
                    return self._lost(request, "connection_lost", message)
            else:
                tries += 1
                self._payments.answered(number, status, body)
                if not _can_help_again(status, body) or tries >= MAX_TRIES:
                    self.trouble = None
                    return ResultLine(request.custom_id, status_code=status, body=body)
                words = f"the endpoint answers HTTP {status}; trying again"
                self.trouble = Problem.found("unclear", words, status=status)
            if not self._payments.allows(number):
                return None
            await anyio.sleep(self._delay(tries + lost + away, retry_after))
        return None

    def _lost(self, request: Request, code: str, message: str) -> ResultLine:
        code = ANSWER_LOST if self._payments.is_paid else code
        return ResultLine(request.custom_id, error_code=code, error_message=message)

    async def answer_once(self, request: Request) -> ResultLine:
        """Send *request* once and return what comes back.

        Raises:
            ProviderUnreachable: It was not sent. The target may have its own reasons.
            ProviderUnclear: It was sent, and no answer came.
        """
        try:
            status, _, body = await self._once(request)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            name = type(error).__name__
            raise ProviderAway(f"The endpoint does not answer ({name}); nothing was sent. Start it.") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ProviderUnclear("The connection to the endpoint was lost before its answer came.") from error
        return ResultLine(request.custom_id, status_code=status, body=body)

    async def _once(self, request: Request) -> tuple[int, float | None, Json]:
        upstream = await self._target.upstream(self._endpoint)
        headers = {"Authorization": f"Bearer {upstream.key}"} if upstream.key else None
        body = self._target.request_body(self._endpoint, request.body)
        url = upstream.url + self._endpoint.removeprefix("/v1")
        # A redirect would carry the key to another host.
        async with self._session.post(
            url, data=msgspec.json.encode(body), headers=headers, allow_redirects=False
        ) as response:
            data = await _whole(response, longest_answer(self._endpoint))
            if upstream.key and response.status >= 300:
                # Some servers quote the key that they refuse.
                data = data.replace(upstream.key.encode(), b"[the key]")
            answer = _decode(data, response.status)
            retry_after = retry_after_seconds(response.headers) if response.status in _RETRIED else None
        if response.status < 300:
            answer = self._target.answer_body(self._endpoint, request.body, answer)
        return response.status, retry_after, answer


async def _whole(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Read an answer; if it has more than *most* bytes, only its beginning, which is then not JSON."""
    first = await response.content.readany()
    if response.content.at_eof() and len(first) <= most:  # nearly all answers arrive at once
        return first
    data = bytearray(first)
    while len(data) <= most and not response.content.at_eof():
        data += await response.content.readany()
    return bytes(data if len(data) <= most else data[:KEPT_BYTES])


def _jitter(tries: int, retry_after: float | None) -> float:
    return delay_seconds(tries, retry_after, random.random())  # noqa: S311  # only spreads requests in time


def _away(error: Exception) -> Problem:
    if isinstance(error, BatchwrightError):
        return error.problem
    return Problem.found("unreachable", f"the endpoint does not answer ({type(error).__name__}); trying again")


def _can_help_again(status: int, body: Json) -> bool:
    if status not in _RETRIED:
        return False
    error = cast("Mapping[str, Json]", body).get("error") if isinstance(body, dict) else None
    # Waiting does not restore a quota.
    return not (isinstance(error, dict) and cast("Mapping[str, Json]", error).get("code") == "insufficient_quota")


def _decode(data: bytes, status: int) -> Json:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # NaN, or half a character: the rest of the answer is paid for.
        with suppress(ValueError, RecursionError):
            if isinstance(answer := repair_value(data), dict):
                return cast("Json", answer)
        text = data[:500].decode("utf-8", errors="replace")
        return {"error": {"message": f"The endpoint's answer (HTTP {status}) is not JSON: {text}", "code": None}}
