"""What comes next for a part: nothing is sent twice, and nothing is left lying."""

from dataclasses import dataclass

import pytest

from batchwright.model import Part, PartState
from batchwright.recovery import NONCE_KEY, Step, adopted, is_final, next_step


@dataclass
class Batch:
    """A provider's batch, as far as it is looked at."""

    id: str
    input_file_id: str = "file-other"
    metadata: dict[str, str] | None = None


def part(state: PartState) -> Part:
    """Give a part in *state*."""
    return Part("job", 1, state, sha256="", size_bytes=1, requests=1)


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("built", "upload"),
        ("uploading", "upload"),
        ("uploaded", "create"),
        ("submitting", "look_for_batch"),
        ("unknown", "look_for_batch"),
        ("submitted", "poll"),
        ("cancelling", "poll"),
        ("ended", "collect"),
        ("verified", "rest"),
        ("failed", "rest"),
    ],
)
def test_every_state_has_its_next_step(state: PartState, step: Step) -> None:
    """A part in a state without a step would stand still for ever."""
    assert next_step(part(state)) == step


@pytest.mark.parametrize("state", ["submitting", "unknown"])
def test_a_batch_that_was_looked_for_in_vain_waits_for_the_user(state: PartState) -> None:
    """It may exist all the same: sending again by itself could be paid twice."""
    assert next_step(part(state), was_looked_for=True) == "wait_for_user"


@pytest.mark.parametrize("state", ["built", "uploaded", "submitted", "ended", "verified"])
def test_having_looked_changes_nothing_for_a_part_that_is_known(state: PartState) -> None:
    """A batch that was found goes on at once, in the same pass."""
    assert next_step(part(state), was_looked_for=True) == next_step(part(state))


@pytest.mark.parametrize("status", ["completed", "failed", "expired", "cancelled", "COMPLETED", "Expired"])
def test_a_batch_at_its_end_stays_as_it_is(status: str) -> None:
    """Some services write statuses in capitals."""
    assert is_final(status)


@pytest.mark.parametrize("status", ["validating", "in_progress", "finalizing", "cancelling", "PROGRESS", "", None])
def test_an_unfinished_or_unheard_of_status_is_not_final(status: str | None) -> None:
    """Taking it for the end would throw away results that are still being made."""
    assert not is_final(status)


def test_a_batch_is_adopted_by_the_nonce_of_its_attempt() -> None:
    """The nonce was committed before the request was sent, so it alone proves whose batch it is."""
    batches = [Batch("other", metadata={NONCE_KEY: "n0"}), Batch("ours", metadata={"x": "y", NONCE_KEY: "n1"})]

    assert adopted(batches, nonce="n1", file_id="file-ours") == "ours"


def test_a_batch_is_adopted_by_the_file_that_only_it_used() -> None:
    """Some services drop metadata; each part is uploaded as a file of its own."""
    batches = [Batch("other"), Batch("ours", input_file_id="file-ours")]

    assert adopted(batches, nonce="n1", file_id="file-ours") == "ours"


def test_a_batch_of_someone_else_is_not_adopted() -> None:
    """Its results would be taken for answers to this job's rows."""
    batches = [Batch("bare"), Batch("tagged", metadata={NONCE_KEY: "n0"}), Batch("named", metadata={"other": "n1"})]

    assert adopted(batches, nonce="n1", file_id="file-ours") is None
