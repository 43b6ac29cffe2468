"""The MCP tool that tries some rows of a job now, and compares models and prompts on them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, Resolve
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from batchwright.core.errors import NotAgreed
from batchwright.core.money import shown_most
from batchwright.jobs.trials.estimates import MAX_ROWS, Which
from batchwright.mcp_server.tools.common import App, Approval, Dollars, JobId, answer, can_ask, usd
from batchwright.mcp_server.views.trial import TrialView

if TYPE_CHECKING:
    from batchwright.jobs.trials.plan import TrialPlan

TRY = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True)


@dataclass(frozen=True, slots=True)
class Planned:
    """What a call will send."""

    plan: "TrialPlan"


async def planned(  # noqa: PLR0913, PLR0917  # the arguments of the tool
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
) -> Planned:
    """Find out what will be sent, and what that may cost."""
    from batchwright.jobs.trials.plan import TrialRequest
    from batchwright.jobs.trials.rows import Choice

    trying = (await ctx.request_context.lifespan_context.use_cases()).trying
    request = TrialRequest(
        job_id,
        Choice(rows, which, seed, tuple(dict.fromkeys(named))),
        models=[model.strip() for model in models if model.strip()],
        prompts=[prompt for prompt in prompts if prompt.strip()],
        truth=truth or None,
        max_cost_usd=usd(max_cost_usd),
    )
    return Planned(await trying.plan(request))


async def asked(ctx: Context[App], what: Annotated[Planned, Resolve(planned)]) -> Approval | Elicit[Approval]:
    """Ask the user, above the operator's threshold and for what nobody can bound, where the client can."""
    question = what.plan.question
    return Elicit(question, Approval) if question and can_ask(ctx) else Approval(agreed=True)


async def try_requests(  # noqa: PLR0913, PLR0917  # the arguments of a tool are flat
    ctx: Context[App],
    job_id: JobId,
    what: Annotated[Planned, Resolve(planned)],
    approval: Annotated[ElicitationResult[Approval], Resolve(asked)],
    rows: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 3,
    which: Which = "random",
    seed: Annotated[int, Field(description="another number: other rows")] = 0,
    named: Annotated[list[str], Field(description="these rows: custom_ids or row numbers")] = [],  # noqa: B006  # never changed
    models: Annotated[list[str], Field(description="compared with the draft: 4 variants in all")] = [],  # noqa: B006  # never changed
    prompts: Annotated[list[str], Field(description="other prompts, compared likewise")] = [],  # noqa: B006  # never changed
    truth: Annotated[str, Field(description="column of right answers, or property=column")] = "",
    max_cost_usd: Annotated[Dollars | None, Field(description="default 0.10; more only if the user agrees")] = None,
) -> Annotated[CallToolResult, TrialView]:
    """Send a few rows of a job now, not as a batch: see answers, whether they fit, and a corrected cost.

    Can compare models and prompts on the same rows. Each call sends, and costs, anew.
    """
    if not (isinstance(approval, AcceptedElicitation) and approval.data.agreed):
        raise NotAgreed(
            f"The user did not agree, so nothing was sent and nothing was spent. {job_id} stays as it is: try fewer "
            "rows, or call try_requests again when they have changed their mind."
        )
    if what.plan.question and max_cost_usd is None and not can_ask(ctx):
        raise NotAgreed(
            f"Trying {job_id} may cost up to {shown_most(what.plan.agreed.total_usd)}, and no maximum was named. "
            f'Nothing was sent. Ask the user, then try_requests(job_id="{job_id}", max_cost_usd=...).'
        )
    trying = (await ctx.request_context.lifespan_context.use_cases()).trying

    async def on_answer(done: int, total: int) -> None:
        await ctx.report_progress(done, total, f"{done} of {total} requests answered")

    return answer(TrialView.of(await trying.send(what.plan, on_answer)))
