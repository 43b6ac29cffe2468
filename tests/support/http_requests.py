"""Requests of 2026-07-28 over HTTP, written by hand: what no client library would send, or would hide."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

VERSION = "2026-07-28"
TOKEN = "a-secret-of-enough-characters"
"""What a server of these tests lets in."""
_META = "io.modelcontextprotocol/"
CAN_ASK: dict[str, Any] = {"elicitation": {"form": {}}}


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the headers, and the JSON-RPC message."""

    status: int
    headers: Mapping[str, str]
    message: dict[str, Any]

    @property
    def result(self) -> dict[str, Any]:
        """Give the result of a request that is to succeed."""
        assert "result" in self.message, self.message
        return self.message["result"]


async def ask(
    url: str,
    method: str,
    params: Mapping[str, Any],
    *,
    capabilities: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    token: str | None = TOKEN,
) -> Answer:
    """Send a request, and read its answer; a redirection is one."""
    envelope = {
        f"{_META}protocolVersion": VERSION,
        f"{_META}clientInfo": {"name": "by hand", "version": "0"},
        f"{_META}clientCapabilities": capabilities or {},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": envelope}}
    sent = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": VERSION,
        "Mcp-Method": method,
    }
    named = [params[key] for key in ("name", "uri", "taskId") if key in params]
    sent |= {"Mcp-Name": named[0]} if named else {}
    sent |= {"Authorization": f"Bearer {token}"} if token else {}
    sent |= headers or {}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=body, headers=sent, allow_redirects=False) as response,
    ):
        text = await response.text()
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    try:
        message = json.loads(lines[-1] if lines else text)
    except ValueError:
        message = {"text": text}
    return Answer(response.status, response.headers, message)


async def call(url: str, name: str, /, **arguments: Any) -> Answer:
    """Call a tool, as a client that can ask nobody."""
    return await ask(url, "tools/call", {"name": name, "arguments": arguments})
