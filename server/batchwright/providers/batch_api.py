"""The one interface to whoever runs batches, in the OpenAI SDK's own types. Knows no provider."""

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
"""Sends one request, and gives its answer."""

REFUSALS = frozenset({400, 401, 402, 403, 404, 413, 422, 429})
"""Statuses with which a provider says that it did nothing, so that nothing is charged."""


Look = Callable[[str], Awaitable["Batch | None"]]
"""Gives a batch as it is shown now; None: it is not to be asked for again yet."""


class BatchAPI(Protocol):
    """Files and batches, as OpenAI's API has them.

    Every method raises `ProviderRefused` where the provider says no, `ProviderUnreachable` where nothing was sent, and
    `ProviderUnclear` where something was, and no answer came.
    """

    @property
    def limits(self) -> Limits:
        """How much one batch may hold."""
        ...

    @property
    def account(self) -> str:
        """Who is asked, as a name that gives away neither address nor key."""
        ...

    @property
    def lists_everything(self) -> bool:
        """Whether a batch that is not listed does not exist and will not come into being any more."""
        ...

    @property
    def told(self) -> "ToldTime":
        """The time by the provider's own clock, as far as it tells."""
        ...

    @property
    def next_end(self) -> "anyio.Event":
        """What is set when a batch that this process runs next ends or breaks off; where it runs none, never."""
        ...

    def answering(self, model: str | None, endpoint: Endpoint) -> ProviderInfo:
        """Say who would answer requests for *model*; None means the provider's own choice.

        Raises:
            InvalidInput: Nobody here answers for this model or endpoint.
        """
        ...

    def is_model_known(self, model: str) -> bool:
        """Whether requests may name this model."""
        ...

    def asking(self, endpoint: Endpoint) -> AbstractAsyncContextManager[Ask]:
        """Hold open the way on which single requests are answered now, outside any batch.

        Each is sent once, and never repeated by itself. An error that the provider answers with is its answer, with
        its status.
        """
        ...

    async def upload(self, path: Path, *, name: str) -> "FileObject":
        """Give the provider a batch's input file under a name of its own, streaming."""
        ...

    async def create_batch(self, *, input_file_id: str, endpoint: str, metadata: Mapping[str, str]) -> "Batch":
        """Make a batch. Is sent once, and never repeated by itself."""
        ...

    async def batch(self, batch_id: str) -> "Batch":
        """Return a batch as it stands."""
        ...

    def batches(self) -> "AsyncIterator[Batch]":
        """Yield all batches, newest first."""
        ...

    async def cancel_batch(self, batch_id: str) -> "Batch":
        """Ask for a batch to end early; what was finished is kept."""
        ...

    def files(self) -> "AsyncIterator[FileObject]":
        """Yield all files, newest first."""
        ...

    async def download(self, file_id: str, target: Path, *, max_bytes: int = MAX_FILE_BYTES) -> None:
        """Write a file's content to *target*, streaming; what is there afterwards is whole.

        Raises:
            AnswerTooLarge: It has more than *max_bytes*, so it was not kept.
        """
        ...

    async def delete_file(self, file_id: str) -> None:
        """Delete a file; one that is gone already is no error."""
        ...
