"""Money: reserved before it may be spent, given back or settled afterwards, and never more than the limits allow."""

import multiprocessing
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.core.errors import OverLimit
from batchwright.core.model import Job, Part, PartState, SpendingLimits
from batchwright.core.money import usd
from batchwright.core.problem import Problem
from batchwright.journal.attempts import Closing
from batchwright.journal.journal import Journal
from tests.support.journals import TEN_A_DAY, Machine, opened, priced_job
from tests.support.values import START

YEARS, DAYS = timedelta(days=3653), timedelta(days=-400)


def agreed(journal: Journal, made: Job, limits: SpendingLimits = TEN_A_DAY, *, to: str | None = None) -> bool:
    """Have a draft run, agreed to as it is, or to an amount."""
    shares = {part.number: part.ceiling_usd or Decimal(0) for part in made.parts}
    amount = sum(shares.values(), Decimal(0)) if to is None else Decimal(to)
    return journal.agree(journal.job(made.id), shares, agreed_usd=amount, limits=limits)


def submitted(journal: Journal, job_id: str, *ceilings: str, limits: SpendingLimits = TEN_A_DAY) -> Job:
    """Draft a job and have it run."""
    journal.add_job(priced_job(job_id, *ceilings))
    assert agreed(journal, journal.job(job_id), limits)
    return journal.job(job_id)


def ended(part: Part, cost: str | None, state: PartState = "verified") -> Part:
    """Give a part whose batch has ended, with its real cost."""
    cost_usd = None if cost is None else Decimal(cost)
    return replace(part, state=state, batch_id=f"batch-{part.job_id}-{part.number}", cost_usd=cost_usd)


def entries(path: Path) -> list[tuple[str, str, int, int]]:
    """Give the ledger: what happened, for which part of which job, and how many micro-dollars."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT kind, job_id, part, microusd FROM ledger ORDER BY id").fetchall()


def taken(path: Path) -> Decimal:
    """Give what is reserved and spent together, in US dollars."""
    return usd(sum(-amount if kind == "release" else amount for kind, _, _, amount in entries(path)))


def test_agreeing_reserves_the_most_that_each_part_may_cost(tmp_path: Path) -> None:
    """Whatever happens later, the money is not promised to another job."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        submitted(journal, "job_a", "2.5", "0.0000015")

    assert entries(path) == [("reserve", "job_a", 1, 2_500_000), ("reserve", "job_a", 2, 2)]


def test_a_job_that_is_agreed_to_twice_is_reserved_once(tmp_path: Path) -> None:
    """Assistants repeat their calls."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        made = submitted(journal, "job_a", "2.5")

        is_new = agreed(journal, made)

    assert not is_new
    assert entries(path) == [("reserve", "job_a", 1, 2_500_000)]


def test_what_costs_nothing_takes_nothing(tmp_path: Path) -> None:
    """A model on this machine runs also when the money of the day is spent."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        journal.add_job(priced_job("job_a", "0"))
        nothing = SpendingLimits(job_usd=Decimal(0), day_usd=Decimal(0))

        assert journal.agree(journal.job("job_a"), {}, agreed_usd=None, limits=nothing)
        journal.parts.open_attempt(journal.job("job_a").parts[0], "nonce", share=None, limits=nothing)

    assert entries(path) == []


def test_the_last_dollar_can_be_spent_and_not_a_millionth_more(tmp_path: Path) -> None:
    """A limit of $10 is $10, in both directions."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        submitted(journal, "job_a", "3", "6")
        submitted(journal, "job_b", "1")
        journal.add_job(priced_job("job_c", "0.000001"))

        with pytest.raises(OverLimit, match="All jobs together"):
            agreed(journal, journal.job("job_c"))

    assert taken(path) == 10


def test_a_job_over_the_days_limit_takes_nothing_and_stays_a_draft(tmp_path: Path) -> None:
    """Half a job would be neither what was agreed nor what is left to agree to."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        journal.add_job(priced_job("job_a", "4", "4", "4"))
        before, events = journal.job("job_a"), journal.events.of("job_a")

        with pytest.raises(OverLimit):
            agreed(journal, before)

        assert journal.job("job_a") == before
        assert journal.events.of("job_a") == events
    assert entries(path) == []


def test_a_loop_of_jobs_of_one_dollar_stops_at_the_limit_of_the_day(tmp_path: Path) -> None:
    """An assistant that has lost its way spends no more than the operator lets it."""
    path = tmp_path / "journal.db"
    submitted_jobs: list[int] = []
    with opened(path) as journal:
        for number in range(100):
            journal.add_job(priced_job(f"job_{number}", "1"))
            try:
                agreed(journal, journal.job(f"job_{number}"))
                submitted_jobs.append(number)
            except OverLimit:
                continue

    assert submitted_jobs == list(range(10))
    assert taken(path) == 10


def test_more_than_the_operator_allows_a_job_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """The user cannot agree to more than the operator."""
    limits = SpendingLimits(job_usd=Decimal(2))
    with opened(tmp_path / "journal.db") as journal:
        submitted(journal, "job_a", "1", "1", limits=limits)
        journal.add_job(priced_job("job_b", "1", "1.01"))

        with pytest.raises(OverLimit) as caught:
            agreed(journal, journal.job("job_b"), limits)

    assert str(caught.value) == (
        "job_b may cost up to $2.01, and the operator allows $2.00 a job. "
        "Give it fewer rows or shorter answers, or have BATCHWRIGHT_MAX_JOB_USD raised."
    )


def test_not_a_millionth_more_than_was_agreed_is_reserved(tmp_path: Path) -> None:
    """The user's word is a limit as exact as the operator's, and the ledger takes nobody else's."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        journal.add_job(priced_job("job_a", "1", "1.5"))

        with pytest.raises(OverLimit):
            agreed(journal, journal.job("job_a"), to="2.499999")
        with pytest.raises(OverLimit) as caught:
            agreed(journal, journal.job("job_a"), to="2.4")
        agreed(journal, journal.job("job_a"), to="2.5")

    assert taken(path) == Decimal("2.5")
    assert str(caught.value) == (
        "job_a may cost up to $2.50, and $2.40 was agreed. Ask the user, then pass a higher max_cost_usd."
    )


def test_all_rounds_of_a_job_together_are_within_the_operators_limit(tmp_path: Path) -> None:
    """A retry is the same job: by asking again and again it must not cost more."""
    limits = SpendingLimits(job_usd=Decimal(3))
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        first = submitted(journal, "job_a", "2", limits=limits)
        journal.parts.save(ended(first.parts[0], "2"))
        journal.mark_ended("job_a", {}, tokens=(0, 0))
        journal.add_round(first, priced_job("job_a", "1", "0.01", round_number=2).parts, kept={})

        with pytest.raises(OverLimit, match=r"may cost up to \$3\.01, and the operator allows \$3\.00 a job"):
            journal.agree(
                journal.job("job_a"), {11: Decimal(1), 12: Decimal("0.01")}, agreed_usd=Decimal(2), limits=limits
            )
        journal.add_round(first, priced_job("job_a", "1", round_number=2).parts, kept={})
        journal.agree(journal.job("job_a"), {11: Decimal(1)}, agreed_usd=Decimal(1), limits=limits)

        assert journal.job("job_a").agreed_usd == 1
    assert taken(path) == 3


def test_the_day_is_taken_by_all_jobs_whoever_reserved_it(tmp_path: Path) -> None:
    """Every chat has a server process of its own, and all spend the same money."""
    path = tmp_path / "journal.db"
    with opened(path) as one, opened(path) as other:
        one.add_job(priced_job("job_a", "6"))
        other.add_job(priced_job("job_b", "6"))
        agreed(one, one.job("job_a"))

        with pytest.raises(OverLimit, match=r"of which \$6\.00 is taken; this would take up to \$6\.00\."):
            agreed(other, other.job("job_b"))

        assert other.job("job_b").status == "draft"


_together: list[Barrier] = []


def meet(barrier: Barrier) -> None:
    """Have this process begin when all others do."""
    _together.append(barrier)


def submit_all(path: Path, job_ids: list[str], day_usd: Decimal) -> int:
    """Submit drafts one after the other, and count those that there was money for."""
    with opened(path) as journal:
        _together[0].wait(timeout=60)
        count = 0
        for job_id in job_ids:
            try:
                count += agreed(journal, journal.job(job_id), SpendingLimits(day_usd=day_usd))
            except OverLimit:
                continue
        return count


@pytest.mark.slow
@pytest.mark.parametrize(("dollars", "jobs_each"), [(1, 1), (10, 8)])
def test_of_several_processes_only_so_many_get_the_money_as_there_is(
    tmp_path: Path, dollars: int, jobs_each: int
) -> None:
    """The limit is looked at and the money reserved in one transaction: the last dollar has one winner."""
    path, processes = tmp_path / "journal.db", 4
    ids = [[f"job_{process}_{number}" for number in range(jobs_each)] for process in range(processes)]
    with opened(path) as journal:
        for job_id in chain.from_iterable(ids):
            journal.add_job(priced_job(job_id, "1"))
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)

    with ProcessPoolExecutor(processes, context, meet, (barrier,)) as pool:
        counts = list(pool.map(submit_all, [path] * processes, ids, [Decimal(dollars)] * processes))

    assert sum(counts) == dollars
    assert taken(path) == dollars


def test_the_real_cost_takes_the_place_of_what_was_reserved(tmp_path: Path) -> None:
    """Most answers are shorter than they may be; what was not needed is free for other jobs."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        made = submitted(journal, "job_a", "6", "4")

        journal.parts.save(ended(made.parts[0], "0.25"), "verified")

        submitted(journal, "job_b", "5.75")
        assert journal.job("job_a").spent_usd == Decimal("0.25")
    assert entries(path) == [
        ("reserve", "job_a", 1, 6_000_000),
        ("reserve", "job_a", 2, 4_000_000),
        ("release", "job_a", 1, 6_000_000),
        ("settle", "job_a", 1, 250_000),
        ("reserve", "job_b", 1, 5_750_000),
    ]


@pytest.mark.parametrize(("cost", "counted"), [("2", 2), ("7.5", Decimal("7.5")), (None, 6)])
def test_a_part_counts_once_with_what_it_cost(tmp_path: Path, cost: str | None, counted: Decimal) -> None:
    """Less or more than was thought; not known is not 0. A process that was killed at the end comes to it again."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        part = ended(submitted(journal, "job_a", "6").parts[0], cost, "failed" if cost is None else "verified")
        journal.parts.save(part)
        once = entries(path)

        journal.parts.save(part)
        journal.parts.save(replace(part, problem=Problem.said("files deleted")))

    assert entries(path) == once
    assert taken(path) == counted


@pytest.mark.parametrize("state", ["verified", "failed"])
def test_a_part_that_ended_without_a_batch_gives_back_everything(tmp_path: Path, state: PartState) -> None:
    """It was cancelled before it was sent, or refused: nothing was bought."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        made = submitted(journal, "job_a", "6", "4")

        journal.parts.save(replace(made.parts[0], state=state))

        submitted(journal, "job_b", "6")
    assert entries(path)[2:] == [("release", "job_a", 1, 6_000_000), ("reserve", "job_b", 1, 6_000_000)]


@pytest.mark.parametrize("state", ["uploaded", "submitted", "unknown", "cancelling", "ended"])
def test_a_part_that_has_not_come_to_its_end_keeps_what_is_reserved(tmp_path: Path, state: PartState) -> None:
    """Its batch may be running, and will be paid for."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        made = submitted(journal, "job_a", "6")

        journal.parts.save(replace(made.parts[0], state=state, batch_id="batch-1"))

    assert entries(path) == [("reserve", "job_a", 1, 6_000_000)]


def test_a_refused_attempt_gives_back_what_was_reserved_and_the_next_reserves_it_again(tmp_path: Path) -> None:
    """Until the provider says yes, others may have the money; then the same is taken, whatever seems needed by then."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        part = submitted(journal, "job_a", "6").parts[0]
        journal.parts.open_attempt(part, "nonce-1", share=part.ceiling_usd, limits=TEN_A_DAY)
        journal.parts.close_attempt(part, "refused")
        in_between = taken(path)

        journal.parts.open_attempt(part, "nonce-2", share=Decimal(7), limits=TEN_A_DAY)

    assert in_between == 0
    assert entries(path) == [
        ("reserve", "job_a", 1, 6_000_000),
        ("release", "job_a", 1, 6_000_000),
        ("reserve", "job_a", 1, 6_000_000),
    ]


@pytest.mark.parametrize("outcome", ["created", "not_sent"])
def test_an_attempt_that_bought_something_or_goes_on_keeps_what_is_reserved(tmp_path: Path, outcome: Closing) -> None:
    """Only the provider's own no says that nothing was bought and nothing will be."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        part = submitted(journal, "job_a", "6").parts[0]
        journal.parts.open_attempt(part, "nonce-1", share=part.ceiling_usd, limits=TEN_A_DAY)

        journal.parts.close_attempt(part, outcome)

    assert entries(path) == [("reserve", "job_a", 1, 6_000_000)]


def test_a_batch_that_was_refused_whole_keeps_what_is_reserved_for_the_next(tmp_path: Path) -> None:
    """It ran nothing and is made again as soon as there is room at the provider."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        part = submitted(journal, "job_a", "6").parts[0]
        journal.parts.open_attempt(part, "nonce-1", share=part.ceiling_usd, limits=TEN_A_DAY)
        journal.parts.close_attempt(replace(part, batch_id="batch-1"), "created")

        journal.parts.close_attempt(part, "void")
        journal.parts.open_attempt(part, "nonce-2", share=part.ceiling_usd, limits=TEN_A_DAY)

    assert entries(path) == [("reserve", "job_a", 1, 6_000_000)]


def test_a_part_that_is_given_up_after_it_was_refused_gives_back_everything(tmp_path: Path) -> None:
    """It ran nothing, and will not be sent again."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        part = submitted(journal, "job_a", "6").parts[0]
        journal.parts.open_attempt(part, "nonce-1", share=part.ceiling_usd, limits=TEN_A_DAY)
        journal.parts.close_attempt(replace(part, batch_id="batch-1"), "created")

        journal.parts.close_attempt(replace(part, state="failed", batch_id="batch-1"), "void")

    assert entries(path)[1:] == [("release", "job_a", 1, 6_000_000)]


def test_an_attempt_that_there_is_no_money_for_is_not_opened(tmp_path: Path) -> None:
    """Another job has taken what this one gave back: nothing may be sent, and nothing says that it was."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        part = submitted(journal, "job_a", "6").parts[0]
        journal.parts.open_attempt(part, "nonce-1", share=part.ceiling_usd, limits=TEN_A_DAY)
        journal.parts.close_attempt(part, "refused")
        submitted(journal, "job_b", "5")
        before, events = journal.job("job_a"), journal.events.of("job_a")

        with pytest.raises(OverLimit, match="All jobs together"):
            journal.parts.open_attempt(part, "nonce-2", share=part.ceiling_usd, limits=TEN_A_DAY)

        assert journal.job("job_a") == before
        assert journal.events.of("job_a") == events
        assert journal.attempts.open_nonce(part) is None
    assert taken(path) == 5


def test_a_part_that_is_sent_again_by_the_users_word_is_paid_for_twice(tmp_path: Path) -> None:
    """Nobody could find the first batch, which may have been made: it counts, and as much again was agreed to."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        part = submitted(journal, "job_a", "4").parts[0]
        journal.parts.open_attempt(part, "nonce-1", share=part.ceiling_usd, limits=TEN_A_DAY)
        journal.parts.close_attempt(part, "resent")

        journal.parts.open_attempt(part, "nonce-2", share=part.ceiling_usd, limits=TEN_A_DAY)

        assert journal.job("job_a").agreed_usd == 8
    assert taken(path) == 8


def test_an_attempt_for_a_job_that_nobody_agreed_to_takes_nothing(tmp_path: Path) -> None:
    """Before the user has said yes, nothing is sent."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        journal.add_job(priced_job("job_a", "1"))

        with pytest.raises(OverLimit, match=r"\$0\.00 was agreed"):
            journal.parts.open_attempt(journal.job("job_a").parts[0], "nonce", share=Decimal(1), limits=TEN_A_DAY)

        assert journal.attempts.open_nonce(journal.job("job_a").parts[0]) is None
    assert entries(path) == []


def test_the_pieces_of_a_part_have_what_was_reserved_for_it(tmp_path: Path) -> None:
    """A part that is cut into smaller ones costs no more and no less, and no other job gets in between."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        made = submitted(journal, "job_a", "3", "1")
        whole = replace(made.parts[0], requests=3)
        cheap, dear = replace(whole, number=3, requests=2), replace(whole, number=4, requests=1)
        pieces = [replace(cheap, ceiling_usd=Decimal(1)), replace(dear, ceiling_usd=Decimal(2))]

        journal.parts.split(whole, pieces)

        assert [(part.number, part.state) for part in journal.job("job_a").running_parts] == [
            (2, "uploaded"),
            (3, "uploaded"),
            (4, "uploaded"),
        ]
    assert entries(path)[2:] == [
        ("release", "job_a", 1, 3_000_000),
        ("reserve", "job_a", 3, 1_000_000),
        ("reserve", "job_a", 4, 2_000_000),
    ]


def test_a_piece_that_is_refused_for_now_can_be_sent_again(tmp_path: Path) -> None:
    """Of two pieces one may be much dearer than the other; together they cost what the whole did."""
    path = tmp_path / "journal.db"
    with opened(path) as journal:
        whole = submitted(journal, "job_a", "2").parts[0]
        pieces = [
            replace(whole, number=number, requests=1, ceiling_usd=Decimal(ceiling))
            for number, ceiling in ((2, "1.8"), (3, "0.2"))
        ]
        journal.parts.split(whole, pieces)
        journal.parts.open_attempt(pieces[0], "nonce-1", share=pieces[0].ceiling_usd, limits=TEN_A_DAY)
        journal.parts.close_attempt(pieces[0], "refused")

        journal.parts.open_attempt(pieces[0], "nonce-2", share=pieces[0].ceiling_usd, limits=TEN_A_DAY)

        assert journal.attempts.open_nonce(pieces[0]) == "nonce-2"
    assert taken(path) == 2


def test_the_day_says_when_there_is_room_again(tmp_path: Path) -> None:
    """The user can be told to come back, and when."""
    path, machine = tmp_path / "journal.db", Machine()
    with opened(path, machine) as journal:
        for job_id, cost in (("job_a", "4"), ("job_b", "3"), ("job_c", "2")):
            made = submitted(journal, job_id, cost)
            journal.parts.save(ended(made.parts[0], cost))
            machine.go_on(timedelta(hours=1))
        submitted(journal, "job_d", "1")

        sentences: list[str] = []
        for job_id, most in (
            ("job_e", "1"),
            ("job_f", "4"),
            ("job_g", "4.01"),
            ("job_h", "9"),
            ("job_i", "9.01"),
            ("job_j", "20"),
        ):
            journal.add_job(priced_job(job_id, most))
            with pytest.raises(OverLimit) as caught:
                agreed(journal, journal.job(job_id))
            sentences.append(str(caught.value))

    assert sentences[0] == (
        "All jobs together may cost $10.00 within 24 hours, of which $10.00 is taken; this would take up to $1.00. "
        "There is room again at 2026-11-04T12:00+00:00: submit it then, or have BATCHWRIGHT_MAX_DAY_USD raised."
    )
    advice = [sentence.split(". ", 1)[1].split(",")[0] for sentence in sentences]
    assert advice == [
        "There is room again at 2026-11-04T12:00+00:00: submit it then",
        "There is room again at 2026-11-04T12:00+00:00: submit it then",
        "There is room again at 2026-11-04T13:00+00:00: submit it then",
        "There is room again at 2026-11-04T14:00+00:00: submit it then",
        "Wait until running jobs have ended and their real cost is known",
        "Draft it with fewer rows",
    ]


def test_when_there_is_said_to_be_room_there_is(tmp_path: Path) -> None:
    """Who comes back on the minute must not be sent away again."""
    path, machine = tmp_path / "journal.db", Machine(START + timedelta(seconds=59))
    with opened(path, machine) as journal:
        made = submitted(journal, "job_a", "10")
        journal.parts.save(ended(made.parts[0], "10"))
        journal.add_job(priced_job("job_b", "1"))
        with pytest.raises(OverLimit) as caught:
            agreed(journal, journal.job("job_b"))
        said = str(caught.value).split("room again at ")[1].split(": ")[0]

        machine.go_on(datetime.fromisoformat(said) - machine.at)

        assert agreed(journal, journal.job("job_b"))


@pytest.mark.parametrize("moved", [YEARS, DAYS, timedelta()], ids=["forward", "back", "not at all"])
def test_the_limit_of_a_day_is_no_longer_and_no_shorter_for_a_clock_that_was_set(
    tmp_path: Path, moved: timedelta
) -> None:
    """Who sets the clock ten years forward gets no new money; who sets it back does not wait for 400 days."""
    path, machine = tmp_path / "journal.db", Machine()
    with opened(path, machine) as journal:
        made = submitted(journal, "job_a", "10")
        journal.parts.save(ended(made.parts[0], "10"))
        machine.at += moved
        journal.add_job(priced_job("job_b", "0.01"))

        for time in (timedelta(), timedelta(hours=23, minutes=59, seconds=59)):
            machine.go_on(time)
            with pytest.raises(OverLimit):
                agreed(journal, journal.job("job_b"))
        machine.go_on(timedelta(seconds=1))

        assert agreed(journal, journal.job("job_b"))


def test_when_there_is_room_is_said_by_the_clock_as_it_is_set_now(tmp_path: Path) -> None:
    """It is the one that the user looks at."""
    path, machine = tmp_path / "journal.db", Machine()
    with opened(path, machine) as journal:
        made = submitted(journal, "job_a", "10")
        journal.parts.save(ended(made.parts[0], "10"))
        machine.go_on(timedelta(hours=23))
        machine.at = datetime(2025, 1, 1, 9, 30, tzinfo=UTC)
        journal.add_job(priced_job("job_b", "1"))

        with pytest.raises(OverLimit, match=r"There is room again at 2025-01-01T10:30\+00:00: "):
            agreed(journal, journal.job("job_b"))


def test_a_restart_of_the_machine_frees_nothing(tmp_path: Path) -> None:
    """Its own clock begins anew, and nobody knows for how long it was off: 24 hours that it runs are enough."""
    path, machine = tmp_path / "journal.db", Machine()
    with opened(path, machine) as journal:
        made = submitted(journal, "job_a", "10")
        journal.parts.save(ended(made.parts[0], "10"))
    machine.restart()
    with opened(path, machine) as journal:
        journal.add_job(priced_job("job_b", "1"))

        machine.go_on(timedelta(hours=23))
        with pytest.raises(OverLimit):
            agreed(journal, journal.job("job_b"))
        machine.at -= timedelta(days=400)
        with pytest.raises(OverLimit):
            agreed(journal, journal.job("job_b"))
        machine.go_on(timedelta(hours=1))

        assert agreed(journal, journal.job("job_b"))


def test_what_is_reserved_counts_for_as_long_as_the_job_runs(tmp_path: Path) -> None:
    """A batch may end after more than a day: its cost is one of the day on which it ends."""
    path, machine = tmp_path / "journal.db", Machine()
    with opened(path, machine) as journal:
        made = submitted(journal, "job_a", "10")
        journal.add_job(priced_job("job_b", "1"))

        machine.go_on(timedelta(days=3))
        with pytest.raises(OverLimit, match="Wait until running jobs have ended"):
            agreed(journal, journal.job("job_b"))
        journal.parts.save(ended(made.parts[0], "10"))
        machine.go_on(timedelta(hours=12))
        with pytest.raises(OverLimit, match="There is room again at "):
            agreed(journal, journal.job("job_b"))
        machine.go_on(timedelta(hours=12))

        assert agreed(journal, journal.job("job_b"))


@pytest.mark.parametrize("moved", [YEARS, DAYS], ids=["forward", "back"])
def test_an_attempt_looks_no_older_for_a_clock_that_was_set(tmp_path: Path, moved: timedelta) -> None:
    """Its batch may still show up: only time that went by makes it likely that there is none."""
    path, machine = tmp_path / "journal.db", Machine()
    with opened(path, machine) as journal:
        part = submitted(journal, "job_a", "1").parts[0]
        before = journal.attempts.seconds_open(part)
        journal.parts.open_attempt(part, "nonce", share=part.ceiling_usd, limits=TEN_A_DAY)

        machine.at += moved
        machine.go_on(timedelta(seconds=7))
        after_a_while = journal.attempts.seconds_open(part)
        journal.parts.close_attempt(part, "not_sent")

        assert (before, after_a_while, journal.attempts.seconds_open(part)) == (0.0, 7.0, 0.0)


def test_an_attempt_that_was_open_over_a_restart_is_as_old_as_the_restart(tmp_path: Path) -> None:
    """The wall clock may have been set meanwhile."""
    path, machine = tmp_path / "journal.db", Machine()
    with opened(path, machine) as journal:
        part = submitted(journal, "job_a", "1").parts[0]
        journal.parts.open_attempt(part, "nonce", share=part.ceiling_usd, limits=TEN_A_DAY)
    machine.restart()
    with opened(path, machine) as journal:
        machine.go_on(timedelta(minutes=5))
        machine.at += YEARS

        assert journal.attempts.seconds_open(part) == 300.0


DOLLARS = st.decimals(0, 6, places=2)
STEPS = st.lists(st.tuples(DOLLARS, st.none() | st.just("refused") | st.floats(0, 1), st.integers(0, 16)), max_size=12)


@settings(max_examples=60)
@given(steps=STEPS)
def test_whatever_is_submitted_no_24_hours_cost_more_than_the_limit(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[Decimal, str | float | None, int]],
) -> None:
    """Jobs end, are refused, or run on, while hours go by; none costs more than it was let."""
    path, machine = tmp_path_factory.mktemp("ledger") / "journal.db", Machine()
    running: dict[str, Decimal] = {}
    spent: list[tuple[datetime, Decimal]] = []
    with opened(path, machine) as journal:
        for number, (most, end, hours) in enumerate(steps):
            journal.add_job(priced_job(f"job_{number}", str(most)))
            part = journal.job(f"job_{number}").parts[0]
            day_ago = machine.at - timedelta(hours=24)
            paid = sum((amount for at, amount in spent if at > day_ago), Decimal(0))
            fits = paid + sum(running.values(), Decimal(0)) + most <= 10
            try:
                agreed(journal, journal.job(f"job_{number}"))
                was_agreed = True
            except OverLimit:
                was_agreed = False
            assert was_agreed == fits
            if was_agreed and isinstance(end, float):
                cost = (most * Decimal(end)).quantize(Decimal("1e-6"))
                journal.parts.save(ended(part, str(cost)))
                spent.append((machine.at, cost))
            elif was_agreed and end == "refused":
                journal.parts.save(replace(part, state="failed"))
            elif was_agreed:
                running[part.job_id] = most
            machine.go_on(timedelta(hours=hours))
