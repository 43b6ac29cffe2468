"""Work on untrusted data in a separate process, which is stopped when it takes too much."""

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
"""DuckDB applies its own limit to tables only: a single value may exceed it, and the Excel reader has no limit."""
_POLL_SECONDS = 0.05
# Each may take MAX_PROCESS_BYTES. A waiting call holds one of the server's 40 threads; the rest stay free for others.
_TURNS = Turns(at_once=2, waiting=20, wait_seconds=30)


class ProcessReport(msgspec.Struct, frozen=True):
    """What a process did: the rows it wrote and its warnings; or the kind of error and its message."""

    rows: int = 0
    warnings: tuple[str, ...] = ()
    error: str | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class ProcessBounds:
    """The most that a process may take: time, bytes of the file that it writes, and memory.

    *work* names what it does, and *advice* is what the user can do when it takes more.
    """

    work: str
    advice: str
    seconds: float
    target_bytes: int
    memory_bytes: int = MAX_PROCESS_BYTES

    def refusal(self, fact: str) -> InvalidInput:
        """Return the error of work that takes too much, or dies."""
        return InvalidInput(f"{self.work} {fact}. {self.advice}")


def carry_out(
    module: str, order: msgspec.Struct, target: Path, bounds: ProcessBounds, progress: Progress
) -> ProcessReport:
    """Have *module* carry out *order* in a process: it writes *target*, and its progress to a file beside it.

    Raises:
        InvalidInput: The order cannot be carried out, or takes more than its bounds.
        NotReady: Its turn did not come in time.
        DiskFault: The file cannot be written.
    """
    with _TURNS.take(progress):
        report = _report(module, order, target, bounds, progress)
    _progress_file(target).unlink(missing_ok=True)
    match report.error:
        case None:
            return report
        case "OSError":
            raise DiskFault.at(target.parent, report.message)
        case error:
            raise (DiskFault if error == "DiskFault" else InvalidInput)(report.message)


def _progress_file(target: Path) -> Path:
    """Return the file beside *target* that holds the percentage done."""
    return target.with_name(f"{target.name}.percent")


def progress_of(target: Path) -> Progress:
    """Return the progress, inside the process, that its parent reads."""

    def tell(percent: float, _doing: str) -> None:
        with suppress(OSError):  # a full disk is reported elsewhere
            _progress_file(target).write_text(str(percent), encoding="ascii")

    return Progress.to(tell)


OrderType = TypeVar("OrderType", bound=msgspec.Struct)


def serve(kind: type[OrderType], do: Callable[[OrderType], ProcessReport]) -> None:
    """Run as such a process: read an order as one line of standard input, and exit once that is closed."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=kind)
    threading.Thread(target=_exit_with_input, daemon=True).start()
    try:
        report = do(order)
    except BatchwrightError as error:
        report = ProcessReport(error=type(error).__name__, message=str(error))
    except OSError as error:
        report = ProcessReport(error="OSError", message=error.strerror or type(error).__name__)
    sys.stdout.buffer.write(msgspec.json.encode(report))
    sys.stdout.buffer.flush()
    os._exit(0)  # the thread may be holding the input


def _exit_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _report(
    module: str, order: msgspec.Struct, target: Path, bounds: ProcessBounds, progress: Progress
) -> ProcessReport:
    with Child(("-m", module)).start() as process:
        if process.stdin is None or process.stdout is None:
            raise InvalidInput("The other process has no pipes. Start the server again.")
        try:
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.flush()
            _wait(process, target, bounds, progress)
            return msgspec.json.decode(process.stdout.read(), type=ProcessReport)
        except (OSError, msgspec.DecodeError) as error:
            raise bounds.refusal("failed: it is broken, or needs more memory than there is") from error
        finally:
            process.kill()


def _wait(process: "subprocess.Popen[bytes]", target: Path, bounds: ProcessBounds, progress: Progress) -> None:
    end = time.monotonic() + bounds.seconds
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        progress.check()
        if time.monotonic() > end:
            raise bounds.refusal(f"took more than {bounds.seconds:.0f} seconds")
        with suppress(psutil.Error):
            if system.memory_bytes(watched) > bounds.memory_bytes:
                raise bounds.refusal(f"needs more than {bounds.memory_bytes // 10**6:,} MB of memory")
        if target.exists() and target.stat().st_size > bounds.target_bytes:
            raise bounds.refusal(f"has more than {bounds.target_bytes // 10**6:,} MB of rows")
        with suppress(OSError, ValueError):  # not written yet, or only in part
            progress.at(float(_progress_file(target).read_text(encoding="ascii")) / 100)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)
