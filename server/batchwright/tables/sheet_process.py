"""A process that reads one sheet of an Excel file.

The reader makes room for the whole rectangle around a sheet's cells at once, and where there is not so much it ends the
process that it is in. How much that is cannot be told for certain before: a file may be written in many ways.

It is told what to do, and tells, as `process` has it.
"""

from pathlib import Path

from batchwright.tables.excel_file import ExcelRows, SheetOrder
from batchwright.tables.process import Report, progress_of, serve


def execute(order: SheetOrder) -> Report:
    """Write the rows of a sheet.

    Raises:
        InvalidInput: The file is broken or too large, there is no such sheet, or the column names cannot be used.
    """
    target = Path(order.target)
    progress = progress_of(target)
    book = ExcelRows(Path(order.path), order.name, order.sheet, progress.stage(0, 0.6))
    rows = 0
    with target.open("wb") as file:
        for line in book.lines(progress.stage(0.6, 1)):
            file.write(line + b"\n")
            rows += 1
    return Report(rows=rows, warnings=book.warnings)


if __name__ == "__main__":
    serve(SheetOrder, execute)
