"""All tools, with what clients are told of each beside its description."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, ToolAnnotations

from batchwright.mcp_server.addresses import DASHBOARD
from batchwright.mcp_server.server import slim_tool
from batchwright.mcp_server.tools.costs import compare_costs
from batchwright.mcp_server.tools.data import inspect_data
from batchwright.mcp_server.tools.drafts import create_batch_file
from batchwright.mcp_server.tools.files import delete_files, list_files
from batchwright.mcp_server.tools.jobs import adopt_batch, cancel_job, check_job, list_jobs, retry_job, submit_job
from batchwright.mcp_server.tools.results import get_results, query_results
from batchwright.mcp_server.tools.trials import TRY, try_requests

READ = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
ASK = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
DRAFT = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
ADOPT = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
DRAW = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
SAVE = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True)
END = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True)
SUBMIT = END
"""What was spent does not come back: clients that let harmless tools pass are to ask."""

CORE: dict[str, Any] = {"anthropic/alwaysLoad": True}
"""Keeps a tool's description loaded in clients that otherwise show names only."""
SHOWN: dict[str, Any] = {"ui": {"resourceUri": DASHBOARD}}
"""Has hosts with MCP Apps show the dashboard beside the answer."""


TOOLS: tuple[tuple[Callable[..., Awaitable[CallToolResult]], str, ToolAnnotations, dict[str, Any] | None], ...] = (
    (inspect_data, "Inspect data", READ, CORE),
    (create_batch_file, "Create batch file", DRAFT, CORE),
    (try_requests, "Try requests", TRY, None),
    (submit_job, "Submit job", SUBMIT, CORE),
    (check_job, "Check job", ASK, CORE | SHOWN),
    (list_jobs, "List jobs", ASK, SHOWN),
    (adopt_batch, "Adopt batch", ADOPT, None),
    (get_results, "Get results", SAVE, SHOWN),
    (query_results, "Query results", SAVE, None),
    (compare_costs, "Compare costs", DRAW, SHOWN),
    (retry_job, "Retry job", DRAFT, None),
    (cancel_job, "Cancel job", END, None),
    (list_files, "List files", ASK, None),
    (delete_files, "Delete files", END, None),
)


@cache
def all_tools() -> tuple[Tool, ...]:
    """Return the tools, which all servers of a process share: nothing in them changes, and their schemas take time."""
    return tuple(
        slim_tool(function, title=title, annotations=annotations, meta=meta)
        for function, title, annotations, meta in TOOLS
    )
