"""How far jobs had come, and when."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from batchwright.core.model import Job
from batchwright.journal.history import MAX_POINTS
from batchwright.journal.journal import Journal
from tests.support.journals import job, opened, submit
from tests.support.values import START

ROWS = 1_000


def running(journal: Journal) -> Job:
    """Submit a job of many rows, and give it."""
    draft = job("job_a")
    (part,) = draft.parts
    draft = replace(draft, source=replace(draft.source, rows=ROWS), parts=(replace(part, requests=ROWS),))
    journal.add_job(draft)
    submit(journal, "job_a")
    return journal.job("job_a")


def at(job: Job, completed: int) -> Job:
    """Give a job of which so many rows are answered."""
    (part,) = job.parts
    return replace(job, parts=(replace(part, completed=completed),))


def test_a_point_is_added_only_where_something_is_other(tmp_path: Path) -> None:
    """A job is looked at far more often than it moves."""
    with opened(tmp_path / "journal.db") as journal:
        known = running(journal)
        for completed in (0, 0, 0, 7, 7, 1_000):
            journal.history.note(at(known, completed))
        counts = [point.counts for point in journal.history.of("job_a")]

    assert counts == [{"running": 1_000}, {"answered": 7, "running": 993}, {"answered": 1_000}]


def test_a_draft_has_no_course(tmp_path: Path) -> None:
    """It may be discarded, and nothing of it stays."""
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(job("job_a"))
        journal.history.note(journal.job("job_a"))
        assert journal.history.of("job_a") == []
        assert journal.forget_draft(journal.job("job_a"))


def test_a_long_job_keeps_a_bounded_number_of_points_over_its_whole_time(tmp_path: Path) -> None:
    """A chart needs no more, and a journal must not grow with the time that a job takes."""
    with opened(tmp_path / "journal.db") as journal:
        known = running(journal)
        for completed in range(ROWS):
            journal.history.note(at(known, completed))
        points = journal.history.of("job_a")

    gaps = [(after.at - before.at).total_seconds() for before, after in pairwise(points)]
    assert len(points) == MAX_POINTS
    assert (points[0].counts, points[-1].counts) == ({"running": ROWS}, {"answered": ROWS - 1, "running": 1})
    assert points == sorted(points, key=lambda point: point.at)
    assert max(gaps) <= 4 * ROWS / MAX_POINTS


def test_a_chart_that_cannot_be_kept_does_not_stop_a_job(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is decided by it."""
    with opened(tmp_path / "journal.db") as journal:
        known = running(journal)
        with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
            db.execute("DROP TABLE progress")
        journal.history.note(known)

    assert "job_a: its progress is not recorded: OperationalError" in caplog.text


def test_the_time_is_that_of_the_journals_clock(tmp_path: Path) -> None:
    """All processes that share a journal write the same kind of time."""
    with closing(Journal(tmp_path / "journal.db", now=lambda: datetime(2026, 5, 1, tzinfo=START.tzinfo))) as journal:
        journal.history.note(running(journal))
        (point,) = journal.history.of("job_a")

    assert (point.at, point.round) == (datetime(2026, 5, 1, tzinfo=START.tzinfo), 1)
