"""Wherever Batchwright is killed, and whatever the provider does meanwhile, nothing is sent or paid for twice, or lost.

One field of each stage is tried each time, and the most delicate ones with the slow tests.
`python -m tests.crash.matrix` tries all fields.
"""

import pytest

from tests.crash.matrix import Case, fast_cases, few_cases, tried
from tests.support.systems import needs_signals

pytestmark = needs_signals

CASES = [
    *(pytest.param(case, id=str(case)) for case in few_cases()),
    *(pytest.param(case, id=str(case), marks=pytest.mark.slow) for case in fast_cases() if case not in few_cases()),
]


@pytest.mark.parametrize("case", CASES)
def test_a_job_that_is_cut_off_is_brought_to_its_end_once(case: Case) -> None:
    """The process is dead before it can clean up: only what it wrote down, and what the provider shows, is left."""
    outcome = tried(case)

    assert not outcome.problems, str(outcome)
