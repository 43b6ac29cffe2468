"""`batchwright connect`: how each assistant is told of this very installation."""

import json
import os
import shlex
import sys
import sysconfig
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    """One way to tell an assistant.

    Attributes:
        where: The file that a block belongs into.
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
    """Give every way, the assistants of the command line first."""
    env = {WORKSPACE: launch.workspace} if launch.workspace else {}
    server = _Server(launch, env)
    set_env = [f"{name}={value}" for name, value in env.items()]
    options = [part for pair in set_env for part in ("--env", pair)]
    # Options of the server's own must not be taken for options of `gemini`.
    gemini = [launch.command, *(["--", *launch.arguments] if launch.arguments else [])]
    in_folder = _Server(launch, env or {WORKSPACE: "${workspaceFolder}"}).block(type="stdio")
    found = [
        Way("Claude Code", "command", shlex.join(["claude", "mcp", "add", NAME, *options, "--", *launch.words])),
        Way("Codex", "command", shlex.join(["codex", "mcp", "add", NAME, *options, "--", *launch.words])),
        Way("Gemini CLI", "command", shlex.join(["gemini", "mcp", "add", "--scope", "user", *options, NAME, *gemini])),
        Way("VS Code", "command", shlex.join(["code", "--add-mcp", _json({"name": NAME, **in_folder})])),
        Way("VS Code", "link", _link("https://insiders.vscode.dev/redirect/mcp/install", _json(in_folder))),
        Way("VS Code", "block", _json({"servers": {NAME: in_folder}}), ".vscode/mcp.json"),
        Way("Cursor", "link", _link("https://cursor.com/en/install-mcp", _base64(server.block()))),
        Way("LM Studio", "link", _link("https://lmstudio.ai/install-mcp", _base64(server.block()))),
        Way(
            "Claude Desktop, Cursor and others",
            "block",
            _json({"mcpServers": {NAME: server.block()}}),
            "claude_desktop_config.json, ~/.cursor/mcp.json",
        ),
    ]
    if launch.command in _GOOSE_STARTS:
        asked = [("cmd", launch.command), *(("arg", argument) for argument in launch.arguments)]
        about = [("id", NAME), ("name", "Batchwright"), ("description", "Bulk GPT jobs in conversation")]
        found.append(Way("Goose", "link", f"goose://extension?{urlencode([*asked, *about], quote_via=quote)}"))
    return found


def ways_over_http(url: str) -> list[Way]:
    """Return every way to a server that runs at *url*; none holds the token, which others would see in a command."""
    header = f"Authorization: Bearer ${{{BEARER}}}"
    added = ["mcp", "add", "--transport", "http"]
    asked = {"type": "promptString", "id": "token", "description": "Batchwright's token", "password": True}
    in_vs_code = {"type": "http", "url": url, "headers": {"Authorization": "Bearer ${input:token}"}}
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
    ]


def _link(address: str, config: str) -> str:
    return f"{address}?{urlencode({'name': NAME, 'config': config}, quote_via=quote)}"


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _base64(value: Mapping[str, object]) -> str:
    return b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()


def run_connect(settings: Settings, wanted: str) -> int:
    """Print the ways for the assistants whose name holds *wanted*; give 1 if there are none."""
    here = installed()
    folders = os.pathsep.join(str(root) for root in workspace(settings).roots)
    in_terminal = Launch(here.command, here.arguments, folders if settings.workspace else "")
    elsewhere = Launch(here.command, here.arguments, folders)
    # A command-line assistant starts the server in the user's folder; a desktop program, anywhere.
    found = [way for way in ways(in_terminal) if _is_in_terminal(way)]
    found += [way for way in ways(elsewhere) if not _is_in_terminal(way)]
    keys = "Keys are not printed: add OPENAI_API_KEY to the environment there to run jobs at OpenAI."
    return _print(found, wanted, keys)


def run_connect_over_http(settings: Settings, wanted: str, *, host: str, port: int) -> int:
    """Print the same for a server that is called *host* and listens at *port*, and how assistants get its token.

    Raises:
        InvalidInput: The token cannot be kept from others.
    """
    http_token(settings)  # so that there is one, whether the server or its client comes first
    shown = f"[{host}]" if ":" in host else host
    return _print(ways_over_http(f"http://{shown}:{port}{PATH}"), wanted, _token_lines(settings))


def _print(found: Sequence[Way], wanted: str, last: str) -> int:
    named = [way for way in found if wanted.lower() in way.assistant.lower()]
    for way in named:
        where = f", in {way.where}" if way.where else ""
        print(f"{way.assistant}{where}:\n  {way.text}\n")
    if not named:
        print(f"No assistant is called {wanted!r}. Known are: {', '.join(dict.fromkeys(w.assistant for w in found))}.")
        return 1
    print(last)
    return 0


def _token_lines(settings: Settings) -> str:
    """Say where the token comes from: in no command and no file of an assistant, where others may read it."""
    if settings.http_token:
        return f"The token is not printed: {BEARER} is set here, and has to be where the assistant is started."
    line = system.setting_line(BEARER, token_file(settings))
    return (
        f"The token is not printed. Where the assistant is started, and in your shell's profile, set it with:\n"
        f"  {line}\nVS Code asks for it once: paste what is in that file."
    )


def installed() -> Launch:
    """Give how this installation is started from anywhere."""
    # What `uvx` makes is gone after a while; it makes it anew from the index.
    if "archive-v0" in Path(sys.prefix).parts:
        return PUBLISHED
    script = Path(sys.executable).with_name(f"{NAME}{sysconfig.get_config_var('EXE') or ''}")
    return Launch(str(script)) if script.exists() else Launch(sys.executable, ("-P", "-m", NAME))


def _is_in_terminal(way: Way) -> bool:
    return way.kind == "command" or way.assistant == "VS Code"
