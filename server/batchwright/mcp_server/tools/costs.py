"""The tool that compares what models cost."""

from typing import Annotated

import anyio.from_thread
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from batchwright.mcp_server.context import App
from batchwright.mcp_server.tools.common import FileName, reply
from batchwright.mcp_server.views.cost import CostsView


async def compare_costs(  # noqa: PLR0913, PLR0917  # the arguments of a tool are flat
    ctx: Context[App],
    job_id: Annotated[str, Field(description="a draft or submitted job; or give rows and tokens", max_length=80)] = "",
    rows: Annotated[int | None, Field(description="number of requests")] = None,
    input_tokens: Annotated[int | None, Field(description="per request")] = None,
    output_tokens: Annotated[int | None, Field(description="per request")] = None,
    models: Annotated[list[str], Field(description="empty: some of OpenAI's, and the job's")] = [],  # noqa: B006  # never changed
    chart: Annotated[bool, Field(description="show a PNG chart; an image takes many tokens")] = False,  # noqa: FBT002  # a tool's argument
    save_chart_as: Annotated[FileName, Field(description="a new .png file in the workspace")] = "",
) -> Annotated[CallToolResult, CostsView]:
    """Compare what a job, or a number of tokens, costs on several models, standard and as a batch. Spends nothing."""
    from batchwright.jobs.costs import CostRequest

    costs = (await ctx.request_context.lifespan_context.use_cases()).costs
    request = CostRequest(job_id or None, rows, input_tokens, output_tokens, models)

    def on_rows(done: int, total: int) -> None:
        anyio.from_thread.run(ctx.report_progress, done, total, f"{done:,} of {total:,} requests counted")

    compared = await costs.compare(request, on_rows, chart=chart, save_chart_as=save_chart_as or None)
    return reply(CostsView.of(compared), image=compared.chart if chart else None)
