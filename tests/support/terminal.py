"""Commands in a terminal of their own, as a user runs them."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

_START = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-P", "-m", "batchwright", *sys.argv[1:]])
"""
"""Makes the terminal that of the process: Ctrl+C is a signal only there."""
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Terminal:
    """A command, and what its terminal has shown so far."""

    process: subprocess.Popen[bytes]
    descriptor: int
    raw: str = ""

    @property
    def text(self) -> str:
        """What was shown, without what moves the cursor or colours the text."""
        return _CONTROL.sub("", self.raw).replace("\r\n", "\n")

    def read_until(self, words: str, wait_seconds: float = 60) -> None:
        """Read until *words* are shown."""
        end = time.monotonic() + wait_seconds
        while words not in self.text:
            assert self._read(end), f"{words!r} was not shown: {self.text}"

    def read_to_end(self, wait_seconds: float = 60) -> str:
        """Read until the command has ended, and return all that was shown."""
        end = time.monotonic() + wait_seconds
        while self._read(end):
            pass
        self.process.wait(10)
        return self.text

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.descriptor, keys.encode())

    def _read(self, end: float) -> bool:
        """Read what comes next; False: nothing comes any more."""
        ready, _, _ = select.select([self.descriptor], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"Nothing more came in time: {self.text}"
        try:
            block = os.read(self.descriptor, 65_536)
        except OSError:  # how Linux says that nobody has the terminal open any more
            return False
        self.raw += block.decode(errors="replace")
        return bool(block)


@contextmanager
def in_terminal(*arguments: str, env: Mapping[str, str], columns: int = 80) -> Generator[Terminal]:
    """Run `batchwright` in a terminal of so many columns, which it is not told in another way."""
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR"}}
    whole = {**inherited, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **env}
    with subprocess.Popen(
        [sys.executable, "-c", _START, *arguments],
        env=whole,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    ) as process:
        os.close(slave)
        try:
            yield Terminal(process, master)
        finally:
            process.kill()
            os.close(master)
