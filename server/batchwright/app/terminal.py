"""The terminal that commands print to: its width, and the characters and colours that it can show."""

import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def console() -> "Console":
    """Return what prints tables and bars; texts of others are printed as they are."""
    from rich.console import Console

    output: TextIO = sys.stdout
    if isinstance(output, TextIOWrapper):
        # A character that the output's encoding lacks is no reason to stop.
        output.reconfigure(errors="replace")
    return Console(markup=False, emoji=False, highlight=False)
