"""The journal: what was written is there after any restart, and no part can have two batches."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.core.errors import InvalidInput, NotFound
from batchwright.core.model import (
    OUTCOMES,
    Charges,
    Job,
    LineError,
    Outcome,
    Part,
    ProviderInfo,
    Recipe,
    Source,
)
from batchwright.core.money import usd
from batchwright.core.problem import Problem, Speaker
from batchwright.journal.attempts import Attempt, Closing
from batchwright.journal.journal import Journal
from tests.support.journals import job, opened, opened_attempt, submit
from tests.support.systems import needs_modes
from tests.support.values import START

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.dictionaries(
    TEXT, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT | st.lists(TEXT), max_size=3
)
LINE_ERRORS = st.builds(LineError, TEXT, TEXT, st.none() | st.integers(1, 9), st.none() | TEXT)
MONEY = st.none() | st.integers(0, 10**12).map(usd)
PROBLEMS = st.builds(
    Problem,
    st.none() | TEXT,
    TEXT,
    st.sampled_from(get_args(Speaker)),
    st.none() | st.integers(100, 599),
    st.none() | TEXT,
)
PARTS = st.builds(
    Part,
    job_id=st.just("job_a"),
    number=st.just(1),
    state=st.sampled_from(["built", "unknown", "ended", "failed"]),
    sha256=TEXT,
    size_bytes=st.integers(0, 2**40),
    requests=st.integers(0, 50_000),
    file_id=st.none() | TEXT,
    batch_id=st.none() | TEXT,
    completed=st.integers(0, 50_000),
    problem=st.none() | PROBLEMS,
    errors=st.lists(LINE_ERRORS, max_size=2).map(tuple),
    load=st.integers(0, 10**9),
    ceiling_usd=MONEY,
    cost_usd=MONEY,
    file_created_at=st.none() | st.integers(0, 2**33),
    used_input_tokens=st.none() | st.integers(0, 10**9),
    used_output_tokens=st.none() | st.integers(0, 10**9),
)
JOBS = st.builds(
    Job,
    id=st.just("job_a"),
    created_at=st.datetimes(timezones=st.just(UTC)),
    source=st.builds(
        Source,
        TEXT,
        st.sampled_from(["csv", "jsonl", "parquet", "rows", "batch"]),
        st.lists(TEXT).map(tuple),
        st.integers(0, 10**9),
        st.none() | TEXT,
    ),
    recipe=st.builds(
        Recipe,
        st.sampled_from(["/v1/chat/completions", "/v1/responses", "/v1/embeddings"]),
        TEXT,
        prompt=st.none() | TEXT,
        system=st.none() | TEXT,
        output_schema=st.none() | JSON,
        parameters=JSON,
    ),
    provider=st.builds(
        ProviderInfo,
        st.sampled_from(["embedded", "endpoint", "service"]),
        TEXT,
        TEXT,
        st.booleans(),
        st.sampled_from(get_args(Charges)),
    ),
    parts=st.tuples(PARTS),
    sha256=TEXT,
)


@settings(max_examples=25, deadline=None)
@given(made=JOBS)
def test_any_job_is_found_again_as_it_was_after_reopening(tmp_path_factory: pytest.TempPathFactory, made: Job) -> None:
    """The server may be stopped between any two calls; prompts and names are of any script."""
    path = tmp_path_factory.mktemp("journal") / "journal.db"
    with opened(path) as journal:
        journal.add_job(made)

    with opened(path) as journal:
        assert journal.job("job_a") == made


def test_jobs_are_given_newest_first_and_page_by_page(tmp_path: Path) -> None:
    """The job that the user speaks of is most often the last one."""
    with opened(tmp_path / "journal.db") as journal:
        for minute in (2, 0, 1, 3):
            journal.add_job(job(f"job_{minute}", created_at=START + timedelta(minutes=minute)))

        assert [found.id for found in journal.jobs(limit=9)] == ["job_3", "job_2", "job_1", "job_0"]
        assert [found.id for found in journal.jobs(limit=2, offset=1)] == ["job_2", "job_1"]
        assert journal.queries.job_count() == 4


def test_an_unknown_job_is_an_error_that_names_the_next_call(tmp_path: Path) -> None:
    """The assistant may have the id from another chat; a very long one is not echoed whole."""
    with opened(tmp_path / "journal.db") as journal, pytest.raises(NotFound, match="list_jobs") as caught:
        journal.job("x" * 5_000)

    assert len(str(caught.value)) < 200


def test_a_second_job_of_one_id_is_refused_and_the_first_kept(tmp_path: Path) -> None:
    """An id names one job for ever; its parts come in the order of their numbers, in which results are read."""
    made = job(parts=12)
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(replace(made, parts=made.parts[::-1]))

        with pytest.raises(sqlite3.IntegrityError):
            journal.add_job(job(parts=1))

        assert journal.job("job_a") == made


def test_a_job_that_cannot_be_recorded_whole_is_not_recorded_at_all(tmp_path: Path) -> None:
    """A job without one of its parts would lose that part's rows."""
    made = job(parts=2)
    with opened(tmp_path / "journal.db") as journal:
        with pytest.raises(sqlite3.IntegrityError):
            journal.add_job(replace(made, parts=(made.parts[0], made.parts[0])))

        assert journal.queries.job_count() == 0
        assert journal.events.of("job_a") == []


def test_two_live_attempts_for_one_part_are_refused_by_the_database(tmp_path: Path) -> None:
    """Each could make a batch, and the user would pay twice; whatever the program does wrong, no two have made one."""
    part, path = job().parts[0], tmp_path / "journal.db"
    with opened(path) as journal, opened(path) as other, closing(sqlite3.connect(path)) as db:
        journal.add_job(job())
        opened_attempt(journal, part, "nonce-1")

        with pytest.raises(sqlite3.IntegrityError):
            opened_attempt(other, part, "nonce-2")
        with pytest.raises(sqlite3.IntegrityError):
            db.execute(
                "INSERT INTO attempt (job_id, part, nonce, file_id, opened_at, outcome) "
                "VALUES ('job_a', 1, 'nonce-2', 'f', '', 'created')"
            )

        assert other.attempts.open_nonce(part) == "nonce-1"


def test_no_attempt_is_opened_for_a_part_that_has_a_batch(tmp_path: Path) -> None:
    """The refusal must come before anything is sent: afterwards the second batch exists and costs."""
    part = job().parts[0]
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(job())
        submitting = opened_attempt(journal, part, "nonce-1")
        submitted = journal.parts.close_attempt(replace(submitting, state="submitted", batch_id="batch-1"), "created")

        with pytest.raises(sqlite3.IntegrityError):
            opened_attempt(journal, part, "nonce-2")

        assert journal.job("job_a").parts == (submitted,)
        assert journal.attempts.open_nonce(part) is None


def test_a_nonce_is_used_once_and_a_refused_attempt_leaves_its_part_as_it_was(tmp_path: Path) -> None:
    """A batch is found by its nonce, so two must not share one; attempt, state and event are one transaction."""
    made = job(parts=2)
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(made)
        opened_attempt(journal, made.parts[0], "nonce")

        with pytest.raises(sqlite3.IntegrityError):
            opened_attempt(journal, made.parts[1], "nonce")

        assert journal.job("job_a").parts[1] == made.parts[1]
        assert [event[1:] for event in journal.events.of("job_a")] == [(None, "drafted", None), (1, "submitting", None)]


def test_one_batch_belongs_to_one_part(tmp_path: Path) -> None:
    """A batch that two parts adopted would answer the rows of one of them only."""
    made = job(parts=2)
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(made)
        journal.parts.save(replace(made.parts[0], batch_id="batch-1"))

        with pytest.raises(sqlite3.IntegrityError):
            journal.parts.save(replace(made.parts[1], batch_id="batch-1"))


@pytest.mark.parametrize("outcome", ["refused", "not_sent", "resent"])
def test_after_an_attempt_that_made_no_batch_another_may_be_opened(tmp_path: Path, outcome: Closing) -> None:
    """A part that was certainly not sent, or that the user gave up on, must not be stuck for ever."""
    part = job().parts[0]
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(job())
        opened_attempt(journal, part, "nonce-1")
        journal.parts.close_attempt(part, outcome)

        opened_attempt(journal, part, "nonce-2")

        assert journal.attempts.open_nonce(part) == "nonce-2"


def test_after_a_batch_that_ran_nothing_another_may_be_made_and_the_first_is_still_known(tmp_path: Path) -> None:
    """It was refused whole for the enqueued limit; in the provider's list it must not look like someone else's."""
    part = job().parts[0]
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(job())
        submitting = opened_attempt(journal, part, "nonce-1")
        journal.parts.close_attempt(replace(submitting, state="submitted", batch_id="batch-1"), "created")

        journal.parts.close_attempt(part, "void")
        opened_attempt(journal, part, "nonce-2")
        journal.parts.close_attempt(replace(part, state="submitted", batch_id="batch-2"), "created")

        found = [journal.queries.job_of_batch(batch_id) for batch_id in ("batch-1", "batch-2", "batch-3")]
        assert found == ["job_a", "job_a", None]
        counts = [journal.attempts.count(part, outcome) for outcome in (None, "void", "created", "refused")]
        assert counts == [2, 1, 1, 0]


def test_attempts_that_were_sent_again_are_remembered_by_their_nonces(tmp_path: Path) -> None:
    """Should one of their batches show up after all, it is cancelled."""
    made = job(parts=2)
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(made)
        journal.add_job(job("job_b"))
        for part, nonce in ((made.parts[1], "nonce-1"), (job("job_b").parts[0], "nonce-2")):
            opened_attempt(journal, part, nonce)
            journal.parts.close_attempt(part, "resent")
        opened_attempt(journal, made.parts[0], "nonce-3")

        assert journal.attempts.abandoned("job_a") == {"nonce-1": Attempt("nonce-1", 2, 0)}
        assert [journal.attempts.count(part) for part in made.parts] == [0, 1]


def test_a_part_that_was_split_gives_way_to_its_pieces(tmp_path: Path) -> None:
    """Its rows are counted once, and it is never sent."""
    made = job(parts=2)
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(made)
        submit(journal, "job_a")
        pieces = [replace(made.parts[0], number=number, requests=1, file_id=None, state="built") for number in (3, 4)]

        journal.parts.split(made.parts[0], pieces)

        found = journal.job("job_a")
        assert found.parts == (replace(made.parts[0], state="split"), made.parts[1], *pieces)
        assert found.running_parts == (made.parts[1], *pieces)
        assert found.counts == {**dict.fromkeys(OUTCOMES, 0), "running": 4}
        assert journal.events.of("job_a")[-1][1:] == (1, "split", "2")


def ended(journal: Journal, outcomes: dict[Outcome, int]) -> Job:
    """Bring a job of one part to its end."""
    submit(journal, "job_a")
    for part in journal.job("job_a").running_parts:
        journal.parts.save(replace(part, state="verified", batch_status="completed"))
    journal.mark_ended("job_a", outcomes, tokens=(10, 5))
    return journal.job("job_a")


def test_a_drafted_round_changes_nothing_until_it_is_submitted(tmp_path: Path) -> None:
    """Its results stay where they are for whoever does not want the retry."""
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(job())
        before = ended(journal, {"answered": 1, "failed": 1})
        changed = replace(before.recipe, model="better")
        again = Part("job_a", 2, "built", "1" * 64, 5, 1, round=2)

        journal.add_round(replace(before, recipe=changed), [again], kept={"answered": 1})

        assert journal.job("job_a") == replace(before, parts=(*before.parts, again))
        assert journal.job("job_a").drafted_parts == (again,)
        assert journal.queries.drafted_round(journal.job("job_a")) == (changed, before.provider)
        assert journal.queries.unfinished() == []


def test_a_submitted_round_runs_over_its_own_rows_with_its_own_recipe(tmp_path: Path) -> None:
    """Rows that were answered are not asked again, and still count."""
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(job())
        before = ended(journal, {"answered": 1, "failed": 1})
        journal.mark_cancelled("job_a")
        changed = replace(before.recipe, model="better")
        again = Part("job_a", 2, "built", "1" * 64, 5, 1, round=2)
        journal.add_round(replace(before, recipe=changed), [again], kept={"answered": 1})

        was_new = [submit(journal, "job_a"), submit(journal, "job_a")]

        found = journal.job("job_a")
        assert was_new == [True, False]
        assert (found.round, found.recipe, found.running_parts) == (2, changed, (again,))
        assert (found.submitted_at, found.cancelled_at, found.ended_at) == (before.submitted_at, None, None)
        assert found.counts == {**dict.fromkeys(OUTCOMES, 0), "answered": 1, "running": 1}
        assert journal.queries.drafted_round(found) == (changed, before.provider)
        assert journal.queries.unfinished() == ["job_a"]


def test_a_round_that_is_drafted_again_takes_the_place_of_the_draft(tmp_path: Path) -> None:
    """The user changed their mind about the retry, and not about what ran."""
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(job())
        before = ended(journal, {"answered": 1, "failed": 1})
        first = [Part("job_a", number, "built", "1" * 64, 5, 1, round=2) for number in (2, 3)]
        second = replace(first[0], sha256="2" * 64)
        journal.add_round(replace(before, recipe=replace(before.recipe, model="x")), first, kept={"answered": 1})

        journal.add_round(before, [second], kept={})

        assert journal.job("job_a") == replace(before, parts=(*before.parts, second))
        assert journal.queries.drafted_round(journal.job("job_a")) == (before.recipe, before.provider)


def test_a_job_that_is_found_with_its_batches_runs_already(tmp_path: Path) -> None:
    """It was submitted by a journal that was lost: a part with a batch never gets another."""
    made = job(parts=2)
    parts = (replace(made.parts[0], state="submitted", batch_id="batch-1"), replace(made.parts[1], state="verified"))
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(replace(made, parts=parts), nonces={1: "nonce-1"})

        found = journal.job("job_a")
        assert (found.status, found.parts, journal.queries.unfinished()) == ("running", parts, ["job_a"])
        assert journal.queries.job_of_batch("batch-1") == "job_a"
        assert [event[1:] for event in journal.events.of("job_a")] == [(None, "restored", None)]
        assert journal.events.has("job_a", "restored")
        with pytest.raises(sqlite3.IntegrityError):
            opened_attempt(journal, parts[0], "nonce-2")


def test_a_draft_of_another_journal_is_a_draft_that_is_known_as_such(tmp_path: Path) -> None:
    """Before it is submitted, the provider is asked whether it was submitted there."""
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(job(), nonces={})
        journal.add_job(job("job_b"))

        assert (journal.job("job_a"), journal.queries.unfinished()) == (job(), [])
        assert [journal.events.has(name, "restored") for name in ("job_a", "job_b", "job_c")] == [True, False, False]


def test_a_draft_that_is_forgotten_can_be_recorded_anew(tmp_path: Path) -> None:
    """With the batches that were found for it meanwhile."""
    submitted = replace(job().parts[0], state="submitted", batch_id="batch-1")
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(job(), nonces={})
        journal.add_job(job("job_b"))

        is_forgotten = journal.forget_draft(journal.job("job_a"))
        was_there = journal.queries.has_job("job_a")
        journal.add_job(replace(job(), parts=(submitted,)), nonces={1: "nonce-1"})

        assert is_forgotten
        assert not was_there
        assert journal.job("job_a").parts == (submitted,)
        assert [event[1:] for event in journal.events.of("job_a")] == [(None, "restored", None)]
        assert journal.job("job_b") == job("job_b")


def test_a_job_that_was_submitted_is_never_forgotten(tmp_path: Path) -> None:
    """It may have batches, and they are paid for."""
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(job())
        draft = journal.job("job_a")
        submit(journal, "job_a")
        before, events = journal.job("job_a"), journal.events.of("job_a")

        is_forgotten = journal.forget_draft(draft)

        assert not is_forgotten
        assert (journal.job("job_a"), journal.events.of("job_a")) == (before, events)


def test_the_newest_submitted_job_that_asked_the_same_is_found(tmp_path: Path) -> None:
    """The user is told before paying for the same answers again; a draft has none, nor has a job without a hash."""
    with opened(tmp_path / "journal.db") as journal:
        hashes = {"old": "0", "new": "0", "draft": "0", "other": "f", "this": "0", "adopted": "", "of version 1": ""}
        made = {name: replace(job(name), sha256=sha256 * 64) for name, sha256 in hashes.items()}
        for each in made.values():
            journal.add_job(each)
        nothing = journal.queries.same_job(made["this"])
        for name in ("old", "other", "new", "this", "adopted", "of version 1"):
            submit(journal, name)

        names = ("this", "draft", "new", "other", "adopted")
        assert nothing is None
        assert [journal.queries.same_job(made[name]) for name in names] == ["new", "this", "this", None, None]


def test_an_attempt_is_on_disk_before_it_can_be_acted_on(tmp_path: Path) -> None:
    """If the process dies while the batch is made, the next one must know that there may be one."""
    with opened(tmp_path / "journal.db") as journal, opened(tmp_path / "journal.db") as other:
        journal.add_job(job())
        submit(other, "job_a")

        given_back = opened_attempt(journal, job().parts[0], "nonce-1")

        assert other.attempts.open_nonce(given_back) == "nonce-1"
        assert other.job("job_a").parts == (given_back,)
        assert given_back.state == "submitting"
        assert journal.job("job_a") == other.job("job_a")


ACTS: dict[str, Callable[[Journal], object]] = {
    "submitted": lambda journal: submit(journal, "job_a"),
    "cancelled": lambda journal: journal.mark_cancelled("job_a"),
    "ended": lambda journal: journal.mark_ended("job_a", {"answered": 2}, tokens=(10, 5)),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_what_happens_to_a_job_twice_counts_once(tmp_path: Path, act: Callable[[Journal], object]) -> None:
    """Assistants repeat their calls, and two processes may come to the end of one job: the first time counts."""
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(job())
        first = act(journal)
        once, events = journal.job("job_a"), journal.events.of("job_a")

        second = act(journal)

        assert (first, second) in {(True, False), (None, None)}
        assert journal.job("job_a") == once
        assert journal.events.of("job_a") == events
        assert len(events) == 2


def test_the_end_of_a_job_keeps_its_outcomes_and_tokens(tmp_path: Path) -> None:
    """They are what the user is shown for ever after."""
    outcomes: dict[Outcome, int] = {name: number for number, name in enumerate(OUTCOMES)}
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(job())
        journal.mark_ended("job_a", outcomes, tokens=(10, 5))

    with opened(tmp_path / "journal.db") as journal:
        found = journal.job("job_a")

    assert (found.outcomes, found.input_tokens, found.output_tokens) == (outcomes, 10, 5)
    assert found.ended_at is not None
    assert found.ended_at.tzinfo is not None


def test_events_are_given_in_the_order_in_which_they_happened(tmp_path: Path) -> None:
    """When something went wrong, they are what is left to look at."""
    part = job().parts[0]
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(job())
        journal.add_job(job("job_b"))
        submit(journal, "job_a")
        submitting = opened_attempt(journal, part, "nonce-1")
        submit(journal, "job_b")
        journal.parts.close_attempt(replace(submitting, state="submitted", batch_id="batch-1"), "created")
        journal.parts.save(replace(submitting, state="ended", batch_id="batch-1"), "batch_ended", "completed")
        journal.parts.save(replace(submitting, state="ended", batch_id="batch-1", problem=Problem.said("seen")))
        journal.mark_ended("job_a", {}, tokens=(0, 0))

        events = journal.events.of("job_a")

    expected = [
        *((None, "drafted", None), (None, "submitted", None), (1, "submitting", None)),
        *((1, "attempt_closed", "created"), (1, "batch_ended", "completed"), (None, "ended", None)),
    ]
    assert [event[1:] for event in events] == expected
    assert [event[0] for event in events] == sorted({event[0] for event in events})


def test_unfinished_jobs_are_those_that_were_submitted_and_have_not_ended_oldest_first(tmp_path: Path) -> None:
    """Every call first moves these on; a draft or an ended job must never be sent by that."""
    with opened(tmp_path / "journal.db") as journal:
        for name in ("draft", "second", "first", "ended", "cancelled"):
            journal.add_job(job(name))
        for name in ("ended", "first", "cancelled", "second"):
            submit(journal, name)
        journal.mark_ended("ended", {}, tokens=(0, 0))
        journal.mark_cancelled("cancelled")

        assert journal.queries.unfinished() == ["first", "cancelled", "second"]


def test_the_job_of_a_file_is_found_by_its_input_output_or_error_file(tmp_path: Path) -> None:
    """A file is deleted at the provider only for a job whose results are safe."""
    part = job().parts[0]
    with opened(tmp_path / "journal.db") as journal:
        journal.add_job(job())
        journal.add_job(job("job_b"))
        journal.parts.save(replace(part, file_id="in", output_file_id="out", error_file_id="err"))

        assert [journal.queries.job_of_file(name) for name in ("in", "out", "err")] == ["job_a"] * 3
        assert journal.queries.job_of_file("file-job_b-1") == "job_b"
        assert journal.queries.job_of_file("stranger") is None


@pytest.mark.slow
def test_many_processes_can_make_the_journal_at_the_same_moment(tmp_path: Path) -> None:
    """A client starts its servers together, also for the very first time."""
    errors: list[Exception] = []

    def start(path: Path, together: Barrier) -> None:
        together.wait()
        try:
            with opened(path):
                pass
        except InvalidInput as error:
            errors.append(error)

    for attempt in range(25):
        together = Barrier(6)
        path = tmp_path / str(attempt) / "journal.db"
        threads = [Thread(target=start, args=(path, together)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert errors == []


@needs_modes
def test_only_the_user_may_read_the_journal(tmp_path: Path) -> None:
    """Prompts and file names are in it, and the computer may have other users."""
    path = tmp_path / "data" / "journal.db"
    with opened(path) as journal:
        journal.add_job(job())

        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}

    assert modes["journal.db"] == 0o600
    assert set(modes.values()) == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_journal_that_a_newer_program_wrote_is_refused_and_left_alone(tmp_path: Path) -> None:
    """An old program would not understand what it reads, and might send again what was sent."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        journal.add_job(job())
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")

    with pytest.raises(InvalidInput, match=r"version 99.*Upgrade Batchwright"), opened(path):
        pass

    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)
        assert db.execute("SELECT count(*) FROM job").fetchone() == (1,)


@pytest.mark.parametrize("where", ["folder", "file/journal.db"])
def test_a_place_where_no_journal_can_be_is_refused_in_a_sentence(tmp_path: Path, where: str) -> None:
    """The operator reads it at the first start."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()

    with pytest.raises(InvalidInput, match="BATCHWRIGHT_DATA_DIR"), opened(tmp_path / where):
        pass
