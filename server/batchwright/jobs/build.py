"""A source and a recipe to a draft job: frozen rows and parts on disk. Synchronous: runs in a worker thread."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from batchwright.core import files
from batchwright.core.crash_points import OnPoint
from batchwright.core.errors import InvalidInput
from batchwright.core.job_folder import JobFolder
from batchwright.core.model import Job, Limits, ProviderInfo, Recipe, Request, Source
from batchwright.core.progress import SILENT, Progress
from batchwright.costs.totals import Estimate
from batchwright.jobs.preflight import DraftWarning, check_recipe, draft_warnings, is_batch_file
from batchwright.requests.duplicates import Repeats
from batchwright.requests.measure import Line
from batchwright.requests.packing import pack
from batchwright.requests.parts import (
    Digest,
    PartPlan,
    Written,
    first_request,
    is_oversize,
    refuse_oversize,
    write_parts,
)
from batchwright.requests.rendering import Renderer
from batchwright.results.causes.remedies import Retried
from batchwright.tables.frozen import freeze, share_ids
from batchwright.tables.source import Origin

ROWS_A_REPORT = 500


@dataclass(frozen=True, slots=True)
class Plan:
    """What a draft is made of.

    Attributes:
        folder: The job's own folder; exists and is empty.
        origin: Where the rows come from; for a ready-made batch file, that file.
        deduplicate: Whether rows with the same request share one.
    """

    job_id: str
    created_at: datetime
    folder: JobFolder
    origin: Origin
    id_column: str | None
    recipe: Recipe
    provider: ProviderInfo
    limits: Limits
    on_point: OnPoint
    deduplicate: bool = False

    @property
    def name(self) -> str:
        """What the user calls the source."""
        return self.origin.name

    @property
    def source(self) -> Path:
        """The file, where it is one."""
        return self.origin.paths[0]

    @property
    def parts(self) -> PartPlan:
        """How its parts are written."""
        return PartPlan(self.job_id, self.folder, self.recipe, self.provider, self.limits, self.on_point)

    def packed(self, lines: Iterable[Line]) -> Iterable[Line]:
        """Return the requests as they are sent: several inputs in one, where that is wanted."""
        most = self.recipe.inputs_per_request
        return pack(lines, most, self.limits) if most > 1 else lines


@dataclass(frozen=True, slots=True)
class Draft:
    """A job, or a retry of one, that is ready to be submitted, and what the user should know of it first.

    Attributes:
        retried: Of a retry: what it takes up, and why.
    """

    job: Job
    first_request: Request
    estimate: Estimate
    warnings: Sequence[DraftWarning]
    retried: Retried | None = None


def draft(plan: Plan, progress: Progress = SILENT) -> Draft:
    """Freeze the rows and write the parts.

    Raises:
        InvalidInput: The source, the recipe or one of the rows cannot be used; the sentence says which.
    """
    frozen = freeze(plan.origin, plan.folder.frozen, id_column=plan.id_column, progress=progress.stage(0, 0.35))
    source = frozen.source
    if is_batch_file(source.columns):
        raise InvalidInput(f"{plan.name} is a ready-made batch file. Pass it as batch_file, without a prompt.")
    renderer = Renderer(plan.recipe, source.columns)
    suspected = check_recipe(plan.recipe, plan.provider)
    empty, whole = _Counter(), hashlib.sha256()
    writing = progress.stage(0.35, 1, "Writing requests")

    def lines() -> Iterator[tuple[str, Line]]:
        for row, custom_id, line, is_empty in renderer.requests(plan.folder.frozen):
            if is_empty:
                empty.count += 1
            if is_oversize(line, plan.limits):
                refuse_oversize(line, plan.limits, f"The request of row {row}")
            yield custom_id, line
            if row % ROWS_A_REPORT == 0:
                writing.counted(row, source.rows, "rows")

    files.sync(plan.folder.frozen)
    written, repeats = _write(plan, lines(), whole)
    requests = sum(part.requests for part in written.parts)
    if requests < source.rows:
        source = replace(source, requests=requests)
    writing.counted(source.rows, source.rows, "rows")
    job = draft_job(plan, replace(source, path=None) if source.kind == "rows" else source, written, whole.hexdigest())
    told = draft_warnings(plan.recipe, source.columns, renderer.used, empty.count)
    of_source = [DraftWarning("source", text) for text in frozen.warnings]
    shared = [DraftWarning("shared_requests", repeats)] if repeats else []
    warnings = [*of_source, *suspected, *shared, *told]
    return Draft(job, first_request(plan.folder, job.parts), written.estimate, warnings)


def _write(plan: Plan, lines: Iterator[tuple[str, Line]], whole: Digest) -> tuple[Written, str | None]:
    """Write the requests of all rows as parts, and say what was saved; one that repeats is joined to all its rows.

    *whole* becomes the hash of all rows' requests.
    """
    if not plan.deduplicate and plan.recipe.inputs_per_request == 1:
        return write_parts(plan.parts, (line for _, line in lines), whole), None
    lines = _hash(lines, whole)
    if not plan.deduplicate:
        return write_parts(plan.parts, plan.packed(line for _, line in lines)), None
    listed = plan.folder.repeats
    with listed.open("wb") as file:
        repeats = Repeats(file)
        different = (line for custom_id, line in lines if not repeats.has(custom_id, line))
        written = write_parts(plan.parts, plan.packed(different))
    if repeats.count:
        share_ids(plan.folder.frozen, listed)
    listed.unlink()
    return written, repeats.sentence


def _hash(lines: Iterator[tuple[str, Line]], whole: Digest) -> Iterator[tuple[str, Line]]:
    for custom_id, line in lines:
        whole.update(line.data)
        yield custom_id, line


def draft_job(plan: Plan, source: Source, written: Written, sha256: str) -> Job:
    """Return the job; its hash is that of all rows' requests, however they are shared, packed and cut into parts."""
    return Job(plan.job_id, plan.created_at, source, plan.recipe, plan.provider, written.parts, sha256=sha256)


@dataclass(slots=True)
class _Counter:
    count: int = 0
