"""`batchwright work`: keep submitted jobs running without an assistant."""

from collections.abc import Mapping, Sequence

import anyio

from batchwright.app.app import open_runtime
from batchwright.core.model import Job
from batchwright.core.settings import Settings
from batchwright.core.untrusted import one_line

MAX_NOTE_CHARACTERS = 200


def run_work(settings: Settings, *, stay: bool) -> int:
    """Run jobs until all have finished, or with *stay* until stopped; return 1 if any needs the user's decision."""
    return anyio.run(_work, settings, stay)


async def _work(settings: Settings, stay: bool) -> int:  # noqa: FBT001  # anyio.run passes arguments by place
    said: dict[str, str] = {}
    async with open_runtime(settings) as runtime:
        use_cases = await runtime.use_cases()
        watch = use_cases.watch
        if stay:
            _announce(len(watch.unfinished()))
        while True:
            rest = await runtime.move_on()
            unfinished = watch.unfinished()
            for job_id in said.keys() - {job.id for job in unfinished}:
                _say(said, {job_id: _line(use_cases.contents.job(job_id))})
                said.pop(job_id)
            _say(said, {job.id: _line(job) for job in unfinished})
            if not stay and all(job.status == "unknown" for job in unfinished):
                return _finish(unfinished)
            await anyio.sleep(rest if watch.is_remote else min(rest, 1.0))


def _announce(count: int) -> None:
    jobs = "1 unfinished job" if count == 1 else f"{count:,} unfinished jobs"
    print(f"Running {jobs}, and any submitted later. Ctrl+C stops; the jobs continue at the next start.", flush=True)


def _finish(unfinished: Sequence[Job]) -> int:
    if not unfinished:
        print("No unfinished jobs are left.")
        return 0
    print("These jobs need your decision: ask an assistant to check them.")
    return 1


def _say(said: dict[str, str], lines: Mapping[str, str]) -> None:
    """Print the lines that have changed."""
    for job_id, line in lines.items():
        if said.get(job_id) != line:
            print(line, flush=True)
            said[job_id] = line


def _line(job: Job) -> str:
    done = job.source.rows - job.counts["running"]
    note = next((f"; {one_line(part.note, MAX_NOTE_CHARACTERS)}" for part in job.running_parts if part.note), "")
    return f"{job.id}: {job.status}, {done:,} of {job.source.rows:,} rows done{note}"
