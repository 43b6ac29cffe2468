"""An OpenAI-compatible endpoint on loopback, with faults that a test can switch on. It is told what to answer."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from aiohttp import web

from tests.support.loopback import on_loopback

Answer = Callable[[str], str]


def _echo(text: str) -> str:
    return f"answer to {text}"


@dataclass
class Endpoint:
    """A running endpoint.

    Attributes:
        answer: The user's text to the model's text.
        seconds: How long each request takes.
        statuses: HTTP statuses to answer next, before any good answer; per text of the user.
        headers: Sent with those.
        trouble: What they say.
        cuts: How many requests lose their connection instead of an answer, though they are answered; per text.
        raw: Sent as the body of every good answer, if it is not None.
        gate: While cleared, requests wait.
        seen: How often each user text came.
        bodies: Every request body, in order.
        most_in_flight: The largest number of requests at one time.
    """

    url: str = ""
    answer: Answer = _echo
    seconds: float = 0.0
    statuses: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    headers: dict[str, str] = field(default_factory=dict[str, str])
    trouble: str = "told to fail"
    finish_reason: str = "stop"
    key: str | None = None
    cuts: Counter[str] = field(default_factory=Counter[str])
    raw: bytes | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    seen: Counter[str] = field(default_factory=Counter[str])
    bodies: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    in_flight: int = 0
    most_in_flight: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            # As OpenAI does, it says which key it refuses.
            return _error(401, f"Incorrect API key provided: {request.headers.get('Authorization', '')[7:]}.")
        body = await request.json()
        self.bodies.append(body)
        text = _user_text(body)
        self.seen[text] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.gate.wait()
            await asyncio.sleep(self.seconds)
        finally:
            self.in_flight -= 1
        if cut := next((name for name in (text, "*") if self.cuts[name] > 0), None):
            self.cuts[cut] -= 1
            assert request.transport is not None
            request.transport.abort()
        waiting = self.statuses.get(text) or self.statuses.get("*") or []
        if waiting:
            return _error(waiting.pop(0), self.trouble, headers=self.headers)
        if self.raw is not None:
            return web.Response(body=self.raw, content_type="application/json")
        return web.json_response(_SHAPES[request.path](body, self.answer(text), self.finish_reason))


@asynccontextmanager
async def running_endpoint(
    *,
    answer: Answer = _echo,
    seconds: float = 0.0,
    statuses: dict[str, list[int]] | None = None,
    headers: dict[str, str] | None = None,
    key: str | None = None,
    raw: bytes | None = None,
) -> AsyncGenerator[Endpoint]:
    """Serve on a free port until the block ends."""
    endpoint = Endpoint(answer=answer, seconds=seconds, key=key, raw=raw)
    endpoint.statuses, endpoint.headers = statuses or {}, headers or {}
    endpoint.gate.set()
    app = web.Application(client_max_size=64 << 20)
    for path in _SHAPES:
        app.router.add_post(path, endpoint.handle)
    async with on_loopback(app) as url:
        endpoint.url = f"{url}/v1"
        yield endpoint


def _user_text(body: dict[str, Any]) -> str:
    return body["messages"][-1]["content"] if "messages" in body else str(body["input"])


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    error = {"message": message, "type": "test", "param": None, "code": None}
    return web.json_response({"error": error}, status=status, headers=headers)


def _chat(body: dict[str, Any], text: str, finish_reason: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": body["model"],
        "choices": [choice],
        "usage": usage,
    }


def _response(body: dict[str, Any], text: str, _finish_reason: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "output_text", "text": text, "annotations": []}]
    message: dict[str, Any] = {"type": "message", "role": "assistant", "status": "completed", "content": content}
    usage = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
    return {"id": "resp_1", "object": "response", "status": "completed", "output": [message], "usage": usage} | {
        "model": body["model"]
    }


def _embedding(body: dict[str, Any], text: str, _finish_reason: str) -> dict[str, Any]:
    given: Any = body["input"]
    texts = cast("list[str]", given) if isinstance(given, list) else [text]
    data = [{"object": "embedding", "index": n, "embedding": [0.5, float(len(each))]} for n, each in enumerate(texts)]
    return {"object": "list", "data": data, "model": body["model"], "usage": {"prompt_tokens": 5, "total_tokens": 5}}


_SHAPES: dict[str, Callable[[dict[str, Any], str, str], dict[str, Any]]] = {
    "/v1/chat/completions": _chat,
    "/v1/responses": _response,
    "/v1/embeddings": _embedding,
}
