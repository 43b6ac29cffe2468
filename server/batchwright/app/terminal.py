"""The terminal that commands print to: its width, characters and colours."""

import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def console() -> "Console":
    """Return a console for tables and bars that prints other people's text unchanged."""
    from rich.console import Console

    output: TextIO = sys.stdout
    if isinstance(output, TextIOWrapper):
        # A character that the output cannot encode is no reason to stop.
        output.reconfigure(errors="replace")
    return Console(markup=False, emoji=False, highlight=False)
