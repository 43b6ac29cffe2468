"""A ready-made batch file to a draft job: what was checked is what is sent."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

import msgspec

from batchwright.checks.batch_file import BatchFileReport, Finding, check_file
from batchwright.core import files
from batchwright.core.errors import InvalidInput
from batchwright.core.model import Endpoint, Json, ProviderInfo, Recipe
from batchwright.core.progress import SILENT, Progress
from batchwright.core.untrusted import model_name
from batchwright.jobs.build import ROWS_A_REPORT, Draft, Plan, draft_job
from batchwright.jobs.preflight import SHOWN_ERRORS, suspicion, tell
from batchwright.requests.measure import Line, Measure
from batchwright.requests.parts import (
    first_request,
    write_parts,
)
from batchwright.tables.frozen import freeze
from batchwright.tables.source import one_file


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
            if number % ROWS_A_REPORT == 0:
                writing.counted(number, source.rows, "requests")

    files.sync(plan.folder.frozen)
    plan = replace(plan, recipe=recipe)
    written = write_parts(plan.parts, lines(), whole)
    copy.unlink()
    job = draft_job(plan, replace(source, kind="batch", path=str(plan.source)), written, whole.hexdigest())
    warnings = [suspicion(found.fault, _tell_with_lines(found)) for found in report.suspected[:SHOWN_ERRORS]]
    return Draft(job, first_request(plan.folder, job.parts), written.estimate, warnings)


def check_batch_file(
    path: Path,
    name: str,
    endpoint: Endpoint,
    provider: ProviderInfo | None,
    *,
    is_model_known: Callable[[str], bool],
    progress: Progress = SILENT,
) -> BatchFileReport:
    """Refuse a ready-made batch file that the Batch API would refuse, or whose requests would fail at *provider*.

    Raises:
        InvalidInput: It would, or they would; the sentences name the first lines and what is wrong with them.
    """
    blocks = progress.through(files.blocks(path), path.stat().st_size)
    report = check_file(blocks, endpoint, provider, is_model_known=is_model_known, most_errors=SHOWN_ERRORS)
    if report.errors or report.certain:
        raise InvalidInput(_refusal(name, report))
    return report


def batch_file_recipe(path: Path, name: str) -> Recipe:
    """Say what the first line of a ready-made batch file asks for: its endpoint and model.

    Raises:
        InvalidInput: It is not the line of a batch file.
    """
    first = _first_line(path, name)
    return Recipe(endpoint=first.endpoint, model=first.model)


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


def _refusal(name: str, report: BatchFileReport) -> str:
    sentences: list[str] = []
    if report.errors:
        shown = "; ".join(
            f"line {error.line}: {error.code}: {error.message.rstrip('.')}" for error in report.errors[:SHOWN_ERRORS]
        )
        more = f"; and {report.more_errors:,} more" if report.more_errors else ""
        sentences.append(f"The Batch API would refuse {name}: {shown}{more}. Mend these lines.")
    if report.certain:
        sentences.append(f"These requests of {name} would fail once they are sent:")
        sentences += [_tell_with_lines(finding) for finding in report.certain[:SHOWN_ERRORS]]
        left_out = len(report.certain) - SHOWN_ERRORS
        sentences += [f"And {left_out:,} more."] if left_out > 0 else []
    return " ".join(sentences)


def _tell_with_lines(finding: Finding) -> str:
    others = f" and {finding.lines - 1:,} more" if finding.lines > 1 else ""
    return f"line {finding.line}{others}: {tell([finding.fault])}"
