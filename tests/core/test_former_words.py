"""The words of the versions before: whatever they wrote, it has the cause that it had then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.former_words import former_note, former_problem
from batchwright.core.model import OUTCOMES, Outcome
from batchwright.core.problem import HoldCode
from batchwright.results.causes.catalogue import CAUSES, cause_of

ROWS: tuple[tuple[Outcome, str, str], ...] = (
    ("cut_short", "the answer reached the token limit", "cut_short"),
    ("cut_short", "the answer reached the token limit before any text", "no_room_for_text"),
    ("expired", "the batch's time was over before this row's turn", "expired"),
    ("never_ran", "the batch was cancelled before this row's turn", "cancelled"),
    ("never_ran", "the job was cancelled before this row's turn", "cancelled"),
    ("never_ran", "what was agreed was used up before this row's turn", "budget_used_up"),
    ("never_ran", "its batch failed", "never_ran"),
    ("never_ran", "it waits until earlier batches have ended: about 500 tokens may be enqueued at a time", "never_ran"),
    ("refused", "stopped by the provider's content filter", "filtered"),
    ("refused", "I can't help: it is against the usage policies and the content filter.", "refused"),
    ("refused", "its batch failed (results are lost)", "refused"),
    ("not_fitting", "the answer is not JSON", "not_json"),
    ("not_fitting", 'label: "c" is not one of "a" or "b"', "not_fitting"),
    ("failed", "the answer is empty", "empty"),
    ("failed", "the answer is not one of /v1/chat/completions", "odd_answer"),
    ("failed", "the answer has no vector for this row", "odd_answer"),
    ("failed", "neither an answer nor an error", "odd_answer"),
    ("failed", "the provider has no result for this row", "lost"),
    ("failed", "its output file file-1 is gone at the provider: these results are lost", "lost"),
    ("failed", "1 results come a second time; part-0001.members.jsonl is gone: so they are left out", "lost"),
    ("unconfirmed", "its output file file-1 is gone at the provider: these results are lost", "unconfirmed"),
    ("unconfirmed", "the provider counts 2 answers and gave 1: this row's may be among the lost", "unconfirmed"),
    ("unconfirmed", "it was given up: whether its batch was made was never confirmed", "given_up"),
    ("unconfirmed", "its batch batch_1 was given up while it was in_progress", "given_up"),
    ("unconfirmed", "answer_lost: No answer came, each of the 2 times that it was sent.", "answer_lost"),
    ("unconfirmed", "answer_unreadable: The line has 900,000,000 bytes.", "answer_unreadable"),
    ("never_ran", "its batch failed (HTTP 400: Invalid endpoint: /v1/responses.)", "no_such_batches"),
    ("never_ran", "its batch failed (it is gone at the provider: No such Batch object: batch_1)", "gone"),
    ("never_ran", "no batch of it was found when its journal was made anew", "gone"),
    (
        "never_ran",
        "its batch failed (part-0001.jsonl is not as it was checked: it was changed on disk, so it was not sent)",
        "changed_here",
    ),
    (
        "never_ran",
        "its batch failed (its one request is larger than what the provider lets be enqueued: 5)",
        "over_the_rate",
    ),
    ("never_ran", "its batch failed (The API key is not valid. Set the right one.)", "wrong_key"),
    (
        "never_ran",
        "its batch failed (The account has used up its quota; nothing was sent again. Add credit.)",
        "no_credit",
    ),
    ("never_ran", "its batch failed (it was refused 8 times, and given up: Rate limit reached.)", "rate_limit"),
    ("never_ran", "its batch failed (Not found. Check the base URL.)", "wrong_address"),
    ("never_ran", "its batch failed (token_limit_exceeded: Limit: 900,000 enqueued tokens.)", "enqueued_limit"),
    ("never_ran", "its batch failed (mismatched_model: The model 'X' does not match.)", "several_models"),
    (
        "never_ran",
        "its batch failed (endpoint_refused: It refused with HTTP 401 (code invalid_api_key): No)",
        "wrong_key",
    ),
    ("never_ran", "model_not_found: The provided model 'X' is not supported by the Batch API.", "unknown_model"),
    ("failed", "HTTP 400 (code context_length_exceeded, param messages): Too long.", "too_long"),
    ("failed", "HTTP 400 (code unsupported_value, param text.verbosity): No.", "bad_parameter"),
    ("failed", "HTTP 429 (code insufficient_quota): Quota", "no_credit"),
    ("failed", "HTTP 503: oops", "server_error"),
    ("failed", "request_timeout: The request was not answered within 600 seconds.", "timed_out"),
    ("failed", "connection_lost: The connection was lost each of the 5 times.", "connection_lost"),
    ("failed", "Sorry: no.", "unknown"),
)
NOTES: tuple[tuple[str, HoldCode], ...] = (
    ("it is not confirmed whether its batch was made; nothing was sent again", "not_confirmed"),
    ("it waits until earlier batches have ended: the provider lets no more be enqueued now", "waits"),
    ('Two. Nothing is submitted until the user agrees: then pass user_says="go_on".', "frozen"),
    ("it could not be cancelled: No.", "not_cancelled"),
    ("its time ended 3 h ago, and the provider still calls it in_progress. It is", "overdue"),
    ("the provider does not show batch batch_1 (No such batch): start the server", "not_shown"),
    ("2 requests have no result", "not_whole"),
    ("its run broke off (disk full) and is tried again", "broken_off"),
)


@pytest.mark.parametrize(("outcome", "words", "name"), ROWS)
def test_a_row_of_the_version_before_keeps_its_cause(outcome: Outcome, words: str, name: str) -> None:
    """Its results are read for as long as its folder is there."""
    problem = former_problem(outcome, words)

    assert (cause_of(outcome, problem).name, problem.words) == (name, words)


@pytest.mark.parametrize(("words", "code"), NOTES)
def test_a_part_of_the_version_before_is_known_for_what_it_waits(words: str, code: HoldCode) -> None:
    """What only the user may decide must not be forgotten by an upgrade."""
    problem = former_note(words)

    assert (problem.code, problem.words, problem.speaker) == (code, words, "check")


@given(outcome=st.sampled_from(OUTCOMES), words=st.text(max_size=200))
def test_whatever_was_written_is_kept_word_for_word(outcome: Outcome, words: str) -> None:
    """What is not understood is still to be read by the user."""
    problem = former_problem(outcome, words)

    assert problem.words == words
    assert former_note(words).words == words
    assert cause_of(outcome, problem) in CAUSES
