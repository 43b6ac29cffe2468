"""`batchwright costs`: what models cost, as a table and a chart of characters, as wide as the terminal."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from math import log
from textwrap import wrap
from typing import TYPE_CHECKING

import anyio

from batchwright.app.app import now, opened
from batchwright.core import descriptors
from batchwright.core.errors import BatchwrightError, DiskFault, InvalidInput
from batchwright.core.money import shown_usd
from batchwright.core.settings import Settings
from batchwright.core.untrusted import one_line
from batchwright.costs.chart import is_logarithmic
from batchwright.costs.chart_process import draw
from batchwright.costs.comparison import Comparison, ModelCost
from batchwright.jobs.costs import Compared, CostRequest, compare_rows

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

MIN_COLUMNS = 40
MAX_NOTE_CHARACTERS = 500
UNKNOWN = "not known"
_ORANGE, _BLUE, _END = "\x1b[38;5;214m", "\x1b[38;5;33m", "\x1b[0m"


def run_costs(settings: Settings, options: "argparse.Namespace") -> int:
    """Print the costs that *options* ask for, and save their chart if wanted.

    Raises:
        BatchwrightError: They cannot be compared, or the chart cannot be drawn or saved; the rest is printed before.
    """
    request = CostRequest(options.job, options.rows, options.input_tokens, options.output_tokens, options.model)
    if request.job_id is None and None in {request.rows, request.input_tokens}:
        raise InvalidInput("It is not said what is to be compared. Give --job, or --rows with --input-tokens.")
    png: Path | None = options.png
    if png is not None and (png.suffix.lower() != ".png" or png.exists()):
        why = "exists already" if png.exists() else "does not end in .png"
        raise InvalidInput(f"No chart can be saved as {str(png)!r}: that {why}. Choose another name.")
    compared = (
        anyio.run(_of_job, settings, request) if request.job_id else Compared(compare_rows(request, now().date()), None)
    )
    columns = max(MIN_COLUMNS, shutil.get_terminal_size().columns)
    is_plain = not _shows_blocks()
    text = "\n".join(_lines(compared, columns, is_plain=is_plain, has_colour=_shows_colour()))
    print(text.encode("ascii", "replace").decode() if is_plain else text, flush=True)
    if png is not None and compared.comparison.costs:
        _save(anyio.run(draw, compared.comparison), png)
        print(f"The chart is in {png}.")
    return 0 if compared.comparison.costs else 1


def _save(chart: bytes, png: "Path") -> None:
    try:
        folder = png.parent.resolve()
        with descriptors.new_file(folder, folder / png.name, overwrite=False) as file:
            file.write(chart)
    except FileExistsError as error:
        raise InvalidInput(f"{png.name!r} was made meanwhile. Choose another name.") from error
    except OSError as error:
        raise DiskFault(f"{png} cannot be written: {error.strerror}. Choose another folder.") from error


async def _of_job(settings: Settings, request: CostRequest) -> Compared:
    async with opened(settings) as app:
        try:
            return await (await app.use_cases()).costs.compare(request, lambda _done, _total: None)
        except BatchwrightError as error:
            # Raised where it is, it would come out as one of a group.
            fault = error
    raise fault


def _lines(compared: Compared, columns: int, *, is_plain: bool, has_colour: bool) -> Iterator[str]:
    comparison = compared.comparison
    yield from wrap(f"{comparison.subject}.", columns)
    if comparison.costs:
        yield ""
        yield from _table(comparison.costs, columns)
        yield ""
        yield from _chart(comparison, columns, is_plain=is_plain, has_colour=has_colour)
    yield ""
    for note in (*comparison.notes, *compared.notes):
        yield from wrap(one_line(note, MAX_NOTE_CHARACTERS), columns)
    if comparison.costs:
        yield from wrap(f"{comparison.source}.", columns)


def _table(costs: Sequence[ModelCost], columns: int) -> Iterator[str]:
    cells = [("standard", "batch", "saving")]
    for line in costs:
        saving = "" if line.saving_percent is None else f"{line.saving_percent}%"
        cells.append((shown_usd(line.standard_usd), _batch(line), saving))
    widths = [max(len(row[place]) for row in cells) for place in range(3)]
    names = _names(costs, columns - sum(widths) - 6)
    width = max(map(len, ("model", *names)))
    for name, row in zip(("model", *names), cells, strict=True):
        shown = "  ".join(cell.rjust(size) for cell, size in zip(row, widths, strict=True))
        yield f"{name.ljust(width)}  {shown}".rstrip()


def _chart(comparison: Comparison, columns: int, *, is_plain: bool, has_colour: bool) -> Iterator[str]:
    standard, batch = ("-", "#") if is_plain else ("\u2591", "\u2588")
    colours = (_ORANGE, _BLUE, _END) if has_colour else ("", "", "")
    scale = "; logarithmic scale" if is_logarithmic(comparison) else ""
    yield f"{colours[0]}{standard * 2}{colours[2]} standard  {colours[1]}{batch * 2}{colours[2]} batch{scale}"
    amounts = max(len(text) for line in comparison.costs for text in (shown_usd(line.standard_usd), _batch(line)))
    names = _names(comparison.costs, columns // 2 - 2)
    width = max(map(len, names))
    room = columns - width - amounts - 3
    for name, line in zip(names, comparison.costs, strict=True):
        first = standard * _length(line.standard_usd, comparison, room)
        second = batch * _length(line.batch_usd, comparison, room)
        yield f"{name.ljust(width)}  {colours[0]}{first}{colours[2]} {shown_usd(line.standard_usd)}"
        yield f"{' ' * width}  {colours[1]}{second}{colours[2]} {_batch(line)}".rstrip()


def _length(amount: Decimal | None, comparison: Comparison, room: int) -> int:
    """Give the characters of a bar: at least one for what costs anything."""
    if not amount:
        return 0
    both = [cost for line in comparison.costs for cost in (line.standard_usd, line.batch_usd) if cost]
    share = float(amount / max(both))
    if is_logarithmic(comparison):
        # The lowest cost gets a bar too.
        start = float(min(both)) / 2
        share = log(float(amount) / start) / log(float(max(both)) / start)
    return max(1, round(share * room))


def _batch(line: ModelCost) -> str:
    return UNKNOWN if line.batch_usd is None else shown_usd(line.batch_usd)


def _names(costs: Sequence[ModelCost], most: int) -> list[str]:
    room = max(8, most)
    return [line.model if len(line.model) <= room else f"{line.model[: room - 3]}..." for line in costs]


def _shows_blocks() -> bool:
    try:
        "\u2591\u2588".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _shows_colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
