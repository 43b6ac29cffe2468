"""Why rows of a job have no good answer, with a remedy for each cause: from its results, or from refused parts."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import anyio.to_thread

from batchwright.checks.parameters import PARAMETERS, TOKEN_LIMITS
from batchwright.core import files
from batchwright.core.job_folder import JobFolders
from batchwright.core.jsonl import decode_request
from batchwright.core.model import OUTCOMES, Job, Json, Outcome
from batchwright.costs.prices import closest_priced_name
from batchwright.jobs.collection import ending, table
from batchwright.jobs.retry_request import RetryRequest
from batchwright.results.causes.catalogue import cause_of
from batchwright.results.causes.remedies import Explained, Retried, RetryChanges, explain, various
from batchwright.results.causes.signs import ProblemRows

MAX_PROBLEMS = 500
"""Different problems that are explained, the most frequent first; rows with others are counted together."""


class Failures:
    """Explains why rows have no good answer."""

    def __init__(self, folders: JobFolders) -> None:
        self._folders = folders

    async def of(self, job: Job) -> list[Explained]:
        """Group the rows of *job* without a good answer by cause, the most rows first; while it runs, what is known."""
        if job.submitted_at is None or job.counts["answered"] == job.source.rows:
            return []
        if job.ended_at is None:
            return explain(_of_parts(job), job, job.recipe.parameters, closest_priced_name)
        return await anyio.to_thread.run_sync(self._of_results, job)

    async def explain_retry(self, job: Job, outcomes: Mapping[Outcome, int], wanted: RetryRequest) -> Retried:
        """Explain which rows a retry sends again, and for which of their causes its changes do not help."""
        found = [each for each in await self.of(job) if each.outcome in outcomes]
        changes = RetryChanges(bool(wanted.prompt or wanted.system), wanted.model, wanted.parameters)
        unmet = [each for each in found if not changes.helps(each)]
        return Retried(outcomes, wanted.changes(job.recipe), found, unmet)

    def _of_results(self, job: Job) -> list[Explained]:
        problems = table(job, self._folders.of(job.id)).problems(MAX_PROBLEMS)
        is_batch = job.source.kind == "batch"
        parameters = self._sent_parameters(job) if is_batch else job.recipe.parameters
        found = explain(problems, job, parameters, closest_priced_name)
        seen: Counter[Outcome] = Counter()
        for problem in problems:
            seen[problem.outcome] += problem.rows
        rest: dict[Outcome, int] = {name: job.counts[name] - seen[name] for name in OUTCOMES if name != "answered"}
        found += [various(name, rows, job) for name, rows in rest.items() if rows > 0]
        return sorted(found, key=lambda each: -each.rows)

    def _sent_parameters(self, job: Job) -> dict[str, Json]:
        """Return the parameters in the lines of a ready-made file: the highest token limits, any value of others."""
        given: dict[str, Json] = {}
        limits: dict[str, int] = {}
        for part in job.parts:
            path = self._folders.of(job.id).requests(part)
            for body in _bodies(path) if part.round <= job.round else ():
                given |= {name: value for name, value in body.items() if name in PARAMETERS[job.recipe.endpoint]}
                for name in TOKEN_LIMITS:
                    value = body.get(name)
                    if isinstance(value, int):
                        limits[name] = max(value, limits.get(name, 0))
        return given | limits


def _bodies(path: Path) -> Iterator[Mapping[str, Json]]:
    """Yield the bodies of a part's requests, without lines that were damaged on disk."""
    for line in files.lines(path) if path.exists() else ():
        with suppress(ValueError):
            yield decode_request(line).body


def _of_parts(job: Job) -> list[ProblemRows]:
    """Return the problems that a running job's parts show: why some were refused whole, and what others wait for.

    If rows share requests, a part does not say how many rows it has.
    """
    if job.source.requests is not None:
        return []
    problems: list[ProblemRows] = []
    for part in job.running_parts:
        if part.state in {"failed", "given_up"}:
            outcome, problem = ending(part)
            missing = part.requests if part.state == "given_up" else part.requests - part.completed
            problems.append(ProblemRows(outcome, problem, missing))
        elif part.problem and cause_of("running", part.problem).name != "unknown":
            open_requests = max(0, part.requests - part.completed - part.failed)
            problems.append(ProblemRows("running", part.problem, open_requests))
    return problems
