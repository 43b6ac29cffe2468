"""What the tools answer, each with the next useful call."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

from batchwright.core.model import Job, Json
from batchwright.core.money import shown_usd
from batchwright.core.untrusted import MARK, cleaned, one_line
from batchwright.mcp_server.views.view import MAX_SENTENCE_CHARACTERS, Facts, Name, Next, Sentence, View
from batchwright.tables.inspection import Profile

if TYPE_CHECKING:
    from batchwright.costs.comparison import Comparison, ModelCost
    from batchwright.jobs.costs import Compared
    from batchwright.jobs.remote_files import RemoteFile

MAX_SHOWN_COLUMNS = 40
MAX_SHOWN_DELETED = 50
MAX_WARNINGS = 5
MAX_NESTED_BYTES = 600
"""Of a list or an object in a cell."""


class ColumnView(View):
    """One column."""

    name: Name
    type: Name
    empty: int | None = None
    distinct: int | None = None
    longest: int | None = None


class InspectView(View):
    """What is in the data."""

    name: Sentence
    rows: int
    columns: list[ColumnView]
    columns_left_out: int | None = None
    id_column: Name | None = None
    sample: list[Facts]
    warnings: list[Sentence] | None = None
    about: Sentence = MARK
    next: Next

    @classmethod
    def of(cls, profile: Profile, *, was_told: bool = False) -> Self:
        """Show a profile; *was_told* how the file is to be read."""
        from batchwright.jobs.build import is_batch_file

        columns = [
            ColumnView(
                name=column.name,
                type=column.type,
                empty=column.empty or None,
                distinct=column.distinct,
                longest=column.longest,
            )
            for column in profile.columns[:MAX_SHOWN_COLUMNS]
        ]
        left_out = len(profile.columns) - len(columns)
        # A name that cannot be shown as it is cannot be passed on either.
        id_column = profile.id_column if _is_plain(profile.id_column or "") else None
        id_part = f', id_column="{id_column}"' if id_column else ""
        is_batch = is_batch_file([column.name for column in profile.columns])
        file = f'"{profile.name}"' if _is_plain(profile.name) else "the same file"
        source = "the same query" if profile.kind == "query" else file
        told_part = ", reading as here" if was_told else ""
        data_call = f'create_batch_file(source={source}{told_part}, prompt="... {{{{column}}}} ..."{id_part})'
        return cls(
            name=profile.name,
            rows=profile.rows,
            columns=columns,
            columns_left_out=left_out or None,
            id_column=id_column,
            sample=[_shown_row(row) for row in profile.sample],
            warnings=list(profile.warnings[:MAX_WARNINGS]) or None,
            next=f"create_batch_file(batch_file={file})" if is_batch else data_call,
        )


class FileLine(View):
    """One file at the provider."""

    file_id: Name
    name: Name
    purpose: Name
    bytes: int | None = None
    created_at: Name | None = None
    job_id: Name | None = None

    @classmethod
    def of(cls, remote: "RemoteFile") -> Self:
        """Show a file."""
        return cls(
            file_id=remote.file_id,
            name=remote.name,
            purpose=remote.purpose,
            bytes=remote.size_bytes,
            created_at=remote.created_at.isoformat(timespec="seconds") if remote.created_at else None,
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
        following = f'delete_files(job_id="{owned}") when it has ended and is saved' if owned else "list_jobs()"
        return cls(
            files=[FileLine.of(file) for file in shown],
            total=len(files),
            total_bytes=sum(file.size_bytes or 0 for file in files),
            left_out=left_out if left_out > 0 else None,
            next=f"list_files(offset={offset + len(shown)})" if left_out > 0 else following,
        )


class DeletedView(View):
    """Files that were deleted at the provider."""

    deleted: list[Name]
    left_out: int | None = None
    freed_bytes: int | None = None
    kept: Sentence = "the results stay here: get_results works as before"
    next: Next

    @classmethod
    def of(cls, files: "Sequence[RemoteFile]") -> Self:
        """Show what was deleted."""
        return cls(
            deleted=[file.file_id for file in files[:MAX_SHOWN_DELETED]],
            left_out=max(0, len(files) - MAX_SHOWN_DELETED) or None,
            freed_bytes=sum(file.size_bytes or 0 for file in files) or None,
            next="list_files() shows what is left",
        )


class CostsView(View):
    """Costs on several models, the cheapest batch first."""

    compared: Sentence
    costs: list[dict[str, Name]]
    prices: Sentence
    saved_as: Sentence | None = None
    notes: list[Sentence] | None = None
    next: Next

    @classmethod
    def of(cls, compared: "Compared") -> Self:
        """Show a comparison."""
        job, comparison = compared.job, compared.comparison
        cheapest = f', model="{comparison.costs[0].model}"' if comparison.costs else ""
        draft = f'create_batch_file(source="FILE", prompt="..."{cheapest}), or with the model that the user chooses'
        submit = f"{_go_on(job)}, or another draft: " if job else ""
        return cls(
            compared=comparison.subject,
            costs=[_cost_line(line, comparison) for line in comparison.costs],
            prices=comparison.source,
            saved_as=compared.saved_as,
            notes=[*comparison.notes, *compared.notes] or None,
            next=submit + draft,
        )


def _go_on(job: Job) -> str:
    """Give the call that goes on with a compared job: of a draft, its answers are compared next."""
    tried = f'try_requests(job_id="{job.id}", models=[...]) compares how they answer'
    return tried if job.submitted_at is None else f'check_job(job_id="{job.id}")'


def _is_plain(name: str) -> bool:
    """Whether a name can stand in a call as it is."""
    return bool(name) and one_line(name, MAX_SENTENCE_CHARACTERS) == name and '"' not in name


def _cost_line(line: "ModelCost", comparison: "Comparison") -> dict[str, str]:
    """Give a model's costs; what is not known is left out."""
    more = " and more" if comparison.is_open else ""
    shown = {"model": line.model, "standard": f"{shown_usd(line.standard_usd)}{more}"}
    if line.batch_usd is not None:
        shown["batch"] = f"{shown_usd(line.batch_usd)}{more}"
    if line.saving_percent is not None:
        shown["saving"] = f"{line.saving_percent}%"
    return shown


def _shown_row(row: Mapping[str, Json]) -> dict[str, Json]:
    """Give a row fit for the conversation: cleaned, cut, and without its empty cells."""
    from batchwright.mcp_server.views.fitting import fitted_value, shown_names

    names = shown_names(list(row)[:MAX_SHOWN_COLUMNS])
    return {
        shown: cleaned(row[name]) if isinstance(row[name], str) else fitted_value(row[name], MAX_NESTED_BYTES)
        for name, shown in names.items()
        if row[name] is not None
    }
