"""What holds for all jobs: a freeze until the user's word, and what providers have let be known."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest

from batchwright.core.errors import SubmissionsFrozen
from batchwright.core.model import LIVE_STATES, Job, Part, PartState, ProviderInfo, Recipe, Source, SpendingLimits
from tests.support.journals import opened
from tests.support.values import OPENAI, START


def job(job_id: str, *states: PartState, provider: ProviderInfo = OPENAI) -> Job:
    """Give a draft with a part in each of *states*; the first has a load of 1, the next of 2, then 4, 8, ..."""
    return Job(
        id=job_id,
        created_at=START,
        source=Source("t.csv", "csv", ("text",), len(states)),
        recipe=Recipe("/v1/chat/completions", provider.model, "{{text}}"),
        provider=provider,
        parts=tuple(
            Part(job_id, number + 1, state, "", 1, 1, f"file-{job_id}-{number}", load=2**number)
            for number, state in enumerate(states)
        ),
    )


def test_nothing_is_submitted_while_there_is_a_freeze(tmp_path: Path) -> None:
    """Something happened that must not: what is agreed or sent now may be paid twice."""
    with opened(tmp_path / "journal.db") as journal:
        for job_id in ("job_a", "job_b"):
            journal.add_job(job(job_id, "uploaded"))
        journal.agree(journal.job("job_a"), {}, agreed_usd=None, limits=SpendingLimits())
        before = journal.job("job_a"), journal.job("job_b"), journal.events.of("job_a"), journal.events.of("job_b")
        journal.freezes.add("Two batches were found.")

        with pytest.raises(SubmissionsFrozen) as refused:
            journal.agree(journal.job("job_b"), {}, agreed_usd=None, limits=SpendingLimits())
        with pytest.raises(SubmissionsFrozen):
            journal.parts.open_attempt(before[0].parts[0], "nonce", share=None, limits=SpendingLimits())

        after = journal.job("job_a"), journal.job("job_b"), journal.events.of("job_a"), journal.events.of("job_b")
        assert after == before
        assert journal.attempts.open_nonce(before[0].parts[0]) is None
    assert str(refused.value) == (
        'Two batches were found. Nothing is submitted until the user agrees: then pass user_says="go_on".'
    )


def test_what_ran_before_a_freeze_comes_to_its_end(tmp_path: Path) -> None:
    """Paid answers are fetched, and what they cost is settled."""
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(job("job_a", "uploaded"))
        journal.agree(journal.job("job_a"), {1: Decimal(1)}, agreed_usd=Decimal(1), limits=SpendingLimits())
        part = journal.job("job_a").parts[0]
        submitting = journal.parts.open_attempt(part, "nonce", share=Decimal(1), limits=SpendingLimits())
        journal.freezes.add("Two batches were found.")

        created = replace(submitting, state="submitted", batch_id="batch-1")
        journal.parts.close_attempt(created, "created")
        journal.parts.save(replace(created, state="verified", cost_usd=Decimal("0.5")))
        journal.mark_ended("job_a", {"answered": 1}, tokens=(1, 1))

        assert journal.job("job_a").ended_at is not None
        assert journal.job("job_a").spent_usd == Decimal("0.5")


def test_a_freeze_holds_for_every_process_until_the_user_lifts_it(tmp_path: Path) -> None:
    """Also for one that is started later."""
    path = tmp_path / "journal.db"
    with opened(path) as one, opened(path) as other:
        one.freezes.refuse()
        one.freezes.add("The journal was lost.")
        with opened(path) as later:
            assert [each.freezes.reason() for each in (one, other, later)] == ["The journal was lost."] * 3

        other.freezes.lift()

        assert one.freezes.reason() is None
        one.freezes.refuse()


def test_the_users_word_lifts_all_that_is_there_and_nothing_that_comes_later(tmp_path: Path) -> None:
    """The user hears all reasons before they say yes; a new one is a new question."""
    with opened(tmp_path / "journal.db") as journal:
        journal.freezes.add("First.")
        journal.freezes.add("Second.")
        told = journal.freezes.reason()
        journal.freezes.lift()
        lifted = journal.freezes.reason()
        journal.freezes.lift()

        journal.freezes.add("Third.")

        assert (told, lifted, journal.freezes.reason()) == ("First. Second.", None, "Third.")


def test_a_limit_is_learned_for_a_model_at_a_host(tmp_path: Path) -> None:
    """Every account and every model has its own; the provider's last word counts."""
    path = tmp_path / "journal.db"
    elsewhere, larger = replace(OPENAI, host="other.example.com"), replace(OPENAI, model="gpt-5")
    with opened(path) as journal:
        nothing = journal.providers.enqueued_limit(OPENAI)
        journal.providers.learn_enqueued_limit(OPENAI, 900_000)
        journal.providers.learn_enqueued_limit(larger, 90_000)
        journal.providers.learn_enqueued_limit(OPENAI, 2_000_000)

    with opened(path) as journal:
        found = [journal.providers.enqueued_limit(provider) for provider in (OPENAI, larger, elsewhere)]

    assert nothing is None
    assert found == [2_000_000, 90_000, None]


def test_what_is_enqueued_is_what_has_or_may_have_a_batch_that_has_not_ended(tmp_path: Path) -> None:
    """A batch too many would be refused whole; limits are by account and model."""
    states = get_args(PartState)
    live = sum(2**number for number, state in enumerate(states) if state in LIVE_STATES)
    elsewhere, larger = replace(OPENAI, host="other.example.com"), replace(OPENAI, model='gpt-5 "x" 100%')
    with opened(tmp_path / "journal.db") as journal:
        empty = journal.providers.enqueued(OPENAI)
        journal.add_job(job("job_a", *states))
        journal.add_job(job("job_b", "submitted", "built"))
        journal.add_job(job("job_c", "submitted", provider=elsewhere))
        journal.add_job(job("job_d", "built", "submitted", provider=larger))

        enqueued = [journal.providers.enqueued(each) for each in (OPENAI, elsewhere, larger)]
    assert (empty, enqueued) == (0, [live + 1, 1, 2])
    assert set(LIVE_STATES) == {"submitting", "unknown", "submitted", "cancelling"}


def test_a_host_is_met_once(tmp_path: Path) -> None:
    """Its batches are looked through for those of a lost journal, and not before every submission."""
    path = tmp_path / "journal.db"
    with opened(path) as one, opened(path) as other:
        before = one.providers.was_searched("api.openai.com")
        for journal in (one, other):
            journal.providers.mark_searched("api.openai.com")

        assert not before
        assert other.providers.was_searched("api.openai.com")
        assert not other.providers.was_searched("other.example.com")
