"""What single requests cost if each is paid separately: recorded before each is sent, and bounded by a budget.

A sending counts at its maximum cost from before it is sent until its answer states the tokens, or the provider
refuses it. If the answer is lost, even through the death of this process, that maximum stands.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Protocol

import anyio
import anyio.to_thread

from batchwright.core import files, system
from batchwright.core.model import Json, Request
from batchwright.core.usage import tokens_used
from batchwright.providers.batch_api import REFUSALS

MAX_SENDINGS = 8
"""Of one request that may be charged, over all processes that run its batch."""
_PICO = 12
"""Prices are dollars per million tokens with at most six decimals, so a token costs whole picodollars."""


class Costs(Protocol):
    """What requests to one model cost, in US dollars."""

    def most_usd(self, request: Request) -> Decimal | None:
        """Return the most that a request may cost; None: nothing bounds it."""
        ...

    def paid_usd(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return what an answer with these tokens costs."""
        ...


class Free:
    """Requests that cost nothing: nothing is recorded, and each is retried as long as that can help."""

    is_paid = False
    passes = 1
    spent_usd: Decimal | None = None

    def close(self) -> None:
        """Do nothing."""

    def has_any(self) -> bool:
        """Return false: nothing is charged."""
        return False

    def may_have_paid(self, number: int) -> bool:
        """Return false: nothing is charged."""
        return False

    def allows(self, number: int) -> bool:
        """Return true."""
        return True

    async def begin(self, number: int) -> bool:
        """Return true."""
        return True

    def not_sent(self, number: int) -> None:
        """Do nothing."""

    def answered(self, number: int, status: int, body: Json) -> None:
        """Do nothing."""


class Payments:
    """The sendings of a batch's requests on disk, including those of former processes.

    A line of the file is the number of a request about to be sent, or that number and what one sending of it cost, in
    picodollars.
    """

    is_paid = True
    passes = 8
    """Most answers cost less than their maximum: in the next pass, the rest pays for those that were lost."""

    def __init__(self, path: Path, ceilings: Sequence[int], budget_usd: Decimal, costs: Costs | None) -> None:
        """Open the file; *ceilings* are the maximum cost of each request, in picodollars."""
        self._ceilings = ceilings
        self._budget = _picousd(budget_usd)
        self._costs = costs
        self._counted = bytearray(len(ceilings))
        self._taken = 0
        self._unsent = sum(ceilings)
        path.touch(mode=0o600)
        files.cut_to_whole_lines(path)
        for line in files.lines(path):
            with suppress(ValueError, IndexError):
                number, *paid = map(int, line.split())
                self._settle(number, paid[0]) if paid else self._reserve(number)
        # Unbuffered: a written line survives the death of this process.
        self._file = path.open("ab", buffering=0)
        self._syncing = anyio.Lock()
        self._written = self._synced = 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def spent_usd(self) -> Decimal | None:
        """What all sendings cost, at their maximum if the cost is unknown; None: no price is known."""
        if self._costs is None and self._taken:
            return None
        return Decimal(self._taken).scaleb(-_PICO).quantize(Decimal("1e-6"), ROUND_CEILING)

    def has_any(self) -> bool:
        """Whether the provider may have charged for anything."""
        return any(self._counted)

    def may_have_paid(self, number: int) -> bool:
        """Whether the provider may have charged for a request."""
        return self._counted[number] > 0

    def allows(self, number: int) -> bool:
        """Whether a request may be sent; a retry must leave enough to send every other request once."""
        needed = self._ceilings[number] + (self._unsent if self._counted[number] else 0)
        return self._counted[number] < MAX_SENDINGS and self._taken + needed <= self._budget

    async def begin(self, number: int) -> bool:
        """Record that a request is about to be sent; false: it may not be."""
        if not self.allows(number):
            return False
        self._reserve(number)
        try:
            files.append(self._file, b"%d\n" % number)
            await self._sync()
        except BaseException:
            self._end(number, 0)
            raise
        return True

    def not_sent(self, number: int) -> None:
        """Take back a sending that reached nobody."""
        self._end(number, 0)

    def answered(self, number: int, status: int, body: Json) -> None:
        """Record what a sending cost, if its answer says so."""
        if status in REFUSALS:
            self._end(number, 0)
        elif self._costs is not None and any(tokens := tokens_used(body)):
            self._end(number, _picousd(self._costs.paid_usd(*tokens)))

    def _end(self, number: int, picousd: int) -> None:
        self._settle(number, picousd)
        # If this cannot be written, the file still counts the maximum; the answer matters more.
        with suppress(OSError):
            files.append(self._file, b"%d %d\n" % (number, picousd))

    def _reserve(self, number: int) -> None:
        if not self._counted[number]:
            self._unsent -= self._ceilings[number]
        self._counted[number] += 1
        self._taken += self._ceilings[number]

    def _settle(self, number: int, picousd: int) -> None:
        self._taken += picousd - self._ceilings[number]
        if not picousd:
            self._counted[number] -= 1
            if not self._counted[number]:
                self._unsent += self._ceilings[number]

    async def _sync(self) -> None:
        """Sync the file to disk; one sync serves all who wait for it."""
        self._written += 1
        mine = self._written
        async with self._syncing:
            if self._synced < mine:
                written = self._written
                await anyio.to_thread.run_sync(system.to_disk, self._file.fileno())
                self._synced = written


def ceilings(requests: Iterable[Request], *, costs: Costs | None, budget_usd: Decimal) -> list[int]:
    """Return the maximum cost of each request, in picodollars; their sum is at most the budget.

    A request without a bound or a known price gets an equal share of the budget.
    """
    most = [costs.most_usd(request) if costs else None for request in requests]
    found = [None if usd is None else _picousd(usd) for usd in most]
    budget = _picousd(budget_usd)
    known = [budget // len(found) if each is None else each for each in found]
    whole = sum(known)
    return known if whole <= budget else [each * budget // whole for each in known]


def _picousd(usd: Decimal) -> int:
    return int(usd.scaleb(_PICO).to_integral_value(ROUND_CEILING))
