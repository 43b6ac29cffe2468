"""`batchwright work`: jobs are moved on without an assistant, until all have ended."""

from collections.abc import Mapping, Sequence

import anyio

from batchwright.app.app import opened
from batchwright.core.model import Job
from batchwright.core.settings import Settings
from batchwright.core.untrusted import one_line

MAX_NOTE_CHARACTERS = 200


def run_work(settings: Settings, *, stay: bool) -> int:
    """Move jobs on until all have ended, or with *stay* until it is stopped; give 1 if one waits for the user."""
    return anyio.run(_work, settings, stay)


async def _work(settings: Settings, stay: bool) -> int:  # noqa: FBT001  # anyio.run passes arguments by place
    said: dict[str, str] = {}
    async with opened(settings) as app:
        use_cases = await app.use_cases()
        watch = use_cases.watch
        while True:
            rest = await app.move_on()
            unfinished = watch.unfinished()
            for job_id in said.keys() - {job.id for job in unfinished}:
                _say(said, {job_id: _line(use_cases.contents.job(job_id))})
                said.pop(job_id)
            _say(said, {job.id: _line(job) for job in unfinished})
            if not stay and all(job.status == "unknown" for job in unfinished):
                return _ended(unfinished)
            await anyio.sleep(rest if watch.is_remote else min(rest, 1.0))


def _ended(unfinished: Sequence[Job]) -> int:
    if not unfinished:
        print("All jobs have ended.")
        return 0
    print("Only the user can decide how these go on: ask an assistant for check_job.")
    return 1


def _say(said: dict[str, str], lines: Mapping[str, str]) -> None:
    """Print what has changed."""
    for job_id, line in lines.items():
        if said.get(job_id) != line:
            print(line, flush=True)
            said[job_id] = line


def _line(job: Job) -> str:
    done = job.source.rows - job.counts["running"]
    note = next((f"; {one_line(part.note, MAX_NOTE_CHARACTERS)}" for part in job.running_parts if part.note), "")
    return f"{job.id}: {job.status}, {done:,} of {job.source.rows:,} rows done{note}"
