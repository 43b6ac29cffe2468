"""How long ago something was: nobody makes it longer or shorter by setting the clock."""

from datetime import timedelta

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.clock import ToldTime, Uptime, seconds_between, uptime
from tests.support.systems import needs_named_runs
from tests.support.values import START


def test_within_one_run_of_the_machine_its_own_clock_counts() -> None:
    """It does not jump, whatever the wall clock is set to."""
    assert seconds_between(Uptime("boot-1", 1_000.0), Uptime("boot-1", 1_060.5)) == 60.5


def test_across_a_restart_only_the_time_since_it_counts() -> None:
    """Nobody can tell for how long the machine was off."""
    assert seconds_between(Uptime("boot-1", 9_000.0), Uptime("boot-2", 5.0)) == 5.0
    assert seconds_between(Uptime("boot-1", 5.0), Uptime("boot-2", 9_000.0)) == 9_000.0


@pytest.mark.parametrize(("before", "after"), [(None, None), (None, "boot-1"), ("boot-1", None), ("", "")])
def test_where_runs_cannot_be_told_apart_no_more_counts_than_went_by_in_either_case(
    before: str | None, after: str | None
) -> None:
    """So it is on Windows."""
    assert seconds_between(Uptime(before, 9_000.0), Uptime(after, 5.0)) == 5.0
    assert seconds_between(Uptime(before, 9_000.0), Uptime(after, 9_060.0)) == 60.0


UPTIMES = st.builds(Uptime, st.sampled_from([None, "boot-1", "boot-2"]), st.floats(0, 1e9))


@given(one=UPTIMES, other=UPTIMES)
def test_no_time_that_went_by_is_negative_or_longer_than_the_machine_runs(one: Uptime, other: Uptime) -> None:
    """However both clocks were set."""
    assert 0.0 <= seconds_between(one, other) <= other.seconds
    assert seconds_between(one, one) == 0.0


@pytest.mark.anyio
@pytest.mark.parametrize("date", ["Tue, 03 Nov 2026 12:00:00 GMT", "Tue, 03 Nov 2026 13:00:00 +0100"])
async def test_a_server_tells_the_time_which_goes_on(date: str) -> None:
    """It is asked seldom, and the time is wanted often."""
    told = ToldTime()
    before = told.now()
    await told.listen(httpx2.Response(200, headers={"Date": date}))
    now = told.now()

    assert before is None
    assert now is not None
    assert START <= now < START + timedelta(seconds=10)


@pytest.mark.anyio
@pytest.mark.parametrize("headers", [{}, {"Date": "soon"}, {"Date": "Tue, 99 Nov 2026 12:00:00 GMT"}])
async def test_a_server_that_tells_no_time_tells_none(headers: dict[str, str]) -> None:
    """What cannot be read is not guessed."""
    told = ToldTime()
    await told.listen(httpx2.Response(200, headers=headers))

    assert told.now() is None


def test_the_machines_own_clock_never_goes_back() -> None:
    """It is looked at in the order in which things happen."""
    looks = [uptime() for _ in range(1_000)]

    assert {look.boot for look in looks} == {looks[0].boot}
    assert [look.seconds for look in looks] == sorted(look.seconds for look in looks)


@needs_named_runs
def test_the_run_of_the_machine_has_a_name() -> None:
    """Without one, a restart could not be told from a clock that was set."""
    assert uptime().boot
    assert uptime().seconds > 0
