"""Asks OpenAI when it shuts a model down. No job waits long for the answer, and none fails without one."""

from collections.abc import AsyncIterable, Callable
from datetime import date, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from batchwright.checks.deprecations import shutdown_warning
from batchwright.core.errors import InvalidInput

if TYPE_CHECKING:
    from batchwright.core.model import ProviderInfo

ASK_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 * 1024


class _Model(msgspec.Struct):
    shutdown_date: str | None = None


class ShutdownDates:
    """What OpenAI's own list says of models, at one address with one key."""

    def __init__(self, url: str, key: str | None, *, now: Callable[[], datetime]) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._now = now
        self._listed: dict[str, date] = {}

    async def warning(self, provider: "ProviderInfo") -> str | None:
        """Return a warning if OpenAI is shutting the model down; None: it is not, or another provider answers.

        Raises:
            InvalidInput: OpenAI's own list says that the model is shut down.
        """
        if not provider.is_openai:
            return None
        today, listed = self._now().date(), await self._shutdown_date(provider.model)
        warning = shutdown_warning(provider.model, today, listed)
        if warning and listed and listed < today:
            raise InvalidInput(f"{warning} Every request would fail, so nothing was drafted.")
        return warning

    async def _shutdown_date(self, model: str) -> date | None:
        """Return `shutdown_date` of GET /models/MODEL, as the SDK's `Model` has it (openai 3.52).

        None: none is announced, or OpenAI does not answer in time.
        """
        if model not in self._listed and (day := _day(await self._ask(model))):
            self._listed[model] = day
        return self._listed.get(model)

    async def _ask(self, model: str) -> bytes:
        import aiohttp

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        url = f"{self._url}/models/{quote(model, safe='')}"
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ASK_SECONDS), trust_env=True) as session,
                # A redirect would carry the key to another host.
                session.get(url, headers=headers, allow_redirects=False) as answer,
            ):
                return await _read(answer.content.iter_chunked(8192)) if answer.status == 200 else b""
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return b""


async def _read(chunks: AsyncIterable[bytes]) -> bytes:
    answer = b""
    async for chunk in chunks:
        answer += chunk
        if len(answer) > MAX_ANSWER_BYTES:
            return b""
    return answer


def _day(answer: bytes) -> date | None:
    try:
        return date.fromisoformat((msgspec.json.decode(answer, type=_Model).shutdown_date or "")[:10])
    except (msgspec.DecodeError, ValueError):
        return None
