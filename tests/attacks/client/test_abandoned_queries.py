"""Whatever clients do, few queries run at once, and none outlives the call that asked for it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
import anyio.to_thread
import psutil
import pytest

from tests.attacks.client.test_many_clients import greet, message, post
from tests.support.http_requests import call
from tests.support.session import MODES, Mode, Session, environment, http_process, over_http, over_stdio
from tests.support.waiting import until
from tests.support.xlsx_file import write_book

pytestmark = pytest.mark.anyio

SLOW = "SELECT count(*) AS n FROM range(1000000) a, range(1000000) b WHERE hash(a.range * b.range) = 1"
"""Runs for longer than a query may."""
QUICK = "SELECT 1 AS n"
MOST = 2


def queries(pid: int) -> list[psutil.Process]:
    """Return the processes of a server that run SQL or read a sheet."""
    found: list[psutil.Process] = []
    for child in psutil.Process(pid).children():
        try:
            if "_process" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:  # it has just ended
            continue
    return found


async def until_there_are(count: int, pid: int) -> None:
    """Wait until so many queries run."""

    async def look() -> bool:
        return len(queries(pid)) == count

    await until(look)


async def ask(session: Session, sql: str = SLOW) -> None:
    """Ask for a query, whatever becomes of it."""
    await session.answer("inspect_data", source=sql)


async def ask_by_hand(url: str, mode: Mode) -> None:
    """Ask for a slow query; whoever cancels this sees the connection close, and no word be said."""
    arguments = {"source": SLOW}
    if mode == "auto":
        await call(url, "inspect_data", **arguments)
        return
    async with aiohttp.ClientSession() as http:
        session = await greet(http, url)
        await post(http, url, session, message("tools/call", name="inspect_data", arguments=arguments))


@asynccontextmanager
async def served(tmp_path: Path) -> AsyncGenerator[tuple[str, int]]:
    """Serve over HTTP in a process of its own."""
    async with http_process(environment(tmp_path)) as (url, process):
        yield url, process.pid


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
async def test_a_cancelled_call_ends_its_query_over_http(tmp_path: Path, mode: Mode) -> None:
    """The user has pressed Escape; nobody reads the answer."""
    async with served(tmp_path) as (url, pid), over_http(url, mode) as session:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, session)
            await until_there_are(1, pid)
            tasks.cancel_scope.cancel()
        with anyio.fail_after(10):
            await until_there_are(0, pid)
        answer = await session.call("inspect_data", source=QUICK)

    assert answer["rows"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_is_gone_ends_its_query_over_http(tmp_path: Path, mode: Mode) -> None:
    """A laptop that is shut says nothing: only its connection ends."""
    async with served(tmp_path) as (url, pid):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask_by_hand, url, mode)
            await until_there_are(1, pid)
            tasks.cancel_scope.cancel()
        with anyio.fail_after(10):
            await until_there_are(0, pid)


@pytest.mark.parametrize("mode", MODES)
async def test_a_cancelled_call_ends_its_query_over_stdio(tmp_path: Path, mode: Mode) -> None:
    """As over HTTP."""
    pid_file = tmp_path / "pid"
    async with over_stdio(environment(tmp_path), mode, pid_file=pid_file) as session:
        pid = int(pid_file.read_text())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, session)
            await until_there_are(1, pid)
            tasks.cancel_scope.cancel()
        with anyio.fail_after(10):
            await until_there_are(0, pid)


@pytest.mark.slow
async def test_at_most_two_queries_and_sheets_run_at_once_and_the_rest_wait_their_turn(tmp_path: Path) -> None:
    """Each may take 1.5 GB of memory and 40 GB of disk."""
    most = 0
    done: list[int] = []
    over = anyio.Event()

    async def watch(pid: int) -> None:
        nonlocal most
        while not over.is_set():
            most = max(most, await anyio.to_thread.run_sync(lambda: len(queries(pid))))
            await anyio.sleep(0.02)  # or the watching would take a core

    async def one(session: Session, number: int) -> None:
        source = "book.xlsx" if number % 2 else f"SELECT count(DISTINCT hash(range)) AS n{number} FROM range(300000)"
        done.append((await session.call("inspect_data", source=source))["rows"])

    async with served(tmp_path) as (url, pid), over_http(url) as session:
        write_book(tmp_path / "work" / "book.xlsx", {"Sheet1": [["id"], ["1"]]})
        async with anyio.create_task_group() as watching:
            watching.start_soon(watch, pid)
            async with anyio.create_task_group() as tasks:
                for number in range(8):
                    tasks.start_soon(one, session, number)
            over.set()

    assert done == [1] * 8
    assert most == MOST


@pytest.mark.slow
async def test_a_query_that_waits_too_long_for_its_turn_is_told_so(tmp_path: Path) -> None:
    """Its client would give it up later anyway, and not know why."""
    async with served(tmp_path) as (url, pid), over_http(url) as session, anyio.create_task_group() as tasks:
        for _ in range(MOST):
            tasks.start_soon(ask, session)
        await until_there_are(MOST, pid)
        running = queries(pid)
        for query in running:
            query.suspend()  # it still runs, and does not keep the cores busy
        told = await session.error("inspect_data", source=QUICK)
        others = await session.call("list_jobs")
        for query in running:
            query.resume()  # or it could not see that nobody wants it any more
        tasks.cancel_scope.cancel()
        assert told == "Other queries are still running: this one waited 30 seconds. Try again in a minute."
        assert others["total"] == 0

    assert "Waiting for other queries to finish" in {message for _, _, message in session.progress}


@pytest.mark.slow
async def test_a_server_where_many_queries_wait_refuses_more_and_answers_other_calls(tmp_path: Path) -> None:
    """What waits holds a thread, and others need some too."""
    told: list[str] = []

    async def one(session: Session) -> None:
        told.append((await session.answer("inspect_data", source=SLOW))[0])

    async with served(tmp_path) as (url, _), over_http(url) as session, anyio.create_task_group() as tasks:
        for _ in range(40):
            tasks.start_soon(one, session)

        async def refused() -> bool:
            return len(told) == 40 - MOST - 20

        await until(refused)
        jobs = await session.call("list_jobs")
        tasks.cancel_scope.cancel()
        assert jobs["total"] == 0

    assert set(told) == {"22 queries are running or waiting already. Try again in a minute."}
