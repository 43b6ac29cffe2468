"""Which jobs have changed, by whichever process."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from batchwright.core.money import usd
from batchwright.core.problem import Problem
from batchwright.journal.changes import Changed, Changes
from batchwright.journal.journal import Journal
from tests.support.journals import job, opened, opened_attempt, submit

NOTHING = Changed(frozenset(), is_list_other=False)


def both(path: Path, stack: ExitStack) -> tuple[Journal, Journal]:
    """Open one journal twice, as two processes would."""
    return stack.enter_context(opened(path)), stack.enter_context(opened(path))


def test_what_was_there_before_has_not_changed(tmp_path: Path) -> None:
    """A server that starts does not tell of its whole past."""
    with ExitStack() as stack:
        journal, other = both(tmp_path / "journal.db", stack)
        other.add_job(job())
        submit(other, "job_a")

        changes = Changes(journal.catalog)

        assert changes.look() == NOTHING


def test_each_change_is_told_once_though_another_process_made_it(tmp_path: Path) -> None:
    """Two assistants may be open, and only one of them has the job."""
    with ExitStack() as stack:
        journal, other = both(tmp_path / "journal.db", stack)
        changes = Changes(journal.catalog)

        other.add_job(job())
        drafted = changes.look()
        submit(other, "job_a")
        submitted = changes.look()
        part = other.job("job_a").parts[0]
        other.close_attempt(replace(opened_attempt(other, part, "n"), state="submitted", batch_id="b"), "created")
        sent = changes.look()
        again = changes.look()

    assert drafted == Changed(frozenset({"job_a"}), is_list_other=True)
    assert submitted == sent == Changed(frozenset({"job_a"}), is_list_other=False)
    assert again == NOTHING


def test_progress_is_told_though_it_is_no_event(tmp_path: Path) -> None:
    """A bar that stands still for hours says that something is wrong."""
    with ExitStack() as stack:
        journal, other = both(tmp_path / "journal.db", stack)
        for job_id in ("job_a", "job_b"):
            other.add_job(job(job_id))
            submit(other, job_id)
        changes = Changes(journal.catalog)

        part = replace(other.job("job_b").parts[0], completed=1)
        for moved in (part, replace(part, problem=Problem.said("the provider is not reached"))):
            other.save_part(moved)

            assert changes.look() == Changed(frozenset({"job_b"}), is_list_other=False)
            assert changes.look() == NOTHING


def test_the_end_of_a_job_brings_results_into_the_list(tmp_path: Path) -> None:
    """Whoever shows the list has something new to show."""
    with ExitStack() as stack:
        journal, other = both(tmp_path / "journal.db", stack)
        other.add_job(job())
        submit(other, "job_a")
        changes = Changes(journal.catalog)

        part = replace(other.job("job_a").parts[0], state="verified", batch_status="completed", cost_usd=usd(0))
        other.save_part(part, "verified")
        other.mark_ended("job_a", {"answered": 2}, tokens=(1, 1))

        assert changes.look() == Changed(frozenset({"job_a"}), is_list_other=True)
