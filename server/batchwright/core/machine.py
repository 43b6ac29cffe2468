"""Which machine this is, as a name that does not give it away; the same after everything of ours was lost."""

import hashlib
import uuid
from functools import cache

from batchwright.core import system

_SALT = b"batchwright: a machine\n"
_RANDOM_OR_LOCAL = 0b11 << 40
"""Bits of a hardware address that was made up: by Python, or for a container."""


@cache
def machine() -> str | None:
    """Return the machine's name; None: nothing tells it apart for good, as in most containers."""
    own = system.machine_id() or _hardware_address()
    return hashlib.sha256(_SALT + own.encode()).hexdigest()[:32] if own else None


def _hardware_address() -> str | None:
    address = uuid.getnode()
    return None if address & _RANDOM_OR_LOCAL else f"{address:x}"
