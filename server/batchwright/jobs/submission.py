"""A part on its way to the provider: uploaded, and made a batch once.

Only here batches are made.
"""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from batchwright.core import files
from batchwright.core.crash_points import OnPoint
from batchwright.core.errors import (
    NotReady,
    ProviderError,
    ProviderNotNow,
    ProviderRefused,
    ProviderUnreachable,
)
from batchwright.core.job_folder import JobFolder
from batchwright.core.model import Job, Limits, LineError, Part, ProviderInfo, SpendingLimits
from batchwright.core.problem import Problem
from batchwright.core.provenance import HASH_KEY, JOB_KEY, MOST_KEY, NONCE_KEY, PART_KEY, upload_name
from batchwright.core.waiting import Waiting
from batchwright.jobs.recovery import enqueued_limit, piece_load, without_batch
from batchwright.requests.measure import Measure
from batchwright.requests.packing import lines_again
from batchwright.requests.parts import PartPlan, write_parts

if TYPE_CHECKING:
    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI

MAX_REFUSALS = 8
"""After so many refusals `for now` the part is given up, with a clear error."""
_WAITS = "it waits until earlier batches have ended"
_LONGEST_PAUSE_SECONDS = 1_800.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator lets be submitted.

    Attributes:
        enqueued_limit: Of each model; None: learned from the provider's refusals.
        look_seconds: How often running batches are looked at, whoever asks.
        waiting: How long everything else is waited for.
    """

    spending: SpendingLimits = SpendingLimits()  # noqa: RUF009  # it is frozen
    enqueued_limit: int | None = None
    look_seconds: float = 0.0
    waiting: Waiting = Waiting()  # noqa: RUF009  # it is frozen


class Submission:
    """Has the provider make the batches of parts: for each part one, whatever happens."""

    def __init__(self, journal: "Journal", api: "BatchAPI", *, rules: Rules, on_point: OnPoint) -> None:
        self._journal = journal
        self._api = api
        self._rules = rules
        self._on_point = on_point
        self._not_before: dict[tuple[str, int], float] = {}
        self._pauses: dict[tuple[str, int], float] = {}
        self._shrunk: dict[tuple[str, str], int] = {}

    async def upload(self, job: Job, part: Part, folder: JobFolder) -> Part:
        """Give the provider the part's file, if there is room for its batch."""
        if self._journal.queries.is_cancelled(job.id):
            return self._never_submitted(part)
        waiting = self._waiting(job, part)
        if waiting is not None:
            return waiting
        if self._is_too_large(job, part):
            return await self._split(job, part, folder)
        path = folder.requests(part)
        if not path.exists() or await anyio.to_thread.run_sync(files.sha256, path) != part.sha256:
            words = f"{path.name} is not as it was checked: it was changed on disk, so it was not sent"
            failed = replace(part, state="failed", problem=Problem.found("changed_here", words))
            return self._journal.parts.save(failed, "changed_on_disk")
        name = upload_name(part, self._journal.attempts.count(part))
        file_id = created_at = None
        if part.state == "uploading":
            file_id, created_at = await self._find_upload(name, part.size_bytes)
        self._journal.parts.save(replace(part, state="uploading"))
        self._on_point("upload_meant")
        if file_id is None:
            file = await self._api.upload(path, name=name)
            file_id, created_at = file.id, file.created_at
        self._on_point("upload_answered")
        uploaded = replace(part, state="uploaded", file_id=file_id, file_created_at=created_at or None, problem=None)
        self._journal.parts.save(uploaded, "uploaded")
        self._on_point("uploaded")
        return uploaded

    async def create_batch(self, job: Job, part: Part) -> Part:
        """Have the part's batch made: one request is sent, and what it did is written down."""
        if self._journal.queries.is_cancelled(job.id) or part.file_id is None:
            return self._never_submitted(part)
        waiting = self._waiting(job, part)
        if waiting is not None:
            return waiting
        nonce = secrets.token_hex(16)
        try:
            part = self._journal.parts.open_attempt(part, nonce, share=_share(job, part), limits=self._rules.spending)
        except NotReady as error:
            return self._journal.parts.save_changed(replace(part, problem=error.problem), part)
        self._on_point("submission_meant")
        metadata = {JOB_KEY: job.id, PART_KEY: str(part.number), NONCE_KEY: nonce, HASH_KEY: part.sha256}
        metadata |= self._journal.queries.origin()
        if job.provider.kind == "endpoint" and job.provider.charges != "nothing":
            metadata[MOST_KEY] = str(self._journal.ledger.reserved(part))
        # What was begun is written down, also if the assistant hangs up meanwhile.
        with anyio.CancelScope(shield=True):
            part = await self._send(job, part, metadata)
        return part  # noqa: RET504  # the type checker knows that a scope may end before its last line

    async def take_back(self, job: Job, part: Part, errors: tuple[LineError, ...]) -> Part:
        """Take back a batch that the provider refused whole since too much is enqueued: it waits for its turn."""
        others = self._journal.providers.enqueued(job.provider) - part.load
        if limit := enqueued_limit(errors):
            self._journal.providers.learn_enqueued_limit(job.provider, limit)
        waits = Problem.found("waits", f"{_WAITS}: the provider lets no more be enqueued now")
        fresh = replace(without_batch(part), problem=waits)
        # So much was too much, whatever the provider's count says: others may use the limit too, or it counts more than
        # we do. Where nothing of ours was in the way, it waits once before smaller parts are made.
        has_waited = self._journal.attempts.count(part, "void") > 0
        if others <= 0 and has_waited and _is_one(job, part):
            words = f"its one request is larger than what the provider lets be enqueued: {errors[0].message}"
            fresh = replace(fresh, state="failed", problem=Problem.found("too_large_to_enqueue", words))
        elif others > 0 or has_waited:
            self._shrunk[job.provider.host, job.provider.model] = max(1, others + part.load - 1)
        limit = self._limit(job.provider)
        if others <= 0 and (limit is None or part.load <= limit or _is_one(job, part)):
            self._pause(part, None)
        self._journal.parts.close_attempt(fresh, "void")
        if part.file_id:
            with suppress(ProviderError):
                await self._api.delete_file(part.file_id)
        return fresh

    async def _send(self, job: Job, part: Part, metadata: Mapping[str, str]) -> Part:
        """Send the one request that makes a batch, and write down what it did."""
        try:
            batch = await self._api.create_batch(
                input_file_id=part.file_id or "", endpoint=job.recipe.endpoint, metadata=metadata
            )
        except ProviderNotNow as error:
            if self._journal.attempts.count(part, "refused") + 1 >= MAX_REFUSALS:
                words = f"it was refused {MAX_REFUSALS} times, and given up: {error.problem.words}"
                refused = replace(error.told, words=words) if error.told else Problem.found("refused_often", words)
                return self._journal.parts.close_attempt(replace(part, state="failed", problem=refused), "refused")
            self._journal.parts.close_attempt(replace(part, state="uploaded"), "refused")
            self._pause(part, error.after_seconds)
            raise
        except ProviderRefused as error:
            return self._journal.parts.close_attempt(replace(part, state="failed", problem=error.problem), "refused")
        except ProviderUnreachable:
            self._journal.parts.close_attempt(replace(part, state="uploaded"), "not_sent")
            raise
        except ProviderError as error:
            # The attempt stays open: its batch may exist, so it is looked for before anything else.
            unknown = self._journal.parts.save(replace(part, state="unknown", problem=error.problem), "unknown")
            self._on_point("unknown_written")
            return unknown
        self._on_point("submission_answered")
        part = replace(part, state="submitted", batch_id=batch.id, batch_status=batch.status, problem=None)
        self._journal.parts.close_attempt(part, "created")
        self._on_point("submitted")
        return part

    async def _find_upload(self, name: str, size_bytes: int) -> tuple[str | None, int | None]:
        """Find the file that an upload cut off may have left."""
        with suppress(ProviderRefused):  # some services list no files
            async for file in self._api.files():
                if file.filename == name and file.bytes == size_bytes:
                    return file.id, file.created_at
        return None, None

    def limits_of(self, provider: ProviderInfo) -> Limits:
        """Say how much one batch may hold, as far as it is known before the provider refuses more."""
        limit = self._limit(provider)
        return self._api.limits if limit is None else replace(self._api.limits, max_load=piece_load(limit))

    def _limit(self, provider: ProviderInfo) -> int | None:
        limits = [
            self._rules.enqueued_limit,
            self._journal.providers.enqueued_limit(provider),
            self._shrunk.get((provider.host, provider.model)),
        ]
        return min((limit for limit in limits if limit is not None), default=None)

    def _is_too_large(self, job: Job, part: Part) -> bool:
        limit = self._limit(job.provider)
        return not _is_one(job, part) and limit is not None and part.load > limit

    def _waiting(self, job: Job, part: Part) -> Part | None:
        """Return the part with what it waits for; None: it may go on."""
        if self._not_before.get((part.job_id, part.number), 0.0) > anyio.current_time():
            return part
        limit = self._limit(job.provider)
        if limit is None or part.load > limit:
            return None
        if self._journal.providers.enqueued(job.provider) + part.load <= limit:
            return None
        what = "inputs" if job.recipe.endpoint == "/v1/embeddings" else "tokens"
        words = f"{_WAITS}: about {limit:,} {what} of {job.provider.model} may be enqueued at a time"
        return self._journal.parts.save_changed(replace(part, problem=Problem.found("waits", words)), part)

    def _pause(self, part: Part, seconds: float | None) -> None:
        """Leave a part alone for a while; longer each time, if the provider does not say how long."""
        key = part.job_id, part.number
        pause = self._pauses.get(key, self._rules.waiting.pause_seconds / 2) * 2 if seconds is None else seconds
        self._pauses[key] = min(pause, _LONGEST_PAUSE_SECONDS)
        self._not_before[key] = anyio.current_time() + self._pauses[key]

    async def _split(self, job: Job, part: Part, folder: JobFolder) -> Part:
        """Put smaller parts in the place of one that is larger than the enqueued limit."""
        limit = self._limit(job.provider) or part.load
        plan = PartPlan(
            job.id,
            folder,
            job.recipe,
            job.provider,
            replace(self._api.limits, max_load=min(max(1, part.load // 2), piece_load(limit))),
            self._on_point,
            first_number=max(other.number for other in self._journal.job(job.id).parts) + 1,
            round=part.round,
        )
        measure = Measure(job.recipe.model, job.recipe.endpoint)
        lines = lines_again(folder, part, measure, plan.limits)
        pieces = (await anyio.to_thread.run_sync(write_parts, plan, lines)).parts
        self._journal.parts.split(part, pieces)
        return replace(part, state="split")

    def _never_submitted(self, part: Part) -> Part:
        ended = replace(part, state="verified", batch_status="cancelled", problem=None)
        return self._journal.parts.save(ended, "never_submitted")


def _is_one(job: Job, part: Part) -> bool:
    """Whether nothing smaller can take a part's place."""
    return part.requests == 1 and (job.recipe.inputs_per_request == 1 or part.load <= 1)


def _share(job: Job, part: Part) -> Decimal | None:
    """Give what a part may cost if nothing was ever reserved for it; None: nothing is charged."""
    if job.provider.charges == "nothing":
        return None
    return part.ceiling_usd if part.ceiling_usd is not None else job.agreed_usd or Decimal(0)
