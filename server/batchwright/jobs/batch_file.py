"""From a ready-made batch file to a draft job: exactly what was checked is sent."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast, get_args

import msgspec

from batchwright.checks.batch_file import BatchFileReport, Finding, check_file
from batchwright.core import files
from batchwright.core.errors import InvalidInput
from batchwright.core.model import Endpoint, Json, ProviderInfo, Recipe
from batchwright.core.progress import SILENT, Progress
from batchwright.core.untrusted import model_name
from batchwright.jobs.build import ROWS_A_REPORT, Draft, DraftPlan, finish_draft
from batchwright.jobs.preflight import SHOWN_ERRORS, describe, warn_of
from batchwright.requests.measure import Line, Measure
from batchwright.requests.parts import write_parts
from batchwright.tables.frozen import freeze
from batchwright.tables.source import one_file


def adopt_batch_file(
    plan: DraftPlan, copy: Path, progress: Progress = SILENT, *, is_model_known: Callable[[str], bool]
) -> Draft:
    """Check a ready-made batch file as the Batch API would, and draft a job of it with its lines unchanged.

    The endpoint and model come from the file, not from the plan's recipe. Only *copy* is read, and deleted at the end:
    the user may replace their own file meanwhile.

    Raises:
        InvalidInput: The Batch API would refuse the file; the message names the first lines and their errors.
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
    warnings = [warn_of(found.fault, _describe_finding(found)) for found in report.suspected[:SHOWN_ERRORS]]
    return finish_draft(plan, replace(source, kind="batch", path=str(plan.source)), written, whole, warnings)


def check_batch_file(
    path: Path,
    name: str,
    endpoint: Endpoint,
    provider: ProviderInfo | None,
    *,
    is_model_known: Callable[[str], bool],
    progress: Progress = SILENT,
) -> BatchFileReport:
    """Check a ready-made batch file as the Batch API and *provider* would.

    Raises:
        InvalidInput: The file would be refused, or its requests would fail; the message names the first lines.
    """
    blocks = progress.through(files.blocks(path), path.stat().st_size)
    report = check_file(blocks, endpoint, provider, is_model_known=is_model_known, most_errors=SHOWN_ERRORS)
    if report.errors or report.certain:
        raise InvalidInput(_refusal(name, report))
    return report


def batch_file_recipe(path: Path, name: str) -> Recipe:
    """Return the endpoint and model that the first line of a ready-made batch file names.

    Raises:
        InvalidInput: The line is not a batch request.
    """
    line = next(files.lines(path), None)
    if line is None:
        raise InvalidInput(f"{name} is empty. A batch file has one request per line.")
    try:
        value = msgspec.json.decode(line, type=dict[str, Json])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"Line 1 of {name} is not a JSON object. Pass a file of batch requests.") from error
    url, body = value.get("url"), value.get("body")
    model = cast("dict[str, Json]", body).get("model") if isinstance(body, dict) else None
    try:
        known_model = model_name(model) if isinstance(model, str) and model else ""
    except InvalidInput as error:
        raise InvalidInput(f"Line 1 of {name}: {error}") from error
    for endpoint in get_args(Endpoint):
        if url == endpoint:
            return Recipe(endpoint=endpoint, model=known_model)
    raise InvalidInput(
        f"Line 1 of {name} is not a batch request: its url is none of {', '.join(get_args(Endpoint))}. "
        "For rows of data, pass the file as source, with a prompt."
    )


def _refusal(name: str, report: BatchFileReport) -> str:
    sentences: list[str] = []
    if report.errors:
        shown = [f"line {error.line}: {error.code}: {error.message.rstrip('.')}" for error in report.errors]
        more = [f"and {report.more_errors:,} more"] if report.more_errors else []
        sentences.append(f"The Batch API would refuse {name}: {'; '.join([*shown, *more])}. Fix these lines.")
    if report.certain:
        sentences.append(f"These requests in {name} would fail once sent:")
        sentences += [_describe_finding(finding) for finding in report.certain[:SHOWN_ERRORS]]
        if (left_out := len(report.certain) - SHOWN_ERRORS) > 0:
            sentences.append(f"And {left_out:,} more.")
    return " ".join(sentences)


def _describe_finding(finding: Finding) -> str:
    others = f" and {finding.lines - 1:,} more" if finding.lines > 1 else ""
    return f"line {finding.line}{others}: {describe([finding.fault])}"
