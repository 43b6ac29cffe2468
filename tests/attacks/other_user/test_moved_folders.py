"""A folder that somebody moves out of the workspace, with a link in its place, while a file in it is opened."""

import subprocess
import sys
from pathlib import Path

import pytest

from batchwright.core.descriptors import open_file
from tests.support.swapped_names import swapping, tries
from tests.support.systems import needs_open_folders
from tests.support.waiting import WAIT_SECONDS

SECRET, OURS = b"the other user's", b"harmless"
OPENINGS = 50
"""Of one try: opening takes far less time than a swap."""
MOVE_AND_OPEN = """
import os, sys
from pathlib import Path
from batchwright.core.descriptors import open_file

work, outside, moved, moment = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
steps = []

def move(event, given):
    # Python says what it opens just before the system is asked for it.
    if event == "open" and not isinstance(given[0], int):
        steps.append(os.fspath(given[0]))
        if len(steps) == moment:
            (work / moved).rename(outside / "moved")
            (work / moved).symlink_to(outside / moved)

sys.addaudithook(move)
try:
    with open_file(work, work / "data" / "deep" / "t.csv") as file:
        print(steps[1:], file.read().decode())
except OSError:
    print(steps[1:], "refused")
"""
"""Moves the folder *moved* just before the opening of so many steps, of which the workspace itself is the first."""

pytestmark = needs_open_folders


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Make a workspace, and beside it the same folders of somebody else."""
    for place, text in (("work", OURS), ("outside", SECRET)):
        folder = tmp_path / place / "data" / "deep"
        folder.mkdir(parents=True)
        (folder / "t.csv").write_bytes(text)
    return tmp_path / "work"


@pytest.mark.parametrize(
    ("moved", "before"),
    [(moved, before) for moved in ("data", "data/deep") for before in ("the workspace", "data", "deep", "t.csv")],
)
def test_a_step_is_taken_beneath_the_workspace_or_not_at_all(work: Path, moved: str, before: str) -> None:
    """A folder that is open already is the one that lay in the workspace; the link in its place is not followed."""
    steps = ["the workspace", "data", "deep", "t.csv"]
    moment = steps.index(before) + 1
    arguments = [str(work), str(work.parent / "outside"), moved, str(moment)]
    command = [sys.executable, "-P", "-c", MOVE_AND_OPEN, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS, check=True)

    name = moved.rpartition("/")[2]
    if moment > steps.index(name) + 1:
        assert done.stdout == f"{steps[1:]} {OURS.decode()}\n"
    else:
        assert done.stdout == f"{steps[1 : steps.index(name) + 1]} refused\n"
    assert (work.parent / "outside" / "moved").is_dir()


@pytest.mark.parametrize("moved", ["data", "data/deep"])
def test_a_folder_moved_out_and_back_again_and_again_never_gives_what_lies_outside(work: Path, moved: str) -> None:
    """Whoever moves without rest meets each moment sooner or later."""
    link = work.parent / "outside" / "link"
    link.symlink_to(work.parent / "outside" / moved)
    found = set[bytes]()

    with swapping(work / moved, link):
        for _ in tries():
            for _ in range(OPENINGS):
                try:
                    with open_file(work, work / "data" / "deep" / "t.csv") as file:
                        found.add(file.read())
                except OSError as error:
                    assert SECRET.decode() not in str(error)  # noqa: PT017  # no opening need fail

    assert found <= {OURS}
