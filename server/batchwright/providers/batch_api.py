"""The one interface to whoever runs batches, in the OpenAI SDK's types. Knows no provider."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from batchwright.core.bounds import MAX_FILE_BYTES
from batchwright.core.model import Endpoint, Limits, ProviderInfo, Request, ResultLine

if TYPE_CHECKING:
    import anyio
    from openai.types import Batch, FileObject

    from batchwright.core.clock import ToldTime

Ask = Callable[[Request], Awaitable[ResultLine]]
"""Sends one request and returns its answer."""

REFUSALS = frozenset({400, 401, 402, 403, 404, 413, 422, 429})
"""Statuses that mean the provider did nothing, so nothing is charged."""

Look = Callable[[str], Awaitable["Batch | None"]]
"""Returns a batch with its current status; None: it must not be polled again yet."""


class BatchAPI(Protocol):
    """Files and batches, as OpenAI's API has them.

    Every method raises `ProviderRefused` if the provider says no, `ProviderUnreachable` if nothing was sent, and
    `ProviderUnclear` if something was sent and no answer came.
    """

    @property
    def limits(self) -> Limits:
        """How much one batch may hold."""
        ...

    @property
    def account(self) -> str:
        """A name for the account that reveals neither address nor key."""
        ...

    @property
    def lists_everything(self) -> bool:
        """Whether a batch that is not listed does not exist and never will."""
        ...

    @property
    def told(self) -> "ToldTime":
        """The time by the provider's own clock, as far as it is known."""
        ...

    @property
    def next_end(self) -> "anyio.Event":
        """Set when a batch that this process runs next finishes or breaks off; never, if it runs none."""
        ...

    def answering(self, model: str | None, endpoint: Endpoint) -> ProviderInfo:
        """Say who would answer requests for *model*; None means the provider's own choice.

        Raises:
            InvalidInput: This model or endpoint is not available here.
        """
        ...

    def is_model_known(self, model: str) -> bool:
        """Whether requests may name this model."""
        ...

    def asking(self, endpoint: Endpoint) -> AbstractAsyncContextManager[Ask]:
        """Hold a connection open for single requests, answered at once and outside any batch.

        Each is sent once and never retried. If the provider answers with an error, that error and its status are the
        answer.
        """
        ...

    async def upload(self, path: Path, *, name: str) -> "FileObject":
        """Upload a batch's input file as *name*, streaming."""
        ...

    async def create_batch(self, *, input_file_id: str, endpoint: str, metadata: Mapping[str, str]) -> "Batch":
        """Create a batch. The call is sent once and never retried."""
        ...

    async def batch(self, batch_id: str) -> "Batch":
        """Return a batch with its current status."""
        ...

    def batches(self) -> "AsyncIterator[Batch]":
        """Yield all batches, newest first."""
        ...

    async def cancel_batch(self, batch_id: str) -> "Batch":
        """Ask for a batch to be cancelled; finished answers are kept."""
        ...

    def files(self) -> "AsyncIterator[FileObject]":
        """Yield all files, newest first."""
        ...

    async def download(self, file_id: str, target: Path, *, max_bytes: int = MAX_FILE_BYTES) -> None:
        """Write a file's content to *target*, streaming, whole or not at all.

        Raises:
            AnswerTooLarge: It has more than *max_bytes*, so it was not kept.
        """
        ...

    async def delete_file(self, file_id: str) -> None:
        """Delete a file; it is no error if it is already gone."""
        ...
