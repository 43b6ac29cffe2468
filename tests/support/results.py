"""Results joined to frozen rows without a provider that gave them."""

from collections.abc import Iterable
from pathlib import Path

from batchwright.core.model import Recipe, Result
from batchwright.results.joining import LineWriter, PartLines, join_results


def write_results(results: Iterable[Result], path: Path, recipe: Recipe, frozen: Path) -> None:
    """Join *results*, as those of one part, to the rows of a frozen source."""
    lines = path.with_name("part.lines")
    writer = LineWriter(lines, 1, recipe)
    for result in results:
        writer.add(result)
    writer.close()

    def missing(custom_id: str) -> Result:
        return Result(custom_id, "never_ran")

    join_results([PartLines(1, lines, writer.longest, missing, has_gaps=False)], path, recipe, frozen)
