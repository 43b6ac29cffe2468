"""Runs one batch from validation to its end: checks it, sends its requests, records every answer as it arrives.

Can be killed at any point: a new run reads what was recorded and sends only what is missing.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, cast

import anyio
import anyio.abc
import anyio.to_thread

from batchwright.checks.lines import check_batch
from batchwright.core import files
from batchwright.core.error_bodies import refusal
from batchwright.core.jsonl import ANSWER_LOST, BUDGET_USED_UP, decode_request, split_lines
from batchwright.core.model import Endpoint, LineError, Request, ResultLine
from batchwright.core.problem import Problem
from batchwright.core.provenance import MOST_KEY
from batchwright.providers.local.payments import Free, Payments, ceilings
from batchwright.providers.local.recorder import Recorder
from batchwright.providers.local.send import Sender

if TYPE_CHECKING:
    from batchwright.providers.local.store import BatchRecord, Store
    from batchwright.providers.local.target import Target


log = logging.getLogger(__name__)

MAX_ERRORS = 100
_ROOM_BYTES = 1 << 20
_LOOK_SECONDS = 0.25
_REFUSALS = frozenset({401, 403, 404})
_REFUSALS_TO_STOP = 3
_LOST = (
    ANSWER_LOST,
    "The request was sent, and its answer was lost: it counts as paid with the most that it may cost.",
)


class BatchRun:
    """Runs one batch. The caller holds the batch's lock; *slots* limit the requests of all batches together."""

    def __init__(
        self, batch: "BatchRecord", store: "Store", target: "Target", *, now: "Clock", slots: asyncio.Semaphore
    ) -> None:
        self._batch = batch
        self._store = store
        self._target = target
        self._now = now
        self._slots = slots
        self._folder = store.batch_folder(batch.id)
        self._payments: Free | Payments = Free()
        self._refusal: ResultLine | None = None
        self._resting = 0

    async def run(self) -> None:
        """Bring the batch to its end, from whatever state it is in."""
        if self._batch.status == "validating" and not await self._validate():
            return
        await anyio.to_thread.run_sync(self._make_sure_of_room)
        recorder = await anyio.to_thread.run_sync(Recorder, self._folder, self._requests)
        try:
            self._payments = await anyio.to_thread.run_sync(self._open_payments)
            if self._batch.status != "finalizing":
                await self._send_all(recorder)
                if self._batch.status == "failed":
                    return
                self._save(status="finalizing", finalizing_at=self._now.seconds())
            await anyio.to_thread.run_sync(self._finish, recorder)
        finally:
            recorder.close()
            self._payments.close()
        self._publish(recorder)

    def _open_payments(self) -> Free | Payments:
        """Open the record of what the requests cost."""
        if (most := self._batch.metadata.get(MOST_KEY)) is None:
            return Free()
        model, endpoint, budget = self._batch.model or "", cast("Endpoint", self._batch.endpoint), Decimal(most)
        costs = self._target.costs(model, endpoint)
        most_of_each = ceilings(self._requests(), costs=costs, budget_usd=budget)
        return Payments(self._folder / "payments", most_of_each, budget, costs)

    def _make_sure_of_room(self) -> None:
        """Fail on a full disk before sending anything whose answer could not be kept."""
        room = self._folder / "room"
        try:
            room.write_bytes(bytes(_ROOM_BYTES))
        finally:
            room.unlink(missing_ok=True)

    async def _validate(self) -> bool:
        errors, total, model = await anyio.to_thread.run_sync(self._check)
        if errors:
            self._save(status="failed", failed_at=self._now.seconds(), errors=errors[:MAX_ERRORS], total=total)
            return False
        self._save(status="in_progress", in_progress_at=self._now.seconds(), total=total, model=model)
        return True

    def _check(self) -> tuple[list[LineError], int, str | None]:
        total = 0

        def counted() -> Iterator[bytes]:
            nonlocal total
            for line in split_lines(files.blocks(self._input)):
                total += bool(line)
                yield line

        errors = list(check_batch(counted(), self._batch.endpoint, is_model_known=self._target.is_model_known))
        first = next(self._requests(), None) if not errors else None
        return errors, total, first.body.get("model") if first else None

    async def _send_all(self, recorder: "Recorder") -> None:
        """Send what has no result yet, until all is done, cancelled or out of time."""
        if self._is_over():
            return
        payments, endpoint = self._payments, self._batch.endpoint
        async with Sender(self._target, endpoint, payments=payments) as sender, anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, tasks.cancel_scope, sender, recorder)
            async with self._target.open(endpoint):
                before, passes = -1, payments.passes
                while passes and before < recorder.done < self._batch.total and not self._is_refused(recorder):
                    before, passes = recorder.done, passes - 1
                    await self._send_open(sender, recorder)
            tasks.cancel_scope.cancel()
            if self._refusal is not None and self._is_refused(recorder):
                self._fail(self._refusal)

    async def _send_open(self, sender: Sender, recorder: "Recorder") -> None:
        requests = (each for each in enumerate(self._requests()) if not recorder.has(each[0]))
        async with anyio.create_task_group() as workers:
            for _ in range(min(self._target.concurrency, self._batch.total - recorder.done)):
                workers.start_soon(self._work, requests, sender, recorder, workers)

    def _is_refused(self, recorder: "Recorder") -> bool:
        """Whether the endpoint seems to refuse the key or the model, so that every other row would fail too."""
        return self._refusal is not None and recorder.completed == 0 and not self._payments.has_any()

    async def _work(
        self,
        requests: Iterator[tuple[int, Request]],
        sender: Sender,
        recorder: "Recorder",
        workers: anyio.abc.TaskGroup,
    ) -> None:
        for number, request in requests:
            async with self._slots:
                line = await self._answer(number, request, sender)
            if line is None:
                continue
            line_id = self._store.new_id("batch_req_")
            recorder.add(number, line, line_id, line_id.removeprefix("batch_"))
            if line.status_code in _REFUSALS and recorder.failed >= _REFUSALS_TO_STOP:
                self._refusal = line
            if self._is_refused(recorder):
                # Requests sent before may still be answered, and charged: wait for them.
                self._resting += 1
                return
            while self._resting:
                self._resting -= 1
                workers.start_soon(self._work, requests, sender, recorder, workers)

    async def _answer(self, number: int, request: Request, sender: Sender) -> ResultLine | None:
        try:
            return await sender.answer(request, number)
        except Exception as error:
            if self._payments.is_paid and isinstance(error, OSError):
                raise  # What cannot be recorded is not sent.
            # A fault in one request must not stop the others, nor cause endless retries.
            log.exception("%s: a request failed in the engine", self._batch.id)
            message = f"The engine could not handle the answer ({type(error).__name__})."
            return ResultLine(request.custom_id, error_code="engine_error", error_message=message)

    def _fail(self, line: ResultLine) -> None:
        refused = refusal(line.status_code or 0, line.body)
        reason = f"The endpoint refused the first requests with {refused.words}"
        self._save(
            status="failed",
            failed_at=self._now.seconds(),
            problem=None,
            errors=[LineError(refused.code or "endpoint_refused", reason)],
            spent_usd=self._payments.spent_usd,
        )

    async def _watch(self, scope: anyio.CancelScope, sender: Sender, recorder: "Recorder") -> None:
        """Save the counts while requests run, and stop them when the user or the clock says so."""
        while True:
            await anyio.sleep(_LOOK_SECONDS)
            shown = (self._batch.completed, self._batch.failed, self._batch.problem, self._batch.spent_usd)
            problem = Problem.found("preparing", self._target.note) if self._target.note else sender.trouble
            now = (recorder.completed, recorder.failed, problem, self._payments.spent_usd)
            if shown != now:
                self._save(completed=now[0], failed=now[1], problem=problem, spent_usd=now[3])
            if self._is_over():
                scope.cancel()

    def _is_over(self) -> bool:
        """Whether the user or the clock has stopped the sending."""
        if (self._folder / "cancel").exists():
            if self._batch.cancelling_at is None:
                self._save(status="cancelling", cancelling_at=self._now.seconds())
            return True
        return self._now.seconds() >= self._batch.expires_at

    def _finish(self, recorder: "Recorder") -> None:
        """Write a line for every request that has no answer yet."""
        if recorder.done == self._batch.total:
            return
        never_ran = self._never_ran()
        for number, request in enumerate(self._requests()):
            if not recorder.has(number):
                code, message = _LOST if self._payments.may_have_paid(number) else never_ran
                line = ResultLine(request.custom_id, error_code=code, error_message=message)
                recorder.add(number, line, self._store.new_id("batch_req_"), "")

    def _never_ran(self) -> tuple[str, str]:
        """Return the code and the message for requests that were never sent."""
        if self._batch.cancelling_at is not None:
            return "batch_cancelled", "This request was not executed before the batch was cancelled."
        if self._now.seconds() >= self._batch.expires_at or not self._payments.is_paid:
            return "batch_expired", "This request could not be executed before the completion window expired."
        return BUDGET_USED_UP, "This request was not sent: those before it may have cost all that was agreed."

    def _publish(self, recorder: "Recorder") -> None:
        batch, seconds = self._batch, self._now.seconds()
        output_id, error_id = [
            self._store.publish(batch, name, created_at=seconds, order=self._now.nanoseconds())
            for name in (Recorder.OUTPUT, Recorder.ERRORS)
        ]
        status = "cancelled" if batch.cancelling_at else "expired" if recorder.has_expired else "completed"
        self._save(
            **{"status": status, f"{status}_at": seconds},
            completed=recorder.completed,
            failed=recorder.failed,
            output_file_id=output_id,
            error_file_id=error_id,
            problem=None,
            spent_usd=self._payments.spent_usd,
        )

    def _requests(self) -> Iterator[Request]:
        return map(decode_request, files.lines(self._input))

    @property
    def _input(self) -> Path:
        return self._store.content(self._store.file(self._batch.input_file_id))

    def _save(self, **changes: object) -> None:
        self._batch = replace(self._batch, **changes)
        self._store.save_batch(self._batch)


class Clock:
    """The time: seconds for the Batch API, nanoseconds to order its objects."""

    def __init__(self, nanoseconds: Callable[[], int]) -> None:
        self.nanoseconds = nanoseconds

    def seconds(self) -> int:
        """Whole seconds since 1970."""
        return self.nanoseconds() // 1_000_000_000
