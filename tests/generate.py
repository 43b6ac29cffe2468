"""What is generated and compared: the documents' tables, the snapshot of the tools, and what is published beside them.

`python -m tests.generate` writes it.
"""

import json
import re
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from batchwright.app.app import build_server
from batchwright.app.cli import HOST, PORT
from batchwright.app.connect import PUBLISHED, Launch, Way, ways, ways_over_http
from batchwright.core.money import format_usd
from batchwright.core.settings import SETTINGS, Settings
from batchwright.costs.comparison import compare_tokens
from batchwright.mcp_server.addresses import PATH
from batchwright.mcp_server.guide import TOPICS, heading
from batchwright.mcp_server.prompts.prompts import prompts
from batchwright.mcp_server.resources import templates
from batchwright.mcp_server.tools.catalogue import all_tools
from batchwright.providers.local.models.weights import MINILM, MINILM_TOKENIZER, SMOLLM2
from batchwright.results.causes.catalogue import CAUSES, VARIOUS
from tests.external.distribution import written
from tests.support.paths import ROOT
from tests.support.session import Mode

README = ROOT / "README.md"
GUIDE = ROOT / "server" / "batchwright" / "mcp_server" / "guide"
DOCUMENTS = (README, *sorted(GUIDE.glob("*.md")))
SNAPSHOT = ROOT / "tests" / "mcp_server" / "tools.json"
INSTALLED = Launch("batchwright")


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


def cost_table() -> str:
    """Give the table of the Batch API's guide of 2024: what its example costs on its models, and on one of today."""
    models = ("gpt-3.5-turbo-0125", "gpt-4-turbo", "gpt-4", "gpt-6-luna")
    rows = ["| model | standard | batch | saving |", "|---|---|---|---|"]
    compared = compare_tokens(models, rows=50_000, input_tokens=2048, output_tokens=158, today=date(2026, 11, 30))
    for line in compared.costs:
        batch = "not known" if line.batch_usd is None else format_usd(line.batch_usd)
        rows.append(f"| {line.model} | {format_usd(line.standard_usd)} | {batch} | {line.saving_percent}% |")
    return "\n".join(rows)


def cost_example() -> str:
    """Return what the same example costs on the model of today, as a sentence."""
    (row,) = [line for line in cost_table().splitlines() if "gpt-6-luna" in line]
    model, standard, batch = (cell.strip() for cell in row.split("|")[1:4])
    return (
        "For example, a job of 50,000 rows, with 2,048 input and 158 output tokens a row, costs "
        f"{batch} as a batch on {model}, and {standard} one at a time."
    )


def resource_table() -> str:
    """Give the table of the resources, from what the assistant reads."""
    rows = ["| resource | as | what it holds |", "|---|---|---|"]
    rows += [f"| `{each.uri_template}` | {each.mime_type} | {each.description} |" for each in templates()]
    return "\n".join(rows)


def prompt_table() -> str:
    """Give the table of the prompts, from what the user is shown."""
    rows = ["| prompt | arguments | what it does |", "|---|---|---|"]
    for each in prompts():
        names = ((argument.name, argument.required) for argument in each.arguments or ())
        arguments = ", ".join(f"`{name}`" if is_required else f"[`{name}`]" for name, is_required in names)
        rows.append(f"| `{each.name}` | {arguments} | {each.description} |")
    return "\n".join(rows)


def cause_table() -> str:
    """Give the table of the causes of failures, in the order in which they are looked for."""
    rows = ["| cause | what it means | a retry | what helps |", "|---|---|---|---|"]
    for cause in (*CAUSES, VARIOUS):
        call = f"`{cause.call}`. " if cause.call else ""
        rows.append(f"| `{cause.name}` | {cause.meaning} | {cause.helps} | {call}{cause.advice} |")
    return "\n".join(rows)


def page_table() -> str:
    """Return the table of the guide's pages, from their first lines."""
    rows = ["| page | what it answers |", "|---|---|"]
    rows += [f"| [{title}]({topic}.md) | {sentence} |" for topic in TOPICS for title, sentence in [heading(topic)]]
    return "\n".join(rows)


def weights_table() -> str:
    """Return the table of the model weights: from which package each file is taken, and its pinned hash."""
    rows = ["| what | package | file in it | SHA-256 | licence |", "|---|---|---|---|---|"]
    for what, weights in WEIGHTS.items():
        file = Path(weights.member).name
        rows.append(f"| {what} | `{weights.package}` | `{file}` | `{weights.sha256}` | Apache-2.0 |")
    return "\n".join(rows)


def first_way_table() -> str:
    """Return the first way of each assistant, for the README."""
    first: dict[str, str] = {}
    for line in connect_table().splitlines():
        first.setdefault(line.split("|")[1], line)
    return "\n".join(first.values())


def connect_table(launch: Launch = INSTALLED) -> str:
    """Give the table of the assistants, and how each is told of the server."""
    rows = ["| assistant | how |", "|---|---|"]
    # A desktop program starts it anywhere, and what is written into its file is the user's own.
    blocks = ways(replace(launch, workspace="/path/to/your/data"))
    for plain, filled in zip(ways(launch), blocks, strict=True):
        rows.append(connect_row(filled if plain.text.startswith('{"mcpServers"') else plain))
    return "\n".join(rows)


def http_table() -> str:
    """Give the table of the assistants, and how each is told of a server that runs over HTTP."""
    rows = [connect_row(way) for way in ways_over_http(f"http://{HOST}:{PORT}{PATH}")]
    return "\n".join(["| assistant | how |", "|---|---|", *rows])


def connect_row(way: Way) -> str:
    """Give the row of one way to tell an assistant."""
    shown = f"[add it]({way.text})" if way.text.startswith("https:") else f"`{way.text}`"
    where = f" in {' or '.join(f'`{file}`' for file in way.where.split(', '))}" if way.where else ""
    return f"| {way.assistant} | {shown}{where} |"


WEIGHTS = {
    "SmolLM2-135M-Instruct by Hugging Face, the chat model": SMOLLM2,
    "all-MiniLM-L6-v2 by sentence-transformers, the embedding model": MINILM,
    "its vocabulary": MINILM_TOKENIZER,
}

TABLES = {
    "pages": page_table,
    "first": first_way_table,
    "connect": connect_table,
    "published": partial(connect_table, PUBLISHED),
    "http": http_table,
    "tools": tool_table,
    "resources": resource_table,
    "prompts": prompt_table,
    "costs": cost_table,
    "example": cost_example,
    "settings": settings_table,
    "causes": cause_table,
    "weights": weights_table,
}


def generated(text: str) -> str:
    """Return a document's text with its tables made anew."""
    for name, table in TABLES.items():
        block = f"<!-- {name}: generated -->\n{table()}\n<!-- end -->"
        text = re.sub(
            rf"<!-- {name}: generated -->\n.*?<!-- end -->", lambda _, block=block: block, text, flags=re.DOTALL
        )
    return text


async def listed(mode: Mode) -> list[dict[str, Any]]:
    """Give `tools/list` as a client gets it."""
    async with Client(build_server(Settings()), mode=mode) as client:
        tools = (await client.list_tools()).tools
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]


if __name__ == "__main__":
    for document in DOCUMENTS:
        document.write_text(generated(document.read_text(encoding="utf-8")), encoding="utf-8")
    SNAPSHOT.write_text(json.dumps(anyio.run(listed, "auto"), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")
