"""The program runs on Linux, macOS and Windows: as far as that can be seen on one of them."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.test_layers import FILES, MODULES, dotted

AS_ON_WINDOWS = """
import importlib, json, os, sys

names, ours = json.loads(sys.argv[1]), "batchwright"
absent = {}
for name in names:
    try:
        importlib.import_module(name)
    except ImportError as error:
        absent[name] = error.name  # an extra that is not installed
for name in [name for name in sys.modules if name.partition(".")[0] == ours]:
    del sys.modules[name]

for name in ("fcntl", "resource", "pwd", "grp", "termios", "pty", "tty", "readline"):
    sys.modules[name] = None
for name in (
    *("fork", "forkpty", "killpg", "getpgid", "setsid", "getuid", "geteuid", "getgid", "getgroups", "setuid", "uname"),
    *("O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_PATH", "mkfifo", "chown", "statvfs"),
    *("mknod", "sched_getaffinity", "sendfile", "openpty", "fchown", "getloadavg", "posix_spawn", "WNOHANG"),
):
    if hasattr(os, name):
        delattr(os, name)
os.supports_dir_fd = set()
sys.platform = "win32"

faults = {}
for name in names:
    try:
        importlib.import_module(name)
    except Exception as error:
        if absent.get(name) is None or getattr(error, "name", None) != absent[name]:
            faults[name] = repr(error)
print(json.dumps(faults))
"""


def test_every_module_can_be_imported_where_only_windows_own_parts_are() -> None:
    """Python is told that it runs on Windows, without the modules and functions that are missing there.

    It shows that no module of this program needs them to be imported, nor a system's name. It does not show that the
    packages that it depends on can be imported there, for they are imported before; nor that anything works once it is.
    """
    names = [f"batchwright.{name}" for name in MODULES if name != "__main__"]
    done = subprocess.run(
        [sys.executable, "-c", AS_ON_WINDOWS, json.dumps(names)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_only_one_module_asks_which_system_this_is(path: Path) -> None:
    """What differs is then read in one place, and no branch is forgotten when another system comes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    asked = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}

    assert dotted(path) == "core.system" or not asked & {"sys.platform", "os.name"} | imported & {"platform"}
