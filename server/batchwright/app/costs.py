"""`batchwright costs`: what models cost, as a table with bars, as wide as the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio

from batchwright.app.app import now, open_runtime
from batchwright.app.terminal import console
from batchwright.core import descriptors
from batchwright.core.errors import BatchwrightError, DiskFault, InvalidInput
from batchwright.core.money import format_usd
from batchwright.core.settings import Settings
from batchwright.core.untrusted import one_line
from batchwright.costs.chart_process import draw
from batchwright.costs.comparison import ModelCost
from batchwright.jobs.costs import Compared, CostRequest, compare_rows

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from rich.table import Table

MAX_NOTE_CHARACTERS = 500
UNKNOWN = "unknown"
_FIGURES_WIDTH = 32
"""The usual width of the columns between a model's name and its bars."""
_STANDARD_COLOUR, _BATCH_COLOUR = "color(214)", "color(33)"


def run_costs(settings: Settings, options: "argparse.Namespace") -> int:
    """Print the costs that *options* ask for, and save a chart of them if wanted.

    Raises:
        BatchwrightError: They cannot be compared, or the chart cannot be drawn or saved; the table is printed first.
    """
    request = CostRequest(options.job, options.rows, options.input_tokens, options.output_tokens, options.model)
    if request.job_id is None and None in {request.rows, request.input_tokens}:
        raise InvalidInput("Nothing to compare. Give --job, or --rows and --input-tokens.")
    png: Path | None = options.png
    if png is not None and (png.suffix.lower() != ".png" or png.exists()):
        why = "exists already" if png.exists() else "does not end in .png"
        raise InvalidInput(f"No chart can be saved as {str(png)!r}: that {why}. Choose another name.")
    compared = (
        anyio.run(_of_job, settings, request) if request.job_id else Compared(compare_rows(request, now().date()), None)
    )
    _show(compared)
    if png is not None and compared.comparison.costs:
        _save(anyio.run(draw, compared.comparison), png)
        print(f"Saved the chart as {png}.")
    return 0 if compared.comparison.costs else 1


def _save(chart: bytes, png: "Path") -> None:
    try:
        folder = png.parent.resolve()
        with descriptors.new_file(folder, folder / png.name, overwrite=False) as file:
            file.write(chart)
    except FileExistsError as error:
        raise InvalidInput(f"{png.name!r} was created in the meantime. Choose another name.") from error
    except OSError as error:
        raise DiskFault(f"{png} cannot be written: {error.strerror}. Choose another folder.") from error


async def _of_job(settings: Settings, request: CostRequest) -> Compared:
    async with open_runtime(settings) as runtime:
        try:
            return await (await runtime.use_cases()).costs.compare(request, lambda _done, _total: None)
        except BatchwrightError as error:
            # Raised here, it would arrive in an exception group.
            fault = error
    raise fault


def _show(compared: Compared) -> None:
    comparison, screen = compared.comparison, console()
    screen.print(f"{comparison.subject}.\n")
    notes = [one_line(note, MAX_NOTE_CHARACTERS) for note in (*comparison.notes, *compared.notes)]
    if comparison.costs:
        screen.print(_table(comparison.costs, screen.width))
        screen.print()
        notes.append(f"{comparison.source}.")
    screen.print("\n".join(notes))


def _table(costs: Sequence[ModelCost], columns: int) -> "Table":
    """Return two lines for each model, standard and batch, with bars in proportion to what they cost."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    highest = float(max(line.highest_usd for line in costs)) or 1.0
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0))
    names = min(max(len(line.model) for line in costs), max(5, (columns - _FIGURES_WIDTH) // 2))
    table.add_column("model", no_wrap=True, width=names)
    table.add_column("price", no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    table.add_column("saving", justify="right", no_wrap=True)
    table.add_column(ratio=1)
    for line in costs:
        saving = "" if line.saving_percent is None else f"{line.saving_percent}%"
        for name, price, amount, saved, colour in (
            (line.model, "standard", line.standard_usd, "", _STANDARD_COLOUR),
            ("", "batch", line.batch_usd, saving, _BATCH_COLOUR),
        ):
            bar = ProgressBar(highest, float(amount or 0), complete_style=colour, finished_style=colour)
            table.add_row(name, price, UNKNOWN if amount is None else format_usd(amount), saved, bar)
    return table
