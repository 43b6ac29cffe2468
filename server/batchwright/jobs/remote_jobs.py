"""Jobs made from batches whose files the provider keeps: those of a lost journal, or of another program."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio.to_thread
import msgspec

from batchwright.core import files, transitions
from batchwright.core.bounds import MAX_RESULTS_BYTES, MAX_VECTORS_BYTES
from batchwright.core.errors import InvalidInput, NotReady, ProviderGone
from batchwright.core.job_folder import JobFolder, JobFolders
from batchwright.core.jsonl import any_result, decode_request, encode_request
from batchwright.core.model import Job, Part, Request
from batchwright.core.provenance import NONCE_KEY
from batchwright.core.untrusted import is_model_name
from batchwright.jobs.batch_file import batch_file_recipe
from batchwright.jobs.recovery import is_final
from batchwright.results.downloads import measure
from batchwright.tables.frozen import freeze
from batchwright.tables.source import one_file

if TYPE_CHECKING:
    from openai.types import Batch, BatchError

    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI


_MAX_FAULTS = 3


class RemoteJobs:
    """Makes jobs from batches at the provider."""

    def __init__(
        self, journal: "Journal", api: "BatchAPI", *, folders: JobFolders, now: Callable[[], datetime]
    ) -> None:
        self._journal, self._api, self._folders = journal, api, folders
        self._now = now

    async def make(self, job_id: str, batches: "Sequence[Batch]") -> Job:
        """Make a job from batches whose files the provider keeps."""
        folder = self._folders.of(job_id)
        is_new = not folder.path.exists()
        folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            return await self._take_up(job_id, batches, folder)
        except BaseException as error:
            if is_new and not self._journal.queries.has_job(job_id):
                folder.remove()
            if isinstance(error, InvalidInput) and batches[0].errors:
                raise InvalidInput(f"{error} {_describe_faults(batches[0].errors.data or ())}") from error
            raise

    async def _take_up(self, job_id: str, batches: "Sequence[Batch]", folder: JobFolder) -> Job:
        taken: dict[int, Batch] = {}
        parts: list[Part] = []
        for batch in batches:
            number = len(parts) + 1
            part = await self._fetch(with_batch(Part(job_id, number, "built", "", 0, 0), batch), batch, folder)
            # Nothing is left of a batch that ran nothing and whose input file is gone.
            if part.requests or len(batches) == 1:
                taken[number] = batch
                parts.append(part)
        job = await anyio.to_thread.run_sync(self._describe, job_id, taken[1], parts, folder)
        folder.save_job(job)
        nonces = {number: nonce_of(batch) for number, batch in taken.items()}
        self._journal.add_job(job, nonces=nonces)
        return self._journal.job(job_id)

    async def _fetch(self, part: Part, batch: "Batch", folder: JobFolder) -> Part:
        """Fetch a batch's input file; if it is gone, its requests are named by their results."""
        try:
            await self._api.download(batch.input_file_id, folder.requests(part))
        except ProviderGone as error:
            if not is_final(batch.status):
                raise NotReady(
                    f"The input file of {batch.id} is gone, so only its results can name its rows. "
                    "Adopt it when it has finished."
                ) from error
            await self._name_by_results(part, batch, folder)
            part = replace(part, file_id=None)
        return await anyio.to_thread.run_sync(measure, part, folder)

    async def _name_by_results(self, part: Part, batch: "Batch", folder: JobFolder) -> None:
        results = folder.stand_in(part)
        model = batch.model if is_model_name(batch.model or "") else "unknown"
        with folder.requests(part).open("wb") as file:
            for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
                await self._api.download(file_id, results, max_bytes=MAX_RESULTS_BYTES)
                for result in filter(None, map(any_result, files.lines(results, longest=MAX_VECTORS_BYTES))):
                    request = Request(result.custom_id, {"model": model})
                    file.write(encode_request(request, batch.endpoint))
                results.unlink()

    def _describe(self, job_id: str, batch: "Batch", parts: Sequence[Part], folder: JobFolder) -> Job:
        """Freeze the ids of the requests as the source of a job, and return the job."""
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


def _describe_faults(faults: "Sequence[BatchError]") -> str:
    """Say why a provider refused a whole batch, line by line."""
    said = [f"{f'line {each.line}: ' if each.line else ''}{each.code}: {each.message}" for each in faults[:_MAX_FAULTS]]
    more = f"; and {len(faults) - _MAX_FAULTS:,} more" if len(faults) > _MAX_FAULTS else ""
    return f"The provider says why it failed: {'; '.join(said)}{more}."


def with_batch(part: Part, batch: "Batch") -> Part:
    """Return a part as one that was submitted as *batch*."""
    return transitions.submitted(part, batch.id, status=batch.status, file_id=batch.input_file_id)


def nonce_of(batch: "Batch | None") -> str:
    """Return the nonce of the attempt that made a batch, or a new one if the batch names none."""
    return ((batch and batch.metadata) or {}).get(NONCE_KEY) or f"adopted-{secrets.token_hex(8)}"
