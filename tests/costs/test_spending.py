"""What a job may cost: never more than the user and the operator let it, and never 0 for want of a price."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batchwright.core.errors import InvalidInput, OverLimit
from batchwright.core.model import Charges, Job, Part, ProviderInfo, Recipe, Source, SpendingLimits
from batchwright.core.money import microusd, usd
from batchwright.costs.spending import Budget, ceiling_usd, job_budget, question

LIMITS = SpendingLimits(job_usd=Decimal(25))


def part(number: int, ceiling: Decimal | str | None, requests: int = 2) -> Part:
    """Give a part that may cost at most *ceiling* US dollars."""
    return Part("job_a", number, "built", "", 1, requests, ceiling_usd=None if ceiling is None else Decimal(ceiling))


def job(*parts: Part, charges: Charges = "batch") -> Job:
    """Give a draft of *parts*."""
    return Job(
        id="job_a",
        created_at=datetime(2026, 11, 3, tzinfo=UTC),
        source=Source("reviews.csv", "csv", ("text",), sum(part.requests for part in parts)),
        recipe=Recipe("/v1/chat/completions", "gpt-5-mini", "{{text}}"),
        provider=ProviderInfo("service", "api.openai.com", "gpt-5-mini", charges=charges),
        parts=parts,
    )


def agreed(made: Job, most: str | None = None, limits: SpendingLimits = LIMITS) -> Budget:
    """Say what the job may cost, where the user let it cost *most*."""
    return job_budget(made, made.parts, None if most is None else Decimal(most), limits)


def test_what_is_free_needs_no_word() -> None:
    """A model on this machine runs whatever the limits are."""
    made = job(part(1, None), charges="nothing")

    assert agreed(made, limits=SpendingLimits(job_usd=Decimal(0))) == Budget(None, {}, is_bounded=True)


@pytest.mark.parametrize(("most", "agreed_usd"), [(None, "1.75"), ("3", "3")])
def test_each_part_reserves_the_most_that_it_may_cost_and_no_more(most: str | None, agreed_usd: str) -> None:
    """A higher maximum of the user leaves room for what has to be sent again; until then other jobs may have it."""
    found = agreed(job(part(1, "1.25"), part(2, "0.5")), most)

    assert found == Budget(Decimal(agreed_usd), {1: Decimal("1.25"), 2: Decimal("0.5")}, is_bounded=True)
    assert found.total_usd == Decimal("1.75")


def test_a_maximum_above_the_operators_limit_does_not_stop_a_job_that_costs_less() -> None:
    """Whoever says that money does not matter still pays only what the job costs."""
    assert agreed(job(part(1, "1.25")), "1000").shares == {1: Decimal("1.25")}


def test_nothing_is_no_maximum_for_what_nothing_bounds() -> None:
    """With a share of 0 it would pass every limit."""
    with pytest.raises(InvalidInput, match="pass that as max_cost_usd"):
        agreed(job(part(1, None)), "0")


def test_a_limit_may_be_reached_exactly() -> None:
    """A user who is told $25.00 agrees to $25.00."""
    made = job(part(1, "20"), part(2, "5"))

    assert agreed(made, "25").agreed_usd == agreed(made).agreed_usd == 25


def test_more_than_the_user_lets_it_cost_is_refused_in_a_sentence() -> None:
    """Nothing is sent for a part of the money."""
    with pytest.raises(OverLimit) as caught:
        agreed(job(part(1, "1.25"), part(2, "0.5")), "1.74")

    assert str(caught.value) == (
        "job_a may cost up to $1.75, above max_cost_usd $1.74. Nothing was sent. "
        "Ask the user for more, or draft it with fewer rows, shorter answers or a cheaper model, which compare_costs "
        "finds."
    )


@pytest.mark.parametrize(
    ("ceiling", "most", "cost"), [("25.01", None, "$25.01"), ("25.01", "1000", "$25.01"), (None, "26", "$26.00")]
)
def test_more_than_the_operator_lets_a_job_cost_is_refused_whatever_the_user_says(
    ceiling: str | None, most: str | None, cost: str
) -> None:
    """An assistant can be talked into any maximum, the operator cannot; and all of an unbounded one may be spent."""
    with pytest.raises(OverLimit) as caught:
        agreed(job(part(1, ceiling)), most)

    assert str(caught.value) == (
        f"job_a may cost up to {cost}, and the operator allows $25.00 a job. "
        "Draft it with fewer rows, or have BATCHWRIGHT_MAX_JOB_USD raised."
    )


@pytest.mark.parametrize(
    ("charges", "fact"),
    [
        (
            "batch",
            "Nothing bounds what job_a may cost: its model has no known price, its answers have no maximum length",
        ),
        ("standard", "Nothing bounds what job_a may cost: "),
        ("unknown", "The prices of 'api.openai.com' are not known here: job_a is unpriced, not free."),
    ],
)
def test_what_nothing_bounds_needs_a_maximum(charges: Charges, fact: str) -> None:
    """A price that is not known is never 0."""
    with pytest.raises(InvalidInput) as caught:
        agreed(job(part(1, None), charges=charges))

    assert str(caught.value).startswith(fact)
    assert str(caught.value).endswith(" Ask the user how much it may cost, and pass that as max_cost_usd.")


def test_one_part_without_a_ceiling_leaves_the_whole_job_without_one() -> None:
    """The sum of what is known would be a promise that nobody keeps."""
    parts = (part(1, "1"), part(2, None))

    assert ceiling_usd(parts) is None
    assert ceiling_usd(parts[:1]) == 1
    with pytest.raises(InvalidInput, match="max_cost_usd"):
        agreed(job(*parts))


def test_the_maximum_of_what_nothing_bounds_is_shared_by_requests() -> None:
    """A large part may cost more than a small one."""
    found = agreed(job(part(1, None, requests=6), part(2, None, requests=2), charges="unknown"), "4")

    assert found == Budget(Decimal(4), {1: Decimal(3), 2: Decimal(1)}, is_bounded=False)


def test_parts_that_were_agreed_to_at_a_limit_do_not_exceed_it_by_rounding() -> None:
    """A maximum of $25 that does not divide by three is $25 all the same."""
    found = agreed(job(*(part(number, None) for number in (1, 2, 3))), "25")

    assert found.total_usd <= LIMITS.job_usd
    assert found.agreed_usd == 25


MICRO = st.integers(0, 25_000_000).map(usd)
CEILINGS = st.lists(MICRO, min_size=1, max_size=6)


@given(ceilings=CEILINGS, most=st.none() | MICRO)
def test_the_ledger_takes_whatever_was_agreed(ceilings: Sequence[Decimal], most: Decimal | None) -> None:
    """What the user agreed to must not be refused a step later for a millionth of a dollar."""
    parts = [part(number, ceiling) for number, ceiling in enumerate(ceilings, 1)]
    try:
        found = job_budget(job(*parts), parts, most, LIMITS)
    except OverLimit:
        assume(False)  # noqa: FBT003
        return

    assert found.shares == {part.number: part.ceiling_usd for part in parts}
    assert sum(map(microusd, found.shares.values())) <= microusd(found.agreed_usd or Decimal(0))
    assert sum(map(microusd, found.shares.values())) <= microusd(LIMITS.job_usd)
    assert most is None or found.agreed_usd == most


@given(
    requests=st.lists(st.integers(1, 50_000), min_size=1, max_size=6),
    most=st.integers(1, 25_000_000).map(usd),
    charges=st.sampled_from(["batch", "standard", "unknown"]),
)
def test_the_whole_maximum_of_what_nothing_bounds_is_shared_out(
    requests: Sequence[int], most: Decimal, charges: Charges
) -> None:
    """Each part has its share, and together they have what the user said, but for the rounding."""
    parts = [part(number, None, count) for number, count in enumerate(requests, 1)]

    found = job_budget(job(*parts, charges=charges), parts, most, LIMITS)

    assert list(found.shares) == [part.number for part in parts]
    assert abs(found.total_usd - most) <= len(parts) * Decimal("1e-6")
    assert found.total_usd <= (found.agreed_usd or 0)
    assert not found.is_bounded


def test_the_question_names_rows_model_host_and_the_most_that_it_costs() -> None:
    """What a person needs to say yes."""
    made = job(part(1, "1000", requests=50_000), part(2, "1.25", requests=3))
    found = agreed(made, limits=SpendingLimits(job_usd=Decimal(2_000)))

    assert question(made, made.parts, found, duplicate=None) == (
        "Spend at most $1,001.25 on job_a? It sends 50,003 rows of 'reviews.csv' to 'gpt-5-mini' at 'api.openai.com'."
    )


def test_the_question_counts_what_is_sent_where_rows_share_requests() -> None:
    """Nobody is asked to pay for rows that are not sent."""
    made = job(part(1, "1.25", requests=3))
    made = replace(made, source=replace(made.source, rows=10, requests=3))

    assert question(made, made.parts, agreed(made), duplicate=None) == (
        "Spend at most $1.25 on job_a? It sends 3 requests for the rows of 'reviews.csv' to 'gpt-5-mini' at "
        "'api.openai.com'."
    )


def test_the_question_says_where_nothing_bounds_the_cost_and_that_it_ran_before() -> None:
    """An amount that is agreed to is no promise that it will not cost more."""
    made = job(part(1, None), charges="unknown")

    assert question(made, made.parts, agreed(made, "4"), duplicate="job_b") == (
        "Spend $4.00 on job_a, which may cost more? "
        "The prices of 'api.openai.com' are not known here: job_a is unpriced, not free. "
        "It sends 2 rows of 'reviews.csv' to 'gpt-5-mini' at 'api.openai.com'. "
        "The same data and prompt were run before, as job_b."
    )
