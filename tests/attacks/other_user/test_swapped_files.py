"""A file of the workspace that somebody replaces while it is read: what was checked is what is used, or nothing is."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import duckdb
import pytest

from batchwright.core.errors import BatchwrightError, InvalidInput
from batchwright.core.progress import Progress
from batchwright.core.workspace import Workspace
from batchwright.tables.frozen import freeze
from batchwright.tables.head import columns
from batchwright.tables.inspection import profile
from batchwright.tables.source import find
from tests.support.swapped_names import swapping, tries
from tests.support.systems import needs_links, needs_pipes
from tests.support.xlsx_file import write_book

SECRET = "the other user's"


def write(path: Path, text: str) -> Path:
    """Write a table of one row, of the kind that the file's name says."""
    if path.name.endswith(".parquet"):
        duckdb.execute("COPY (SELECT ? AS text) TO '" + str(path) + "' (FORMAT parquet)", [text])
    elif path.name.endswith(".xlsx"):
        write_book(path, {"Sheet": [["text"], [text]]})
    elif path.name.endswith(".json"):
        path.write_text(f'[{{"text": "{text}"}}]')
    elif path.name.endswith(".jsonl"):
        path.write_text(f'{{"text": "{text}"}}\n')
    else:
        content = f"text\n{text}\n".encode()
        path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


KINDS = ("t.csv", "t.txt", "t.tsv.gz", "t.json", "t.jsonl", "t.parquet", "t.xlsx")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Make a workspace, and beside it a folder for the server's own files and one of somebody else."""
    for name in ("work", "job", "outside"):
        (tmp_path / name).mkdir()
    return tmp_path / "work"


def swap(path: Path, to: Callable[[Path], object]) -> None:
    """Replace a file by what *to* makes."""
    path.unlink()
    to(path)


@needs_links
@pytest.mark.parametrize("name", KINDS)
def test_a_file_swapped_for_a_link_after_it_was_found_is_not_read(work: Path, name: str) -> None:
    """Between the check and the reading there is always a moment."""
    secret = write(work.parent / "outside" / name, SECRET)
    path = write(work / name, "harmless")
    origin = find(Workspace([work]), name, {})
    swap(path, lambda path: path.symlink_to(secret))

    with pytest.raises(InvalidInput, match="was replaced while it was opened"):
        freeze(origin, work.parent / "job" / "frozen.parquet", id_column=None)
    if not name.endswith(".gz"):  # whose columns are not told without reading it
        with pytest.raises(InvalidInput, match="was replaced while it was opened"):
            columns(origin, work.parent / "job")
    with pytest.raises(InvalidInput, match="was replaced while it was opened"):
        profile(origin, folder=work.parent / "job", sample_rows=5)
    assert list((work.parent / "job").iterdir()) == []


@needs_links
def test_a_folder_swapped_for_a_link_after_a_file_in_it_was_found_is_not_entered(work: Path) -> None:
    """Each step of a name may be replaced, not only the last."""
    (work / "data").mkdir()
    write(work / "data" / "t.csv", "harmless")
    write(work.parent / "outside" / "t.csv", SECRET)
    origin = find(Workspace([work]), "data/*.csv", {})
    (work / "data").rename(work / "moved")
    (work / "data").symlink_to(work.parent / "outside")

    with pytest.raises(InvalidInput, match="was replaced while it was opened"):
        profile(origin, folder=work.parent / "job", sample_rows=5)


@needs_pipes
@pytest.mark.parametrize("name", KINDS)
def test_a_file_swapped_for_a_pipe_after_it_was_found_hangs_nobody(work: Path, name: str) -> None:
    """A thread that waits for the pipe's other end waits for ever, and the server has 40 of them."""
    path = write(work / name, "harmless")
    origin = find(Workspace([work]), name, {})
    swap(path, os.mkfifo)
    told: list[str] = []

    def read() -> None:
        try:
            profile(origin, folder=work.parent / "job", sample_rows=5)
        except InvalidInput as error:
            told.append(str(error))

    thread = Thread(target=read, daemon=True)
    thread.start()
    thread.join(30)

    assert told == [f"'{name}' is not a regular file. Name one data file. Put the data file there."]


@needs_links
@pytest.mark.slow
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_a_file_swapped_again_and_again_never_gives_what_lies_outside(
    work: Path, name: str, *, is_folder: bool
) -> None:
    """Whoever swaps without rest meets each moment sooner or later."""
    swapped, other = work / "data", work / ".other"
    swapped.mkdir()
    write(swapped / name, "harmless")
    write(work.parent / "outside" / name, SECRET)
    if is_folder:
        other.symlink_to(work.parent / "outside")
    else:
        swapped = swapped / name
        other.symlink_to(work.parent / "outside" / name)
    workspace, texts = Workspace([work]), set[object]()

    with swapping(swapped, other):
        for _ in tries():
            try:
                found = profile(find(workspace, f"data/{name}", {}), folder=work.parent / "job", sample_rows=5)
                texts.update(row["text"] for row in found.sample)
            except BatchwrightError as error:
                assert SECRET not in str(error)  # noqa: PT017  # no call need fail

    assert texts <= {"harmless"}


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_file_that_is_changed_while_it_is_copied_is_refused(work: Path, name: str) -> None:
    """Half of one content and half of another was never anybody's data; the time of a change can be set back."""
    path = write(work / name, "x" * 100_000)
    before = path.stat()

    def change(_percent: float, _doing: str) -> None:
        with path.open("r+b") as file:
            file.write(b"T")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(InvalidInput, match=f"{name} was changed while it was read. Try again"):
        profile(
            find(Workspace([work]), name, {}), folder=work.parent / "job", sample_rows=1, progress=Progress.to(change)
        )


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_file_with_another_name_is_refused(work: Path, name: str) -> None:
    """A hard link is no link to be followed: only the count of names tells that the file may lie elsewhere."""
    write(work.parent / "outside" / name, SECRET)
    (work / name).hardlink_to(work.parent / "outside" / name)

    with pytest.raises(InvalidInput, match=r"has 2 names \(hard links\).* Copy it, and name the copy"):
        find(Workspace([work]), name, {})


def test_a_file_that_gets_another_name_after_it_was_found_is_refused(work: Path) -> None:
    """Swapped for a hard link, it is another file."""
    path = write(work / "t.csv", "harmless")
    origin = find(Workspace([work]), "t.csv", {})
    swap(path, lambda path: path.hardlink_to(write(work.parent / "outside" / "t.csv", SECRET)))

    with pytest.raises(InvalidInput, match=r"has 2 names \(hard links\)"):
        freeze(origin, work.parent / "job" / "frozen.parquet", id_column=None)
