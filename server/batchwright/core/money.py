"""Amounts of money: in US dollars and whole micro-dollars, divided into shares, and formatted. Pure."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal


def microusd(usd: Decimal) -> int:
    """Return US dollars in micro-dollars, rounded up: what is reserved is never less than what may be spent."""
    return int((usd * 10**6).to_integral_value(ROUND_CEILING))


def usd(micro: int) -> Decimal:
    """Return micro-dollars in US dollars."""
    return Decimal(micro).scaleb(-6)


def share_out(amount: Decimal, weights: Mapping[int, int | Decimal]) -> dict[int, Decimal]:
    """Divide an amount by weight into whole micro-dollars; the shares add up to the amount, rounded down."""
    total = sum(weights.values())
    shares = {
        name: (amount * weight / total).quantize(Decimal("1e-6"), ROUND_FLOOR) for name, weight in weights.items()
    }
    last = next(reversed(shares))
    shares[last] += amount.quantize(Decimal("1e-6"), ROUND_FLOOR) - sum(shares.values(), Decimal(0))
    return shares


def format_usd(amount: Decimal) -> str:
    """Format an amount in US dollars; small ones keep fractions of a cent."""
    return _format(amount, ROUND_HALF_UP)


def format_most(amount: Decimal) -> str:
    """Format the most that something may cost, rounded up, so that agreeing to it is enough."""
    return _format(amount, ROUND_CEILING)


def _format(amount: Decimal, rounding: str) -> str:
    cents = amount.quantize(Decimal("0.01"), rounding)
    small = amount.quantize(Decimal("0.000001"), rounding)
    if amount and not small:
        return "less than $0.000001"
    return f"${cents:,}" if amount >= 1 or amount == cents else f"${small:,}".rstrip("0")
