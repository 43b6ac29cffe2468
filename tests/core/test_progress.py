"""How far long work is: told in percent that only grow, in words, from the first byte that is read to the last line."""

import gzip
import json
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.progress import STEP, Progress
from batchwright.tables.connection import execute
from tests.support.endpoint import running_endpoint
from tests.support.session import environment, in_memory
from tests.support.spreadsheet_files import write_xls
from tests.support.xlsx_file import write_book

pytestmark = pytest.mark.anyio

Told = list[tuple[float, str]]


def listening() -> tuple[Told, Progress]:
    """Give a list, and work that is told of in it."""
    told: Told = []
    return told, Progress.to(lambda percent, doing: told.append((percent, doing)))


@given(st.lists(st.tuples(st.floats(-1, 2), st.sampled_from(["", "Reading", "Writing"])), max_size=30))
def test_what_is_told_only_grows(steps: list[tuple[float, str]]) -> None:
    """The protocol demands it, and a bar that jumps back says nothing."""
    told, progress = listening()

    for number, (share, doing) in enumerate(steps):
        progress.stage(number / 30, (number + 1) / 30, doing).at(share)

    percents = [percent for percent, _ in told]
    assert percents == sorted(set(percents))
    assert all(0 <= percent <= 100 for percent in percents)


def test_stages_of_stages_fill_the_whole() -> None:
    """What is a tenth of a half is a twentieth."""
    told, progress = listening()

    reading = progress.stage(0, 0.5, "Reading t.csv")
    reading.stage(0.1, 0.2).at(1)
    reading.stage(0.2, 1, "Copying").counted(40, 80, "rows")
    progress.stage(0, 1, "all is done").at(1)

    assert told == [
        (0, "Reading t.csv"),
        (10, "Reading t.csv"),
        (10.01, "Copying"),
        (30, "Copying: 40 of 80 rows"),
        (100, "all is done"),
    ]


def test_many_small_steps_become_few_messages() -> None:
    """A million rows must not become a million messages."""
    told, progress = listening()

    for number in range(100_000):
        progress.at(number / 100_000)

    assert len(told) <= 100 / STEP + 1


@pytest.mark.slow
def test_a_statement_is_told_of_while_it_runs() -> None:
    """DuckDB reads a file in one call, which may take minutes."""
    told, progress = listening()
    with duckdb.connect() as con:
        con.execute("SET threads = 1; SET enable_progress_bar = true; SET enable_progress_bar_print = false")
        con.execute("CREATE TABLE t AS SELECT range::VARCHAR a FROM range(3000000)")
        sql = "SELECT count(DISTINCT sha256(sha256(sha256(a)))) FROM t"

        row = execute(con, sql, progress.stage(0, 1, "Counting")).fetchone()

    assert row == (3_000_000,)
    assert told[0] == (0, "Counting")
    assert told[-1][0] == 100
    assert len(told) > 2


def test_a_statement_ends_when_whoever_waits_has_enough() -> None:
    """A call that was given up must not go on reading."""
    seen: Told = []

    def tell(percent: float, doing: str) -> None:
        seen.append((percent, doing))
        if len(seen) > 1:
            raise TimeoutError

    with duckdb.connect() as con:
        con.execute("SET threads = 1; SET enable_progress_bar = true; SET enable_progress_bar_print = false")
        con.execute("CREATE TABLE t AS SELECT range::VARCHAR a FROM range(3000000)")
        with pytest.raises(TimeoutError):
            execute(con, "SELECT sum(length(sha256(sha256(sha256(a))))) FROM t", Progress.to(tell).stage(0, 1, "x"))

    assert threading.active_count() == 1 or all("ThreadPool" not in thread.name for thread in threading.enumerate())


ROW = {"id": 1, "text": "a few words, and a comma"}
MANY = 6_000


def as_json(path: Path) -> None:
    """Write an array of rows."""
    path.write_text(json.dumps([ROW] * MANY))


def as_gzip(path: Path) -> None:
    """Write rows of CSV, in gzip."""
    path.write_bytes(gzip.compress(b"id,text\n" + b'1,"a few words, and a comma"\n' * MANY))


def as_xlsx(path: Path) -> None:
    """Write a sheet."""
    write_book(path, {"S": [list(ROW), *[list(ROW.values())] * MANY]})


def as_xls(path: Path) -> None:
    """Write an old sheet."""
    write_xls(path, [["id", "text"], *[[1, "a few words"]] * MANY])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "write", "source"),
    [
        ("t.csv.gz", as_gzip, "t.csv.gz"),
        ("t.json", as_json, "t.json"),
        ("t.xlsx", as_xlsx, "t.xlsx"),
        ("t.xls", as_xls, "t.xls"),
        ("t.csv.gz", as_gzip, "SELECT text FROM 't.csv.gz' WHERE id = '1'"),
    ],
    ids=["gzip", "json", "xlsx", "xls", "sql"],
)
async def test_a_client_hears_of_all_the_way_from_any_source(
    tmp_path: Path, name: str, write: Callable[[Path], None], source: str
) -> None:
    """Whoever waits sees that it moves, and what is being done, with a total that is reached at the end."""
    (tmp_path / "work").mkdir()
    write(tmp_path / "work" / name)

    async with in_memory(environment(tmp_path)) as session:
        await session.call("inspect_data", source=source)
        inspecting = list(session.progress)
        session.progress.clear()
        await session.call("create_batch_file", source=source, prompt="Label {{text}}")
        creating = list(session.progress)

    for told in (inspecting, creating):
        values = [value for value, _, _ in told]
        assert values == sorted(set(values))
        assert {total for _, total, _ in told} == {100}
        assert len(told) > 4
    assert any("Describing 6,000 rows" in str(message) for _, _, message in inspecting)
    assert creating[0][0] < 1
    assert "Reading" in str(creating[0][2])
    assert creating[-1] == (100, 100, "Writing requests: 6,000 of 6,000 rows")
    assert any("Running the query" in str(message) for _, _, message in creating) == source.startswith("SELECT")


async def test_a_client_hears_how_far_a_ready_made_file_is_checked(tmp_path: Path) -> None:
    """Its lines are read twice, and each time it is told of."""
    (tmp_path / "work").mkdir()
    with (tmp_path / "work" / "b.jsonl").open("w") as file:
        for number in range(MANY):
            body = {"model": "m", "messages": [{"role": "user", "content": f"Text {number}"}]}
            line = {"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            file.write(json.dumps(line) + "\n")

    async with running_endpoint() as endpoint, in_memory(environment(tmp_path, endpoint=endpoint.url)) as session:
        await session.call("create_batch_file", batch_file="b.jsonl")

    values = [value for value, _, _ in session.progress]
    doing = [str(message).partition(":")[0] for _, _, message in session.progress]
    assert values == sorted(set(values))
    assert {"Checking b.jsonl", "Writing requests"} <= set(doing)
    assert session.progress[-1][0] > 90
