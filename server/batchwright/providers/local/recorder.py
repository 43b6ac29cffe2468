"""The results of a batch of the local engine on disk, a whole line each."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from batchwright.core import files, system
from batchwright.core.jsonl import BUDGET_USED_UP, decode_result, encode_result
from batchwright.core.model import Request, ResultLine

if TYPE_CHECKING:
    from io import FileIO


_LINES_A_SYNC = 256


class Recorder:
    """The results of a batch on disk: opened, it knows what is there; whole lines are added to it.

    Requests are known by their number, from 0: the ids of a large batch would take more memory than all else.

    Attributes:
        done: How many requests have a result.
        completed, failed: How many ran and were answered well, or not; those that never ran are in neither.
        has_expired: Whether some never ran for want of time.
    """

    OUTPUT = "output.jsonl"
    ERRORS = "errors.jsonl"

    def __init__(self, folder: Path, requests: Callable[[], Iterable[Request]]) -> None:
        """Read what is there, of *requests*; a last line that a dying process left unfinished is taken off."""
        self.done = 0
        self._marks = bytearray()
        self.completed = self.failed = 0
        self.has_expired = False
        self._unsynced: Counter[FileIO] = Counter()
        found: set[str] = set()
        for name in (self.OUTPUT, self.ERRORS):
            path = folder / name
            path.touch(mode=0o600)
            files.cut_to_whole_lines(path)
            broken = False
            for line in files.lines(path):
                try:
                    result = decode_result(line)
                    self._count(result)
                    found.add(result.custom_id)
                except ValueError:
                    broken = True
            if broken:
                _without_broken_lines(path)
        for number, request in enumerate(requests() if found else ()):
            if request.custom_id in found:
                self._mark(number)
        # Unbuffered: a line that is written survives the death of this process.
        self._output = (folder / self.OUTPUT).open("ab", buffering=0)
        self._errors = (folder / self.ERRORS).open("ab", buffering=0)

    def close(self) -> None:
        """Bring everything to the disk and close the files."""
        self._sync()
        self._output.close()
        self._errors.close()

    def has(self, number: int) -> bool:
        """Whether a request has a result."""
        return number >> 3 < len(self._marks) and bool(self._marks[number >> 3] & 1 << (number & 7))

    def add(self, number: int, line: ResultLine, line_id: str, request_id: str) -> None:
        """Write the result of a request down; a second one for the same request is dropped."""
        if self.has(number):
            return
        is_good = line.status_code is not None and line.status_code < 300 and line.error_code is None
        file = self._output if is_good else self._errors
        files.append(file, encode_result(line, id=line_id, request_id=request_id))
        self._count(line)
        self._mark(number)
        self._unsynced[file] += 1
        if self._unsynced[file] >= _LINES_A_SYNC:
            self._sync()

    def _mark(self, number: int) -> None:
        self._marks.extend(bytes(max(0, (number >> 3) + 1 - len(self._marks))))
        self._marks[number >> 3] |= 1 << (number & 7)
        self.done += 1

    def _count(self, line: ResultLine) -> None:
        if line.error_code in {"batch_expired", "batch_cancelled", BUDGET_USED_UP}:
            self.has_expired |= line.error_code == "batch_expired"
        elif line.status_code is not None and line.status_code < 300:
            self.completed += 1
        else:
            self.failed += 1

    def _sync(self) -> None:
        for file in self._unsynced:
            system.to_disk(file.fileno())
        self._unsynced.clear()


def _without_broken_lines(path: Path) -> None:
    """Leave out lines that cannot be read: their requests are sent again."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        for line in files.lines(path):
            with suppress(ValueError):
                decode_result(line)
                file.write(line + b"\n")
    files.sync(temporary)
    system.replace(temporary, path)
