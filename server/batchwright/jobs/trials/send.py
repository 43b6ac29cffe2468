"""Tries some rows of a job now, outside any batch: the draft as it is, or other models and prompts beside it.

The most it may cost is reserved in the journal before anything is sent, and settled by what was used.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from batchwright.core.errors import BatchwrightError, NotReady, ProviderUnclear
from batchwright.core.job_folder import JobFolders
from batchwright.core.model import Result, ResultLine
from batchwright.core.problem import Problem
from batchwright.core.usage import tokens_used
from batchwright.costs.prices import Processing, cost
from batchwright.costs.spending import ceiling_usd
from batchwright.jobs.trials.estimates import (
    Projection,
    Spread,
    count_alike,
    count_right,
    estimate_output,
    project_cost,
)
from batchwright.jobs.trials.plan import TrialPlan, TrialRequest, Variant, plan_trial
from batchwright.providers.batch_api import REFUSALS
from batchwright.results.answers import reader

if TYPE_CHECKING:
    from batchwright.jobs.advance import Runs
    from batchwright.jobs.submission import Rules
    from batchwright.journal.journal import Journal
    from batchwright.providers.batch_api import Ask, BatchAPI

OnAnswer = Callable[[int, int], Awaitable[None]]
"""Called with how many requests are answered, and how many there are."""


@dataclass(frozen=True, slots=True)
class Tried:
    """The results of one variant, one for each row of the trial.

    Attributes:
        cost_usd: None if any of it is unknown.
        output: Output tokens of a request on average; None: nothing was measured.
        whole: What all requests of the job will cost with this variant; None: unknown.
        right: How many rows it answered correctly, and how many have a right answer.
    """

    variant: Variant
    results: tuple[Result, ...]
    cost_usd: Decimal | None
    output: Spread | None
    whole: Projection | None
    right: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Trial:
    """The outcome of a trial.

    Attributes:
        counted_usd: What the journal counts as spent; None: nothing is charged.
        alike: For each pair of variants, by their places: in how many rows they agree, by property.
        uncertain: Requests whose cost is unknown, which count with the most that they may cost.
        is_cut_off: Whether time ran out before all were answered.
    """

    plan: TrialPlan
    tried: tuple[Tried, ...]
    counted_usd: Decimal | None
    alike: Mapping[tuple[int, int], Mapping[str, tuple[int, int]]]
    uncertain: int
    is_cut_off: bool


@dataclass(slots=True)
class _Answer:
    """How far a request has come."""

    was_sent: bool = False
    line: ResultLine | None = None
    error: BatchwrightError | None = None

    @property
    def is_open(self) -> bool:
        return self.line is None and self.error is None

    @property
    def is_free(self) -> bool:
        """Whether it is certain that nothing is charged."""
        if self.line is not None:
            return self.line.status_code in REFUSALS
        return not self.was_sent or (self.error is not None and not isinstance(self.error, ProviderUnclear))


class Trying:
    """Tries requests of jobs."""

    def __init__(self, journal: "Journal", api: "BatchAPI", folders: JobFolders, runs: "Runs", rules: "Rules") -> None:
        self._journal = journal
        self._api = api
        self._folders = folders
        self._runs = runs
        self._spending = rules.spending
        self._waiting = rules.waiting

    async def plan(self, request: TrialRequest) -> TrialPlan:
        """Choose the rows, and work out what trying them may cost. Sends nothing.

        Raises:
            NotFound: There is no such job or row.
            NotReady: The requests are gone, or are for another provider.
            InvalidInput: The variants or the truth cannot be used, or nothing bounds the cost and no maximum is given.
            OverLimit: It may cost more than the user agreed to.
        """
        job = self._journal.job(request.job_id)
        recipe, provider = self._journal.queries.drafted_round(job)
        job = replace(job, recipe=recipe, provider=provider, parts=job.drafted_parts or job.running_parts)
        if not self._runs.is_answered_here(job):
            raise NotReady(
                f"{job.id} was made for {provider.model} at {provider.host}, but this server has another provider now. "
                "Draft it again with `create_batch_file`."
            )
        folder = self._folders.of(job.id)
        return await anyio.to_thread.run_sync(
            lambda: plan_trial(job, request, folder, answering=self._api.answering, spending=self._spending)
        )

    async def send(self, plan: TrialPlan, on_answer: OnAnswer) -> Trial:
        """Send what was planned, within a bounded time, and return the outcome.

        Raises:
            OverLimit: It may cost more than the operator allows.
            SubmissionsFrozen: Submissions are frozen.
            BatchwrightError: Nothing could be sent.
        """
        answers = [_Answer() for _ in plan.asked]
        is_charged = plan.agreed.agreed_usd is not None
        trial = self._journal.trials.open(plan.job.id, plan.agreed.total_usd, self._spending) if is_charged else None
        try:
            await self._ask_all(plan, answers, on_answer)
        finally:
            if trial is not None:
                self._journal.trials.settle(trial, _counted(plan, answers))
        unsent = [answer.error for answer in answers if answer.error is not None and answer.is_free]
        if unsent and len(unsent) == len(answers):
            raise unsent[0]
        tried = tuple(
            _evaluate(plan, answers, number, self._waiting.trial_seconds) for number in range(len(plan.variants))
        )
        pairs = [(one, two) for two in range(len(tried)) for one in range(two)]
        return Trial(
            plan,
            tried,
            counted_usd=_counted(plan, answers) if is_charged else None,
            alike={(one, two): count_alike(tried[one].results, tried[two].results) for one, two in pairs},
            uncertain=sum(_cost(plan, place, answer) is None for place, answer in enumerate(answers)),
            is_cut_off=any(answer.is_open for answer in answers),
        )

    async def _ask_all(self, plan: TrialPlan, answers: Sequence[_Answer], on_answer: OnAnswer) -> None:
        """Fill in the *answers*; any that are open afterwards did not arrive in time."""
        places = iter(range(len(answers)))
        done = 0

        async def work(ask: "Ask") -> None:
            nonlocal done
            for place in places:
                answers[place].was_sent = True
                try:
                    answers[place].line = await ask(plan.asked[place].request)
                except BatchwrightError as error:
                    answers[place].error = error
                done += 1
                await on_answer(done, len(answers))

        async with self._api.asking(plan.job.recipe.endpoint) as ask:
            with anyio.move_on_after(self._waiting.trial_seconds):
                async with anyio.create_task_group() as workers:
                    for _ in range(min(self._waiting.trial_requests, len(answers))):
                        workers.start_soon(work, ask)


def _counted(plan: TrialPlan, answers: Sequence[_Answer]) -> Decimal:
    """Return what a trial counts as spent: the cost of each request, or if unknown, the most it may have cost."""
    costs = [_cost(plan, place, answer) for place, answer in enumerate(answers)]
    most = plan.agreed.shares
    counted = [most.get(place, Decimal(0)) if found is None else found for place, found in enumerate(costs)]
    return sum(counted, Decimal(0))


def _cost(plan: TrialPlan, place: int, answer: _Answer) -> Decimal | None:
    """Return what a request cost; None: unknown."""
    if plan.agreed.agreed_usd is None or answer.is_free:
        return Decimal(0)
    variant = plan.variants[plan.asked[place].variant]
    if answer.line is None or variant.price is None:
        return None
    used = tokens_used(answer.line.body)
    return cost(variant.price, [used], processing="standard") if any(used) else None


def _evaluate(plan: TrialPlan, answers: Sequence[_Answer], number: int, seconds: float) -> Tried:
    variant = plan.variants[number]
    of_variant = [place for place, asked in enumerate(plan.asked) if asked.variant == number]
    read = reader(variant.recipe)
    results = tuple(_result(plan.asked[place].request.custom_id, answers[place], read, seconds) for place in of_variant)
    costs = [_cost(plan, place, answers[place]) for place in of_variant]
    known = [found for found in costs if found is not None]
    bounds = [plan.asked[place].tokens.output_bound for place in of_variant]
    most = max((bound for bound in bounds if bound is not None), default=None)
    output = estimate_output(
        [result.output_tokens for result in results if result.input_tokens or result.output_tokens],
        total=sum(part.requests for part in plan.job.parts),
        most=None if None in bounds else most,
        which=None if plan.choice.named else plan.choice.which,
    )
    truth = plan.truth
    return Tried(
        variant,
        results,
        cost_usd=sum(known, Decimal(0)) if len(known) == len(costs) else None,
        output=output,
        whole=_whole(plan, number, results, output) if output else None,
        right=count_right(results, [row.cells[truth.column] for row in plan.rows], truth.name) if truth else None,
    )


def _result(custom_id: str, answer: _Answer, read: Callable[[ResultLine], Result], seconds: float) -> Result:
    if answer.line is not None:
        return read(answer.line)
    if answer.error is not None:
        return Result(custom_id, "failed", problem=replace(answer.error.problem, words=str(answer.error)))
    if answer.was_sent:
        late = Problem.found("no_answer", f"no answer within {seconds:g} seconds")
        return Result(custom_id, "failed", problem=late)
    return Result(custom_id, "never_ran", problem=Problem.found("not_sent", "time ran out before it was sent"))


def _whole(plan: TrialPlan, number: int, results: Sequence[Result], output: Spread) -> Projection | None:
    """Project what all requests will cost with a variant, the first of which is the draft as it is.

    The cost of the draft's input is known, counted request by request. It is scaled by the input tokens that the
    provider counted for the tried rows.
    """
    own, known = plan.variants[0].price, plan.variants[number].price
    inputs = [part.least_usd for part in plan.job.parts]
    processing: Processing = "standard" if plan.job.provider.charges == "standard" else "batch"
    if own is None or known is None or None in inputs or (processing == "batch" and not known.is_batch_price_known):
        return None
    counted = {asked.row: asked.tokens.input_tokens for asked in plan.asked if asked.variant == 0}
    rows = [row for row, result in enumerate(results) if result.input_tokens]
    if not rows:
        return None
    before = cost(own, [(counted[row], 0) for row in rows], processing=processing)
    now = cost(known, [(results[row].input_tokens, 0) for row in rows], processing=processing)
    found = project_cost(
        known,
        output,
        requests=sum(part.requests for part in plan.job.parts),
        input_usd=sum((usd for usd in inputs if usd is not None), Decimal(0)) * now / before if before else Decimal(0),
        longest=max(results[row].input_tokens for row in rows),
        processing=processing,
    )
    most = ceiling_usd(plan.job.parts) if number == 0 else None
    if most is None:
        return found
    return Projection(min(found.low_usd, most), min(found.mean_usd, most), min(found.high_usd, most))
