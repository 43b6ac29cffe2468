"""A part's batch from its first poll to its results: polled, fetched, verified, kept and joined with all others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from batchwright.core import files, system, transitions
from batchwright.core.bounds import most_results
from batchwright.core.crash_points import OnPoint
from batchwright.core.errors import ProviderGone, ProviderNotNow, ProviderRefused, ProviderUnreachable
from batchwright.core.job_folder import DownloadKind, JobFolder, part_name
from batchwright.core.model import ENDED_STATES, Job, LineError, Outcome, Part, Result
from batchwright.core.problem import Problem
from batchwright.costs.prices import cost, cost_of_sums, price_at
from batchwright.jobs.recovery import is_final, is_overdue, overdue
from batchwright.requests.packing import members_of
from batchwright.results.answers import BATCH_CANCELLED, BATCH_EXPIRED, MAX_PROBLEM_CHARACTERS
from batchwright.results.downloads import Found, mismatch, name_requests
from batchwright.results.joining import PartLines, join_results
from batchwright.results.part_results import PartReader, PartResults, keep, read_part, remove
from batchwright.results.table import ResultTable

if TYPE_CHECKING:
    from openai.types import Batch

    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI, Look

RESTING = frozenset({*ENDED_STATES, "split"})
"""States of a finished part."""
MAX_FETCHES = 3
"""Incomplete results that arrive this often without a change are all that the provider has."""
_EARLY_ENDS: dict[str | None, tuple[Outcome, Problem]] = {"expired": BATCH_EXPIRED, "cancelled": BATCH_CANCELLED}
_LOST = Problem.found("lost", "its results are lost")
_NO_RESULT = Problem.found("lost", "the provider has no result for this row")
_NOT_SUBMITTED = Problem.found("cancelled", "the job was cancelled before this row's turn")


class Collection:
    """Brings what was paid for here, whatever became of the batch."""

    def __init__(
        self,
        journal: "Journal",
        api: "BatchAPI",
        *,
        late_seconds: float,
        now: Callable[[], datetime],
        on_point: OnPoint,
    ) -> None:
        self._journal = journal
        self._api = api
        self._late_seconds = late_seconds
        self._now = now
        self._on_point = on_point

    async def poll(self, job: Job, part: Part, look: "Look") -> Part | None:
        """Return the part with what its batch shows now; None: it is not to be polled again yet."""
        to_cancel = job.cancelled_at is not None and part.state != "cancelling"
        batch = await (self._api.batch if to_cancel else look)(part.batch_id or "")
        return None if batch is None else self._as_shown(job, part, batch)

    async def cancel(self, job: Job, part: Part, seen: Part) -> Part:
        """Cancel the batch of a part, which was just *seen* to be live."""
        try:
            batch = await self._api.cancel_batch(part.batch_id or "")
        except ProviderNotNow:
            raise
        except ProviderRefused as error:  # if it has ended just now, the next poll shows how
            refused = Problem.found("not_cancelled", f"it could not be cancelled: {error}")
            return self._journal.parts.save_changed(replace(seen, problem=refused), part)
        self._on_point("cancel_answered")
        return self._journal.parts.save(transitions.cancelling(self._as_shown(job, part, batch)), "cancelling")

    async def end(self, seen: Part, folder: JobFolder) -> Part:
        """Record that a batch has finished, and which requests its faults are about."""
        errors = await anyio.to_thread.run_sync(name_requests, folder.requests(seen), seen.errors)
        ended = transitions.ended(replace(seen, errors=errors))
        self._journal.parts.save(ended, "batch_ended", ended.batch_status)
        self._on_point("end_seen")
        return ended

    async def collect(self, job: Job, part: Part, folder: JobFolder) -> Part:
        """Fetch the results, check that they are complete, and settle their cost."""
        members = await anyio.to_thread.run_sync(members_of, folder, part)
        lines = folder.lines(part)
        with await anyio.to_thread.run_sync(PartReader, folder, part, job.recipe, members, lines) as reader:
            lost = await self._read(job, part, folder, reader)
            results = await anyio.to_thread.run_sync(reader.finish)
        found = reader.found
        if not lost and (fault := mismatch(part, found)):
            await self._fetch_again(folder, part, fault)
        await anyio.to_thread.run_sync(keep, lines, results)
        notes = [*lost, *([found.note] if found.note else [])]
        rows_file = folder.members(part)
        if job.recipe.inputs_per_request > 1 and not rows_file.exists():
            notes.append(
                f"{rows_file.name} is gone: it is not known which rows its answers belong to, so they are left out"
            )
        is_empty = part.batch_status == "failed" and not part.output_file_id
        known = _cost(job, part, found, is_lost=bool(lost)) if part.cost_usd is None else part.cost_usd
        code = "not_whole" if notes == [found.note] else "lost"
        problem = Problem.found(code, "; ".join(notes)) if notes else None
        is_failed = bool(lost) or is_empty
        part = transitions.collected(part, known, problem, is_failed=is_failed)
        self._journal.parts.save(part, "failed" if is_failed else "verified")
        self._on_point("verified")
        return part

    async def finish(self, job: Job, folder: JobFolder) -> None:
        """Join all results, and count the rows by outcome."""
        tokens = await anyio.to_thread.run_sync(_join, job, folder, folder)
        outcomes = await anyio.to_thread.run_sync(table(job, folder).counts)
        self._journal.mark_ended(job.id, outcomes, tokens=tokens)
        self._on_point("finished")

    async def _read(self, job: Job, part: Part, folder: JobFolder, reader: PartReader) -> list[str]:
        """Fetch the files that are not here yet, and read them all; return what is lost."""
        lost: list[str] = []
        kinds: tuple[DownloadKind, ...] = ("output", "errors")
        for file_id, kind in zip((part.output_file_id, part.error_file_id), kinds, strict=True):
            target, temporary = folder.download(part, kind), folder.arriving(part, kind)
            if target.exists():
                await anyio.to_thread.run_sync(reader.read, target)
                continue
            if not file_id:
                continue
            try:
                await self._api.download(file_id, temporary, max_bytes=most_results(job.recipe, part))
            except ProviderGone:
                await self._api.batch(part.batch_id or "")  # with another key, the batch is gone too
                lost.append(f"its {kind} file {file_id} is gone at the provider: these results are lost")
                continue
            self._on_point("downloaded")
            is_whole = await anyio.to_thread.run_sync(reader.read, temporary)
            if not is_whole and (await self._count_fetch(part, [temporary]))[0] < MAX_FETCHES:
                raise _not_whole(part, "it has a line that cannot be read")
            await anyio.to_thread.run_sync(files.sync, temporary)
            system.replace(temporary, target)
            self._on_point("renamed")
        return lost

    async def _fetch_again(self, folder: JobFolder, part: Part, fault: str) -> None:
        """Fetch results that do not add up again, unless they never change.

        The batch is polled again too: it may have finished before its files were named.

        Raises:
            ProviderUnreachable: They are fetched at the next poll.
        """
        targets = [path for path in folder.downloads(part) if path.exists()]
        times, seconds = await self._count_fetch(part, targets)
        # The provider counts answers, and may still name the file that holds them.
        is_file_missing = part.completed and not part.output_file_id
        if times >= MAX_FETCHES and not (is_file_missing and seconds < self._late_seconds):
            return
        for path in targets:
            path.unlink()
        self._journal.parts.save(transitions.reopened(part))
        raise _not_whole(part, fault)

    async def _count_fetch(self, part: Part, paths: Sequence[Path]) -> tuple[int, float]:
        """Count that results arrived in just this form: how often by now, and the seconds since the first time."""
        content = [await anyio.to_thread.run_sync(files.sha256, path) for path in paths]
        return self._journal.waits.count_fetch(part, " ".join(content))

    def _as_shown(self, job: Job, part: Part, batch: "Batch") -> Part:
        """Return the part with what its batch shows."""
        shown = _with_batch(part, batch)
        if job.provider.kind == "endpoint":
            # The local engine records what each request cost, or may have cost if its answer was lost.
            spent = (batch.model_extra or {}).get("spent_usd")
            shown = replace(shown, cost_usd=None if spent is None else Decimal(spent))
        now = self._now()
        return replace(shown, problem=overdue(shown, now)) if is_overdue(shown, now) else shown


def _not_whole(part: Part, fault: str) -> ProviderUnreachable:
    """Return the error that has a part's results fetched again."""
    return ProviderUnreachable(
        f"The results of {part_name(part)} arrived incomplete: {fault}. They will be fetched again."
    )


def table(job: Job, folder: JobFolder) -> ResultTable:
    """Return the joined results of a finished job."""
    # It is not known what was sent for a row that none of our files names any more.
    rest: Outcome = "unconfirmed" if any(part.batch_id for part in job.parts) else "never_ran"
    return ResultTable(folder.frozen, folder.results, job.source.columns, job.recipe, ended=True, rest=rest)


def table_so_far(job: Job, folder: JobFolder, place: Path) -> ResultTable:
    """Return the joined results of a running job's finished parts, written to *place*."""
    ended = replace(job, parts=tuple(part for part in job.parts if part.state in RESTING))
    so_far = JobFolder(place)
    _join(ended, folder, so_far)
    return ResultTable(folder.frozen, so_far.results, job.source.columns, job.recipe, ended=False)


def _join(job: Job, folder: JobFolder, place: JobFolder) -> tuple[int, int]:
    """Join the results of all rounds to the rows, in *place*, and return the tokens they used."""
    joined: list[PartLines] = []
    input_tokens = output_tokens = 0
    # A retry's parts have higher numbers than those of the rows that it repeats.
    for part in job.parts:
        if part.state != "split":
            lines, members = place.lines(part), members_of(folder, part)
            results = read_part(folder, part, job.recipe, members, lines)
            missing = _missing(part, results, members)
            joined.append(PartLines(part.number, lines, results.longest, missing, results.has_gaps))
            input_tokens += results.input_tokens
            output_tokens += results.output_tokens
    join_results(joined, place.results, job.recipe, folder.frozen)
    for part in joined:
        remove(part.path)
    return input_tokens, output_tokens


def _missing(part: Part, results: PartResults, members: Mapping[str, Sequence[str]]) -> Callable[[str], Result]:
    """Return a function that says why a row has no result: a fault in its own line, or in the whole batch."""
    faults = {error.custom_id: error.problem for error in part.errors if error.custom_id}
    of_rows = {row: fault for custom_id, fault in faults.items() for row in members.get(custom_id, (custom_id,))}
    outcome, reason = ending(part, ran=results.ran, good=results.good)
    return lambda custom_id: Result(custom_id, outcome, problem=of_rows.get(custom_id, reason))


def ending(part: Part, *, ran: int = 0, good: int = 0) -> tuple[Outcome, Problem]:
    """Say what became of a part's requests without a result; *ran* others have one, *good* of them an answer.

    If the provider counts more answers than it gives, it is not known which requests they belong to.
    """
    if part.state == "given_up":
        return "unconfirmed", part.problem or Problem.found("given_up", "it was given up, so it may be paid for")
    if part.batch_id is not None and _may_be_paid(part, ran, good):
        counted = f"the provider counts {part.completed:,} answers and gave {good:,}: this row's may be among the lost"
        missing = Problem.found("may_be_paid", counted) if part.completed > good else _NO_RESULT
        return "unconfirmed", missing if part.state == "verified" else part.problem or _LOST
    return _unpaid_ending(part)


def _unpaid_ending(part: Part) -> tuple[Outcome, Problem]:
    if part.batch_id is None and part.state == "verified":
        return "never_ran", part.problem or _NOT_SUBMITTED
    if part.batch_status in _EARLY_ENDS and part.state == "verified":
        return _EARLY_ENDS[part.batch_status]
    if part.state == "failed" and (part.completed or part.batch_status == "completed"):
        return "failed", part.problem or _LOST
    if part.batch_status == "completed":
        return "failed", _NO_RESULT
    first = part.errors[0].problem if part.errors else part.problem
    if first is None:
        return "never_ran", Problem.found("batch_failed", "its batch failed")
    return "never_ran", replace(first, words=f"its batch failed ({first.words[:MAX_PROBLEM_CHARACTERS]})")


def _may_be_paid(part: Part, ran: int, good: int) -> bool:
    """Whether an answer that is not here may have been paid for."""
    if not is_final(part.batch_status):
        return True
    if part.completed > good and part.completed + part.failed > ran:
        return True
    if part.batch_status == "completed":
        return part.completed + part.failed < part.requests
    # A file that was named, and is gone, may have held any number of them.
    return part.state == "failed" and part.output_file_id is not None and not good


def _with_batch(part: Part, batch: "Batch") -> Part:
    """Return the part with the fields of its batch; what a service omits or leaves empty stays absent."""
    counts = batch.request_counts
    errors = (batch.errors.data if batch.errors else None) or ()
    return replace(
        part,
        batch_status=batch.status.lower(),
        output_file_id=batch.output_file_id or None,
        error_file_id=batch.error_file_id or None,
        completed=(counts.completed or 0) if counts else part.completed,
        failed=(counts.failed or 0) if counts else part.failed,
        problem=_told(batch),
        errors=tuple(LineError(e.code or "unknown", e.message or "", e.line, e.param) for e in errors),
        used_input_tokens=batch.usage.input_tokens if batch.usage else None,
        used_output_tokens=batch.usage.output_tokens if batch.usage else None,
        expires_at=batch.expires_at,
    )


def _told(batch: "Batch") -> Problem | None:
    """Return what a batch says about itself; only the local engine says more than a text."""
    extra = batch.model_extra or {}
    if isinstance(problem := extra.get("problem"), Problem):
        return problem
    return Problem.said(note) if (note := extra.get("note")) else None


def _cost(job: Job, part: Part, found: Found, *, is_lost: bool) -> Decimal | None:
    """Return what a part cost, at list prices and without prompt cache discounts; None: not known."""
    charges = job.provider.charges
    has_run = part.batch_status != "failed" or found.counts or part.output_file_id or part.completed
    if charges == "nothing" or not has_run:
        return Decimal(0)
    known = price_at(job.provider, job.recipe.model, endpoint=job.recipe.endpoint)
    if known is None:
        return None
    processing = "standard" if charges == "standard" else "batch"
    used = part.used_input_tokens or 0, part.used_output_tokens or 0
    summed = sum(into for into, _ in found.counts), sum(out for _, out in found.counts)
    is_summed_whole = not is_lost and len(found.counts) >= max(part.completed, found.good)
    if is_summed_whole and summed[0] >= used[0] and summed[1] >= used[1]:
        return cost(known, found.counts, processing=processing)
    if not any(used):
        return None
    # The provider's own sum is what it charges; which rate applies is known only of single requests.
    longest = max((into for into, _ in found.counts), default=0)
    sums = max(used[0], summed[0]), max(used[1], summed[1])
    return cost_of_sums(known, *sums, longest=longest, processing=processing)
