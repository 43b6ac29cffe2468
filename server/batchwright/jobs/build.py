"""A source and a recipe to a draft job: frozen rows and parts on disk. Synchronous: runs in a worker thread."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import cast, get_args

import msgspec

from batchwright.checks.batch_file import Finding, Report, check_file
from batchwright.checks.families import tight_bound
from batchwright.checks.rules import faults, lacks_json_word
from batchwright.core import files
from batchwright.core.crash_points import OnPoint
from batchwright.core.errors import InvalidInput
from batchwright.core.job_folder import JobFolder
from batchwright.core.model import Endpoint, Fault, Job, Json, Limits, ProviderInfo, Recipe, Request, Source
from batchwright.core.progress import SILENT, Progress
from batchwright.core.untrusted import model_name
from batchwright.costs.prices import Estimate
from batchwright.costs.spending import SAME_FOR_ALL, SUSPECTED
from batchwright.requests.duplicates import Repeats
from batchwright.requests.measure import is_oversize, refuse_oversize
from batchwright.requests.packing import packed
from batchwright.requests.parts import (
    Digest,
    Line,
    Measure,
    PartPlan,
    Written,
    first_request,
    write_parts,
)
from batchwright.requests.recipe import shared_body, single_braces
from batchwright.requests.rendering import filling
from batchwright.results.causes.remedies import Retried
from batchwright.tables.frozen import freeze, share_ids
from batchwright.tables.source import Origin, one_file

BATCH_FIELDS = ["body", "custom_id", "method", "url"]
"""What the lines of a batch file hold, sorted."""
_SHOWN_ERRORS = 5
_ROWS_A_REPORT = 500


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
        """Give the requests as they are sent: several inputs in one, where that is wanted."""
        most = self.recipe.inputs_per_request
        return packed(lines, most, self.limits) if most > 1 else lines


@dataclass(frozen=True, slots=True)
class Draft:
    """A job, or a retry of one, that is ready to be submitted, and what the user should know of it first.

    Attributes:
        retried: Of a retry: what it takes up, and why.
    """

    job: Job
    first_request: Request
    estimate: Estimate
    warnings: Sequence[str]
    retried: Retried | None = None


def draft(plan: Plan, progress: Progress = SILENT) -> Draft:
    """Freeze the rows and write the parts.

    Raises:
        InvalidInput: The source, the recipe or one of the rows cannot be used; the sentence says which.
        MissingExtra: What reads the source is not installed.
    """
    frozen = freeze(plan.origin, plan.folder.frozen, id_column=plan.id_column, progress=progress.stage(0, 0.35))
    source = frozen.source
    if is_batch_file(source.columns):
        raise InvalidInput(f"{plan.name} is a ready-made batch file. Pass it as batch_file, without a prompt.")
    filled = filling(plan.recipe, source.columns)
    suspected = check_recipe(plan.recipe, plan.provider)
    empty, whole = _Counter(), hashlib.sha256()
    writing = progress.stage(0.35, 1, "Writing requests")

    def lines() -> Iterator[tuple[str, Line]]:
        for number, (custom_id, line, is_empty) in enumerate(filled.requests(plan.folder.frozen), 1):
            if is_empty:
                empty.count += 1
            if is_oversize(line, plan.limits):
                refuse_oversize(line, plan.limits, f"The request of row {number}")
            yield custom_id, line
            if number % _ROWS_A_REPORT == 0:
                writing.counted(number, source.rows, "rows")

    files.sync(plan.folder.frozen)
    written, warnings = _written(plan, lines(), whole)
    requests = sum(part.requests for part in written.parts)
    if requests < source.rows:
        source = replace(source, requests=requests)
    writing.counted(source.rows, source.rows, "rows")
    job = _job(plan, replace(source, path=None) if source.kind == "rows" else source, written, whole.hexdigest())
    told = _warnings(plan.recipe, source.columns, filled.used, empty.count)
    warnings = [*frozen.warnings, *suspected, *warnings, *told]
    return Draft(job, first_request(plan.folder, job.parts), written.estimate, warnings)


def check_recipe(recipe: Recipe, provider: ProviderInfo) -> list[str]:
    """Check once what all requests of a recipe share, and give what may make them fail, or fall short.

    Raises:
        InvalidInput: Every request would fail at *provider*.
    """
    body = shared_body(recipe)
    tight = tight_bound(recipe.endpoint, body) if provider.kind == "service" else None
    return [*check_body(recipe.endpoint, body, provider), *([tight] if tight else [])]


def check_body(endpoint: Endpoint, body: Mapping[str, Json], provider: ProviderInfo) -> list[str]:
    """Give what may make requests with *body* fail.

    Raises:
        InvalidInput: Every one would.
    """
    lacking = lacks_json_word(endpoint, body, provider)
    found = [*faults(endpoint, body, provider), *([lacking] if lacking else ())]
    if certain := [fault for fault in found if fault.is_certain]:
        raise InvalidInput(f"Every request with these parameters would fail. {_told(certain[:_SHOWN_ERRORS])}")
    return [f"{SUSPECTED}: {_told([fault])}" for fault in found[:_SHOWN_ERRORS]]


def _written(plan: Plan, lines: Iterator[tuple[str, Line]], whole: Digest) -> tuple[Written, list[str]]:
    """Write the requests of all rows as parts, and say what was saved; one that repeats is joined to all its rows.

    *whole* becomes the hash of all rows' requests.
    """
    if not plan.deduplicate and plan.recipe.inputs_per_request == 1:
        return write_parts(plan.parts, (line for _, line in lines), whole), []
    lines = _hashed(lines, whole)
    if not plan.deduplicate:
        return write_parts(plan.parts, plan.packed(line for _, line in lines)), []
    listed = plan.folder.repeats
    with listed.open("wb") as file:
        repeats = Repeats(file)
        different = (line for custom_id, line in lines if not repeats.has(custom_id, line))
        written = write_parts(plan.parts, plan.packed(different))
    if repeats.count:
        share_ids(plan.folder.frozen, listed)
    listed.unlink()
    return written, [repeats.sentence]


def _hashed(lines: Iterator[tuple[str, Line]], whole: Digest) -> Iterator[tuple[str, Line]]:
    for custom_id, line in lines:
        whole.update(line.data)
        yield custom_id, line


def adopt_batch_file(
    plan: Plan, copy: Path, progress: Progress = SILENT, *, is_model_known: Callable[[str], bool]
) -> Draft:
    """Check a ready-made batch file as the Batch API would, and make it a draft, its lines unchanged.

    The plan's recipe gives way to what the file says. All is read from *copy*, the program's own, which is deleted at
    the end: the user's file may be another one meanwhile.

    Raises:
        InvalidInput: The Batch API would refuse the file; the sentence names the first lines and their errors.
    """
    recipe = batch_file_recipe(copy, plan.name)
    report = check_batch_file(
        copy,
        plan.name,
        recipe.endpoint,
        plan.provider,
        is_model_known=is_model_known,
        progress=progress.stage(0, 0.2, f"Checking {plan.name}"),
    )
    ids = plan.folder.ids
    with ids.open("wb") as file:
        for custom_id in report.custom_ids:
            file.write(msgspec.json.encode({"custom_id": custom_id}) + b"\n")
    numbering = progress.stage(0.2, 0.3, "Numbering the requests")
    source = freeze(one_file(ids, plan.name), plan.folder.frozen, id_column="custom_id", progress=numbering).source
    ids.unlink()
    whole, writing = hashlib.sha256(), progress.stage(0.3, 1, "Writing requests")

    def lines() -> Iterator[Line]:
        for number, line in enumerate(Measure(recipe.model, recipe.endpoint).lines(copy), 1):
            yield line
            if number % _ROWS_A_REPORT == 0:
                writing.counted(number, source.rows, "requests")

    files.sync(plan.folder.frozen)
    plan = replace(plan, recipe=recipe)
    written = write_parts(plan.parts, lines(), whole)
    copy.unlink()
    job = _job(plan, replace(source, kind="batch", path=str(plan.source)), written, whole.hexdigest())
    warnings = [f"{SUSPECTED}: {_told_with_lines(finding)}" for finding in report.suspected[:_SHOWN_ERRORS]]
    return Draft(job, first_request(plan.folder, job.parts), written.estimate, warnings)


def _job(plan: Plan, source: Source, written: Written, sha256: str) -> Job:
    """Give the job; its hash is that of all rows' requests, however they are shared, packed and cut into parts."""
    return Job(plan.job_id, plan.created_at, source, plan.recipe, plan.provider, written.parts, sha256=sha256)


def check_batch_file(
    path: Path,
    name: str,
    endpoint: Endpoint,
    provider: ProviderInfo | None,
    *,
    is_model_known: Callable[[str], bool],
    progress: Progress = SILENT,
) -> Report:
    """Refuse a ready-made batch file that the Batch API would refuse, or whose requests would fail at *provider*.

    Raises:
        InvalidInput: It would, or they would; the sentences name the first lines and what is wrong with them.
    """
    blocks = progress.through(files.blocks(path), path.stat().st_size)
    report = check_file(blocks, endpoint, provider, is_model_known=is_model_known, most_errors=_SHOWN_ERRORS)
    if report.errors or report.certain:
        raise InvalidInput(_refusal(name, report))
    return report


def is_batch_file(columns: Sequence[str]) -> bool:
    """Whether a JSONL file with these columns holds the lines of a batch."""
    return sorted(columns) == BATCH_FIELDS


def batch_file_recipe(path: Path, name: str) -> Recipe:
    """Say what the first line of a ready-made batch file asks for: its endpoint and model.

    Raises:
        InvalidInput: It is not the line of a batch file.
    """
    first = _first_line(path, name)
    return Recipe(endpoint=first.endpoint, model=first.model)


@dataclass(slots=True)
class _Counter:
    count: int = 0


@dataclass(frozen=True, slots=True)
class _FirstLine:
    endpoint: Endpoint
    model: str


def _first_line(path: Path, name: str) -> _FirstLine:
    line = next(files.lines(path), None)
    if line is None:
        raise InvalidInput(f"{name} is empty. A batch file has one request a line.")
    try:
        value = msgspec.json.decode(line, type=dict[str, Json])
        url, body = value.get("url"), value.get("body")
        model = cast("dict[str, Json]", body).get("model") if isinstance(body, dict) else None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"Line 1 of {name} is not parseable as valid JSON. Give a file of batch requests."
        ) from error
    if isinstance(model, str) and model:
        try:
            model_name(model)
        except InvalidInput as error:
            raise InvalidInput(f"Line 1 of {name}: {error}") from error
    for endpoint in get_args(Endpoint):
        if url == endpoint:
            return _FirstLine(endpoint, model if isinstance(model, str) else "")
    raise InvalidInput(
        f"Line 1 of {name} is no request of a batch: its url is none of {', '.join(get_args(Endpoint))}. "
        "For rows of data, pass the file as source, with a prompt."
    )


def _refusal(name: str, report: Report) -> str:
    sentences: list[str] = []
    if report.errors:
        shown = "; ".join(
            f"line {error.line}: {error.code}: {error.message.rstrip('.')}" for error in report.errors[:_SHOWN_ERRORS]
        )
        more = f"; and {report.more_errors:,} more" if report.more_errors else ""
        sentences.append(f"The Batch API would refuse {name}: {shown}{more}. Mend these lines.")
    if report.certain:
        sentences.append(f"These requests of {name} would fail once they are sent:")
        sentences += [_told_with_lines(finding) for finding in report.certain[:_SHOWN_ERRORS]]
        left_out = len(report.certain) - _SHOWN_ERRORS
        sentences += [f"And {left_out:,} more."] if left_out > 0 else []
    return " ".join(sentences)


def _told(found: Sequence[Fault]) -> str:
    return " ".join(f"{fault.message} ({fault.code}: {fault.param})" for fault in found)


def _told_with_lines(finding: Finding) -> str:
    others = f" and {finding.lines - 1:,} more" if finding.lines > 1 else ""
    return f"line {finding.line}{others}: {_told([finding.fault])}"


def _warnings(recipe: Recipe, columns: Sequence[str], used: Sequence[str], empty: int) -> list[str]:
    warnings: list[str] = []
    if single := single_braces(recipe.prompt or "", columns):
        name = single[0]
        warnings.append(
            f"{'The prompt has' if used else f'{SAME_FOR_ALL}: the prompt has'} {{{name}}} in single braces, which is "
            f"sent as it stands: write {{{{{name}}}}}."
        )
    elif not used:
        warnings.append(f"{SAME_FOR_ALL}: the prompt names no column.")
    if empty:
        warnings.append(
            f"{empty:,} rows have nothing in {', '.join(used)}: they ask only what the prompt says by itself."
        )
    return warnings
