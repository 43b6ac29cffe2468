"""OpenAI, and every service with the same Files and Batch API, behind `BatchAPI`.

The one place that decides what a failed call did: refused, refused for now, not sent, or unknown.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio
import httpx2
from openai import APIConnectionError, APIError, APIStatusError, AsyncOpenAI, Timeout
from openai.types import Batch, FileObject

from batchwright.core.bounds import MAX_FILE_BYTES, ReadLimits
from batchwright.core.clock import ToldTime
from batchwright.core.errors import (
    AnswerTooLarge,
    InvalidInput,
    ProviderAway,
    ProviderGone,
    ProviderNotNow,
    ProviderRefused,
    ProviderUnclear,
    ProviderUnreachable,
)
from batchwright.core.jsonl import repair
from batchwright.core.masking import account_name, mask
from batchwright.core.model import Charges, Endpoint, Json, Limits, ProviderInfo, Request, ResultLine
from batchwright.providers.batch_api import REFUSALS, Ask
from batchwright.providers.listing import items
from batchwright.providers.sdk_errors import message_of, no_such_call, refusal_of
from batchwright.providers.services import Service, at_standard_tier, normal_batch, normal_file, service_of
from batchwright.providers.transport import BoundedClient, save

if TYPE_CHECKING:
    from openai._types import RequestOptions

Answer = TypeVar("Answer")
Item = TypeVar("Item", Batch, FileObject)

TIMEOUT_SECONDS = 120.0
"""Without a byte, for an upload, a download or a new batch: giving up early leaves the outcome unknown."""
READ_TIMEOUT_SECONDS = 30.0
CONNECT_TIMEOUT_SECONDS = 15.0
WAIT_SECONDS = 600.0
"""In all, for a new batch or a model's answer."""
LEAST_UPLOAD_BYTES_A_SECOND = 20_000
RETRY_SECONDS = 0.5

_UNREACHED = (
    "The provider cannot be reached; nothing was sent. Try again later; if that does not help, check the network and "
    "OPENAI_BASE_URL, if it is set."
)
_LOGGERS = ("openai", "httpx2", "httpcore2")


class OpenAIAPI:
    """Files and batches of a service. Use `opened`.

    The SDK's own retries are off: it would send a new batch three times, and sleep for as long as a service asks.
    Calls that only read or delete are retried once if no answer came.
    """

    lists_everything = False

    def __init__(
        self,
        client: AsyncOpenAI,
        service: Service,
        *,
        model: str | None,
        charges: Charges,
        key_print: str,
        bounds: ReadLimits,
    ) -> None:
        self._client = client
        self._reading = client.with_options(timeout=Timeout(READ_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS))
        self._service = service
        self._bounds = bounds
        self._model = model
        self._charges: Charges = charges
        self._key_print = key_print
        self.told = ToldTime()
        self.next_end = anyio.Event()

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        *,
        key: str,
        base_url: str,
        model: str | None = None,
        charges: Charges = "unknown",
        key_print: str = "",
        bounds: ReadLimits = ReadLimits(),  # noqa: B008  # it is frozen
    ) -> "AsyncGenerator[OpenAIAPI]":
        """Connect to the service at *base_url*, which ends in `/v1` or similar; *model* is for jobs that name none."""
        # Importing the SDK applies OPENAI_LOG. Addresses, headers and rows belong in no log, at any level.
        for name in _LOGGERS:
            if (logger := logging.getLogger(name)).getEffectiveLevel() < logging.WARNING:
                logger.setLevel(logging.WARNING)
        timeout = Timeout(TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS)
        async with (
            BoundedClient(bounds, timeout) as http,
            AsyncOpenAI(api_key=key, base_url=base_url, http_client=http, max_retries=0) as client,
        ):
            api = cls(client, service_of(base_url), model=model, charges=charges, key_print=key_print, bounds=bounds)
            http.event_hooks = {"response": [api.told.listen]}
            yield api

    @property
    def account(self) -> str:
        """Which account is used."""
        return account_name(str(self._client.base_url), self._client.api_key)

    @property
    def limits(self) -> Limits:
        """How much one batch may hold."""
        return self._service.limits

    def answering(self, model: str | None, endpoint: Endpoint) -> ProviderInfo:
        """Say who would answer; any model name is accepted."""
        host = self._client.base_url.netloc.decode()
        name = model or self._model
        if not name:
            raise InvalidInput(f"No model is named for {host}. Pass model, for example gpt-6-luna.")
        url = str(self._client.base_url).rstrip("/")
        return ProviderInfo("service", host, name, charges=self._charges, url=url, key_print=self._key_print)

    def is_model_known(self, model: str) -> bool:
        """Return true: only the service itself knows."""
        return True

    @asynccontextmanager
    async def asking(self, endpoint: Endpoint) -> AsyncGenerator[Ask]:
        """Hold a connection open for single requests, at standard prices."""

        async def ask(request: Request) -> ResultLine:
            body = at_standard_tier(request.body, endpoint) if self._charges == "batch" else request.body
            async with self._classify_errors():
                try:
                    answer = await self._client.post(
                        endpoint.removeprefix("/v1"),
                        cast_to=object,
                        body=body,
                        options={"security": {"bearer_auth": True}},
                    )
                except APIStatusError as error:
                    if (message := message_of(error)) is None:
                        raise
                    told = {"message": self._mask(message), "code": error.code, "param": error.param}
                    return ResultLine(request.custom_id, error.status_code, {"error": told})
            return ResultLine(request.custom_id, 200, repair(_is_a(dict, answer)))

        yield ask

    async def upload(self, path: Path, *, name: str) -> FileObject:
        """Upload a batch's input file, streaming. A second upload costs nothing, so the caller may try again."""
        seconds = WAIT_SECONDS + (await anyio.Path(path).stat()).st_size / LEAST_UPLOAD_BYTES_A_SECOND
        async with self._classify_errors(seconds=seconds):
            with path.open("rb") as source:
                answer = await self._client.files.create(file=(name, source), purpose="batch")
        file = normal_file(_is_a(FileObject, answer))
        if not file.id:
            raise ProviderUnclear("The provider's answer to the uploaded file names no id. Upload it again.")
        return file

    async def create_batch(self, *, input_file_id: str, endpoint: str, metadata: Mapping[str, str]) -> Batch:
        """Create a batch with a single request."""
        if self._service.processes_files:
            await self._check_processed(input_file_id)
        async with self._classify_errors():
            answer = await self._client.batches.create(
                input_file_id=input_file_id,
                endpoint=cast("Any", self._service.endpoint_names.get(endpoint, endpoint)),
                completion_window=cast("Any", self._service.completion_window),
                metadata=dict(metadata),
            )
        return self._batch(_is_a(Batch, answer))

    async def batch(self, batch_id: str) -> Batch:
        """Return a batch with its current status."""
        return self._batch(await self._read(lambda: self._reading.batches.retrieve(batch_id), Batch))

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield all batches, newest first."""
        async for batch in self._listed("batches", Batch):
            yield self._batch(batch)

    async def cancel_batch(self, batch_id: str) -> Batch:
        """Ask for a batch to be cancelled."""
        # A conflict means that the batch has finished; for a new batch it would mean nothing.
        async with self._classify_errors(REFUSALS | {409}, seconds=self._bounds.read_seconds):
            answer = await self._client.batches.cancel(batch_id)
        return self._batch(_is_a(Batch, answer))

    async def files(self) -> AsyncIterator[FileObject]:
        """Yield all files, newest first."""
        async for file in self._listed("files", FileObject):
            yield normal_file(file)

    async def download(self, file_id: str, target: Path, *, max_bytes: int = MAX_FILE_BYTES) -> None:
        """Write a file's content to *target*, streaming, and compare its size with the one that the service states."""
        expected = await self._size(file_id)
        async with (
            self._classify_errors(seconds=None),
            self._client.files.with_streaming_response.content(file_id) as response,
        ):
            await save(response.iter_bytes(), target, max_bytes=max_bytes, bounds=self._bounds)
        size = (await anyio.Path(target).stat()).st_size
        if expected and size != expected:
            raise ProviderUnreachable(f"{file_id} arrived with {size:,} of {expected:,} bytes. It is fetched again.")

    async def delete_file(self, file_id: str) -> None:
        """Delete a file; it is no error if it is already gone."""
        try:
            await self._read(lambda: self._reading.files.delete(file_id), object)
        except ProviderGone:
            return

    async def _read(self, call: Callable[[], Awaitable[object]], kind: type[Answer]) -> Answer:
        """Make a call that may be repeated: once more if no answer came."""
        try:
            return await self._ask(call, kind)
        except AnswerTooLarge:
            raise
        except (ProviderUnclear, ProviderUnreachable):
            await anyio.sleep(RETRY_SECONDS)
            return await self._ask(call, kind)

    async def _ask(self, call: Callable[[], Awaitable[object]], kind: type[Answer]) -> Answer:
        async with self._classify_errors(seconds=self._bounds.read_seconds):
            return _is_a(kind, await call())

    async def _listed(self, name: str, kind: type[Item]) -> AsyncGenerator[Item]:
        """Yield each item of a list once, page by page."""

        async def ask(query: Mapping[str, object]) -> tuple[Json, int]:
            async def page() -> object:
                with no_such_call(f"cannot list its {name}"):
                    options: RequestOptions = {"params": query, "security": {"bearer_auth": True}}
                    answer = await self._reading.get(f"/{name}", cast_to=httpx2.Response, options=options)
                return answer.json(), len(answer.content)

            return cast("tuple[Json, int]", await self._read(page, tuple))

        async for item in items(ask, self._bounds):
            yield cast("Item", kind.construct(None, **item))

    async def _size(self, file_id: str) -> int | None:
        """Return the size that the service states, or None if it serves only a file's content."""

        async def retrieve() -> object:
            with no_such_call("tells nothing about a file"):
                return await self._reading.files.retrieve(file_id)

        try:
            return normal_file(await self._read(retrieve, FileObject)).bytes
        except ProviderNotNow:
            raise
        except ProviderRefused:
            return None

    async def _check_processed(self, file_id: str) -> None:
        """Refuse to create a batch from a file that the service is still reading; nothing has been sent so far."""
        try:
            file = await self._read(lambda: self._reading.files.retrieve(file_id), FileObject)
        except ProviderUnclear as error:
            raise ProviderUnreachable(
                "The provider does not say whether the file is ready; nothing was sent."
            ) from error
        if str(file.status).lower() in {"pending", "running"}:
            raise ProviderNotNow(
                "The provider is still reading the uploaded file. The batch is created when it is ready."
            )

    @asynccontextmanager
    async def _classify_errors(
        self, refusals: frozenset[int] = REFUSALS, *, seconds: float | None = WAIT_SECONDS
    ) -> AsyncGenerator[None]:
        """Turn the SDK's errors into ours, by what the call may have done; *refusals* are statuses that mean no.

        No call takes longer than *seconds*; None: the caller bounds it.

        Raises:
            ProviderRefused: The provider's own JSON says no: nothing was done. Its subclasses say more.
            ProviderUnreachable: Nothing was sent.
            ProviderUnclear: Anything else: it may have taken effect.
        """
        not_sent = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
        try:
            with anyio.fail_after(seconds):
                yield
        except APIStatusError as error:
            message = message_of(error)
            if message is None or error.status_code not in refusals:
                done = ", which does not say what it did."
                if error.request.method == "GET":
                    done = " while reading: nothing was changed. Try again later."
                words = f"The provider answered HTTP {error.status_code}{done}"
                raise ProviderUnclear(words, status=error.status_code) from error
            raise refusal_of(error, message, mask=self._mask) from error
        except TimeoutError as error:
            raise ProviderUnclear(f"The provider's answer did not come within {seconds:,.0f} seconds.") from error
        except APIConnectionError as error:
            if isinstance(error.__cause__, AnswerTooLarge):
                raise error.__cause__ from error
            if isinstance(error.__cause__, not_sent):
                raise ProviderAway(_UNREACHED) from error
            raise ProviderUnclear("The connection to the provider was lost before its answer came.") from error
        except (APIError, httpx2.HTTPError, ValueError, RecursionError) as error:  # these two: a body that is no JSON
            raise ProviderUnclear("The provider's answer could not be read.") from error

    def _batch(self, batch: Batch) -> Batch:
        """Return a batch in OpenAI's form; an error sent with HTTP 200 looks like a batch without an id."""
        if not isinstance(cast("Json", batch.id), str) or not batch.id:
            raise ProviderUnclear("The provider's answer names no batch. It is looked for again.")
        return normal_batch(batch, self._mask)

    def _mask(self, text: str) -> str:
        """Mask the key, anything that begins like it, and anything that looks like a key: a 401 echoes part of it."""
        return mask(text, self._client.api_key)


def _is_a(kind: type[Answer], answer: object) -> Answer:
    """Return the answer if it has the type asked for: the SDK passes a web page on as text.

    Raises:
        ProviderUnclear: It is not.
    """
    if not isinstance(answer, kind):
        raise ProviderUnclear("The provider's answer could not be read. Check that the base URL is that of its API.")
    return answer
