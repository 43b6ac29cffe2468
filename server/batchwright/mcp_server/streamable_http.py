"""MCP over streamable HTTP: the same server as over standard input and output, behind a gate.

Knows who may enter, and how to shut down. Knows nothing about jobs.
"""

import hmac
import json
import os
import socket
import sys
import threading
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal, cast

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers

from batchwright.core.errors import InvalidInput
from batchwright.core.setting_values import MIN_SECRET_CHARACTERS
from batchwright.mcp_server.addresses import PATH
from batchwright.mcp_server.connections import IDLE_SECONDS, LET_IN, MAX_HEAD_BYTES, Connections, room
from batchwright.mcp_server.sessions import Sessions

if TYPE_CHECKING:
    import asyncio

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEALTH = "/health"
MAX_REQUEST_BYTES = 16_000_000
MAX_SESSIONS = 1_000
GOODBYE_SECONDS = 10
"""How long work that must not be cut off may take on shutdown."""
_LAST_SECONDS = 5
"""Then the process exits; the journal allows resuming."""
_USUAL_PORTS = {80: "http", 443: "https"}


@dataclass(frozen=True, slots=True)
class Access:
    """Who may enter."""

    hosts: tuple[str, ...]
    """The names by which clients call the server, as `Host` has them, with a port unless it is the usual one."""
    token: str = field(repr=False)
    advice: str
    """A sentence that says where clients get the token."""

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins of the server's own pages."""
        return tuple(f"{scheme}://{host}" for scheme in ("http", "https") for host in self.hosts)


class Gate:
    """Admits requests to the MCP server, and cancels them on shutdown."""

    def __init__(self, inside: "ASGIApp", allowed: Access, pages: "ASGIApp | None" = None) -> None:
        """Make a gate before *inside*; *pages* are for everyone who calls the server by its name."""
        self._inside = inside
        self._allowed = allowed
        self._pages = pages
        self._running: set[anyio.CancelScope] = set()
        self._has_told = False

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request, as an ASGI application does."""
        if scope["type"] != "http":
            await self._inside(scope, receive, send)
        elif scope["path"] == HEALTH:
            await _respond(send, 200, b'{"status": "ok"}')
        elif fault := self._address_fault(scope):
            await _respond(send, *fault)
        elif self._pages is not None and scope["path"] != PATH:
            await self._pages(scope, receive, send)
        elif lack := self._token_fault(scope):
            await self._refuse(send, lack)
        else:
            await self._let_in(scope, receive, send)

    def close(self) -> None:
        """Cancel all requests, except what is shielded in them."""
        for running in list(self._running):
            running.cancel()

    async def _let_in(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        sent: list[Literal["a part", "all"]] = []

        async def sending(message: "Message") -> None:
            is_part = message["type"] == "http.response.start" or message.get("more_body")
            sent.append("a part" if is_part else "all")
            await send(message)

        scope["state"][LET_IN] = True
        with anyio.CancelScope() as running:
            self._running.add(running)
            try:
                await self._inside(scope, receive, sending)
            finally:
                self._running.discard(running)
        if running.cancelled_caught and not sent:
            await _respond(send, 503, b'{"error": "The server is shutting down. Try again once it is running."}')
        elif running.cancelled_caught and sent[-1] != "all":
            await send({"type": "http.response.body", "body": b""})

    def _address_fault(self, scope: "Scope") -> tuple[int, bytes] | None:
        """Return what is wrong with the host or the origin of a request."""
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or len(origins) > 1:
            return 400, b'{"error": "A request must have one Host header and at most one Origin."}'
        if hosts[0].lower() not in self._allowed.hosts:
            # Somebody may point a foreign name at this machine.
            return 421, b'{"error": "This is not the address of this server."}'
        if origins and origins[0] not in self._allowed.origins:
            return 403, b'{"error": "Pages from other origins may not call this server."}'
        return None

    def _token_fault(self, scope: "Scope") -> Literal["missing", "wrong"] | None:
        given = Headers(scope=scope).getlist("authorization")
        if not given:
            return "missing"
        kind, _, token = given[0].partition(" ")
        is_right = hmac.compare_digest(token.strip().encode(), self._allowed.token.encode())
        return None if len(given) == 1 and kind.lower() == "bearer" and is_right else "wrong"

    async def _refuse(self, send: "Send", lack: Literal["missing", "wrong"]) -> None:
        told = f"The bearer token is {lack}. {self._allowed.advice}"
        if not self._has_told:
            self._has_told = True
            print(f"A client was refused. {told}", file=sys.stderr, flush=True)
        challenge = b'Bearer realm="batchwright"' + (b', error="invalid_token"' if lack == "wrong" else b"")
        await _respond(send, 401, json.dumps({"error": told}).encode(), (b"www-authenticate", challenge))


def hosts(taken: socket.socket, host: str, further: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the names of a server that listens at *taken* as *host*, and its *further* names."""
    address, port = taken.getsockname()[:2]
    own = () if ip_address(address).is_unspecified else (address, host.lower())
    shown = (f"[{name}]" if ":" in name else name for name in ("localhost", "127.0.0.1", "::1", *own))
    # Behind a proxy, clients use the proxy's port.
    others = [host for name in further for host in (name, _with_port(name, port))]
    return tuple(dict.fromkeys([*(_with_port(name, port) for name in shown), *others]))


def application(server: MCPServer[Any], allowed: Access, pages: "ASGIApp | None" = None) -> Gate:
    """Return the ASGI application that serves MCP at `/mcp`, and *pages* elsewhere."""
    inside = server.streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=MAX_REQUEST_BYTES,
        max_sessions=MAX_SESSIONS,
        # The gate has checked Host and Origin, also for paths that the SDK only redirects.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    return Gate(Sessions(inside, MAX_SESSIONS), allowed, pages)


def listening(host: str, port: int, *, has_token: bool) -> socket.socket:
    """Bind an address; port 0 picks a free port.

    Raises:
        InvalidInput: It is not available, or other machines reach it and the operator has set no token.
    """
    if not 0 <= port < 65_536:
        raise InvalidInput(f"{port} is not a port. Set --port to 1 to 65535, or to 0 for a free one.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, address = found[0][0], str(found[0][4][0])
        if not has_token and not is_loopback(address):
            raise InvalidInput(
                f"{host} can be reached from other machines, so a server there needs BATCHWRIGHT_HTTP_TOKEN, a secret "
                f"of at least {MIN_SECRET_CHARACTERS} characters that clients send. Set it, or omit --host."
            )
        return socket.create_server((address, port), family=family)
    except (OSError, UnicodeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or type(error).__name__
        raise InvalidInput(
            f"Cannot listen at {host[:80]}, port {port}: {reason}. Use another address, or port 0 for a free one."
        ) from error


def run(server: MCPServer[Any], taken: socket.socket, allowed: Access, *, log_level: str, hint: str) -> None:
    """Print the address and the *hint* for users, and serve MCP there until a signal stops the process."""
    address, port = taken.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    print(f"Batchwright serves MCP at http://{shown}:{port}{PATH}", file=sys.stderr)
    print(hint, file=sys.stderr, flush=True)
    anyio.run(Web(application(server, allowed), log_level=log_level).serve, [taken])


class Web(uvicorn.Server):
    """An HTTP server for an MCP server, with an orderly shutdown in bounded time."""

    def __init__(self, gate: Gate, *, log_level: str) -> None:
        """Make a server for what is behind *gate*."""
        self._gate = gate
        connections = Connections(room())
        super().__init__(
            uvicorn.Config(
                gate,
                # uvicorn would prefer another parser if installed, whose memory has no bound.
                http=cast("type[asyncio.Protocol]", connections.connection),
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                timeout_keep_alive=IDLE_SECONDS,
                backlog=connections.burst,
                log_config=None,
                # Strangers must not fill the log.
                log_level="error" if log_level == "WARNING" else log_level.lower(),
                access_log=False,
                lifespan="on",
                ws="none",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GOODBYE_SECONDS,
            )
        )

    def handle_exit(self, sig: int, frame: Any) -> None:  # noqa: ANN401  # uvicorn's
        """Shut down; the second time, exit at once."""
        if self.should_exit:
            os._exit(1)
        self.should_exit = True
        last = threading.Timer(GOODBYE_SECONDS + _LAST_SECONDS, os._exit, [1])
        last.daemon = True
        last.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down: streams and waiting calls end at once; work that must not be cut off gets its time."""
        # uvicorn would wait for every open stream, and then cut off what is shielded.
        self._gate.close()
        await super().shutdown(sockets)


def is_loopback(address: str) -> bool:
    """Whether an address is reachable only from this machine."""
    return ip_address(address.partition("%")[0]).is_loopback


def _with_port(name: str, port: int) -> str:
    has_port = name.rpartition("]")[2].count(":") == 1
    return name if has_port or port in _USUAL_PORTS else f"{name}:{port}"


async def _respond(send: "Send", status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
