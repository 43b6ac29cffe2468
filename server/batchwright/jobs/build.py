"""From a source and a recipe to a draft job: frozen rows and parts on disk. Synchronous: runs in a worker thread."""

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
from batchwright.requests.parts import Digest, PartPlan, Written, first_request, refuse_oversize, write_parts
from batchwright.requests.rendering import Renderer
from batchwright.results.causes.remedies import Retried
from batchwright.tables.frozen import freeze, share_ids
from batchwright.tables.source import Origin

ROWS_A_REPORT = 500


@dataclass(frozen=True, slots=True)
class DraftPlan:
    """What a draft is made of.

    Attributes:
        folder: The job's own folder, named by its id; it exists and is empty.
        origin: Where the rows come from, or the ready-made batch file.
        deduplicate: Whether rows with the same request share one.
    """

    folder: JobFolder
    created_at: datetime
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
        """The source's first file."""
        return self.origin.paths[0]

    @property
    def parts(self) -> PartPlan:
        """How its parts are written."""
        return PartPlan(self.folder.job_id, self.folder, self.recipe, self.provider, self.limits, self.on_point)


@dataclass(frozen=True, slots=True)
class Draft:
    """A job, or a retry of one, that is ready to submit, and what the user should know first.

    Attributes:
        retried: For a retry: which rows it sends again, and why.
    """

    job: Job
    first_request: Request
    estimate: Estimate
    warnings: Sequence[DraftWarning]
    retried: Retried | None = None


def draft(plan: DraftPlan, progress: Progress = SILENT) -> Draft:
    """Freeze the rows and write the parts.

    Raises:
        InvalidInput: The source, the recipe or a row cannot be used; the message says which.
    """
    frozen = freeze(plan.origin, plan.folder.frozen, id_column=plan.id_column, progress=progress.stage(0, 0.35))
    source = frozen.source
    if is_batch_file(source.columns):
        raise InvalidInput(f"{plan.name} is a ready-made batch file. Pass it as batch_file, without a prompt.")
    renderer = Renderer(plan.recipe, source.columns)
    warnings = [DraftWarning("source", text) for text in frozen.warnings] + check_recipe(plan.recipe, plan.provider)
    empty, whole = 0, hashlib.sha256()
    writing = progress.stage(0.35, 1, "Writing requests")

    def lines() -> Iterator[tuple[str, Line]]:
        nonlocal empty
        for row, custom_id, line, is_empty in renderer.requests(plan.folder.frozen):
            empty += is_empty
            refuse_oversize(line, plan.limits, f"The request of row {row}")
            yield custom_id, line
            if row % ROWS_A_REPORT == 0:
                writing.counted(row, source.rows, "rows")

    files.sync(plan.folder.frozen)
    written, repeats = _write(plan, lines(), whole)
    writing.counted(source.rows, source.rows, "rows")
    requests, path = sum(part.requests for part in written.parts), None if source.kind == "rows" else source.path
    source = replace(source, path=path, requests=requests if requests < source.rows else None)
    if repeats:
        warnings.append(DraftWarning("shared_requests", repeats))
    warnings += draft_warnings(plan.recipe, source.columns, renderer.used, empty)
    return finish_draft(plan, source, written, whole, warnings)


def _write(plan: DraftPlan, lines: Iterator[tuple[str, Line]], whole: Digest) -> tuple[Written, str | None]:
    """Write all rows' requests as parts, and say what deduplication saved; a shared request is joined to all its rows.

    *whole* becomes the hash of all rows' requests.
    """
    most = plan.recipe.inputs_per_request

    def write(requests: Iterable[Line]) -> Written:
        return write_parts(plan.parts, pack(requests, most, plan.limits) if most > 1 else requests)

    if not plan.deduplicate and most == 1:
        return write_parts(plan.parts, (line for _, line in lines), whole), None
    lines = _hash(lines, whole)
    if not plan.deduplicate:
        return write(line for _, line in lines), None
    listed = plan.folder.repeats
    with listed.open("wb") as file:
        repeats = Repeats(file)
        written = write(line for custom_id, line in lines if not repeats.has(custom_id, line))
    if repeats.count:
        share_ids(plan.folder.frozen, listed)
    listed.unlink()
    return written, repeats.sentence


def _hash(lines: Iterator[tuple[str, Line]], whole: Digest) -> Iterator[tuple[str, Line]]:
    for custom_id, line in lines:
        whole.update(line.data)
        yield custom_id, line


def finish_draft(
    plan: DraftPlan, source: Source, written: Written, whole: Digest, warnings: Sequence[DraftWarning]
) -> Draft:
    """Return the draft; its hash is that of all rows' requests, however they are shared, packed and cut into parts."""
    job_id, sha256 = plan.folder.job_id, whole.hexdigest()
    job = Job(job_id, plan.created_at, source, plan.recipe, plan.provider, written.parts, sha256=sha256)
    return Draft(job, first_request(plan.folder, job.parts), written.estimate, warnings)
