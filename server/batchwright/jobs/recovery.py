"""What to do next for each part, from what the journal says and the provider shows. Pure: decides, does nothing."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, Protocol, assert_never

from batchwright.core.model import LIVE_STATES, TERMINAL_BATCH_STATUSES, Job, LineError, Part
from batchwright.core.problem import Problem
from batchwright.core.provenance import NONCE_KEY

Action = Literal[
    "leave_out",
    "split",
    "upload",
    "create",
    "look_for_batch",
    "give_up",
    "poll",
    "cancel",
    "record",
    "take_back",
    "end",
    "collect",
    "pause",
    "wait_for_room",
    "wait_for_user",
    "rest",
]
"""What moves a part on. `leave_out`: never submit it; `record`: write down what its live batch shows; `take_back`: its
batch was refused whole, and may be made again later; `end`: its batch is over; `rest`: nothing more in this pass."""

WAITING: frozenset[Action] = frozenset({"pause", "wait_for_room", "wait_for_user", "rest"})
"""With these, a part stays as it is."""

LEAVING = (
    'Every check tries again. The user may give it up with submit_job, user_says="give_up": its rows are then '
    "unconfirmed, and count as paid."
)
"""How the user leaves what may never finish."""

_LIMIT = re.compile(r"Limit:\s*([\d,._ ]*\d)")


class ListedBatch(Protocol):
    """What identifies a provider's batch."""

    id: str
    input_file_id: str
    created_at: int
    metadata: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a pass over a job has learned about one part since the part last changed its state.

    Attributes:
        part: With what its batch shows; None: the batch has not been polled.
        has_no_batch: The provider lists no batch of the part's open attempt.
        is_quiet: The attempt is so old that its batch is hardly to be expected any more.
        is_done: Nothing more can be done for the part in this pass.
    """

    part: Part | None = None
    has_no_batch: bool = False
    is_quiet: bool = False
    is_done: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """How much may be sent now.

    Attributes:
        limit: Of what may be enqueued at a time, as `Part.load` counts it; None: not known.
        enqueued: What all live batches of the model take of it.
        paused: Numbers of the parts that rest after the provider refused them for now.
    """

    limit: int | None = None
    enqueued: int = 0
    paused: frozenset[int] = frozenset()


def next_actions(job: Job, shown: Mapping[int, Shown], room: Room) -> list[tuple[Part, Action]]:
    """Decide what to do for each running part of *job*, given that no one else works on the job.

    Parts with a batch come first, since others may follow when they end. What is sent first takes its share of the
    room. A part found `submitting` was left so by a process that died: its batch may exist, so it is looked for first.
    """
    actions: list[tuple[Part, Action]] = []
    for part in sorted(job.running_parts, key=lambda part: part.state not in {*LIVE_STATES, "ended"}):
        known = shown.get(part.number, Shown())
        action = "rest" if known.is_done else _next_action(job, part, known, room)
        if action in {"upload", "create"}:
            room = replace(room, enqueued=room.enqueued + part.load)
        actions.append((part, action))
    return actions


def _next_action(job: Job, part: Part, shown: Shown, room: Room) -> Action:
    match part.state:
        case "built" | "uploading" | "uploaded":
            return _next_of_unsent(job, part, room)
        case "submitting" | "unknown":
            if not shown.has_no_batch:
                return "look_for_batch"
            return "give_up" if job.cancelled_at is not None and shown.is_quiet else "wait_for_user"
        case "submitted" | "cancelling":
            return _next_of_batch(job, part, shown.part)
        case "ended":
            return "collect"
        case "verified" | "failed" | "given_up" | "split":
            return "rest"
        case _:
            assert_never(part.state)


def _next_of_unsent(job: Job, part: Part, room: Room) -> Action:
    if job.cancelled_at is not None:
        return "leave_out"
    if part.number in room.paused:
        return "pause"
    if room.limit is not None and part.load <= room.limit < room.enqueued + part.load:
        return "wait_for_room"
    if part.state == "uploaded":
        return "create"
    return "split" if is_too_large(job, part, room.limit) else "upload"


def _next_of_batch(job: Job, part: Part, seen: Part | None) -> Action:
    if seen is None:
        return "poll"
    if not is_final(seen.batch_status):
        return "cancel" if job.cancelled_at is not None and part.state != "cancelling" else "record"
    # What another journal submitted was agreed to there: nobody here has agreed to send it again.
    is_ours = job.agreed_usd is not None or job.provider.charges == "nothing"
    return "take_back" if is_ours and is_over_enqueued_limit(seen) else "end"


def is_single(job: Job, part: Part) -> bool:
    """Whether no smaller part can take the part's place."""
    return part.requests == 1 and (job.recipe.inputs_per_request == 1 or part.load <= 1)


def is_too_large(job: Job, part: Part, limit: int | None) -> bool:
    """Whether the part can never be enqueued under *limit*, and smaller ones could."""
    return limit is not None and part.load > limit and not is_single(job, part)


def is_final(status: str | None) -> bool:
    """Whether a batch with this status never changes; an unknown status is not final."""
    return (status or "").lower() in TERMINAL_BATCH_STATUSES


def is_overdue(part: Part, now: datetime) -> bool:
    """Whether the time of a part's batch is over although the provider does not say that it finished."""
    is_live = part.state in {"submitted", "cancelling"} and not is_final(part.batch_status)
    return is_live and part.expires_at is not None and part.expires_at < now.timestamp()


def stuck_parts(job: Job, now: datetime) -> list[Part]:
    """Return the parts that may never finish by themselves, so that the user may give them up.

    A cancelled job waits for no batch.
    """
    if job.submitted_at is None or job.ended_at is not None:
        return []
    stuck = {"submitting", "unknown", "ended", *(LIVE_STATES if job.cancelled_at else ())}
    return [part for part in job.running_parts if part.state in stuck or is_overdue(part, now)]


def unending_parts(job: Job, now: datetime) -> list[Part]:
    """Return the parts whose results cannot be fetched now, or whose cancelled batch never ends."""
    parts = job.running_parts
    return [each for each in parts if each.state == "ended" or (each.state == "cancelling" and is_overdue(each, now))]


def overdue(part: Part, now: datetime) -> Problem:
    """Say how long ago the time of a part's batch was over."""
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
    # Of several from the same second, the last in the list is the oldest.
    oldest_first = found[::-1]
    return [batch.id for batch in sorted(oldest_first, key=lambda batch: batch.created_at or 0)]


def is_over_enqueued_limit(part: Part) -> bool:
    """Whether the part's batch was refused whole because too much is enqueued: it ran nothing, so may be made again."""
    has_results = bool(part.output_file_id or part.completed)
    is_over = (error.code == "token_limit_exceeded" or "nqueued" in error.message for error in part.errors)
    return (part.batch_status or "").lower() == "failed" and not has_results and bool(part.errors) and all(is_over)


def enqueued_limit(errors: Sequence[LineError]) -> int | None:
    """Read the limit from the provider's words, `Limit: 900,000 enqueued tokens`."""
    for error in errors:
        if found := _LIMIT.search(error.message):
            return int(re.sub(r"\D", "", found[1]))
    return None


def piece_load(limit: int) -> int:
    """Return how large a part should be under an enqueued limit: two fit, even if the provider counts a bit more."""
    return max(1, limit * 9 // 20)
