"""The generated tables of the README, between their markers. `python tests/readme.py` writes them anew."""

import re
from pathlib import Path

from batchwright.settings import SETTINGS
from batchwright.tools import all_tools

README = Path(__file__).parent.parent / "README.md"


def tool_table() -> str:
    """Give the table of the tools, from what the assistant reads."""
    rows = ["| tool | arguments | what it does |", "|---|---|---|"]
    for tool in all_tools():
        required = set(tool.parameters.get("required", ()))
        arguments = ", ".join(
            f"`{name}`" if name in required else f"[`{name}`]" for name in tool.parameters["properties"]
        )
        rows.append(f"| `{tool.name}` | {arguments} | {' '.join(tool.description.split())} |")
    return "\n".join(rows)


def settings_table() -> str:
    """Give the table of the settings."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    rows += [f"| `{setting.name}` | {setting.default} | {setting.meaning} |" for setting in SETTINGS]
    return "\n".join(rows)


TABLES = {"tools": tool_table, "settings": settings_table}


def generated(text: str) -> str:
    """Give the README's text with its tables made anew."""
    for name, table in TABLES.items():
        block = f"<!-- {name}: generated -->\n{table()}\n<!-- end -->"
        text = re.sub(
            rf"<!-- {name}: generated -->\n.*?<!-- end -->", lambda _, block=block: block, text, flags=re.DOTALL
        )
    return text


if __name__ == "__main__":
    README.write_text(generated(README.read_text(encoding="utf-8")), encoding="utf-8")
