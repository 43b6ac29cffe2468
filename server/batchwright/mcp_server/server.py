"""An MCP server whose errors an assistant can act on. Knows nothing of jobs."""

import inspect
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool, ToolManager
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolResult,
    InputRequiredResult,
    ResourceLink,
    ToolAnnotations,
)
from pydantic import BaseModel, ValidationError

from batchwright.core.errors import BatchwrightError, DiskFault, InvalidInput, NotFound, reason_of_the_disk
from batchwright.core.untrusted import one_line, quote_name
from batchwright.mcp_server.arguments import understood

if TYPE_CHECKING:
    from pathlib import Path

    from mcp.server.context import ServerRequestContext

    from batchwright.core.model import Json

MAX_ERROR_CHARACTERS = 1_500
MAX_TOLD = 1_000_000
"""Larger maximums are bounds that nobody comes near."""
FIRST_WITH_LINKS = "2025-06-18"
"""The first version of the protocol whose results may contain links to resources."""

_IN_JSON = {
    "dict_type": "Input should be an object",
    "list_type": "Input should be a list",
    "missing": "It is required",
}
"""Pydantic's messages in the words of JSON instead of Python."""

log = logging.getLogger(__name__)

T = TypeVar("T")

Answer = Callable[["ServerRequestContext[Any]", Any], Awaitable[BaseModel]]
"""Answers a request of the protocol, given its parameters."""


class ToolsOnDemand(ToolManager):
    """Tools that are built when first needed: their schemas would slow down the start of a server."""

    def __init__(self, make: Callable[[], Sequence[Tool]]) -> None:
        super().__init__()
        self._make: Callable[[], Sequence[Tool]] | None = make

    def list_tools(self) -> list[Tool]:
        """Return all tools."""
        if self._make is not None:
            self._tools = {tool.name: tool for tool in self._make()} | self._tools
            self._make = None
        return list(self._tools.values())

    def get_tool(self, name: str) -> Tool | None:
        """Return one tool."""
        self.list_tools()
        return super().get_tool(name)


class Server(MCPServer[T], Generic[T]):
    """The SDK's server, stricter in three ways and lenient about how models write arguments.

    It rejects unknown arguments, which the SDK drops; it names wrong arguments without their values; and it shows the
    assistant our own errors, but masks all others.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401  # the SDK's
        tools: Callable[[], Sequence[Tool]],
        answers: Mapping[str, tuple[type[BaseModel], Answer]],
        folder: "Path",
        **kwargs: Any,  # noqa: ANN401  # the SDK's
    ) -> None:
        """Make a server whose *answers* by method replace the SDK's, and whose errors name its *folder*."""
        super().__init__(*args, **kwargs)
        self._tool_manager = ToolsOnDemand(tools)
        self._folder = folder
        for method, (params_type, answer) in answers.items():
            self._lowlevel_server.add_request_handler(method, params_type, _guard(answer, folder))

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[T, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool by name.

        Raises:
            ToolError: With a text for the assistant.
        """
        tool = self._known(name, arguments)
        try:
            called = await super().call_tool(name, understood(tool.parameters, arguments), context)
            return _without_links(called, context)
        except UnexpectedToolError as error:
            if known := _known_error(error.__cause__, self._folder):
                raise ToolError(one_line(str(known), MAX_ERROR_CHARACTERS)) from error
            raise UnexpectedToolError(
                f"{name} failed because of a bug in this server. Try again; if it stays, run `batchwright doctor`."
            ) from error.__cause__
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(one_line(_sentence(name, error.__cause__), MAX_ERROR_CHARACTERS)) from None
            raise

    def _known(self, name: str, arguments: dict[str, Any]) -> Tool:
        """Return a tool; reject an unknown tool and unknown arguments."""
        tool = self._tool_manager.get_tool(name)
        if tool is None:
            names = ", ".join(tool.name for tool in self._tool_manager.list_tools())
            raise ToolError(f"No tool {quote_name(name)}. Tools: {names}.")
        known = tool.parameters.get("properties", {})
        if unknown := sorted(arguments.keys() - known.keys()):
            wrong = quote_name(unknown[0])
            raise ToolError(f"{name} has no argument {wrong}; nothing was done. Its arguments: {', '.join(known)}.")
        return tool


def slim_tool(
    function: Callable[..., Awaitable[CallToolResult]],
    *,
    title: str,
    annotations: ToolAnnotations,
    meta: dict[str, Any] | None,
) -> Tool:
    """Make a tool with compact schemas that reject unknown arguments."""
    tool = Tool.from_function(
        function, title=title, description=inspect.getdoc(function), annotations=annotations, meta=meta
    )
    slim = _slim(tool.parameters)
    arguments = {name: _with_range(argument) for name, argument in slim["properties"].items()}
    tool.parameters = {**slim, "properties": arguments, "additionalProperties": False}
    if tool.fn_metadata.output_schema is not None:
        tool.fn_metadata.output_schema = _without_docstrings(_slim(tool.fn_metadata.output_schema))
    return tool


def _with_range(argument: dict[str, Any]) -> dict[str, Any]:
    """Repeat range and default in the description: some clients strip them from a schema."""
    kept = _without_guards(argument)
    low, high, most, default = (kept.get(key) for key in ("minimum", "maximum", "maxItems", "default"))
    told = [
        *([] if high is None else [f"{low} to {high}"]),
        *([] if most is None else [f"at most {most}"]),
        *([] if default is None else [f"default {default}"]),
    ]
    said = "; ".join(part for part in (kept.get("description"), ", ".join(told)) if part)
    return kept | ({"description": said} if said else {})


def _without_guards(argument: dict[str, Any]) -> dict[str, Any]:
    """Leave out bounds that only protect the server: no assistant comes near them."""
    guards = {"maxLength"}
    if argument.get("maximum", MAX_TOLD) >= MAX_TOLD:
        guards |= {"minimum", "maximum"}
    if "enum" in argument.get("items", {}):
        guards.add("maxItems")
    return {key: value for key, value in argument.items() if key not in guards}


def _guard(answer: Answer, folder: "Path") -> Answer:
    """Show the client our own errors, and mask all others."""

    async def guarded(ctx: "ServerRequestContext[Any]", params: Any) -> BaseModel:  # noqa: ANN401  # each has its own
        uri = getattr(params, "uri", None)
        data = None if uri is None else {"uri": str(uri)}
        try:
            return await answer(ctx, params)
        except MCPError:
            raise
        except Exception as error:
            if known := _known_error(error, folder):
                code = INVALID_PARAMS if isinstance(known, InvalidInput | NotFound) else INTERNAL_ERROR
                raise MCPError(code, one_line(str(known), MAX_ERROR_CHARACTERS), data) from error
            log.error("%s failed: %s", ctx.method, type(error).__name__)
            told = f"{ctx.method} failed because of a bug in this server. Try again, or run `batchwright doctor`."
            raise MCPError(INTERNAL_ERROR, told, data) from error

    return guarded


def _without_links(
    result: CallToolResult | InputRequiredResult, context: Context[T, Any] | None
) -> CallToolResult | InputRequiredResult:
    """Leave out links for a client whose version does not have them: it might reject the whole result."""
    version = context.protocol_version if context else None
    if isinstance(result, CallToolResult) and version is not None and version < FIRST_WITH_LINKS:
        kept = [block for block in result.content if not isinstance(block, ResourceLink)]
        return result.model_copy(update={"content": kept})
    return result


def _without_docstrings(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out the views' own docstrings: the tool's description is enough."""
    kept = {key: value for key, value in schema.items() if key != "description"}
    if "$defs" in kept:
        kept["$defs"] = {name: _without_docstrings(part) for name, part in kept["$defs"].items()}
    return kept


def _known_error(error: BaseException | None, folder: "Path") -> BatchwrightError | None:
    """Return *error* if it is for the user, or an error that explains a fault of a disk, a file or the journal."""
    if isinstance(error, BatchwrightError):
        return error
    if isinstance(error, sqlite3.DatabaseError):
        return DiskFault(
            f"The journal in {folder} cannot be written: {error}. "
            "Free some disk space, or repair the folder, and try again."
        )
    if reason := reason_of_the_disk(error):
        return DiskFault.at(folder, reason)
    if isinstance(error, OSError) and error.filename:
        return DiskFault(f"{error.filename} cannot be used: {error.strerror}. Repair the file or its folder.")
    return None


def _sentence(name: str, error: ValidationError) -> str:
    """Name the wrong arguments and why, without their values, which may be the user's data."""
    faults = [
        f"{'.'.join(str(step) for step in fault['loc'])}: {_IN_JSON.get(fault['type'], fault['msg'])}"
        for fault in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
    return f"{name} was called with wrong arguments; nothing was done. {'; '.join(faults[:3])}{more}. Correct them."


def _slim(schema: "Json") -> "Json":
    """Leave out titles, which repeat the names, and null alternatives: absent values are never sent as null."""
    if isinstance(schema, list):
        return [_slim(item) for item in cast("list[Json]", schema)]
    if not isinstance(schema, dict):
        return schema
    fields = cast("dict[str, Json]", schema)
    match fields:
        case {"anyOf": [only, {"type": "null"}], "default": None, **rest}:
            return _slim({**only, **rest})
        case _:
            return {key: _slim_part(key, value) for key, value in fields.items() if not _says_nothing(key, value)}


def _says_nothing(key: str, value: "Json") -> bool:
    """Whether a keyword adds nothing: a title, an object of anything, an empty default."""
    match key:
        case "title":
            return True
        case "additionalProperties":
            return value is True
        case "default":
            return value is False or value in ("", [], {})
        case _:
            return False


def _slim_part(key: str, value: "Json") -> "Json":
    # A property may itself be called title.
    if key in {"properties", "$defs"}:
        return {name: _slim(part) for name, part in value.items()}
    return _slim(value)
