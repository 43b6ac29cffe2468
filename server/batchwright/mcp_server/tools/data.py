"""The tool that profiles data before a job is drafted from it."""

from typing import Annotated

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from batchwright.mcp_server.context import App
from batchwright.mcp_server.tools.common import Reading, Source, progress_of, reply
from batchwright.mcp_server.views.data import InspectView

ROWS_A_REPORT = 500


async def inspect_data(
    ctx: Context[App],
    source: Annotated[
        Source,
        Field(
            description="CSV, TSV, JSON, JSONL (or .gz), Parquet or Excel (book.xlsx#Sheet) in the workspace; "
            "data/*.csv; or DuckDB SQL: SELECT ... FROM 'a.csv' JOIN 'b.parquet' USING (id). CSV cells stay text"
        ),
    ],
    sample_rows: Annotated[int, Field(ge=0, le=20, description="rows to show")] = 3,
    reading: Reading = {},  # noqa: B006  # never changed
) -> Annotated[CallToolResult, InspectView]:
    """Profile data before drafting a job: columns, types, rows, empty cells, longest texts, samples, the id column."""
    drafting = (await ctx.request_context.lifespan_context.use_cases()).drafting
    profile = await drafting.inspect(source, reading, sample_rows=sample_rows, progress=progress_of(ctx))
    return reply(InspectView.of(profile, was_told=bool(reading)))
