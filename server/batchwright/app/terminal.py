"""The terminal that commands print to: its width, characters and colours."""

import sys
import textwrap
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


def say(text: str, indent: str = "", hanging: str = "    ") -> None:
    """Print text, each line wrapped to the width of a terminal; a file or a pipe gets whole lines."""
    if not sys.stdout.isatty():
        print(textwrap.indent(text, indent), flush=True)
        return
    width = console().width
    for line in text.split("\n"):
        wrapped = textwrap.wrap(
            line, width, initial_indent=indent, subsequent_indent=indent + hanging, break_on_hyphens=False
        )
        print("\n".join(wrapped), flush=True)
