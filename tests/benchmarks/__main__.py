"""Measure the heavy work against plain loops, in one run: CPU ratios, medians of five, and the peak memory.

    python -m tests.benchmarks [--runs N] [--write] [NAME ...]

Prints a table in Markdown, and with --write puts it into the guide's page on speed. Each run is a process of its own;
ours and the reference take turns, so that a noisy moment meets both.
"""

import argparse
import asyncio
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.data import made
from tests.benchmarks.whole import SERVICE_URL, serve_at_once
from tests.benchmarks.workloads import IN_FLIGHT, INSTANT_URL, WORKLOADS, Workload, answer_at_once
from tests.support.paths import ROOT

WAIT_SECONDS = 1_800
_HEAD: tuple[str, ...] = (
    "| what | against | CPU, times the reference's | wanted | CPU seconds | peak MB |",
    "|---|---|---|---|---|---|",
)
PAGE = ROOT / "server" / "batchwright" / "mcp_server" / "guide" / "speed.md"


def main() -> None:
    """Measure what is named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(WORKLOADS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="put the table into the guide")
    parser.add_argument("--folder", type=Path, help="keep the data here for the next run")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, side = options.child
        _run_child(name, side, options.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        made(folder)
        with _serving(folder):
            lines = [*_HEAD]
            print(*lines, sep="\n")
            for name in options.names or WORKLOADS:
                lines.append(_row(name, folder, options.runs))
                print(lines[-1], flush=True)
        if options.write:
            _write(lines)


def _write(lines: list[str]) -> None:
    """Put the table into the guide; lines of what was not measured now stay as they are."""
    text = PAGE.read_text(encoding="utf-8")
    begin, end = "<!-- benchmarks: measured -->\n", "<!-- measured -->"
    before, _, rest = text.partition(begin)
    old, _, after = rest.partition(end)
    measured = {_subject(line): line for line in (*old.splitlines(), *lines)}
    order = [_subject(line) for line in (*_HEAD, *map(_first_cells, WORKLOADS.values()))]
    lines = [measured[subject] for subject in order if subject in measured]
    PAGE.write_text(before + begin + "".join(f"{line}\n" for line in lines) + end + after, encoding="utf-8")


def _subject(line: str) -> tuple[str, ...]:
    """Give what a line of the table is about: its first two cells."""
    return tuple(line.split("|")[1:3])


def _first_cells(load: Workload) -> str:
    note = f". {load.note.rstrip('.')}" if load.note else ""
    return f"| {load.what}{note} | {load.reference} |"


def _row(name: str, folder: Path, runs: int) -> str:
    measured = [{side: _measured(name, side, folder) for side in ("ours", "plain")} for _ in range(runs)]
    load = WORKLOADS[name]
    ratio = statistics.median(each["ours"]["cpu"] / each["plain"]["cpu"] for each in measured) / load.times
    ours, plain = (
        {key: statistics.median(each[side][key] for each in measured) for key in ("cpu", "peak")}
        for side in ("ours", "plain")
    )
    wanted = f"at most {load.at_most}" if load.at_most else ""
    return (
        f"{_first_cells(load)} {ratio:.2f} | {wanted} | {ours['cpu']:.2f} ({plain['cpu']:.2f}) "
        f"| {ours['peak']:.0f} ({plain['peak']:.0f}) |"
    )


def _measured(name: str, side: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks", "--folder", str(folder), "--child", name, side]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def _forget_peak() -> None:
    """Have the system count the most memory anew: what is made before the work is no part of it."""
    refs = Path("/proc/self/clear_refs")
    if refs.exists():
        refs.write_text("5", encoding="ascii")


def _run_child(name: str, side: str, folder: Path) -> None:
    load = WORKLOADS[name]
    with tempfile.TemporaryDirectory(dir=folder) as out:
        work = (load.ours if side == "ours" else load.plain)(folder, Path(out))
        _forget_peak()
        started = time.process_time()
        took = work()
        cpu = took if isinstance(took, float) else time.process_time() - started
    print(json.dumps({"cpu": cpu, "peak": _peak_mb()}))


def _peak_mb() -> float:
    """Give the most memory that this process has had."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    if children:  # it was they that worked
        return children / 1024
    status = Path("/proc/self/status")
    if status.exists():  # the other figure has that of the parent in it
        return int(status.read_text(encoding="ascii").partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def _serving(folder: Path) -> Generator[None]:
    """Have processes answer requests and run batches at once; runs find their addresses in their environment."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=IN_FLIGHT)
    os.environ[INSTANT_URL] = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    told, tell = os.pipe()
    with (
        tempfile.TemporaryDirectory(dir=folder) as state,
        _forked(lambda: asyncio.run(answer_at_once(listening, folder))),
        _forked(lambda: serve_at_once(tell, Path(state))),
        os.fdopen(told, encoding="ascii") as address,
    ):
        listening.close()
        os.close(tell)
        os.environ[SERVICE_URL] = address.readline().strip()
        yield


@contextmanager
def _forked(serve: Callable[[], None]) -> Generator[None]:
    """Have *serve* run in a process of its own until the block ends."""
    process = os.fork()
    if not process:
        try:
            serve()
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(process, 15)
        os.waitpid(process, 0)


if __name__ == "__main__":
    main()
