"""`batchwright connect`: how each assistant is told of this very installation."""

import os
import sys
from pathlib import Path

from batchwright.app import workspace
from batchwright.connecting import NAME, PUBLISHED, Launch, Way, ways
from batchwright.settings import Settings


def run_connect(settings: Settings, wanted: str) -> int:
    """Print the ways for the assistants whose name holds *wanted*; give 1 if there are none."""
    here = installed()
    folders = os.pathsep.join(str(root) for root in workspace(settings).roots)
    in_terminal = Launch(here.command, here.arguments, folders if settings.workspace else "")
    elsewhere = Launch(here.command, here.arguments, folders)
    # A command-line assistant starts the server in the user's folder; a desktop program, anywhere.
    found = [way for way in ways(in_terminal) if _is_in_terminal(way)]
    found += [way for way in ways(elsewhere) if not _is_in_terminal(way)]
    named = [way for way in found if wanted.lower() in way.assistant.lower()]
    for way in named:
        where = f", in {way.where}" if way.where else ""
        print(f"{way.assistant}{where}:\n  {way.text}\n")
    if not named:
        print(f"No assistant is called {wanted!r}. Known are: {', '.join(dict.fromkeys(w.assistant for w in found))}.")
        return 1
    print("Keys are not printed: add OPENAI_API_KEY to the environment there to run jobs at OpenAI.")
    return 0


def installed() -> Launch:
    """Give how this installation is started from anywhere."""
    # What `uvx` makes is gone after a while; it makes it anew from the index.
    if "archive-v0" in Path(sys.prefix).parts:
        return PUBLISHED
    script = Path(sys.executable).with_name(f"{NAME}.exe" if os.name == "nt" else NAME)
    return Launch(str(script)) if script.exists() else Launch(sys.executable, ("-P", "-m", NAME))


def _is_in_terminal(way: Way) -> bool:
    return way.kind == "command" or way.assistant == "VS Code"
