"""The product's own server with what the conformance suite calls: tools, resources and prompts, as it prescribes them.

`python -m tests.external.conformance_fixtures` serves them over HTTP. Everything else is the product's: the server and
its strictness, the surface, the middleware, the tasks, the gate.
"""

import base64
import json
import os
import struct
import zlib
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Annotated, Any, cast

import anyio
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context, require_client_extension
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.message import ServerMessageMetadata
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ClientCapabilities,
    ContentBlock,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    EmptyResult,
    GetPromptRequestParams,
    GetPromptResult,
    ImageContent,
    InputRequest,
    InputRequiredResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListRootsRequest,
    ListRootsResult,
    PaginatedRequestParams,
    Prompt,
    PromptArgument,
    PromptMessage,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel, Field

from batchwright.app.app import build_server, http_token
from batchwright.core.settings import Settings
from batchwright.mcp_server import streamable_http
from batchwright.mcp_server.context import App
from batchwright.mcp_server.server import Server
from batchwright.mcp_server.tasks import TASKS

if TYPE_CHECKING:
    from mcp.server.mcpserver.tools import Tool

MISSING_CAPABILITY = -32021
LONGER_THAN_AT_ONCE = 1.0
"""Seconds, after which a call is answered by a task."""

Handler = Callable[[ServerRequestContext[Any], Any], Awaitable[Any]]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


_HEAD = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", _HEAD) + _chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + _chunk(b"IEND", b"")
).decode()
"""One red pixel."""
_SOUND = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8) + b"data" + struct.pack("<I", 0)
WAV = base64.b64encode(b"RIFF" + struct.pack("<I", 4 + len(_SOUND)) + b"WAVE" + _SOUND).decode()
"""No sound at all."""


def text(*parts: str) -> CallToolResult:
    """Give texts as a tool's answer."""
    return CallToolResult(content=[TextContent(text=part) for part in parts])


async def test_simple_text() -> CallToolResult:
    """Give a text."""
    return text("This is a simple text response for testing.")


async def test_image_content() -> CallToolResult:
    """Give an image."""
    return CallToolResult(content=[ImageContent(data=PNG, mime_type="image/png")])


async def test_audio_content() -> CallToolResult:
    """Give a sound."""
    return CallToolResult(content=[AudioContent(data=WAV, mime_type="audio/wav")])


async def test_embedded_resource() -> CallToolResult:
    """Give a resource."""
    inner = TextResourceContents(
        uri="test://embedded-resource", mime_type="text/plain", text="This is an embedded resource content."
    )
    return CallToolResult(content=[EmbeddedResource(resource=inner)])


async def test_multiple_content_types() -> CallToolResult:
    """Give several kinds of content."""
    inner = TextResourceContents(
        uri="test://mixed-content-resource", mime_type="application/json", text='{"test":"data","value":123}'
    )
    content: list[ContentBlock] = [
        TextContent(text="Multiple content types test:"),
        ImageContent(data=PNG, mime_type="image/png"),
        EmbeddedResource(resource=inner),
    ]
    return CallToolResult(content=content)


async def test_error_handling() -> CallToolResult:
    """Fail."""
    raise ToolError("This tool intentionally returns an error for testing")


async def test_tool_with_progress(ctx: Context[App]) -> CallToolResult:
    """Report progress."""
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100, f"{done} of 100")
        await anyio.sleep(0.05)
    return text("done")


async def test_tool_with_logging(ctx: Context[App]) -> CallToolResult:
    """Log, as clients of the older era expect it."""
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(line)  # pyright: ignore[reportDeprecated]  # the scenario is about it
        await anyio.sleep(0.05)
    return text("done")


async def test_logging_tool(ctx: Context[App]) -> CallToolResult:
    """Log, where nobody asked for it."""
    await ctx.info("nobody asked for it")  # pyright: ignore[reportDeprecated]  # the scenario is about it
    return text("done")


async def test_trigger_tool_change(ctx: Context[App]) -> CallToolResult:
    """Say that the tools have changed."""
    await ctx.notify_tools_changed()
    return text("told")


async def test_trigger_prompt_change(ctx: Context[App]) -> CallToolResult:
    """Say that the prompts have changed."""
    await ctx.notify_prompts_changed()
    return text("told")


async def test_sampling(ctx: Context[App], prompt: str) -> CallToolResult:
    """Ask the client's model."""
    params = CreateMessageRequestParams(messages=[said(prompt)], max_tokens=100)
    reply = await ctx.session.send_request(
        CreateMessageRequest(params=params),
        CreateMessageResult,
        metadata=ServerMessageMetadata(related_request_id=ctx.request_id),
    )
    return text(f"LLM response: {reply.content.text if isinstance(reply.content, TextContent) else ''}")


async def _elicit(ctx: Context[App], message: str, properties: dict[str, Any], required: list[str]) -> ElicitResult:
    """Ask the user by a form."""
    schema = {"type": "object", "properties": properties, "required": required}
    return await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)


async def test_elicitation(ctx: Context[App], message: str) -> CallToolResult:
    """Ask the user for two texts."""
    fields = {"username": {"type": "string", "description": "name"}, "email": {"type": "string", "description": "mail"}}
    reply = await _elicit(ctx, message, fields, ["username", "email"])
    return text(f"User response: action={reply.action}, content={json.dumps(reply.content)}")


async def test_elicitation_sep1034_defaults(ctx: Context[App]) -> CallToolResult:
    """Ask with a default of each kind."""
    fields: dict[str, Any] = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    reply = await _elicit(ctx, "Please review", fields, [])
    return text(f"Elicitation completed: action={reply.action}, content={json.dumps(reply.content)}")


async def test_elicitation_sep1330_enums(ctx: Context[App]) -> CallToolResult:
    """Ask with a choice of each kind."""
    plain = ["option1", "option2", "option3"]
    titles = ["First", "Second", "Third"]
    titled = [{"const": f"value{number}", "title": title} for number, title in enumerate(titles, 1)]
    fields: dict[str, Any] = {
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": titles},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }
    reply = await _elicit(ctx, "Please choose", fields, [])
    return text(f"Elicitation completed: action={reply.action}, content={json.dumps(reply.content)}")


def form(message: str, **fields: str) -> ElicitRequest:
    """Give a question with fields of these types, all required."""
    properties = {name: {"type": kind} for name, kind in fields.items()}
    schema = {"type": "object", "properties": properties, "required": list(fields)}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(prompt: str, most: int = 100) -> CreateMessageRequest:
    """Give a question to the client's model."""
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[said(prompt)], max_tokens=most))


def said(words: str) -> SamplingMessage:
    """Give what the user says to a model."""
    return SamplingMessage(role="user", content=TextContent(text=words))


def asking(state: str | None = None, /, **requests: InputRequest) -> InputRequiredResult:
    """Ask the client."""
    return InputRequiredResult(input_requests=requests, request_state=state)


def content_of(ctx: Context[App], key: str) -> dict[str, Any] | None:
    """Give what the user put into a form; None: they have not."""
    reply = (ctx.input_responses or {}).get(key)
    return dict(reply.content or {}) if isinstance(reply, ElicitResult) and reply.action == "accept" else None


async def test_input_required_result_elicitation(ctx: Context[App]) -> CallToolResult | InputRequiredResult:
    """Ask the user."""
    if (given := content_of(ctx, "user_name")) is None:
        return asking(user_name=form("What is your name?", name="string"))
    return text(f"Hello, {given.get('name')}!")


async def test_input_required_result_sampling(ctx: Context[App]) -> CallToolResult | InputRequiredResult:
    """Ask the client's model."""
    reply = (ctx.input_responses or {}).get("capital_question")
    if not isinstance(reply, CreateMessageResult):
        return asking(capital_question=sample("What is the capital of France?"))
    return text(reply.content.text if isinstance(reply.content, TextContent) else "")


async def test_input_required_result_list_roots(ctx: Context[App]) -> CallToolResult | InputRequiredResult:
    """Ask for the client's folders."""
    reply = (ctx.input_responses or {}).get("client_roots")
    if not isinstance(reply, ListRootsResult):
        return asking(client_roots=ListRootsRequest())
    return text(", ".join(str(root.uri) for root in reply.roots))


async def test_input_required_result_request_state(ctx: Context[App]) -> CallToolResult | InputRequiredResult:
    """Ask the user, and have the state come back."""
    if content_of(ctx, "confirm") is None or ctx.request_state != "asked":
        return asking("asked", confirm=form("Please confirm", ok="boolean"))
    return text("state-ok")


async def test_input_required_result_tampered_state(ctx: Context[App]) -> CallToolResult | InputRequiredResult:
    """The same: the product's own seal has to find what was changed."""
    return await test_input_required_result_request_state(ctx)


async def test_input_required_result_multiple_inputs(ctx: Context[App]) -> CallToolResult | InputRequiredResult:
    """Ask for three things at once."""
    replies = ctx.input_responses or {}
    if not {"user_name", "greeting", "client_roots"} <= replies.keys() or ctx.request_state != "asked":
        return asking(
            "asked",
            user_name=form("What is your name?", name="string"),
            greeting=sample("Generate a greeting", 50),
            client_roots=ListRootsRequest(),
        )
    return text("all three came")


async def test_input_required_result_multi_round(ctx: Context[App]) -> CallToolResult | InputRequiredResult:
    """Ask twice, one after the other."""
    if ctx.request_state == "named":
        if given := content_of(ctx, "step2"):
            return text(f"colour {given.get('color')}")
    elif content_of(ctx, "step1") is None or ctx.request_state != "begun":
        return asking("begun", step1=form("Step 1: What is your name?", name="string"))
    return asking("named", step2=form("Step 2: What is your favorite color?", color="string"))


async def test_input_required_result_capabilities(ctx: Context[App]) -> CallToolResult | InputRequiredResult:
    """Ask only what the client can answer."""
    if ctx.input_responses:
        return text("answered")
    can = ctx.client_capabilities or ClientCapabilities()
    requests: dict[str, InputRequest] = {}
    if can.elicitation is not None:
        requests["user_name"] = form("What is your name?", name="string")
    if can.sampling is not None:
        requests["greeting"] = sample("Generate a greeting")
    return InputRequiredResult(input_requests=requests) if requests else text("nothing can be asked")


async def test_streaming_elicitation(ctx: Context[App]) -> CallToolResult | InputRequiredResult:
    """Report progress, and ask."""
    await ctx.report_progress(1, 2, "asking")
    return await test_input_required_result_elicitation(ctx)


async def test_missing_capability(ctx: Context[App]) -> CallToolResult:
    """Refuse a client without sampling."""
    if ctx.client_capabilities is None or ctx.client_capabilities.sampling is None:
        raise MCPError(MISSING_CAPABILITY, "This needs sampling.", {"requiredCapabilities": {"sampling": {}}})
    return text("it can")


async def greet(name: str) -> CallToolResult:
    """Answer at once."""
    return text(f"Hello, {name}!")


async def slow_compute(seconds: float, label: str = "") -> CallToolResult:
    """Take a time."""
    await anyio.sleep(seconds)
    return text(f"{label} took {seconds} seconds")


async def failing_job(ctx: Context[App]) -> CallToolResult:
    """Fail after a while; only as a task."""
    require_client_extension(ctx.request_context, TASKS)
    await anyio.sleep(LONGER_THAN_AT_ONCE)
    raise ToolError("This job fails.")


async def protocol_error_job() -> CallToolResult:
    """Fail below the tools after a while."""
    await anyio.sleep(LONGER_THAN_AT_ONCE)
    raise MCPError(-32603, "This job breaks the protocol.")


async def confirm_delete(ctx: Context[App], filename: str) -> CallToolResult | InputRequiredResult:
    """Ask after a while."""
    await anyio.sleep(LONGER_THAN_AT_ONCE)
    if content_of(ctx, "confirm") is None:
        return asking(confirm=form(f"Delete {filename}?", confirm="boolean"))
    return text(f"{filename} is deleted")


async def multi_input(ctx: Context[App]) -> CallToolResult | InputRequiredResult:
    """Ask two things after a while."""
    await anyio.sleep(LONGER_THAN_AT_ONCE)
    if not {"first", "second"} <= (ctx.input_responses or {}).keys():
        return asking(first=form("First?", name="string"), second=form("Second?", name="string"))
    return text("both came")


async def test_tool_with_task(ctx: Context[App]) -> CallToolResult | InputRequiredResult:
    """Ask at once, then take a time."""
    if (given := content_of(ctx, "user_name")) is None:
        return asking(user_name=form("What is your name?", name="string"))
    await anyio.sleep(LONGER_THAN_AT_ONCE)
    return text(f"Hello, {given.get('name')}!")


async def test_header(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})],
) -> CallToolResult:
    """Take an argument that also stands in a header."""
    return text(region)


async def json_schema_2020_12_tool(name: str = "") -> CallToolResult:
    """Have a schema with much of JSON Schema in it."""
    return text(name)


RICH_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}

TOOLS = [tool for name, tool in globals().items() if iscoroutinefunction(tool) and not name.startswith("_")]
"""The suite calls every coroutine above by its name."""


def contents_of(uri: str) -> TextResourceContents | BlobResourceContents | None:
    """Give one of the suite's resources."""
    match uri.removeprefix("test://").split("/"):
        case ["static-text"]:
            words = "This is the content of the static text resource."
            return TextResourceContents(uri=uri, mime_type="text/plain", text=words)
        case ["static-binary"]:
            return BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG)
        case ["template", number, "data"]:
            facts = {"id": number, "templateTest": True, "data": f"Data for ID: {number}"}
            return TextResourceContents(uri=uri, mime_type="application/json", text=json.dumps(facts))
        case _:
            return None


RESOURCES = [Resource(uri=f"test://{name}", name=name) for name in ("static-text", "static-binary")]
TEMPLATE = ResourceTemplate(uri_template="test://template/{id}/data", name="template")
PROMPTS = [
    Prompt(name="test_simple_prompt", description="of the suite"),
    Prompt(
        name="test_prompt_with_arguments",
        description="of the suite",
        arguments=[PromptArgument(name=name, required=True) for name in ("arg1", "arg2")],
    ),
    Prompt(
        name="test_prompt_with_embedded_resource",
        description="of the suite",
        arguments=[PromptArgument(name="resourceUri", required=True)],
    ),
    Prompt(name="test_prompt_with_image", description="of the suite"),
    Prompt(name="test_input_required_result_prompt", description="of the suite"),
]


def prompted(params: GetPromptRequestParams) -> GetPromptResult | InputRequiredResult:
    """Give one of the suite's prompts."""
    given = params.arguments or {}
    match params.name:
        case "test_simple_prompt":
            return messages(TextContent(text="This is a simple prompt for testing."))
        case "test_prompt_with_arguments":
            return messages(
                TextContent(text=f"Prompt with arguments: arg1='{given.get('arg1')}', arg2='{given.get('arg2')}'")
            )
        case "test_prompt_with_embedded_resource":
            inner = TextResourceContents(
                uri=given["resourceUri"], mime_type="text/plain", text="Embedded resource content for testing."
            )
            asked = TextContent(text="Please process the embedded resource above.")
            return messages(EmbeddedResource(resource=inner), asked)
        case "test_prompt_with_image":
            image = ImageContent(data=PNG, mime_type="image/png")
            return messages(image, TextContent(text="Please analyze the image above."))
        case _:
            reply = (params.input_responses or {}).get("user_context")
            if not isinstance(reply, ElicitResult):
                return asking(user_context=form("What context should the prompt use?", context="string"))
            return messages(TextContent(text=f"In the context of {reply.content}"))


def messages(*content: ContentBlock) -> GetPromptResult:
    """Give what the user says."""
    return GetPromptResult(messages=[PromptMessage(role="user", content=each) for each in content])


def mounted(server: Server[Any]) -> Server[Any]:
    """Add to the product's server what the suite calls; whatever it does not name goes to the product's own."""
    for function in TOOLS:
        server.add_tool(function, structured_output=False)
    rich = cast("Tool", server._tool_manager.get_tool("json_schema_2020_12_tool"))  # pyright: ignore[reportPrivateUsage]
    rich.parameters = RICH_SCHEMA

    async def read(_ctx: ServerRequestContext[Any], params: ReadResourceRequestParams) -> Any:
        contents = contents_of(str(params.uri))
        return ReadResourceResult(contents=[contents]) if contents else None

    async def get_prompt(_ctx: ServerRequestContext[Any], params: GetPromptRequestParams) -> Any:
        return prompted(params) if params.name in {prompt.name for prompt in PROMPTS} else None

    async def subscribe(_ctx: ServerRequestContext[Any], params: SubscribeRequestParams) -> Any:
        return EmptyResult() if str(params.uri).startswith("test://") else None

    async def set_level(_ctx: ServerRequestContext[Any], _params: SetLevelRequestParams) -> EmptyResult:
        return EmptyResult()

    _instead(server, "resources/read", ReadResourceRequestParams, read)
    _instead(server, "prompts/get", GetPromptRequestParams, get_prompt)
    _instead(server, "resources/subscribe", SubscribeRequestParams, subscribe)
    _instead(server, "resources/unsubscribe", UnsubscribeRequestParams, subscribe)
    _more(server, "resources/list", lambda result: cast("ListResourcesResult", result).resources.extend(RESOURCES))
    _more(
        server,
        "resources/templates/list",
        lambda result: cast("ListResourceTemplatesResult", result).resource_templates.append(TEMPLATE),
    )
    _more(server, "prompts/list", lambda result: cast("ListPromptsResult", result).prompts.extend(PROMPTS))
    # The product has no protocol logging: it is deprecated, and the older set asks for it.
    _low(server).add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
    return server


def _low(server: Server[Any]) -> Any:
    return server._lowlevel_server  # pyright: ignore[reportPrivateUsage]  # where the SDK keeps what answers


def _instead(server: Server[Any], method: str, params_type: type[BaseModel], handler: Handler) -> None:
    """Have *handler* answer first; where it gives nothing, the product does."""
    own: Handler = _low(server).get_request_handler(method).handler

    async def answer(ctx: ServerRequestContext[Any], params: Any) -> Any:
        return await handler(ctx, params) or await own(ctx, params)

    _low(server).add_request_handler(method, params_type, answer)


def _more(server: Server[Any], method: str, add: Callable[[Any], None]) -> None:
    """Add to the product's list, on its last page."""
    own: Handler = _low(server).get_request_handler(method).handler

    async def answer(ctx: ServerRequestContext[Any], params: Any) -> Any:
        result = await own(ctx, params)
        if getattr(result, "next_cursor", None) is None:
            add(result)
        return result

    _low(server).add_request_handler(method, PaginatedRequestParams, answer)


def main() -> None:
    """Serve on a free port of this machine."""
    settings = Settings.from_env(os.environ)
    taken = streamable_http.listening("127.0.0.1", 0, has_token=True)
    allowed = streamable_http.Access(
        streamable_http.hosts(taken, "127.0.0.1"), http_token(settings), "The test sends it."
    )
    streamable_http.run(mounted(build_server(settings)), taken, allowed, log_level="ERROR", hint="")


if __name__ == "__main__":
    main()
