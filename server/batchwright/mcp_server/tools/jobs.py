"""The tools that submit, watch, adopt, retry and end jobs."""

from typing import Annotated, Any, Literal

import anyio.from_thread
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from batchwright.core.model import Job, UserSays
from batchwright.core.untrusted import one_line
from batchwright.jobs.terms import Terms
from batchwright.mcp_server.consent import Consent, asking
from batchwright.mcp_server.context import App
from batchwright.mcp_server.tools.common import Dollars, JobId, Limit, Offset, for_page, list_for_page
from batchwright.mcp_server.tools.common import answer as _answer
from batchwright.mcp_server.tools.common import usd as _usd
from batchwright.mcp_server.tools.data import ROWS_A_REPORT
from batchwright.mcp_server.views.cost import submit_notes
from batchwright.mcp_server.views.job import DraftView, JobsView, JobView, running_seconds

RetriedOutcome = Literal["refused", "cut_short", "not_fitting", "failed", "expired", "never_ran", "unconfirmed"]
MAX_NOTE_CHARACTERS = 200


async def terms_of_submission(ctx: Context[App], job_id: str, max_cost_usd: float | None, user_says: UserSays) -> Terms:
    """Find what is to be asked: above the operator's threshold, and for what only the user may decide."""
    terms = (await ctx.request_context.lifespan_context.use_cases()).terms
    return terms.of(job_id, max_cost_usd=_usd(max_cost_usd), user_says=user_says)


_DECLINED = (
    "The user did not agree, so nothing was submitted and nothing was spent. {job_id} stays as it is: call submit_job "
    "again when they have changed their mind, or draft something cheaper."
)


async def submit_job(
    ctx: Context[App],
    job_id: JobId,
    consent: Annotated[Consent, asking(terms_of_submission, declined=_DECLINED)],
    max_cost_usd: Annotated[
        Dollars | None,
        Field(description="the most that the user lets it cost; needed where unpriced, or where nobody can be asked"),
    ] = None,
    user_says: Annotated[
        UserSays,
        Field(
            description="set only when the user said so: resend an unconfirmed batch, go_on after a freeze, give_up a "
            "stuck batch"
        ),
    ] = "",
) -> Annotated[CallToolResult, JobView]:
    """Run a draft job or a drafted retry, within the cost that the user agreed to. A second call changes nothing."""
    app = ctx.request_context.lifespan_context
    use_cases = await app.use_cases()
    most = _usd(max_cost_usd)
    changed = f"{job_id} was changed while the user was asked, so nothing was submitted. Submit it again."
    consent.hold_to(use_cases.terms.of(job_id, max_cost_usd=most, user_says=user_says), changed=changed)
    job, was_submitted = await use_cases.decisions.submit(job_id, max_cost_usd=most, user_says=user_says)
    notes = submit_notes(job, job.agreed_usd if consent.question else most, was_submitted=was_submitted)
    return _answer(
        JobView.of(job, seconds=_running_seconds(app, job), notes=notes), meta=for_page(ctx, use_cases.overviews, job)
    )


async def check_job(
    ctx: Context[App],
    job_id: JobId,
    wait_seconds: Annotated[int, Field(ge=0, le=600, description="wait for the end")] = 0,
) -> Annotated[CallToolResult, JobView]:
    """See how a job stands: rows by outcome, rate, time left, what went wrong. Can wait for the end, with progress."""
    app = ctx.request_context.lifespan_context
    use_cases = await app.use_cases()

    async def on_job(job: Job) -> None:
        done = job.source.rows - job.counts["running"]
        note = next((f"; {one_line(part.note, MAX_NOTE_CHARACTERS)}" for part in job.parts if part.note), "")
        await ctx.report_progress(done, job.source.rows, f"{done:,} of {job.source.rows:,} rows done{note}")

    job = await use_cases.watch.check(job_id, wait_seconds=wait_seconds, on_job=on_job)
    problems = await use_cases.failures.of(job)
    view = JobView.of(job, seconds=_running_seconds(app, job), problems=problems)
    return _answer(view, meta=for_page(ctx, use_cases.overviews, job))


async def list_jobs(ctx: Context[App], limit: Limit = 20, offset: Offset = 0) -> Annotated[CallToolResult, JobsView]:
    """Find jobs again, newest first, also of earlier conversations; and batches at the provider made elsewhere."""
    use_cases = await ctx.request_context.lifespan_context.use_cases()
    page = await use_cases.watch.list_jobs(limit=limit, offset=offset)
    return _answer(JobsView.of(page, offset=offset), meta=list_for_page(ctx, page.jobs))


async def adopt_batch(
    ctx: Context[App], batch_id: Annotated[str, Field(description="from list_jobs: others", max_length=200)]
) -> Annotated[CallToolResult, JobView]:
    """Import a batch that was created elsewhere as a job: watch it and get its results. Sends nothing."""
    app = ctx.request_context.lifespan_context
    use_cases = await app.use_cases()
    job = await use_cases.adoption.adopt(batch_id)
    return _answer(JobView.of(job, seconds=_running_seconds(app, job)), meta=for_page(ctx, use_cases.overviews, job))


async def retry_job(  # noqa: PLR0913, PLR0917  # the arguments of a tool are flat
    ctx: Context[App],
    job_id: JobId,
    outcomes: Annotated[
        list[RetriedOutcome],
        Field(
            description="rows to retry; default failed, expired, never_ran. unconfirmed ones may be paid twice",
            max_length=7,
        ),
    ] = [],  # noqa: B006  # never changed
    prompt: Annotated[str, Field(description="a new prompt; empty: as before")] = "",
    system: Annotated[str, Field(description="a new system text; empty: as before")] = "",
    model: Annotated[str, Field(description="another model; empty: as before", max_length=200)] = "",
    parameters: Annotated[dict[str, Any], Field(description="body fields to change; null removes one")] = {},  # noqa: B006  # never changed
) -> Annotated[CallToolResult, DraftView]:
    """Draft a retry of a finished job's rows without a good answer, optionally with a changed prompt or model.

    submit_job then sends it. The results of all rounds are joined. Spends nothing.
    """
    from batchwright.jobs.mending import RETRIED, Mending

    use_cases = await ctx.request_context.lifespan_context.use_cases()
    mending = Mending(
        outcomes=tuple(dict.fromkeys(outcomes)) or RETRIED,
        prompt=prompt or None,
        system=system or None,
        model=model.strip() or None,
        parameters=parameters,
    )

    def on_rows(done: int, total: int) -> None:
        if done % ROWS_A_REPORT == 0:
            anyio.from_thread.run(ctx.report_progress, done, total, f"{done:,} of {total:,} requests written")

    draft = await use_cases.retrying.draft(job_id, mending, on_rows)
    return _answer(DraftView.of(draft), meta=for_page(ctx, use_cases.overviews, use_cases.contents.job(job_id)))


async def cancel_job(ctx: Context[App], job_id: JobId) -> Annotated[CallToolResult, JobView]:
    """End a running job early: what was answered is kept. A draft, or a drafted retry, is discarded with its files."""
    app = ctx.request_context.lifespan_context
    use_cases = await app.use_cases()
    if discarded := await use_cases.decisions.discard(use_cases.contents.job(job_id)):
        return _answer(JobView.discarded(discarded))
    job = await use_cases.decisions.cancel(job_id)
    return _answer(JobView.of(job, seconds=_running_seconds(app, job)), meta=for_page(ctx, use_cases.overviews, job))


def _running_seconds(app: App, job: Job) -> float | None:
    return running_seconds(job, app.now())
