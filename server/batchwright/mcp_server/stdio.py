"""MCP over standard input and output, with an orderly shutdown on a signal.

A blocked read of standard input cannot be cancelled: the SDK's thread would hold the process until the client writes or
leaves. So the client's bytes pass through a pipe, and a signal closes it: to the server, the client has left.
"""

import os
import signal
import threading
from types import FrameType
from typing import Any

from mcp.server import MCPServer

GOODBYE_SECONDS = 4.0
"""How long work that must not be cut off may take. Then the process exits; the journal allows resuming."""
LEFT_SECONDS = 15.0
"""The same after the client has left, when nobody waits."""
_BLOCK_BYTES = 65_536
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name))


class _Input:
    """Standard input that can be closed from this side."""

    def __init__(self) -> None:
        """Replace standard input by a pipe, and forward to it."""
        self._source = os.dup(0)
        readable, self._target = os.pipe()
        os.dup2(readable, 0)
        os.close(readable)
        self._is_open = True
        self._writing = threading.Lock()
        threading.Thread(target=self._pass_on, daemon=True).start()

    def end(self) -> None:
        """Close it for its reader."""
        with self._writing:
            if self._is_open:
                self._is_open = False
                os.close(self._target)

    def _pass_on(self) -> None:
        try:
            while block := os.read(self._source, _BLOCK_BYTES):
                self._write(block)
        except OSError:  # the terminal is gone, or nobody reads
            pass
        finally:
            self.end()
            _end_after(LEFT_SECONDS)

    def _write(self, block: bytes) -> None:
        with self._writing:
            while block and self._is_open:
                block = block[os.write(self._target, block) :]


def run(server: MCPServer[Any]) -> None:
    """Serve until the client leaves or a signal stops the process."""
    given = _Input()
    told: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        if told:
            os._exit(1)
        told.append(number)
        # In another thread: this one may hold the lock.
        threading.Thread(target=given.end, daemon=True).start()
        _end_after(GOODBYE_SECONDS)

    for number in _SIGNALS:
        signal.signal(number, end)
    server.run("stdio")


def _end_after(seconds: float) -> None:
    last = threading.Timer(seconds, os._exit, [1])
    last.daemon = True
    last.start()
