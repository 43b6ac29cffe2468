"""Wherever Batchwright is killed, and whatever the provider does meanwhile, nothing is sent or paid for twice, or lost.

These are the most delicate fields of the matrix; `python -m tests.crash.matrix` tries all of them.
"""

import os
import signal
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.crash.matrix import Case, Outcome, fast_cases, tried

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes cannot be killed so on this system")

WAIT_SECONDS = 600


@pytest.fixture(scope="module")
def outcome_of(request: pytest.FixtureRequest) -> Generator[Callable[[Case], Outcome]]:
    """Try all cases that were asked for, several at a time; give what became of one."""
    names = {item.name.partition("[")[2].removesuffix("]") for item in request.session.items}
    pool = ThreadPoolExecutor((os.cpu_count() or 1) + 2)
    futures = {case: pool.submit(tried, case) for case in fast_cases() if str(case) in names}
    yield lambda case: futures[case].result(WAIT_SECONDS)
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("case", fast_cases(), ids=str)
def test_a_job_that_is_cut_off_is_brought_to_its_end_once(case: Case, outcome_of: Callable[[Case], Outcome]) -> None:
    """The process is dead before it can clean up: only what it wrote down, and what the provider shows, is left."""
    outcome = outcome_of(case)

    assert not outcome.problems, str(outcome)
