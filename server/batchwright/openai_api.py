"""OpenAI, and every service with the same Files and Batch API, behind `BatchAPI`.

What a call that went wrong has done is told apart here, once: refused, refused for now, not sent, or not known.
"""

import logging
import math
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio

from batchwright.causes.problems import refusal_words
from batchwright.errors import (
    InvalidInput,
    ProviderGone,
    ProviderNotNow,
    ProviderRefused,
    ProviderUnclear,
    ProviderUnreachable,
)
from batchwright.jsonl import mended, said_in
from batchwright.model import Charges, Endpoint, Json, Limits, ProviderInfo, Request, ResultLine
from batchwright.services import Service, next_cursor, normal_batch, normal_file, page_items, service_of

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI
    from openai.types import Batch, FileObject

    from batchwright.batch_api import Ask

    Item = TypeVar("Item", Batch, FileObject)

Answer = TypeVar("Answer")

PAGE = 100
TIMEOUT_SECONDS = 120.0
"""Without a byte, of an upload, a download or a new batch: what is not waited for long enough is not known."""
READ_TIMEOUT_SECONDS = 30.0
CONNECT_TIMEOUT_SECONDS = 15.0
RETRY_SECONDS = 0.5
MAX_MESSAGE_CHARACTERS = 1000

_REFUSALS = frozenset({400, 401, 402, 403, 404, 413, 422, 429})
"""Statuses with which a provider says no for certain, if the answer is its own JSON."""
_NO_SUCH_CALL = frozenset({404, 405, 501})
_WRONG_ADDRESS = re.compile(r"invalid url|no route|not found\.?$", re.IGNORECASE)
_UNREACHED = (
    "The provider cannot be reached; nothing was sent. Try again later; if it stays so, look at the network and, where "
    "it is set, OPENAI_BASE_URL."
)
_LOGGERS = ("openai", "httpx2", "httpcore2")
_LIKE_A_KEY = re.compile(
    r"(?<![A-Za-z0-9])sk-(?:[A-Za-z0-9_*-]{8,}|[A-Za-z0-9_*-]*(?:\.{3}|…)[A-Za-z0-9]*)|(?<![\w-])[\w-]*\*{3,}[\w-]*"
)
"""Begins only where a word does: a long one would else be tried from each of its letters."""


class OpenAIAPI:
    """Files and batches of a service. Close it, or use `opened`.

    The SDK repeats nothing by itself: it would send a new batch three times, and sleep as long as a service asks for.
    What only reads, or deletes, is asked for a second time, once, where no answer came.
    """

    lists_everything = False

    def __init__(self, client: "AsyncOpenAI", service: Service, *, model: str | None, charges: Charges) -> None:
        from openai import Timeout

        self._client = client
        self._reading = client.with_options(timeout=Timeout(READ_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS))
        self._service = service
        self._model = model
        self._charges: Charges = charges

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, *, key: str, base_url: str, model: str | None = None, charges: Charges = "unknown"
    ) -> "AsyncGenerator[OpenAIAPI]":
        """Connect to the service at *base_url*, which ends in `/v1` or the like; *model* is for jobs that name none."""
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

        # The import heeds OPENAI_LOG. Addresses, headers and rows belong into no log, whatever its level.
        for name in _LOGGERS:
            if (logger := logging.getLogger(name)).getEffectiveLevel() < logging.WARNING:
                logger.setLevel(logging.WARNING)
        # A redirect would carry the key, and the user's rows, to another host.
        timeout = Timeout(TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS)
        async with (
            DefaultAsyncHttpxClient(follow_redirects=False, timeout=timeout) as http,
            AsyncOpenAI(api_key=key, base_url=base_url, http_client=http, max_retries=0) as client,
        ):
            yield cls(client, service_of(base_url), model=model, charges=charges)

    @property
    def limits(self) -> Limits:
        """How much one batch may hold."""
        return self._service.limits

    def answering(self, model: str | None, endpoint: Endpoint) -> ProviderInfo:
        """Say who would answer; any model is taken at its word."""
        host = self._client.base_url.netloc.decode()
        name = model or self._model
        if not name:
            raise InvalidInput(f"No model is named for {host}. Pass model, for example gpt-5-mini.")
        return ProviderInfo("service", host, name, charges=self._charges)

    def is_model_known(self, model: str) -> bool:
        """Give true: only the service itself knows."""
        return True

    @asynccontextmanager
    async def asking(self, endpoint: Endpoint) -> "AsyncGenerator[Ask]":
        """Hold open the way of single requests, at standard prices."""
        from openai import APIStatusError

        async def ask(request: Request) -> ResultLine:
            async with self._told_apart():
                try:
                    answer = await self._client.post(
                        endpoint.removeprefix("/v1"),
                        cast_to=object,
                        body=request.body,
                        options={"security": {"bearer_auth": True}},
                    )
                except APIStatusError as error:
                    if (message := _message(error)) is None:
                        raise
                    told = {"message": self._masked(message), "code": error.code, "param": error.param}
                    return ResultLine(request.custom_id, error.status_code, {"error": told})
            return ResultLine(request.custom_id, 200, mended(_is_a(dict, answer)))

        yield ask

    async def upload(self, path: Path, *, name: str) -> "FileObject":
        """Upload a batch's input file, streaming. A second upload costs nothing, so it may be tried again."""
        from openai.types import FileObject

        async with self._told_apart():
            with path.open("rb") as source:
                answer = await self._client.files.create(file=(name, source), purpose="batch")
        file = normal_file(_is_a(FileObject, answer))
        if not file.id:
            raise ProviderUnclear("The provider's answer to the uploaded file names no id. Upload it again.")
        return file

    async def create_batch(self, *, input_file_id: str, endpoint: str, metadata: Mapping[str, str]) -> "Batch":
        """Make a batch, with a single request."""
        from openai.types import Batch

        if self._service.processes_files:
            await self._check_processed(input_file_id)
        async with self._told_apart():
            answer = await self._client.batches.create(
                input_file_id=input_file_id,
                endpoint=cast("Any", self._service.endpoint_names.get(endpoint, endpoint)),
                completion_window=cast("Any", self._service.completion_window),
                metadata=dict(metadata),
            )
        return self._batch(_is_a(Batch, answer))

    async def batch(self, batch_id: str) -> "Batch":
        """Give a batch as it stands."""
        from openai.types import Batch

        return self._batch(await self._read(lambda: self._reading.batches.retrieve(batch_id), Batch))

    async def batches(self) -> "AsyncIterator[Batch]":
        """Give all batches, newest first."""
        from openai.types import Batch

        async for batch in self._listed("batches", Batch):
            yield self._batch(batch)

    async def cancel_batch(self, batch_id: str) -> "Batch":
        """Ask for a batch to end early."""
        from openai.types import Batch

        # To cancel a batch that has ended is a conflict; to make one is not.
        async with self._told_apart(_REFUSALS | {409}):
            answer = await self._client.batches.cancel(batch_id)
        return self._batch(_is_a(Batch, answer))

    async def files(self) -> "AsyncIterator[FileObject]":
        """Give all files, newest first."""
        from openai.types import FileObject

        async for file in self._listed("files", FileObject):
            yield normal_file(file)

    async def download(self, file_id: str, target: Path) -> None:
        """Write a file's content to *target*, streaming, and compare its size with the one that the service names."""
        expected = await self._size(file_id)
        async with self._told_apart(), self._client.files.with_streaming_response.content(file_id) as response:
            await response.stream_to_file(target)
        size = (await anyio.Path(target).stat()).st_size
        if expected and size != expected:
            raise ProviderUnreachable(f"{file_id} arrived with {size:,} of {expected:,} bytes. It is fetched again.")

    async def delete_file(self, file_id: str) -> None:
        """Delete a file; one that is gone already is no error."""
        try:
            await self._read(lambda: self._reading.files.delete(file_id), object)
        except ProviderGone:
            return

    async def _read(self, call: Callable[[], Awaitable[object]], kind: type[Answer]) -> Answer:
        """Ask for something that may be asked for twice: again, once, where no answer came."""
        try:
            return await self._asked(call, kind)
        except (ProviderUnclear, ProviderUnreachable):
            await anyio.sleep(RETRY_SECONDS)
            return await self._asked(call, kind)

    async def _asked(self, call: Callable[[], Awaitable[object]], kind: type[Answer]) -> Answer:
        async with self._told_apart():
            return _is_a(kind, await call())

    async def _listed(self, name: str, kind: "type[Item]") -> "AsyncGenerator[Item]":
        """Give each item of a list once, page by page.

        Some services give the same page for ever, whatever comes after: a page without a new item is the last.
        """
        from openai.pagination import AsyncCursorPage

        seen: set[str] = set()
        query: dict[str, object] = {}

        async def page() -> object:
            with _no_such_call(f"cannot list its {name}"):
                return await self._reading.get(
                    f"/{name}",
                    cast_to=AsyncCursorPage[kind],
                    options={"params": {"limit": PAGE} | query, "security": {"bearer_auth": True}},
                )

        while True:
            found = cast("AsyncCursorPage[Item]", await self._read(page, AsyncCursorPage))
            if (given := page_items(found)) is None:  # what it does not show may exist
                raise ProviderUnclear("The provider's list could not be read.")
            items = [item for item in given if isinstance(item, kind) and item.id and item.id not in seen]
            for item in items:
                seen.add(item.id)
                yield item
            cursor = next_cursor(found.model_extra)
            if not items or not (cursor or found.has_more is not False):
                return
            query = {"cursor": cursor} if cursor else {"after": items[-1].id}

    async def _size(self, file_id: str) -> int | None:
        """Give the size that the service names, or None where it tells nothing about a file but its content."""
        from openai.types import FileObject

        async def retrieve() -> object:
            with _no_such_call("tells nothing about a file"):
                return await self._reading.files.retrieve(file_id)

        try:
            return normal_file(await self._read(retrieve, FileObject)).bytes
        except ProviderNotNow:
            raise
        except ProviderRefused:
            return None

    async def _check_processed(self, file_id: str) -> None:
        """Refuse to make a batch of a file that the service is still reading; nothing has been sent so far."""
        from openai.types import FileObject

        try:
            file = await self._read(lambda: self._reading.files.retrieve(file_id), FileObject)
        except ProviderUnclear as error:
            raise ProviderUnreachable(
                "The provider does not say whether the file is ready; nothing was sent."
            ) from error
        if str(file.status).lower() in {"pending", "running"}:
            raise ProviderNotNow("The provider is still reading the uploaded file. The batch is made when it is ready.")

    @asynccontextmanager
    async def _told_apart(self, refusals: frozenset[int] = _REFUSALS) -> AsyncGenerator[None]:
        """Turn the SDK's errors into ours, by what the call may have done; *refusals* are statuses that say no.

        Raises:
            ProviderRefused: The provider's own JSON says no: nothing was done. Its subclasses say more.
            ProviderUnreachable: Nothing was sent.
            ProviderUnclear: Anything else: it may have been done.
        """
        import httpx2
        from openai import APIConnectionError, APIError, APIStatusError

        not_sent = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
        try:
            yield
        except APIStatusError as error:
            message = _message(error)
            if message is None or error.status_code not in refusals:
                is_read = error.request.method == "GET"
                done = " while reading: nothing was changed. Try again later."
                said = done if is_read else ", which does not say what it did."
                raise ProviderUnclear(f"The provider answered HTTP {error.status_code}{said}") from error
            refusal = _refusal(error, self._masked(message))
            body: Json = cast("Json", error.body)
            body = {"message": message} if isinstance(body, str) else body
            refusal.words = self._masked(refusal_words(error.status_code, body))
            raise refusal from error
        except APIConnectionError as error:
            if isinstance(error.__cause__, not_sent):
                raise ProviderUnreachable(_UNREACHED) from error
            raise ProviderUnclear("The connection to the provider was lost before its answer came.") from error
        except (APIError, httpx2.HTTPError, ValueError) as error:  # a ValueError is a body that is no JSON
            raise ProviderUnclear("The provider's answer could not be read.") from error

    def _batch(self, batch: "Batch") -> "Batch":
        """Give a batch as OpenAI would show it; an error with a good status looks like one that says nothing."""
        if not isinstance(cast("Json", batch.id), str) or not batch.id:
            raise ProviderUnclear("The provider's answer names no batch. It is looked for again.")
        return normal_batch(batch, self._masked)

    def _masked(self, text: str) -> str:
        """Take out the key, what begins like it, and what looks like any key: a 401 echoes a part of it."""
        text = text.encode(errors="replace").decode()  # half a character may be cut off, which no journal takes
        key = self._client.api_key
        if len(key) >= 4:  # a shorter one is no secret, but stands in many words
            text = text.replace(key, "[key]")
        if len(key) >= 16:
            text = re.sub(re.escape(key[:8]) + r"[\w*.-]*", "[key]", text)
        return _LIKE_A_KEY.sub("[key]", text)[:MAX_MESSAGE_CHARACTERS]


def _is_a(kind: type[Answer], answer: object) -> Answer:
    """Give the answer if it is what was asked for: the SDK hands on a web page as its text.

    Raises:
        ProviderUnclear: It is not.
    """
    if not isinstance(answer, kind):
        raise ProviderUnclear("The provider's answer could not be read. Check that the base URL is that of its API.")
    return answer


@contextmanager
def _no_such_call(what: str) -> Generator[None]:
    """Take HTTP 404, 405 or 501, in whatever words, to say that the service has no such call: it *what*."""
    from openai import APIStatusError

    try:
        yield
    except APIStatusError as error:
        if error.status_code in _NO_SUCH_CALL:
            raise ProviderRefused(f"The service {what}: it answered HTTP {error.status_code}.") from error
        raise


def _message(error: "APIStatusError") -> str | None:
    """Give the message of the provider's own error; None if it is not its own, but a gateway's page."""
    body = cast("Json", error.body)
    if isinstance(body, dict):
        return said_in(cast("Json", body)) or None
    is_json = "json" in error.response.headers.get("content-type", "")
    return body if is_json and isinstance(body, str) and body else None


def _refusal(error: "APIStatusError", message: str) -> ProviderRefused:
    """Give the error of ours for a refusal, by what would help."""
    if error.status_code == 404:
        # What has no such address has not lost what was asked for.
        is_wrong_address = _WRONG_ADDRESS.match(message) is not None
        return ProviderRefused(f"{message} Check the base URL.") if is_wrong_address else ProviderGone(message)
    if error.code == "invalid_api_key":
        return ProviderNotNow("The API key is not valid. Set the right one.")
    if error.status_code == 402 or "insufficient_quota" in {error.code, error.type}:
        said = (
            "The account has used up its quota; nothing was sent again. Add credit at the provider, then submit again."
        )
        return ProviderRefused(said)
    if error.status_code == 429:
        return ProviderNotNow(message, after_seconds=_after_seconds(error.response.headers))
    return ProviderNotNow(message) if error.status_code in {401, 403} else ProviderRefused(message)


def _after_seconds(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After: seconds, or a date, which is compared with the provider's own clock where it shows it."""
    text = headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
            seconds = max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
        except (ValueError, TypeError):
            return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
