"""The rows of a job to try, each with its request from the part files. Runs in a worker thread."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from pathlib import Path
from typing import cast

from batchwright.core import files
from batchwright.core.errors import InvalidInput, NotFound, NotReady
from batchwright.core.job_folder import JobFolder
from batchwright.core.jsonl import decode_request
from batchwright.core.model import Job, Json, Part, Request
from batchwright.jobs.trials.estimates import MAX_ROWS, Which, choose_places
from batchwright.requests.packing import members_of
from batchwright.tables.frozen import pick_rows

MAX_NAME_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows to try: *count* of them, chosen as *which* says, or those that are *named*.

    Attributes:
        seed: Another seed chooses other rows.
        named: custom_ids, or row numbers that are not a custom_id.
    """

    count: int = 3
    which: Which = "random"
    seed: int = 0
    named: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class TriedRow:
    """One row: its number in the source, the cells that are shown or needed, and its request's body.

    If a request packs several rows, the body holds only this row's input.
    """

    number: int
    custom_id: str
    cells: Mapping[str, Json]
    body: Mapping[str, Json]


def choose_rows(job: Job, folder: JobFolder, choice: Choice, columns: Sequence[str]) -> list[TriedRow]:
    """Return the chosen rows of *job*, whose parts are those of one round, in order.

    Raises:
        NotFound: A named row does not exist, or has no request in this round.
        NotReady: The requests are gone.
    """
    frozen, needed = folder.frozen, [folder.frozen, *map(folder.requests, job.parts)]
    if job.source.kind == "results" or not job.parts or not all(path.exists() for path in needed):
        raise NotReady(f"The requests of {job.id} are no longer here, so none can be tried. Make a new job.")
    if choice.named:
        found = _named_rows(job, frozen, choice.named, columns)
        bodies = dict(_of_ids(folder, job.parts, {custom_id for _, custom_id, _ in found}))
    else:
        is_packed = job.recipe.inputs_per_request > 1
        counts = [part.load if is_packed else part.requests for part in job.parts]
        chosen = choose_places(sum(counts), choice.count, which=choice.which, seed=choice.seed)
        bodies = dict(_at(folder, job.parts, counts, chosen))
        # Of rows that share a request, the first is shown.
        found = pick_rows(frozen, columns, ids=list(bodies))
    for number, custom_id, _ in found:
        if custom_id not in bodies:
            raise NotFound(f"Row {number} of {job.id} has no request in this round. Name another.")
    return [TriedRow(number, custom_id, cells, bodies[custom_id]) for number, custom_id, cells in found]


def _named_rows(
    job: Job, frozen: Path, names: Sequence[str], columns: Sequence[str]
) -> list[tuple[int, str, Mapping[str, Json]]]:
    if len(names) > MAX_ROWS:
        raise InvalidInput(f"{len(names)} rows are named; at most {MAX_ROWS} are tried at a time. Name fewer.")
    numbers = [int(name) for name in names if name.isdecimal() and len(name) <= len(str(job.source.rows))]
    rows = pick_rows(frozen, columns, ids=names, numbers=numbers)
    by_number = {str(row[0]): row for row in rows}
    by_id = {row[1]: row for row in reversed(rows)}
    found: dict[int, tuple[int, str, Mapping[str, Json]]] = {}
    for name in names:
        row = by_id.get(name) or by_number.get(name)
        if row is None:
            raise NotFound(
                f"{job.id} has no row {name[:MAX_NAME_CHARACTERS]!r}. Name custom_ids, or row numbers from 1 to "
                f"{job.source.rows:,}."
            )
        found[row[0]] = row
    return [found[number] for number in sorted(found)]


def _at(
    folder: JobFolder, parts: Sequence[Part], counts: Sequence[int], chosen: Sequence[int]
) -> Iterator[tuple[str, Json]]:
    """Yield id and body of the rows at the *chosen* places, counted over all parts; other files are not read."""
    for part, end, count in zip(parts, accumulate(counts), counts, strict=True):
        here = [place - end + count for place in chosen if end - count <= place < end]
        if not here:
            continue
        members = members_of(folder, part)
        sizes = map(len, members.values()) if members else repeat(1)
        start = 0
        for line, size in zip(files.lines(folder.requests(part)), sizes, strict=False):
            inside = [place - start for place in here if start <= place < start + size]
            if inside:
                rows = list(_unpack(decode_request(line), members))
                yield from (rows[place] for place in inside)
            start += size
            if start > here[-1]:
                break


def _of_ids(folder: JobFolder, parts: Sequence[Part], ids: Collection[str]) -> Iterator[tuple[str, Json]]:
    left = set(ids)
    for part in parts:
        members = members_of(folder, part)
        for line in files.lines(folder.requests(part)):
            if not left:
                return
            for custom_id, body in _unpack(decode_request(line), members):
                if custom_id in left:
                    left.remove(custom_id)
                    yield custom_id, body


def _unpack(request: Request, members: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """Yield each row of a request with a body for it alone."""
    if request.custom_id not in members:
        yield request.custom_id, request.body
        return
    inputs = cast("list[Json]", request.body["input"])
    for custom_id, text in zip(members[request.custom_id], inputs, strict=True):
        yield custom_id, {**request.body, "input": [text]}
