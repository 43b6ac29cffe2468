"""Child processes: how each is started, so that it runs no code from the user's folders and receives no key.

The folder that the server was started in holds data, which anybody may have written: a `pip.py` or a `duckdb.py` there
must not be imported instead of the package. So the interpreter looks for modules only where it is installed, runs in a
folder of this program, and gets an environment of its own. No other module starts a process.
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
    *("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_*"),
    *("DESKTOP_SESSION", "KDE_*", "GNOME_*", "WSL_*", "BROWSER"),
)
"""What opens the user's browser."""

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

    *needs* are patterns of environment variables that it gets besides those that every program needs.
    """

    arguments: Sequence[str]
    needs: Sequence[str] = ()

    @property
    def command(self) -> list[str]:
        """The interpreter, isolated from the current folder and from PYTHON* variables, and its arguments."""
        # Not -I: it would leave out the packages of `pip install --user`, where this program may itself be.
        packages = ["-s"] if sys.flags.no_user_site else []
        # File names are encoded as in this process.
        names = ["-X", f"utf8={sys.flags.utf8_mode}"]
        return [sys.executable, "-P", "-E", *packages, *names, *self.arguments]

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that it gets."""
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
        """Start it in an event loop, with pipes to its standard input and output."""
        return await anyio.open_process(self.command, stderr=stderr, cwd=FOLDER, env=self.environment)

    async def ask(self, question: bytes, *, wait_seconds: float, most_bytes: int) -> bytes:
        """Start it, send it *question* as one line, and return its whole output.

        Raises:
            OSError: It cannot be started, fails, writes more than *most_bytes*, or takes more than *wait_seconds*.
        """
        answer = bytearray()
        # Leaving the inner block closes the pipes, and kills a process that is still running.
        with anyio.fail_after(wait_seconds):
            async with await self.open(stderr=subprocess.DEVNULL) as process:
                if process.stdin is None or process.stdout is None:
                    raise ChildProcessError("It has no pipes.")
                with suppress(anyio.BrokenResourceError):  # its exit status tells more
                    await process.stdin.send(question + b"\n")
                async for chunk in process.stdout:
                    answer += chunk
                    if len(answer) > most_bytes:
                        raise ChildProcessError(f"It wrote more than {most_bytes:,} bytes.")
                if await process.wait() != 0:
                    raise ChildProcessError(f"It exited with status {process.returncode}.")
        return bytes(answer)

    def run(self, *, wait_seconds: float) -> tuple[int, str]:
        """Run it, for at most *wait_seconds*, and return its exit status and standard error."""
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
    """Remove from PATH and similar variables whatever depends on the current folder, as an empty entry does."""
    for name in _SEARCHED & os.environ.keys():
        kept = [folder for folder in os.environ.pop(name).split(os.pathsep) if Path(folder).is_absolute()]
        # An empty value would mean the current folder; without the variable, the system's default applies.
        if kept:
            os.environ[name] = os.pathsep.join(kept)
