"""Bounded HTTP connections: how many there may be, how long each may wait, and how large a request's head may be.

Knows nothing about requests, except whether the gate admitted one on a connection.
"""

import asyncio
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from batchwright.core import system

LET_IN = "batchwright.let_in"
"""Set in a request's state once the gate admits it."""
HEAD_SECONDS = 10.0
"""How long a client may take to send a request's head, and a new client to be admitted."""
IDLE_SECONDS = 75
"""How long an admitted client may wait between requests: longer than clients keep connections open."""
MAX_HEAD_BYTES = 16 * 1024
MAX_CONNECTIONS = 1_000
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def room() -> int:
    """Return how many connections this process may have: the journal, files and children also need descriptors."""
    most = system.max_open_files()
    return MAX_CONNECTIONS if most is None else min(MAX_CONNECTIONS, most // 2)


class Connections:
    """All connections of a server, grouped by what they wait for."""

    def __init__(self, most: int) -> None:
        self._most = most
        # Those that wait, longest first; a connection whose request is being answered is in neither.
        self._strangers: dict[Connection, None] = {}
        self._known: dict[Connection, None] = {}

    @property
    def burst(self) -> int:
        """How many may be accepted at once, before any of them is handled."""
        return max(16, self._most // 8)

    def connection(self, **given: Any) -> "Connection":  # noqa: ANN401  # uvicorn's
        """Make a connection's protocol, as uvicorn asks for it."""
        return Connection(self, **given)

    def make_room(self, count: int) -> bool:
        """Return whether there is room for *count*; if not, first close the one that has waited longest."""
        if count <= self._most:
            return True
        oldest = next(iter(self._strangers or self._known), None)
        if oldest is None:
            return False
        self.forget(oldest)
        oldest.transport.abort()
        return True

    def wait(self, connection: "Connection", *, is_known: bool) -> None:
        """Note that a connection waits for a request."""
        self.forget(connection)
        (self._known if is_known else self._strangers)[connection] = None

    def forget(self, connection: "Connection") -> None:
        """Note that a connection waits no more."""
        self._strangers.pop(connection, None)
        self._known.pop(connection, None)


class Connection(H11Protocol):
    """Uvicorn's HTTP/1.1 connection, with a time limit for a request's head."""

    def __init__(
        self,
        among: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._among = among
        self._is_known = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection if there is room."""
        super().connection_made(transport)
        if self._among.make_room(len(self.connections)):
            self._wait()
        else:
            transport.write(_FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._lift_deadline()
        self._among.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read data; the time limit starts with the first byte of a request."""
        super().data_received(data)
        if self._is_answering:
            self._among.forget(self)
        elif not self.transport.is_closing():
            self._set_deadline()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._is_known = self._is_known or LET_IN in self.scope.get("state", {})
        if self._is_known:
            self._lift_deadline()
        super().on_response_complete()  # which may start a request that has already arrived
        if not (self._is_answering or self.transport.is_closing()):
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Reject what is not HTTP, or close the connection if an answer to an earlier request has begun."""
        if self.conn.our_state is h11.IDLE:
            super().send_400_response(msg)
        else:
            self.cycle.disconnected = True  # true in a moment, and the handler may be faster
            self.transport.abort()

    @property
    def _is_answering(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete

    def _wait(self) -> None:
        self._among.wait(self, is_known=self._is_known)
        # The rest of a rejected request's body is discarded, but not indefinitely.
        if not self._is_known or self.conn.their_state is h11.SEND_BODY:
            self._set_deadline()

    def _set_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _lift_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self._is_answering:
            self.transport.abort()
