"""Builds the use cases: journal and provider meet only here and in the package `jobs`."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from batchwright.core.crash_points import OnPoint, pass_by
from batchwright.core.job_folder import JobFolders
from batchwright.jobs.adoption import Adoption
from batchwright.jobs.advance import Runs, Steps
from batchwright.jobs.collection import Collection
from batchwright.jobs.confirmation import Confirmation
from batchwright.jobs.contents import Contents
from batchwright.jobs.costs import Comparing
from batchwright.jobs.decisions import Decisions
from batchwright.jobs.draft import Drafting
from batchwright.jobs.explain import Failures
from batchwright.jobs.overview import Overviews
from batchwright.jobs.remote_files import RemoteFiles
from batchwright.jobs.remote_jobs import RemoteJobs
from batchwright.jobs.restoring import Restoring
from batchwright.jobs.results import Asking
from batchwright.jobs.retry import Retrying
from batchwright.jobs.submission import Rules, Submission
from batchwright.jobs.terms import SubmissionTerms
from batchwright.jobs.trials.send import Trying
from batchwright.jobs.watch import Watch
from batchwright.journal.changes import Changes
from batchwright.mcp_server.context import UseCases

if TYPE_CHECKING:
    from batchwright.core.workspace import Workspace
    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import BatchAPI
    from batchwright.providers.shutdown_dates import ShutdownDates


async def open_use_cases(  # noqa: PLR0913  # the one place where everything meets
    *,
    journal: "Journal",
    api: "BatchAPI",
    workspace: "Workspace",
    folders: JobFolders,
    shutdown_dates: "ShutdownDates",
    rules: Rules,
    now: Callable[[], datetime],
    on_point: OnPoint = pass_by,
) -> UseCases:
    """Build the use cases, restore the jobs of a lost journal, and remove unfinished drafts."""
    submission = Submission(journal, api, rules=rules, on_point=on_point)
    confirmation = Confirmation(journal, api, quiet_seconds=rules.waiting.quiet_seconds)
    collection = Collection(journal, api, late_seconds=rules.waiting.late_seconds, now=now, on_point=on_point)
    runs = Runs(journal, api, folders, Steps(submission, confirmation, collection))
    remote_jobs = RemoteJobs(journal, api, folders=folders, now=now)
    restoring = Restoring(journal, api, remote_jobs, folders=folders)
    adoption = Adoption(journal, api, runs, restoring, remote_jobs)
    overviews = Overviews(journal, rules.spending)
    terms = SubmissionTerms(journal, overviews, rules.spending, now=now)
    failures = Failures(folders)
    drafting = Drafting(
        journal,
        api,
        folders,
        workspace,
        shutdown_dates,
        limits_of=submission.limits_of,
        now=now,
        on_point=on_point,
    )
    decisions = Decisions(
        journal,
        api,
        folders,
        runs,
        confirmation,
        restoring=restoring,
        terms=terms,
        overviews=overviews,
        limits=rules.spending,
        now=now,
        on_point=on_point,
    )
    retrying = Retrying(
        journal,
        api,
        folders,
        runs,
        submission,
        restoring=restoring,
        failures=failures,
        shutdown_dates=shutdown_dates,
        on_point=on_point,
    )
    await restoring.restore()
    await drafting.clean_up()
    return UseCases(
        adoption=adoption,
        changes=Changes(journal),
        contents=Contents(journal, folders, runs, workspace),
        costs=Comparing(journal, folders, workspace, now=now),
        decisions=decisions,
        drafting=drafting,
        failures=failures,
        files=RemoteFiles(journal, api, runs.advance, on_point=on_point),
        overviews=overviews,
        results=Asking(folders, runs, workspace, now=now),
        retrying=retrying,
        terms=terms,
        trying=Trying(journal, api, folders, runs, rules),
        watch=Watch(journal, api, runs, foreign=adoption.foreign, rules=rules),
    )
