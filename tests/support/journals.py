"""Journals, opened as by another process, the machines that they are on, and jobs to put into them."""

import itertools
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from batchwright.core.clock import Uptime
from batchwright.core.model import Job, Part, ProviderInfo, Recipe, Source, SpendingLimits
from batchwright.journal.journal import Journal
from tests.support.values import START

TEN_A_DAY = SpendingLimits(job_usd=Decimal(25), day_usd=Decimal(10))


@dataclass
class Machine:
    """A computer, its wall clock, and a provider's clock; *tells_runs*: it gives each run of it a name."""

    at: datetime = START
    told: datetime = START
    run: int = 1
    seconds: float = 1_000.0
    tells_runs: bool = True

    def now(self) -> datetime:
        """Return the time on the wall, which anybody may set."""
        return self.at

    def uptime(self) -> Uptime:
        """Return the time since its start, which only goes on."""
        return Uptime(f"run-{self.run}" if self.tells_runs else None, self.seconds)

    def go_on(self, time: timedelta) -> None:
        """Let time go by while it runs."""
        self.at, self.told, self.seconds = self.at + time, self.told + time, self.seconds + time.total_seconds()

    def restart(self, after: timedelta = timedelta()) -> None:
        """Switch it off, and on after a while."""
        self.at, self.told, self.seconds, self.run = self.at + after, self.told + after, 0.0, self.run + 1


def ticking() -> Callable[[], datetime]:
    """Return a clock that goes on by one second each time it is looked at."""
    seconds = itertools.count(1)
    return lambda: START + timedelta(seconds=next(seconds))


@contextmanager
def opened(path: Path, machine: Machine | None = None) -> Generator[Journal]:
    """Open the journal at *path*, as another process would; without a *machine*, its clock goes on at each look."""
    journal = Journal(path, now=ticking()) if machine is None else Journal(path, now=machine.now, uptime=machine.uptime)
    with closing(journal):
        yield journal


def job(job_id: str = "job_a", *, parts: int = 1, created_at: datetime = START) -> Job:
    """Return a draft whose parts are uploaded."""
    return Job(
        id=job_id,
        created_at=created_at,
        source=Source("t.csv", "csv", ("id", "text"), parts * 2, "id"),
        recipe=Recipe("/v1/chat/completions", "m", "Label {{text}}"),
        provider=ProviderInfo("endpoint", "localhost", "m"),
        parts=tuple(
            Part(job_id, n, "uploaded", sha256="0" * 64, size_bytes=9, requests=2, file_id=f"file-{job_id}-{n}")
            for n in range(1, parts + 1)
        ),
    )


def priced_job(job_id: str, *ceilings: str, round_number: int = 1) -> Job:
    """Return a draft with a part for each ceiling, in US dollars."""
    first = (round_number - 1) * 10 + 1
    return Job(
        id=job_id,
        created_at=START,
        source=Source("t.csv", "csv", ("text",), len(ceilings) * 2),
        recipe=Recipe("/v1/chat/completions", "m", "{{text}}"),
        provider=ProviderInfo("service", "api.example.com", "m", charges="batch"),
        parts=tuple(
            Part(job_id, number, "uploaded", "", 9, 2, f"f-{number}", round=round_number, ceiling_usd=Decimal(ceiling))
            for number, ceiling in enumerate(ceilings, first)
        ),
    )


def submit(journal: Journal, job_id: str) -> bool:
    """Have a job run that costs nothing."""
    return journal.agree(journal.job(job_id), {}, agreed_usd=None, limits=SpendingLimits())


def opened_attempt(journal: Journal, part: Part, nonce: str) -> Part:
    """Open an attempt for a part that costs nothing."""
    return journal.parts.open_attempt(part, nonce, share=None, limits=SpendingLimits())
