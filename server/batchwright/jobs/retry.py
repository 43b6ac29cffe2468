"""A retry: a new round over some rows of a job, with its recipe mended. Synchronous: runs in a worker thread."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import get_args

import msgspec

from batchwright.core import files
from batchwright.core.errors import InvalidInput, NotReady
from batchwright.core.jsonl import decode_request
from batchwright.core.model import Job, Json, Outcome, Recipe, Request
from batchwright.core.untrusted import model_name
from batchwright.jobs.build import Draft
from batchwright.jobs.preflight import check_body, check_recipe
from batchwright.requests.duplicates import digest
from batchwright.requests.measure import Line, Measure
from batchwright.requests.packing import packed
from batchwright.requests.parts import OnRows, PartPlan, first_request, write_parts
from batchwright.requests.rendering import Renderer

RETRIED: tuple[Outcome, ...] = ("failed", "expired", "never_ran")
"""Outcomes that are retried unless others are named."""
MAX_WARNINGS = 5
RETRIABLE: tuple[Outcome, ...] = tuple(name for name in get_args(Outcome) if name not in {"answered", "running"})


@dataclass(frozen=True, slots=True)
class Mending:
    """What a retry changes; None leaves it as it was. A parameter that is None is left out from now on."""

    outcomes: Collection[Outcome] = RETRIED
    prompt: str | None = None
    system: str | None = None
    model: str | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict[str, Json])

    def recipe(self, before: Recipe) -> Recipe:
        """Give the mended recipe.

        Raises:
            InvalidInput: A ready-made batch file has no prompt that could be mended.
        """
        if before.prompt is None and (self.prompt or self.system):
            raise InvalidInput(
                "The job was made from a ready-made batch file, which has no prompt of its own. "
                "Mend model or parameters, or make a new job."
            )
        parameters = {
            name: value for name, value in {**before.parameters, **self.parameters}.items() if value is not None
        }
        return replace(
            before,
            prompt=self.prompt or before.prompt,
            system=self.system or before.system,
            model=model_name(self.model) if self.model else before.model,
            parameters=parameters,
        )

    def changes(self, before: Recipe) -> list[str]:
        """Say what is changed, in words; a ready-made batch file says itself what it was before."""
        given = [("prompt", self.prompt), ("system", self.system)]
        told = [f"another {name}" for name, text in given if text and text != getattr(before, name)]
        if self.model and self.model != before.model:
            told.append(f"model {before.model} -> {self.model}")
        for name, value in self.parameters.items():
            old, new = (_shown(before.parameters.get(name)), _shown(value))
            if before.prompt is None:
                told.append(f"{name} -> {new}")
            elif old != new:
                told.append(f"{name} {old} -> {new}")
        return told

    def body(self, before: Mapping[str, Json]) -> dict[str, Json]:
        """Give a ready-made request's mended body."""
        changed = {**before, **self.parameters, **({"model": self.model} if self.model else {})}
        return {name: value for name, value in changed.items() if value is not None}


def retried_outcomes(job: Job, mending: Mending) -> dict[Outcome, int]:
    """Say how many rows of each outcome a retry takes up.

    Raises:
        NotReady: The job has not ended, or there is nothing to retry.
        InvalidInput: Its requests are not known any more.
    """
    if job.source.kind == "results":
        raise InvalidInput(
            f"The input file of {job.id} is gone at the provider: its requests are known only by their results, "
            "and none can be sent again. Make a new job with `create_batch_file`."
        )
    if job.ended_at is None or job.outcomes is None:
        raise NotReady(f"{job.id} is {job.status}: a retry is for a job that has ended. Look with `check_job`.")
    retried: dict[Outcome, int] = {name: job.counts[name] for name in mending.outcomes if job.counts[name]}
    if not retried:
        left = ", ".join(f"{name} {count:,}" for name, count in job.counts.items() if count)
        raise NotReady(
            f"{job.id} has no rows that are {' or '.join(mending.outcomes)}: {left}. "
            f"{'Name others in outcomes.' if job.counts['answered'] < job.source.rows else 'Nothing is to be retried.'}"
        )
    return retried


def draft_round(job: Job, plan: PartPlan, ids: Mapping[str, Outcome], mending: Mending, on_rows: OnRows) -> Draft:
    """Write the parts of a new round over the rows with *ids*; the job that is given has only these parts.

    Where requests pack several rows, those that failed go alone: one bad input is enough to fail all the others.

    Raises:
        InvalidInput: The mended recipe cannot be used.
    """
    is_batch = job.source.kind == "batch"
    # In order, each once: the requests of a ready-made file may differ in their parameters.
    warnings = dict.fromkeys(() if is_batch else check_recipe(plan.recipe, plan.provider))

    def checked() -> Iterator[Line]:
        measure = Measure(plan.recipe.model, plan.recipe.endpoint)
        for request in _again(job, plan, ids, mending):
            warnings.update(dict.fromkeys(check_body(plan.recipe.endpoint, request.body, plan.provider)))
            yield measure.request(request)

    def lines() -> Iterator[Line]:
        for number, line in enumerate(checked() if is_batch else _anew(job, plan, ids), 1):
            yield line
            on_rows(number, len(ids))

    most = plan.recipe.inputs_per_request
    alone = {custom_id for custom_id, outcome in ids.items() if outcome == "failed"}
    written = write_parts(plan, packed(lines(), most, plan.limits, alone=alone) if most > 1 else lines())
    made = replace(job, recipe=plan.recipe, provider=plan.provider, parts=written.parts)
    return Draft(made, first_request(plan.folder, made.parts), written.estimate, list(warnings)[:MAX_WARNINGS])


def _shown(value: Json) -> str:
    return "left out" if value is None else msgspec.json.encode(value).decode()


def _anew(job: Job, plan: PartPlan, ids: Collection[str]) -> Iterator[Line]:
    sent: dict[str, tuple[int, bytes]] = {}
    for row, custom_id, line, _ in Renderer(plan.recipe, job.source.columns).requests(plan.folder.frozen, ids):
        if job.source.requests is not None:
            asked = digest(line.data)
            first, before = sent.setdefault(custom_id, (row, asked))
            if asked != before:
                raise InvalidInput(
                    f"Rows {first} and {row} share one request since they asked the same, and with this prompt they "
                    "do not any more. Mend it without columns in which they differ, or make a new job."
                )
            if first != row:
                continue
        yield line


def _again(job: Job, plan: PartPlan, ids: Collection[str], mending: Mending) -> Iterator[Request]:
    seen: set[str] = set()
    # Newest first: a request that was mended before stays mended.
    for part in reversed(job.parts):
        if part.round <= job.round and part.state != "split":
            for line in files.lines(plan.folder.requests(part)):
                request = decode_request(line)
                if request.custom_id in ids and request.custom_id not in seen:
                    seen.add(request.custom_id)
                    yield Request(request.custom_id, mending.body(request.body))
