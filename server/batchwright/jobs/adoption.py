"""Batches that this journal does not know: listed, adopted as jobs, and a lost journal made anew from them."""

import logging
import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio.to_thread
import msgspec

from batchwright.core import files
from batchwright.core.bounds import MAX_RESULTS_BYTES, MAX_VECTORS_BYTES
from batchwright.core.errors import (
    AnswerTooLarge,
    BatchwrightError,
    InvalidInput,
    NotReady,
    ProviderGone,
    ProviderNotNow,
    ProviderRefused,
    ProviderUnclear,
    ProviderUnreachable,
)
from batchwright.core.job_folder import JobFolder
from batchwright.core.jsonl import any_result, decode_request, encode_request
from batchwright.core.model import Job, Part, Request
from batchwright.core.provenance import HASH_KEY, NONCE_KEY, PART_KEY, is_from_elsewhere, job_of_batch
from batchwright.core.untrusted import is_model_name
from batchwright.jobs.batch_file import batch_file_recipe
from batchwright.jobs.recovery import is_final, told_faults
from batchwright.results.downloads import measured
from batchwright.tables.frozen import freeze
from batchwright.tables.source import one_file

if TYPE_CHECKING:
    from openai.types import Batch

    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI

log = logging.getLogger(__name__)

MAX_LISTED = 100
"""So many of the provider's newest batches are looked at for a list."""
_KEPT_SECONDS = 31 * 86_400
MAX_REBUILT = 20
"""So many jobs without a folder are fetched at once from a provider that a new journal meets; the others on demand."""


@dataclass(frozen=True, slots=True)
class ForeignBatch:
    """A batch at the provider that this journal does not know."""

    batch_id: str
    status: str
    created_at: datetime
    requests: int | None
    endpoint: str
    job_id: str | None
    """Of the Batchwright that made it."""


class Adoption:
    """Makes jobs of batches."""

    def __init__(
        self,
        journal: "Journal",
        api: "BatchAPI",
        *,
        folder_of: Callable[[str], JobFolder],
        held: Callable[[str], AbstractContextManager[bool]],
        now: Callable[[], datetime],
    ) -> None:
        self._journal = journal
        self._api = api
        self._folder_of, self._held = folder_of, held
        self._now = now

    def foreign(self, batch: "Batch") -> ForeignBatch | None:
        """Say what a batch is that this journal does not know; None: it does."""
        return _foreign(batch) if self._job_of(batch) is None else None

    async def adopt(self, batch_id: str, new_id: Callable[[], str]) -> Job:
        """Make a job of a batch; if another Batchwright made it, of all batches of its job.

        A batch that shows up after its job was taken up from a lost journal is given to that job, if it lacks one.

        Raises:
            NotReady: The journal knows the batch.
            InvalidInput: It is none that can be understood here.
        """
        if job_id := self._journal.job_of_batch(batch_id):
            return await self._found_again(job_id, batch_id)
        batch = await self._api.batch(batch_id)
        if job_id := self._job_of(batch):
            raise NotReady(f"{batch_id} belongs to {job_id} already. See `check_job`.")
        made_for = job_of_batch(batch.metadata)
        if made_for is None:
            return await self._made(new_id(), [batch])
        if self._journal.has_job(made_for):
            return await self._given_back(self._journal.job(made_for), batch) or await self._made(new_id(), [batch])
        siblings = [each async for each in self._api.batches() if job_of_batch(each.metadata) == made_for]
        return await self._restored(made_for, siblings or [batch])

    async def restore(self, folders: Sequence[JobFolder]) -> None:
        """Take up jobs whose folders are there and which the journal does not know; freeze if it was lost."""
        lost = [folder for folder in folders if folder.job_file.exists() and not self._journal.has_job(folder.job_id)]
        if not lost:
            return
        was_empty = self._journal.job_count() == 0
        batches = await self._by_job()
        found: list[Job | None] = []
        for folder in lost:
            with self._held(folder.job_id) as is_held:
                # Whoever else holds it is drafting it, or takes it up, just now.
                if is_held and not self._journal.has_job(folder.job_id):
                    found.append(await self._of_folder(folder.job_id, (batches or {}).get(folder.job_id, ())))
        taken = [job for job in found if job is not None]
        may_run = any(job.submitted_at for job in taken) or any(folder.job_id in (batches or ()) for folder in lost)
        if found and (was_empty or may_run or (taken and batches is None)):
            self._journal.standing.freeze(
                f"The journal was lost; {len(taken)} of {len(found)} jobs were made anew from their folders and the "
                "provider's list. Check with `list_jobs` that none is missing that may be running."
            )

    async def _of_folder(self, job_id: str, batches: "Sequence[Batch]") -> Job | None:
        try:
            return await self._restored(job_id, batches)
        except (BatchwrightError, OSError, ValueError) as error:  # a damaged folder must not keep the others away
            log.error("%s: its folder cannot be read: %s", job_id, type(error).__name__)
            return None

    async def meet(self, host: str) -> None:
        """At a new journal's first submission to a provider: take up the jobs that an earlier journal left there."""
        if self._journal.standing.is_host_known(host):
            return
        try:
            found = await self._by_job() or {}
        except AnswerTooLarge as error:
            self._journal.standing.freeze(
                f"{host} shows more than can be looked through, so it is not known whether a journal that was lost "
                f"left jobs there: {error} Make sure that this job is none of them."
            )
            found = {}
        except (ProviderNotNow, ProviderUnreachable, ProviderUnclear) as error:
            raise ProviderUnreachable(
                f"{host} could not be asked what an earlier journal left there: {error} Nothing was submitted: "
                "try again."
            ) from error
        here = self._journal.standing.origin()
        unknown = {
            job_id: made
            for job_id, made in found.items()
            if not (self._journal.has_job(job_id) or all(is_from_elsewhere(batch.metadata, here) for batch in made))
        }
        taken: list[str] = []
        for job_id, batches in list(unknown.items())[:MAX_REBUILT]:
            try:
                taken.append((await self._restored(job_id, batches)).id)
            except BatchwrightError as error:
                log.warning("%s: it cannot be taken up: %s", job_id, type(error).__name__)
        if unknown:
            self._journal.standing.freeze(
                f"{host} shows batches of {len(unknown)} jobs that this journal does not know, from a journal of this "
                f"machine that was lost, or of an older version; {len(taken)} were taken up, see `list_jobs`. "
                "Make sure that this job is none of them."
            )
        self._journal.standing.know_host(host)

    async def look_again(self, job: Job) -> None:
        """Before rows of another journal are sent: take up the batches that the provider shows for them by now."""
        is_draft = job.submitted_at is None
        if not self._journal.was_restored(job.id) or not (is_draft or job.ended_at is not None):
            return
        batches = (await self._by_job() or {}).get(job.id)
        if batches and is_draft:
            self._journal.forget_draft(job)
            await self._restored(job.id, batches)
        for batch in () if is_draft else batches or ():
            await self._given_back(job, batch)

    def _job_of(self, batch: "Batch") -> str | None:
        return self._journal.job_of_batch(batch.id, (batch.metadata or {}).get(NONCE_KEY, ""))

    async def _found_again(self, job_id: str, batch_id: str) -> Job:
        """Take up a batch of ours that was given up, since the provider did not show it any more."""
        for part in self._journal.job(job_id).running_parts:
            is_gone = part.state == "failed" and not is_final(part.batch_status)
            if part.batch_id == batch_id and (is_gone or part.state == "given_up"):
                await self._api.batch(batch_id)
                if self._journal.give_batch(replace(part, state="submitted", note=None)):
                    return self._journal.job(job_id)
        raise NotReady(f"{batch_id} belongs to {job_id} already. See `check_job`.")

    async def _given_back(self, job: Job, batch: "Batch") -> Job | None:
        """Give a batch to the part that it was made for; None: the part has another one, or is another one now."""
        if job.submitted_at is None:
            await self.look_again(job)
            return self._journal.job(job.id) if self._job_of(batch) else None
        metadata = batch.metadata or {}
        for part in job.running_parts:
            is_same = (str(part.number), part.sha256) == (metadata.get(PART_KEY), metadata.get(HASH_KEY))
            if is_same and self._journal.give_batch(_adopted(part, batch), _nonce(batch)):
                return self._journal.job(job.id)
        return None

    async def _by_job(self) -> "Mapping[str, Sequence[Batch]] | None":
        """Give the batches that this journal does not know, by the job that they name; None: the service lists none."""
        found: defaultdict[str, list[Batch]] = defaultdict(list)
        newest = 0
        try:
            async for batch in self._api.batches():
                newest = max(newest, batch.created_at or 0)
                # Files are kept for 30 days, so older batches have nothing left; times are the provider's own.
                if batch.created_at and batch.created_at < newest - _KEPT_SECONDS:
                    break
                if (job_id := job_of_batch(batch.metadata)) and self._job_of(batch) is None:
                    found[job_id].append(batch)
        except ProviderNotNow:
            raise
        except ProviderRefused:
            return None
        return found

    async def _restored(self, job_id: str, batches: "Sequence[Batch]") -> Job:
        """Take up a job of another journal: from its folder, or from what the provider keeps."""
        folder = self._folder_of(job_id)
        if not folder.job_file.exists():
            return await self._made(job_id, list(_one_for_each_part(batches).values()))
        job = folder.read_job()
        by_part = _one_for_each_part(batches)
        # Of a job that ran, or was adopted, the folder itself names batches: these are not made a second time.
        known = {part.number for part in job.parts if part.batch_id}
        if not by_part and not known:
            first = tuple(
                replace(part, state="built") for part in job.parts if part.round == 1 and part.state != "split"
            )
            self._journal.add_job(replace(job, parts=first), nonces={})
            return self._journal.job(job_id)
        pieces = [number for number in by_part if number > len(job.parts)]
        # A batch that was refused whole gave way to smaller ones.
        ran_nothing = {number for number, batch in by_part.items() if _ran_nothing(batch)}
        split = ran_nothing - set(pieces) if pieces else set[int]()
        # All rounds become one: the newest result of a row counts there too.
        parts = [
            _adopted(replace(part, round=1), by_part[part.number])
            if part.number in by_part and part.number not in split
            else replace(part, round=1, state="submitted")
            if part.number in known - split
            else _without_batch(part, is_split=bool(pieces) or part.state == "split")
            for part in (*job.parts, *(Part(job_id, number, "built", "", 0, 0) for number in pieces))
            if part.number in by_part or part.number in known or part.round == 1
        ]
        counted = [await anyio.to_thread.run_sync(measured, part, folder) for part in parts]
        nonces = {number: _nonce(by_part.get(number)) for number in known | by_part.keys()}
        self._journal.add_job(replace(job, parts=tuple(counted)), nonces=nonces)
        return self._journal.job(job_id)

    async def _made(self, job_id: str, batches: "Sequence[Batch]") -> Job:
        """Make a job of batches whose files the provider keeps."""
        folder = self._folder_of(job_id)
        is_new = not folder.path.exists()
        folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            return await self._taken_up(job_id, batches, folder)
        except BaseException as error:
            if is_new and not self._journal.has_job(job_id):
                folder.remove()
            if isinstance(error, InvalidInput) and batches[0].errors:
                raise InvalidInput(f"{error} {told_faults(batches[0].errors.data or ())}") from error
            raise

    async def _taken_up(self, job_id: str, batches: "Sequence[Batch]", folder: JobFolder) -> Job:
        taken: dict[int, Batch] = {}
        parts: list[Part] = []
        for batch in batches:
            number = len(parts) + 1
            part = await self._fetched(_adopted(Part(job_id, number, "built", "", 0, 0), batch), batch, folder)
            # Of one that ran nothing, and has no input any more, nothing is left to be taken up.
            if part.requests or len(batches) == 1:
                taken[number] = batch
                parts.append(part)
        job = await anyio.to_thread.run_sync(self._described, job_id, taken[1], parts, folder)
        folder.save_job(job)
        nonces = {number: _nonce(batch) for number, batch in taken.items()}
        self._journal.add_job(job, nonces=nonces)
        return self._journal.job(job_id)

    async def _fetched(self, part: Part, batch: "Batch", folder: JobFolder) -> Part:
        """Bring a batch's input file here; where it is gone, its requests are known by their results."""
        try:
            await self._api.download(batch.input_file_id, folder.requests(part))
        except ProviderGone as error:
            if not is_final(batch.status):
                raise NotReady(
                    f"The input file of {batch.id} is gone, so its rows are known only by its results. "
                    "Adopt it when it has ended."
                ) from error
            await self._named_by_results(part, batch, folder)
            part = replace(part, file_id=None)
        return await anyio.to_thread.run_sync(measured, part, folder)

    async def _named_by_results(self, part: Part, batch: "Batch", folder: JobFolder) -> None:
        results = folder.stand_in(part)
        model = batch.model if is_model_name(batch.model or "") else "unknown"
        with folder.requests(part).open("wb") as file:
            for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
                await self._api.download(file_id, results, max_bytes=MAX_RESULTS_BYTES)
                for result in filter(None, map(any_result, files.lines(results, longest=MAX_VECTORS_BYTES))):
                    request = Request(result.custom_id, {"model": model})
                    file.write(encode_request(request, batch.endpoint))
                results.unlink()

    def _described(self, job_id: str, batch: "Batch", parts: Sequence[Part], folder: JobFolder) -> Job:
        """Freeze the ids of the requests as the job's source, and say what it is."""
        recipe = batch_file_recipe(folder.requests(parts[0]), batch.id)
        ids = folder.ids
        seen: set[str] = set()
        with ids.open("wb") as file:
            for part in parts:
                for line in files.lines(folder.requests(part)):
                    custom_id = decode_request(line).custom_id
                    if custom_id not in seen:
                        seen.add(custom_id)
                        file.write(msgspec.json.encode({"custom_id": custom_id}) + b"\n")
        source = freeze(one_file(ids, f"batch {batch.id}"), folder.frozen, id_column="custom_id").source
        ids.unlink()
        return Job(
            id=job_id,
            created_at=datetime.fromtimestamp(batch.created_at or self._now().timestamp(), UTC),
            source=replace(source, path=None, kind="batch" if all(part.file_id for part in parts) else "results"),
            recipe=recipe,
            provider=self._api.answering(recipe.model or None, recipe.endpoint),
            parts=tuple(parts),
        )


def _adopted(part: Part, batch: "Batch") -> Part:
    return replace(part, state="submitted", batch_id=batch.id, batch_status=batch.status, file_id=batch.input_file_id)


def _without_batch(part: Part, *, is_split: bool) -> Part:
    """Give a part that no batch was found for: smaller ones are in its place, or it was never submitted."""
    if is_split:
        return replace(part, state="split")
    note = "no batch of it was found when its journal was made anew (if one shows up, list_jobs has it in `others`)"
    return replace(part, state="verified", batch_status="cancelled", note=note)


def _nonce(batch: "Batch | None") -> str:
    return ((batch and batch.metadata) or {}).get(NONCE_KEY) or f"adopted-{secrets.token_hex(8)}"


def _foreign(batch: "Batch") -> ForeignBatch:
    return ForeignBatch(
        batch_id=batch.id,
        status=batch.status,
        created_at=datetime.fromtimestamp(batch.created_at or 0, UTC),
        requests=batch.request_counts.total if batch.request_counts else None,
        endpoint=batch.endpoint,
        job_id=job_of_batch(batch.metadata),
    )


def _one_for_each_part(batches: "Sequence[Batch]") -> "dict[int, Batch]":
    """Give the batch of each part: of several one with results, else one that runs, else the newest."""

    def worth(batch: "Batch") -> tuple[bool, bool, bool, int]:
        return _has_results(batch), not is_final(batch.status), batch.status != "failed", batch.created_at or 0

    found: dict[int, Batch] = {}
    for batch in sorted(batches, key=worth):
        number = (batch.metadata or {}).get(PART_KEY, "")
        found[int(number) if number.isdecimal() and len(number) < 9 else 0] = batch
    return dict(sorted(found.items()))


def _ran_nothing(batch: "Batch") -> bool:
    return is_final(batch.status) and not _has_results(batch) and not batch.error_file_id


def _has_results(batch: "Batch") -> bool:
    return bool(batch.output_file_id or (batch.request_counts and batch.request_counts.completed))
