"""The rows of a sheet as a file with a JSON object for each, read in a process of its own."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from batchwright.core.errors import InvalidInput
from batchwright.core.progress import Progress
from batchwright.tables.excel_file import MAX_UNPACKED_BYTES, check_installed
from batchwright.tables.process import Bounds, carry_out, progress_file
from batchwright.tables.sheet_process import SheetOrder

if TYPE_CHECKING:
    from batchwright.tables.source import DataFile

_MAX_SECONDS = 300.0


def sheet_rows(file: "DataFile", folder: Path, progress: Progress) -> tuple[Path, tuple[str, ...]]:
    """Write the rows of a sheet into *folder*, and give the file and what is to be said.

    Raises:
        InvalidInput: The file is broken or too large, there is no such sheet, or the column names cannot be used.
        MissingExtra: The reader is not installed.
    """
    path = folder / "rows.jsonl"
    check_installed()
    advice = "Save the sheet as CSV (UTF-8)."
    bounds = Bounds(
        _MAX_SECONDS,
        MAX_UNPACKED_BYTES,
        too_long=f"{file.name} took more than {_MAX_SECONDS:.0f} seconds to read. {advice}",
        too_much=f"{file.name} has more cells or text than the memory may hold. {advice}",
        too_large=f"{file.name} has more than {MAX_UNPACKED_BYTES:,} bytes of text in its cells. {advice}",
        broken=f"{file.name} cannot be read: it is broken, or needs more memory than there is. {advice}",
    )
    order = SheetOrder(str(file.path), file.name, str(path), file.sheet)
    report = carry_out("batchwright.tables.sheet_process", order, path, bounds, progress)
    progress_file(path).unlink(missing_ok=True)
    if not report.rows:
        raise _without_rows(file.name)
    return path, report.warnings


def written(path: Path, lines: Iterable[bytes], name: str) -> Path:
    """Write *lines* to *path*.

    Raises:
        InvalidInput: There are none.
    """
    with path.open("wb") as file:
        for line in lines:
            file.write(line + b"\n")
    if path.stat().st_size == 0:
        raise _without_rows(name)
    return path


def _without_rows(name: str) -> InvalidInput:
    return InvalidInput(f"{name} has no rows. Give a file with data.")
