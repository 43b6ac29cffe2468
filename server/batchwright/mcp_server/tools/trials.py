"""The tool that tries some rows of a job now, and compares models and prompts on them."""

from typing import Annotated

from mcp.server.mcpserver import Context, Resolve
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from batchwright.jobs.terms import Terms
from batchwright.jobs.trials.estimates import MAX_ROWS, Which
from batchwright.jobs.trials.plan import TrialPlan, TrialRequest
from batchwright.jobs.trials.rows import Choice
from batchwright.mcp_server.consent import Consent, asking
from batchwright.mcp_server.tools.common import App, Dollars, JobId, reply, usd
from batchwright.mcp_server.views.trial import TrialView

TRY = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True)


async def plan_trial(  # noqa: PLR0913, PLR0917  # the arguments of the tool
    ctx: Context[App],
    job_id: str,
    rows: int,
    which: Which,
    seed: int,
    named: list[str],
    models: list[str],
    prompts: list[str],
    truth: str,
    max_cost_usd: float | None,
) -> TrialPlan:
    """Plan what will be sent, and what that may cost."""
    trying = (await ctx.request_context.lifespan_context.use_cases()).trying
    request = TrialRequest(
        job_id,
        Choice(rows, which, seed, tuple(dict.fromkeys(named))),
        models=[model.strip() for model in models if model.strip()],
        prompts=[prompt for prompt in prompts if prompt.strip()],
        truth=truth or None,
        max_cost_usd=usd(max_cost_usd),
    )
    return await trying.plan(request)


async def terms_of_trial(plan: Annotated[TrialPlan, Resolve(plan_trial)]) -> Terms:
    """Return what to ask: above the operator's threshold, and if the cost cannot be bounded."""
    return plan.terms


_DECLINED = (
    "The user declined, so nothing was sent or spent. {job_id} is unchanged: try fewer rows, or call try_requests "
    "again if they change their mind."
)


async def try_requests(  # noqa: PLR0913, PLR0917  # the arguments of a tool are flat
    ctx: Context[App],
    job_id: JobId,
    plan: Annotated[TrialPlan, Resolve(plan_trial)],
    consent: Annotated[Consent, asking(terms_of_trial, declined=_DECLINED)],
    rows: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 3,
    which: Which = "random",
    seed: Annotated[int, Field(description="another number draws other rows")] = 0,
    named: Annotated[list[str], Field(description="custom_ids or row numbers of the rows to try")] = [],  # noqa: B006  # never changed
    models: Annotated[list[str], Field(description="models to compare with the draft; 4 variants in all")] = [],  # noqa: B006  # never changed
    prompts: Annotated[list[str], Field(description="prompts to compare with the draft")] = [],  # noqa: B006  # never changed
    truth: Annotated[str, Field(description="column with the right answers, or property=column")] = "",
    max_cost_usd: Annotated[Dollars | None, Field(description="default 0.10; more only if the user agrees")] = None,
) -> Annotated[CallToolResult, TrialView]:
    """Send a few rows of a job now, not as a batch: see answers, whether they fit, and a better cost estimate.

    Can compare models and prompts on the same rows. Every call sends the rows again, and costs again.
    """
    consent.hold_to(plan.terms)
    trying = (await ctx.request_context.lifespan_context.use_cases()).trying

    async def on_answer(done: int, total: int) -> None:
        await ctx.report_progress(done, total, f"{done} of {total} requests answered")

    return reply(TrialView.of(await trying.send(plan, on_answer)))
