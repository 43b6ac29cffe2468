"""Time that passes, whatever a clock is set to."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from batchwright.core import system

if TYPE_CHECKING:
    import httpx2


@dataclass(frozen=True, slots=True)
class Uptime:
    """Seconds since the machine booted, and the id of that boot; None: the system does not identify it."""

    boot: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Moment:
    """A time by the wall clock and by the machine's uptime."""

    at: datetime
    uptime: Uptime


def uptime() -> Uptime:
    """Return the machine's uptime, which includes sleep and cannot be set."""
    return Uptime(system.boot(), system.seconds_up())


def seconds_between(earlier: Uptime, later: Uptime) -> float:
    """Return the seconds that have certainly passed between two uptimes, of which *later* was read last.

    Across a restart these are the seconds since it. If the system does not identify its boots, a larger uptime may
    also be that of another boot: at least the difference has passed in either case.
    """
    if earlier.boot and later.boot:
        return max(0.0, later.seconds - earlier.seconds) if earlier.boot == later.boot else later.seconds
    return later.seconds - earlier.seconds if later.seconds >= earlier.seconds else later.seconds


class ToldTime:
    """The time by a server's clock, from the last of its answers and the uptime since."""

    def __init__(self) -> None:
        self._told: tuple[datetime, float] | None = None

    async def listen(self, response: "httpx2.Response") -> None:
        """Take the time from an answer that has one."""
        with suppress(TypeError, ValueError):
            told = parsedate_to_datetime(response.headers.get("Date", ""))
            self._told = told.replace(tzinfo=told.tzinfo or UTC), uptime().seconds

    def now(self) -> datetime | None:
        """Return the time; None: no answer had one."""
        if self._told is None:
            return None
        with suppress(OverflowError):
            return self._told[0] + timedelta(seconds=uptime().seconds - self._told[1])
        return None
