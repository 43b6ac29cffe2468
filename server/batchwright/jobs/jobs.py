"""The use cases: what a user can do with data, jobs and files. Journal and provider meet only in this layer."""

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from filelock import Timeout

from batchwright.core.crash_points import OnPoint, pass_by
from batchwright.core.errors import InvalidInput, NotReady, OverLimit
from batchwright.core.job_folder import jobs_folder
from batchwright.core.model import Job, Json, Outcome, UserSays
from batchwright.core.money import shown_most, shown_usd
from batchwright.core.progress import SILENT, Progress
from batchwright.costs.spending import agreement
from batchwright.jobs.adoption import Adoption
from batchwright.jobs.advance import Runs
from batchwright.jobs.build import Draft
from batchwright.jobs.consent import Consent
from batchwright.jobs.costs import Comparing
from batchwright.jobs.draft import Drafting, DraftRequest
from batchwright.jobs.explain import Failures
from batchwright.jobs.overview import JobPage, Overviews
from batchwright.jobs.preflight import DraftWarning
from batchwright.jobs.reading import Contents
from batchwright.jobs.remote_files import RemoteFiles
from batchwright.jobs.remote_jobs import RemoteJobs
from batchwright.jobs.restoring import Restoring
from batchwright.jobs.results import Asking
from batchwright.jobs.retry import Mending, draft_round, retried_outcomes
from batchwright.jobs.submission import Rules
from batchwright.jobs.trials.send import Trying
from batchwright.jobs.watch import Watch
from batchwright.journal.changes import Changes
from batchwright.providers.shutdown_dates import ShutdownDates
from batchwright.requests.parts import OnRows, PartPlan
from batchwright.tables.inspection import Profile, profile
from batchwright.tables.source import find

if TYPE_CHECKING:
    from batchwright.core.workspace import Workspace
    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI, Look

log = logging.getLogger(__name__)

LONGEST_POLL_SECONDS = 10.0
"""How often a job at a provider on the network is looked at while somebody waits for long."""
CALL_SECONDS = 30.0
"""How long a call that was not told to wait does so for what moves jobs on; a running server goes on with it."""
EARLY_LOOK_SECONDS = 5.0
"""How often while a batch is validated, which is when most faults show."""

_ID_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


OnJob = Callable[[Job], Awaitable[None]]
"""Told how a job stands, while somebody waits for it."""


class Jobs:
    """Everything that the tools do, without any word of MCP."""

    def __init__(  # noqa: PLR0913  # the one place where everything meets
        self,
        *,
        journal: "Journal",
        api: "BatchAPI",
        workspace: "Workspace",
        data_folder: Path,
        now: Callable[[], datetime],
        shutdown_dates: ShutdownDates,
        rules: Rules | None = None,
        on_point: OnPoint = pass_by,
    ) -> None:
        self._journal = journal
        self._api = api
        self._workspace = workspace
        self._rules = rules or Rules()
        self._on_point = on_point
        self._runs = Runs(journal, api, jobs_folder(data_folder), rules=self._rules, now=now, on_point=on_point)
        limits_of = self._runs.submission.limits_of
        self._shutdown_dates = shutdown_dates
        self._drafting = Drafting(api, workspace, shutdown_dates, limits_of=limits_of, now=now, on_point=on_point)
        remote_jobs = RemoteJobs(journal, api, folder_of=self._runs.folder, now=now)
        self._restoring = Restoring(journal, api, remote_jobs, folder_of=self._runs.folder, held=self._runs.held)
        self._adoption = Adoption(journal, api, self._restoring, remote_jobs)
        self._watch = Watch(journal, api, self._runs, foreign=self._adoption.foreign, seconds=self._rules.look_seconds)
        self.trying = Trying(journal, api, self._runs, self._rules.spending)
        self.failures = Failures(self._runs)
        self.asking = Asking(self._runs, workspace)
        self.results = self.asking.page
        self.costs = Comparing(journal, self._runs.folder, workspace, now=now)
        self.contents = Contents(journal, self._runs, workspace)
        self.changes = Changes(journal.catalog)
        self.overviews = Overviews(journal, self._rules.spending)
        self.consent = Consent(journal, self._runs, self.overviews, self._rules.spending)
        self.files = RemoteFiles(journal, api, self._runs.advance, on_point=on_point)

    async def inspect(
        self, source: str, reading: Mapping[str, Json], *, sample_rows: int, progress: Progress = SILENT
    ) -> Profile:
        """Describe a data file of the workspace, several, or a query over them.

        Raises:
            InvalidInput: It cannot be read.
        """

        def profiled() -> Profile:
            found = find(self._workspace, source, reading)
            return profile(found, folder=folder.path, sample_rows=sample_rows, progress=progress)

        folder = self._runs.folder(_new_id())
        folder.path.mkdir(parents=True, mode=0o700)
        with folder.lock():
            try:
                return await anyio.to_thread.run_sync(profiled)
            finally:
                folder.remove()

    async def create(self, request: DraftRequest, progress: Progress = SILENT) -> Draft:
        """Make a draft job: check everything, write its parts, record it. Spends nothing.

        Raises:
            InvalidInput: Something cannot be used; nothing was kept.
        """
        given = [name for name in ("source", "rows", "batch_file") if getattr(request, name)]
        if len(given) != 1:
            what = f"{' and '.join(given)} were given" if given else "none was given"
            raise InvalidInput(f"A job has one of source, rows and batch_file, and {what}. Give exactly one.")
        folder = self._runs.folder(_new_id())
        folder.path.mkdir(parents=True, mode=0o700)
        with folder.lock():
            try:
                made = await self._drafting.drafted(request, folder, progress)
                folder.save_job(made.job)
                self._journal.add_job(made.job)
            except BaseException:
                folder.remove()
                raise
        self._on_point("drafted")
        if earlier := self._journal.same_job(made.job):
            note = f"The same data, prompt and model were run before, as {earlier}: get_results gives its answers."
            made = replace(made, warnings=[*made.warnings, DraftWarning("run_before", note)])
        return made

    async def retry(self, job_id: str, mending: Mending, on_rows: OnRows) -> Draft:
        """Draft a new round over rows of an ended job that have no good answer. Spends nothing.

        Raises:
            NotReady: The job has not ended, or there is nothing to retry.
            InvalidInput: The mended recipe cannot be used.
        """
        await self._restoring.look_again(self._journal.job(job_id))
        await self._runs.advance(job_id)
        with self._runs.held(job_id) as is_held:
            job = self._journal.job(job_id)
            if not is_held:
                raise NotReady(f"{job_id} is being worked on just now. Try again in a moment.")
            retried = retried_outcomes(job, mending)
            recipe = mending.recipe(job.recipe)
            provider = self._api.answering(recipe.model, recipe.endpoint)
            ending = await self._shutdown_dates.warning(provider)
            ids = await anyio.to_thread.run_sync(self._runs.table(job).ids, list(retried))
            plan = PartPlan(
                job_id,
                self._runs.folder(job_id),
                recipe,
                provider,
                self._runs.submission.limits_of(provider),
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
            explained = await self.failures.retried(job, retried, mending)
            self._journal.add_round(made.job, made.job.parts, kept=kept)
            self._runs.folder(job_id).save_job(self._journal.job(job_id))
        ends = [DraftWarning("shutdown", ending)] if ending else []
        return replace(made, retried=explained, warnings=[*made.warnings, *ends])

    async def clean_up(self) -> None:
        """Remove what drafts left that were cut off: folders of no job, whose lock died with its process."""
        for folder in self._runs.folders():
            is_draft = folder.lock_file.exists() and not folder.job_file.exists()
            if is_draft and not self._journal.has_job(folder.job_id):
                lock = folder.lock()
                try:
                    with lock.acquire(timeout=0):
                        # Looked at again under the lock: the draft may have become a job meanwhile.
                        if not self._journal.has_job(folder.job_id):
                            folder.remove()
                except Timeout:
                    continue

    async def restore(self) -> None:
        """Take up the jobs of a journal that was lost."""
        await self._restoring.restore(self._runs.folders())

    async def submit(
        self, job_id: str, *, max_cost_usd: Decimal | None = None, user_says: UserSays = ""
    ) -> tuple[Job, bool]:
        """Let a draft, or a drafted retry, run; says also whether it was submitted before: then nothing is sent again.

        Raises:
            NotReady: The job is for another provider, nothing may be submitted now, or there is nothing to send again.
            OverLimit: It may cost more than the user or the operator allows.
            InvalidInput: Nothing bounds the cost, and no maximum is given.
        """
        job = self._journal.job(job_id)
        if user_says == "resend":
            return await self._resent(job, max_cost_usd), False
        if user_says == "give_up":
            return await self._runs.give_up(job_id), True
        if user_says == "go_on":
            self._journal.standing.thaw()
        drafted = self.overviews.drafted(job)
        if drafted.parts:
            if not self._runs.is_answered_here(drafted):
                raise NotReady(
                    f"{job_id} was made for {drafted.provider.model} at {drafted.provider.host}, and this server has "
                    "another provider now. Make it anew with `create_batch_file`."
                )
            self._runs.refuse_changed(drafted, "Draft it anew with `create_batch_file`.")
            await self._restoring.meet(drafted.provider.host)
            await self._restoring.look_again(job)
            self._journal.elapsed.keep(self._api.told.now())
            if self._journal.job(job_id).submitted_at != job.submitted_at:
                return await self._runs.advance(job_id), True
            agreed = agreement(drafted, drafted.parts, max_cost_usd, self._rules.spending)
            was_new = self._journal.agree(job, agreed.shares, agreed_usd=agreed.agreed_usd, limits=self._rules.spending)
            self._on_point("agreed")
        else:
            was_new = False
        return await self._runs.advance(job_id), not was_new

    async def adopt(self, batch_id: str) -> Job:
        """Make a job of a batch that this journal does not know; it is watched, and its results fetched, as any other.

        Raises:
            NotReady: The journal knows it, or it cannot be understood before it has ended.
            InvalidInput: It cannot be understood here.
        """
        job = await self._adoption.adopt(batch_id, _new_id)
        return await self._runs.advance(job.id)

    async def check(self, job_id: str, *, wait_seconds: float, on_job: OnJob) -> Job:
        """Move a job on and give it as it stands; waits for its end up to *wait_seconds*."""
        job = self._journal.job(job_id)
        pause, ended = self._rules.waiting.poll_seconds, self._api.next_end
        with anyio.move_on_after(max(wait_seconds, CALL_SECONDS)):
            # What may be old is not told: a look that is not due yet is waited for.
            await anyio.sleep(self._watch.seconds_until_due(job_id, pause))
            job = await self._looked_at(job_id, pause)
        told = None
        with anyio.move_on_after(wait_seconds):
            while wait_seconds and job.submitted_at is not None and job.ended_at is None and job.status != "unknown":
                if job != told:
                    await on_job(job)
                    told = job
                with anyio.move_on_after(pause):
                    await ended.wait()
                if self.are_remote:
                    pause = min(pause * 1.5, LONGEST_POLL_SECONDS)
                # Taken before the look: an end meanwhile is not missed.
                ended = self._api.next_end
                job = await self._looked_at(job_id, pause)
        return self._runs.shown(self._journal.job(job_id))

    async def list(self, *, limit: int, offset: int) -> JobPage:
        """Give jobs, newest first, and on the first page batches at the provider that this journal does not know."""
        with anyio.move_on_after(CALL_SECONDS):
            await self.resume(with_others=not offset)
        others = self._watch.others() if not offset and self.are_remote else ()
        jobs = self._journal.jobs(limit=limit, offset=offset)
        return JobPage(jobs, self._journal.job_count(), others, self._journal.standing.frozen())

    async def resume(self, *, with_others: bool = False) -> None:
        """Move on every job that was submitted and has not ended, unless somebody did so just now."""
        self._journal.elapsed.keep(self._api.told.now())
        unfinished = self._journal.unfinished()
        if not self.are_remote:
            await self._advance_all(unfinished, None)
        elif unfinished or with_others:
            async with self._watch.turn() as look:
                await self._advance_all(unfinished if look else (), look)

    async def _looked_at(self, job_id: str, seconds: float) -> Job:
        return await self._runs.advance(job_id, await self._watch.of(job_id, seconds))

    async def _advance_all(self, job_ids: Sequence[str], look: "Look | None") -> None:
        for job_id in job_ids:
            try:
                await self._runs.advance(job_id, look)
            except Exception as error:  # noqa: BLE001  # one job's fault must not keep the others from going on
                log.error("%s: it cannot go on: %s", job_id, type(error).__name__)

    @property
    def are_remote(self) -> bool:
        """Whether somebody else's server runs the batches, which is not to be asked too often."""
        return not self._api.lists_everything

    def job(self, job_id: str) -> Job:
        """Give a job as it stands in the journal.

        Raises:
            NotFound: There is none with this id.
        """
        return self._journal.job(job_id)

    def unfinished(self) -> Sequence[Job]:
        """Give the jobs that were submitted and have not ended, oldest first."""
        return [self._runs.shown(self._journal.job(job_id)) for job_id in self._journal.unfinished()]

    def rest_seconds(self, poll_seconds: float) -> float:
        """Say how long nothing needs to be looked at: soon again while a batch is validated."""
        statuses = {part.batch_status for job in self.unfinished() for part in job.running_parts}
        return min(poll_seconds, EARLY_LOOK_SECONDS) if "validating" in statuses else poll_seconds

    async def discard(self, job_id: str) -> Job | None:
        """Remove what is only drafted, and give what it was, or the job that stays; None: nothing is only drafted."""
        job = self._journal.job(job_id)
        if not job.drafted_parts:
            return None
        await self._runs.discard(job)
        return job if job.submitted_at is None else self._journal.job(job_id)

    async def cancel(self, job_id: str) -> Job:
        """Have a job end early; what was answered is kept."""
        job = self._journal.job(job_id)
        if job.submitted_at is None:
            raise NotReady(f"{job_id} is a draft: nothing runs, and nothing was spent. There is nothing to cancel.")
        if job.ended_at is not None:
            raise NotReady(f"{job_id} has ended already: {job.status}. Its results are there with `get_results`.")
        await self._runs.cancel(job_id)
        return self._journal.job(job_id)

    async def _resent(self, job: Job, max_cost_usd: Decimal | None) -> Job:
        again = self.consent.unconfirmed_usd(job) + (job.agreed_usd or Decimal(0))
        if max_cost_usd is not None and max_cost_usd < again:
            raise OverLimit(
                f"If {job.id} is sent again and both are paid, it may cost up to {shown_most(again)}, above "
                f"max_cost_usd {shown_usd(max_cost_usd)}. Ask the user for so much, or leave max_cost_usd out."
            )
        return await self._runs.resend(job.id)


def _new_id() -> str:
    return "job_" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))
