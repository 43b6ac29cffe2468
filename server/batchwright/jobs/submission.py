"""A part on its way to the provider: split or uploaded, and submitted once. Batches are created nowhere else."""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from batchwright.core import files, transitions
from batchwright.core.crash_points import OnPoint
from batchwright.core.errors import (
    NotReady,
    ProviderError,
    ProviderNotNow,
    ProviderRefused,
    ProviderUnreachable,
)
from batchwright.core.job_folder import JobFolder
from batchwright.core.model import Job, Limits, Part, ProviderInfo, SpendingLimits
from batchwright.core.problem import Problem
from batchwright.core.provenance import HASH_KEY, JOB_KEY, MOST_KEY, NONCE_KEY, PART_KEY, upload_name
from batchwright.core.waiting import Waiting
from batchwright.jobs.recovery import Room, enqueued_limit, is_single, is_too_large, piece_load
from batchwright.requests.measure import Measure
from batchwright.requests.packing import lines_again
from batchwright.requests.parts import PartPlan, write_parts

if TYPE_CHECKING:
    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI

MAX_REFUSALS = 8
"""A part that is refused for now this often is refused for good, with a clear error."""
_WAITS = "it waits until earlier batches have ended"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator allows.

    Attributes:
        enqueued_limit: Of each model; None: learned from the provider's refusals.
        look_seconds: How often running batches are polled, no matter who asks.
        waiting: How long to wait for everything else.
    """

    spending: SpendingLimits = SpendingLimits()  # noqa: RUF009  # it is frozen
    enqueued_limit: int | None = None
    look_seconds: float = 0.0
    waiting: Waiting = Waiting()  # noqa: RUF009  # it is frozen


class Submission:
    """Has the provider make the batches of parts: one for each part, whatever happens."""

    def __init__(self, journal: "Journal", api: "BatchAPI", *, rules: Rules, on_point: OnPoint) -> None:
        self._journal = journal
        self._api = api
        self._rules = rules
        self._on_point = on_point

    def limits_of(self, provider: ProviderInfo) -> Limits:
        """Return how much one batch may hold, as far as it is known before the provider refuses more."""
        limit = self._limit(provider)
        return self._api.limits if limit is None else replace(self._api.limits, max_load=piece_load(limit))

    def room(self, job: Job) -> Room:
        """Return how much of a job may be sent now."""
        limit = self._limit(job.provider)
        enqueued = 0 if limit is None else self._journal.providers.enqueued(job.provider)
        return Room(limit, enqueued, self._journal.waits.paused(job.id))

    def note_wait(self, job: Job, part: Part) -> None:
        """Record that a part waits for room under the enqueued limit."""
        what = "inputs" if job.recipe.endpoint == "/v1/embeddings" else "tokens"
        limit = self._limit(job.provider) or 0
        words = f"{_WAITS}: about {limit:,} {what} of {job.provider.model} may be enqueued at a time"
        self._journal.parts.save_changed(replace(part, problem=Problem.found("waits", words)), part)

    def leave_out(self, part: Part) -> Part:
        """Never submit a part: its job was cancelled before its turn."""
        return self._journal.parts.save(transitions.left_out(part), "never_submitted")

    async def split(self, job: Job, part: Part, folder: JobFolder) -> Part:
        """Put smaller parts in the place of one that is larger than the enqueued limit."""
        limit = self._limit(job.provider) or part.load
        plan = PartPlan(
            job.id,
            folder,
            job.recipe,
            job.provider,
            replace(self._api.limits, max_load=min(max(1, part.load // 2), piece_load(limit))),
            self._on_point,
            first_number=max(other.number for other in job.parts) + 1,
            round=part.round,
        )
        measure = Measure(job.recipe.model, job.recipe.endpoint)
        lines = lines_again(folder, part, measure, plan.limits)
        pieces = (await anyio.to_thread.run_sync(write_parts, plan, lines)).parts
        self._journal.parts.split(part, pieces)
        return transitions.split(part)

    async def upload(self, part: Part, folder: JobFolder) -> Part:
        """Upload the part's file, unless it was changed on disk or an upload that was cut off left it there."""
        path = folder.requests(part)
        if not path.exists() or await anyio.to_thread.run_sync(files.sha256, path) != part.sha256:
            words = f"{path.name} was changed on disk after it was checked, so it was not sent"
            changed = transitions.failed(part, Problem.found("changed_here", words))
            return self._journal.parts.save(changed, "changed_on_disk")
        name = upload_name(part, self._journal.attempts.count(part))
        file_id = created_at = None
        if part.state == "uploading":
            file_id, created_at = await self._find_upload(name, part.size_bytes)
        self._journal.parts.save(transitions.uploading(part))
        self._on_point("upload_meant")
        if file_id is None:
            file = await self._api.upload(path, name=name)
            file_id, created_at = file.id, file.created_at
        self._on_point("upload_answered")
        uploaded = self._journal.parts.save(transitions.uploaded(part, file_id, created_at), "uploaded")
        self._on_point("uploaded")
        return uploaded

    async def create_batch(self, job: Job, part: Part) -> Part:
        """Create the part's batch: send one request, and record what it did."""
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
        # The outcome is recorded even if the assistant hangs up meanwhile.
        with anyio.CancelScope(shield=True):
            part = await self._send(job, part, metadata)
        return part  # noqa: RET504  # the type checker knows that a scope may end before its last line

    async def take_back(self, job: Job, part: Part) -> Part:
        """Take back a batch that the provider refused whole because too much is enqueued: it waits for its turn.

        *part* has what its batch shows.
        """
        others = self._journal.providers.enqueued(job.provider) - part.load
        if limit := enqueued_limit(part.errors):
            self._journal.providers.learn_enqueued_limit(job.provider, limit)
        fresh = transitions.built(part, Problem.found("waits", f"{_WAITS}: the provider lets no more be enqueued now"))
        # This was too much, whatever limit the provider names: others may use it too, or it counts more than we do.
        # If nothing of ours was in the way, the part waits once before it is split.
        has_waited = self._journal.attempts.count(part, "void") > 0
        if others <= 0 and has_waited and is_single(job, part):
            words = f"its one request is larger than what the provider lets be enqueued: {part.errors[0].message}"
            fresh = transitions.failed(fresh, Problem.found("too_large_to_enqueue", words))
        elif others > 0 or has_waited:
            self._journal.waits.tighten_limit(job.provider, max(1, others + part.load - 1))
        if others <= 0 and not is_too_large(job, part, self._limit(job.provider)):
            self._pause(part, None)
        self._journal.parts.close_attempt(fresh, "void")
        if part.file_id:
            with suppress(ProviderError):
                await self._api.delete_file(part.file_id)
        return fresh

    async def _send(self, job: Job, part: Part, metadata: Mapping[str, str]) -> Part:
        """Send the one request that makes a batch, and record what it did."""
        close = self._journal.parts.close_attempt
        try:
            batch = await self._api.create_batch(
                input_file_id=part.file_id or "", endpoint=job.recipe.endpoint, metadata=metadata
            )
        except ProviderNotNow as error:
            if self._journal.attempts.count(part, "refused") + 1 >= MAX_REFUSALS:
                words = f"it was refused {MAX_REFUSALS} times, and given up: {error.problem.words}"
                refused = replace(error.told, words=words) if error.told else Problem.found("refused_often", words)
                return close(transitions.failed(part, refused), "refused")
            self._pause(part, error.after_seconds)
            close(transitions.not_sent(part, part.problem), "refused")
            raise
        except ProviderRefused as error:
            return close(transitions.failed(part, error.problem), "refused")
        except ProviderUnreachable:
            close(transitions.not_sent(part, part.problem), "not_sent")
            raise
        except ProviderError as error:
            # The attempt stays open: its batch may exist, so it is looked for before anything else.
            unknown = self._journal.parts.save(transitions.unconfirmed(part, error.problem), "unknown")
            self._on_point("unknown_written")
            return unknown
        self._on_point("submission_answered")
        part = close(transitions.submitted(part, batch.id, status=batch.status), "created")
        self._on_point("submitted")
        return part

    async def _find_upload(self, name: str, size_bytes: int) -> tuple[str | None, int | None]:
        """Find the file that an interrupted upload may have left."""
        with suppress(ProviderRefused):  # some services list no files
            async for file in self._api.files():
                if file.filename == name and file.bytes == size_bytes:
                    return file.id, file.created_at
        return None, None

    def _limit(self, provider: ProviderInfo) -> int | None:
        limits = [
            self._rules.enqueued_limit,
            self._journal.providers.enqueued_limit(provider),
            self._journal.waits.tightened_limit(provider),
        ]
        return min((limit for limit in limits if limit is not None), default=None)

    def _pause(self, part: Part, seconds: float | None) -> None:
        """Leave a part alone for a while; longer each time if the provider does not say how long."""
        self._journal.waits.pause(part, seconds, first_seconds=self._rules.waiting.pause_seconds)


def _share(job: Job, part: Part) -> Decimal | None:
    """Return what a part may cost if nothing was ever reserved for it; None: nothing is charged."""
    if job.provider.charges == "nothing":
        return None
    return part.ceiling_usd if part.ceiling_usd is not None else job.agreed_usd or Decimal(0)
