"""Who sets clocks, or has a provider tell any time, gets no new day: 24 hours have to go by."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from batchwright.core.model import Job, Part, ProviderInfo, Recipe, Source
from batchwright.journal.journal import Journal
from tests.support.journals import TEN_A_DAY, Machine, opened
from tests.support.openai_server import OpenAIServer
from tests.support.session import in_memory, openai_environment
from tests.support.values import START

HOUR, YEARS = timedelta(hours=1), timedelta(days=3653)


def spend(journal: Journal) -> None:
    """Spend all of the day on a job."""
    part = Part("job_a", 1, "verified", "", 9, 2, batch_id="batch_a", ceiling_usd=Decimal(10), cost_usd=Decimal(10))
    source, recipe = Source("t.csv", "csv", ("text",), 2), Recipe("/v1/chat/completions", "m", "{{text}}")
    provider = ProviderInfo("service", "api.example.com", "m", charges="batch")
    journal.add_job(Job("job_a", START, source, recipe, provider, parts=(part,)))
    journal.agree(journal.job("job_a"), {1: Decimal(10)}, agreed_usd=Decimal(10), limits=TEN_A_DAY)
    journal.parts.save(part)


@pytest.mark.parametrize("tells_runs", [True, False])
def test_a_clock_set_forward_frees_nothing(tmp_path: Path, tells_runs: bool) -> None:  # noqa: FBT001  # a value of the table
    """Neither at once nor after a restart, and also where the system does not tell its runs apart."""
    machine = Machine(tells_runs=tells_runs)
    with opened(tmp_path / "journal.db", machine) as journal:
        spend(journal)
        machine.at += YEARS
        at_once = journal.ledger.taken_of_day()
    machine.restart(timedelta(minutes=1))
    with opened(tmp_path / "journal.db", machine) as journal:
        machine.go_on(timedelta(minutes=1))

        assert (at_once, journal.ledger.taken_of_day()) == (Decimal(10), Decimal(10))


@pytest.mark.parametrize("tells_runs", [True, False])
def test_a_day_with_the_machine_on_is_enough(tmp_path: Path, tells_runs: bool) -> None:  # noqa: FBT001  # a value of the table
    """Whatever its clocks say, and though it is switched off every evening."""
    machine = Machine(tells_runs=tells_runs)
    with opened(tmp_path / "journal.db", machine) as journal:
        spend(journal)
    for _ in range(3):
        machine.at -= YEARS
        machine.restart(16 * HOUR)
        with opened(tmp_path / "journal.db", machine) as journal:
            before = journal.ledger.taken_of_day()
            journal.elapsed.keep(None)
            machine.go_on(8 * HOUR)
            journal.elapsed.keep(None)

        assert before == Decimal(10)

    with opened(tmp_path / "journal.db", machine) as journal:
        assert journal.ledger.taken_of_day() == Decimal(0)


def test_the_night_counts_when_the_provider_tells_the_time(tmp_path: Path) -> None:
    """Whoever comes back the next day does not have to wait."""
    machine = Machine()
    with opened(tmp_path / "journal.db", machine) as journal:
        spend(journal)
        journal.elapsed.keep(machine.told)
    machine.restart(24 * HOUR)
    with opened(tmp_path / "journal.db", machine) as journal:
        before = journal.ledger.taken_of_day()
        journal.elapsed.keep(machine.told)

        assert (before, journal.ledger.taken_of_day()) == (Decimal(10), Decimal(0))


@pytest.mark.parametrize("tells_runs", [True, False])
@pytest.mark.parametrize("moved", ["at", "told"])
def test_one_clock_alone_frees_nothing(tmp_path: Path, moved: str, tells_runs: bool) -> None:  # noqa: FBT001  # a value of the table
    """A user may set the one, and a provider the other."""
    machine = Machine(tells_runs=tells_runs)
    with opened(tmp_path / "journal.db", machine) as journal:
        spend(journal)
        journal.elapsed.keep(machine.told)
        setattr(machine, moved, START + YEARS)
        machine.go_on(HOUR)
        journal.elapsed.keep(machine.told)
        within_a_run = journal.ledger.taken_of_day()
        setattr(machine, moved, START - YEARS)
        machine.go_on(HOUR)
        journal.elapsed.keep(machine.told)
    machine.restart(HOUR)
    setattr(machine, moved, START + YEARS)
    with opened(tmp_path / "journal.db", machine) as journal:
        journal.elapsed.keep(machine.told)

        assert (within_a_run, journal.ledger.taken_of_day()) == (Decimal(10), Decimal(10))


def test_a_provider_cannot_end_a_day_within_a_run_of_the_machine(tmp_path: Path) -> None:
    """Its own clock knows better, also where user and provider agree."""
    machine = Machine()
    with opened(tmp_path / "journal.db", machine) as journal:
        spend(journal)
        journal.elapsed.keep(machine.told)
        machine.at, machine.told = START + YEARS, START + YEARS
        machine.go_on(HOUR)
        journal.elapsed.keep(machine.told)

        assert journal.ledger.taken_of_day() == Decimal(10)


def test_what_was_spent_before_an_upgrade_is_as_old_as_it_was(tmp_path: Path) -> None:
    """Neither does last month count once more, nor is this morning forgotten."""
    machine = Machine(at=datetime.now(UTC))
    with opened(tmp_path / "journal.db", machine) as journal:
        spend(journal)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        for statement in (
            *(f"DROP TABLE {name}" for name in ("elapsed", "identity", "look", "pause", "fetch", "tightened_limit")),
            "ALTER TABLE part DROP COLUMN expires_at",
            "ALTER TABLE part DROP COLUMN problem",
            "ALTER TABLE ledger DROP COLUMN elapsed",
            "ALTER TABLE trial DROP COLUMN elapsed",
            "PRAGMA user_version = 4",
        ):
            db.execute(statement)
        long_ago, lately = (machine.at - age for age in (30 * 24 * HOUR, 5 * HOUR))
        for at, amount in ((long_ago, 3_000_000), (lately, 2_000_000)):
            db.execute(
                "INSERT INTO trial (at, boot, uptime, job_id, microusd) VALUES (?, 'run-0', 5.0, 'job_b', ?)",
                (at.isoformat(), amount),
            )
        db.commit()
    with opened(tmp_path / "journal.db", machine) as journal:
        now = journal.ledger.taken_of_day()
        journal.elapsed.keep(None)
        machine.go_on(20 * HOUR)

        assert (now, journal.ledger.taken_of_day()) == (Decimal(12), Decimal(10))


async def kept(tmp_path: Path) -> tuple[str | None, str | None]:
    """Give what the journal keeps of the provider's time and the wall clock's."""
    with closing(sqlite3.connect(tmp_path / "data" / "journal.db")) as db:
        return db.execute("SELECT told_at, told_wall FROM elapsed").fetchone() or (None, None)


@pytest.mark.anyio
async def test_the_time_that_the_provider_tells_is_kept(tmp_path: Path, server: OpenAIServer) -> None:
    """Each of its answers has a date."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        await session.call("create_batch_file", rows=[{"n": 1}], prompt="{{n}}", model="gpt-5-mini")
        with anyio.fail_after(30):
            while (await kept(tmp_path))[0] is None:
                await session.call("list_jobs")
        told, wall = await kept(tmp_path)

    assert told is not None
    assert wall is not None
    assert abs(datetime.fromisoformat(told) - datetime.fromisoformat(wall)) < timedelta(seconds=30)
