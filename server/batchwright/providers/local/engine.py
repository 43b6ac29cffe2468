"""The local engine: `BatchAPI` in this process. Owns the tasks that run batches; several processes share one store."""

import asyncio
import logging
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

import anyio
import anyio.abc
import anyio.to_thread
from filelock import FileLock, Timeout

from batchwright.core.bounds import MAX_FILE_BYTES
from batchwright.core.clock import ToldTime
from batchwright.core.errors import BatchwrightError, ProviderRefused, ProviderUnreachable
from batchwright.core.model import (
    TERMINAL_BATCH_STATUSES,
    Endpoint,
    Limits,
    ProviderInfo,
    Request,
    ResultLine,
)
from batchwright.core.problem import Problem
from batchwright.providers.local.run import BatchRun, Clock
from batchwright.providers.local.send import Sender
from batchwright.providers.local.store import BatchRecord, FileRecord, Store

if TYPE_CHECKING:
    from openai.types import Batch, FileObject

    from batchwright.providers.batch_api import Ask
    from batchwright.providers.local.target import Target

log = logging.getLogger(__name__)

COMPLETION_SECONDS = 24 * 3600
FIRST_PAUSE_SECONDS = 5.0
MAX_PAUSE_SECONDS = 300.0
_MAX_METADATA = 16


@dataclass(frozen=True, slots=True)
class _Break:
    """A run that broke off: how often in a row, when it may be tried again, and what to tell the user."""

    times: int
    not_before: float
    problem: Problem


@dataclass(slots=True)
class _Readiness:
    """Whether requests can be sent to the target, or why not."""

    known: anyio.Event = field(default_factory=anyio.Event)
    error: BatchwrightError | None = None


class LocalEngine:
    """Files and batches of this machine.

    Batches run in *tasks*: when these end, a batch stops where it is, and continues when it is next polled.
    """

    account = "engine"
    lists_everything = True
    limits = Limits()

    def __init__(self, folder: Path, target: "Target", *, clock: Clock, tasks: anyio.abc.TaskGroup) -> None:
        self._store = Store(folder)
        self._target = target
        self._clock = clock
        self._tasks = tasks
        self._active: set[str] = set()
        self._breaks: dict[str, _Break] = {}
        # anyio's own would check for cancellation at every request, which takes 3 % of the time.
        self._slots = asyncio.Semaphore(target.concurrency)
        self.told = ToldTime()
        self.next_end = anyio.Event()

    def answering(self, model: str | None, endpoint: Endpoint) -> ProviderInfo:
        """Say who would answer; see `BatchAPI`."""
        return self._target.answering(model, endpoint)

    def is_model_known(self, model: str) -> bool:
        """Whether requests may name this model."""
        return self._target.is_model_known(model)

    @asynccontextmanager
    async def asking(self, endpoint: Endpoint) -> "AsyncGenerator[Ask]":
        """Hold the target ready for single requests, which share the batches' slots."""
        readiness = _Readiness()
        # If a model has to be fetched first, it is there next time even if this caller gives up.
        self._tasks.start_soon(self._make_ready, endpoint, readiness)
        async with self._target.open(endpoint), Sender(self._target, endpoint) as sender:

            async def ask(request: Request) -> ResultLine:
                await readiness.known.wait()
                if readiness.error is not None:
                    raise readiness.error
                async with self._slots:
                    return await sender.answer_once(request)

            yield ask

    async def _make_ready(self, endpoint: Endpoint, readiness: _Readiness) -> None:
        try:
            async with self._target.open(endpoint):
                await self._target.upstream(endpoint)
        except Exception as error:
            # It runs beside the batches: the caller gets the error, and the batches continue.
            log.exception("%s: its model could not be made ready", endpoint)
            message = f"The model could not be made ready ({_reason(error)}). Try again, or check the server's log."
            readiness.error = error if isinstance(error, BatchwrightError) else ProviderUnreachable(message)
        finally:
            readiness.known.set()

    async def upload(self, path: Path, *, name: str) -> "FileObject":
        """Copy a batch's input file into the store."""
        times = {"created_at": self._clock.seconds(), "order": self._clock.nanoseconds()}
        return _file_object(await anyio.to_thread.run_sync(partial(self._store.add_file, path, name, **times)))

    async def create_batch(self, *, input_file_id: str, endpoint: str, metadata: Mapping[str, str]) -> "Batch":
        """Create a batch and start it."""
        if endpoint not in get_args(Endpoint):
            supported = ", ".join(get_args(Endpoint))
            raise ProviderRefused(f"Invalid value: '{endpoint}'. Supported values are: {supported}.")
        if len(metadata) > _MAX_METADATA:
            raise ProviderRefused(f"Too many metadata pairs: {len(metadata)}. At most {_MAX_METADATA} are allowed.")
        self._store.file(input_file_id)
        seconds = self._clock.seconds()
        batch = BatchRecord(
            id=self._store.new_id("batch_"),
            endpoint=endpoint,
            input_file_id=input_file_id,
            metadata=dict(metadata),
            created_at=seconds,
            expires_at=seconds + COMPLETION_SECONDS,
            order=self._clock.nanoseconds(),
        )
        self._store.save_batch(batch)
        self._start(batch)
        return self._to_batch(batch)

    async def batch(self, batch_id: str) -> "Batch":
        """Return a batch with its current status; resume it if the process that ran it died."""
        record = self._store.batch(batch_id)
        self._start(record)
        return self._to_batch(record)

    async def batches(self) -> "AsyncIterator[Batch]":
        """Yield all batches, newest first."""
        for record in self._store.batches():
            yield self._to_batch(record)

    async def cancel_batch(self, batch_id: str) -> "Batch":
        """Ask for a batch to be cancelled; the process that runs it notices within a moment."""
        record = self._store.batch(batch_id)
        if record.status in TERMINAL_BATCH_STATUSES:
            raise ProviderRefused(f"Cannot cancel a batch with status '{record.status}'.")
        (self._store.batch_folder(batch_id) / "cancel").touch()
        self._start(record)
        return self._to_batch(record)

    async def files(self) -> "AsyncIterator[FileObject]":
        """Yield all files, newest first."""
        for record in self._store.files():
            yield _file_object(record)

    async def download(self, file_id: str, target: Path, *, max_bytes: int = MAX_FILE_BYTES) -> None:
        """Copy a file's content to *target*; its size is already bounded answer by answer."""
        del max_bytes
        content = self._store.content(self._store.file(file_id))
        await anyio.to_thread.run_sync(shutil.copyfile, content, target)

    async def delete_file(self, file_id: str) -> None:
        """Delete a file; it is no error if it is already gone."""
        self._store.delete_file(file_id)

    def _to_batch(self, record: BatchRecord) -> "Batch":
        broken = self._breaks.get(record.id)
        return _batch(replace(record, problem=broken.problem) if broken else record)

    def _start(self, record: BatchRecord) -> None:
        if record.status in TERMINAL_BATCH_STATUSES or record.id in self._active:
            return
        if (broken := self._breaks.get(record.id)) and anyio.current_time() < broken.not_before:
            return
        lock = FileLock(self._store.batch_folder(record.id) / "lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return  # Another process runs it.
        self._active.add(record.id)
        self._tasks.start_soon(self._run, record.id, lock)

    async def _run(self, batch_id: str, lock: FileLock) -> None:
        try:
            # Read it again under the lock: the previous holder may have made progress.
            record = self._store.batch(batch_id)
            if record.status not in TERMINAL_BATCH_STATUSES:
                run = BatchRun(record, self._store, self._target, now=self._clock, slots=self._slots)
                await run.run()
        except Exception as error:
            # The other batches continue; this one is tried again when it is polled after a pause.
            log.exception("%s: its run broke off", batch_id)
            breaks = self._breaks.get(batch_id)
            times = breaks.times + 1 if breaks else 1
            pause = min(FIRST_PAUSE_SECONDS * 2 ** min(times - 1, 10), MAX_PAUSE_SECONDS)
            broken = Problem.found("broken_off", f"its run broke off ({_reason(error)}) and is tried again")
            self._breaks[batch_id] = _Break(times, anyio.current_time() + pause, broken)
        else:
            self._breaks.pop(batch_id, None)
        finally:
            self._active.discard(batch_id)
            lock.release()
            self.next_end.set()
            self.next_end = anyio.Event()


def _reason(error: BaseException) -> str:
    """Say what broke off a run, through any nesting of exception groups."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) if isinstance(error, BatchwrightError) else type(error).__name__


def _batch(record: BatchRecord) -> "Batch":
    from openai.types import Batch

    told = {each.name: getattr(record, each.name) for each in fields(record)}
    errors = {"object": "list", "data": [asdict(error) for error in record.errors]} if record.errors else None
    counts = {name: told.pop(name) for name in ("total", "completed", "failed")}
    return Batch.model_validate(told | {"errors": errors, "request_counts": counts})


def _file_object(record: FileRecord) -> "FileObject":
    from openai.types import FileObject

    told = {name: getattr(record, name) for name in ("id", "bytes", "created_at", "filename", "purpose")}
    return FileObject.model_validate(told | {"object": "file", "status": "processed"})
