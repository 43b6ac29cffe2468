"""How long ago something was: nobody makes it longer or shorter by setting the clock."""

import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.clock import Moment, Uptime, seconds_between, uptime

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


@pytest.mark.parametrize("moved", [timedelta(days=3653), timedelta(days=-400), timedelta()])
def test_within_one_run_of_the_machine_its_own_clock_counts(moved: timedelta) -> None:
    """Ten years forward would free a day's money and send again what was sent a second ago."""
    earlier = Moment(NOON, Uptime("boot-1", 1_000.0))
    later = Moment(NOON + moved, Uptime("boot-1", 1_060.5))

    assert seconds_between(earlier, later) == 60.5


@pytest.mark.parametrize(
    ("before", "after"), [("boot-1", "boot-2"), (None, None), (None, "boot-1"), ("boot-1", None), ("", "")]
)
def test_across_a_restart_the_wall_clock_is_all_there_is(before: str | None, after: str | None) -> None:
    """The machine's own clock begins anew, so that its difference would be any number."""
    earlier = Moment(NOON, Uptime(before, 9_000.0))
    later = Moment(NOON + timedelta(hours=2), Uptime(after, 5.0))

    assert seconds_between(earlier, later) == 7_200.0


def test_a_clock_that_was_set_back_over_a_restart_makes_nothing_older() -> None:
    """What is too young is only waited for; what is too old would be sent again."""
    earlier = Moment(NOON, Uptime("boot-1", 9_000.0))
    later = Moment(NOON - timedelta(days=400), Uptime("boot-2", 5.0))

    assert seconds_between(earlier, later) == 0.0


def test_the_zone_of_a_clock_does_not_matter() -> None:
    """The journal may be written in winter and read in summer."""
    summer = NOON.astimezone(datetime.strptime("+0200", "%z").tzinfo)

    assert seconds_between(Moment(NOON, Uptime(None, 0.0)), Moment(summer, Uptime(None, 0.0))) == 0.0


UPTIMES = st.builds(Uptime, st.sampled_from([None, "boot-1", "boot-2"]), st.floats(0, 1e9))
MOMENTS = st.builds(Moment, st.datetimes(timezones=st.just(UTC)), UPTIMES)


@given(one=MOMENTS, other=MOMENTS)
def test_no_time_that_went_by_is_negative(one: Moment, other: Moment) -> None:
    """However both clocks were set."""
    assert seconds_between(one, other) >= 0.0
    assert seconds_between(one, one) == 0.0


def test_the_machines_own_clock_never_goes_back() -> None:
    """It is looked at in the order in which things happen."""
    looks = [uptime() for _ in range(1_000)]

    assert {look.boot for look in looks} == {looks[0].boot}
    assert [look.seconds for look in looks] == sorted(look.seconds for look in looks)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which start of the machine it is")
def test_the_run_of_the_machine_has_a_name() -> None:
    """Without one, a restart could not be told from a clock that was set."""
    assert uptime().boot
    assert uptime().seconds > 0
