"""Which jobs have changed, by whichever process."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from batchwright.core.money import usd
from batchwright.core.problem import Problem
from batchwright.journal.changes import Changed, Changes
from batchwright.journal.journal import Journal
from tests.support.journals import job, opened, opened_attempt, submit

NOTHING = Changed(frozenset(), has_new_entries=False)


def both(path: Path, stack: ExitStack) -> tuple[Journal, Journal]:
    """Open one journal twice, as two processes would."""
    return stack.enter_context(opened(path)), stack.enter_context(opened(path))


def test_what_was_there_before_has_not_changed(tmp_path: Path) -> None:
    """A server that starts does not tell of its whole past."""
    with ExitStack() as stack:
        journal, other = both(tmp_path / "journal.db", stack)
        other.add_job(job())
        submit(other, "job_a")

        changes = Changes(journal)

        assert changes.check() == NOTHING


def test_each_change_is_told_once_though_another_process_made_it(tmp_path: Path) -> None:
    """Two assistants may be open, and only one of them has the job."""
    with ExitStack() as stack:
        journal, other = both(tmp_path / "journal.db", stack)
        changes = Changes(journal)

        other.add_job(job())
        drafted = changes.check()
        submit(other, "job_a")
        submitted = changes.check()
        part = other.job("job_a").parts[0]
        other.parts.close_attempt(replace(opened_attempt(other, part, "n"), state="submitted", batch_id="b"), "created")
        sent = changes.check()
        again = changes.check()

    assert drafted == Changed(frozenset({"job_a"}), has_new_entries=True)
    assert submitted == sent == Changed(frozenset({"job_a"}), has_new_entries=False)
    assert again == NOTHING


def test_progress_is_told_though_it_is_no_event(tmp_path: Path) -> None:
    """A bar that stands still for hours says that something is wrong."""
    with ExitStack() as stack:
        journal, other = both(tmp_path / "journal.db", stack)
        for job_id in ("job_a", "job_b"):
            other.add_job(job(job_id))
            submit(other, job_id)
        changes = Changes(journal)

        part = replace(other.job("job_b").parts[0], completed=1)
        for moved in (part, replace(part, problem=Problem.said("the provider is not reached"))):
            other.parts.save(moved)

            assert changes.check() == Changed(frozenset({"job_b"}), has_new_entries=False)
            assert changes.check() == NOTHING


def test_the_end_of_a_job_brings_results_into_the_list(tmp_path: Path) -> None:
    """Whoever shows the list has something new to show."""
    with ExitStack() as stack:
        journal, other = both(tmp_path / "journal.db", stack)
        other.add_job(job())
        submit(other, "job_a")
        changes = Changes(journal)

        part = replace(other.job("job_a").parts[0], state="verified", batch_status="completed", cost_usd=usd(0))
        other.parts.save(part, "verified")
        other.mark_ended("job_a", {"answered": 2}, tokens=(1, 1))

        assert changes.check() == Changed(frozenset({"job_a"}), has_new_entries=True)
