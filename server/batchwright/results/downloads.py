"""What came back for a part, as it lies in the job's folder: read, counted, and held against what was asked.

A file is read as far as it can be: what stands in it is paid for.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from batchwright.core import files
from batchwright.core.errors import InvalidInput
from batchwright.core.job_folder import JobFolder
from batchwright.core.jsonl import custom_id_of, decode_request
from batchwright.core.model import LineError, Part


@dataclass(slots=True)
class Found:
    """What is in a part's result files."""

    results: int = 0
    good: int = 0
    unreadable: int = 0
    missing: int = 0
    unknown: int = 0
    twice: int = 0
    counts: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    @property
    def note(self) -> str | None:
        """What is odd about them, in words."""
        said = [
            f"{count:,} {what}"
            for count, what in (
                (self.missing, "requests have no result"),
                (self.unknown, "results are for ids that this part does not have, and are left out"),
                (self.twice, "results come a second time, and are left out"),
                (self.unreadable, "lines of the results cannot be read: they are too long, or damaged"),
            )
            if count
        ]
        return "; ".join(said) or None


def name_requests(path: Path, errors: tuple[LineError, ...]) -> tuple[LineError, ...]:
    """Return the faults with the ids of the requests in their lines; a line that was damaged on disk has none."""
    wanted = {error.line for error in errors if error.line}
    if not wanted or not path.exists():
        return errors
    ids: dict[int, str] = {}
    for number, line in enumerate(files.lines(path), 1):
        if number in wanted:
            with suppress(ValueError):
                ids[number] = decode_request(line).custom_id
    return tuple(replace(error, custom_id=ids.get(error.line or 0)) for error in errors)


def ids_of(path: Path) -> set[str]:
    """Return the ids of a part's requests; a line that was damaged on disk has none."""
    ids: set[str] = set()
    for line in files.lines(path) if path.exists() else ():
        with suppress(ValueError):
            ids.add(custom_id_of(line))
    return ids


def mismatch(part: Part, found: Found) -> str | None:
    """Say what does not add up; None: all that was paid for is here."""
    if found.results < part.completed + part.failed:
        return f"{part.completed + part.failed:,} requests were answered, {found.results:,} results came"
    if part.batch_status == "completed" and found.missing:
        return f"{found.missing:,} of {part.requests:,} requests have no result"
    return None


def measure(part: Part, folder: JobFolder) -> Part:
    """Return a part with what its file holds.

    Raises:
        InvalidInput: It cannot be read as a batch's input.
    """
    path = folder.requests(part)
    if not path.exists():
        return part
    try:
        requests = sum(bool(decode_request(line)) for line in files.lines(path))
    except ValueError as error:
        raise InvalidInput(f"The input of {part.batch_id} cannot be read: {error}. It cannot be adopted.") from error
    return replace(part, sha256=files.sha256(path), size_bytes=path.stat().st_size, requests=requests)
