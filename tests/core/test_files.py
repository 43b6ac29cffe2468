"""Files of the program's own: lines, hashes, and whole replacements."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.core import files
from batchwright.core.files import CHUNK_BYTES, lines, sha256, sync, write_whole


def test_a_line_that_crosses_the_chunks_of_reading_stays_whole(tmp_path: Path) -> None:
    """A file is read piece by piece; where a piece ends must not show."""
    path = tmp_path / "a.jsonl"
    long = b"x" * (2 * CHUNK_BYTES + 5)
    path.write_bytes(b"a" * (CHUNK_BYTES - 1) + b"\n" + long + b"\nend\n")

    assert [len(line) for line in lines(path)] == [CHUNK_BYTES - 1, len(long), 3]


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.binary(min_size=1).map(lambda b: b"<" + b.replace(b"\n", b"") + b">")))
def test_lines_that_were_written_are_the_lines_that_are_read(
    tmp_path_factory: pytest.TempPathFactory, texts: list[bytes]
) -> None:
    """Whatever bytes a line holds, it comes back unchanged and in its place."""
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    path.write_bytes(b"".join(text + b"\n" for text in texts))

    assert list(lines(path)) == texts


def test_the_hash_is_that_of_the_whole_content(tmp_path: Path) -> None:
    """A part that was changed anywhere on disk is not sent."""
    path = tmp_path / "a"
    content = b"x" * (CHUNK_BYTES + 1)
    path.write_bytes(content)

    assert sha256(path) == hashlib.sha256(content).hexdigest()


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    """A reader finds the old content or the new, and the folder does not fill up."""
    path = tmp_path / "batch.json"
    path.write_bytes(b"a much longer old content")
    before = path.open("rb")

    write_whole(path, b"new")

    with before:
        assert before.read() == b"a much longer old content"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_temporary_file(tmp_path: Path) -> None:
    """Whatever goes wrong, what was there is still there; and retries must not fill the disk."""
    folder = tmp_path / "is-a-folder"
    (folder / "inside").mkdir(parents=True)

    with pytest.raises(OSError, match="is-a-folder"):
        write_whole(folder, b"new")

    assert (folder / "inside").is_dir()
    assert list(tmp_path.iterdir()) == [folder]


def test_syncing_keeps_the_content(tmp_path: Path) -> None:
    """It opens the file for writing, and must not cut it."""
    path = tmp_path / "a"
    path.write_bytes(b"kept")

    sync(path)

    assert path.read_bytes() == b"kept"


def test_a_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """A lost file must never look like an empty one."""
    with pytest.raises(FileNotFoundError):
        list(files.lines(tmp_path / "gone"))
