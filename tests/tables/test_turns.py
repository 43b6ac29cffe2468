"""Turns: a few at once, the others in the order in which they came."""

import threading

import pytest

from batchwright.core.errors import NotReady
from batchwright.core.progress import SILENT, Progress
from batchwright.tables.turns import Turns


def test_turns_come_in_the_order_of_arrival() -> None:
    """Whoever came first must not be overtaken by those who ask again and again."""
    turns = Turns(at_once=1, waiting=5, wait_seconds=60)
    came: list[int] = []

    def one(number: int, waits: threading.Event) -> None:
        with turns.take(Progress.to(lambda _percent, _doing: waits.set())):
            came.append(number)

    threads: list[threading.Thread] = []
    with turns.take(SILENT):
        for number in range(5):
            waits = threading.Event()
            threads.append(threading.Thread(target=one, args=(number, waits)))
            threads[-1].start()
            assert waits.wait(60)
    for thread in threads:
        thread.join(60)

    assert came == [0, 1, 2, 3, 4]


def test_whoever_leaves_while_waiting_gives_up_the_place() -> None:
    """Otherwise nobody's turn would come any more."""

    def leave() -> None:
        raise NotReady("left")

    turns = Turns(at_once=1, waiting=1, wait_seconds=60)
    with turns.take(SILENT):
        for _ in range(2):
            with (
                pytest.raises(NotReady, match="left"),
                turns.take(Progress.to(lambda _percent, _doing: None, check=leave)),
            ):
                pass
    with turns.take(SILENT):
        pass
