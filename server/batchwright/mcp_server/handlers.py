"""MCP requests other than tool calls, and what answers each. The answering module is imported at the first request."""

from typing import TYPE_CHECKING

from mcp.server.apps import client_supports_apps
from mcp.types import (
    CompleteRequestParams,
    CompleteResult,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp.server.context import ServerRequestContext
    from pydantic import BaseModel

    from batchwright.mcp_server.context import App
    from batchwright.mcp_server.server import Answer
    from batchwright.mcp_server.updates import Updates


def answers(updates: "Updates") -> "Mapping[str, tuple[type[BaseModel], Answer]]":
    """Return the parameters of each request, and what answers it."""
    return {
        "resources/list": (PaginatedRequestParams, _list_resources),
        "resources/templates/list": (PaginatedRequestParams, _list_templates),
        "resources/read": (ReadResourceRequestParams, _read),
        "resources/subscribe": (SubscribeRequestParams, updates.subscribe),
        "resources/unsubscribe": (UnsubscribeRequestParams, updates.unsubscribe),
        "prompts/list": (PaginatedRequestParams, _list_prompts),
        "prompts/get": (GetPromptRequestParams, _get_prompt),
        "completion/complete": (CompleteRequestParams, _complete),
    }


async def _list_resources(ctx: "ServerRequestContext[App]", params: PaginatedRequestParams) -> ListResourcesResult:
    from batchwright.mcp_server.resources import dashboard_resource, list_resources

    page = await list_resources(ctx.lifespan_context, params.cursor)
    if params.cursor is None and client_supports_apps(ctx):
        page.resources.append(dashboard_resource())
    return page


async def _list_templates(
    _ctx: "ServerRequestContext[App]", _params: PaginatedRequestParams
) -> ListResourceTemplatesResult:
    from batchwright.mcp_server.resources import templates

    return ListResourceTemplatesResult(resource_templates=templates())


async def _read(ctx: "ServerRequestContext[App]", params: ReadResourceRequestParams) -> ReadResourceResult:
    from batchwright.mcp_server.resources import read

    return ReadResourceResult(contents=[*await read(ctx.lifespan_context, str(params.uri))])


async def _list_prompts(_ctx: "ServerRequestContext[App]", _params: PaginatedRequestParams) -> ListPromptsResult:
    from batchwright.mcp_server.prompts.prompts import prompts

    return ListPromptsResult(prompts=prompts())


async def _get_prompt(ctx: "ServerRequestContext[App]", params: GetPromptRequestParams) -> GetPromptResult:
    from batchwright.mcp_server.prompts.prompts import render

    return await render(ctx.lifespan_context, params.name, params.arguments or {})


async def _complete(ctx: "ServerRequestContext[App]", params: CompleteRequestParams) -> CompleteResult:
    from batchwright.mcp_server.completions import complete

    given = (params.context.arguments if params.context else None) or {}
    completion = await complete(ctx.lifespan_context, params.ref, params.argument, given)
    return CompleteResult(completion=completion)
