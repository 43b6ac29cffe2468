"""The tools for files at the provider."""

from typing import Annotated

from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, Resolve
from mcp.types import CallToolResult
from pydantic import Field

from batchwright.core.errors import NotAgreed
from batchwright.mcp_server.context import App
from batchwright.mcp_server.tools.common import Approval, Question
from batchwright.mcp_server.tools.common import answer as _answer
from batchwright.mcp_server.tools.common import can_ask as _can_ask
from batchwright.mcp_server.tools.jobs import Limit, Offset
from batchwright.mcp_server.views.file import DeletedView, FilesView


async def list_files(ctx: Context[App], limit: Limit = 20, offset: Offset = 0) -> Annotated[CallToolResult, FilesView]:
    """See what lies at the provider of batches: input and result files, their size, age and job."""
    files = (await ctx.request_context.lifespan_context.use_cases()).files
    return _answer(FilesView.of(await files.all(), limit=limit, offset=offset))


async def deletion_of(ctx: Context[App], job_id: str = "", file_ids: list[str] = []) -> Question:  # noqa: B006  # never changed
    """Find what is to be asked before files are deleted; nothing where the client cannot ask: the results are safe."""
    files = (await ctx.request_context.lifespan_context.use_cases()).files
    text = await files.question(job_id=job_id or None, file_ids=file_ids) if _can_ask(ctx) else None
    return Question(text=text)


async def asked_to_delete(question: Annotated[Question, Resolve(deletion_of)]) -> Approval | Elicit[Approval]:
    """Ask the user."""
    return Elicit(question.text, Approval) if question.text else Approval(agreed=True)


async def delete_files(
    ctx: Context[App],
    question: Annotated[Question, Resolve(deletion_of)],
    approval: Annotated[ElicitationResult[Approval], Resolve(asked_to_delete)],
    job_id: Annotated[str, Field(description="all files of this job; or give file_ids", max_length=80)] = "",
    file_ids: Annotated[list[str], Field(description="ids from list_files", max_length=1000)] = [],  # noqa: B006  # never changed
) -> Annotated[CallToolResult, DeletedView]:
    """Delete files at the provider, only of ended jobs whose results are safe here. Asks the user, where possible."""
    if not (isinstance(approval, AcceptedElicitation) and approval.data.agreed):
        raise NotAgreed("The user did not agree, so no file was deleted. Leave the files, or name others.")
    files = (await ctx.request_context.lifespan_context.use_cases()).files
    deleted = await files.delete(job_id=job_id or None, file_ids=file_ids, agreed=question.text)
    return _answer(DeletedView.of(deleted))
