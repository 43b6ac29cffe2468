"""What the tools answer about drafts and jobs, each with the next useful call."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field

from batchwright.core.calls import OPEN, Advice, Call
from batchwright.core.model import Job, JobStatus, Json, Outcome
from batchwright.core.untrusted import MARK, clean
from batchwright.costs.prices import price
from batchwright.costs.spending import ceiling_usd
from batchwright.mcp_server.views import problem
from batchwright.mcp_server.views.cost import draft_cost, job_cost, line_cost
from batchwright.mcp_server.views.problem import Problems
from batchwright.mcp_server.views.view import Name, Next, Sentence, Text, Time, View, present

if TYPE_CHECKING:
    from datetime import datetime

    from batchwright.jobs.build import Draft
    from batchwright.jobs.overview import JobPage
    from batchwright.jobs.preflight import DraftWarning
    from batchwright.results.causes.remedies import Explained, Retried

SHOWN_INPUTS = 3
MAX_SHOWN_BATCHES = 10
MAX_PROMPT_CHARACTERS = 60
"""Of a job's prompt in a list: enough to know it again."""


class DraftView(View):
    """A draft job."""

    job_id: Name
    status: JobStatus
    source: Sentence
    rows: int
    requests: int
    parts: int
    megabytes: float
    input_tokens: int
    output_tokens_at_most: int | None = None
    answered_by: Sentence
    cost: Sentence
    first_request: Text
    retries: Annotated[Sentence | None, Field(description="for a retry: its rows, and what it changes")] = None
    problems: Problems = None
    warnings: list[Sentence] | None = None
    about: Sentence
    next: Next

    @classmethod
    def of(cls, draft: "Draft") -> Self:
        """Show a draft."""
        job, retried = draft.job, draft.retried
        unmet = retried.unmet if retried else ()
        told = [warning.text for warning in draft.warnings]
        warnings = [*told, *draft.estimate.count_notes, *([_unmet(unmet)] if unmet else [])]
        warnings += problem.notes(retried.problems) if retried else []
        better = problem.instead(unmet)
        return cls(
            job_id=job.id,
            status="draft",
            source=job.source.name,
            rows=job.source.rows,
            requests=sum(part.requests for part in job.parts),
            parts=len(job.parts),
            megabytes=round(sum(part.size_bytes for part in job.parts) / 1e6, 3),
            input_tokens=draft.estimate.input_tokens,
            output_tokens_at_most=draft.estimate.output_tokens_bound or None,
            answered_by=job.provider.sentence,
            cost=draft_cost(draft),
            first_request=_show_request(draft.first_request.body),
            retries=_describe_retry(retried, job) if retried else None,
            problems=problem.show(retried.problems, job, unmet=retried.unmet) if retried else None,
            warnings=warnings or None,
            about=MARK,
            next=(*better, " Or as is: " if better else _fix_first(draft.warnings), *_try_and_submit(job)),
        )


class JobView(View):
    """A job's progress."""

    job_id: Name
    status: JobStatus
    rows: int
    counts: Annotated[dict[Outcome, int], Field(description="rows by outcome; they add up to rows")]
    answered_by: Sentence
    cost: Sentence | None = None
    rows_per_minute: float | None = None
    seconds_left: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    problems: Problems = None
    notes: list[Sentence] | None = None
    next: Next

    @classmethod
    def of(
        cls,
        job: Job,
        now: "datetime | None" = None,
        *,
        problems: "Sequence[Explained]" = (),
        notes: Sequence[str] = (),
    ) -> Self:
        """Show a job; its rate is known if *now* is."""
        counts = present(job.counts)
        done = job.source.rows - counts.get("running", 0)
        seconds = (now - job.submitted_at).total_seconds() if now and job.submitted_at and not job.ended_at else None
        rate = done / seconds * 60 if seconds and done else None
        said = [*notes, *_part_notes(job), *problem.notes(problems)]
        if job.submitted_at is not None and (drafted := sum(part.requests for part in job.drafted_parts)):
            what = "rows" if job.source.requests is None else "requests"
            said.append(f"A retry of {drafted:,} {what} is drafted; submit_job sends it.")
        if done and job.submitted_at is not None and job.ended_at is None:
            said.append("Answers are read when the job ends: some may then count as refused, cut_short or not_fitting.")
            if job.source.requests is not None:
                said.append("Rows share requests: until then rows are estimated from the finished requests.")
        return cls(
            job_id=job.id,
            status=job.status,
            rows=job.source.rows,
            counts=counts,
            answered_by=job.provider.sentence,
            cost=line_cost(job) if job.submitted_at is None else job_cost(job),
            rows_per_minute=round(rate, 1) if rate else None,
            seconds_left=round(counts.get("running", 0) / rate * 60) if rate and job.status == "running" else None,
            input_tokens=job.input_tokens or None,
            output_tokens=job.output_tokens or None,
            problems=problem.show(problems, job),
            notes=said or None,
            next=_next_call(job, problems),
        )

    @classmethod
    def discarded(cls, job: Job) -> Self:
        """Show a job whose draft, or whose drafted retry, was discarded."""
        if job.submitted_at is not None:
            return cls.of(job, notes=["The drafted retry was discarded. The job and its results are unchanged."])
        note = "The draft was discarded with its files. Nothing was spent."
        return cls.of(job, notes=[note]).model_copy(update={"next": (Call("list_jobs"), " shows the remaining jobs")})


class JobLine(View):
    """One job of a list."""

    job_id: Name
    status: JobStatus
    source: Name
    rows: int
    answered: int
    model: Name
    prompt: Name | None = None
    cost: Sentence | None = None
    created_at: Name

    @classmethod
    def of(cls, job: Job) -> Self:
        """Show a job in a line."""
        return cls(
            job_id=job.id,
            status=job.status,
            source=job.source.name,
            rows=job.source.rows,
            answered=job.counts["answered"],
            model=job.recipe.model,
            prompt=_start(job.recipe.prompt or "") or None,
            cost=line_cost(job),
            created_at=job.created_at.isoformat(timespec="seconds"),
        )


class BatchLine(View):
    """A batch at the provider that this server did not create."""

    batch_id: Name
    status: Name
    created_at: Time
    endpoint: Name
    requests: int | None = None


class JobsView(View):
    """Jobs, newest first."""

    jobs: list[JobLine]
    total: int
    left_out: int | None = None
    others: Annotated[
        list[BatchLine] | None, Field(description="batches at the provider that this server did not create")
    ] = None
    others_left_out: int | None = None
    notes: list[Sentence] | None = None
    next: Next

    @classmethod
    def of(cls, page: "JobPage", *, offset: int) -> Self:
        """Show a page of jobs."""
        jobs, total = page.jobs, page.total
        left_out = total - offset - len(jobs)
        others = page.others or ()
        frozen = f'Nothing is submitted until the user agrees (submit_job, user_says="go_on"): {page.frozen}'
        notes = [frozen] if page.frozen else []
        if page.others is None:
            notes.append("The provider could not be asked about batches created elsewhere.")
        return cls(
            jobs=[JobLine.of(job) for job in jobs],
            total=total,
            left_out=left_out if left_out > 0 else None,
            others=[BatchLine.model_validate(batch) for batch in others[:MAX_SHOWN_BATCHES]] or None,
            others_left_out=max(0, len(others) - MAX_SHOWN_BATCHES) or None,
            notes=notes or None,
            next=_after_list(page, offset=offset),
        )


def _show_request(body: Mapping[str, Json]) -> str:
    """Write a request as it will be sent, with only some of many packed texts."""
    import msgspec

    match body.get("input"):
        case [*texts] if len(texts) > SHOWN_INPUTS and all(isinstance(text, str) for text in texts):
            body = {**body, "input": [*texts[:SHOWN_INPUTS], f"… ({len(texts) - SHOWN_INPUTS:,} more)"]}
        case _:
            pass
    return msgspec.json.encode(body).decode()


def _start(text: str) -> str:
    """Return the start of a text in one line."""
    line = " ".join(clean(text, 4 * MAX_PROMPT_CHARACTERS).split())
    return line if len(line) <= MAX_PROMPT_CHARACTERS else f"{line[: MAX_PROMPT_CHARACTERS - 1]}…"


def _after_list(page: "JobPage", *, offset: int) -> Advice:
    if not page.total and page.others:
        return (Call("adopt_batch", batch_id=page.others[0].batch_id),)
    if not page.total:
        return Call("inspect_data", source="FILE"), ", then create_batch_file"
    if not page.jobs:
        return Call("list_jobs"), ": the offset is past the end"
    said: Advice = Call("check_job", job_id=page.jobs[0].id), " shows its progress"
    older = offset + len(page.jobs)
    return (*said, "; ", Call("list_jobs", offset=older), " shows older jobs") if older < page.total else said


def _fix_first(warnings: "Sequence[DraftWarning]") -> str:
    is_faulty = any(warning.is_to_fix for warning in warnings)
    return "fix what the warnings say with another draft; only if the user wants this one as is: " if is_faulty else ""


def _try_and_submit(job: Job) -> Advice:
    is_open = job.provider.charges != "nothing" and ceiling_usd(job.parts) is None
    tried = Call("try_requests", job_id=job.id, max_cost_usd=OPEN if is_open else None)
    return _bound_first(job), tried, " shows sample answers; then ", *submit_call(job)


def _bound_first(job: Job) -> str:
    """Advise bounding the answers, if that alone is missing to bound the job's cost."""
    recipe = job.recipe
    is_open = job.provider.charges in {"batch", "standard"} and ceiling_usd(job.drafted_parts) is None
    if not is_open or recipe.prompt is None or price(recipe.model, endpoint=recipe.endpoint) is None:
        return ""
    name = "max_output_tokens" if recipe.endpoint == "/v1/responses" else "max_completion_tokens"
    return f'bound the cost with another draft, parameters={{"{name}": ...}}; or, as is: '


def submit_call(job: Job) -> Advice:
    """Return the call that submits a draft; if something is charged, the user names the maximum.

    A figure that is filled in would be agreed to by whoever copies it.
    """
    if job.provider.charges == "nothing":
        return (Call("submit_job", job_id=job.id),)
    told = "tell the user the cost"
    if ceiling_usd(job.drafted_parts) is None:
        told = "ask the user how much it may cost, which is then agreed but not enforced"
    return f"{told}, then ", Call("submit_job", job_id=job.id, max_cost_usd=OPEN)


def _next_call(job: Job, problems: "Sequence[Explained]") -> Advice:
    if job.submitted_at is not None and job.drafted_parts:
        return submit_call(job)
    match job.status:
        case "draft":
            return submit_call(job)
        case "running" | "cancelling":
            waited = Call("check_job", job_id=job.id, wait_seconds=45)
            left = Call("submit_job", job_id=job.id, user_says="give_up")
            return (
                (waited, "; if it never finishes, the user may give it up: ", left) if job.cancelled_at else (waited,)
            )
        case "unknown":
            then = (
                "it is then over"
                if job.cancelled_at
                else "before the user decides whether to send it again or give it up"
            )
            return Call("check_job", job_id=job.id), f" after a minute, {then}"
        case _ if not job.counts["answered"]:
            return problem.remedy_call(problems, job) or _call_for_none(job, problems)
        case _:
            results = Call("get_results", job_id=job.id, save_as="results.csv")
            remedy = problem.remedy_call(problems, job)
            return (*remedy, "; ", results, " saves the answers so far") if remedy else (results,)


def _call_for_none(job: Job, problems: "Sequence[Explained]") -> Advice:
    """Return what helps a job without a good answer; a retry names outcomes it would not include by default."""
    if better := problem.instead(problems):
        return better
    if job.status == "failed":
        retried = Call("retry_job", job_id=job.id)
        return "create_batch_file with the faults fixed, or ", retried, " if the cause is gone"
    left = [name for name, count in job.counts.items() if count]
    outcomes = None if {"failed", "expired", "never_ran"} & set(left) else left
    retried = Call("retry_job", job_id=job.id, outcomes=outcomes)
    return Call("get_results", job_id=job.id), " to see why, then ", retried


def _describe_retry(retried: "Retried", job: Job) -> str:
    """Describe which rows a retry includes, and what it changes."""
    rows = ", ".join(f"{rows:,} {outcome}" for outcome, rows in retried.outcomes.items())
    changes = f"changed: {'; '.join(retried.changes)}" if retried.changes else "sent unchanged"
    return f"{rows} of {job.source.rows:,} rows, {changes}"


def _unmet(found: "Sequence[Explained]") -> str:
    """Say which rows a retry may not help, as it is drafted."""
    rows = sum(each.rows for each in found)
    why = "; ".join(dict.fromkeys(each.meaning for each in found[: problem.MAX_SHOWN]))
    return f"This retry may not help {rows:,} of its rows: {why}."


def _part_notes(job: Job) -> list[str]:
    notes = dict.fromkeys(part.note for part in job.parts if part.note)
    for part in job.parts:
        for error in part.errors[:3]:
            place = f"part {part.number}, line {error.line}" if error.line else f"part {part.number}"
            place += f" (id {error.custom_id}): " if error.custom_id else ": "
            notes[f"{place}{error.code}: {error.message}"] = None
        if len(part.errors) > 3:
            notes[f"part {part.number}: {len(part.errors) - 3:,} more lines have errors; get_results shows each"] = None
    return list(notes)[:5]
