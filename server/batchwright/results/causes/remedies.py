"""Problems of a job to causes, each with its remedy: the retry that helps, if it is certain."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from batchwright.checks.deprecations import deprecation_of
from batchwright.checks.families import family_of
from batchwright.checks.names import Meant
from batchwright.checks.parameters import PARAMETERS, TOKEN_LIMITS
from batchwright.core.calls import OPEN, Call
from batchwright.core.model import Job, Json, Outcome
from batchwright.core.problem import Problem, Speaker
from batchwright.results.causes.catalogue import VARIOUS, cause_of, root
from batchwright.results.causes.cause import ANOTHER_PROMPT, Argument, Cause, Helps, by
from batchwright.results.causes.signs import MAX_IDS, ProblemRows, alike, signs

_INSTEAD = re.compile(r"use ['\"`]?(\w+)['\"`]? instead", re.IGNORECASE)
_AT_MOST = re.compile(r"(?:supports at most|less than or equal to|<=) ?([\d,]+)", re.IGNORECASE)
_AT_LEAST = re.compile(r"(?:greater than or equal to|>=) ?(\d+)", re.IGNORECASE)
_ONE_BY_ONE = "A retry sends the rows of a packed request one by one, so that a bad text fails only itself."


_OF_THE_SERVER = frozenset({"no_such_batches", "wrong_endpoint", "unknown_model", "several_models", "streaming"})
"""Causes that all inputs share."""
_NO_RESPONSES = (
    'Make a new job with endpoint="/v1/chat/completions", which most servers have. If it is not found either, correct '
    "the base URL."
)


@dataclass(frozen=True, slots=True)
class RetryChanges:
    """What a retry changes in a job's recipe.

    Attributes:
        has_text: Whether it has another prompt or system text.
    """

    has_text: bool = False
    model: str | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict[str, Json])

    def helps(self, problem: "Explained") -> bool:
        """Whether this is the change that the problem's cause asks for, as far as is known."""
        if problem.helps in {"helps", "helps once fixed", "may be paid again"}:
            return True
        if problem.retry is None:
            given: dict[Argument, object] = {
                "prompt": self.has_text,
                "model": self.model,
                "parameters": self.parameters,
            }
            return any(given[argument] for argument in problem.fixed_by)
        wanted = problem.retry.changes
        return wanted.parameters.keys() <= self.parameters.keys() and (wanted.model is None or self.model is not None)


@dataclass(frozen=True, slots=True)
class RetryArguments:
    """Arguments of `retry_job` that need no further choice."""

    job_id: str
    outcomes: tuple[Outcome, ...]
    changes: RetryChanges = RetryChanges()

    @property
    def call(self) -> Call:
        """The call with these arguments."""
        parameters = dict(self.changes.parameters) or None
        outcomes, model = list(self.outcomes), self.changes.model
        return Call("retry_job", job_id=self.job_id, outcomes=outcomes, model=model, parameters=parameters)


@dataclass(frozen=True, slots=True)
class Explained:
    """Rows of one outcome that have no good answer for one cause.

    Attributes:
        meaning, helps, advice, fixed_by: The cause's, made specific to this job.
        words, speaker: What one of the rows reports, and who said it; None: the cause says it all.
        ids: Some of the rows.
        retry: The retry that helps; None: the user has to choose something, or no retry helps.
    """

    cause: Cause
    outcome: Outcome
    rows: int
    meaning: str
    helps: Helps
    advice: str
    fixed_by: frozenset[Argument] = frozenset()
    words: str | None = None
    speaker: Speaker | None = None
    ids: tuple[str, ...] = ()
    retry: RetryArguments | None = None


@dataclass(frozen=True, slots=True)
class Retried:
    """What a drafted retry repeats and changes.

    Attributes:
        outcomes: Rows by outcome.
        changes: In words; empty: the requests are sent unchanged.
        problems: Why these rows have no good answer.
        unmet: The problems that the drafted retry does not fix.
    """

    outcomes: Mapping[Outcome, int]
    changes: Sequence[str]
    problems: Sequence[Explained] = ()
    unmet: Sequence[Explained] = ()


def explain(problems: Iterable[ProblemRows], job: Job, parameters: Mapping[str, Json], meant: Meant) -> list[Explained]:
    """Group *problems* of *job* by cause, the most rows first; *parameters* are those its requests were sent with."""
    groups: dict[tuple[Outcome, str, str], Explained] = {}
    for problem in problems:
        cause = cause_of(problem.outcome, problem.problem)
        key = problem.outcome, cause.name, "" if cause.are_alike else alike(problem.words)
        if before := groups.get(key):
            ids = (*before.ids, *problem.ids)[:MAX_IDS]
            groups[key] = replace(before, rows=before.rows + problem.rows, ids=ids)
        else:
            groups[key] = _explain(cause, problem, job, parameters, meant)
    return sorted(groups.values(), key=lambda group: -group.rows)


def various(outcome: Outcome, rows: int, job: Job) -> Explained:
    """Return the entry for *rows* whose problems are too many to examine."""
    retry = RetryArguments(job.id, (outcome,)) if _is_retriable(job) else None
    return Explained(VARIOUS, outcome, rows, VARIOUS.meaning, VARIOUS.helps, VARIOUS.advice, retry=retry)


def best(found: Sequence[Explained]) -> RetryArguments | None:
    """Return the one retry that helps most: that of the most rows, joined with others that are compatible."""
    ready = [(each.helps, each.retry) for each in found if each.retry]
    if not ready:
        return None
    first, retry = ready[0]
    for helps, other in ready[1:]:
        if helps in {first, "helps", "helps with a change"}:
            retry = _join(retry, other)
    return retry


def _explain(cause: Cause, problem: ProblemRows, job: Job, parameters: Mapping[str, Json], meant: Meant) -> Explained:
    told = signs(problem.problem) if problem.problem else None
    meaning, helps, advice, fixed_by = cause.meaning, cause.helps, cause.advice, cause.fixed_by
    changes = _changes(cause, told, job, parameters, meant)
    if cause.change == "parameter" and told and told.param:
        meaning = f"{meaning}: {told.param}"
    if cause.change == "model" and changes:
        advice = f"Did you mean {changes.model!r}? {advice}"
    if cause.change in {"more tokens", "many more tokens"} and changes is None:
        advice, fixed_by = _set_a_limit(_limit_name(job)), by("prompt", "parameters")
    if job.recipe.prompt is None:
        advice = advice.replace(str(ANOTHER_PROMPT), "a new job from the corrected file")
        if cause.name == "changed_here":
            helps, advice = "does not help", "Make a new job from the original file."
    if cause.name == "wrong_address" and job.recipe.endpoint == "/v1/responses" and not job.provider.is_openai:
        meaning, helps, advice = "the server has no /v1/responses", "does not help", _NO_RESPONSES
    was_packed = job.recipe.inputs_per_request > 1 and job.round == 1 and problem.outcome == "failed"
    if (
        was_packed
        and cause.name not in _OF_THE_SERVER
        and changes is None
        and helps in {"does not help", "helps with a change"}
    ):
        helps, advice = "helps", _ONE_BY_ONE
    shown = None if cause.says_it_all else told
    can_help = helps in {"helps", "helps once fixed"} or (helps == "helps with a change" and changes)
    is_callable = can_help and problem.outcome != "running" and _is_retriable(job)
    retry = RetryArguments(job.id, (problem.outcome,), changes or RetryChanges()) if is_callable else None
    return Explained(
        *(cause, problem.outcome, problem.rows, meaning, helps, advice),
        fixed_by=fixed_by,
        words=shown and shown.words,
        speaker=shown and shown.speaker,
        ids=tuple(dict.fromkeys(problem.ids))[:MAX_IDS],
        retry=retry,
    )


def _changes(
    cause: Cause, told: Problem | None, job: Job, parameters: Mapping[str, Json], meant: Meant
) -> RetryChanges | None:
    """Return what to change in the recipe; None: nothing, or it is not certain."""
    changed: Mapping[str, Json] = {}
    model = None
    match cause.change:
        case "more tokens" | "many more tokens":
            times = 2 if cause.change == "more tokens" else 4
            changed = {name: value * times for name, value in _limits(parameters).items()}
        case "fewer tokens":
            most = _AT_MOST.search(told.words) if told else None
            changed = dict.fromkeys(_limits(parameters), _number(most)) if most else {}
        case "parameter":
            changed = _without(told, job, parameters) if told else {}
        case "model":
            name = meant(job.recipe.model) if job.provider.is_openai else None
            model = None if name and deprecation_of(name) else name
        case "one model":
            model = job.recipe.model
        case "no stream":
            changed = {"stream": None}
        case "":
            pass
    return RetryChanges(model=model, parameters=changed) if model or changed else None


def _without(told: Problem, job: Job, parameters: Mapping[str, Json]) -> dict[str, Json]:
    """Drop the refused parameter, or change it as the message says; empty: no request had it."""
    name = root(told.param or "")
    if name not in parameters:
        return {}
    if name in TOKEN_LIMITS:
        if least := _AT_LEAST.search(told.words):
            return {name: _number(least)}
        if most := _AT_MOST.search(told.words):
            return {name: _number(most)}
    instead = _INSTEAD.search(told.words)
    if instead and instead[1] != name and instead[1] in PARAMETERS[job.recipe.endpoint]:
        return {name: None, instead[1]: parameters[name]}
    return {name: None}


def _set_a_limit(name: str) -> str:
    return (
        "The job set no limit, so the model's or the server's own applies: ask for shorter answers with "
        f"{ANOTHER_PROMPT}, or set a limit with {Call('retry_job', parameters={name: OPEN})}."
    )


def _limit_name(job: Job) -> str:
    """Return the parameter that limits an answer at the job's endpoint and model."""
    if job.recipe.endpoint == "/v1/responses":
        return "max_output_tokens"
    family = family_of(job.recipe.model) if job.provider.kind == "service" else None
    return "max_completion_tokens" if family and not family.takes_max_tokens else "max_tokens"


def _limits(parameters: Mapping[str, Json]) -> dict[str, int]:
    given = {name: parameters.get(name) for name in TOKEN_LIMITS}
    return {name: value for name, value in given.items() if isinstance(value, int) and value > 0}


def _number(found: re.Match[str]) -> int:
    return int(found[1].replace(",", ""))


def _join(one: RetryArguments, other: RetryArguments) -> RetryArguments:
    """Join two retries into one; if they change the same thing differently, keep only the first."""
    models = {each.changes.model for each in (one, other)} - {None}
    changed, added = one.changes.parameters, other.changes.parameters
    if len(models) > 1 or any(changed[name] != added[name] for name in changed.keys() & added.keys()):
        return one
    outcomes = tuple(dict.fromkeys((*one.outcomes, *other.outcomes)))
    changes = RetryChanges(model=next(iter(models), None), parameters={**changed, **added})
    return RetryArguments(one.job_id, outcomes, changes)


def _is_retriable(job: Job) -> bool:
    """Whether `retry_job` accepts the job: it has finished, and its requests are known."""
    return job.ended_at is not None and job.source.kind != "results"
