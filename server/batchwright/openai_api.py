"""OpenAI, and every service with the same Files and Batch API, behind `BatchAPI`.

What a call that went wrong has done is told apart here, once: refused, not sent, or not known.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import anyio

from batchwright.errors import InvalidInput, ProviderGone, ProviderRefused, ProviderUnclear, ProviderUnreachable
from batchwright.model import Endpoint, Json, Limits, ProviderInfo

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types import Batch, FileObject

PAGE = 100
MAX_RETRIES = 4
TIMEOUT_SECONDS = 120.0

_REFUSALS = frozenset({400, 401, 403, 404, 413, 422, 429})
"""Statuses with which a provider says no for certain, if the answer is its own JSON."""


@dataclass(frozen=True, slots=True)
class Service:
    """How one service differs from OpenAI. Sources: the services' own documentation of their batch APIs.

    Attributes:
        host: The end of its host name.
        completion_window: What its batches are given.
        limits: Of one batch.
    """

    host: str
    completion_window: str = "24h"
    limits: Limits = field(default_factory=Limits)


OPENAI = Service("api.openai.com")
SERVICES = (
    OPENAI,
    Service(".openai.azure.com", limits=Limits(max_requests=100_000, max_inputs=100_000)),
    Service("api.groq.com", limits=Limits(max_bytes=100_000_000)),
)


def service_of(base_url: str) -> Service:
    """Give what is known of the service at *base_url*; one that is not known is taken to be like OpenAI."""
    host = urlsplit(base_url).hostname or ""
    return next((service for service in SERVICES if host == service.host or host.endswith(service.host)), OPENAI)


class OpenAIAPI:
    """Files and batches of a service. Close it, or use `opened`."""

    lists_everything = False

    def __init__(self, client: "AsyncOpenAI", service: Service) -> None:
        self._client = client
        self._service = service

    @classmethod
    @asynccontextmanager
    async def opened(cls, *, key: str, base_url: str) -> "AsyncGenerator[OpenAIAPI]":
        """Connect to the service at *base_url*, which ends in `/v1` or the like."""
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        # A redirect would carry the key, and the user's rows, to another host.
        async with (
            DefaultAsyncHttpxClient(follow_redirects=False, timeout=TIMEOUT_SECONDS) as http,
            AsyncOpenAI(api_key=key, base_url=base_url, http_client=http, max_retries=MAX_RETRIES) as client,
        ):
            yield cls(client, service_of(base_url))

    @property
    def limits(self) -> Limits:
        """How much one batch may hold."""
        return self._service.limits

    def answering(self, model: str | None, endpoint: Endpoint) -> ProviderInfo:
        """Say who would answer; a model has to be named."""
        host = self._client.base_url.netloc.decode()
        if not model:
            raise InvalidInput(f"No model is named for {host}. Pass model.")
        return ProviderInfo("service", host, model)

    def is_model_known(self, model: str) -> bool:
        """Give true: only the service itself knows."""
        return True

    async def upload(self, path: Path) -> "FileObject":
        """Upload a batch's input file, streaming. A second upload costs nothing, so it may be tried again."""
        async with _told_apart():
            with path.open("rb") as file:
                return await self._client.files.create(file=file, purpose="batch")

    async def create_batch(self, *, input_file_id: str, endpoint: str, metadata: Mapping[str, str]) -> "Batch":
        """Make a batch, with a single request: the SDK would send it up to three times by itself."""
        async with _told_apart():
            batch = await self._client.with_options(max_retries=0).batches.create(
                input_file_id=input_file_id,
                endpoint=cast("Any", endpoint),
                completion_window=cast("Any", self._service.completion_window),
                metadata=dict(metadata),
            )
        if not batch.id:
            raise ProviderUnclear("The provider's answer to the new batch names no id. It is looked for in the list.")
        return _normal(batch)

    async def batch(self, batch_id: str) -> "Batch":
        """Give a batch as it stands."""
        async with _told_apart():
            return _normal(await self._client.batches.retrieve(batch_id))

    async def batches(self) -> "AsyncIterator[Batch]":
        """Give all batches, newest first."""
        async with _told_apart():
            async for batch in self._client.batches.list(limit=PAGE):
                yield _normal(batch)

    async def cancel_batch(self, batch_id: str) -> "Batch":
        """Ask for a batch to end early."""
        # To cancel a batch that has ended is a conflict; to make one is not.
        async with _told_apart(_REFUSALS | {409}):
            return _normal(await self._client.batches.cancel(batch_id))

    async def files(self) -> "AsyncIterator[FileObject]":
        """Give all files, newest first."""
        async with _told_apart():
            async for file in self._client.files.list(limit=PAGE):
                yield file

    async def download(self, file_id: str, target: Path) -> None:
        """Write a file's content to *target*, streaming, and compare its size with the one that the service names."""
        async with _told_apart():
            expected = (await self._client.files.retrieve(file_id)).bytes
            async with self._client.files.with_streaming_response.content(file_id) as response:
                await response.stream_to_file(target)
        size = (await anyio.Path(target).stat()).st_size
        if expected and size != expected:
            raise ProviderUnreachable(f"{file_id} arrived with {size:,} of {expected:,} bytes. It is fetched again.")

    async def delete_file(self, file_id: str) -> None:
        """Delete a file; one that is gone already is no error."""
        from openai import NotFoundError

        async with _told_apart():
            try:
                await self._client.files.delete(file_id)
            except NotFoundError:
                return


@asynccontextmanager
async def _told_apart(refusals: frozenset[int] = _REFUSALS) -> AsyncGenerator[None]:
    """Turn the SDK's errors into ours, by what the call may have done; *refusals* are statuses that say no.

    Raises:
        ProviderRefused: The provider's own JSON says no: nothing was done.
        ProviderUnreachable: Nothing was sent.
        ProviderUnclear: Anything else: it may have been done.
    """
    import httpx2
    from openai import APIConnectionError, APIError, APIStatusError

    try:
        yield
    except APIStatusError as error:
        message = _message(error.body)
        if error.status_code == 404 and message is not None:
            raise ProviderGone(message) from error
        if error.status_code in refusals and message is not None:
            raise ProviderRefused(message) from error
        raise ProviderUnclear(
            f"The provider answered HTTP {error.status_code}, which does not say what it did."
        ) from error
    except APIConnectionError as error:
        if isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
            raise ProviderUnreachable("The provider cannot be reached; nothing was sent.") from error
        raise ProviderUnclear("The connection to the provider was lost before its answer came.") from error
    except (APIError, httpx2.HTTPError) as error:
        raise ProviderUnclear("The provider's answer could not be read.") from error


def _message(body: Json) -> str | None:
    """Give the message of the provider's own error, without the key that a 401 echoes; None if it is not its own."""
    if not isinstance(body, dict):
        return None
    fields = cast("Mapping[str, Json]", body)
    code, message = fields.get("code"), fields.get("message")
    if code == "invalid_api_key":
        return "The API key is not valid. Set the right one."
    return str(message) if message else None


def _normal(batch: "Batch") -> "Batch":
    """Give a batch as OpenAI would show it: some services write statuses in capitals, errors as a text, no counts."""
    from openai.types.batch import Errors
    from openai.types.batch_error import BatchError

    errors = cast("Json", batch.errors)
    if isinstance(errors, str):
        errors = Errors(data=[BatchError(code="unknown", message=errors)])
    changes = {
        "status": batch.status.lower(),
        "errors": errors,
        "output_file_id": batch.output_file_id or None,
        "error_file_id": batch.error_file_id or None,
    }
    return batch.model_copy(update=changes)
