"""Another user of the machine, who swaps two files or folders for each other again and again, each time at once."""

import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SECONDS = 5.0
MOST = 100

_SWAP = """
import ctypes, os, random, sys, time
exchange = ctypes.CDLL(None, use_errno=True).renameat2
first, second = (os.fsencode(name) for name in sys.argv[1:])
end = time.monotonic() + 60
while time.monotonic() < end:
    if exchange(-100, first, -100, second, 2):
        sys.exit(os.strerror(ctypes.get_errno()))
    if not sys.stdout.closed:
        print("swapping", flush=True)
        sys.stdout.close()
    time.sleep(random.random() / 2_000)
"""


@contextmanager
def swapping(first: Path, second: Path) -> Generator[None]:
    """Swap two names for each other in a process of its own, until the block ends."""
    if sys.platform != "linux":
        pytest.skip("only Linux can swap two names at once")
    command = [sys.executable, "-c", _SWAP, str(first), str(second)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if not process.stdout.readline():
            pytest.skip(f"names cannot be swapped here: {process.stderr.read()}")
        try:
            yield
        finally:
            process.kill()


def tries() -> Iterator[int]:
    """Count tries, for a bounded time."""
    end = time.monotonic() + SECONDS
    for number in range(MOST):
        if time.monotonic() > end:
            return
        yield number
