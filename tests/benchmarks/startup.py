"""CPU from start to the first answer: Batchwright against an empty server on the same SDK, in one run.

Run it with `python tests/benchmarks/startup.py`; it prints the medians and their ratio.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile

RUNS = 11
EMPTY = "from mcp.server import MCPServer; MCPServer('empty').run()"
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "benchmark", "version": "0"},
    },
}


def cpu_seconds(command: list[str], env: dict[str, str]) -> float:
    """Give the CPU seconds of a server from its start to its end after one answer."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env
    ) as process:
        answer, _ = process.communicate(json.dumps(HELLO).encode() + b"\n", timeout=60)
    if b'"result"' not in answer:
        raise SystemExit(f"No answer from {command}.")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure both in turns, so that a noisy moment meets both."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "BATCHWRIGHT_WORKSPACE": folder, "BATCHWRIGHT_DATA_DIR": folder}
        commands = {"empty server": ["-c", EMPTY], "batchwright": ["-m", "batchwright"]}
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, arguments in commands.items():
                times[name].append(cpu_seconds([sys.executable, *arguments], env))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, seconds in medians.items():
        print(f"{name:13} {seconds * 1000:6.0f} ms of CPU, median of {RUNS}")
    print(f"ratio         {medians['batchwright'] / medians['empty server']:6.3f}")


if __name__ == "__main__":
    main()
