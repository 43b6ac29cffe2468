"""A chart of costs as a PNG, drawn with matplotlib, which only the `chart_process` imports."""

# pyright: reportUnknownMemberType=false
# matplotlib types its functions, but not the keyword arguments that they pass on.

from io import BytesIO
from typing import TYPE_CHECKING

from batchwright.core.money import format_usd
from batchwright.costs.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STANDARD_COLOUR = "#E69F00"
BATCH_COLOUR = "#0072B2"
"""Both from Okabe and Ito's palette, which colour-blind people can tell apart; they differ in lightness too."""

_INK, _FAINT, _GRID = "#222222", "#666666", "#DDDDDD"
_DPI = 120
_WIDTH = 9.0
_TOP, _BOTTOM, _RIGHT, _A_MODEL = 1.0, 0.95, 0.3, 0.56
"""Inches: above, below and right of the bars, and for each model."""
_MAX_NAME = 40
_BAR = 0.38


def png(comparison: Comparison) -> bytes:
    """Draw standard and batch costs as a pair of bars for each model; at least one model has a price."""
    from matplotlib import rcdefaults
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A chart looks the same whatever the user's own `matplotlibrc` says.
    rcdefaults()
    height = _TOP + _BOTTOM + _A_MODEL * len(comparison.costs)
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    _draw(figure, comparison, height)
    data = BytesIO()
    canvas.print_png(data)
    return data.getvalue()


def _draw(figure: "Figure", comparison: Comparison, height: float) -> None:
    names = [_plain(line.model, _MAX_NAME) for line in comparison.costs]
    left = 0.35 + 0.077 * max(map(len, names))
    inner = _WIDTH - left - _RIGHT
    axes = figure.add_axes((left / _WIDTH, _BOTTOM / height, inner / _WIDTH, (height - _TOP - _BOTTOM) / height))
    _scale(axes, comparison)
    _bars(axes, comparison)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.45, -0.55)
    _tidy(axes)
    _words(figure, comparison, height)


def _scale(axes: "Axes", comparison: Comparison) -> None:
    """Set the range of the costs, with room for the amounts at the ends of the bars."""
    highest = max(line.highest_usd for line in comparison.costs)
    axes.set_xlabel("US dollars", color=_FAINT, fontsize=9)
    axes.set_xlim(0, (float(highest) or 1.0) * 1.17)
    axes.locator_params(axis="x", nbins=6)
    axes.xaxis.set_major_formatter(lambda value, _: f"${value:,.10f}".rstrip("0").rstrip("."))


def _bars(axes: "Axes", comparison: Comparison) -> None:
    for place, line in enumerate(comparison.costs):
        for offset, amount, colour in (
            (-_BAR / 2, line.standard_usd, STANDARD_COLOUR),
            (_BAR / 2, line.batch_usd, BATCH_COLOUR),
        ):
            end = float(amount or 0)
            axes.barh(place + offset, end, height=_BAR, color=colour, zorder=2)
            axes.annotate(
                "batch price unknown" if amount is None else format_usd(amount).removesuffix(".00"),
                (end, place + offset),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
                color=_FAINT if amount is None else _INK,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
                parse_math=False,
            )


def _tidy(axes: "Axes") -> None:
    axes.set_axisbelow(True)
    axes.grid(visible=True, axis="x", color=_GRID, linewidth=0.8)
    axes.tick_params(length=0, labelsize=9, colors=_FAINT)
    axes.tick_params(axis="y", labelsize=10, labelcolor=_INK)
    axes.tick_params(which="minor", length=0, labelbottom=False)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(_FAINT)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)


def _words(figure: "Figure", comparison: Comparison, height: float) -> None:
    """Write title, legend and small print."""

    def write(text: str, x: float, y: float, **style: object) -> None:
        figure.text(x / _WIDTH, y / height, text, parse_math=False, **style)  # pyright: ignore[reportArgumentType]

    title = "What it costs: standard and batch"
    write(title, 0.2, height - 0.36, fontsize=14, fontweight="bold", color=_INK)
    write(_plain(comparison.subject, 110), 0.2, height - 0.63, fontsize=10, color=_FAINT)
    for x, colour, word in ((_WIDTH - 1.95, STANDARD_COLOUR, "standard"), (_WIDTH - 0.95, BATCH_COLOUR, "batch")):
        write("\u25a0", x, height - 0.36, fontsize=13, color=colour)
        write(word, x + 0.18, height - 0.35, fontsize=10, color=_INK)
    small = [f"{comparison.source}."]
    if comparison.unpriced:
        small.insert(0, _plain(f"Unpriced, so not shown: {', '.join(comparison.unpriced)}.", 130))
    write("\n".join(small), 0.2, 0.12, fontsize=7.5, color=_FAINT, va="bottom")


def _plain(text: str, most: int) -> str:
    """Return text that the only font that is always installed can show."""
    ascii_only = text.encode("ascii", "replace").decode()
    return ascii_only if len(ascii_only) <= most else f"{ascii_only[: most - 3]}..."
