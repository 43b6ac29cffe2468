"""A retry: a new round over some rows of a job, with its recipe mended."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import anyio.to_thread

from batchwright.core import files
from batchwright.core.crash_points import OnPoint
from batchwright.core.errors import InvalidInput, NotReady
from batchwright.core.job_folder import JobFolders
from batchwright.core.jsonl import decode_request
from batchwright.core.model import Job, Outcome, Request
from batchwright.jobs.advance import Runs
from batchwright.jobs.build import Draft
from batchwright.jobs.collection import table
from batchwright.jobs.explain import Failures
from batchwright.jobs.mending import Mending
from batchwright.jobs.preflight import DraftWarning, check_body, check_recipe
from batchwright.requests.duplicates import digest
from batchwright.requests.measure import Line, Measure
from batchwright.requests.packing import pack
from batchwright.requests.parts import OnRows, PartPlan, first_request, write_parts
from batchwright.requests.rendering import Renderer

if TYPE_CHECKING:
    from batchwright.jobs.restoring import Restoring
    from batchwright.jobs.submission import Submission
    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI
    from batchwright.providers.shutdown_dates import ShutdownDates

MAX_WARNINGS = 5
RETRIABLE: tuple[Outcome, ...] = tuple(name for name in get_args(Outcome) if name not in {"answered", "running"})


class Retrying:
    """Drafts new rounds of jobs that have ended."""

    def __init__(  # noqa: PLR0913  # a round is drafted as a job is, and over the results of those before
        self,
        journal: "Journal",
        api: "BatchAPI",
        folders: JobFolders,
        runs: Runs,
        submission: "Submission",
        *,
        restoring: "Restoring",
        failures: Failures,
        shutdown_dates: "ShutdownDates",
        on_point: OnPoint,
    ) -> None:
        self._journal, self._api, self._folders = journal, api, folders
        self._runs, self._submission = runs, submission
        self._restoring = restoring
        self._failures = failures
        self._shutdown_dates = shutdown_dates
        self._on_point = on_point

    async def draft(self, job_id: str, mending: Mending, on_rows: OnRows) -> Draft:
        """Draft a new round over rows of an ended job that have no good answer. Spends nothing.

        Raises:
            NotReady: The job has not ended, or there is nothing to retry.
            InvalidInput: The mended recipe cannot be used.
        """
        await self._restoring.look_again(self._journal.job(job_id))
        await self._runs.advance(job_id)
        folder = self._folders.of(job_id)
        with folder.held() as is_held:
            job = self._journal.job(job_id)
            if not is_held:
                raise NotReady(f"{job_id} is being worked on just now. Try again in a moment.")
            retried = retried_outcomes(job, mending)
            recipe = mending.recipe(job.recipe)
            provider = self._api.answering(recipe.model, recipe.endpoint)
            ending = await self._shutdown_dates.warning(provider)
            ids = await anyio.to_thread.run_sync(table(job, folder).ids, list(retried))
            plan = PartPlan(
                job_id,
                folder,
                recipe,
                provider,
                self._submission.limits_of(provider),
                self._on_point,
                # What was drafted before may be submitted just now: its files stay as they are.
                first_number=1 + max(part.number for part in job.parts),
                round=job.round + 1,
            )
            made = await anyio.to_thread.run_sync(draft_round, job, plan, ids, mending, on_rows)
            kept: dict[Outcome, int] = {
                name: count for name, count in job.counts.items() if count and name not in retried
            }
            if again := retried.get("unconfirmed"):
                note = f"{again:,} of these rows may have been answered and paid for: they may then be paid twice."
                made = replace(made, warnings=[DraftWarning("paid_twice", note), *made.warnings])
            explained = await self._failures.explain_retry(job, retried, mending)
            self._journal.add_round(made.job, made.job.parts, kept=kept)
            folder.save_job(self._journal.job(job_id))
        ends = [DraftWarning("shutdown", ending)] if ending else []
        return replace(made, retried=explained, warnings=[*made.warnings, *ends])


def retried_outcomes(job: Job, mending: Mending) -> dict[Outcome, int]:
    """Say how many rows of each outcome a retry takes up.

    Raises:
        NotReady: The job has not ended, or there is nothing to retry.
        InvalidInput: Its requests are not known any more.
    """
    if job.source.kind == "results":
        raise InvalidInput(
            f"The input file of {job.id} is gone at the provider: its requests are known only by their results, "
            "and none can be sent again. Make a new job with `create_batch_file`."
        )
    if job.ended_at is None or job.outcomes is None:
        raise NotReady(f"{job.id} is {job.status}: a retry is for a job that has ended. Look with `check_job`.")
    retried: dict[Outcome, int] = {name: job.counts[name] for name in mending.outcomes if job.counts[name]}
    if not retried:
        left = ", ".join(f"{name} {count:,}" for name, count in job.counts.items() if count)
        raise NotReady(
            f"{job.id} has no rows that are {' or '.join(mending.outcomes)}: {left}. "
            f"{'Name others in outcomes.' if job.counts['answered'] < job.source.rows else 'Nothing is to be retried.'}"
        )
    return retried


def draft_round(job: Job, plan: PartPlan, ids: Mapping[str, Outcome], mending: Mending, on_rows: OnRows) -> Draft:
    """Write the parts of a new round over the rows with *ids*; the job that is given has only these parts. Synchronous.

    Where requests pack several rows, those that failed go alone: one bad input is enough to fail all the others.

    Raises:
        InvalidInput: The mended recipe cannot be used.
    """
    is_batch = job.source.kind == "batch"
    # In order, each once: the requests of a ready-made file may differ in their parameters.
    warnings = dict.fromkeys(() if is_batch else check_recipe(plan.recipe, plan.provider))

    def checked() -> Iterator[Line]:
        measure = Measure(plan.recipe.model, plan.recipe.endpoint)
        for request in _again(job, plan, ids, mending):
            warnings.update(dict.fromkeys(check_body(plan.recipe.endpoint, request.body, plan.provider)))
            yield measure.request(request)

    def lines() -> Iterator[Line]:
        for number, line in enumerate(checked() if is_batch else _anew(job, plan, ids), 1):
            yield line
            on_rows(number, len(ids))

    most = plan.recipe.inputs_per_request
    alone = {custom_id for custom_id, outcome in ids.items() if outcome == "failed"}
    written = write_parts(plan, pack(lines(), most, plan.limits, alone=alone) if most > 1 else lines())
    made = replace(job, recipe=plan.recipe, provider=plan.provider, parts=written.parts)
    return Draft(made, first_request(plan.folder, made.parts), written.estimate, list(warnings)[:MAX_WARNINGS])


def _anew(job: Job, plan: PartPlan, ids: Collection[str]) -> Iterator[Line]:
    sent: dict[str, tuple[int, bytes]] = {}
    for row, custom_id, line, _ in Renderer(plan.recipe, job.source.columns).requests(plan.folder.frozen, ids):
        if job.source.requests is not None:
            asked = digest(line.data)
            first, before = sent.setdefault(custom_id, (row, asked))
            if asked != before:
                raise InvalidInput(
                    f"Rows {first} and {row} share one request since they asked the same, and with this prompt they "
                    "do not any more. Mend it without columns in which they differ, or make a new job."
                )
            if first != row:
                continue
        yield line


def _again(job: Job, plan: PartPlan, ids: Collection[str], mending: Mending) -> Iterator[Request]:
    seen: set[str] = set()
    # Newest first: a request that was mended before stays mended.
    for part in reversed(job.parts):
        if part.round <= job.round and part.state != "split":
            for line in files.lines(plan.folder.requests(part)):
                request = decode_request(line)
                if request.custom_id in ids and request.custom_id not in seen:
                    seen.add(request.custom_id)
                    yield Request(request.custom_id, mending.body(request.body))
