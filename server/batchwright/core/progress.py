"""The progress of long work: a percentage that only grows, whatever the stages, and words. Pure: knows no clock."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

OnProgress = Callable[[float, str], None]
"""Receives the percentage that is done, more each time, and what is being done."""

STEP = 0.5
"""Percent between two reports of one stage: a million rows must not become a million messages."""

_WHOLE = 100.0
_BEGUN = 0.01


def _go_on() -> None:
    """Raise nothing."""


class _Told:
    """What was reported, for all stages of the work."""

    def __init__(self, tell: OnProgress | None, check: Callable[[], None]) -> None:
        self.tell = tell
        self.check = check
        self.percent = -STEP
        self.doing: str | None = None

    def at(self, percent: float, doing: str, words: str) -> None:
        percent = round(percent, 2)
        if percent == self.percent < _WHOLE and doing != self.doing:
            percent = round(percent + _BEGUN, 2)  # the next stage is reported when it begins
        is_next = percent > self.percent and (percent == _WHOLE or doing != self.doing)
        if self.tell and (is_next or percent >= self.percent + STEP):
            self.percent, self.doing = percent, doing
            self.tell(percent, words)


@dataclass(frozen=True, slots=True)
class Progress:
    """A stretch of work, in percent of the whole, with words for the user; its stages are stretches of it."""

    begin: float = 0.0
    end: float = _WHOLE
    doing: str = ""
    _told: _Told = field(default_factory=lambda: _Told(None, _go_on))

    @classmethod
    def to(cls, tell: OnProgress, *, check: Callable[[], None] = _go_on) -> "Progress":
        """Begin work that reports to *tell*; *check* raises once nobody waits for it any more."""
        return cls(_told=_Told(tell, check))

    @property
    def is_told(self) -> bool:
        """Whether anybody listens."""
        return self._told.tell is not None

    def stage(self, begin: float, end: float, doing: str = "") -> "Progress":
        """Return the stage from the share *begin* of this stretch to *end*, with these words or its own."""
        length = self.end - self.begin
        stage = Progress(self.begin + begin * length, self.begin + end * length, doing or self.doing, self._told)
        if doing:
            stage.at(0)
        return stage

    def check(self) -> None:
        """Raise if nobody waits for the work any more."""
        self._told.check()

    def at(self, share: float, detail: str = "") -> None:
        """Report that this share of the stretch is done."""
        if self.is_told:
            percent = self.begin + min(max(share, 0.0), 1.0) * (self.end - self.begin)
            self._told.at(percent, self.doing, f"{self.doing}: {detail}" if detail else self.doing)

    def counted(self, done: int, total: int, unit: str) -> None:
        """Report that *done* of *total* are done."""
        if self.is_told:
            self.at(done / max(total, 1), f"{done:,} of {total:,} {unit}")

    def through(self, blocks: Iterable[bytes], size_bytes: int) -> Iterator[bytes]:
        """Yield *blocks* of *size_bytes* in all, and report the progress."""
        done = 0
        for block in blocks:
            yield block
            done += len(block)
            self.at(done / max(size_bytes, 1))


SILENT = Progress()
"""Nobody listens."""
