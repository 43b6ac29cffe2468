"""A folder that somebody replaces while results are saved in it: nothing is written outside the workspace."""

from pathlib import Path

import pytest

from batchwright.core.errors import BatchwrightError, InvalidInput
from batchwright.core.workspace import Workspace
from tests.support.swapped_names import swapping, tries
from tests.support.systems import needs_links


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Make a workspace with a folder for results, and a folder of somebody else."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "work" / "out" / "deep").mkdir(parents=True)
    return tmp_path / "work"


@needs_links
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["out/r.csv", "out/deep/r.csv", "out/new/r.csv"])
def test_a_folder_swapped_for_a_link_before_the_file_is_made_is_not_entered(
    work: Path, name: str, *, overwrite: bool
) -> None:
    """Results take long to make; meanwhile the folder that was checked may be another."""
    workspace = Workspace([work])
    path = workspace.file_to_write(name, overwrite=overwrite)
    (work.parent / "outside" / "deep").mkdir()
    (work / "out").rename(work / "moved")
    (work / "out").symlink_to(work.parent / "outside")

    with (
        pytest.raises(InvalidInput, match=r"The folder of 'r\.csv' was replaced meanwhile"),
        workspace.new_file(path, overwrite=overwrite) as file,
    ):
        file.write(b"results")

    assert [path.name for path in (work.parent / "outside").rglob("*")] == ["deep"]


@needs_links
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_swapped_for_a_link_while_the_file_is_written_gets_nothing(work: Path, *, overwrite: bool) -> None:
    """The file goes where its folder went, not where the folder's name leads by then."""
    workspace = Workspace([work])
    path = workspace.file_to_write("out/r.csv", overwrite=overwrite)

    with workspace.new_file(path, overwrite=overwrite) as file:
        file.write(b"results")
        (work / "out").rename(work / "moved")
        (work / "out").symlink_to(work.parent / "outside")

    assert list((work.parent / "outside").iterdir()) == []
    assert (work / "moved" / "r.csv").read_bytes() == b"results"


@needs_links
def test_a_target_swapped_for_a_link_is_replaced_and_what_it_leads_to_is_kept(work: Path) -> None:
    """The user agreed to replace a file of the workspace, and no other."""
    kept = work.parent / "outside" / "kept.csv"
    kept.write_bytes(b"kept")
    workspace = Workspace([work])
    (work / "r.csv").touch()
    path = workspace.file_to_write("r.csv", overwrite=True)

    with workspace.new_file(path, overwrite=True) as file:
        file.write(b"results")
        path.unlink()
        path.symlink_to(kept)

    assert kept.read_bytes() == b"kept"
    assert (path.is_symlink(), path.read_bytes()) == (False, b"results")


@needs_links
def test_a_folder_swapped_again_and_again_never_has_results_written_outside(work: Path) -> None:
    """Whoever swaps without rest meets each moment sooner or later."""
    (work / ".link").symlink_to(work.parent / "outside")
    workspace = Workspace([work])

    with swapping(work / "out", work / ".link"):
        for number in tries():
            try:
                path = workspace.file_to_write(f"out/{number}.csv", overwrite=False)
                with workspace.new_file(path, overwrite=False) as file:
                    file.write(b"results")
            except BatchwrightError:
                continue

    assert list((work.parent / "outside").iterdir()) == []
