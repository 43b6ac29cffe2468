"""What batches and their faults say: nothing is sent twice, and nothing of a stranger is taken."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.model import LineError, Part, PartState
from batchwright.core.provenance import JOB_KEY, NONCE_KEY, job_of_batch, job_of_upload, upload_name
from batchwright.jobs.recovery import (
    enqueued_limit,
    is_final,
    is_over_enqueued_limit,
    made_by,
    piece_load,
)

OVER = LineError("token_limit_exceeded", "Enqueued token limit reached for m. Limit: 900,000 enqueued tokens.")
"""What OpenAI says of a batch that is too much for now."""


@dataclass
class Batch:
    """A provider's batch, as far as it is looked at."""

    id: str
    input_file_id: str = "file-other"
    created_at: int = 0
    metadata: dict[str, str] | None = None


def part(state: PartState) -> Part:
    """Give a part in *state*."""
    return Part("job", 1, state, sha256="", size_bytes=1, requests=1)


@pytest.mark.parametrize("status", ["completed", "failed", "expired", "cancelled", "COMPLETED", "Expired"])
def test_a_batch_at_its_end_stays_as_it_is(status: str) -> None:
    """Some services write statuses in capitals."""
    assert is_final(status)


@pytest.mark.parametrize("status", ["validating", "in_progress", "finalizing", "cancelling", "PROGRESS", "", None])
def test_an_unfinished_or_unheard_of_status_is_not_final(status: str | None) -> None:
    """Taking it for the end would throw away results that are still being made."""
    assert not is_final(status)


def test_a_batch_is_found_by_the_nonce_of_its_attempt() -> None:
    """The nonce was committed before the request was sent, so it alone proves whose batch it is."""
    batches = [Batch("other", metadata={NONCE_KEY: "n0"}), Batch("ours", metadata={"x": "y", NONCE_KEY: "n1"})]

    assert made_by(batches, nonce="n1", file_id="file-ours") == ["ours"]


def test_a_batch_is_found_by_the_file_that_only_it_used() -> None:
    """Some services drop metadata; each part is uploaded as a file of its own."""
    batches = [Batch("other"), Batch("ours", input_file_id="file-ours")]

    assert made_by(batches, nonce="n1", file_id="file-ours") == ["ours"]


def test_a_batch_of_someone_else_is_not_taken() -> None:
    """Its results would be taken for answers to this job's rows."""
    batches = [Batch("bare"), Batch("tagged", metadata={NONCE_KEY: "n0"}), Batch("named", metadata={"other": "n1"})]

    assert made_by(batches, nonce="n1", file_id="file-ours") == []


def test_an_attempt_without_a_file_matches_no_batch_without_one() -> None:
    """Some services leave the file's id out of a list: nothing equal to nothing proves nothing."""
    assert made_by([Batch("bare", input_file_id="")], nonce="n1", file_id="") == []


def test_of_several_batches_the_oldest_comes_first() -> None:
    """It is the one to keep, however the provider sorts its list; the others are cancelled."""
    mine = {NONCE_KEY: "n1"}
    batches = [Batch("newest", created_at=30, metadata=mine), Batch("oldest", created_at=10, metadata=mine)]
    batches += [Batch("other", created_at=5), Batch("middle", "file-ours", created_at=20)]

    assert made_by(batches, nonce="n1", file_id="file-ours") == ["oldest", "middle", "newest"]


def test_of_several_batches_of_one_second_the_last_in_the_list_is_the_oldest() -> None:
    """Providers count whole seconds and list the newest first; two processes must not each keep another one."""
    batches = [Batch(name, created_at=10, metadata={NONCE_KEY: "n1"}) for name in ("third", "second", "first")]

    assert made_by(batches, nonce="n1", file_id="file-ours") == ["first", "second", "third"]


@pytest.mark.parametrize(
    "error",
    [
        OVER,
        LineError("token_limit_exceeded", "Too much for now."),
        LineError("unknown", "The enqueued token limit is reached."),
        LineError("unknown", "Enqueued token limit reached for m in organization org-a."),
    ],
    ids=["OpenAI's", "by its code", "by its words", "at the start of a sentence"],
)
@pytest.mark.parametrize("status", ["failed", "FAILED"])
def test_a_batch_that_was_refused_for_the_enqueued_limit_may_be_made_again(status: str, error: LineError) -> None:
    """It ran nothing, so nothing is paid twice; services write codes and statuses in ways of their own."""
    assert is_over_enqueued_limit(replace(part("submitted"), batch_status=status, errors=(error,)))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"batch_status": "completed"}, id="not failed"),
        pytest.param({"batch_status": "expired"}, id="ran for a day"),
        pytest.param({"batch_status": None}, id="no status"),
        pytest.param({"output_file_id": "file-1"}, id="has results"),
        pytest.param({"completed": 1}, id="counts results"),
        pytest.param({"errors": ()}, id="no reason"),
        pytest.param({"errors": (LineError("invalid_json_line", "Line 1 is not JSON."),)}, id="another reason"),
        pytest.param({"errors": (OVER, LineError("invalid_json_line", "Line 1."))}, id="one more reason"),
    ],
)
def test_a_batch_that_may_have_run_or_would_fail_again_is_not_made_again(fields: dict[str, Any]) -> None:
    """In doubt nothing is sent a second time."""
    refused = replace(part("submitted"), batch_status="failed", errors=(OVER,))

    assert is_over_enqueued_limit(refused)
    assert not is_over_enqueued_limit(replace(refused, **fields))


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("Enqueued token limit reached for m in organization org-1. Limit: 900,000 enqueued tokens.", 900_000),
        ("Limit: 90000 enqueued tokens. Please try again once some in_progress batches have been completed.", 90_000),
        ("Limit:2,000,000", 2_000_000),
        ("Limit: 1 500 000 enqueued tokens", 1_500_000),
        ("Limit: 20.000.000 enqueued tokens", 20_000_000),
        ("Limit: 1_000_000.", 1_000_000),
        ("Limit: 5", 5),
    ],
)
def test_the_enqueued_limit_is_read_from_the_providers_words(words: str, limit: int) -> None:
    """It depends on the account, and no call tells it."""
    assert enqueued_limit([LineError("other", "no number"), LineError("token_limit_exceeded", words)]) == limit


def test_words_without_a_limit_teach_none() -> None:
    """A number that is made up would split parts for nothing."""
    errors = [LineError("a", "Limit reached for m in organization org-123."), LineError("b", "Limit: none")]

    assert enqueued_limit(errors) is None
    assert enqueued_limit([]) is None


@given(limit=st.integers(1, 10**9))
def test_two_pieces_fit_under_the_limit_with_room_for_another_way_of_counting(limit: int) -> None:
    """While one is answered the next already waits; and the provider counts a few tokens more than is counted here."""
    piece = piece_load(limit)

    assert piece == 1 or 20 * piece <= 9 * limit
    assert 9 * limit < 20 * (piece + 1)


@given(number=st.integers(1, 99_999), attempts=st.integers(0, 99))
def test_a_file_at_the_provider_names_its_job(number: int, attempts: int) -> None:
    """One that an upload left behind is known again, also when the journal is not."""
    uploaded = replace(part("built"), job_id="job_k3x9ab2z", number=number)

    assert job_of_upload(upload_name(uploaded, attempts)) == "job_k3x9ab2z"


def test_each_attempt_that_needs_a_new_file_has_a_name_of_its_own() -> None:
    """A file of an attempt that may have made a batch must not be taken for that of the next one."""
    uploaded = replace(part("built"), job_id="job_k3x9ab2z")
    names = [upload_name(uploaded, 0), upload_name(uploaded, 1), upload_name(replace(uploaded, number=12), 0)]

    assert names == [
        "job_k3x9ab2z-part-0001-0.jsonl",
        "job_k3x9ab2z-part-0001-1.jsonl",
        "job_k3x9ab2z-part-0012-0.jsonl",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "part-0001.jsonl",
        "job_k3x9ab2z.jsonl",
        "job_k3x9ab2z-part-1-0.jsonl",
        "job_k3x9ab2z-part-0001.jsonl",
        "JOB_K3X9AB2Z-part-0001-0.jsonl",
        "my job_k3x9ab2z-part-0001-0.jsonl",
        "job_k3x9ab2z-part-0001-0.jsonl.bak",
        "job_k3x9ab2z-part-0001-0.jsonl\n",
    ],
)
def test_a_file_of_someone_else_belongs_to_no_job(name: str) -> None:
    """What belongs to a job may be deleted with it."""
    assert job_of_upload(name) is None


@pytest.mark.parametrize(
    "named",
    [
        *("", "..", "/home/ann/thesis", "../../thesis", "job_k3x9ab2z/..", "job_k3x9ab2z\n", "JOB_K3X9AB2Z"),
        *("job_", "job_k3x9ab2zz", "C:\\\\Users", "job_k3x9ab2\u00e9"),
    ],
)
def test_what_a_stranger_wrote_into_a_batch_names_no_job(named: str) -> None:
    """A job's id is the name of a folder, which is written to, and removed with all that is in it."""
    assert job_of_batch({JOB_KEY: named}) is None
    assert job_of_batch({JOB_KEY: "job_k3x9ab2z"}) == "job_k3x9ab2z"
    assert job_of_batch(None) is None
