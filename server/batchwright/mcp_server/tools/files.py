"""The tools for files at the provider."""

from typing import Annotated

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from batchwright.jobs.terms import Terms
from batchwright.mcp_server.consent import Consent, asking, can_ask
from batchwright.mcp_server.context import App
from batchwright.mcp_server.tools.common import Limit, Offset, reply
from batchwright.mcp_server.views.file import DeletedView, FilesView


async def list_files(ctx: Context[App], limit: Limit = 20, offset: Offset = 0) -> Annotated[CallToolResult, FilesView]:
    """List the files stored at the batch provider: input and result files, with size, age and job."""
    files = (await ctx.request_context.lifespan_context.use_cases()).files
    return reply(FilesView.of(await files.all(), limit=limit, offset=offset))


async def terms_of_deletion(ctx: Context[App], job_id: str, file_ids: list[str]) -> Terms:
    """Return what to ask before files are deleted; nothing if the client cannot ask, because the results are safe."""
    if not can_ask(ctx):
        return Terms(None)
    files = (await ctx.request_context.lifespan_context.use_cases()).files
    return (await files.plan(job_id=job_id or None, file_ids=file_ids)).terms


_DECLINED = "The user declined, so no file was deleted. Keep the files, or name others."
_CHANGED = "The files changed while the user was deciding, so nothing was deleted. Call delete_files again."


async def delete_files(
    ctx: Context[App],
    consent: Annotated[Consent, asking(terms_of_deletion, declined=_DECLINED)],
    job_id: Annotated[str, Field(description="all files of this job; or give file_ids", max_length=80)] = "",
    file_ids: Annotated[list[str], Field(description="ids from list_files", max_length=1000)] = [],  # noqa: B006  # never changed
) -> Annotated[CallToolResult, DeletedView]:
    """Delete files at the provider, only of finished jobs whose results are safe here. Asks the user if it can."""
    files = (await ctx.request_context.lifespan_context.use_cases()).files
    deletion = await files.plan(job_id=job_id or None, file_ids=file_ids)
    consent.hold_to(deletion.terms, changed=_CHANGED)
    await files.delete(deletion)
    return reply(DeletedView.of(deletion.files))
