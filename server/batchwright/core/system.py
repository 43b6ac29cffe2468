"""What differs between Linux, macOS and Windows. No other module asks which of them this is.

Where a system merely lacks something, modules look for that: `descriptors` for folders that can be opened, `stdio` for
signals.
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
# A colon begins a stream inside a file or another drive's path; dots and spaces at the end are left out; a device has
# its name in every folder, with any ending.
_WINDOWS_READS_OTHERWISE = re.compile(
    r".*:.*|.*[. ]|(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])[ ]*(\..*)?", re.IGNORECASE
)


@cache
def boot() -> str | None:
    """Return what tells this run of the machine from others; None: the system does not say."""
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
    """Return how long the machine has run, also while it slept; nobody can set it."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC)  # `time.monotonic` stops while a Mac sleeps
    return time.monotonic()  # on Windows it counts sleep


def machine_id() -> str | None:
    """Return the id that the system gave this machine; None: it gave none."""
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
    """Whether a file is a regular one that its user alone can open, as far as its bits tell."""
    if sys.platform == "win32":  # access lists keep others from a user's folders
        return stat.S_ISREG(status.st_mode)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def is_hidden(path: Path) -> bool:
    """Whether the last step of a path is hidden: by a dot, or by the mark that macOS and Windows have for it."""
    if path.name.startswith("."):
        return True
    with suppress(OSError):
        if sys.platform == "win32":
            return bool(path.lstat().st_file_attributes & stat.FILE_ATTRIBUTE_HIDDEN)
        if sys.platform == "darwin":
            return bool(path.lstat().st_flags & stat.UF_HIDDEN)
    return False


def is_read_otherwise(path: Path) -> bool:
    """Whether the system takes a step of a path for something else than the file of that name."""
    return sys.platform == "win32" and any(map(is_read_otherwise_by_windows, path.relative_to(path.anchor).parts))


def is_read_otherwise_by_windows(step: str) -> bool:
    """Whether Windows takes a name for a device, a stream inside a file, or a file of another name."""
    return _WINDOWS_READS_OTHERWISE.fullmatch(step) is not None


def replace(old: str | Path, new: str | Path, *, folder: int | None = None) -> None:
    """Rename a file, in the place of another if there is one; *folder* is the descriptor of the folder of both.

    Windows refuses that while anybody has one of them open, as a virus scanner does: for a moment it is tried again.

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
    """Have the content of an open file brought to the disk, where it outlives a loss of power."""
    if sys.platform == "darwin":
        import fcntl

        with suppress(OSError):  # some file systems cannot
            # `fsync` leaves the content in the disk's own memory.
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def max_open_files() -> int | None:
    """Return how many files and connections this process may have open; None: the system sets no such limit."""
    if sys.platform == "win32":
        return None
    import resource

    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if most == resource.RLIM_INFINITY else most


def memory_bytes(process: "psutil.Process") -> int:
    """Return how much memory a Python process has that this program started.

    Raises:
        psutil.Error: It has ended.
    """
    # In a virtual environment on Windows, `python.exe` only starts the interpreter, as its child.
    whole = [process, *process.children()] if sys.platform == "win32" else [process]
    return sum(each.memory_info().rss for each in whole)


def setting_line(variable: str, file: Path) -> str:
    """Return the line by which the user's shell sets an environment variable to what a file holds."""
    if sys.platform == "win32":
        quoted = str(file).replace("'", "''")
        return f"$env:{variable} = Get-Content '{quoted}'"
    return f'export {variable}="$(cat {shlex.quote(str(file))})"'
