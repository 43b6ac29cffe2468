"""A folder as a hostile author of data would make it: whatever of it is run leaves a mark."""

import os
import sysconfig
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

KEYS = {
    "OPENAI_API_KEY": "sk-planted-openai-key-0001",
    "BATCHWRIGHT_ENDPOINT_KEY": "planted-endpoint-key-0002",
    "BATCHWRIGHT_HTTP_TOKEN": "planted-http-token-0003",
    "SOME_OTHER_SECRET": "planted-other-secret-0004",
}
MODULES = (
    *("anyio", "argparse", "duckdb", "json", "msgspec", "numpy", "onnxruntime", "openai", "pip", "psutil", "pydantic"),
    *("python_calamine", "rich", "sitecustomize", "usercustomize", "uvicorn", "webbrowser", "xllamacpp", "xlsxwriter"),
)
PROGRAMS = ("fc-list", "latex", "lsb_release", "rustc", "xdg-open")


@dataclass(frozen=True)
class HostileFolder:
    """Where it lies, and where what was run leaves its marks."""

    path: Path
    marks: Path

    def what_ran(self) -> list[str]:
        """Return the names of the files that were run."""
        return sorted(mark.name for mark in self.marks.iterdir())

    def environment(self, **more: str) -> dict[str, str]:
        """Return an environment with keys in it, and with what a project's settings might add to it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BATCHWRIGHT_", "OPENAI_"))}
        home = self.marks.with_name("home")
        home.mkdir(exist_ok=True)
        return {
            **kept,
            **KEYS,
            "HOME": str(home),
            "PATH": os.pathsep.join([".", "", kept["PATH"]]),
            "LD_LIBRARY_PATH": ".:",
            "PYTHONSTARTUP": str(self.path / "startup.py"),
            "PYTHONBREAKPOINT": "startup.breakpoint",
            "BATCHWRIGHT_PROVIDER": "embedded",
            "BATCHWRIGHT_WORKSPACE": str(self.path),
            "BATCHWRIGHT_DATA_DIR": str(self.marks.with_name("data")),
            **more,
        }


def hostile_folder(tmp_path: Path) -> HostileFolder:
    """Plant everything that an interpreter, a loader or a package might take for its own."""
    folder, marks = tmp_path / "project", tmp_path / "marks"
    folder.mkdir()
    marks.mkdir()

    def code(name: str) -> str:
        return f"open({str(marks / name)!r}, 'w').close()\n"

    for name in (*MODULES, "startup"):
        (folder / f"{name}.py").write_text(code(name), encoding="utf-8")
    processes = (
        "costs/chart_process",
        "providers/local/models/chat_model",
        "tables/query_process",
        "tables/excel_file",
    )
    for module in ("__init__", "__main__", *processes):
        path = folder / "batchwright" / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code(f"batchwright.{path.stem}"), encoding="utf-8")
        (path.parent / "__init__.py").write_text(code("batchwright.__init__"), encoding="utf-8")
    for place in (folder, folder / "lib", _packages(folder)):
        place.mkdir(parents=True, exist_ok=True)
        (place / "planted.pth").write_text(f"import os; {code('planted.pth')}", encoding="utf-8")
    for name in PROGRAMS:
        (folder / name).write_text(f"#!/bin/sh\n: > '{marks / name}'\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    (folder / "pyvenv.cfg").write_text("include-system-site-packages = true\n", encoding="utf-8")
    (folder / "matplotlibrc").write_text("text.usetex: True\nfigure.facecolor: red\n", encoding="utf-8")
    (folder / "reviews.csv").write_text("id,text\n1,good\n2,bad\n", encoding="utf-8")
    return HostileFolder(folder, marks)


@contextmanager
def watched_children() -> Generator[dict[str, Mapping[str, str]]]:
    """Note the environment of every process that the programs started here start, by its command."""
    found: dict[str, Mapping[str, str]] = {}
    over = threading.Event()

    def watch() -> None:
        here = psutil.Process()
        known: set[psutil.Process] = set()
        while not over.wait(0.02):
            for child in set(here.children(recursive=True)) - known:
                with suppress(psutil.Error):
                    # What has just been forked is still its parent, until it runs its own program.
                    parent, command = child.parent(), child.cmdline()
                    if parent is None or parent == here or command in ([], parent.cmdline()):
                        continue
                    found[" ".join(command)] = child.environ()
                    known.add(child)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield found
    finally:
        over.set()
        watching.join()


def _packages(folder: Path) -> Path:
    """Return where a virtual environment at *folder* would keep its packages."""
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
