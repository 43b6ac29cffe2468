"""What the tools answer about files at the provider."""

from typing import TYPE_CHECKING, Self

from batchwright.core.calls import Advice, Call
from batchwright.mcp_server.views.view import Name, Next, Sentence, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchwright.jobs.remote_files import RemoteFile


MAX_SHOWN_DELETED = 50


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
        return cls(
            files=[FileLine.of(file) for file in shown],
            total=len(files),
            total_bytes=sum(file.size_bytes or 0 for file in files),
            left_out=left_out if left_out > 0 else None,
            next=(Call("list_files", offset=offset + len(shown)),) if left_out > 0 else _after_files(shown),
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
            next=(Call("list_files"), " shows the remaining files"),
        )


def _after_files(shown: "Sequence[RemoteFile]") -> Advice:
    if owned := next((file.job_id for file in shown if file.job_id), None):
        return Call("delete_files", job_id=owned), " when the job has finished and its results are saved"
    return (Call("list_jobs"),)
