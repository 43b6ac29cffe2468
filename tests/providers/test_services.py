"""What is known of the services, and how their batches and files are read."""

from typing import Any

import pytest
from openai.types import Batch, FileObject

from batchwright.providers.services import OPENAI, SERVICES, UNKNOWN_TIME, normal_batch, normal_file, service_of


def test_what_a_service_allows_is_known_by_its_host() -> None:
    """Limits are data; a host that is not known is taken to be like OpenAI, and no name may pass for another's."""
    assert service_of("https://res.openai.azure.com/openai/v1/").limits.max_requests == 100_000
    assert service_of("https://api.groq.com/openai/v1").limits.max_bytes == 100_000_000
    assert service_of("https://api.groq.com.evil.example/v1") is OPENAI
    assert service_of("https://evilapi.groq.com/v1") is OPENAI
    assert service_of("https://openai.azure.com/v1") is OPENAI


def test_no_service_is_given_more_in_a_file_than_openai_takes() -> None:
    """A part is built for it, and every other limit of the program is made for that size."""
    assert max(service.limits.max_bytes for service in SERVICES) == OPENAI.limits.max_bytes


def test_what_is_sent_where_nothing_else_is_known_is_what_openai_documents() -> None:
    """Most services are like it."""
    assert (OPENAI.completion_window, OPENAI.endpoint_names, OPENAI.processes_files) == ("24h", {}, False)


def batch(**fields: Any) -> Batch:
    """Give a batch as the SDK reads it, and the program shows it."""
    given: dict[str, Any] = {"id": "b", "status": "completed", "created_at": 1, "input_file_id": "f"} | fields
    return normal_batch(Batch.construct(**given), lambda text: text.replace("sk-1", "[key]"))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("COMPLETED", "completed"),
        ("Validating", "validating"),
        ("PROGRESS", "in_progress"),
        ("canceled", "cancelled"),
        ("in_queue", "in_queue"),
        (None, ""),
    ],
)
def test_a_status_is_shown_in_openai_s_words(given: str | None, shown: str) -> None:
    """A batch that has ended, and does not seem so, would be asked for to the end of days."""
    assert batch(status=given).status == shown


@pytest.mark.parametrize(
    ("errors", "read"),
    [
        (None, None),
        ("", None),
        ([], None),
        ("Bad line, sk-1", [("unknown", "Bad line, [key]", None)]),
        (["one", "two"], [("unknown", "one", None), ("unknown", "two", None)]),
        ([{"code": "c", "message": "m", "line": 4}], [("c", "m", 4)]),
        ({"data": [{"code": "c", "message": "sk-1", "line": None}], "object": "list"}, [("c", "[key]", None)]),
        ({"code": "c", "message": "m"}, [("c", "m", None)]),
        ({"data": []}, []),
        ([None, 7], [("unknown", None, None), ("unknown", None, None)]),
    ],
)
def test_errors_of_any_shape_are_a_list(errors: Any, read: list[Any] | None) -> None:
    """What is wrong with a batch is the first thing that its user wants to know."""
    shown = batch(errors=errors).errors

    assert (shown and [(e.code, e.message, e.line) for e in shown.data or ()]) == read


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (1722476583, 1722476583),
        ("1722476583", 1722476583),
        (1722476583.5, 1722476583),
        ("2024-07-19T17:13:57.2491382+00:00", 1721409237),
        ("2024-07-19T17:13:57Z", 1721409237),
        ("2024-07-19T17:13:57", 1721409237),
    ],
)
def test_a_time_is_read_as_seconds(given: Any, seconds: int) -> None:
    """Azure and Novita write texts; batches are looked for by their age."""
    assert batch(created_at=given).created_at == seconds


@pytest.mark.parametrize("given", [None, "yesterday", {}, "9" * 5000, 10**15, -5])
def test_a_time_that_cannot_be_read_is_not_known(given: Any) -> None:
    """A search that goes back in time must not end at a batch whose age nobody knows, nor begin at such a file."""
    assert batch(created_at=given).created_at == UNKNOWN_TIME


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"expires_at": 1722480000, "completion_window": "1h"}, 1722480000),
        ({"completion_window": "24h"}, 1722476583 + 86_400),
        ({"completion_window": "24h0m0s"}, 1722476583 + 86_400),
        ({"completion_window": "14d"}, 1722476583 + 14 * 86_400),
        ({"completion_window": "background"}, None),
        ({"completion_window": None}, None),
    ],
)
def test_the_end_of_a_batch_s_time_is_told_or_follows_from_its_window(
    given: dict[str, Any], seconds: int | None
) -> None:
    """A batch that goes on beyond it may never end."""
    assert batch(created_at=1722476583, **given).expires_at == seconds


def test_what_is_empty_is_absent() -> None:
    """An empty id would be asked for, and metadata of another shape would be looked into."""
    shown = batch(output_file_id="", error_file_id="", metadata="")

    assert (shown.output_file_id, shown.error_file_id, shown.metadata) == (None, None, None)


def test_a_file_that_lacks_fields_can_be_shown() -> None:
    """The list of files is sorted by time, and shows names and sizes."""
    shown = normal_file(FileObject.construct(id="f", bytes=None, filename=None, created_at="2024-07-19T17:13:57Z"))

    assert (shown.bytes, shown.filename, shown.created_at) == (0, "", 1721409237)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"total": 5, "completed": 3, "failed": 2}, {"total": 5, "completed": 3, "failed": 2}),
        ({"total": "5", "completed": 3.0, "failed": None}, {"total": 5, "completed": 3}),
        ({"total": -1, "completed": [1], "failed": 2**70}, {}),
        ("5/5", {}),
        ([5], {}),
        (None, {}),
    ],
)
def test_counts_of_another_shape_are_not_told(given: Any, read: dict[str, int]) -> None:
    """They are added up and kept in the journal, which takes only whole numbers."""
    counts = batch(request_counts=given).request_counts

    told = {name: getattr(counts, name) for name in counts.model_fields_set} if counts else {}
    assert told == read


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"input_tokens": 7, "output_tokens": "8", "total_tokens": 15}, (7, 8)),
        ({"input_tokens": 7}, (7, None)),
        ([{"input_tokens": 7}], None),
        ("none", None),
        ({"input_tokens": float("nan"), "output_tokens": -3}, None),
    ],
)
def test_tokens_of_another_shape_are_not_told(given: Any, read: tuple[int, int | None] | None) -> None:
    """What is not known counts with all that was agreed; what cannot be read must not stand for something else."""
    usage = batch(usage=given).usage

    assert (usage and (usage.input_tokens, usage.output_tokens)) == read


def test_texts_of_a_service_are_masked_and_whole() -> None:
    """A note of its own stands in the answer to the assistant; half a character fits into no file."""
    shown = batch(note="Paid with sk-1", errors=[{"code": "c\ud83d", "message": "m", "param": "p\ud83d"}])
    other = batch(note={"text": "sk-1"}, metadata={"a": 1, "b": None}, output_file_id=7, error_file_id=["f"])
    errors = (shown.errors and shown.errors.data) or []

    assert (shown.model_extra or {})["note"] == "Paid with [key]"
    assert [(error.code, error.param) for error in errors] == [("c?", "p?")]
    assert ((other.model_extra or {})["note"], other.metadata) == (None, {"a": "1"})
    assert (other.output_file_id, other.error_file_id) == ("7", None)
