"""A process that draws one chart, because matplotlib runs the system's `fc-list` with its whole environment.

It reads a comparison from one line of standard input, writes a PNG to standard output, and ends when its input closes.
"""

import os
import sys
import threading
from importlib.util import find_spec

import msgspec

from batchwright.core.children import Child
from batchwright.core.errors import MissingExtra, NotReady
from batchwright.costs.chart import png
from batchwright.costs.comparison import Comparison

MAX_SECONDS = 120
"""The first chart takes longest: matplotlib searches all fonts, and caches what it finds."""
MAX_BYTES = 10_000_000
CHART = Child(("-m", "batchwright.costs.chart_process"), ("MPLCONFIGDIR",))
"""If MPLCONFIGDIR is set, matplotlib keeps its font cache there."""


async def draw(comparison: Comparison) -> bytes:
    """Draw a comparison in a separate process, and return the PNG.

    Raises:
        MissingExtra: matplotlib is not installed.
        NotReady: It failed, or took too long.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtra(
            "No chart was drawn: matplotlib is not installed. Install it with pip install 'batchwright[charts]'."
        )
    try:
        return await CHART.ask(msgspec.json.encode(comparison), wait_seconds=MAX_SECONDS, most_bytes=MAX_BYTES)
    except OSError as error:
        raise NotReady(
            f"No chart was drawn: matplotlib failed, or took more than {MAX_SECONDS} seconds. "
            "Try again, or reinstall it with pip install --force-reinstall matplotlib."
        ) from error


def main() -> None:
    """Draw the requested chart."""
    comparison = msgspec.json.decode(sys.stdin.buffer.readline(), type=Comparison)
    threading.Thread(target=_end_with_input, daemon=True).start()
    sys.stdout.buffer.write(png(comparison))


def _end_with_input() -> None:
    # Not through `sys.stdin`: a thread that holds its lock keeps the interpreter from exiting cleanly.
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
