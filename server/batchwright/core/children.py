"""Child processes: how each is started, so that it runs nothing of the user's folders and is handed no key.

The folder that the server was started in holds data, which anybody may have written: a `pip.py` or a `duckdb.py` there
must not be taken for the package. So the interpreter looks for modules where it is installed and nowhere else, runs in
a folder of this program, and gets an environment made for it. No other module starts a process.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import anyio
import anyio.abc

import batchwright

FOLDER = Path(batchwright.__file__).parent
"""Where children run. Whoever can write there can change this program anyway."""

PACKAGE_INDEX = (
    *("PIP_*", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)
"""What pip needs to follow the user's own settings. Some hold passwords, so nothing else gets them."""
DESKTOP = (
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "DBUS_*",
    "DESKTOP_SESSION",
    "KDE_*",
    "GNOME_*",
    "WSL_*",
    "BROWSER",
)
"""What it takes to open the user's browser."""

_SYSTEM = (
    *("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LANGUAGE", "LC_*", "XDG_*"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"),
    *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "TEMP", "TMP"),
    *("USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA"),
)
_SEARCHED = {"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"}


@dataclass(frozen=True, slots=True)
class Child:
    """A process of this program's own interpreter, not started yet.

    Attributes:
        arguments: What the interpreter runs: `-m`, a module and its arguments.
        needs: Patterns of the environment variables that it gets beside those that every program needs.
    """

    arguments: Sequence[str]
    needs: Sequence[str] = ()

    @property
    def command(self) -> list[str]:
        """The interpreter, cut off from the current folder and from PYTHON* variables, and its arguments."""
        # Not -I: it would leave out the packages of `pip install --user`, where this program may itself be.
        packages = ["-s"] if sys.flags.no_user_site else []
        # Names of files are encoded as in this process.
        names = ["-X", f"utf8={sys.flags.utf8_mode}"]
        return [sys.executable, "-P", "-E", *packages, *names, *self.arguments]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that it needs."""
        wanted = (*_SYSTEM, *self.needs)
        return {
            name: value
            for name, value in os.environ.items()
            if any(fnmatchcase(name.upper(), pattern) for pattern in wanted)
        }

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it with pipes to its standard input and output."""
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        return subprocess.Popen(  # noqa: S603  # this program's own interpreter
            self.command, stdin=pipe, stdout=pipe, stderr=nowhere, cwd=FOLDER, env=self.environment
        )

    async def open(self, *, stderr: IO[bytes] | int = subprocess.PIPE) -> anyio.abc.Process:
        """Start it for an event loop, with pipes to its standard input and output."""
        return await anyio.open_process(self.command, stderr=stderr, cwd=FOLDER, env=self.environment)

    async def ask(self, question: bytes, *, wait_seconds: float, most_bytes: int) -> bytes:
        """Start it, send it *question* as one line, and return all that it says until it ends.

        Raises:
            OSError: It cannot be started, fails, says more than *most_bytes*, or takes more than *wait_seconds*.
        """
        answer = bytearray()
        # However the inner block is left, its pipes are closed; a process that then still runs in the end is killed.
        with anyio.fail_after(wait_seconds):
            async with await self.open(stderr=subprocess.DEVNULL) as process:
                if process.stdin is None or process.stdout is None:
                    raise ChildProcessError("It has no pipes.")
                with suppress(anyio.BrokenResourceError):  # its exit status tells more
                    await process.stdin.send(question + b"\n")
                async for chunk in process.stdout:
                    answer += chunk
                    if len(answer) > most_bytes:
                        raise ChildProcessError(f"It says more than {most_bytes:,} bytes.")
                if await process.wait() != 0:
                    raise ChildProcessError(f"It ended with status {process.returncode}.")
        return bytes(answer)

    def run(self, *, wait_seconds: float) -> tuple[int, str]:
        """Run it to its end, at most so long, and return its exit status and what it said on standard error."""
        # Not a pipe: a browser that it starts would hold that open.
        with TemporaryFile() as said:
            nowhere = subprocess.DEVNULL
            command, folder, env = self.command, FOLDER, self.environment
            process = subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=said, cwd=folder, env=env)  # noqa: S603  # this program's own interpreter
            with process:
                try:
                    process.wait(wait_seconds)
                except subprocess.TimeoutExpired:
                    process.kill()
            said.seek(0)
            return process.returncode, said.read().decode(errors="replace")


def forget_relative_folders() -> None:
    """Take out of PATH and its like what depends on the current folder, as an empty entry does."""
    for name in _SEARCHED & os.environ.keys():
        kept = [folder for folder in os.environ.pop(name).split(os.pathsep) if Path(folder).is_absolute()]
        # An empty list would be the current folder again; without one, the system's own holds.
        if kept:
            os.environ[name] = os.pathsep.join(kept)
