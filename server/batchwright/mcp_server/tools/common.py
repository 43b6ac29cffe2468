"""What the tools have in common: their arguments, progress, and how a view becomes an answer."""

from base64 import b64encode
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import anyio.from_thread
from mcp.server.apps import client_supports_apps
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ImageContent, TextContent
from pydantic import Field
from starlette.requests import Request

from batchwright.core.errors import NotReady
from batchwright.core.model import Job, Json
from batchwright.core.progress import Progress
from batchwright.core.untrusted import one_line
from batchwright.mcp_server.context import App
from batchwright.mcp_server.links import links
from batchwright.mcp_server.tasks import MODERN
from batchwright.mcp_server.views.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchwright.jobs.overview import Overviews


JobId = Annotated[str, Field(description="from create_batch_file or list_jobs", max_length=80)]
Dollars = Annotated[float, Field(ge=0, le=1_000_000, strict=True, allow_inf_nan=False)]
"""An amount that a user agrees to: a number, never what could be read as one."""
_MAX_DOING_CHARACTERS = 200


def answer(view: View, *, image: bytes | None = None, meta: dict[str, Json] | None = None) -> CallToolResult:
    """Return a view as text and as structured content, with an image if there is one; *meta* is not for the model."""
    text = TextContent(type="text", text=view.text())
    shown = [_png(image)] if image else []
    return CallToolResult(content=[text, *shown, *links(view)], structured_content=view.facts(), _meta=meta)


def for_page(ctx: Context[App], overviews: "Overviews", job: Job) -> dict[str, Json] | None:
    """Give what the dashboard shows of a job beside the answer; None: the client does not show it."""
    if not client_supports_apps(ctx):
        return None
    from batchwright.mcp_server.dashboard.facts import of_job

    return of_job(overviews.of(job), ctx.request_context.lifespan_context.now())


def list_for_page(ctx: Context[App], jobs: "Sequence[Job]") -> dict[str, Json] | None:
    """Give what the dashboard shows of a list of jobs beside the answer; None: the client does not show it."""
    if not client_supports_apps(ctx):
        return None
    from batchwright.mcp_server.dashboard.facts import of_jobs

    return of_jobs(jobs, ctx.request_context.lifespan_context.now())


def _png(data: bytes) -> ImageContent:
    return ImageContent(type="image", data=b64encode(data).decode(), mime_type="image/png")


def progress_of(ctx: Context[App]) -> Progress:
    """Begin work in a worker thread, of which the client hears how far it is, in percent."""

    def tell(percent: float, doing: str) -> None:
        anyio.from_thread.run(ctx.report_progress, percent, 100, one_line(doing, _MAX_DOING_CHARACTERS))

    def check() -> None:
        anyio.from_thread.check_cancelled()
        # Clients of 2026 cancel by leaving. Of those before them the SDK lets the call go on, whose answer nobody gets.
        if isinstance(request, Request) and anyio.from_thread.run(request.is_disconnected):
            raise NotReady("The client has left, so its call was ended. Call again.")

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
        description='only if CSV is read wrongly: {"delimiter": ";", "quote": "", "escape": "\\\\", "header": false, '
        '"encoding": "cp1251"}; {"file_column": "file"} adds file names'
    ),
]
