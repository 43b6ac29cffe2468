"""Turns: a few may work at once, the others wait in the order in which they came, and not for ever."""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from batchwright.core.errors import NotReady
from batchwright.core.progress import Progress

_LOOK_SECONDS = 0.05


class Turns:
    """Whose turn it is, among the threads of this process."""

    def __init__(self, *, at_once: int, waiting: int, wait_seconds: float) -> None:
        """Let so many work *at_once*, and so many more wait, each for at most *wait_seconds*."""
        self._at_once = at_once
        self._most = at_once + waiting
        self._wait_seconds = wait_seconds
        self._queue: list[object] = []
        self._changing = threading.Lock()

    @contextmanager
    def take(self, progress: Progress) -> Generator[None]:
        """Wait for a turn, and hold it.

        Raises:
            NotReady: Too many wait already, or it took too long.
        """
        ticket = object()
        with self._changing:
            if len(self._queue) >= self._most:
                raise NotReady(f"{len(self._queue)} queries run or wait already. Ask again in a minute.")
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
        progress.stage(0, 0, "Waiting until other queries have ended")
        end = time.monotonic() + self._wait_seconds
        while not self._has_turn(ticket):
            progress.check()
            if time.monotonic() > end:
                raise NotReady(
                    f"Other queries still run, and this one waited {self._wait_seconds:.0f} seconds for its turn. "
                    "Ask again in a minute."
                )
            time.sleep(_LOOK_SECONDS)

    def _has_turn(self, ticket: object) -> bool:
        with self._changing:
            return ticket in self._queue[: self._at_once]
