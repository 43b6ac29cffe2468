"""What the tools share: argument types, progress, and the reply that a view becomes."""

from base64 import b64encode
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import anyio.from_thread
from mcp.server.apps import client_supports_apps
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ImageContent, ResourceLink, TextContent
from pydantic import Field
from starlette.requests import Request

from batchwright.core.errors import NotReady
from batchwright.core.model import Job, Json
from batchwright.core.progress import Progress
from batchwright.core.untrusted import one_line
from batchwright.mcp_server.addresses import of_job
from batchwright.mcp_server.context import App
from batchwright.mcp_server.tasks import MODERN
from batchwright.mcp_server.views.job import DraftView, JobView
from batchwright.mcp_server.views.result import ResultsView
from batchwright.mcp_server.views.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchwright.jobs.overview import Overviews


JobId = Annotated[str, Field(description="from create_batch_file or list_jobs", max_length=80)]
Dollars = Annotated[float, Field(ge=0, le=1_000_000, strict=True, allow_inf_nan=False)]
"""An amount that a user agrees to: a number, never a text that could be read as one."""
_MAX_DOING_CHARACTERS = 200
_FINISHED = frozenset({"completed", "cancelled", "expired", "failed"})


def reply(view: View, *, image: bytes | None = None, meta: dict[str, Json] | None = None) -> CallToolResult:
    """Return a view as text and as structured content, with its image and links; *meta* is not for the model."""
    text = TextContent(type="text", text=view.text())
    shown = [ImageContent(type="image", data=b64encode(image).decode(), mime_type="image/png")] if image else []
    return CallToolResult(content=[text, *shown, *_links(view)], structured_content=view.facts(), _meta=meta)


def _links(view: View) -> list[ResourceLink]:
    """Return a link to the results of a finished job, or to the job; none if *view* shows no single job."""
    if not isinstance(view, DraftView | JobView | ResultsView):
        return []
    has_results = isinstance(view, ResultsView) or view.status in _FINISHED
    name = f"Results of {view.job_id}" if has_results else view.job_id
    uri = of_job(view.job_id, "results" if has_results else "job")
    return [ResourceLink(uri=uri, name=name, mime_type="application/json")]


def for_page(ctx: Context[App], overviews: "Overviews", job: Job) -> dict[str, Json] | None:
    """Return what the dashboard shows of a job beside the reply; None: the client does not show it."""
    if not client_supports_apps(ctx):
        return None
    from batchwright.mcp_server.dashboard import facts

    return facts.of_job(overviews.of(job), ctx.request_context.lifespan_context.now())


def list_for_page(ctx: Context[App], jobs: "Sequence[Job]") -> dict[str, Json] | None:
    """Return what the dashboard shows of a list of jobs beside the reply; None: the client does not show it."""
    if not client_supports_apps(ctx):
        return None
    from batchwright.mcp_server.dashboard.facts import of_jobs

    return of_jobs(jobs, ctx.request_context.lifespan_context.now())


def progress_of(ctx: Context[App]) -> Progress:
    """Return what reports the progress of work in a worker thread to the client, in percent."""

    def tell(percent: float, doing: str) -> None:
        anyio.from_thread.run(ctx.report_progress, percent, 100, one_line(doing, _MAX_DOING_CHARACTERS))

    def check() -> None:
        anyio.from_thread.check_cancelled()
        # Clients of 2026 cancel by disconnecting. For older ones the SDK continues a call whose answer nobody gets.
        if isinstance(request, Request) and anyio.from_thread.run(request.is_disconnected):
            raise NotReady("The client has disconnected, so its call was stopped. Call again.")

    request = None if ctx.protocol_version in MODERN else ctx.request_context.request
    return Progress.to(tell, check=check)


def usd(amount: float | None) -> Decimal | None:
    """Return an amount as it was written: 0.1 is a tenth, not the binary number next to it."""
    return None if amount is None else Decimal(str(amount))


FileName = Annotated[str, Field(max_length=1000)]
Source = Annotated[str, Field(max_length=10_000)]
Limit = Annotated[int, Field(ge=1, le=100)]
Offset = Annotated[int, Field(ge=0, le=1_000_000_000)]
Reading = Annotated[
    dict[str, Any],
    Field(
        description='only if a CSV is misread: {"delimiter": ";", "quote": "", "escape": "\\\\", "header": false, '
        '"encoding": "cp1251"}; {"file_column": "file"} adds file names'
    ),
]
