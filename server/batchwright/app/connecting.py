"""How assistants are told of this server: as a command, a link, or a block in a file. Pure."""

import json
import shlex
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, urlencode

NAME = "batchwright"
WORKSPACE = "BATCHWRIGHT_WORKSPACE"
BEARER = "BATCHWRIGHT_HTTP_TOKEN"

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
