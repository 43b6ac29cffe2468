"""A server that stands for the models of the command-line assistants, in the three dialects that they speak.

It answers each turn with the next call of a script, and keeps what the assistant told the model: which tools there are,
what the server's instructions say, and what came back from each call.
"""

import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from aiohttp import web

from tests.support.loopback import on_loopback

Call = tuple[str, Mapping[str, Any]]
"""A tool, by the server's own name for it, and its arguments."""

END = "All done."
MAX_REQUESTS = 60


@dataclass
class ModelServer:
    """What is said to the model, and what the model says."""

    script: Sequence[Call]
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    tools: dict[str, Any] = field(default_factory=dict[str, Any])
    results: list[Any] = field(default_factory=list[Any])
    searches: int = 0

    def next_call(self, offered: Mapping[str, Any], results: Sequence[Any]) -> tuple[str, Mapping[str, Any]] | None:
        """Give the call to make now, by the assistant's name for the tool; None: say that it is done."""
        self.tools |= offered
        if len(results) > len(self.results):
            self.results = list(results)
        if not offered or len(results) >= len(self.script):
            return None
        name, arguments = self.script[len(results)]
        found = [full for full in offered if re.search(rf"(?:^|_|\.){name}$", full)]
        return (found[0], arguments) if found else self._search(offered, name)

    def _search(self, offered: Mapping[str, Any], name: str) -> tuple[str, Mapping[str, Any]] | None:
        """Look a tool up that the assistant has but does not show, a few times: servers may still be starting."""
        self.searches += 1
        if "ToolSearch" not in offered or self.searches > 5:
            return None
        return "ToolSearch", {"query": f"select:mcp__batchwright__{name}"}

    def seen(self) -> str:
        """Give everything that was told to the model, as one text."""
        return json.dumps(self.requests, ensure_ascii=False)


@asynccontextmanager
async def running_model(script: Sequence[Call]) -> AsyncGenerator[ModelServer]:
    """Serve a model that makes the calls of *script*, one a turn."""
    server = ModelServer(script)

    async def answer(request: web.Request) -> web.StreamResponse:
        body = cast("dict[str, Any]", json.loads(await request.read() or b"{}"))
        server.requests.append({"path": request.path, **body})
        if len(server.requests) > MAX_REQUESTS:
            raise web.HTTPTooManyRequests
        if request.path.endswith("/messages"):
            return _stream(_anthropic(server, body), body.get("stream", False))
        if request.path.endswith("/responses"):
            return _stream(_openai(server, body), is_streamed=True)
        if "enerateContent" in request.path:
            return _stream(_gemini(server, body), "stream" in request.path)
        return web.json_response({"data": [], "models": [], "input_tokens": 1, "totalTokens": 1})

    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{rest:.*}", answer)
    async with on_loopback(app) as server.url:
        yield server


def _stream(events: Sequence[dict[str, Any]], is_streamed: bool) -> web.Response:  # noqa: FBT001  # of the request
    if not is_streamed:
        return web.json_response(events[-1] if "candidates" in events[-1] else _whole_message(events))
    lines = [
        (f"event: {event['type']}\n" if "type" in event else "") + f"data: {json.dumps(event)}\n\n" for event in events
    ]
    return web.Response(text="".join(lines), content_type="text/event-stream")


def _anthropic(server: ModelServer, body: dict[str, Any]) -> list[dict[str, Any]]:
    contents: list[list[dict[str, Any]] | str] = [message["content"] for message in body["messages"]]
    blocks = [block for content in contents if not isinstance(content, str) for block in content]
    searches = {block["id"] for block in blocks if block["type"] == "tool_use" and block["name"] == "ToolSearch"}
    results = [block for block in blocks if block["type"] == "tool_result" and block["tool_use_id"] not in searches]
    call = server.next_call({tool["name"]: tool for tool in body.get("tools", ())}, results)
    if call:
        block: dict[str, Any] = {
            "type": "tool_use",
            "id": f"toolu_{len(server.requests)}",
            "name": call[0],
            "input": {},
        }
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call[1])}
    else:
        block = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": END}
    message: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"]}
    message |= {"content": []}
    usage = {"input_tokens": 10, "output_tokens": 5}
    return [
        {"type": "message_start", "message": {**message, "stop_reason": None, "stop_sequence": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None},
            "usage": usage,
        },
        {"type": "message_stop"},
    ]


def _whole_message(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    message = events[0]["message"]
    return {**message, "content": [{"type": "text", "text": END}], "stop_reason": "end_turn"}


def _openai(server: ModelServer, body: dict[str, Any]) -> list[dict[str, Any]]:
    offered: dict[str, Any] = {}
    for tool in body.get("tools", ()):
        if tool["type"] == "namespace":
            offered |= {f"{tool['name']}.{inner['name']}": inner for inner in tool["tools"]}
        elif tool["type"] == "function":
            offered[tool["name"]] = tool
    results = [item for item in body["input"] if item.get("type") == "function_call_output"]
    call = server.next_call(offered, results)
    if call:
        namespace, _, name = call[0].rpartition(".")
        arguments = json.dumps(call[1])
        item: dict[str, Any] = {"type": "function_call", "call_id": f"call_{len(results)}", "arguments": arguments}
        item |= {"name": name} | ({"namespace": namespace} if namespace else {})
    else:
        item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": END}]}
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    return [
        {"type": "response.created", "response": {"id": "resp_1"}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"id": "resp_1", "usage": usage}},
    ]


def _gemini(server: ModelServer, body: dict[str, Any]) -> list[dict[str, Any]]:
    declared = [tool for group in body.get("tools", ()) for tool in group.get("functionDeclarations", ())]
    parts = [part for content in body["contents"] for part in content["parts"]]
    results = [part for part in parts if "functionResponse" in part]
    call = server.next_call({tool["name"]: tool for tool in declared}, results)
    part = {"functionCall": {"name": call[0], "args": call[1]}} if call else {"text": END}
    candidate = {"index": 0, "content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
    return [{"candidates": [candidate], "usageMetadata": usage}]
