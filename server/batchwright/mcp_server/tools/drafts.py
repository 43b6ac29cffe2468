"""The tool that builds a job's batch file."""

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from batchwright.core.model import Endpoint
from batchwright.mcp_server.context import App
from batchwright.mcp_server.tools.common import FileName, Reading, Source, progress_of, reply
from batchwright.mcp_server.views.job import DraftView


async def create_batch_file(  # noqa: PLR0913, PLR0917  # the arguments of a tool are flat
    ctx: Context[App],
    source: Annotated[Source, Field(description="file, files or SQL, as for inspect_data; or give rows")] = "",
    rows: Annotated[list[dict[str, Any]], Field(description="rows given inline, at most 2000")] = [],  # noqa: B006  # never changed
    batch_file: Annotated[
        FileName, Field(description="a ready-made batch JSONL file instead, checked and used unchanged")
    ] = "",
    prompt: Annotated[
        str, Field(description="user message for each row, with {{column}}; for embeddings, the text to embed")
    ] = "",
    system: Annotated[str, Field(description="system text, may use {{column}}")] = "",
    model: Annotated[str, Field(description="empty: the server's default", max_length=200)] = "",
    endpoint: Endpoint = "/v1/chat/completions",
    output_schema: Annotated[
        dict[str, Any], Field(description="plain JSON Schema of an object; each property becomes a result column")
    ] = {},  # noqa: B006  # never changed
    parameters: Annotated[
        dict[str, Any], Field(description='more body fields, like {"temperature": 0, "max_completion_tokens": 200}')
    ] = {},  # noqa: B006  # never changed
    id_column: Annotated[
        str, Field(description="column with unique ids of at most 64 characters; empty: numbered")
    ] = "",
    inputs_per_request: Annotated[
        int, Field(ge=1, le=2048, description="embeddings only: rows packed into one request")
    ] = 1,
    deduplicate: Annotated[bool, Field(description="send identical requests once; every row gets the answer")] = False,  # noqa: FBT002  # named in every call
    reading: Reading = {},  # noqa: B006  # never changed
) -> Annotated[CallToolResult, DraftView]:
    """Draft a job from rows and a prompt: check data, prompt and schema, and write the batch file. Spends nothing.

    Give exactly one of source, rows and batch_file. Shows the first request as it will be sent.
    """
    from batchwright.jobs.draft import DraftRequest

    drafting = (await ctx.request_context.lifespan_context.use_cases()).drafting
    request = DraftRequest(
        source=source or None,
        rows=rows,
        batch_file=batch_file or None,
        prompt=prompt or None,
        system=system or None,
        model=model.strip() or None,
        endpoint=endpoint,
        output_schema=output_schema or None,
        parameters=parameters,
        id_column=id_column or None,
        deduplicate=deduplicate,
        inputs_per_request=inputs_per_request,
        reading=reading,
    )

    return reply(DraftView.of(await drafting.create(request, progress_of(ctx))))
