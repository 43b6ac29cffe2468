"""What some tests need of the system beyond Python: each mark skips a test where that is missing, and says why."""

import os
import signal
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest


def _makes_links() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            Path(folder, "link").symlink_to("elsewhere")
        except OSError:
            return False
        return True


def ignores_case(folder: Path) -> bool:
    """Whether two names that differ only in case are one file in *folder*."""
    (folder / "case").touch()
    return (folder / "CASE").exists()


needs_modes = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no bits for their owner here")
needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may act as another user"
)
needs_links = pytest.mark.skipif(not _makes_links(), reason="this user may make no symbolic links here")
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="folders hold no pipes here")
needs_devices = pytest.mark.skipif(not Path("/dev/zero").exists(), reason="folders hold no devices here")
needs_open_folders = pytest.mark.skipif(os.open not in os.supports_dir_fd, reason="folders have no descriptors here")
needs_signals = pytest.mark.skipif(
    not hasattr(signal, "SIGKILL"), reason="a process cannot be told to end here: it is ended at once"
)
needs_terminals = pytest.mark.skipif(find_spec("termios") is None, reason="there are no pseudo-terminals here")
needs_scripts = pytest.mark.skipif(not hasattr(os, "fork"), reason="a text file is no program here")
needs_file_limit = pytest.mark.skipif(find_spec("resource") is None, reason="open files have no such limit here")
needs_named_runs = pytest.mark.skipif(
    sys.platform not in {"linux", "darwin"}, reason="nothing tells one start of the machine from another here"
)
