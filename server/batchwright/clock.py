"""How long ago something was, also for those who move the clock."""

import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Uptime:
    """Seconds since the machine was started, and which start that was; None where the system does not tell."""

    boot: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Moment:
    """A time by the wall clock, and by the machine's own."""

    at: datetime
    uptime: Uptime


def uptime() -> Uptime:
    """Give the machine's uptime; it goes on while the machine sleeps, and nobody can set it."""
    if sys.platform == "linux":
        return Uptime(_boot(), time.clock_gettime(time.CLOCK_BOOTTIME))
    return Uptime(None, time.monotonic())


def seconds_between(earlier: Moment, later: Moment) -> float:
    """Give the seconds from one moment to another, never less than 0.

    Within one run of the machine they are those of its own clock, which does not jump; across a restart the wall clock
    is all there is.
    """
    if earlier.uptime.boot and earlier.uptime.boot == later.uptime.boot:
        return max(0.0, later.uptime.seconds - earlier.uptime.seconds)
    return max(0.0, (later.at - earlier.at).total_seconds())


@cache
def _boot() -> str | None:
    with suppress(OSError):
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return None
