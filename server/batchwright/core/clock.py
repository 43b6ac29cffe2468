"""How long ago something was, also for those who move the clock."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol

from batchwright.core import system

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Uptime:
    """Seconds since the machine was started, and which start that was; None where the system does not tell."""

    boot: str | None
    seconds: float


class HasHeaders(Protocol):
    """An answer over HTTP."""

    @property
    def headers(self) -> "Mapping[str, str]":
        """Its headers."""
        ...


@dataclass(frozen=True, slots=True)
class Moment:
    """A time by the wall clock, and by the machine's own."""

    at: datetime
    uptime: Uptime


def uptime() -> Uptime:
    """Return the machine's uptime; it goes on while the machine sleeps, and nobody can set it."""
    return Uptime(system.boot(), system.seconds_up())


def seconds_between(earlier: Uptime, later: Uptime) -> float:
    """Return how many seconds have gone by at least, by the machine's own clock alone; *later* was looked at last.

    Across a restart these are the seconds since it. Where the system does not tell one run of the machine from another,
    a clock that goes on may also have begun anew: so much has gone by in either case.
    """
    if earlier.boot and later.boot:
        return max(0.0, later.seconds - earlier.seconds) if earlier.boot == later.boot else later.seconds
    return later.seconds - earlier.seconds if later.seconds >= earlier.seconds else later.seconds


class ToldTime:
    """The time by a server's clock, as the last of its answers told it, and as it has gone on since."""

    def __init__(self) -> None:
        self._told: tuple[datetime, float] | None = None

    async def listen(self, response: "HasHeaders") -> None:
        """Take the time from an answer, if it has one."""
        with suppress(TypeError, ValueError):
            told = parsedate_to_datetime(response.headers.get("Date", ""))
            self._told = told.replace(tzinfo=told.tzinfo or UTC), uptime().seconds

    def now(self) -> datetime | None:
        """Return the time; None: it was not told."""
        if self._told is None:
            return None
        with suppress(OverflowError):
            return self._told[0] + timedelta(seconds=uptime().seconds - self._told[1])
        return None
