"""The tool that looks at data before a job is made of it."""

from typing import Annotated

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from batchwright.mcp_server.context import App
from batchwright.mcp_server.tools.common import Reading, Source
from batchwright.mcp_server.tools.common import answer as _answer
from batchwright.mcp_server.tools.common import progress_of as _progress
from batchwright.mcp_server.views.data import InspectView

ROWS_A_REPORT = 500


async def inspect_data(
    ctx: Context[App],
    source: Annotated[
        Source,
        Field(
            description="CSV, TSV, JSON, JSONL (or .gz), Parquet or Excel (book.xlsx#Sheet) in the workspace; "
            "data/*.csv; or DuckDB SQL: SELECT ... FROM 'a.csv' JOIN 'b.parquet' USING (id). CSV columns are text"
        ),
    ],
    sample_rows: Annotated[int, Field(ge=0, le=20, description="rows to show")] = 3,
    reading: Reading = {},  # noqa: B006  # never changed
) -> Annotated[CallToolResult, InspectView]:
    """Look at data before a job: columns, types, rows, empty cells, longest texts, some rows, the id column."""
    drafting = (await ctx.request_context.lifespan_context.use_cases()).drafting
    profile = await drafting.inspect(source, reading, sample_rows=sample_rows, progress=_progress(ctx))
    return _answer(InspectView.of(profile, was_told=bool(reading)))
