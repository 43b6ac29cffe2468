"""What to do next for a part, from what the journal says and what the provider shows. Pure: decides, does nothing."""

from collections.abc import Iterable
from typing import Literal, Protocol, assert_never

from batchwright.model import TERMINAL_BATCH_STATUSES, Part

Step = Literal["upload", "create", "look_for_batch", "poll", "collect", "wait_for_user", "rest"]

NONCE_KEY = "batchwright_nonce"
"""The key of a batch's metadata that holds the nonce of the attempt that made it."""


class ListedBatch(Protocol):
    """What is looked at of a provider's batch."""

    id: str
    input_file_id: str
    metadata: dict[str, str] | None


def next_step(part: Part, *, was_looked_for: bool = False) -> Step:
    """Say what moves *part* on, given that no one else is working on it.

    A part found `submitting` was left there by a process that died: its batch may exist, so it is looked for first.
    """
    match part.state:
        case "built" | "uploading":
            return "upload"
        case "uploaded":
            return "create"
        case "submitting" | "unknown":
            return "wait_for_user" if was_looked_for else "look_for_batch"
        case "submitted" | "cancelling":
            return "poll"
        case "ended":
            return "collect"
        case "verified" | "failed":
            return "rest"
        case _:
            assert_never(part.state)


def is_final(status: str | None) -> bool:
    """Whether a batch with this status stays as it is; one never heard of does not."""
    return (status or "").lower() in TERMINAL_BATCH_STATUSES


def adopted(batches: Iterable[ListedBatch], *, nonce: str, file_id: str) -> str | None:
    """Find the id of the batch that an attempt made: by its nonce, or by the input file that only it used."""
    for batch in batches:
        if (batch.metadata or {}).get(NONCE_KEY) == nonce or batch.input_file_id == file_id:
            return batch.id
    return None
