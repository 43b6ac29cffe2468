"""The tools that submit, watch, adopt, retry and cancel jobs."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio.from_thread
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from batchwright.core.model import Job, UserSays
from batchwright.core.untrusted import one_line
from batchwright.jobs.terms import Terms
from batchwright.mcp_server.consent import Consent, asking
from batchwright.mcp_server.context import App, UseCases
from batchwright.mcp_server.tools.common import Dollars, JobId, Limit, Offset, for_page, list_for_page, reply, usd
from batchwright.mcp_server.tools.data import ROWS_A_REPORT
from batchwright.mcp_server.views.cost import submit_notes
from batchwright.mcp_server.views.job import DraftView, JobsView, JobView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchwright.results.causes.remedies import Explained

RetriedOutcome = Literal["refused", "cut_short", "not_fitting", "failed", "expired", "never_ran", "unconfirmed"]
MAX_NOTE_CHARACTERS = 200


async def terms_of_submission(ctx: Context[App], job_id: str, max_cost_usd: float | None, user_says: UserSays) -> Terms:
    """Return what to ask: above the operator's threshold, and what only the user may decide."""
    terms = (await ctx.request_context.lifespan_context.use_cases()).terms
    return terms.of(job_id, max_cost_usd=usd(max_cost_usd), user_says=user_says)


_DECLINED = (
    "The user declined, so nothing was submitted or spent. {job_id} is unchanged: call submit_job again if they change "
    "their mind, or draft something cheaper."
)


async def submit_job(
    ctx: Context[App],
    job_id: JobId,
    consent: Annotated[Consent, asking(terms_of_submission, declined=_DECLINED)],
    max_cost_usd: Annotated[
        Dollars | None,
        Field(description="the most the user agreed to; required if there is no price or the user cannot be asked"),
    ] = None,
    user_says: Annotated[
        UserSays,
        Field(
            description="set only when the user said so: resend = send an unconfirmed batch again; go_on = continue "
            "after a lost journal; give_up = stop waiting for a stuck batch"
        ),
    ] = "",
) -> Annotated[CallToolResult, JobView]:
    """Run a draft job or a drafted retry, within the cost that the user agreed to. A second call changes nothing."""
    use_cases = await ctx.request_context.lifespan_context.use_cases()
    most = usd(max_cost_usd)
    changed = f"{job_id} changed while the user was deciding, so nothing was submitted. Submit it again."
    consent.hold_to(use_cases.terms.of(job_id, max_cost_usd=most, user_says=user_says), changed=changed)
    job, was_submitted = await use_cases.decisions.submit(job_id, max_cost_usd=most, user_says=user_says)
    notes = submit_notes(job, job.agreed_usd if consent.question else most, was_submitted=was_submitted)
    return _report(ctx, use_cases, job, notes=notes)


async def check_job(
    ctx: Context[App],
    job_id: JobId,
    wait_seconds: Annotated[int, Field(ge=0, le=600, description="wait this long for the job to finish")] = 0,
) -> Annotated[CallToolResult, JobView]:
    """Show a job's progress: rows by outcome, rate, time left, what went wrong. Can wait for the job to finish."""
    use_cases = await ctx.request_context.lifespan_context.use_cases()

    async def on_job(job: Job) -> None:
        done = job.source.rows - job.counts["running"]
        note = next((f"; {one_line(part.note, MAX_NOTE_CHARACTERS)}" for part in job.parts if part.note), "")
        await ctx.report_progress(done, job.source.rows, f"{done:,} of {job.source.rows:,} rows done{note}")

    job = await use_cases.watch.check(job_id, wait_seconds=wait_seconds, on_job=on_job)
    return _report(ctx, use_cases, job, problems=await use_cases.failures.of(job))


async def list_jobs(ctx: Context[App], limit: Limit = 20, offset: Offset = 0) -> Annotated[CallToolResult, JobsView]:
    """List jobs, newest first, also from earlier conversations, and the provider's batches created elsewhere."""
    use_cases = await ctx.request_context.lifespan_context.use_cases()
    page = await use_cases.watch.list_jobs(limit=limit, offset=offset)
    return reply(JobsView.of(page, offset=offset), meta=list_for_page(ctx, page.jobs))


async def adopt_batch(
    ctx: Context[App], batch_id: Annotated[str, Field(description="from others in list_jobs", max_length=200)]
) -> Annotated[CallToolResult, JobView]:
    """Import a batch that was created elsewhere as a job: watch it and get its results. Sends nothing."""
    use_cases = await ctx.request_context.lifespan_context.use_cases()
    return _report(ctx, use_cases, await use_cases.adoption.adopt(batch_id))


async def retry_job(  # noqa: PLR0913, PLR0917  # the arguments of a tool are flat
    ctx: Context[App],
    job_id: JobId,
    outcomes: Annotated[
        list[RetriedOutcome],
        Field(
            description="rows to retry; default failed, expired, never_ran. unconfirmed rows may be paid for twice",
            max_length=7,
        ),
    ] = [],  # noqa: B006  # never changed
    prompt: Annotated[str, Field(description="a new prompt; empty: as before")] = "",
    system: Annotated[str, Field(description="a new system text; empty: as before")] = "",
    model: Annotated[str, Field(description="another model; empty: as before", max_length=200)] = "",
    parameters: Annotated[dict[str, Any], Field(description="body fields to change; null removes one")] = {},  # noqa: B006  # never changed
) -> Annotated[CallToolResult, DraftView]:
    """Draft a retry of a finished job's failed rows, optionally with a changed prompt, model or parameters.

    submit_job then sends it. Results of all rounds are joined. Spends nothing.
    """
    from batchwright.jobs.retry_request import RETRIED, RetryRequest

    use_cases = await ctx.request_context.lifespan_context.use_cases()
    wanted = RetryRequest(
        outcomes=tuple(dict.fromkeys(outcomes)) or RETRIED,
        prompt=prompt or None,
        system=system or None,
        model=model.strip() or None,
        parameters=parameters,
    )

    def on_rows(done: int, total: int) -> None:
        if done % ROWS_A_REPORT == 0:
            anyio.from_thread.run(ctx.report_progress, done, total, f"{done:,} of {total:,} requests written")

    draft = await use_cases.retrying.draft(job_id, wanted, on_rows)
    return reply(DraftView.of(draft), meta=for_page(ctx, use_cases.overviews, use_cases.contents.job(job_id)))


async def cancel_job(ctx: Context[App], job_id: JobId) -> Annotated[CallToolResult, JobView]:
    """Stop a running job and keep its finished answers; or discard a draft, or a drafted retry, with its files."""
    use_cases = await ctx.request_context.lifespan_context.use_cases()
    if discarded := await use_cases.decisions.discard(use_cases.contents.job(job_id)):
        return reply(JobView.discarded(discarded))
    return _report(ctx, use_cases, await use_cases.decisions.cancel(job_id))


def _report(
    ctx: Context[App],
    use_cases: UseCases,
    job: Job,
    *,
    problems: "Sequence[Explained]" = (),
    notes: "Sequence[str]" = (),
) -> CallToolResult:
    """Return a job's progress, and what the dashboard shows beside it."""
    view = JobView.of(job, ctx.request_context.lifespan_context.now(), problems=problems, notes=notes)
    return reply(view, meta=for_page(ctx, use_cases.overviews, job))
