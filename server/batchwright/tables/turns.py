"""Turns: a few threads work at once, and the others wait in the order in which they came, but not for ever."""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from batchwright.core.errors import NotReady
from batchwright.core.progress import Progress

_POLL_SECONDS = 0.05


class Turns:
    """A queue of this process's threads, of which the first *at_once* work.

    At most *waiting* more wait, each for at most *wait_seconds*.
    """

    def __init__(self, *, at_once: int, waiting: int, wait_seconds: float) -> None:
        self._at_once = at_once
        self._most = at_once + waiting
        self._wait_seconds = wait_seconds
        self._queue: list[object] = []
        self._changing = threading.Lock()

    @contextmanager
    def take(self, progress: Progress) -> Generator[None]:
        """Wait for a turn, and hold it.

        Raises:
            NotReady: Too many threads are waiting already, or the wait was too long.
        """
        ticket = object()
        with self._changing:
            if len(self._queue) >= self._most:
                raise NotReady(f"{len(self._queue)} queries are running or waiting already. Try again in a minute.")
            self._queue.append(ticket)
        try:
            self._wait(ticket, progress)
            yield
        finally:
            with self._changing:
                self._queue.remove(ticket)

    def _wait(self, ticket: object, progress: Progress) -> None:
        if self._has_turn(ticket):
            return
        progress.stage(0, 0, "Waiting for other queries to finish")
        end = time.monotonic() + self._wait_seconds
        while not self._has_turn(ticket):
            progress.check()
            if time.monotonic() > end:
                waited = f"this one waited {self._wait_seconds:.0f} seconds"
                raise NotReady(f"Other queries are still running: {waited}. Try again in a minute.")
            time.sleep(_POLL_SECONDS)

    def _has_turn(self, ticket: object) -> bool:
        with self._changing:
            return ticket in self._queue[: self._at_once]
