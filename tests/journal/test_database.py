"""The journal's file: safe against a crash, refused where it cannot be, and brought to the newest schema."""

import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from importlib import resources
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import get_args

import msgspec
import pytest

from batchwright.core.clock import Uptime
from batchwright.core.errors import InvalidInput
from batchwright.core.model import Job, Part, ProviderInfo, Recipe, Source, SpendingLimits
from batchwright.core.problem import Problem
from batchwright.journal.attempts import Attempt
from batchwright.journal.database import network_file_system, open_database
from batchwright.journal.events import EventKind
from batchwright.journal.journal import Journal
from tests.support.former_files import FOLDER
from tests.support.values import START

NOT_CONFIRMED = Problem.found("not_confirmed", "it is not confirmed whether its batch was made; nothing was sent again")
FORMER_KINDS = {
    "round 2 drafted": ("round_drafted", "2"),
    "round 12 submitted": ("round_submitted", "12"),
    "split into 3": ("split", "3"),
    "attempt not_sent": ("attempt_closed", "not_sent"),
    "ended completed": ("batch_ended", "completed"),
    "batch found": ("batch_found", None),
    "retry discarded": ("retry_discarded", None),
    "changed on disk": ("changed_on_disk", None),
    "never submitted": ("never_submitted", None),
    "restored": ("restored", None),
    "ended": ("ended", None),
}
"""What events of version 7 were called, and what they are."""
LINUX = [
    ("/", "ext4"),
    ("/proc", "proc"),
    ("/home", "nfs4"),
    ("/home/local", "xfs"),
    ("/home/local/team", "cifs"),
    ("/mnt/cloud", "fuse.sshfs"),
    ("/auto", "autofs"),
]


@pytest.mark.parametrize(("for_disk", "synchronous"), [(True, 2), (False, 0)])
def test_the_file_is_opened_with_everything_that_a_crash_asks_for(
    tmp_path: Path, *, for_disk: bool, synchronous: int
) -> None:
    """A transaction that was committed is on the disk, unless a test that loses no power says otherwise."""
    names = ("journal_mode", "synchronous", "fullfsync", "foreign_keys")
    with closing(open_database(tmp_path / "journal.db", now=now, for_disk=for_disk)) as db:
        found = {name: db.first(f"PRAGMA {name}") for name in names}

    assert found == {"journal_mode": "wal", "synchronous": synchronous, "fullfsync": 1, "foreign_keys": 1}


def test_a_transaction_that_fails_writes_nothing(tmp_path: Path) -> None:
    """Half of what belongs together is worse than nothing, also when the process is told to stop in the middle."""
    with closing(open_database(tmp_path / "journal.db", now=now)) as db:
        with suppress(KeyboardInterrupt), db.writing():
            db.execute("INSERT INTO known_host VALUES ('a', '')")
            raise KeyboardInterrupt
        with db.writing():
            db.execute("INSERT INTO known_host VALUES ('b', '')")

        assert [tuple(row) for row in db.execute("SELECT host FROM known_host").fetchall()] == [("b",)]


def test_a_second_writer_is_kept_out_from_the_beginning_of_a_transaction(tmp_path: Path) -> None:
    """What was looked at must still hold when it is acted on."""
    path = tmp_path / "journal.db"
    with (
        closing(open_database(path, now=now)) as db,
        closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other,
    ):
        with db.writing(), pytest.raises(sqlite3.OperationalError) as caught:
            other.execute("BEGIN IMMEDIATE")

        assert caught.value.sqlite_errorcode == sqlite3.SQLITE_BUSY
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib/batchwright", None),
        ("/home/ann/.local/share/batchwright", "nfs4"),
        ("/home", "nfs4"),
        ("/home/local/share", None),
        ("/home/local/team/data", "cifs"),
        ("/home/localhost", "nfs4"),
        ("/homes/ann", None),
        ("/mnt/cloud/a/b", "fuse.sshfs"),
        ("/auto/ann", "nfs4"),
    ],
)
def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount(folder: str, kind: str | None) -> None:
    """A local disk may be mounted below a network's; a mount on demand is listed before that of the other machine."""
    assert network_file_system(PurePosixPath(folder), [*LINUX, ("/auto", "nfs4")]) == kind
    assert network_file_system(PurePosixPath(folder), [*LINUX[::-1], ("/auto", "nfs4")]) == kind


@pytest.mark.parametrize("kind", ["nfs", "NFS", "smbfs", "smb3", "afpfs", "glusterfs", "lustre", "fuse.rclone"])
def test_file_systems_of_other_machines_are_known_by_their_types(kind: str) -> None:
    """Their locks do not hold between machines, or not at all."""
    assert network_file_system(PurePosixPath("/data"), [("/", "ext4"), ("/data", kind)]) == kind.lower()


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "apfs", "NTFS", "zfs", "overlay", "tmpfs", "fuse.fuseblk", ""])
def test_file_systems_of_this_machine_are_taken(kind: str) -> None:
    """Most journals lie on one of them."""
    assert network_file_system(PurePosixPath("/data"), [("/", kind)]) is None


def test_where_no_mount_is_known_a_folder_is_taken_to_be_local() -> None:
    """Not every system tells."""
    assert network_file_system(PurePosixPath("/data"), []) is None
    assert network_file_system(PureWindowsPath("C:/data"), [("D:\\", "nfs")]) is None
    assert network_file_system(PureWindowsPath("N:/data"), [("C:\\", "NTFS"), ("N:\\", "nfs")]) == "nfs"


@pytest.mark.parametrize(
    ("folder", "is_share"),
    [
        (r"\\server\share\data", True),
        ("//server/share/data", True),
        (r"\\?\UNC\server\share\data", True),
        (r"\\?\C:\a very long path", False),
        (r"C:\Users\Ann", False),
    ],
)
def test_a_share_of_windows_is_another_machines(folder: str, *, is_share: bool) -> None:
    """A drive that stands for one is led back to it, and the system calls its file system NTFS."""
    found = network_file_system(PureWindowsPath(folder), [("C:\\", "NTFS")])

    assert found == ("a Windows share" if is_share else None)


def now() -> datetime:
    """Return the time at which journals are opened here."""
    return START


def job(job_id: str) -> Job:
    """Return a job as the first version knew it."""
    return Job(
        id=job_id,
        created_at=START,
        source=Source("t.csv", "csv", ("id", "text"), 4, "id", "/home/ann/t.csv"),
        recipe=Recipe("/v1/chat/completions", "m", "Label {{text}}", parameters={"temperature": 0}),
        provider=ProviderInfo("endpoint", "localhost", "m"),
        parts=(
            Part(job_id, 1, "submitted", "ab", 9, 2, f"file-{job_id}-1", f"batch-{job_id}-1", "in_progress"),
            Part(job_id, 2, "unknown", "cd", 8, 2, f"file-{job_id}-2", problem=NOT_CONFIRMED),
        ),
    )


def of_first_schema(path: Path, *jobs: Job) -> None:
    """Write a journal as the first version did; an attempt of each job's second part is open."""

    def encoded(value: object) -> str:
        fields = msgspec.to_builtins(value)
        fields.pop("charges", None)  # which it did not know
        return msgspec.json.encode(fields).decode()

    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        script = resources.files("batchwright.journal").joinpath("sql", "0001.sql")
        db.executescript(script.read_text(encoding="utf-8"))
        for made in jobs:
            db.execute(
                "INSERT INTO job (id, created_at, source, recipe, provider, submitted_at) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    *(made.id, made.created_at.isoformat()),
                    *(*map(encoded, (made.source, made.recipe, made.provider)), START.isoformat()),
                ),
            )
            for part in made.parts:
                db.execute(
                    "INSERT INTO part (job_id, number, state, sha256, size_bytes, requests, file_id, batch_id, "
                    "batch_status, note, errors) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(part.job_id, part.number, part.state, part.sha256, part.size_bytes, part.requests),
                        *(part.file_id, part.batch_id, part.batch_status, part.note),
                        msgspec.json.encode(part.errors).decode(),
                    ),
                )
            attempt = "INSERT INTO attempt (job_id, part, nonce, file_id, opened_at, outcome, batch_id) VALUES "
            first, second = made.parts
            for values in (
                (made.id, 1, f"{made.id}-1", first.file_id, START.isoformat(), "created", first.batch_id),
                (made.id, 2, f"{made.id}-2", second.file_id, START.isoformat(), "refused", None),
                (made.id, 2, f"{made.id}-3", second.file_id, START.isoformat(), "open", None),
            ):
                db.execute(attempt + "(?, ?, ?, ?, ?, ?, ?)", values)
            db.execute("INSERT INTO event (at, job_id, kind) VALUES (?, ?, 'drafted')", (START.isoformat(), made.id))
        db.execute("PRAGMA user_version = 1")


def test_a_journal_of_the_first_version_keeps_its_jobs_and_attempts(tmp_path: Path) -> None:
    """A job that was running at the upgrade is answered by the same batches as before."""
    path = tmp_path / "journal.db"
    of_first_schema(path, job("job_a"), job("job_b"))

    with closing(
        Journal(path, now=lambda: START + timedelta(hours=1), uptime=lambda: Uptime("boot-1", 5.0))
    ) as journal:
        found = journal.job("job_a")
        first, second = found.parts

        assert found == replace(job("job_a"), submitted_at=START)
        assert [made.id for made in journal.jobs(limit=9)] == ["job_a", "job_b"]
        assert journal.queries.unfinished() == ["job_a", "job_b"]
        assert (journal.attempts.open_nonce(first), journal.attempts.open_nonce(second)) == (None, "job_a-3")
        assert journal.attempts.seconds_open(second) == 5.0
        assert [journal.attempts.count(second, outcome) for outcome in (None, "refused", "not_sent")] == [1, 1, 0]
        assert journal.queries.job_of_batch("batch-job_b-1") == "job_b"
        assert journal.events.of("job_a") == [(START, None, "drafted", None)]


def test_a_job_of_the_first_version_comes_to_its_end(tmp_path: Path) -> None:
    """It was free, so nothing is reserved and nothing settled; and it still has one batch for each part."""
    path = tmp_path / "journal.db"
    of_first_schema(path, job("job_a"))

    with closing(Journal(path, now=now)) as journal:
        first, second = journal.job("job_a").parts
        with pytest.raises(sqlite3.IntegrityError):
            journal.parts.open_attempt(second, "nonce", share=None, limits=SpendingLimits())
        journal.parts.close_attempt(replace(second, state="submitted", batch_id="batch-2"), "created")
        for part in journal.job("job_a").parts:
            journal.parts.save(replace(part, state="verified", batch_status="completed", cost_usd=Decimal(0)))
        journal.mark_ended("job_a", {"answered": 4}, tokens=(8, 4))
        retried = replace(first, number=3, round=2, state="built", batch_id=None, batch_status=None)
        journal.add_round(journal.job("job_a"), [retried], kept={"answered": 2})
        was_new = journal.agree(journal.job("job_a"), {}, agreed_usd=None, limits=SpendingLimits())

        assert was_new
        assert (journal.job("job_a").round, journal.job("job_a").running_parts) == (2, (retried,))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM ledger").fetchone() == (0,)


def test_an_attempt_of_the_first_version_may_end_in_the_new_ways(tmp_path: Path) -> None:
    """The old table did not let it."""
    path = tmp_path / "journal.db"
    of_first_schema(path, job("job_a"))

    with closing(Journal(path, now=now)) as journal:
        first, second = journal.job("job_a").parts
        journal.parts.close_attempt(replace(first, state="uploaded", batch_id=None), "void")
        journal.parts.close_attempt(replace(second, state="built", file_id=None), "resent")

        assert journal.attempts.abandoned("job_a") == {"job_a-3": Attempt("job_a-3", 2, 0)}
        assert journal.attempts.count(first, "void") == 1
        assert journal.queries.job_of_batch("batch-job_a-1") == "job_a"


def test_a_journal_is_brought_to_the_newest_schema_once(tmp_path: Path) -> None:
    """The next start finds nothing to do, and an upgraded journal is like a new one, of which there is no copy."""
    upgraded, new = tmp_path / "upgraded.db", tmp_path / "new.db"
    of_first_schema(upgraded)
    schemas: list[list[tuple[str, str]]] = []
    for path in (upgraded, upgraded, new):
        with closing(open_database(path, now=now)) as db:
            rows = db.execute("SELECT type, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type, name")
            schemas.append([tuple(row) for row in rows.fetchall()])
            version = db.execute("PRAGMA user_version").fetchone()[0]
            assert version == len(list(resources.files("batchwright.journal").joinpath("sql").iterdir()))

    assert schemas[0] == schemas[1] == schemas[2]
    assert not list(tmp_path.glob("new.db.version-*"))


def test_an_upgrade_that_fails_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    """The former version can still go on with it."""
    path = tmp_path / "journal.db"
    of_first_schema(path, job("job_a"))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE ledger (of_someone_else TEXT)")
        before = list(db.iterdump())

    with pytest.raises(InvalidInput, match=r"^The journal .*journal\.db cannot be opened: .+ Check the folder"):
        open_database(path, now=now)

    with closing(sqlite3.connect(path)) as db:
        assert list(db.iterdump()) == before
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


def of_version_7(path: Path) -> sqlite3.Connection:
    """Put a journal of the version before at *path*, and open it as a process of that version does."""
    shutil.copyfile(FOLDER / "data" / "journal.db", path)
    return sqlite3.connect(path, isolation_level=None)


def test_the_problems_of_the_version_before_get_their_codes(tmp_path: Path) -> None:
    """What waits for the user must not be lost in an upgrade."""
    path = tmp_path / "journal.db"
    of_version_7(path).close()

    with closing(Journal(path, now=now)) as journal:
        parts = [part for job in journal.jobs(limit=9) for part in job.parts]

    assert {part.state: part.problem.code for part in parts if part.problem} == {"unknown": "not_confirmed"}


def test_the_events_of_the_version_before_get_their_kinds(tmp_path: Path) -> None:
    """Numbers stood in them, so that none could be told apart by its name."""
    path = tmp_path / "journal.db"
    with closing(of_version_7(path)) as db:
        (job_id,) = db.execute("SELECT id FROM job").fetchone()
        db.execute("DELETE FROM event")
        for kind in FORMER_KINDS:
            db.execute("INSERT INTO event (at, job_id, kind) VALUES (?, ?, ?)", (START.isoformat(), job_id, kind))

    with closing(Journal(path, now=now)) as journal:
        assert [event[2:] for event in journal.events.of(job_id)] == list(FORMER_KINDS.values())
        assert journal.events.has(job_id, "restored")
    assert {kind for kind, _ in FORMER_KINDS.values()} <= {*get_args(EventKind)}


def test_a_journal_is_copied_before_it_is_changed_and_only_the_last_copy_stays(tmp_path: Path) -> None:
    """Whoever has to go back to the version before can; older prompts must not pile up."""
    path, kept = tmp_path / "journal.db", tmp_path / "journal.db.version-7"
    older, of_another = tmp_path / "journal.db.version-6", tmp_path / "other.db.version-6"
    with closing(of_version_7(path)) as db:
        for copy in (older, of_another):
            copy.touch()
        db.execute("INSERT INTO known_host VALUES ('a', '')")
        before = list(db.iterdump())

        open_database(path, now=now).close()
        open_database(path, now=now).close()

    with closing(sqlite3.connect(kept)) as db:
        assert list(db.iterdump()) == before
        assert db.execute("PRAGMA user_version").fetchone() == (7,)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.part"))
    assert (older.exists(), of_another.exists()) == (False, True)


def test_a_process_of_the_version_before_goes_on_beside_a_new_one(tmp_path: Path) -> None:
    """Assistants are upgraded one by one: what the old one writes is words alone, and is understood all the same."""
    path = tmp_path / "journal.db"
    with closing(of_version_7(path)) as old, closing(Journal(path, now=now)) as journal:
        (part,) = (part for job in journal.jobs(limit=9) for part in job.parts if part.problem)

        def told_by_old(note: str | None) -> Problem | None:
            old.execute("UPDATE part SET note = ? WHERE job_id = ? AND number = 1", (note, part.job_id))
            return journal.job(part.job_id).parts[0].problem

        waits = "it waits until earlier batches have ended: about 5 tokens of m may be enqueued at a time"
        assert told_by_old(waits) == Problem.found("waits", waits)
        assert told_by_old(None) is None
        journal.parts.save(part)
        assert journal.job(part.job_id).parts[0] == part
        assert old.execute("SELECT note FROM part WHERE job_id = ?", (part.job_id,)).fetchone() == (part.note,)


def filled(path: Path) -> bytes:
    """Write a journal of many pages, and give its content."""
    with closing(Journal(path, now=now)) as journal:
        for number in range(40):
            recipe = Recipe("/v1/chat/completions", "m", "x" * 3_000)
            journal.add_job(replace(job(f"job_{number}"), recipe=recipe))
    return path.read_bytes()


def refused(path: Path, content: bytes) -> None:
    """See that a journal of this content is refused, and that it is not touched."""
    path.write_bytes(content)

    with pytest.raises(InvalidInput) as caught:
        open_database(path, now=now)

    assert str(caught.value).startswith(f"The journal {path} cannot be read: ")
    assert "move it and the files beside it that begin with its name elsewhere" in str(caught.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("kept", [0.5, 0.1, 0.00001], ids=["cut in half", "cut to a tenth", "cut in the head"])
def test_a_journal_that_was_cut_is_refused_in_a_sentence_and_left_alone(tmp_path: Path, kept: float) -> None:
    """A new one in its place would know nothing of what is running, and send it again."""
    content = filled(tmp_path / "whole.db")
    refused(tmp_path / "journal.db", content[: 20 + int(len(content) * kept)])


@pytest.mark.parametrize(
    ("start", "end"), [(0, 16), (4_096, None), (0, None)], ids=["in the head", "after the first page", "all of it"]
)
def test_a_journal_that_was_overwritten_is_refused_in_a_sentence_and_left_alone(
    tmp_path: Path, start: int, end: int | None
) -> None:
    """A new one in its place would know nothing of what is running; or it is something else of the user's."""
    content = bytearray(filled(tmp_path / "whole.db"))
    content[start:end] = b"?" * len(content[start:end])
    refused(tmp_path / "journal.db", bytes(content))


def test_the_names_of_the_schemas_are_in_the_order_in_which_they_were_made() -> None:
    """A journal's version is how many of them it has been through."""
    names = sorted(entry.name for entry in resources.files("batchwright.journal").joinpath("sql").iterdir())

    assert names == [f"{number:04}.sql" for number in range(1, len(names) + 1)]
