"""What it costs to try requests: counted before they are sent, within the operator's limits, and settled afterwards."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.errors import InvalidInput, OverLimit, SubmissionsFrozen
from batchwright.core.model import SpendingLimits
from batchwright.costs.spending import trial_budget, trial_question
from tests.costs.test_spending import job as job_of
from tests.costs.test_spending import part
from tests.support.journals import TEN_A_DAY, Machine, opened, priced_job


def test_a_trial_counts_with_its_most_until_its_cost_is_known(tmp_path: Path) -> None:
    """Whoever is killed meanwhile has spent it, as far as anybody knows."""
    with opened(tmp_path / "j.db") as journal:
        journal.add_job(priced_job("job_a", "1"))
        number = journal.trials.open("job_a", Decimal(9), TEN_A_DAY)
        with pytest.raises(OverLimit, match=r"of which \$9.00 is taken; this would take up to \$2.00"):
            journal.trials.open("job_a", Decimal(2), TEN_A_DAY)
        journal.trials.settle(number, Decimal("0.5"))
        journal.trials.open("job_a", Decimal(2), TEN_A_DAY)


def test_jobs_and_trials_share_the_day(tmp_path: Path) -> None:
    """The operator's limit is one."""
    made = priced_job("job_a", "4", "4")
    with opened(tmp_path / "j.db") as journal:
        journal.add_job(made)
        journal.trials.open("job_a", Decimal(3), TEN_A_DAY)
        shares = {each.number: Decimal(4) for each in made.parts}
        with pytest.raises(OverLimit, match="All jobs together"):
            journal.agree(made, shares, agreed_usd=Decimal(8), limits=TEN_A_DAY)
    with opened(tmp_path / "k.db") as journal:
        journal.add_job(made)
        journal.agree(made, shares, agreed_usd=Decimal(8), limits=TEN_A_DAY)
        with pytest.raises(OverLimit, match="All jobs together"):
            journal.trials.open("job_a", Decimal(3), TEN_A_DAY)
        journal.trials.open("job_a", Decimal(2), TEN_A_DAY)


def test_a_job_and_its_trials_share_the_limit_of_a_job(tmp_path: Path) -> None:
    """What was agreed for the job stays as it was: the trial is beside it."""
    limits = SpendingLimits(job_usd=Decimal(5))
    made = priced_job("job_a", "4")
    with opened(tmp_path / "j.db") as journal:
        journal.add_job(made)
        journal.add_job(priced_job("job_b", "4"))
        journal.trials.open("job_a", Decimal(1), limits)
        journal.trials.open("job_b", Decimal(5), limits)
        with pytest.raises(OverLimit, match=r"job_a may cost up to \$5.50, and the operator allows \$5.00 a job"):
            journal.trials.open("job_a", Decimal("4.5"), limits)
        assert journal.agree(made, {1: Decimal(4)}, agreed_usd=Decimal(4), limits=limits)


def test_a_trial_is_forgotten_by_the_limit_after_a_day_whatever_the_clock_says(tmp_path: Path) -> None:
    """Nobody has to come back for it, and nobody gets room by setting the clock."""
    machine = Machine()
    with opened(tmp_path / "j.db", machine) as journal:
        journal.trials.open("job_a", Decimal(9), TEN_A_DAY)
        machine.at += timedelta(days=400)
        with pytest.raises(OverLimit):
            journal.trials.open("job_a", Decimal(2), TEN_A_DAY)
        machine.go_on(timedelta(hours=24))
        journal.trials.open("job_a", Decimal(2), TEN_A_DAY)


def test_nothing_is_tried_while_nothing_may_be_submitted(tmp_path: Path) -> None:
    """The journal was lost, say: what was spent today is not known."""
    with opened(tmp_path / "j.db") as journal:
        journal.freezes.add("The journal was lost.")
        with pytest.raises(SubmissionsFrozen, match="The journal was lost"):
            journal.trials.open("job_a", Decimal(1), TEN_A_DAY)
        journal.freezes.lift()
        journal.trials.open("job_a", Decimal(1), TEN_A_DAY)


def test_a_draft_that_was_tried_can_be_recorded_anew(tmp_path: Path) -> None:
    """Its trial was paid all the same."""
    limits = SpendingLimits(job_usd=Decimal(5))
    with opened(tmp_path / "j.db") as journal:
        drafted = priced_job("job_a", "4")
        journal.add_job(drafted)
        journal.trials.open("job_a", Decimal(3), limits)
        journal.forget_draft(drafted)
        journal.add_job(priced_job("job_a", "4"))
        with pytest.raises(OverLimit, match="job_a may cost up to"):
            journal.trials.open("job_a", Decimal(3), limits)


@given(ceilings=st.lists(st.decimals(0, 1, places=6), min_size=1, max_size=80), most=st.decimals(0, 100, places=6))
def test_a_trial_that_can_be_bounded_is_agreed_only_up_to_the_maximum(ceilings: list[Decimal], most: Decimal) -> None:
    """What is agreed is enough for all requests at their longest, and never more than was said."""
    made = job_of(part(1, "1"))
    try:
        agreed = trial_budget(made, ceilings, most)
    except OverLimit:
        assert sum(ceilings) > most
    else:
        assert agreed.total_usd == sum(ceilings) <= most
        assert agreed.is_bounded


def test_what_cannot_be_bounded_is_shared_out(tmp_path: Path) -> None:
    """Each request of unknown cost counts with its share of what was agreed."""
    made = job_of(part(1, None))
    agreed = trial_budget(made, [None, Decimal("0.1"), None], Decimal("0.30"))

    assert (agreed.is_bounded, agreed.total_usd) == (False, Decimal("0.30"))
    assert agreed.shares == {0: Decimal("0.1"), 1: Decimal("0.1"), 2: Decimal("0.1")}
    for nothing in (None, Decimal(0)):
        with pytest.raises(InvalidInput, match="pass that as max_cost_usd"):
            trial_budget(made, [None], nothing)
    assert trial_budget(job_of(part(1, None), charges="nothing"), [None], None).agreed_usd is None


def test_the_question_names_what_is_sent_where_and_for_how_much() -> None:
    """What a person needs to say yes."""
    made = job_of(part(1, "1"))
    agreed = trial_budget(made, [Decimal(1), Decimal("0.5")], Decimal(2))

    assert trial_question(made, ["gpt-5-mini", "gpt-5", "gpt-5-mini"], agreed) == (
        "Spend at most $1.50 to try job_a? It sends 2 requests now to 'gpt-5-mini', 'gpt-5' at 'api.openai.com'."
    )
