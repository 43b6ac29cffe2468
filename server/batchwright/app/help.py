"""`batchwright help`: a page of the guide, formatted for a terminal."""

import sys

from batchwright.mcp_server.guide import read_page

MAX_WIDTH = 120


def run_help(topic: str) -> int:
    """Print a page, formatted in a terminal and as plain Markdown elsewhere.

    Raises:
        NotFound: There is no such page.
    """
    encoding = sys.stdout.encoding or "utf-8"
    text = read_page(topic, "{words} (`batchwright help {topic}`)").encode(encoding, "replace").decode(encoding)
    if not sys.stdout.isatty():
        print(text, end="")
        return 0
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.theme import Theme

    console = Console(theme=Theme({"markdown.code": "bold cyan"}))  # readable on light and on dark
    console.print(Markdown(text), width=min(console.width, MAX_WIDTH))
    return 0
