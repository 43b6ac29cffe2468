"""`batchwright connect`: how each assistant is told of this very installation."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from batchwright.app.app import http_token, token_file, workspace
from batchwright.app.connecting import BEARER, NAME, PUBLISHED, Launch, Way, ways, ways_over_http
from batchwright.core.settings import Settings
from batchwright.mcp_server.streamable_http import PATH


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
    file = str(token_file(settings))
    line = (
        f"$env:{BEARER} = Get-Content '{file}'" if os.name == "nt" else f'export {BEARER}="$(cat {shlex.quote(file)})"'
    )
    return (
        f"The token is not printed. Where the assistant is started, and in your shell's profile, set it with:\n"
        f"  {line}\nVS Code asks for it once: paste what is in that file."
    )


def installed() -> Launch:
    """Give how this installation is started from anywhere."""
    # What `uvx` makes is gone after a while; it makes it anew from the index.
    if "archive-v0" in Path(sys.prefix).parts:
        return PUBLISHED
    script = Path(sys.executable).with_name(f"{NAME}.exe" if os.name == "nt" else NAME)
    return Launch(str(script)) if script.exists() else Launch(sys.executable, ("-P", "-m", NAME))


def _is_in_terminal(way: Way) -> bool:
    return way.kind == "command" or way.assistant == "VS Code"
