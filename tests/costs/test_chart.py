"""The chart, opened and looked at: its size, its bars, and that every amount finds its place."""

from datetime import date
from decimal import Decimal
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from batchwright.costs.chart import BATCH_COLOUR, STANDARD_COLOUR, png
from batchwright.costs.comparison import Comparison, ModelCost, compare_tokens

GUIDE = compare_tokens(
    ["gpt-3.5-turbo-0125", "gpt-4-turbo", "gpt-4", "gpt-5-mini"],
    rows=50_000,
    input_tokens=2048,
    output_tokens=158,
    today=date(2026, 11, 30),
)


def bars(data: bytes, colour: str) -> list[int]:
    """Give the lengths in pixels of the bars of a colour, from the top; the key's square is none."""
    image = matplotlib.image.imread(BytesIO(data), format="png")[:, :, :3]
    rows = (np.abs(image - np.array(to_rgb(colour))).max(axis=2) < 0.02).sum(axis=1)
    # Below title and key, lines of pixels that follow each other are one bar.
    lines = [int(length) if number > 100 else 0 for number, length in enumerate(rows)]
    starts = [number for number, (before, length) in enumerate(pairwise(lines)) if length and not before]
    return [max(lines[start + 1 : start + 20]) for start in starts]


def of(*amounts: tuple[str, str | None], unpriced: tuple[str, ...] = ()) -> Comparison:
    """Give a comparison with these standard and batch costs."""
    costs = (
        ModelCost(f"model-{number}", Decimal(standard), None if batch is None else Decimal(batch))
        for number, (standard, batch) in enumerate(amounts)
    )
    return Comparison("3 requests", tuple(costs), unpriced, "OpenAI's prices")


def test_the_guides_chart_has_a_pair_of_bars_for_each_model() -> None:
    """Longer is dearer, and a batch is shorter than its standard."""
    data = png(GUIDE)
    height, width, _ = matplotlib.image.imread(BytesIO(data), format="png").shape
    standard, batch = bars(data, STANDARD_COLOUR), bars(data, BATCH_COLOUR)

    assert data.startswith(b"\x89PNG")
    assert (width, height) == (1080, 502)
    assert (len(standard), len(batch)) == (4, 4)
    assert standard == sorted(standard)
    assert batch == sorted(batch)
    assert all(one > other for one, other in zip(standard, batch, strict=True))


@pytest.mark.parametrize("highest", ["20", "2000"])
def test_bars_are_in_proportion_to_the_costs(highest: str) -> None:
    """On another scale a batch at half the price would look like nearly as much."""
    data = png(of(("10", "5"), (highest, str(Decimal(highest) / 2))))
    standard, batch = bars(data, STANDARD_COLOUR), bars(data, BATCH_COLOUR)

    assert batch[-1] == pytest.approx(standard[-1] / 2, rel=0.02)
    assert standard[0] == pytest.approx(standard[-1] * 10 / int(highest), abs=2)


def test_a_cent_and_a_hundred_thousand_dollars_fit_one_chart() -> None:
    """No bar leaves the page, and what is too short for a bar still has its amount."""
    data = png(of(*((str(Decimal(10) ** power), str(Decimal(10) ** power / 2)) for power in range(-2, 6))))
    lengths = bars(data, STANDARD_COLOUR)

    assert lengths == sorted(lengths)
    assert 500 < lengths[-1] < 1000
    assert margin_is_white(data)


def test_twelve_models_with_long_names_fit() -> None:
    """Names of tuned models are long; they are cut, not drawn over the edge."""
    costs = tuple(ModelCost(f"ft:gpt-4o-mini-2024-07-18:org:suffix:{n:030}", Decimal(n), None) for n in range(1, 13))
    data = png(Comparison("s", costs, tuple(f"unpriced-{n}" for n in range(30)), "OpenAI's prices"))

    assert len(bars(data, STANDARD_COLOUR)) == 12
    assert bars(data, BATCH_COLOUR) == []
    assert margin_is_white(data)


@pytest.mark.parametrize("amounts", [[("0", "0")], [("0", "0"), ("1", None)], [("0.0000001", "0.00000005")]])
def test_costs_of_nothing_or_nearly_are_drawn(amounts: list[tuple[str, str | None]]) -> None:
    """A job of empty texts costs nothing."""
    assert png(of(*amounts)).startswith(b"\x89PNG")


def test_names_are_not_read_as_formulas_and_need_no_other_font(recwarn: pytest.WarningsRecorder) -> None:
    """Two dollar signs make a formula of what is between them; letters that the font lacks make a warning."""
    comparison = Comparison("\u4e00 $x_{$ y", (ModelCost("$a_{$ \u4e00", Decimal(1), None),), ("\u0e01",), "$s$ $")

    assert png(comparison).startswith(b"\x89PNG")
    assert not recwarn.list


def test_nothing_global_of_matplotlib_is_used() -> None:
    """Its pyplot keeps every figure, and asks for a screen."""
    from batchwright.costs import chart

    assert "pyplot" not in Path(chart.__file__).read_text(encoding="utf-8")


def margin_is_white(data: bytes) -> bool:
    """Whether nothing is drawn at the edges."""
    image = matplotlib.image.imread(BytesIO(data), format="png")[:, :, :3]
    return bool(np.all(image[:, :6] == 1) and np.all(image[:, -6:] == 1))
