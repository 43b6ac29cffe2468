"""A name for this machine that does not identify it to others, and survives the loss of all our files."""

import hashlib
import uuid
from functools import cache

from batchwright.core import system

_SALT = b"batchwright: a machine\n"
_RANDOM_OR_LOCAL = 0b11 << 40
"""Bits that a made-up hardware address has: Python's, or a container's."""


@cache
def machine() -> str | None:
    """Return the machine's name; None: nothing identifies it permanently, as in most containers."""
    address = uuid.getnode()
    own = system.machine_id() or ("" if address & _RANDOM_OR_LOCAL else f"{address:x}")
    return hashlib.sha256(_SALT + own.encode()).hexdigest()[:32] if own else None
