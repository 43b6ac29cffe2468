"""The tools that return results, joined to their rows, and that answer questions about them."""

from typing import Annotated, Literal

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from batchwright.mcp_server.context import App
from batchwright.mcp_server.tools.common import FileName, JobId, Limit, Offset, for_page, progress_of, reply
from batchwright.mcp_server.views.result import SHOWN_ANSWERS, SHOWN_ROWS, QueryView, ResultsView

ShownOutcome = Literal[
    "all", "answered", "refused", "cut_short", "not_fitting", "failed", "expired", "never_ran", "unconfirmed"
]
"""Rows that are still running have no results to show."""

Overwrite = Annotated[bool, Field(description="replace an existing file")]


async def get_results(  # noqa: PLR0913, PLR0917  # the arguments of a tool are flat
    ctx: Context[App],
    job_id: JobId,
    save_as: Annotated[
        FileName,
        Field(description="write all rows to this .csv, .jsonl, .parquet or .xlsx in the workspace; empty: only show"),
    ] = "",
    overwrite: Overwrite = False,  # noqa: FBT002  # a tool's argument
    columns: Annotated[list[str], Field(description="columns to show and save; empty: all")] = [],  # noqa: B006  # never changed
    outcome: Annotated[ShownOutcome, Field(description="which rows to show")] = "all",
    limit: Annotated[int, Field(ge=0, le=100, description="rows to show")] = SHOWN_ROWS,
    offset: Offset = 0,
) -> Annotated[CallToolResult, ResultsView]:
    """Join a finished job's answers to its rows, in source order, with every source column; save all, show a few."""
    use_cases = await ctx.request_context.lifespan_context.use_cases()
    page = await use_cases.results.page(
        job_id,
        save_as=save_as or None,
        overwrite=overwrite,
        outcome=None if outcome == "all" else outcome,
        offset=offset,
        limit=limit,
        columns=columns,
        progress=progress_of(ctx),
    )
    problems = await use_cases.failures.of(page.job) if page.job.ended_at else ()
    return reply(
        ResultsView.of(page, offset=offset, problems=problems), meta=for_page(ctx, use_cases.overviews, page.job)
    )


async def query_results(  # noqa: PLR0913, PLR0917  # the arguments of a tool are flat
    ctx: Context[App],
    job_id: JobId,
    sql: Annotated[
        str,
        Field(
            description="one DuckDB SELECT over results (source columns, answer columns, outcome, problem, row, "
            "custom_id) and source; empty: profile",
            max_length=10_000,
        ),
    ] = "",
    truth: Annotated[str, Field(description="for the profile: source column with the right answers")] = "",
    answer: Annotated[str, Field(description="the answer column to compare with it, if there are several")] = "",
    save_as: Annotated[FileName, Field(description="save all rows of sql to this file, as in get_results")] = "",
    overwrite: Overwrite = False,  # noqa: FBT002  # a tool's argument
    limit: Limit = SHOWN_ANSWERS,
) -> Annotated[CallToolResult, QueryView]:
    """Query a job's results in SQL, or profile them: labels, lengths, odd values, agreement with right answers.

    Answers questions about 50,000 rows without reading them. Embeddings: list_cosine_similarity(embedding, ...).
    """
    from batchwright.jobs.results import Question

    results = (await ctx.request_context.lifespan_context.use_cases()).results
    question = Question(
        sql=sql.strip() or None,
        truth=truth or None,
        answer=answer or None,
        save_as=save_as or None,
        overwrite=overwrite,
        limit=limit,
    )
    return reply(QueryView.of(await results.ask(job_id, question, progress_of(ctx))))
