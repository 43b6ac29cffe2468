"""What to do next for a part, from what the journal says and what the provider shows. Pure: decides, does nothing."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal, Protocol, assert_never

from batchwright.core.model import LIVE_STATES, TERMINAL_BATCH_STATUSES, Job, LineError, Part
from batchwright.core.problem import Problem
from batchwright.core.provenance import NONCE_KEY

Step = Literal["upload", "create", "look_for_batch", "poll", "collect", "wait_for_user", "give_up", "rest"]

LEAVING = (
    'It is looked at again each time. The user may leave it with submit_job, user_says="give_up": its rows are '
    "unconfirmed then, and count as paid."
)
"""How the user leaves what may never move on."""

_LIMIT = re.compile(r"Limit:\s*([\d,._ ]*\d)")
MAX_FAULTS = 3
"""Of a batch that was refused whole, in a sentence."""


class ToldFault(Protocol):
    """What is looked at of the fault of a batch, in the provider's words."""

    code: str | None
    line: int | None
    message: str | None


class ListedBatch(Protocol):
    """What is looked at of a provider's batch."""

    id: str
    input_file_id: str
    created_at: int
    metadata: dict[str, str] | None


def next_step(part: Part, *, was_looked_for: bool = False, is_left: bool = False) -> Step:
    """Say what moves *part* on, given that no one else is working on it.

    A part found `submitting` was left there by a process that died: its batch may exist, so it is looked for first.
    With *is_left*, the user has no use for it any more: it is given up where no batch of it is found.
    """
    match part.state:
        case "built" | "uploading":
            return "upload"
        case "uploaded":
            return "create"
        case "submitting" | "unknown":
            found_none: Step = "give_up" if is_left else "wait_for_user"
            return found_none if was_looked_for else "look_for_batch"
        case "submitted" | "cancelling":
            return "poll"
        case "ended":
            return "collect"
        case "verified" | "failed" | "given_up" | "split":
            return "rest"
        case _:
            assert_never(part.state)


def is_final(status: str | None) -> bool:
    """Whether a batch with this status stays as it is; one never heard of does not."""
    return (status or "").lower() in TERMINAL_BATCH_STATUSES


def is_overdue(part: Part, now: datetime) -> bool:
    """Whether the time of a part's batch is over, and the provider does not say that it has ended."""
    is_live = part.state in {"submitted", "cancelling"} and not is_final(part.batch_status)
    return is_live and part.expires_at is not None and part.expires_at < now.timestamp()


def is_stuck(part: Part, now: datetime) -> bool:
    """Whether a part that was looked at just now may never move on by itself, so that the user may leave it."""
    return part.state in {"submitting", "unknown", "ended"} or is_overdue(part, now)


def stuck_parts(job: Job, now: datetime) -> list[Part]:
    """Return the parts of a job that may never move on by themselves; one that was cancelled waits for no batch."""
    if job.submitted_at is None or job.ended_at is not None:
        return []
    live = LIVE_STATES if job.cancelled_at else ()
    return [part for part in job.running_parts if part.state in live or is_stuck(part, now)]


def unending_parts(job: Job, now: datetime) -> set[int]:
    """Return the numbers of the parts whose results cannot be had now, or whose cancelled batch does not end."""
    return {
        part.number
        for part in job.running_parts
        if part.state == "ended" or (part.state == "cancelling" and is_overdue(part, now))
    }


def overdue(part: Part, now: datetime) -> Problem:
    """Say since when the time of a part's batch is over."""
    past = int(now.timestamp()) - (part.expires_at or 0)
    ago = f"{past // 3_600:,} h" if past >= 3_600 else f"{max(1, past // 60)} min"
    words = f"its time ended {ago} ago, and the provider still calls it {part.batch_status}. {LEAVING}"
    return Problem.found("overdue", words)


def made_by(batches: Iterable[ListedBatch], *, nonce: str, file_id: str) -> list[str]:
    """Find the batches that an attempt made, the oldest first: by its nonce, or by the input file that only it used.

    *batches* come newest first, as a provider lists them.
    """
    found = [
        batch
        for batch in batches
        if (batch.metadata or {}).get(NONCE_KEY) == nonce or (file_id and batch.input_file_id == file_id)
    ]
    # Of several of one second the last in the list is the oldest.
    oldest_first = found[::-1]
    return [batch.id for batch in sorted(oldest_first, key=lambda batch: batch.created_at or 0)]


def is_over_enqueued_limit(status: str | None, errors: Sequence[LineError], *, has_results: bool) -> bool:
    """Whether a batch was refused whole since too much is enqueued: it ran nothing, and may be made again."""
    return (
        (status or "").lower() == "failed"
        and not has_results
        and bool(errors)
        and all(error.code == "token_limit_exceeded" or "nqueued" in error.message for error in errors)
    )


def enqueued_limit(errors: Sequence[LineError]) -> int | None:
    """Read the limit from the provider's words, `Limit: 900,000 enqueued tokens`."""
    for error in errors:
        if found := _LIMIT.search(error.message):
            return int(re.sub(r"\D", "", found[1]))
    return None


def describe_faults(faults: Sequence[ToldFault]) -> str:
    """Say why a provider refused a batch whole, line by line."""
    said = [f"{f'line {each.line}: ' if each.line else ''}{each.code}: {each.message}" for each in faults[:MAX_FAULTS]]
    more = f"; and {len(faults) - MAX_FAULTS:,} more" if len(faults) > MAX_FAULTS else ""
    return f"The provider says why it failed: {'; '.join(said)}{more}."


def piece_load(limit: int) -> int:
    """Return how large a part should be under an enqueued limit: two fit, even if the provider counts a bit more."""
    return max(1, limit * 9 // 20)


def without_batch(part: Part) -> Part:
    """Return a part as it was before its file was uploaded."""
    fresh = replace(part, state="built", batch_id=None, batch_status=None, file_id=None, file_created_at=None)
    return replace(fresh, completed=0, failed=0, problem=None, errors=())
