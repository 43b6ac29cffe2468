"""What differs between Linux, macOS and Windows, as far as it can be told on any of them."""

import threading
from pathlib import Path

import psutil
import pytest

from batchwright.core import system
from batchwright.core.errors import OutsideWorkspace
from batchwright.core.workspace import Workspace
from tests.support.systems import ignores_case


@pytest.mark.parametrize(
    "step",
    [
        "id_rsa::$DATA",
        "a.csv:hidden",
        ".env.",
        "id_rsa ",
        "con",
        "NUL.csv",
        "Com1",
        "lpt\u00b9.txt",
        "aux .csv",
        "conin$",
    ],
)
def test_a_name_that_windows_takes_for_something_else_is_known(step: str) -> None:
    """Otherwise a key could be read under a name that does not look like one, or a device be waited for."""
    assert system.is_read_otherwise_by_windows(step)


@pytest.mark.parametrize("step", ["a.csv", ".env", "con1.csv", "console.csv", "null", "*.csv", "com10", "a b.csv"])
def test_a_name_that_is_its_own_on_windows_is_left_alone(step: str) -> None:
    """Most names that begin like a device are those of files."""
    assert not system.is_read_otherwise_by_windows(step)


def test_a_file_is_replaced_though_somebody_reads_it_for_a_moment(tmp_path: Path) -> None:
    """Windows refuses that meanwhile; a virus scanner must not make a job stumble."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("new", encoding="utf-8")
    new.write_text("old", encoding="utf-8")
    with new.open("rb") as reader:
        replacing = threading.Thread(target=system.replace, args=(old, new))
        replacing.start()
        assert reader.read() in {b"old", b"new"}
    replacing.join(10)

    assert (new.read_text(encoding="utf-8"), old.exists()) == ("new", False)


def test_a_file_that_is_not_there_replaces_nothing(tmp_path: Path) -> None:
    """Only what passes by itself is waited for."""
    (tmp_path / "new").touch()

    with pytest.raises(FileNotFoundError):
        system.replace(tmp_path / "old", tmp_path / "new")


def test_what_is_written_comes_to_the_disk(tmp_path: Path) -> None:
    """Each system has its own call, and a file system may know only the common one."""
    with (tmp_path / "file").open("wb", buffering=0) as file:
        file.write(b"whole")
        system.to_disk(file.fileno())

    assert (tmp_path / "file").read_bytes() == b"whole"


def test_a_name_that_begins_with_a_dot_is_hidden_everywhere(tmp_path: Path) -> None:
    """Also where the system has a mark of its own, and where there is no such file."""
    (tmp_path / "shown.csv").touch()

    assert system.is_hidden(tmp_path / ".env")
    assert not system.is_hidden(tmp_path / "shown.csv")
    assert not system.is_hidden(tmp_path / "missing.csv")


def test_a_process_has_memory_and_may_open_files() -> None:
    """By these the server keeps within bounds."""
    most = system.max_open_files()

    assert system.memory_bytes(psutil.Process()) > 1_000_000
    assert most is None or most > 0


def test_the_folder_of_the_servers_own_files_is_known_in_another_case(tmp_path: Path) -> None:
    """Most Macs take two cases for one name, and then a result could replace the journal."""
    if not ignores_case(tmp_path):
        pytest.skip("names that differ in case are two files here")
    kept = tmp_path / "Kept"
    kept.mkdir()

    with pytest.raises(OutsideWorkspace, match="server's own files"):
        Workspace([tmp_path], kept=kept).file_to_write("KEPT/journal.csv", overwrite=True)
