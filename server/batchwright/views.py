"""What the tools answer, each with the next useful call."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field

from batchwright.answer import View
from batchwright.model import Job, JobStatus, Json, Outcome, Profile
from batchwright.untrusted import MARK, MAX_CELL_CHARACTERS, cleaned, cleaned_value

if TYPE_CHECKING:
    from batchwright.drafts import Draft
    from batchwright.jobs import RemoteFile, ResultPage

MAX_SHOWN_COLUMNS = 40
MAX_REQUEST_CHARACTERS = 1_500
MAX_SHOWN_CHARACTERS = 8_000
"""Of all cells of an answer together, roughly: a few rows are shown whole, many are cut."""
MAX_LONE_CELL_CHARACTERS = 4_000
_FREE = "0: it runs on this machine"

Next = Annotated[str, Field(description="the next useful call")]


class ColumnView(View):
    """One column."""

    name: str
    type: str
    empty: int | None = None
    distinct: int | None = None
    longest: int | None = None


class InspectView(View):
    """What is in a data file."""

    name: str
    rows: int
    columns: list[ColumnView]
    columns_left_out: int | None = None
    id_column: str | None = None
    sample: list[dict[str, Any]]
    about: str = MARK
    next: Next

    @classmethod
    def of(cls, profile: Profile) -> Self:
        """Show a profile."""
        from batchwright.drafts import is_batch_file

        columns = [
            ColumnView(
                name=cleaned(column.name, 64),
                type=column.type,
                empty=column.empty or None,
                distinct=column.distinct,
                longest=column.longest,
            )
            for column in profile.columns[:MAX_SHOWN_COLUMNS]
        ]
        left_out = len(profile.columns) - len(columns)
        id_part = f', id_column="{profile.id_column}"' if profile.id_column else ""
        is_batch = is_batch_file([column.name for column in profile.columns])
        data_call = f'create_batch_file(source="{profile.name}", prompt="... {{{{column}}}} ..."{id_part})'
        return cls(
            name=profile.name,
            rows=profile.rows,
            columns=columns,
            columns_left_out=left_out or None,
            id_column=profile.id_column,
            sample=[_shown_row(row) for row in profile.sample],
            next=f'create_batch_file(batch_file="{profile.name}")' if is_batch else data_call,
        )


class DraftView(View):
    """A draft job."""

    job_id: str
    status: JobStatus
    source: str
    rows: int
    requests: int
    parts: int
    megabytes: float
    input_tokens: int
    output_tokens_at_most: int | None = None
    answered_by: str
    cost: str
    first_request: str
    warnings: list[str] | None = None
    next: Next

    @classmethod
    def of(cls, draft: "Draft") -> Self:
        """Show a draft."""
        import msgspec

        job = draft.job
        first = msgspec.json.encode(draft.first_request.body).decode()
        return cls(
            job_id=job.id,
            status=job.status,
            source=cleaned(job.source.name),
            rows=job.source.rows,
            requests=sum(part.requests for part in job.parts),
            parts=len(job.parts),
            megabytes=round(sum(part.size_bytes for part in job.parts) / 1e6, 3),
            input_tokens=draft.estimate.input_tokens,
            output_tokens_at_most=draft.estimate.output_tokens_bound or None,
            answered_by=job.provider.sentence,
            cost=_cost(draft),
            first_request=cleaned(first, MAX_REQUEST_CHARACTERS),
            warnings=[cleaned(warning, 500) for warning in (*draft.warnings, *draft.estimate.count_notes)] or None,
            next=f'submit_job(job_id="{job.id}")',
        )


class ProblemView(View):
    """Rows that have no good answer for one and the same reason."""

    problem: str
    rows: int


class JobView(View):
    """How a job stands."""

    job_id: str
    status: JobStatus
    rows: int
    counts: Annotated[dict[Outcome, int], Field(description="rows by outcome; the sum is rows")]
    answered_by: str
    rows_per_minute: float | None = None
    seconds_left: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    problems: list[ProblemView] | None = None
    notes: list[str] | None = None
    next: Next

    @classmethod
    def of(
        cls,
        job: Job,
        *,
        seconds: float | None = None,
        problems: Sequence[tuple[str, int]] = (),
        notes: Sequence[str] = (),
    ) -> Self:
        """Show a job; *seconds* is how long it has been running."""
        counts = _present(job.counts)
        done = job.source.rows - counts.get("running", 0)
        rate = done / seconds * 60 if seconds and done and job.ended_at is None else None
        said = [*notes, *_part_notes(job)]
        if done and job.submitted_at is not None and job.ended_at is None:
            said.append("Answers are read when the job ends: some may then count as refused, cut_short or not_fitting.")
        return cls(
            job_id=job.id,
            status=job.status,
            rows=job.source.rows,
            counts=counts,
            answered_by=job.provider.sentence,
            rows_per_minute=round(rate, 1) if rate else None,
            seconds_left=round(counts.get("running", 0) / rate * 60) if rate and job.status == "running" else None,
            input_tokens=job.input_tokens or None,
            output_tokens=job.output_tokens or None,
            problems=[ProblemView(problem=cleaned(text), rows=rows) for text, rows in problems] or None,
            notes=[cleaned(note, 400) for note in said] or None,
            next=_next_call(job),
        )


class JobLine(View):
    """One job of a list."""

    job_id: str
    status: JobStatus
    source: str
    rows: int
    answered: int
    model: str
    created_at: str


class JobsView(View):
    """Jobs, newest first."""

    jobs: list[JobLine]
    total: int
    left_out: int | None = None
    next: Next

    @classmethod
    def of(cls, jobs: Sequence[Job], *, total: int, offset: int) -> Self:
        """Show a page of jobs."""
        left_out = total - offset - len(jobs)
        lines = [
            JobLine(
                job_id=job.id,
                status=job.status,
                source=cleaned(job.source.name, 80),
                rows=job.source.rows,
                answered=job.counts["answered"],
                model=job.recipe.model,
                created_at=job.created_at.isoformat(timespec="seconds"),
            )
            for job in jobs
        ]
        if not total:
            following = 'inspect_data(source="FILE"), then create_batch_file'
        elif not jobs:
            following = "list_jobs(): the offset is past the end"
        elif left_out > 0:
            following = f"list_jobs(offset={offset + len(jobs)})"
        else:
            following = f'check_job(job_id="{jobs[0].id}")'
        return cls(jobs=lines, total=total, left_out=left_out if left_out > 0 else None, next=following)


class ResultsView(View):
    """Joined results."""

    job_id: str
    status: JobStatus
    rows: int
    counts: Annotated[dict[Outcome, int], Field(description="rows by outcome; the sum is rows")]
    answered_by: str
    columns: list[str]
    shown: Annotated[list[dict[str, Any]], Field(description="some joined rows; row is the number in the source")]
    matching: Annotated[int | None, Field(description="rows of the outcome asked for")] = None
    left_out: int | None = None
    saved_as: str | None = None
    notes: list[str] | None = None
    about: str = MARK
    next: Next

    @classmethod
    def of(cls, page: "ResultPage", *, offset: int) -> Self:
        """Show a page of results."""
        job, matching = page.job, page.joined.matching
        room = MAX_SHOWN_CHARACTERS // max(1, len(page.joined.rows) * len(page.columns))
        most = min(max(room, MAX_CELL_CHARACTERS), MAX_LONE_CELL_CHARACTERS)
        shown = [{"row": number, **_shown_row(row, most)} for number, row in page.joined.rows]
        left_out = max(0, matching - offset - len(shown))
        notes: list[str] = []
        if not job.counts["answered"]:
            notes.append("No row has a good answer: outcome and problem say why.")
        if offset and offset >= matching:
            notes.append(f"The offset is past the end: {matching:,} rows match.")
        if page.saved_as:
            following = f'tell the user where the results are; delete_files(job_id="{job.id}") cleans up'
        elif left_out and shown:
            following = f'get_results(job_id="{job.id}", offset={offset + len(shown)}), or with save_as="results.csv"'
        else:
            following = f'get_results(job_id="{job.id}", save_as="results.csv") writes all rows to a file'
        return cls(
            job_id=job.id,
            status=job.status,
            rows=job.source.rows,
            counts=_present(job.counts),
            answered_by=job.provider.sentence,
            columns=[cleaned(column, 64) for column in page.columns[:MAX_SHOWN_COLUMNS]],
            shown=shown,
            matching=matching if matching != job.source.rows else None,
            left_out=left_out or None,
            saved_as=page.saved_as,
            notes=notes or None,
            next=following,
        )


class FileLine(View):
    """One file at the provider."""

    file_id: str
    name: str
    purpose: str
    bytes: int
    created_at: str
    job_id: str | None = None

    @classmethod
    def of(cls, remote: "RemoteFile") -> Self:
        """Show a file."""
        from datetime import UTC, datetime

        return cls(
            file_id=remote.file.id,
            name=cleaned(remote.file.filename, 80),
            purpose=remote.file.purpose,
            bytes=remote.file.bytes,
            created_at=datetime.fromtimestamp(remote.file.created_at, UTC).isoformat(timespec="seconds"),
            job_id=remote.job_id,
        )


class FilesView(View):
    """Files at the provider, newest first."""

    files: list[FileLine]
    total: int
    total_bytes: int
    left_out: int | None = None
    next: Next

    @classmethod
    def of(cls, files: "Sequence[RemoteFile]", *, limit: int, offset: int) -> Self:
        """Show a page of files."""
        shown = files[offset : offset + limit]
        left_out = len(files) - offset - len(shown)
        owned = next((file.job_id for file in shown if file.job_id), None)
        following = f'delete_files(job_id="{owned}") once its results are saved' if owned else "list_jobs()"
        return cls(
            files=[FileLine.of(file) for file in shown],
            total=len(files),
            total_bytes=sum(file.file.bytes for file in files),
            left_out=left_out if left_out > 0 else None,
            next=f"list_files(offset={offset + len(shown)})" if left_out > 0 else following,
        )


class DeletedView(View):
    """Files that were deleted at the provider."""

    deleted: list[str]
    freed_bytes: int
    kept: str = "the results stay here: get_results works as before"
    next: Next

    @classmethod
    def of(cls, files: "Sequence[RemoteFile]") -> Self:
        """Show what was deleted."""
        return cls(
            deleted=[file.file.id for file in files],
            freed_bytes=sum(file.file.bytes for file in files),
            next="list_files() shows what is left",
        )


def _cost(draft: "Draft") -> str:
    """Say what the job will cost, where that is known: never 0 for want of a price."""
    from batchwright.pricing import OPENAI_HOST

    provider, known = draft.job.provider, draft.estimate.cost_standard_usd
    if provider.kind == "embedded":
        return _FREE
    if provider.host != OPENAI_HOST:
        return f"not counted: {provider.host} has its own prices"
    low = f"${known.low_usd:,.4f}" if known and known.low_usd is not None else None
    high = f"${known.high_usd:,.4f}" if known and known.high_usd is not None else None
    amount = f"{low} to {high}" if low and high else f"{low} and more" if low else "not known"
    return " ".join([f"{amount}, at OpenAI's standard prices: requests go one at a time.", *draft.estimate.price_notes])


def _next_call(job: Job) -> str:
    match job.status:
        case "draft":
            return f'submit_job(job_id="{job.id}")'
        case "running" | "cancelling" | "unknown":
            return f'check_job(job_id="{job.id}", wait_seconds=45)'
        case "failed" if not job.counts["answered"]:
            return "create_batch_file with the faults mended"
        case _:
            return f'get_results(job_id="{job.id}", save_as="results.csv")'


def _part_notes(job: Job) -> list[str]:
    notes = dict.fromkeys(part.note for part in job.parts if part.note)
    for part in job.parts:
        for error in part.errors[:3]:
            place = f"part {part.number}, line {error.line}: " if error.line else ""
            notes[f"{place}{error.code}: {error.message}"] = None
    return list(notes)[:5]


def _present(counts: Mapping[Outcome, int]) -> dict[Outcome, int]:
    return {name: count for name, count in counts.items() if count}


def _shown_row(row: Mapping[str, Json], most: int = MAX_CELL_CHARACTERS) -> dict[str, Json]:
    """Give a row fit for the conversation: cleaned, cut, and without its empty cells."""
    cells = list(row.items())[:MAX_SHOWN_COLUMNS]
    return {cleaned(name, 64): cleaned_value(value, most) for name, value in cells if value is not None}
