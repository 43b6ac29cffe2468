"""What is waited for is waited for once, however often the program, or the machine, is started anew meanwhile."""

from datetime import timedelta
from pathlib import Path

import pytest

from batchwright.core.model import Part
from batchwright.journal.journal import Journal
from batchwright.journal.waits import LONGEST_PAUSE_SECONDS
from tests.support.journals import Machine, job, opened
from tests.support.values import OLLAMA, OPENAI


def added(journal: Journal) -> Part:
    """Add a job of two parts, and return the first."""
    journal.add_job(job(parts=2))
    return journal.job("job_a").parts[0]


@pytest.mark.parametrize("restart", [True, False])
def test_a_pause_holds_across_processes_and_ends_by_the_clock_that_nobody_sets(
    tmp_path: Path, *, restart: bool
) -> None:
    """A provider that is asked again too soon refuses more, and a process that dies must not make it sooner."""
    machine = Machine()
    with opened(tmp_path / "journal.db", machine) as journal:
        journal.waits.pause(added(journal), 120, first_seconds=5)
    machine.at += timedelta(days=400)
    found: list[frozenset[int]] = []
    for seconds in (0, 119, 2):
        if restart and not seconds:
            machine.restart()
        machine.go_on(timedelta(seconds=seconds))
        with opened(tmp_path / "journal.db", machine) as journal:
            found.append(journal.waits.paused("job_a"))

    assert found == [{1}, {1}, frozenset()]


def test_each_pause_is_twice_as_long_unless_the_provider_says_how_long(tmp_path: Path) -> None:
    """It backs off, up to half an hour, so that whoever refuses is not asked all the time."""
    machine = Machine()
    lengths: list[int] = []
    with opened(tmp_path / "journal.db", machine) as journal:
        part = added(journal)
        for seconds in (None, None, 60.0, None, 0.0, 1e9):
            journal.waits.pause(part, seconds, first_seconds=5)
            before = machine.seconds
            while journal.waits.paused("job_a"):
                machine.go_on(timedelta(seconds=5))
            lengths.append(int(machine.seconds - before))

    assert lengths == [5, 10, 60, 120, 0, LONGEST_PAUSE_SECONDS]


def test_fetches_of_the_same_results_are_counted_across_processes(tmp_path: Path) -> None:
    """A provider that always gives the same has no other; each form, and each part, is counted by itself."""
    machine = Machine()
    counts: list[tuple[int, float]] = []
    with opened(tmp_path / "journal.db", machine) as journal:
        part = added(journal)
    for content in ("a", "a", "b", "a"):
        with opened(tmp_path / "journal.db", machine) as journal:
            counts.append(journal.waits.count_fetch(part, content))
            machine.go_on(timedelta(seconds=10))

    assert counts == [(1, 0), (2, 10), (1, 0), (3, 30)]


def test_a_limit_that_was_found_to_be_too_much_is_forgotten_after_a_day(tmp_path: Path) -> None:
    """The limit grows with the account."""
    machine = Machine()
    found: list[int | None] = []
    with opened(tmp_path / "journal.db", machine) as journal:
        journal.waits.tighten_limit(OPENAI, 900)
        journal.waits.tighten_limit(OPENAI, 800)
    for hours in (0, 23, 2):
        machine.go_on(timedelta(hours=hours))
        with opened(tmp_path / "journal.db", machine) as journal:
            found.append(journal.waits.tightened_limit(OPENAI))
            assert journal.waits.tightened_limit(OLLAMA) is None

    assert found == [800, 800, None]
