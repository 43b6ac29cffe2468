"""Records the results of a batch on disk, one whole line each."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from batchwright.core import files, system
from batchwright.core.jsonl import BUDGET_USED_UP, decode_result, encode_result
from batchwright.core.model import Request, ResultLine

_LINES_A_SYNC = 256


class Recorder:
    """Adds whole lines to a batch's results; knows those recorded before, also by former processes.

    Requests are known by their number, from 0: the ids of a large batch would take more memory than all else.

    Attributes:
        completed, failed: How many ran, with or without a good answer; those that never ran are in neither.
        has_expired: Whether some ran out of time.
    """

    OUTPUT = "output.jsonl"
    ERRORS = "errors.jsonl"

    def __init__(self, folder: Path, requests: Callable[[], Iterable[Request]]) -> None:
        """Read the recorded results of *requests*; drop a last line that a dying process left unfinished."""
        self._recorded: set[int] = set()
        self.completed = self.failed = 0
        self.has_expired = False
        self._unsynced = 0
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
                self._recorded.add(number)
        # Unbuffered: a written line survives the death of this process.
        self._output = (folder / self.OUTPUT).open("ab", buffering=0)
        self._errors = (folder / self.ERRORS).open("ab", buffering=0)

    def close(self) -> None:
        """Sync everything to disk and close the files."""
        self._sync()
        self._output.close()
        self._errors.close()

    @property
    def done(self) -> int:
        """How many requests have a result."""
        return len(self._recorded)

    def has(self, number: int) -> bool:
        """Whether a request has a result."""
        return number in self._recorded

    def add(self, number: int, line: ResultLine, line_id: str, request_id: str) -> None:
        """Record the result of a request; drop a second one for the same request."""
        if self.has(number):
            return
        is_good = line.status_code is not None and line.status_code < 300 and line.error_code is None
        file = self._output if is_good else self._errors
        files.append(file, encode_result(line, id=line_id, request_id=request_id))
        self._count(line)
        self._recorded.add(number)
        self._unsynced += 1
        if self._unsynced >= _LINES_A_SYNC:
            self._sync()

    def _count(self, line: ResultLine) -> None:
        if line.error_code in {"batch_expired", "batch_cancelled", BUDGET_USED_UP}:
            self.has_expired |= line.error_code == "batch_expired"
        elif line.status_code is not None and line.status_code < 300:
            self.completed += 1
        else:
            self.failed += 1

    def _sync(self) -> None:
        for file in (self._output, self._errors) if self._unsynced else ():
            system.to_disk(file.fileno())
        self._unsynced = 0


def _without_broken_lines(path: Path) -> None:
    """Remove unreadable lines: their requests are sent again."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        for line in files.lines(path):
            with suppress(ValueError):
                decode_result(line)
                file.write(line + b"\n")
    files.sync(temporary)
    system.replace(temporary, path)
