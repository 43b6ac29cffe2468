"""Sessions of clients of 2025: if there is no room for another, the one idle longest is closed."""

from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ID = "mcp-session-id"
_ENDED = 404


class Sessions:
    """Counts the sessions of an MCP endpoint, which would otherwise refuse new ones until an old one expires."""

    def __init__(self, endpoint: ASGIApp, most: int) -> None:
        self._endpoint = endpoint
        self._most = most
        self._opening = 0
        # How many requests of each session are being answered; the longest unused first.
        self._requests: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as an ASGI application does."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        session = headers.get(_ID)
        if session in self._requests:
            await self._answer(session, scope, receive, send)
        elif session is None and scope["type"] == "http" and _opens_session(scope["method"], headers):
            await self._open(scope, receive, send)
        else:
            await self._endpoint(scope, receive, send)

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def note(message: Message) -> None:
            if message["type"] == "http.response.start" and (session := Headers(raw=message["headers"]).get(_ID)):
                self._requests.setdefault(session, 0)
            await send(message)

        self._opening += 1
        try:
            if len(self._requests) + self._opening > self._most:
                await self._end_one(scope)
            await self._endpoint(scope, receive, note)
        finally:
            self._opening -= 1

    async def _answer(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        is_over = scope["method"] == "DELETE"

        async def note(message: Message) -> None:
            nonlocal is_over
            is_over = is_over or message.get("status") == _ENDED
            await send(message)

        self._requests[session] = self._requests.pop(session) + 1
        try:
            await self._endpoint(scope, receive, note)
        finally:
            running = self._requests.pop(session, None)
            if running is not None and not is_over:
                self._requests[session] = running - 1

    async def _end_one(self, scope: Scope) -> None:
        """Close the session that has been idle longest, as its client would."""
        idle = next((session for session, running in self._requests.items() if not running), None)
        if idle is not None:
            del self._requests[idle]
            await self._endpoint(
                {**scope, "method": "DELETE", "headers": [(_ID.encode(), idle.encode())]}, _empty, _drop
            )


def _opens_session(method: str, headers: Headers) -> bool:
    version = headers.get("mcp-protocol-version")
    return method == "POST" and (version is None or version in HANDSHAKE_PROTOCOL_VERSIONS)


async def _empty() -> Message:
    return {"type": "http.request"}


async def _drop(_message: Message) -> None:
    pass
