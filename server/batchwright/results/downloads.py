"""Downloaded results of a part in the job's folder: counted, and compared with its requests.

A file is read as far as possible, because its contents are paid for.
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
    """Counts of a part's result files."""

    results: int = 0
    good: int = 0
    unreadable: int = 0
    missing: int = 0
    unknown: int = 0
    twice: int = 0
    counts: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    @property
    def note(self) -> str | None:
        """What is unusual about them, in words."""
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
    """Add to each fault the custom_id of its line's request; a line damaged on disk has none."""
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
    """Return the custom_ids of a part's requests; a line damaged on disk has none."""
    ids: set[str] = set()
    for line in files.lines(path) if path.exists() else ():
        try:  # a context manager for each of a million lines takes time
            ids.add(custom_id_of(line))
        except ValueError:
            continue
    return ids


def mismatch(part: Part, found: Found) -> str | None:
    """Describe what does not add up; None: everything that was paid for is here."""
    if found.results < part.completed + part.failed:
        return f"{part.completed + part.failed:,} requests were answered, {found.results:,} results came"
    if part.batch_status == "completed" and found.missing:
        return f"{found.missing:,} of {part.requests:,} requests have no result"
    return None


def measure(part: Part, folder: JobFolder) -> Part:
    """Return the part with its file's hash, size and number of requests.

    Raises:
        InvalidInput: The file is not a valid batch input.
    """
    path = folder.requests(part)
    if not path.exists():
        return part
    try:
        requests = sum(bool(decode_request(line)) for line in files.lines(path))
    except ValueError as error:
        raise InvalidInput(f"The input of {part.batch_id} cannot be read: {error}. It cannot be adopted.") from error
    return replace(part, sha256=files.sha256(path), size_bytes=path.stat().st_size, requests=requests)
