"""Problems of a job to causes with a remedy each: the arguments of a retry that helps, where they can be said."""

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
"""Causes that each input has alike."""
_NO_RESPONSES = (
    'Make a new job with endpoint="/v1/chat/completions", which most servers have. If that is not found either, the '
    "base URL is wrong."
)


@dataclass(frozen=True, slots=True)
class Explained:
    """Rows of one outcome that have no good answer for one cause.

    Attributes:
        meaning, helps, advice, mended_by: As of the cause, with what this job shows of it.
        words, speaker: Of one of the rows, as they are kept with it, and whose they are; None: the cause says it all.
        ids: Of some of the rows.
        arguments: Of `retry_job`, to be passed as they stand; None: something has to be chosen, or no retry helps.
    """

    cause: Cause
    outcome: Outcome
    rows: int
    meaning: str
    helps: Helps
    advice: str
    mended_by: frozenset[Argument] = frozenset()
    words: str | None = None
    speaker: Speaker | None = None
    ids: tuple[str, ...] = ()
    arguments: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Retried:
    """What a drafted retry takes up, and what it changes.

    Attributes:
        outcomes: Rows by outcome.
        changes: In words; empty: it is sent as before.
        problems: Why these rows have no good answer.
        unmet: Those that the retry, as it is drafted, does not help.
    """

    outcomes: Mapping[Outcome, int]
    changes: Sequence[str]
    problems: Sequence[Explained] = ()
    unmet: Sequence[Explained] = ()


@dataclass(frozen=True, slots=True)
class Mended:
    """What a retry is given to change."""

    has_text: bool = False
    model: str | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict[str, Json])

    def helps(self, problem: Explained) -> bool:
        """Whether the change is what the problem's cause asks for, as far as it can be told."""
        if problem.helps in {"helps", "helps once mended", "may be paid again"}:
            return True
        if problem.arguments is None:
            given: dict[Argument, object] = {
                "prompt": self.has_text,
                "model": self.model,
                "parameters": self.parameters,
            }
            return any(given[argument] for argument in problem.mended_by)
        wanted = problem.arguments.get("parameters", {})
        return wanted.keys() <= self.parameters.keys() and ("model" not in problem.arguments or self.model is not None)


def explain(problems: Iterable[ProblemRows], job: Job, parameters: Mapping[str, Json], meant: Meant) -> list[Explained]:
    """Group *problems* of *job* by cause, the most rows first; *parameters* are those that its requests had."""
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
    """Stand for *rows* whose problems were too many to look at."""
    arguments = {"job_id": job.id, "outcomes": [outcome]} if _is_retriable(job) else None
    return Explained(VARIOUS, outcome, rows, VARIOUS.meaning, VARIOUS.helps, VARIOUS.advice, arguments=arguments)


def best(found: Sequence[Explained]) -> Mapping[str, Json] | None:
    """Return the arguments of the one retry that helps most: that of the most rows, with others that go along."""
    ready = [(each, each.arguments) for each in found if each.arguments]
    if not ready:
        return None
    first, arguments = ready[0]
    for each, others in ready[1:]:
        if each.helps == first.helps or each.helps != "helps once mended":
            arguments = _join(arguments, others)
    return arguments


def _explain(cause: Cause, problem: ProblemRows, job: Job, parameters: Mapping[str, Json], meant: Meant) -> Explained:
    told = signs(problem.problem) if problem.problem else None
    meaning, helps, advice, mended_by = cause.meaning, cause.helps, cause.advice, cause.mended_by
    changes = _changes(cause, told, job, parameters, meant)
    if cause.change == "parameter" and told and told.param:
        meaning = f"{meaning}: {told.param}"
    if cause.change == "model" and changes:
        advice = f"Did you mean {changes['model']!r}? {advice}"
    if cause.change in {"more tokens", "many more tokens"} and changes is None:
        advice, mended_by = _set_a_limit(_limit_name(job)), by("prompt", "parameters")
    if job.recipe.prompt is None:
        advice = advice.replace(str(ANOTHER_PROMPT), "a new job of the mended file")
        if cause.name == "changed_here":
            helps, advice = "does not help", "Make a new job of the file that was given."
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
    can_help = helps in {"helps", "helps once mended"} or (helps == "helps with a change" and changes)
    is_callable = can_help and problem.outcome != "running" and _is_retriable(job)
    arguments = {"job_id": job.id, "outcomes": [problem.outcome], **(changes or {})} if is_callable else None
    return Explained(
        *(cause, problem.outcome, problem.rows, meaning, helps, advice),
        mended_by=mended_by,
        words=shown and shown.words,
        speaker=shown and shown.speaker,
        ids=tuple(dict.fromkeys(problem.ids))[:MAX_IDS],
        arguments=arguments,
    )


def _changes(
    cause: Cause, told: Problem | None, job: Job, parameters: Mapping[str, Json], meant: Meant
) -> Mapping[str, Json] | None:
    """Return what of the recipe is to be changed; None: nothing, or it cannot be said."""
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
    return {**({"model": model} if model else {}), **({"parameters": changed} if changed else {})} or None


def _without(told: Problem, job: Job, parameters: Mapping[str, Json]) -> dict[str, Json]:
    """Take out the parameter that was refused, or give it as the words say; empty: it is none that was given."""
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
        "No limit was set, so it is the model's or the server's own: ask for shorter answers with "
        f"{ANOTHER_PROMPT}, or set one with {Call('retry_job', parameters={name: OPEN})}."
    )


def _limit_name(job: Job) -> str:
    """Return the parameter that bounds an answer, as the job's endpoint and model take it."""
    if job.recipe.endpoint == "/v1/responses":
        return "max_output_tokens"
    family = family_of(job.recipe.model) if job.provider.kind == "service" else None
    return "max_completion_tokens" if family and not family.takes_max_tokens else "max_tokens"


def _limits(parameters: Mapping[str, Json]) -> dict[str, int]:
    given = {name: parameters.get(name) for name in TOKEN_LIMITS}
    return {name: value for name, value in given.items() if isinstance(value, int) and value > 0}


def _number(found: re.Match[str]) -> int:
    return int(found[1].replace(",", ""))


def _join(one: Mapping[str, Json], other: Mapping[str, Json]) -> Mapping[str, Json]:
    """Put two retries together; where they change the same thing in two ways, the first stays alone."""
    changed, added = one.get("parameters", {}), other.get("parameters", {})
    is_split = any(changed[name] != added[name] for name in changed.keys() & added.keys())
    if is_split or ("model" in one and "model" in other and one["model"] != other["model"]):
        return one
    outcomes = list(dict.fromkeys([*one["outcomes"], *other["outcomes"]]))
    parameters = {**changed, **added}
    return {**other, **one, "outcomes": outcomes, **({"parameters": parameters} if parameters else {})}


def _is_retriable(job: Job) -> bool:
    """Whether `retry_job` takes the job: it has ended, and its requests are known."""
    return job.ended_at is not None and job.source.kind != "results"
