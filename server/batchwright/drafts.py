"""A source and a recipe to a draft job: frozen rows and parts on disk. Synchronous: runs in a worker thread."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import cast, get_args

import msgspec

from batchwright import files
from batchwright.errors import InvalidInput
from batchwright.jsonl import check_batch, decode_request, duplicate_key, encode_request, inputs_of
from batchwright.model import Endpoint, Job, Json, Limits, LineError, Part, ProviderInfo, Recipe, Request
from batchwright.parts import numbered
from batchwright.recipe import body_builder, template_columns
from batchwright.tables.sources import FileKind, freeze, frozen_rows

FROZEN = "source.parquet"
_SHOWN_ERRORS = 5
_ROWS_A_REPORT = 500

OnRows = Callable[[int, int], None]
"""Told how many rows of how many are done."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a draft is made of.

    Attributes:
        folder: The job's own folder; exists and is empty.
        source: The file with the rows, of *kind*; *name* is what the user calls it.
    """

    job_id: str
    created_at: datetime
    folder: Path
    source: Path
    kind: FileKind
    name: str
    id_column: str | None
    recipe: Recipe
    provider: ProviderInfo
    limits: Limits


@dataclass(frozen=True, slots=True)
class Draft:
    """A job that is ready to be submitted, and what the user should know of it first."""

    job: Job
    first_request: Request
    warnings: Sequence[str]


def draft(plan: Plan, on_rows: OnRows) -> Draft:
    """Freeze the rows and write the parts.

    Raises:
        InvalidInput: The source, the recipe or one of the rows cannot be used; the sentence says which.
    """
    source = freeze(plan.source, plan.folder / FROZEN, kind=plan.kind, name=plan.name, id_column=plan.id_column)
    is_inline = plan.source.parent == plan.folder
    used = template_columns(plan.recipe, source.columns)
    body = body_builder(plan.recipe, source.columns)
    empty = _Counter()

    def lines() -> Iterator[tuple[bytes, int]]:
        for number, (custom_id, row) in enumerate(frozen_rows(plan.folder / FROZEN, used), 1):
            if used and all(value is None or value == "" for value in row.values()):
                empty.count += 1
            yield _line(Request(custom_id, _filled(body, row, number)), plan.recipe.endpoint, number), 1
            if number % _ROWS_A_REPORT == 0:
                on_rows(number, source.rows)

    parts = _write_parts(plan, lines())
    on_rows(source.rows, source.rows)
    job = Job(
        plan.job_id,
        plan.created_at,
        replace(source, kind="rows") if is_inline else source,
        plan.recipe,
        plan.provider,
        parts,
    )
    return Draft(job, _first_request(plan.folder, parts), _warnings(used, empty.count))


def adopt_batch_file(plan: Plan, on_rows: OnRows, *, is_model_known: Callable[[str], bool]) -> Draft:
    """Check a ready-made batch file as the Batch API would, and make it a draft, its lines unchanged.

    The plan's recipe and provider give way to what the file says.

    Raises:
        InvalidInput: The Batch API would refuse the file; the sentence names the first lines and their errors.
    """
    first = _first_line(plan.source, plan.name)
    recipe = Recipe(endpoint=first.endpoint, model=first.model)
    errors = list(
        itertools.islice(
            check_batch(files.lines(plan.source), recipe.endpoint, is_model_known=is_model_known), _SHOWN_ERRORS + 1
        )
    )
    if errors:
        raise InvalidInput(_refusal(plan.name, errors))
    ids = plan.folder / "ids.jsonl"
    with ids.open("wb") as file:
        for number, line in enumerate(files.lines(plan.source), 1):
            if key := duplicate_key(line):
                raise InvalidInput(f"Line {number} of {plan.name} has the key {key!r} twice. Leave one of them.")
            file.write(msgspec.json.encode({"custom_id": decode_request(line).custom_id}) + b"\n")
    frozen = plan.folder / FROZEN
    source = freeze(ids, frozen, kind="jsonl", name=plan.name, id_column="custom_id")
    ids.unlink()

    def lines() -> Iterator[tuple[bytes, int]]:
        for number, line in enumerate(files.lines(plan.source), 1):
            yield line + b"\n", inputs_of(line) if recipe.endpoint == "/v1/embeddings" else 1
            if number % _ROWS_A_REPORT == 0:
                on_rows(number, source.rows)

    parts = _write_parts(plan, lines())
    job = Job(plan.job_id, plan.created_at, replace(source, kind="batch"), recipe, plan.provider, parts)
    return Draft(job, _first_request(plan.folder, parts), ())


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
    for endpoint in get_args(Endpoint):
        if url == endpoint:
            return _FirstLine(endpoint, model if isinstance(model, str) else "")
    raise InvalidInput(
        f"Line 1 of {name} is no request of a batch: its url is none of {', '.join(get_args(Endpoint))}. "
        "For rows of data, pass the file as source, with a prompt."
    )


def _refusal(name: str, errors: Sequence[LineError]) -> str:
    shown = "; ".join(f"line {error.line}: {error.code}: {error.message}" for error in errors[:_SHOWN_ERRORS])
    more = " There are more." if len(errors) > _SHOWN_ERRORS else ""
    return f"The Batch API would refuse {name}: {shown}{more} Mend these lines."


def _filled(body: Callable[[dict[str, Json]], dict[str, Json]], row: dict[str, Json], number: int) -> dict[str, Json]:
    try:
        return body(row)
    except InvalidInput as error:
        raise InvalidInput(f"Row {number}: {error}") from error


def _line(request: Request, endpoint: Endpoint, number: int) -> bytes:
    try:
        return encode_request(request, endpoint)
    except (UnicodeEncodeError, TypeError, ValueError) as error:
        raise InvalidInput(f"Row {number} holds a value that is not valid JSON text. Mend it.") from error


def _write_parts(plan: Plan, lines: Iterable[tuple[bytes, int]]) -> tuple[Part, ...]:
    parts: list[Part] = []
    for number, group in itertools.groupby(numbered(lines, plan.limits), key=itemgetter(0)):
        part = Part(plan.job_id, number, "built", sha256="", size_bytes=0, requests=0)
        digest, size, requests = hashlib.sha256(), 0, 0
        with (plan.folder / part.file_name).open("wb") as file:
            for _, line in group:
                file.write(line)
                digest.update(line)
                size += len(line)
                requests += 1
        parts.append(replace(part, sha256=digest.hexdigest(), size_bytes=size, requests=requests))
    return tuple(parts)


def _first_request(folder: Path, parts: Sequence[Part]) -> Request:
    return decode_request(next(files.lines(folder / parts[0].file_name)))


def _warnings(used: Sequence[str], empty: int) -> list[str]:
    warnings: list[str] = []
    if not used:
        warnings.append("The prompt names no column, so every row gets the same request.")
    if empty:
        warnings.append(
            f"{empty:,} rows have nothing in {', '.join(used)}: their prompt is empty but for its own text."
        )
    return warnings
