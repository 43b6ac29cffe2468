"""A retry: a new round over some rows of a finished job, with its recipe changed where the user wants."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

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
from batchwright.jobs.preflight import DraftWarning, check_body, check_recipe
from batchwright.jobs.retry_request import RetryRequest
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


class Retrying:
    """Drafts new rounds of finished jobs."""

    def __init__(  # noqa: PLR0913  # a round is drafted as a job is, and from the results of earlier rounds
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

    async def draft(self, job_id: str, wanted: RetryRequest, on_rows: OnRows) -> Draft:
        """Draft a new round over rows of a finished job that have no good answer. Spends nothing.

        Raises:
            NotReady: The job has not finished, or there is nothing to retry.
            InvalidInput: The changed recipe cannot be used.
        """
        await self._restoring.look_again(self._journal.job(job_id))
        await self._runs.advance(job_id)
        folder = self._folders.of(job_id)
        with folder.held() as is_held:
            job = self._journal.job(job_id)
            if not is_held:
                raise NotReady(f"{job_id} is being worked on just now. Try again in a moment.")
            retried = retried_outcomes(job, wanted)
            recipe = wanted.recipe(job.recipe)
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
                # An earlier draft may be being submitted now: its files must not change.
                first_number=1 + max(part.number for part in job.parts),
                round=job.round + 1,
            )
            made = await anyio.to_thread.run_sync(draft_round, job, plan, ids, wanted, on_rows)
            kept: dict[Outcome, int] = {
                name: count for name, count in job.counts.items() if count and name not in retried
            }
            explained = await self._failures.explain_retry(job, retried, wanted)
            self._journal.add_round(made.job, made.job.parts, kept=kept)
            folder.save_job(self._journal.job(job_id))
        warnings = [*made.warnings]
        if again := retried.get("unconfirmed"):
            note = f"{again:,} of these rows may have been answered and paid for already: they may be paid for twice."
            warnings.insert(0, DraftWarning("paid_twice", note))
        if ending:
            warnings.append(DraftWarning("shutdown", ending))
        return replace(made, retried=explained, warnings=warnings)


def retried_outcomes(job: Job, wanted: RetryRequest) -> dict[Outcome, int]:
    """Return how many rows of each outcome a retry sends again.

    Raises:
        NotReady: The job has not finished, or there is nothing to retry.
        InvalidInput: Its requests are lost.
    """
    if job.source.kind == "results":
        raise InvalidInput(
            f"The provider no longer has the input file of {job.id}, so none of its requests can be sent again. "
            "Make a new job with `create_batch_file`."
        )
    if job.ended_at is None or job.outcomes is None:
        raise NotReady(f"{job.id} is {job.status}. Only a finished job can be retried: see `check_job`.")
    retried: dict[Outcome, int] = {name: job.counts[name] for name in wanted.outcomes if job.counts[name]}
    if not retried:
        rows = ", ".join(f"{name} {count:,}" for name, count in job.counts.items() if count)
        is_done = job.counts["answered"] == job.source.rows
        raise NotReady(
            f"{job.id} has no rows that are {' or '.join(wanted.outcomes)}. Its rows: {rows}. "
            f"{'There is nothing to retry.' if is_done else 'Name other outcomes.'}"
        )
    return retried


def draft_round(job: Job, plan: PartPlan, ids: Mapping[str, Outcome], wanted: RetryRequest, on_rows: OnRows) -> Draft:
    """Write the parts of a new round over the rows with *ids*; the draft's job has only these parts. Synchronous.

    If requests pack several rows, failed rows are sent alone: one bad input fails every row of its request.

    Raises:
        InvalidInput: The changed recipe cannot be used.
    """
    is_batch = job.source.kind == "batch"
    # In order, each once. The requests of a ready-made file may differ in their parameters, so each is checked.
    warnings = dict.fromkeys(() if is_batch else check_recipe(plan.recipe, plan.provider))

    def checked() -> Iterator[Line]:
        measure = Measure(plan.recipe.model, plan.recipe.endpoint)
        for request in _change_lines(job, plan, ids, wanted):
            warnings.update(dict.fromkeys(check_body(plan.recipe.endpoint, request.body, plan.provider)))
            yield measure.request(request)

    def lines() -> Iterator[Line]:
        for number, line in enumerate(checked() if is_batch else _render_again(job, plan, ids), 1):
            yield line
            on_rows(number, len(ids))

    most = plan.recipe.inputs_per_request
    alone = {custom_id for custom_id, outcome in ids.items() if outcome == "failed"}
    written = write_parts(plan, pack(lines(), most, plan.limits, alone=alone) if most > 1 else lines())
    made = replace(job, recipe=plan.recipe, provider=plan.provider, parts=written.parts)
    return Draft(made, first_request(plan.folder, made.parts), written.estimate, list(warnings)[:MAX_WARNINGS])


def _render_again(job: Job, plan: PartPlan, ids: Collection[str]) -> Iterator[Line]:
    sent: dict[str, tuple[int, bytes]] = {}
    for row, custom_id, line, _ in Renderer(plan.recipe, job.source.columns).requests(plan.folder.frozen, ids):
        if job.source.requests is not None:
            asked = digest(line.data)
            first, before = sent.setdefault(custom_id, (row, asked))
            if asked != before:
                raise InvalidInput(
                    f"Rows {first} and {row} share one request, and with this prompt their requests would differ. "
                    "Leave out the columns in which the rows differ, or make a new job."
                )
            if first != row:
                continue
        yield line


def _change_lines(job: Job, plan: PartPlan, ids: Collection[str], wanted: RetryRequest) -> Iterator[Request]:
    seen: set[str] = set()
    # Newest first: a request that an earlier retry changed stays changed.
    for part in reversed(job.parts):
        if part.round <= job.round and part.state != "split":
            for line in files.lines(plan.folder.requests(part)):
                request = decode_request(line)
                if request.custom_id in ids and request.custom_id not in seen:
                    seen.add(request.custom_id)
                    yield Request(request.custom_id, wanted.body(request.body))
