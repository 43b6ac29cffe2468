"""Which machine this is, as a name that does not give it away; the same after everything of ours was lost."""

import hashlib
import sys
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

_SALT = b"batchwright: a machine\n"
_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_RANDOM_OR_LOCAL = 0b11 << 40
"""Bits of a hardware address that was made up: by Python, or for a container."""


@cache
def machine() -> str | None:
    """Return the machine's name; None: nothing tells it apart for good, as in most containers."""
    own = _own_id()
    return hashlib.sha256(_SALT + own.encode()).hexdigest()[:32] if own else None


def _own_id() -> str | None:
    for path in _FILES:
        with suppress(OSError, UnicodeDecodeError):
            # An image that was never started says "uninitialized".
            if len(text := path.read_text(encoding="ascii").strip()) == 32:
                return text
    if sys.platform == "win32":
        import winreg

        with suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Microsoft\Cryptography") as key:
            return str(winreg.QueryValueEx(key, "MachineGuid")[0])
    address = uuid.getnode()
    return None if address & _RANDOM_OR_LOCAL else f"{address:x}"
