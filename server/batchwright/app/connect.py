"""`batchwright connect`: setup instructions for each assistant, with the path of this installation filled in."""

import json
import os
import shlex
import sys
import sysconfig
import textwrap
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlencode

from batchwright.app.app import http_token, token_file, workspace
from batchwright.app.terminal import say
from batchwright.core import system
from batchwright.core.settings import BY_FIELD, Settings
from batchwright.mcp_server.addresses import PATH

NAME = "batchwright"
WORKSPACE = BY_FIELD["workspace"].name
BEARER = BY_FIELD["http_token"].name
OTHERS = "Other assistants"

_GOOSE_STARTS = frozenset({"docker", "jbang", "npx", "uvx"})
"""The programs that Goose lets a link start; add anything else by hand."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start the server; without a workspace, it uses the folder that the assistant is started in."""

    command: str
    arguments: Sequence[str] = ()
    workspace: str = ""

    @property
    def words(self) -> list[str]:
        """The whole command."""
        return [self.command, *self.arguments]


PUBLISHED = Launch("uvx", ("--from", "batchwright[local]", "batchwright"))
"""From the Python index, with a model for when neither a key nor a server is set."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to set up an assistant.

    Attributes:
        where: The file that a block belongs in; empty: every assistant has its own.
    """

    assistant: str
    kind: Literal["command", "link", "block"]
    text: str
    where: str = ""


def ways(launch: Launch) -> list[Way]:
    """Return every way, command-line assistants first."""
    env = {WORKSPACE: launch.workspace} if launch.workspace else {}
    server = _entry(launch, env)
    set_env = [f"{name}={value}" for name, value in env.items()]
    options = [part for pair in set_env for part in ("--env", pair)]
    # `gemini` must not take the server's options for its own.
    gemini = [launch.command, *(["--", *launch.arguments] if launch.arguments else [])]
    in_folder = {"type": "stdio", **_entry(launch, env or {WORKSPACE: "${workspaceFolder}"})}
    block = _json({"mcpServers": {NAME: server}})
    found = [
        Way("Claude Code", "command", shlex.join(["claude", "mcp", "add", NAME, *options, "--", *launch.words])),
        Way("Codex", "command", shlex.join(["codex", "mcp", "add", NAME, *options, "--", *launch.words])),
        Way("Gemini CLI", "command", shlex.join(["gemini", "mcp", "add", "--scope", "user", *options, NAME, *gemini])),
        Way("VS Code", "command", shlex.join(["code", "--add-mcp", _json({"name": NAME, **in_folder})])),
        Way("VS Code", "link", _link("https://insiders.vscode.dev/redirect/mcp/install", _json(in_folder))),
        Way("VS Code", "block", _json({"servers": {NAME: in_folder}}), ".vscode/mcp.json"),
        Way("Cursor", "link", _link("https://cursor.com/en/install-mcp", _base64(server))),
        Way("Cursor", "block", block, "~/.cursor/mcp.json"),
        Way("Claude Desktop", "block", block, "claude_desktop_config.json"),
        Way("LM Studio", "link", _link("https://lmstudio.ai/install-mcp", _base64(server))),
    ]
    if launch.command in _GOOSE_STARTS:
        started = [("cmd", launch.command), *(("arg", argument) for argument in launch.arguments)]
        about = [("id", NAME), ("name", "Batchwright"), ("description", "Bulk GPT jobs in conversation")]
        found.append(Way("Goose", "link", f"goose://extension?{urlencode([*started, *about], quote_via=quote)}"))
    return [*found, Way(OTHERS, "block", block)]


def ways_over_http(url: str) -> list[Way]:
    """Return every way to connect to a server at *url*; none holds the token, which others could see in a command."""
    bearer = f"Bearer ${{{BEARER}}}"
    header = f"Authorization: {bearer}"
    added = ["mcp", "add", "--transport", "http"]
    asked = {"type": "promptString", "id": "token", "description": "Batchwright's token", "password": True}
    in_vs_code = {"type": "http", "url": url, "headers": {"Authorization": "Bearer ${input:token}"}}
    in_others = {"url": url, "headers": {"Authorization": bearer}}
    in_cursor = {"url": url, "headers": {"Authorization": f"Bearer ${{env:{BEARER}}}"}}
    return [
        Way("Claude Code", "command", shlex.join(["claude", *added, NAME, url, "--header", header])),
        Way(
            "Codex",
            "command",
            shlex.join(["codex", "mcp", "add", NAME, "--url", url, "--bearer-token-env-var", BEARER]),
        ),
        Way("Gemini CLI", "command", shlex.join(["gemini", *added, "--scope", "user", "--header", header, NAME, url])),
        Way("VS Code", "block", _json({"inputs": [asked], "servers": {NAME: in_vs_code}}), ".vscode/mcp.json"),
        Way("Cursor", "block", _json({"mcpServers": {NAME: in_cursor}}), "~/.cursor/mcp.json"),
        Way(OTHERS, "block", _json({"mcpServers": {NAME: in_others}})),
    ]


def _entry(launch: Launch, env: Mapping[str, str]) -> dict[str, object]:
    """Return the server's entry in an assistant's JSON; what is empty is left out."""
    fields = {"command": launch.command, "args": list(launch.arguments), "env": dict(env)}
    return {name: value for name, value in fields.items() if value}


def _link(address: str, config: str) -> str:
    return f"{address}?{urlencode({'name': NAME, 'config': config}, quote_via=quote)}"


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _base64(value: Mapping[str, object]) -> str:
    return b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()


def run_connect(settings: Settings, wanted: str) -> int:
    """Print the ways for the assistants whose name contains *wanted*, or else the one that suits most others."""
    here = find_installation()
    folders = os.pathsep.join(str(root) for root in workspace(settings).roots)
    in_terminal = Launch(here.command, here.arguments, folders if settings.workspace else "")
    elsewhere = Launch(here.command, here.arguments, folders)
    # A command-line assistant starts the server in the user's folder; a desktop program starts it anywhere.
    found = [way for way in ways(in_terminal) if _is_in_terminal(way)]
    found += [way for way in ways(elsewhere) if not _is_in_terminal(way)]
    last = "To run jobs at OpenAI, add OPENAI_API_KEY to the same environment. Your key is never printed here."
    _print(found, wanted, last)
    return 0


def run_connect_over_http(settings: Settings, wanted: str, *, host: str, port: int) -> int:
    """Print the same for a server at *host* and *port*, and how assistants get its token.

    Raises:
        InvalidInput: Other users can read the token, or it cannot be stored.
    """
    http_token(settings)  # makes one, if the client is set up before the server
    shown = f"[{host}]" if ":" in host else host
    _print(ways_over_http(f"http://{shown}:{port}{PATH}"), wanted, _token_lines(settings))
    return 0


def connecting(settings: Settings, port: int) -> str:
    """Return lines to paste that connect a client on this machine to a server at *port*, without the token itself."""
    first, *_ = ways_over_http(f"http://127.0.0.1:{port}{PATH}")
    lines = [] if settings.http_token else [system.setting_line(BEARER, token_file(settings))]
    return "\n".join(
        [
            f"To connect {first.assistant}, for example:",
            *(f"  {line}" for line in (*lines, first.text)),
            f"For other assistants: batchwright connect --http --port {port}",
            "Ctrl+C stops the server.",
        ]
    )


def _print(found: Sequence[Way], wanted: str, last: str) -> None:
    shown = [way for way in found if wanted.lower() in way.assistant.lower()]
    if not shown:
        names = dict.fromkeys(way.assistant for way in found if way.assistant != OTHERS)
        say(f"No instructions for {wanted!r}, only for {', '.join(names)}.", hanging="")
        print("Most other assistants accept the following. In Zed, the object is called context_servers.\n")
        shown = [way for way in found if way.assistant == OTHERS]
    for assistant, ways_of_it in groupby(shown, key=lambda way: way.assistant):
        own = list(ways_of_it)
        print(f"{assistant}, one of these:" if len(own) > 1 else f"{assistant}:")
        print("\n".join(map(_steps, own)), end="\n\n")
    say(last, hanging="")


def _steps(way: Way) -> str:
    """Return an instruction, with what to paste below it."""
    match way.kind:
        case "command":
            return f"  Run this command:\n    {way.text}"
        case "link":
            return f"  Open this link:\n    {way.text}"
        case "block":
            block = json.loads(way.text)
            lines = textwrap.indent(json.dumps(block, indent=2, ensure_ascii=False), "    ")
            names = " or ".join(f'"{name}"' for name in block)
            return (
                f"  Put this into {way.where or 'its MCP settings file'}:\n{lines}\n"
                f"  If the file already has {names}, add only the lines inside it, after a comma."
            )


def _token_lines(settings: Settings) -> str:
    """Say where the token comes from: not from a command or an assistant's file, which others may read."""
    if settings.http_token:
        return f"The token is not printed here. Set {BEARER} where you start the assistant, too."
    line = system.setting_line(BEARER, token_file(settings))
    return (
        "The token is not printed here. Set it where you start the assistant, for example in your shell's profile:\n"
        f"  {line}\nVS Code asks for it once: paste the content of that file."
    )


def find_installation() -> Launch:
    """Return how to start this installation from anywhere."""
    # An environment of `uvx` disappears after a while; `uvx` makes a new one from the index.
    if "archive-v0" in Path(sys.prefix).parts:
        return PUBLISHED
    script = Path(sys.executable).with_name(f"{NAME}{sysconfig.get_config_var('EXE') or ''}")
    return Launch(str(script)) if script.exists() else Launch(sys.executable, ("-P", "-m", NAME))


def _is_in_terminal(way: Way) -> bool:
    return way.kind == "command" or way.assistant == "VS Code"
