"""The states of a part, and how it gets from one to the next. Pure: the one place that sets a part's state."""

from dataclasses import replace
from decimal import Decimal

from batchwright.core.model import Part
from batchwright.core.problem import Problem


def built(part: Part, problem: Problem | None = None) -> Part:
    """Return the part as it was before its file was uploaded."""
    fresh = replace(part, state="built", batch_id=None, batch_status=None, file_id=None, file_created_at=None)
    return replace(fresh, completed=0, failed=0, problem=problem, errors=())


def split(part: Part) -> Part:
    """Return the part after smaller parts took its place."""
    return replace(part, state="split", problem=None)


def uploading(part: Part) -> Part:
    """Return the part just before its file is sent: the provider may have it from here on."""
    return replace(part, state="uploading")


def uploaded(part: Part, file_id: str, created_at: int | None) -> Part:
    """Return the part with the file that the provider took at *created_at*, by the provider's clock."""
    return replace(part, state="uploaded", file_id=file_id, file_created_at=created_at or None, problem=None)


def submitting(part: Part) -> Part:
    """Return the part just before its batch is requested: the batch may exist from here on."""
    return replace(part, state="submitting")


def not_sent(part: Part, problem: Problem | None) -> Part:
    """Return the part after it became certain that no batch was made: the same file may be used again."""
    return replace(part, state="uploaded", problem=problem)


def unconfirmed(part: Part, problem: Problem) -> Part:
    """Return the part while nobody knows whether its batch was made."""
    return replace(part, state="unknown", problem=problem)


def submitted(part: Part, batch_id: str, *, status: str | None = None, file_id: str | None = None) -> Part:
    """Return the part with its batch, just made or found."""
    known = replace(part, batch_status=status or part.batch_status, file_id=file_id or part.file_id)
    return replace(known, state="submitted", batch_id=batch_id, problem=None)


def reopened(part: Part) -> Part:
    """Return the part with its batch to be polled again, though it had finished."""
    return replace(part, state="submitted")


def cancelling(part: Part) -> Part:
    """Return the part after the provider agreed to cancel its batch."""
    return replace(part, state="cancelling")


def ended(part: Part) -> Part:
    """Return the part after its batch came to an end: its results are still to be fetched."""
    return replace(part, state="ended")


def collected(part: Part, cost_usd: Decimal | None, problem: Problem | None, *, is_failed: bool) -> Part:
    """Return the part with its results here, as far as there are any."""
    return replace(part, state="failed" if is_failed else "verified", cost_usd=cost_usd, problem=problem)


def failed(part: Part, problem: Problem) -> Part:
    """Return the part after it became certain that nothing more comes of it."""
    return replace(part, state="failed", problem=problem)


def left_out(part: Part, problem: Problem | None = None) -> Part:
    """Return the part after the decision that it is never submitted."""
    return replace(part, state="verified", batch_status="cancelled", problem=problem)


def given_up(part: Part, problem: Problem) -> Part:
    """Return the part after the user left it, though it may be paid for."""
    return replace(part, state="given_up", problem=problem)
