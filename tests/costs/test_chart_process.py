"""The process that draws a chart, through real clients: what matplotlib runs there, and how it ends."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import anyio
import anyio.to_thread
import psutil
import pytest

from batchwright.core.children import Child
from batchwright.costs.chart import png
from batchwright.costs.chart_process import CHART, draw
from batchwright.costs.comparison import Comparison, ModelCost
from tests.costs.test_chart import GUIDE, of
from tests.jobs.test_costs import GUIDE as ASKED
from tests.jobs.test_costs import TABLE
from tests.support.session import Session, environment, http_process, in_memory, over_http, over_stdio
from tests.support.systems import needs_pipes, needs_scripts
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

ODD = Comparison('3 "requests"\n\u4e00 $x', (ModelCost("m{\n}", Decimal(1), None),), ("\u0e01",), "$s")


def plant_fc_list(tmp_path: Path, script: str) -> dict[str, str]:
    """Return an environment in which *script* is found as `fc-list`, and no font cache yet."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "fc-list").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (programs / "fc-list").chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return {"PATH": path, "MPLCONFIGDIR": str(tmp_path / "fonts")}


@dataclass(frozen=True)
class HangingFcList:
    """Where a hanging `fc-list` says who has started it, and the environment that it is found in."""

    told: Path
    env: dict[str, str]

    async def chart(self) -> psutil.Process:
        """Wait until it hangs, and return the process that draws the chart."""
        with anyio.fail_after(60):
            return psutil.Process(int(await anyio.to_thread.run_sync(self.told.read_text, abandon_on_cancel=True)))


@asynccontextmanager
async def hanging_fc_list(tmp_path: Path) -> AsyncGenerator[HangingFcList]:
    """Plant an `fc-list` that hangs until the end."""
    told, gate = tmp_path / "told", tmp_path / "gate"
    os.mkfifo(told)
    os.mkfifo(gate)
    held = os.open(gate, os.O_RDWR)
    try:
        yield HangingFcList(told, plant_fc_list(tmp_path, f"echo $PPID > '{told}'\nread -r _ < '{gate}'"))
    finally:
        os.close(held)


async def until_it_ends(process: psutil.Process) -> None:
    """Wait until it is gone, zombie or not."""

    async def look() -> bool:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE

    await until(look)


async def ask(session: Session, call: anyio.CancelScope) -> None:
    """Ask for a chart, whatever becomes of it."""
    with call:
        await session.answer("compare_costs", **ASKED, chart=True)


@pytest.mark.slow
@pytest.mark.parametrize("comparison", [GUIDE, of(("0.0000001", None), ("1E+5", "0")), ODD])
async def test_the_chart_is_the_same_as_one_drawn_here(comparison: Comparison) -> None:
    """Every amount and every letter crosses the pipe whole."""
    assert await draw(comparison) == png(comparison)


@needs_scripts
@pytest.mark.slow
@pytest.mark.parametrize("place", ["MPLCONFIGDIR", "XDG_CACHE_HOME", "HOME"])
async def test_fonts_are_looked_for_once(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That may take a minute, and matplotlib keeps what it finds where the user has it kept."""
    ran = tmp_path / "ran"
    cache = tmp_path / "cache"
    nowhere = {"MPLCONFIGDIR": "", "HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": ""}
    for name, value in (plant_fc_list(tmp_path, f"echo >> '{ran}'") | nowhere | {place: str(cache)}).items():
        monkeypatch.setenv(name, value)
    drawn = [await draw(GUIDE) for _ in range(2)]

    assert drawn[0] == drawn[1]
    assert ran.read_text(encoding="utf-8") == "\n"
    assert list(cache.rglob("fontlist-*.json"))


@needs_scripts
async def test_a_chart_whose_process_dies_costs_the_image_and_not_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fonts and libraries of the system may end it at any time."""
    for name, value in plant_fc_list(tmp_path, "kill -9 $PPID").items():
        monkeypatch.setenv(name, value)
    async with in_memory(environment(tmp_path)) as session:
        answer = await session.call("compare_costs", **ASKED, save_chart_as="guide.png")

    assert answer["costs"] == TABLE
    assert (
        "No chart was drawn: matplotlib failed, or took more than 120 seconds. "
        "Try again, or reinstall it with pip install --force-reinstall matplotlib."
    ) in answer["notes"]
    assert "saved_as" not in answer
    assert list((tmp_path / "work").iterdir()) == []


@needs_pipes
@pytest.mark.slow
@pytest.mark.parametrize("transport", ["http", "stdio"])
async def test_a_cancelled_call_ends_its_chart(tmp_path: Path, transport: str) -> None:
    """The user has pressed Escape; the next chart need not wait for this one."""
    async with (
        hanging_fc_list(tmp_path) as fc_list,
        served(environment(tmp_path) | fc_list.env, transport) as session,
        anyio.create_task_group() as tasks,
    ):
        call = anyio.CancelScope()
        tasks.start_soon(ask, session, call)
        chart = await fc_list.chart()
        call.cancel()
        await until_it_ends(chart)
        answer = await session.call("compare_costs", **ASKED)
        assert answer["costs"] == TABLE


@needs_pipes
@pytest.mark.slow
async def test_one_chart_is_drawn_at_a_time(tmp_path: Path) -> None:
    """A client that asks for many must not start as many processes."""
    async with (
        hanging_fc_list(tmp_path) as fc_list,
        http_process(environment(tmp_path) | fc_list.env) as (url, process),
        over_http(url) as session,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(5):
            tasks.start_soon(ask, session, anyio.CancelScope())
        chart = await fc_list.chart()
        jobs = await session.call("list_jobs")
        children = psutil.Process(process.pid).children()
        tasks.cancel_scope.cancel()
        assert (jobs["total"], children) == (0, [chart])


@needs_pipes
async def test_a_chart_ends_with_the_server_that_wanted_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is killed says nothing: only the pipe closes."""
    async with hanging_fc_list(tmp_path) as fc_list:
        for name, value in fc_list.env.items():
            monkeypatch.setenv(name, value)
        with anyio.fail_after(30):
            async with await CHART.open() as process:
                assert process.stdin is not None
                await process.stdin.send(b'{"subject":"s","costs":[],"unpriced":[],"source":"s"}\n')
                await fc_list.chart()
                await process.stdin.aclose()
                await process.wait()

    assert process.returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("while True: print('x' * 1000)", ChildProcessError),
        ("import os; os.close(1); os.kill(os.getpid(), 9)", ChildProcessError),
        ("import sys; sys.exit(3)", ChildProcessError),
        ("import time; time.sleep(600)", TimeoutError),
        ("import os, time; os.close(0); os.close(1); time.sleep(600)", TimeoutError),
    ],
)
async def test_a_child_that_is_asked_is_bounded_and_leaves_nothing(code: str, error: type[OSError]) -> None:
    """Whatever it does, the wait, the bytes and its life end."""
    before = psutil.Process().children()
    with pytest.raises(error):
        await Child(("-c", code)).ask(b"{}", wait_seconds=3, most_bytes=100_000)

    assert psutil.Process().children() == before


@asynccontextmanager
async def served(settings: dict[str, str], transport: str) -> AsyncGenerator[Session]:
    """Talk to a server process."""
    if transport == "stdio":
        async with over_stdio(settings) as session:
            yield session
        return
    async with http_process(settings) as (url, _), over_http(url) as session:
        yield session
