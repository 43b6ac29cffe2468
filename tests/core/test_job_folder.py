"""A job's folder: its files have the names that older versions gave them, and lie in it alone."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from filelock import Timeout

from batchwright.core.job_folder import JobFolder, JobFolders, part_name
from batchwright.core.model import Job, Part, ProviderInfo, Recipe, Source

FOLDER = JobFolder(Path("data", "jobs", "job_k3x9ab2z"))


def part(number: int) -> Part:
    """Return a part that is nothing but its number."""
    return Part(FOLDER.job_id, number, "built", "", 0, 0)


def paths(folder: JobFolder, number: int) -> Iterator[Path]:
    """Return all files that a job with one part may have."""
    yield from (folder.job_file, folder.lock_file, folder.frozen, folder.results)
    yield from (folder.inline_rows, folder.batch_file, folder.ids, folder.repeats)
    yield from (folder.requests(part(number)), folder.members(part(number)), *folder.downloads(part(number)))
    yield from (folder.arriving(part(number), "output"), folder.arriving(part(number), "errors"))
    yield from (folder.stand_in(part(number)), folder.lines(part(number)))


def test_the_names_on_disk_never_change() -> None:
    """The folders of older versions hold what was paid for; and two files of one name would be one file."""
    assert [path.relative_to(FOLDER.path).as_posix() for path in paths(FOLDER, 12)] == [
        "job.json",
        "lock",
        "source.parquet",
        "results.parquet",
        "rows.jsonl",
        "batch.jsonl",
        "ids.jsonl",
        "repeats.jsonl",
        "part-0012.jsonl",
        "part-0012.members.jsonl",
        "part-0012.output.jsonl",
        "part-0012.errors.jsonl",
        "part-0012.output.part",
        "part-0012.errors.part",
        "part-0012.results",
        "part-0012.lines",
    ]


def test_files_of_parts_sort_as_their_numbers() -> None:
    """A listing of the folder shows them in the order of the rows."""
    names = [part_name(part(number)) for number in (1, 20, 300)]

    assert names == sorted(names)


def test_the_folder_of_a_job_is_named_by_its_id(tmp_path: Path) -> None:
    """A lost journal is made anew by these names."""
    folder = JobFolders.in_data(tmp_path).of("job_a")

    assert folder.job_id == "job_a"
    assert folder.path == tmp_path / "jobs" / "job_a"


def test_a_job_that_was_written_down_is_read_as_it_was(tmp_path: Path) -> None:
    """The folder alone has to be enough to make it anew."""
    provider = ProviderInfo("endpoint", "localhost", "m")
    source = Source("tickets.csv", "csv", ("id", "text"), 3)
    recipe = Recipe("/v1/chat/completions", "m", "{{text}}")
    job = Job("job_a", datetime(2026, 1, 1, tzinfo=UTC), source, recipe, provider, (part(1),))
    folder = JobFolder(tmp_path)

    folder.save_job(job)

    assert folder.read_job() == job
    assert list(tmp_path.iterdir()) == [folder.job_file]


def test_a_job_that_the_version_before_wrote_down_is_read_without_its_notes(tmp_path: Path) -> None:
    """They were words about batches that are looked at again before anything is told of them."""
    folder = JobFolder(tmp_path)
    source, recipe = Source("t.csv", "csv", ("id",), 1), Recipe("/v1/responses", "m", "p")
    job = Job(tmp_path.name, datetime.now(UTC), source, recipe, ProviderInfo("embedded", "here", "m"), (part(1),))
    folder.save_job(job)
    text = folder.job_file.read_text(encoding="utf-8")
    assert text.count('"problem":null') == 1
    folder.job_file.write_text(text.replace('"problem":null', '"note":"it was given up"'), encoding="utf-8")

    assert folder.read_job() == job


def test_a_damaged_job_is_no_job(tmp_path: Path) -> None:
    """Whoever takes up lost jobs passes it over."""
    JobFolder(tmp_path).job_file.write_text('{"id": "job_a', encoding="utf-8")

    with pytest.raises(ValueError, match="truncated"):
        JobFolder(tmp_path).read_job()


def test_the_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    """Two that work on a job would pay for it twice."""
    folder = JobFolder(tmp_path)

    with folder.lock(), pytest.raises(Timeout):
        JobFolder(tmp_path).lock().acquire(timeout=0)

    assert folder.lock_file.exists()
    folder.lock().acquire(timeout=0).lock.release()


def test_what_is_written_only_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    """Also where reading it fails."""

    def read() -> None:
        with JobFolder(tmp_path).scratch("reading") as place:
            assert place.parent == tmp_path
            (place / "table").touch()
            raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        read()

    assert list(tmp_path.iterdir()) == []


def test_a_removed_folder_is_gone_and_may_be_gone_before(tmp_path: Path) -> None:
    """Two servers may clean up at once."""
    folder = JobFolder(tmp_path / "job_a")
    folder.path.mkdir()
    folder.inline_rows.touch()

    folder.remove()
    folder.remove()

    assert not folder.path.exists()
