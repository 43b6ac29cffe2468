"""Submitted jobs on their way: parts are uploaded, submitted, watched and collected. Only here batches are made."""

import logging
import secrets
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import anyio
import anyio.to_thread
from filelock import FileLock, Timeout

from batchwright import files
from batchwright.answers import reader
from batchwright.drafts import FROZEN
from batchwright.errors import BatchwrightError, ProviderError, ProviderGone, ProviderRefused, ProviderUnreachable
from batchwright.jsonl import decode_result
from batchwright.model import Job, LineError, Part, Result
from batchwright.recovery import NONCE_KEY, Step, adopted, is_final, next_step
from batchwright.tables.results import ResultTable, write_results

if TYPE_CHECKING:
    from openai.types import Batch

    from batchwright.batch_api import BatchAPI
    from batchwright.journal import Closing, Journal

log = logging.getLogger(__name__)

LOCK = "lock"
"""In a job's folder: held by the process that works on the job."""
RESULTS = "results.jsonl"


class Runs:
    """Moves submitted jobs on. One process at a time works on a job; the others see what it did."""

    def __init__(self, journal: "Journal", api: "BatchAPI", jobs_folder: Path) -> None:
        self._journal = journal
        self._api = api
        self._jobs_folder = jobs_folder

    def folder(self, job_id: str) -> Path:
        """Give the folder with a job's files."""
        return self._jobs_folder / job_id

    def folders(self) -> Sequence[Path]:
        """Give the folders of all jobs, and of drafts that were cut off."""
        return sorted(self._jobs_folder.iterdir()) if self._jobs_folder.exists() else ()

    def table(self, job: Job) -> ResultTable:
        """Give the joined results of a job that has ended."""
        folder = self.folder(job.id)
        return ResultTable(folder / FROZEN, folder / RESULTS, job.source.columns, job.recipe, ended=True)

    async def advance(self, job_id: str) -> Job:
        """Do all that can be done for a job now, without waiting for answers, and give it as it stands then.

        A job that another process is working on is left to it; so is one that was made for another provider.
        """
        job = self._journal.job(job_id)
        if job.submitted_at is None or job.ended_at is not None:
            return job
        if not self.is_answered_here(job):
            return self.shown(job)
        with self._held(job_id) as is_held:
            # Read again under the lock: whoever held it before may have brought the job to its end.
            if is_held and self._journal.job(job_id).ended_at is None:
                await self._advance_parts(job_id)
        return self._journal.job(job_id)

    def is_answered_here(self, job: Job) -> bool:
        """Whether this server's provider is the one that the job was drafted for: no other may answer in its name."""
        try:
            return self._api.answering(job.recipe.model, job.recipe.endpoint) == job.provider
        except BatchwrightError:
            return False

    async def _advance_parts(self, job_id: str) -> None:
        while True:
            was_cancelled = self._journal.is_cancelled(job_id)
            job = self._journal.job(job_id)
            for part in job.parts:
                await self._advance_part(job, part)
            if self._journal.is_cancelled(job_id) == was_cancelled:
                break
        job = self._journal.job(job_id)
        if all(part.state in {"verified", "failed"} for part in job.parts):
            # Once begun it is brought to its end: on a large job it may take longer than the call that began it.
            with anyio.CancelScope(shield=True):
                await self._finish(job)

    def shown(self, job: Job) -> Job:
        """Give a job with a note, where it does not go on since it was made for another provider."""
        if job.submitted_at is None or job.ended_at is not None or self.is_answered_here(job):
            return job
        note = (
            f"it was made for {job.provider.model} at {job.provider.host}, and this server has another provider; "
            "it goes on where a server is started with the former settings"
        )
        return replace(job, parts=tuple(replace(part, note=note) for part in job.parts))

    async def cancel(self, job_id: str) -> None:
        """Have a job end early: parts that were not submitted never are, the others' batches are cancelled."""
        self._journal.mark_cancelled(job_id)
        await self.advance(job_id)

    @contextmanager
    def _held(self, job_id: str) -> Generator[bool]:
        lock = FileLock(self.folder(job_id) / LOCK, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    async def _advance_part(self, job: Job, part: Part) -> None:
        was_looked_for = False
        while (step := next_step(part, was_looked_for=was_looked_for)) not in {"rest", "wait_for_user"}:
            before = part
            was_looked_for = was_looked_for or step == "look_for_batch"
            try:
                part = await self._step(step, job, part)
            except ProviderGone as error:
                self._saved(replace(part, state="failed", note=f"it is gone at the provider: {error}"), "gone")
                return
            except (ProviderError, OSError) as error:
                # Read again: the step may have brought the part further before it failed.
                current = next(p for p in self._journal.job(job.id).parts if p.number == part.number)
                reason = f"{error.strerror} ({error.filename})" if isinstance(error, OSError) else str(error)
                self._journal.save_part(replace(current, note=reason))
                return
            if part == before:
                return

    async def _step(self, step: Step, job: Job, part: Part) -> Part:
        match step:
            case "upload":
                return await self._uploaded(job, part)
            case "create":
                return await self._created(job, part)
            case "look_for_batch":
                return await self._looked_for(part)
            case "poll":
                return await self._polled(job, part)
            case "collect":
                return await self._collected(job, part)
            case "rest" | "wait_for_user":
                return part
            case _:
                assert_never(step)

    async def _uploaded(self, job: Job, part: Part) -> Part:
        if self._journal.is_cancelled(job.id):
            return self._saved(replace(part, state="verified", batch_status="cancelled"), "never submitted")
        path = self.folder(job.id) / part.file_name
        if not path.exists() or await anyio.to_thread.run_sync(files.sha256, path) != part.sha256:
            note = f"{part.file_name} is not as it was checked: it was changed on disk, so it was not sent"
            return self._saved(replace(part, state="failed", note=note), "changed on disk")
        self._journal.save_part(replace(part, state="uploading"))
        file = await self._api.upload(path)
        return self._saved(replace(part, state="uploaded", file_id=file.id, note=None), "uploaded")

    async def _created(self, job: Job, part: Part) -> Part:
        if self._journal.is_cancelled(job.id) or part.file_id is None:
            return self._saved(replace(part, state="verified", batch_status="cancelled"), "never submitted")
        nonce = secrets.token_hex(16)
        part = self._journal.open_attempt(part, nonce)
        metadata = {"batchwright_job": job.id, "batchwright_part": str(part.number), NONCE_KEY: nonce}
        # What was begun is written down, also if the assistant hangs up meanwhile.
        with anyio.CancelScope(shield=True):
            part = await self._sent(job, part, metadata)
        return part  # noqa: RET504  # the type checker knows that a scope may end before its last line

    async def _sent(self, job: Job, part: Part, metadata: Mapping[str, str]) -> Part:
        """Send the one request that makes a batch, and write down what it did."""
        try:
            batch = await self._api.create_batch(
                input_file_id=part.file_id or "", endpoint=job.recipe.endpoint, metadata=metadata
            )
        except ProviderRefused as error:
            return self._closed(replace(part, state="failed", note=str(error)), "refused")
        except ProviderUnreachable:
            self._closed(replace(part, state="uploaded"), "not_sent")
            raise
        except ProviderError as error:
            # The attempt stays open: its batch may exist, so it is looked for before anything else.
            return self._saved(replace(part, state="unknown", note=str(error)), "unknown")
        part = replace(part, state="submitted", batch_id=batch.id, batch_status=batch.status, note=None)
        return self._closed(part, "created")

    async def _looked_for(self, part: Part) -> Part:
        """Find the batch that an attempt cut off may have made."""
        nonce = self._journal.open_nonce(part) or ""
        batches = [batch async for batch in self._api.batches()]
        batch_id = adopted(batches, nonce=nonce, file_id=part.file_id or "")
        if batch_id is not None:
            return self._closed(replace(part, state="submitted", batch_id=batch_id, note=None), "created")
        if self._api.lists_everything:
            return self._closed(replace(part, state="uploaded", note=None), "not_sent")
        note = "it is not confirmed whether its batch was made; nothing was sent again"
        return self._saved(replace(part, state="unknown", note=note), "unknown")

    async def _polled(self, job: Job, part: Part) -> Part:
        batch = await self._api.batch(part.batch_id or "")
        if self._journal.is_cancelled(job.id) and not is_final(batch.status) and part.state != "cancelling":
            batch = await self._api.cancel_batch(batch.id)
            return self._saved(replace(_shown(part, batch), state="cancelling"), "cancelling")
        shown = _shown(part, batch)
        if is_final(batch.status):
            return self._saved(replace(shown, state="ended"), f"ended {shown.batch_status}")
        if shown != part:
            self._journal.save_part(shown)
        # The same part as before says that there is nothing more to do now.
        return part

    async def _collected(self, job: Job, part: Part) -> Part:
        """Bring the results here, and check that every line is whole."""
        folder = self.folder(job.id)
        for file_id, kind in ((part.output_file_id, "output"), (part.error_file_id, "errors")):
            if not file_id:
                continue
            target = result_file(folder, part, kind)
            temporary = target.with_suffix(".part")
            await self._api.download(file_id, temporary)
            await anyio.to_thread.run_sync(_verify, temporary, part.file_name)
            temporary.replace(target)
        state = "failed" if part.batch_status == "failed" and not part.output_file_id else "verified"
        return self._saved(replace(part, state=state), state)

    async def _finish(self, job: Job) -> None:
        """Read all results once, write them in one form, and count the rows by what became of them."""
        folder = self.folder(job.id)
        tokens = _Tokens()

        def write() -> None:
            temporary = folder / f"{RESULTS}.part"
            write_results(tokens.counted(_results(folder, job)), temporary, job.recipe)
            files.sync(temporary)
            temporary.replace(folder / RESULTS)

        await anyio.to_thread.run_sync(write)
        outcomes = await anyio.to_thread.run_sync(self.table(job).counts)
        self._journal.mark_ended(job.id, outcomes, tokens=(tokens.input, tokens.output))

    def _closed(self, part: Part, outcome: "Closing") -> Part:
        self._journal.close_attempt(part, outcome)
        return part

    def _saved(self, part: Part, event: str) -> Part:
        self._journal.save_part(part, event)
        return part


def result_file(folder: Path, part: Part, kind: str) -> Path:
    """Give the path of a part's downloaded output or error file."""
    return folder / f"{Path(part.file_name).stem}.{kind}.jsonl"


class _Tokens:
    def __init__(self) -> None:
        self.input = self.output = 0

    def counted(self, results: Iterator[Result]) -> Iterator[Result]:
        for result in results:
            self.input += result.input_tokens
            self.output += result.output_tokens
            yield result


def _shown(part: Part, batch: "Batch") -> Part:
    """Give the part with what its batch shows; fields that a service leaves out or empty stay absent."""
    counts = batch.request_counts
    errors = (batch.errors.data if batch.errors else None) or ()
    return replace(
        part,
        batch_status=batch.status.lower(),
        output_file_id=batch.output_file_id or None,
        error_file_id=batch.error_file_id or None,
        completed=(counts.completed or 0) if counts else part.completed,
        failed=(counts.failed or 0) if counts else part.failed,
        note=(batch.model_extra or {}).get("note"),
        errors=tuple(LineError(e.code or "unknown", e.message or "", e.line, e.param) for e in errors),
    )


def _results(folder: Path, job: Job) -> Iterator[Result]:
    """Read every part's result files; of several results for one request the first counts."""
    read = reader(job.recipe)
    seen: set[str] = set()
    for part in job.parts:
        for kind in ("output", "errors"):
            path = result_file(folder, part, kind)
            for line in files.lines(path) if path.exists() else ():
                result = decode_result(line)
                if result.custom_id not in seen:
                    seen.add(result.custom_id)
                    yield read(result)


def _verify(path: Path, name: str) -> None:
    try:
        for line in files.lines(path):
            decode_result(line)
    except ValueError as error:
        raise ProviderUnreachable(f"The results of {name} did not arrive whole. They are fetched again.") from error
    files.sync(path)
