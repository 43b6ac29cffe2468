"""Amounts of money: counted without loss, shared to the last micro-dollar, never shown as less than they are."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.money import format_most, format_usd, microusd, share_out, usd


@given(amount=st.decimals(0, 10**6, places=9))
def test_what_is_reserved_is_never_less_than_what_may_be_spent(amount: Decimal) -> None:
    """A micro-dollar that is cut off from each of a million parts is a dollar."""
    assert amount <= usd(microusd(amount)) < amount + Decimal("1e-6")


@given(micro=st.integers(0, 10**15))
def test_micro_dollars_are_exact(micro: int) -> None:
    """Binary fractions of dollars would not add up to what was agreed."""
    assert microusd(usd(micro)) == micro


@given(
    amount=st.decimals(0, 10**4, places=8),
    weights=st.dictionaries(st.integers(1, 99), st.integers(1, 10**6), min_size=1, max_size=20),
)
def test_shares_are_whole_micro_dollars_and_add_up_to_the_amount(amount: Decimal, weights: dict[int, int]) -> None:
    """More would be reserved than was agreed; less would leave a part without its share."""
    shares = share_out(amount, weights)

    assert shares.keys() == weights.keys()
    assert all(usd(microusd(share)) == share >= 0 for share in shares.values())
    assert 0 <= amount - sum(shares.values()) < Decimal("1e-6")


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"),
        ("0.5", "$0.50"),
        ("0.000001", "$0.000001"),
        ("0.0125", "$0.0125"),
        ("0.123456", "$0.123456"),
        ("1", "$1.00"),
        ("1234.5", "$1,234.50"),
        ("25", "$25.00"),
    ],
)
def test_amounts_are_shown_as_money_and_small_ones_as_what_they_are(amount: str, shown: str) -> None:
    """A job of a tenth of a cent is not one of $0.00."""
    assert format_usd(Decimal(amount)) == format_most(Decimal(amount)) == shown


@given(amount=st.decimals(0, 10**6, places=8))
def test_the_most_that_something_costs_is_never_shown_as_less(amount: Decimal) -> None:
    """`At most $1.00` must not become $1.004, nor `$25.00 is above $25.00` be all that a refusal says."""
    assert Decimal(format_most(amount).removeprefix("$").replace(",", "")) >= amount


@given(cents=st.integers(0, 10**9))
def test_an_amount_of_whole_cents_is_shown_as_it_is(cents: int) -> None:
    """It is what the user has said."""
    amount = Decimal(cents) / 100

    assert format_usd(amount) == format_most(amount) == f"${amount:,.2f}"


def test_less_than_a_millionth_of_a_dollar_is_shown_as_a_number() -> None:
    """So little is the input of one short text for an embedding."""
    assert format_usd(Decimal("0.00000003")) != "$0."
