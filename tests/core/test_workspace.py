"""The workspace: what may be opened, what never is, and files that are written whole or not at all."""

import os
from pathlib import Path
from threading import Thread

import pytest

from batchwright.core.errors import BatchwrightError, InvalidInput, NotFound, OutsideWorkspace
from batchwright.core.workspace import Workspace, default_root
from tests.support.systems import needs_devices, needs_links, needs_pipes

HOME = Path("/home/ann")


def opened(root: Path) -> Workspace:
    """Make the folder *root*, and a workspace of it."""
    root.mkdir(exist_ok=True)
    return Workspace([root])


def test_a_file_in_the_workspace_is_found_by_its_relative_and_its_absolute_name(tmp_path: Path) -> None:
    """The assistant hands on whichever the user said."""
    workspace = opened(tmp_path)
    (tmp_path / "sub").mkdir()
    file = tmp_path / "sub" / "t.csv"
    file.touch()

    assert workspace.file_to_read("sub/t.csv") == file
    assert workspace.file_to_read(str(file)) == file


def test_a_pattern_is_looked_for_in_every_folder_in_order(tmp_path: Path) -> None:
    """As a name is: the files of two folders are never mixed."""
    first, second = tmp_path / "first", tmp_path / "second"
    for file in (first / "b1.csv", second / "b2.csv", second / "sub" / "c2.csv", second / "sub" / "c1.csv"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    workspace = Workspace([first, second])

    assert workspace.files_to_read("b*.csv", most=9) == [first / "b1.csv"]
    assert workspace.files_to_read("*/c?.csv", most=9) == [second / "sub" / "c1.csv", second / "sub" / "c2.csv"]
    assert workspace.files_to_read(str(second / "sub" / "c[12].csv"), most=9) == [
        second / "sub" / "c1.csv",
        second / "sub" / "c2.csv",
    ]


@needs_links
def test_a_pattern_that_meets_a_link_out_of_the_workspace_is_refused(tmp_path: Path) -> None:
    """Left out in silence, its rows would be missed by nobody."""
    workspace = opened(tmp_path / "data")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "t.csv").touch()
    (tmp_path / "data" / "a.csv").touch()
    (tmp_path / "data" / "z.csv").symlink_to(tmp_path / "outside" / "t.csv")
    (tmp_path / "data" / "folder").symlink_to(tmp_path / "outside")

    for pattern in ("*.csv", "folder/*.csv", "*/*.csv"):
        with pytest.raises(OutsideWorkspace):
            workspace.files_to_read(pattern, most=9)


def test_a_relative_name_is_looked_for_in_every_folder_in_order(tmp_path: Path) -> None:
    """The user names a file, not the folder that it happens to lie in."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    for file in (first / "both.csv", second / "both.csv", second / "only.csv"):
        file.touch()
    workspace = Workspace([first, second])

    assert workspace.file_to_read("both.csv") == first / "both.csv"
    assert workspace.file_to_read("only.csv") == second / "only.csv"


@pytest.mark.parametrize(
    "name",
    [
        "../secret.csv",
        "sub/../../secret.csv",
        "sub/../inside.csv",
        "..",
        "/etc/passwd",
        "/proc/self/environ",
        "/dev/null",
        "~",
        "~/secret.csv",
        "~no-such-user-here/secret.csv",
    ],
)
def test_a_name_that_leads_out_is_refused_for_reading_and_for_writing(tmp_path: Path, name: str) -> None:
    """Nothing outside the folders that the user opened may be touched."""
    (tmp_path / "secret.csv").touch()
    workspace = opened(tmp_path / "data")
    (tmp_path / "data" / "sub").mkdir()
    (tmp_path / "data" / "inside.csv").touch()

    with pytest.raises(OutsideWorkspace):
        workspace.file_to_read(name)
    with pytest.raises(OutsideWorkspace):
        workspace.file_to_write(name, overwrite=True)


def test_a_sibling_folder_whose_name_begins_the_same_is_outside(tmp_path: Path) -> None:
    """`data-private` begins with `data`, and is another folder."""
    workspace = opened(tmp_path / "data")
    private = tmp_path / "data-private"
    private.mkdir()
    (private / "t.csv").touch()

    with pytest.raises(OutsideWorkspace):
        workspace.file_to_read(str(private / "t.csv"))
    with pytest.raises(OutsideWorkspace):
        workspace.file_to_write(str(private / "new.csv"), overwrite=False)


@needs_links
@pytest.mark.parametrize("name", ["file.csv", "folder/secret.csv", "chain.csv", "missing.csv"])
def test_a_link_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    """A repository that the user fetched may hold links to anywhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.csv").touch()
    root = tmp_path / "data"
    workspace = opened(root)
    (root / "file.csv").symlink_to(outside / "secret.csv")
    (root / "folder").symlink_to(outside)
    (root / "chain.csv").symlink_to("middle.csv")
    (root / "middle.csv").symlink_to("file.csv")
    (root / "missing.csv").symlink_to(outside / "missing.csv")

    with pytest.raises(OutsideWorkspace):
        workspace.file_to_read(name)


@needs_links
def test_writing_through_a_link_is_refused_and_its_target_kept(tmp_path: Path) -> None:
    """A result must not be written over a file elsewhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "t.csv").write_text("kept")
    root = tmp_path / "data"
    workspace = opened(root)
    (root / "link.csv").symlink_to(outside / "t.csv")
    (root / "folder").symlink_to(outside)

    with pytest.raises(InvalidInput):
        workspace.file_to_write("link.csv", overwrite=True)
    with pytest.raises(OutsideWorkspace):
        workspace.file_to_write("folder/t.csv", overwrite=True)


@needs_links
def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    """The user's own order of files is none of the server's business."""
    workspace = opened(tmp_path)
    (tmp_path / "real.csv").touch()
    (tmp_path / "link.csv").symlink_to("real.csv")

    assert workspace.file_to_read("link.csv") == tmp_path / "real.csv"


@needs_links
def test_a_circle_of_links_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """It has no end, and must not be followed for ever."""
    workspace = opened(tmp_path)
    (tmp_path / "a.csv").symlink_to("b.csv")
    (tmp_path / "b.csv").symlink_to("a.csv")

    with pytest.raises(InvalidInput):
        workspace.file_to_read("a.csv")


@needs_links
def test_a_workspace_that_is_itself_a_link_works_by_both_names(tmp_path: Path) -> None:
    """Home folders and mounted disks are often links."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    (real / "t.csv").touch()
    workspace = Workspace([link])

    assert workspace.roots == (real,)
    assert workspace.file_to_read("t.csv") == real / "t.csv"
    assert workspace.file_to_read(str(link / "t.csv")) == real / "t.csv"
    assert workspace.file_to_write(str(link / "new.csv"), overwrite=False) == real / "new.csv"


@needs_links
def test_a_link_to_a_hidden_file_inside_is_refused(tmp_path: Path) -> None:
    """What counts is the file that would be opened, not the name that leads to it."""
    workspace = opened(tmp_path)
    (tmp_path / ".env").write_text("KEY=1")
    (tmp_path / "env.csv").symlink_to(".env")

    with pytest.raises(OutsideWorkspace):
        workspace.file_to_read("env.csv")


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".hidden.csv",
        ".git/config.csv",
        "a/.b/c.csv",
        "server.pem",
        "SERVER.PEM",
        "tls.key",
        "id_rsa",
        "id_rsa.pub",
    ],
)
def test_hidden_files_and_keys_are_neither_read_nor_written(tmp_path: Path, name: str) -> None:
    """They hold secrets, and a row of a batch goes to a provider."""
    workspace = opened(tmp_path)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()

    with pytest.raises(OutsideWorkspace):
        workspace.file_to_read(name)
    with pytest.raises(OutsideWorkspace):
        workspace.file_to_write(name, overwrite=True)


def test_a_workspace_below_a_hidden_folder_is_usable(tmp_path: Path) -> None:
    """The operator chose it; only what is hidden inside it is not shown."""
    root = tmp_path / ".data"
    workspace = opened(root)
    (root / "t.csv").touch()

    assert workspace.file_to_read("t.csv") == root / "t.csv"


@needs_pipes
def test_a_pipe_is_refused_without_waiting_for_its_other_end(tmp_path: Path) -> None:
    """Opening a pipe that nobody writes to would hang the server for ever."""
    workspace = opened(tmp_path)
    os.mkfifo(tmp_path / "pipe.csv")
    refusals: list[str] = []

    def read() -> None:
        try:
            workspace.file_to_read("pipe.csv")
        except InvalidInput as error:
            refusals.append(str(error))

    thread = Thread(target=read, daemon=True)
    thread.start()
    thread.join(10)

    assert refusals == ["'pipe.csv' is not a regular file. Name one data file. Put the data file there."]
    with pytest.raises(InvalidInput):
        workspace.file_to_write("pipe.csv", overwrite=True)


@needs_devices
def test_a_device_is_refused() -> None:
    """It has no end, or is not there to be read."""
    with pytest.raises(InvalidInput, match="not a regular file"):
        Workspace([Path("/dev")]).file_to_read("zero")


@pytest.mark.parametrize("name", ["sub", ".", "sub/"])
def test_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    """A folder is no table, and must not be replaced by one."""
    workspace = opened(tmp_path)
    (tmp_path / "sub").mkdir()

    with pytest.raises(InvalidInput, match="folder"):
        workspace.file_to_read(name)
    with pytest.raises(InvalidInput):
        workspace.file_to_write(name, overwrite=True)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "  ",
        "a\0b.csv",
        pytest.param("\ud800.csv", id="lone surrogate"),
        pytest.param("x" * 5_000, id="5,000 characters"),
        pytest.param("a/" * 2_500 + "t.csv", id="2,500 folders"),
        pytest.param("/" + "x" * 5_000, id="5,000 characters outside"),
        pytest.param("../" * 2_000, id="2,000 steps up"),
    ],
)
def test_a_name_that_no_file_can_have_is_refused_in_a_short_sentence(tmp_path: Path, name: str) -> None:
    """The sentence goes into the conversation: it must not be a crash, nor carry the whole name."""
    workspace = opened(tmp_path / "data")

    with pytest.raises(BatchwrightError) as reading:
        workspace.file_to_read(name)
    with pytest.raises(BatchwrightError) as writing:
        workspace.file_to_write(name, overwrite=False)

    assert len(str(reading.value)) < 1_000
    assert len(str(writing.value)) < 1_000


def test_a_missing_file_is_answered_with_what_is_there(tmp_path: Path) -> None:
    """The assistant can correct a mistyped name by itself when it sees the right one."""
    workspace = opened(tmp_path)
    for name in ("tickets.csv", "orders.PARQUET", "notes.md", ".hidden.csv"):
        (tmp_path / name).touch()

    with pytest.raises(NotFound) as caught:
        workspace.file_to_read("ticket.csv")

    assert "'ticket.csv'" in str(caught.value)
    assert "There are: tickets.csv, orders.PARQUET." in str(caught.value)


def test_the_names_most_like_the_one_that_is_not_there_come_first(tmp_path: Path) -> None:
    """A folder of 10,000 files must not fill the conversation, nor hide the one that was meant."""
    workspace = opened(tmp_path)
    for number in range(12):
        (tmp_path / f"{number:02}.csv").touch()
    (tmp_path / "tickets.csv").touch()

    with pytest.raises(NotFound, match=r"There are: tickets\.csv, 00\.csv, .*06\.csv and 5 more\."):
        workspace.file_to_read("tickts.csv")


@needs_links
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sub/tickts.csv", "There are in sub: sub/tickets.csv, sub/orders.csv, sub/deeper/."),
        (
            "sub",
            "'sub' is a folder. Name one data file. There are in sub: sub/orders.csv, sub/tickets.csv, sub/deeper/.",
        ),
        ("tickets.csv", "There are: sub/tickets.csv, top.csv, sub/."),
        ("none/at/all.csv", "There are: top.csv, sub/."),
        ("sub/deeper/x.csv", "in the workspace DATA. Put the data file there."),
        (".hidden/x.csv", "There are: top.csv, sub/."),
        ("link/x.csv", "lies outside the workspace"),
    ],
)
def test_a_file_that_is_not_there_is_looked_for_in_its_folder_and_in_the_others(
    tmp_path: Path, name: str, told: str
) -> None:
    """Users forget the folder, or mistake the name: what is near is shown, and nothing hidden or outside."""
    workspace = opened(tmp_path / "data")
    files = ("top.csv", "sub/tickets.csv", "sub/orders.csv", "sub/.secret.csv", "sub/deeper/note.txt", ".hidden/x1.csv")
    for file in (*(tmp_path / "data" / file for file in files), tmp_path / "outside" / "x.csv"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "outside")

    with pytest.raises(BatchwrightError) as caught:
        workspace.file_to_read(name)

    assert told.replace("DATA", str(tmp_path / "data")) in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "x1" not in str(caught.value)


def test_a_name_that_is_shown_can_be_given_back(tmp_path: Path) -> None:
    """The assistant uses the names that it was shown."""
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "sub").mkdir(parents=True)
    second.mkdir()
    (first / "sub" / "a.csv").touch()
    (second / "b.csv").touch()
    workspace = Workspace([first, second])

    shown = [workspace.display_name(first / "sub" / "a.csv"), workspace.display_name(second / "b.csv")]

    assert shown == ["sub/a.csv", str(second / "b.csv")]
    assert [workspace.file_to_read(name) for name in shown] == [first / "sub" / "a.csv", second / "b.csv"]


def test_an_existing_file_is_replaced_only_when_that_is_wanted(tmp_path: Path) -> None:
    """The user's data must not be lost to a result of the same name."""
    workspace = opened(tmp_path)
    (tmp_path / "t.csv").write_text("kept")

    with pytest.raises(InvalidInput, match="overwrite=true"):
        workspace.file_to_write("t.csv", overwrite=False)

    assert workspace.file_to_write("t.csv", overwrite=True) == tmp_path / "t.csv"
    assert (tmp_path / "t.csv").read_text() == "kept"


def test_a_missing_folder_is_made_only_when_the_file_is_written(tmp_path: Path) -> None:
    """An assistant cannot make folders itself; and a refused call must leave none behind."""
    workspace = opened(tmp_path)
    target = workspace.file_to_write("new/deep/t.csv", overwrite=False)
    before = list(tmp_path.iterdir())

    with workspace.new_file(target, overwrite=False) as file:
        file.write(b"whole")

    assert before == []
    assert (tmp_path / "new" / "deep" / "t.csv").read_text() == "whole"


def test_a_file_cannot_be_written_into_a_file(tmp_path: Path) -> None:
    """It is refused before the results are made."""
    (tmp_path / "t.csv").touch()

    with pytest.raises(InvalidInput, match=r"lies in 't\.csv', which is not a folder"):
        opened(tmp_path).file_to_write("t.csv/inside.csv", overwrite=False)


def test_the_first_folder_is_made_when_something_is_written(tmp_path: Path) -> None:
    """The fallback `~/Batchwright` does not exist before its first use."""
    workspace = Workspace([tmp_path / "Batchwright"])

    path = workspace.file_to_write("t.csv", overwrite=False)

    assert path == tmp_path / "Batchwright" / "t.csv"
    assert path.parent.is_dir()


@pytest.mark.parametrize("before", [[], ["old"]])
def test_a_new_file_appears_only_when_it_is_complete(tmp_path: Path, before: list[str]) -> None:
    """Another program that watches the folder must not read a half file."""
    target = tmp_path / "t.csv"
    for text in before:
        target.write_text(text)

    with opened(tmp_path).new_file(target, overwrite=bool(before)) as file:
        file.write(b"half")
        meanwhile = [path.read_text() for path in tmp_path.iterdir() if path == target]
        file.write(b", whole")

    assert meanwhile == before
    assert [path.read_text() for path in tmp_path.iterdir()] == ["half, whole"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_body_that_fails_leaves_what_was_there(tmp_path: Path, *, overwrite: bool) -> None:
    """A full disk in the middle must not leave a file that looks like results, nor take the old ones."""
    target = tmp_path / "t.csv"
    if overwrite:
        target.write_text("old")

    with pytest.raises(ZeroDivisionError), opened(tmp_path).new_file(target, overwrite=overwrite) as file:  # noqa: PT012  # the body of the block is what fails
        file.write(b"half")
        raise ZeroDivisionError

    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"] * overwrite


def test_a_file_that_came_into_being_meanwhile_is_kept(tmp_path: Path) -> None:
    """Between the check and the end of a long write the user may save a file of that name."""
    target = tmp_path / "t.csv"

    with pytest.raises(InvalidInput, match=r"'t\.csv'"), opened(tmp_path).new_file(target, overwrite=False) as file:  # noqa: PT012  # the body of the block is what fails
        file.write(b"ours")
        target.write_text("theirs")

    assert target.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_the_longest_name_that_a_folder_takes_can_be_written(tmp_path: Path) -> None:
    """What `file_to_write` allows must also be possible."""
    workspace = opened(tmp_path)
    target = workspace.file_to_write("n" * 251 + ".csv", overwrite=False)

    with workspace.new_file(target, overwrite=False) as file:
        file.write(b"whole")

    assert target.read_text() == "whole"


@pytest.mark.parametrize("start", ["/home/ann/tickets", "/home/ann/work/a", "/srv/data", "/mnt/disk"])
def test_the_folder_that_the_server_was_started_in_is_the_workspace(start: str) -> None:
    """An assistant in a project's folder works on the project's files."""
    assert default_root(Path(start), HOME) == Path(start)


@pytest.mark.parametrize("start", ["/", "/home/ann", "/etc", "/usr/share/x", "/tmp", "/proc/self", "/dev"])
def test_a_place_that_is_not_for_data_is_left_for_a_folder_of_its_own(start: str) -> None:
    """Desktop clients start servers in the root or the home folder: all of it must not be opened."""
    assert default_root(Path(start), HOME) == HOME / "Batchwright"


@needs_links
def test_a_home_folder_that_is_reached_by_a_link_is_still_the_home_folder(tmp_path: Path) -> None:
    """The start is known by its real path, the home folder by its name."""
    real, link = tmp_path / "real", tmp_path / "home"
    real.mkdir()
    link.symlink_to(real)

    assert default_root(real, link) == link / "Batchwright"
    assert default_root(link, real) == real / "Batchwright"


def test_nothing_is_written_among_the_servers_own_files(tmp_path: Path) -> None:
    """Its folder may lie in the workspace: replaced rows of a job would be joined to the wrong answers."""
    data = tmp_path / "data"
    workspace = Workspace([tmp_path], kept=data)
    (data / "jobs").mkdir(parents=True)

    for name in ("data/jobs/source.parquet", "data/new.csv", str(data / "new.csv")):
        with pytest.raises(OutsideWorkspace, match="lies in the folder of the server's own files"):
            workspace.file_to_write(name, overwrite=True)
    assert workspace.file_to_write("database.csv", overwrite=False) == tmp_path / "database.csv"
