"""`batchwright connect`: setup instructions for each assistant, with the path of this installation filled in."""

import json
import os
import shlex
import sys
import sysconfig
import textwrap
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlencode

from batchwright.app.app import http_token, token_file, workspace
from batchwright.core import system
from batchwright.core.settings import BY_FIELD, Settings
from batchwright.mcp_server.addresses import PATH

NAME = "batchwright"
WORKSPACE = BY_FIELD["workspace"].name
BEARER = BY_FIELD["http_token"].name
OTHERS = "Other assistants"

_GOOSE_STARTS = frozenset({"docker", "jbang", "npx", "uvx"})
"""What Goose lets a link start; anything else is added by hand."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How the server is started; without a workspace, it is the folder that the assistant is started in."""

    command: str
    arguments: Sequence[str] = ()
    workspace: str = ""

    @property
    def words(self) -> list[str]:
        """The whole command."""
        return [self.command, *self.arguments]


PUBLISHED = Launch("uvx", ("--from", "batchwright[local]", "batchwright"))
"""From the Python index, with a model that answers where neither a key nor a server is set."""


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


@dataclass(frozen=True, slots=True)
class _Server:
    """What stands for the server in JSON."""

    launch: Launch
    env: Mapping[str, str] = field(default_factory=dict[str, str])

    def block(self, **more: str) -> dict[str, object]:
        arguments = {"args": list(self.launch.arguments)} if self.launch.arguments else {}
        return {**more, "command": self.launch.command, **arguments, **({"env": dict(self.env)} if self.env else {})}


def ways(launch: Launch) -> list[Way]:
    """Return every way, command-line assistants first."""
    env = {WORKSPACE: launch.workspace} if launch.workspace else {}
    server = _Server(launch, env)
    set_env = [f"{name}={value}" for name, value in env.items()]
    options = [part for pair in set_env for part in ("--env", pair)]
    # Options of the server's own must not be taken for options of `gemini`.
    gemini = [launch.command, *(["--", *launch.arguments] if launch.arguments else [])]
    in_folder = _Server(launch, env or {WORKSPACE: "${workspaceFolder}"}).block(type="stdio")
    block = _json({"mcpServers": {NAME: server.block()}})
    found = [
        Way("Claude Code", "command", shlex.join(["claude", "mcp", "add", NAME, *options, "--", *launch.words])),
        Way("Codex", "command", shlex.join(["codex", "mcp", "add", NAME, *options, "--", *launch.words])),
        Way("Gemini CLI", "command", shlex.join(["gemini", "mcp", "add", "--scope", "user", *options, NAME, *gemini])),
        Way("VS Code", "command", shlex.join(["code", "--add-mcp", _json({"name": NAME, **in_folder})])),
        Way("VS Code", "link", _link("https://insiders.vscode.dev/redirect/mcp/install", _json(in_folder))),
        Way("VS Code", "block", _json({"servers": {NAME: in_folder}}), ".vscode/mcp.json"),
        Way("Cursor", "link", _link("https://cursor.com/en/install-mcp", _base64(server.block()))),
        Way("Cursor", "block", block, "~/.cursor/mcp.json"),
        Way("Claude Desktop", "block", block, "claude_desktop_config.json"),
        Way("LM Studio", "link", _link("https://lmstudio.ai/install-mcp", _base64(server.block()))),
    ]
    if launch.command in _GOOSE_STARTS:
        asked = [("cmd", launch.command), *(("arg", argument) for argument in launch.arguments)]
        about = [("id", NAME), ("name", "Batchwright"), ("description", "Bulk GPT jobs in conversation")]
        found.append(Way("Goose", "link", f"goose://extension?{urlencode([*asked, *about], quote_via=quote)}"))
    return [*found, Way(OTHERS, "block", block)]


def ways_over_http(url: str) -> list[Way]:
    """Return every way to a server that runs at *url*; none holds the token, which others would see in a command."""
    header = f"Authorization: Bearer ${{{BEARER}}}"
    added = ["mcp", "add", "--transport", "http"]
    asked = {"type": "promptString", "id": "token", "description": "Batchwright's token", "password": True}
    in_vs_code = {"type": "http", "url": url, "headers": {"Authorization": "Bearer ${input:token}"}}
    in_others = {"url": url, "headers": {"Authorization": f"Bearer ${{{BEARER}}}"}}
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


def _link(address: str, config: str) -> str:
    return f"{address}?{urlencode({'name': NAME, 'config': config}, quote_via=quote)}"


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _base64(value: Mapping[str, object]) -> str:
    return b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()


def run_connect(settings: Settings, wanted: str) -> int:
    """Print the ways for the assistants whose name holds *wanted*, otherwise the one that fits most others."""
    here = find_installation()
    folders = os.pathsep.join(str(root) for root in workspace(settings).roots)
    in_terminal = Launch(here.command, here.arguments, folders if settings.workspace else "")
    elsewhere = Launch(here.command, here.arguments, folders)
    # A command-line assistant starts the server in the user's folder; a desktop program, anywhere.
    found = [way for way in ways(in_terminal) if _is_in_terminal(way)]
    found += [way for way in ways(elsewhere) if not _is_in_terminal(way)]
    _print(found, wanted, "To run jobs at OpenAI, add OPENAI_API_KEY to that environment. Keys are never printed here.")
    return 0


def run_connect_over_http(settings: Settings, wanted: str, *, host: str, port: int) -> int:
    """Print the same for a server that is called *host* and listens at *port*, and how assistants get its token.

    Raises:
        InvalidInput: The token cannot be kept from others.
    """
    http_token(settings)  # so that there is one, whether the server or its client comes first
    shown = f"[{host}]" if ":" in host else host
    _print(ways_over_http(f"http://{shown}:{port}{PATH}"), wanted, _token_lines(settings))
    return 0


def connecting(settings: Settings, port: int) -> str:
    """Return what connects a client on this machine to a server at *port*: lines to paste, without the token itself."""
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
        print(f"No instructions are known for {wanted!r}, only for {', '.join(names)}.")
        print("Most others take the following; Zed calls the object context_servers.\n")
        shown = [way for way in found if way.assistant == OTHERS]
    for assistant, ways_of_it in groupby(shown, key=lambda way: way.assistant):
        own = list(ways_of_it)
        print(f"{assistant}, any one of these:" if len(own) > 1 else f"{assistant}:")
        print("\n".join(map(_steps, own)), end="\n\n")
    print(last)


def _steps(way: Way) -> str:
    """Return what to do, and below it what to paste."""
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
                f"  If the file already has {names}, add only the lines inside it here, after a comma."
            )


def _token_lines(settings: Settings) -> str:
    """Say where the token comes from: not from a command or an assistant's file, where others may read it."""
    if settings.http_token:
        return f"The token is not printed: {BEARER} is set here, and has to be set where the assistant is started."
    line = system.setting_line(BEARER, token_file(settings))
    return (
        f"The token is not printed. Set it where the assistant is started, and in your shell's profile:\n"
        f"  {line}\nVS Code asks for it once: paste the content of that file."
    )


def find_installation() -> Launch:
    """Return how this installation is started from anywhere."""
    # What `uvx` makes is gone after a while; it makes it anew from the index.
    if "archive-v0" in Path(sys.prefix).parts:
        return PUBLISHED
    script = Path(sys.executable).with_name(f"{NAME}{sysconfig.get_config_var('EXE') or ''}")
    return Launch(str(script)) if script.exists() else Launch(sys.executable, ("-P", "-m", NAME))


def _is_in_terminal(way: Way) -> bool:
    return way.kind == "command" or way.assistant == "VS Code"
