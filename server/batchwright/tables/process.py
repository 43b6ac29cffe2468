"""Work on what nobody vouches for, in a process of its own, which is ended where it takes too much."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil

from batchwright.core import system
from batchwright.core.children import Child
from batchwright.core.errors import BatchwrightError, DiskFault, InvalidInput
from batchwright.core.progress import Progress
from batchwright.tables.turns import Turns

MAX_PROCESS_BYTES = 1_500_000_000
"""DuckDB keeps to its own limit only with tables: a single value may grow beyond it, and a sheet has none."""
_LOOK_SECONDS = 0.05
# Each may take MAX_PROCESS_BYTES. What waits holds one of the server's 40 threads, and leaves the rest to other calls.
_TURNS = Turns(at_once=2, waiting=20, wait_seconds=30)


class Report(msgspec.Struct, frozen=True):
    """What came of it: how many rows, and what is to be said; or the kind of error and its sentence."""

    rows: int = 0
    warnings: tuple[str, ...] = ()
    error: str | None = None
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a process may take.

    Attributes:
        seconds: Of time.
        target_bytes: Of the file that it writes.
        too_long, too_much, too_large, broken: The sentence where it takes more time, memory or room; or where it dies.
    """

    seconds: float
    target_bytes: int
    too_long: str
    too_much: str
    too_large: str
    broken: str


def carry_out(module: str, order: msgspec.Struct, target: Path, bounds: Bounds, progress: Progress) -> Report:
    """Have *module* do what *order* says: it writes *target*, and beside it how far it is.

    Raises:
        InvalidInput: It cannot be done, or takes more than its bounds.
        NotReady: Its turn did not come in time.
        DiskFault: It cannot be written.
    """
    with _TURNS.take(progress):
        report = _report(module, order, target, bounds, progress)
    match report.error:
        case None:
            return report
        case "OSError":
            raise DiskFault.at(target.parent, report.sentence)
        case error:
            raise (DiskFault if error == "DiskFault" else InvalidInput)(report.sentence)


def progress_file(target: Path) -> Path:
    """Return the file beside *target* that says meanwhile how many percent are done."""
    return target.with_name(f"{target.name}.percent")


def progress_of(target: Path) -> Progress:
    """Begin work, inside the process, that whoever watches it hears of."""

    def tell(percent: float, _doing: str) -> None:
        with suppress(OSError):  # a full disk is told of elsewhere
            progress_file(target).write_text(str(percent), encoding="ascii")

    return Progress.to(tell)


Asked = TypeVar("Asked", bound=msgspec.Struct)


def serve(kind: type[Asked], do: Callable[[Asked], Report]) -> None:
    """Be such a process: do what standard input says in one line, and end when it is closed."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=kind)
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        report = do(order)
    except BatchwrightError as error:
        report = Report(error=type(error).__name__, sentence=str(error))
    except OSError as error:
        report = Report(error="OSError", sentence=error.strerror or type(error).__name__)
    sys.stdout.buffer.write(msgspec.json.encode(report))
    sys.stdout.buffer.flush()
    os._exit(0)  # the thread may hold the input


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _report(module: str, order: msgspec.Struct, target: Path, bounds: Bounds, progress: Progress) -> Report:
    with Child(("-m", module)).start() as process:
        if process.stdin is None or process.stdout is None:
            raise InvalidInput("The other process has no pipes. Start the server again.")
        try:
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.flush()
            _wait(process, target, bounds, progress)
            return msgspec.json.decode(process.stdout.read(), type=Report)
        except (OSError, msgspec.DecodeError) as error:
            raise InvalidInput(bounds.broken) from error
        finally:
            process.kill()


def _wait(process: "subprocess.Popen[bytes]", target: Path, bounds: Bounds, progress: Progress) -> None:
    end = time.monotonic() + bounds.seconds
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        progress.check()
        if time.monotonic() > end:
            raise InvalidInput(bounds.too_long)
        with suppress(psutil.Error):
            if system.memory_bytes(watched) > MAX_PROCESS_BYTES:
                raise InvalidInput(bounds.too_much)
        if target.exists() and target.stat().st_size > bounds.target_bytes:
            raise InvalidInput(bounds.too_large)
        with suppress(OSError, ValueError):  # it is not there yet, or being written
            progress.at(float(progress_file(target).read_text(encoding="ascii")) / 100)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_SECONDS)
