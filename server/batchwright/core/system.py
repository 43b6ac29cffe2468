"""What differs between Linux, macOS and Windows. No other module asks which of them this is.

If a system merely lacks a feature, modules test for the feature: `descriptors` for folders that can be opened, `stdio`
for signals.
"""

import os
import re
import shlex
import stat
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

_REPLACE_SECONDS = 2.0
_PAUSE_SECONDS = 0.02
_MACHINE_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
# A colon begins a stream inside a file or another drive's path; trailing dots and spaces are dropped; a device has its
# name in every folder, with any extension.
_WINDOWS_READS_OTHERWISE = re.compile(
    r".*:.*|.*[. ]|(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])[ ]*(\..*)?", re.IGNORECASE
)


@cache
def boot() -> str | None:
    """Return the id of the machine's current boot; None: the system has none."""
    if sys.platform == "linux":
        with suppress(OSError):
            return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    elif sys.platform == "darwin":
        import ctypes

        size, none, text = ctypes.c_size_t(64), ctypes.c_size_t(0), ctypes.create_string_buffer(64)
        if not ctypes.CDLL(None).sysctlbyname(b"kern.bootsessionuuid", text, ctypes.byref(size), None, none):
            return text.value.decode("ascii") or None
    return None


def seconds_up() -> float:
    """Return the seconds since the machine booted, sleep included; nobody can set them."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC)  # `time.monotonic` stops while a Mac sleeps
    return time.monotonic()  # on Windows it counts sleep


def machine_id() -> str | None:
    """Return the id that the system gave this machine; None: it has none."""
    if sys.platform == "win32":
        import winreg

        with suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Microsoft\Cryptography") as key:
            return str(winreg.QueryValueEx(key, "MachineGuid")[0])
    elif sys.platform == "darwin":
        import ctypes

        own, wait_at_most = (ctypes.c_ubyte * 16)(), (ctypes.c_long * 2)(1, 0)
        if not ctypes.CDLL(None).gethostuuid(own, wait_at_most):
            return bytes(own).hex()
    else:
        for path in _MACHINE_FILES:
            with suppress(OSError, UnicodeDecodeError):
                # An image that was never started says "uninitialized".
                if len(text := path.read_text(encoding="ascii").strip()) == 32:
                    return text
    return None


def is_private(status: os.stat_result) -> bool:
    """Whether a file is a regular one that only its user can open, by its mode."""
    if sys.platform == "win32":  # access lists keep others from a user's folders
        return stat.S_ISREG(status.st_mode)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def is_hidden(path: Path) -> bool:
    """Whether the last step of a path is hidden, by a dot or by the attribute of macOS and Windows."""
    if path.name.startswith("."):
        return True
    with suppress(OSError):
        if sys.platform == "win32":
            return bool(path.lstat().st_file_attributes & stat.FILE_ATTRIBUTE_HIDDEN)
        if sys.platform == "darwin":
            return bool(path.lstat().st_flags & stat.UF_HIDDEN)
    return False


def is_read_otherwise(path: Path) -> bool:
    """Whether the system takes a step of a path for anything but the file of that name."""
    return sys.platform == "win32" and any(map(is_read_otherwise_by_windows, path.relative_to(path.anchor).parts))


def is_read_otherwise_by_windows(step: str) -> bool:
    """Whether Windows takes a name for a device, a stream inside a file, or a file of another name."""
    return _WINDOWS_READS_OTHERWISE.fullmatch(step) is not None


def replace(old: str | Path, new: str | Path, *, folder: int | None = None) -> None:
    """Rename a file, replacing another of the new name; *folder* is the descriptor of the folder of both.

    Windows refuses that while anybody, such as a virus scanner, has either open: it is retried for two seconds.

    Raises:
        OSError: It cannot be renamed.
    """
    end = time.monotonic() + _REPLACE_SECONDS
    while True:
        try:
            os.replace(old, new, src_dir_fd=folder, dst_dir_fd=folder)
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() > end:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def to_disk(descriptor: int) -> None:
    """Flush an open file to the disk, where it survives a power failure."""
    if sys.platform == "darwin":
        import fcntl

        with suppress(OSError):  # some file systems cannot
            # `fsync` leaves the content in the disk's cache.
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def max_open_files() -> int | None:
    """Return how many files and connections this process may have open; None: there is no limit."""
    if sys.platform == "win32":
        return None
    import resource

    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if most == resource.RLIM_INFINITY else most


def memory_bytes(process: "psutil.Process") -> int:
    """Return the memory of a Python process that this program started.

    Raises:
        psutil.Error: It has ended.
    """
    # In a virtual environment on Windows, `python.exe` only starts the interpreter, as its child.
    whole = [process, *process.children()] if sys.platform == "win32" else [process]
    return sum(each.memory_info().rss for each in whole)


def setting_line(variable: str, file: Path) -> str:
    """Return the shell command that sets an environment variable to a file's content."""
    if sys.platform == "win32":
        quoted = str(file).replace("'", "''")
        return f"$env:{variable} = Get-Content '{quoted}'"
    return f'export {variable}="$(cat {shlex.quote(str(file))})"'
