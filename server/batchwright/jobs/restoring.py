"""A lost journal rebuilt: from the jobs' folders, and from the batches that the provider shows."""

import logging
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio.to_thread

from batchwright.core import transitions
from batchwright.core.errors import (
    AnswerTooLarge,
    BatchwrightError,
    ProviderNotNow,
    ProviderRefused,
    ProviderUnclear,
    ProviderUnreachable,
)
from batchwright.core.job_folder import JobFolders
from batchwright.core.model import Job, Part
from batchwright.core.problem import Problem
from batchwright.core.provenance import HASH_KEY, NONCE_KEY, PART_KEY, is_from_elsewhere, job_of_batch
from batchwright.jobs.recovery import is_final
from batchwright.jobs.remote_jobs import RemoteJobs, nonce_of, with_batch
from batchwright.results.downloads import measure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openai.types import Batch

    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI

log = logging.getLogger(__name__)

_KEPT_SECONDS = 31 * 86_400
MAX_REBUILT = 20
"""How many jobs without a folder are restored at a new journal's first submission; the others on demand."""


class Restoring:
    """Restores jobs of another journal."""

    def __init__(self, journal: "Journal", api: "BatchAPI", remote_jobs: RemoteJobs, *, folders: JobFolders) -> None:
        self._journal, self._api, self._folders = journal, api, folders
        self._remote_jobs = remote_jobs

    async def restore(self) -> None:
        """Restore the jobs whose folders the journal does not know; freeze if the journal was lost."""
        lost = [
            folder
            for folder in self._folders.all()
            if folder.job_file.exists() and not self._journal.queries.has_job(folder.job_id)
        ]
        if not lost:
            return
        was_empty = self._journal.queries.job_count() == 0
        batches = await self._by_job()
        found: list[Job | None] = []
        for folder in lost:
            with folder.held() as is_held:
                # Another process that holds it is drafting or restoring it.
                if is_held and not self._journal.queries.has_job(folder.job_id):
                    found.append(await self._restore_folder(folder.job_id, (batches or {}).get(folder.job_id, ())))
        taken = [job for job in found if job is not None]
        may_run = any(job.submitted_at for job in taken) or any(folder.job_id in (batches or ()) for folder in lost)
        if found and (was_empty or may_run or (taken and batches is None)):
            self._journal.freezes.add(
                f"The journal was lost; {len(taken)} of {len(found)} jobs were restored from their folders and the "
                "provider's list. Check with `list_jobs` that no running job is missing."
            )

    async def _restore_folder(self, job_id: str, batches: "Sequence[Batch]") -> Job | None:
        try:
            return await self.restore_job(job_id, batches)
        except (BatchwrightError, OSError, ValueError) as error:  # a damaged folder must not stop the others
            log.error("%s: its folder cannot be read: %s", job_id, type(error).__name__)
            return None

    async def meet(self, host: str) -> None:
        """Before a new journal's first submission to a host: restore the jobs that an earlier journal left there."""
        if self._journal.providers.was_searched(host):
            return
        try:
            found = await self._by_job() or {}
        except AnswerTooLarge as error:
            self._journal.freezes.add(
                f"{host} lists more batches than can be searched, so a lost journal may have left jobs there: {error} "
                "Make sure that this job is not one of them."
            )
            found = {}
        except (ProviderNotNow, ProviderUnreachable, ProviderUnclear) as error:
            raise ProviderUnreachable(
                f"{host} could not be asked whether an earlier journal left jobs there: {error} Nothing was submitted. "
                "Try again."
            ) from error
        here = self._journal.queries.origin()
        unknown = {
            job_id: made
            for job_id, made in found.items()
            if not (
                self._journal.queries.has_job(job_id) or all(is_from_elsewhere(batch.metadata, here) for batch in made)
            )
        }
        taken: list[str] = []
        for job_id, batches in list(unknown.items())[:MAX_REBUILT]:
            try:
                taken.append((await self.restore_job(job_id, batches)).id)
            except BatchwrightError as error:
                log.warning("%s: cannot be restored: %s", job_id, type(error).__name__)
        if unknown:
            self._journal.freezes.add(
                f"{host} shows batches of {len(unknown)} jobs that this journal does not know, from a lost journal of "
                f"this machine, or from an older version; {len(taken)} were restored, see `list_jobs`. "
                "Make sure that this job is not one of them."
            )
        self._journal.providers.mark_searched(host)

    async def look_again(self, job: Job) -> None:
        """Before a restored job is sent: adopt the batches that the provider shows for it by now."""
        is_draft = job.submitted_at is None
        if not self._journal.events.has(job.id, "restored") or not (is_draft or job.ended_at is not None):
            return
        batches = (await self._by_job() or {}).get(job.id)
        if batches and is_draft:
            self._journal.forget_draft(job)
            await self.restore_job(job.id, batches)
        for batch in () if is_draft else batches or ():
            await self.give_back(job, batch)

    def job_of(self, batch: "Batch") -> str | None:
        """Return the job that the journal knows a batch of; None: it does not know the batch."""
        return self._journal.queries.job_of_batch(batch.id, (batch.metadata or {}).get(NONCE_KEY, ""))

    async def give_back(self, job: Job, batch: "Batch") -> Job | None:
        """Return a batch to the part it was made for; None: the part has another batch, or was drafted anew."""
        if job.submitted_at is None:
            await self.look_again(job)
            return self._journal.job(job.id) if self.job_of(batch) else None
        metadata = batch.metadata or {}
        for part in job.running_parts:
            is_same = (str(part.number), part.sha256) == (metadata.get(PART_KEY), metadata.get(HASH_KEY))
            if is_same and self._journal.give_batch(with_batch(part, batch), nonce_of(batch)):
                return self._journal.job(job.id)
        return None

    async def _by_job(self) -> "Mapping[str, Sequence[Batch]] | None":
        """Return the batches that this journal does not know, by the job they name; None: the service has no list."""
        found: defaultdict[str, list[Batch]] = defaultdict(list)
        newest = 0
        try:
            async for batch in self._api.batches():
                newest = max(newest, batch.created_at or 0)
                # Files are kept for 30 days, so older batches have none left; times are by the provider's clock.
                if batch.created_at and batch.created_at < newest - _KEPT_SECONDS:
                    break
                if (job_id := job_of_batch(batch.metadata)) and self.job_of(batch) is None:
                    found[job_id].append(batch)
        except ProviderNotNow:
            raise
        except ProviderRefused:
            return None
        return found

    async def restore_job(self, job_id: str, batches: "Sequence[Batch]") -> Job:
        """Restore a job of another journal: from its folder, or from the files that the provider keeps."""
        folder = self._folders.of(job_id)
        if not folder.job_file.exists():
            return await self._remote_jobs.make(job_id, list(_one_for_each_part(batches).values()))
        job = folder.read_job()
        by_part = _one_for_each_part(batches)
        # The folder of a job that ran, or was adopted, names its batches: these are not made a second time.
        known = {part.number for part in job.parts if part.batch_id}
        if not by_part and not known:
            first = tuple(transitions.built(part) for part in job.parts if part.round == 1 and part.state != "split")
            self._journal.add_job(replace(job, parts=first), nonces={})
            return self._journal.job(job_id)
        pieces = [number for number in by_part if number > len(job.parts)]
        # A batch that was refused whole was replaced by smaller ones.
        ran_nothing = {number for number, batch in by_part.items() if _ran_nothing(batch)}
        split = ran_nothing - set(pieces) if pieces else set[int]()
        # All rounds become one, in which the newest result of a row counts too.
        parts = [
            with_batch(replace(part, round=1), by_part[part.number])
            if part.number in by_part and part.number not in split
            else transitions.reopened(replace(part, round=1))
            if part.number in known - split
            else _without_batch(part, is_split=bool(pieces) or part.state == "split")
            for part in (*job.parts, *(Part(job_id, number, "built", "", 0, 0) for number in pieces))
            if part.number in by_part or part.number in known or part.round == 1
        ]
        counted = [await anyio.to_thread.run_sync(measure, part, folder) for part in parts]
        nonces = {number: nonce_of(by_part.get(number)) for number in known | by_part.keys()}
        self._journal.add_job(replace(job, parts=tuple(counted)), nonces=nonces)
        return self._journal.job(job_id)


def _without_batch(part: Part, *, is_split: bool) -> Part:
    """Return a part for which no batch was found: it was split, or never submitted."""
    if is_split:
        return transitions.split(part)
    words = "no batch of it was found when its journal was rebuilt (if one shows up, list_jobs has it in `others`)"
    return transitions.left_out(part, Problem.found("no_batch_found", words))


def _one_for_each_part(batches: "Sequence[Batch]") -> "dict[int, Batch]":
    """Return the batch of each part: one with results if there is any, otherwise a running one, or the newest."""

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
