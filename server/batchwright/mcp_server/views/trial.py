"""What the tool answers about a trial: answers next to their rows, what they cost, and what the whole job would."""

from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from math import isfinite
from struct import unpack
from typing import TYPE_CHECKING, Self, cast

import msgspec

from batchwright.core.calls import Advice, Call
from batchwright.core.model import Job, Json, Outcome, Result
from batchwright.core.money import format_most, format_usd
from batchwright.core.untrusted import MARK, clean, clean_value, one_line, quote_name
from batchwright.costs.spending import ceiling_usd
from batchwright.mcp_server.views.fitting import fit_value
from batchwright.mcp_server.views.job import submit_call
from batchwright.mcp_server.views.view import Facts, Name, Next, Sentence, View, known, present
from batchwright.results.causes.catalogue import cause_of

if TYPE_CHECKING:
    from batchwright.jobs.trials.plan import TrialPlan
    from batchwright.jobs.trials.rows import TriedRow
    from batchwright.jobs.trials.send import Trial, Tried

MAX_SHOWN_BYTES = 2_800
"""Roughly, for all cells and answers together: a few are shown whole, many are cut."""
MIN_CELL_BYTES = 40
MAX_CELL_BYTES = 1_200
MAX_SHOWN_COLUMNS = 8
MAX_PROMPT_CHARACTERS = 80
MAX_PROBLEM_CHARACTERS = 300
MAX_SHOWN_PROBLEMS = 4
SHOWN_NUMBERS = 4
"""Of a vector."""


class TrialView(View):
    """Tried rows with their answers."""

    job_id: Name
    tried: Sentence
    answered_by: Sentence
    rows: list[Facts]
    variants: list[Facts]
    agreement: list[Sentence] | None = None
    cost: Sentence
    notes: list[Sentence] | None = None
    about: Sentence = MARK
    next: Next

    @classmethod
    def of(cls, trial: "Trial") -> Self:
        """Show a trial."""
        plan = trial.plan
        return cls(
            job_id=plan.job.id,
            tried=_choice(plan),
            answered_by=_answered_by(plan),
            rows=list(_rows(trial)),
            variants=[_variant(plan, tried, number) for number, tried in enumerate(trial.tried)],
            agreement=_agreement(trial) or None,
            cost=_cost(trial),
            notes=list(_notes(trial)) or None,
            next=_next_call(trial),
        )


def _choice(plan: "TrialPlan") -> str:
    """Describe which rows were tried, and out of how many."""
    is_packed = plan.job.recipe.inputs_per_request > 1
    total = sum(part.load if is_packed else part.requests for part in plan.job.parts)
    what = "rows" if plan.job.source.requests is None or total == plan.job.source.rows else "different requests"
    match plan.choice.named, plan.choice.which:
        case (), "random":
            how = f"at random, seed {plan.choice.seed}"
        case (), _:
            how = "the first"
        case _:
            how = "named"
    return f"{len(plan.rows)} of {total:,} {what}, {how}"


def _answered_by(plan: "TrialPlan") -> str:
    """Name who answered: a batch provider got ordinary requests here."""
    names = ", ".join(dict.fromkeys(variant.provider.model for variant in plan.variants))
    provider = replace(plan.job.provider, model=names)
    return f"{provider.model} at {provider.host}" if provider.kind == "service" else provider.sentence


def _rows(trial: "Trial") -> Iterator[dict[str, Json]]:
    """Yield each row with its answers."""
    plan = trial.plan
    columns = min(len(plan.columns), MAX_SHOWN_COLUMNS)
    properties = len((plan.job.recipe.output_schema or {}).get("properties", {})) or 1
    room = MAX_SHOWN_BYTES // max(1, len(plan.rows) * (columns + properties * len(trial.tried)))
    most = min(max(room, MIN_CELL_BYTES), MAX_CELL_BYTES)
    for place, row in enumerate(plan.rows):
        results = [tried.results[place] for tried in trial.tried]
        said = [_answer(result, plan.job, most) for result in results]
        line = _question_of(plan, row, most)
        if len(results) > 1:
            line |= _compare([_by_property(*each) for each in zip(results, said, strict=True)])
        if len(results) == 1 and said[0] is not None:
            line["answer"] = said[0]
        if len(results) == 1 and results[0].outcome != "answered":
            line["outcome"] = results[0].outcome
        yield line


def _question_of(plan: "TrialPlan", row: "TriedRow", most: int) -> dict[str, Json]:
    """Return a row's question, and the right answer if it is known."""
    cells = {name: row.cells[name] for name in plan.columns[:MAX_SHOWN_COLUMNS] if row.cells[name] is not None}
    truth = row.cells[plan.truth.column] if plan.truth else None
    return known(
        row=row.number,
        id=one_line(row.custom_id) if plan.job.source.id_column is not None else None,
        source={one_line(name): fit_value(value, most) for name, value in cells.items()} or None,
        request=fit_value(_text_of(row.body), most) if plan.job.recipe.prompt is None else None,
        truth=None if truth is None else fit_value(truth, most),
    )


def _text_of(body: Mapping[str, Json]) -> Json:
    """Return the last question of a ready-made request."""
    match body.get("messages"):
        case [*_, {"content": content}]:
            return content
        case _:
            return body.get("input")


def _by_property(result: Result, answer: Json) -> dict[str, Json]:
    """Return an answer by property, with its outcome if it is not a good one."""
    said = cast("dict[str, Json]", answer) if isinstance(answer, dict) else {} if answer is None else {"answer": answer}
    return said if result.outcome == "answered" else {**said, "outcome": result.outcome}


def _compare(said: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """Return the variants' answers for one row, by number; what all say is there once."""
    names = dict.fromkeys(name for each in said for name in each)
    alike = [name for name in names if all(name in each and each[name] == said[0][name] for each in said)]
    compared: dict[str, Json] = {"all": {name: said[0][name] for name in alike}} if alike else {}
    for number, each in enumerate(said, 1):
        if own := {name: value for name, value in each.items() if name not in alike}:
            compared[f"variant {number}"] = own
    return compared


def _answer(result: Result, job: Job, most: int) -> Json:
    """Return a result's answer: a text, or its properties if there is an output schema; None: no answer."""
    if result.text is None:
        return None
    if job.recipe.endpoint == "/v1/embeddings":
        return _vector(result.text)
    if result.values is None:
        return fit_value(result.text, most)
    return {one_line(name): fit_value(value, most) for name, value in result.values.items()}


def _vector(text: str) -> dict[str, Json]:
    """Return the length of an embedding, and its first numbers; a request of a ready-made file may have several."""
    decoded: Json = msgspec.json.decode(text)
    values = cast("list[Json]", decoded) if isinstance(decoded, list) else [decoded]
    are_several = bool(values) and isinstance(values[0], list | str) and isinstance(decoded, list)
    numbers = _numbers(values[0] if are_several else decoded)
    shown: dict[str, Json] = {
        "dimensions": len(numbers),
        "first_numbers": clean_value([_short(number) for number in numbers[:SHOWN_NUMBERS]], MIN_CELL_BYTES),
    }
    return shown | ({"vectors": len(values)} if are_several else {})


def _short(number: Json) -> Json:
    """Round a number of a vector for display."""
    return float(f"{number:.4g}") if isinstance(number, float) else number


def _numbers(vector: Json) -> list[Json]:
    """Read a vector, also one in base64, as `encoding_format` may have it: 32-bit floats."""
    if isinstance(vector, list):
        return cast("list[Json]", vector)
    try:
        data = b64decode(str(vector), validate=True)
    except ValueError:
        return []
    numbers = unpack(f"<{len(data) // 4}f", data[: len(data) // 4 * 4])
    return [round(number, 6) if isfinite(number) else str(number) for number in numbers]


def _variant(plan: "TrialPlan", tried: "Tried", number: int) -> dict[str, Json]:
    """Return what a variant is, what it took and what it cost."""
    recipe, are_several = tried.variant.recipe, len(plan.variants) > 1
    differs = len({variant.recipe.prompt for variant in plan.variants}) > 1
    cost = "not known" if tried.cost_usd is None else format_usd(tried.cost_usd)
    return known(
        variant=number + 1 if are_several else None,
        model=one_line(recipe.model),
        prompt=clean(recipe.prompt or "", MAX_PROMPT_CHARACTERS) if differs else None,
        counts={**present(Counter[Outcome](result.outcome for result in tried.results))},
        right=f"{tried.right[0]} of {tried.right[1]}" if tried.right else None,
        input_tokens=sum(result.input_tokens for result in tried.results),
        output_tokens=sum(result.output_tokens for result in tried.results),
        cost=cost if are_several and plan.agreed.agreed_usd is not None else None,
        whole_job=_whole(plan, tried, number),
        problems=_problems(plan, tried.results) or None,
    )


def _problems(plan: "TrialPlan", results: Sequence[Result]) -> list[dict[str, Json]]:
    """Group the rows without a good answer by problem, in the provider's words."""
    rows: dict[str, list[int]] = {}
    for row, result in zip(plan.rows, results, strict=True):
        if result.problem:
            rows.setdefault(f"{result.outcome}: {result.problem.words}", []).append(row.number)
    shown: list[dict[str, Json]] = [
        {"problem": clean(problem, MAX_PROBLEM_CHARACTERS), "rows": numbers}
        for problem, numbers in list(rows.items())[:MAX_SHOWN_PROBLEMS]
    ]
    more = len(rows) - len(shown)
    return [*shown, {"problem": f"{more} more problems in other rows"}] if more else shown


def _whole(plan: "TrialPlan", tried: "Tried", number: int) -> str | None:
    """Estimate what all requests would take with a variant, from the tried rows."""
    if tried.output is None:
        return None
    said = f"{sum(part.requests for part in plan.job.parts):,} requests"
    output, is_embedding = tried.output, plan.job.recipe.endpoint == "/v1/embeddings"
    if not is_embedding:
        between = f"{output.low:,.0f} to {output.high:,.0f}: " if output.has_range else ""
        said += f" of {output.mean:,.0f} output tokens on average ({between}{output.basis})"
    if tried.whole is not None:
        low, mean, high = tried.whole.low_usd, tried.whole.mean_usd, tried.whole.high_usd
        how = "one at a time" if plan.job.provider.charges == "standard" else "as a batch"
        is_range = output.has_range and not is_embedding and format_usd(low) != format_usd(high)
        between = f" ({format_usd(low)} to {format_most(high)})" if is_range else ""
        said += f", about {format_usd(mean)} {how}{between}"
        most = ceiling_usd(plan.job.parts) if number == 0 else None
        said += f"; at most {format_most(most)}" if most is not None else ""
    return said


def _agreement(trial: "Trial") -> list[str]:
    """Say how often each pair of variants agrees, among the rows that both answered well."""
    if trial.plan.job.recipe.endpoint == "/v1/embeddings":
        return []
    lines: list[str] = []
    for (one, two), counts in trial.alike.items():
        said = [f"{quote_name(name)} in {same} of {both} rows" for name, (same, both) in counts.items()]
        lines.append(f"{one + 1} and {two + 1} agree: {'; '.join(said) or 'no row has a good answer from both'}")
    return lines


def _cost(trial: "Trial") -> str:
    """Say what the trial cost: never 0 for want of a price."""
    provider, counted = trial.plan.job.provider, trial.counted_usd
    if counted is None:
        is_own = provider.kind == "embedded"
        return "0: it runs on this machine" if is_own else f"not counted: {provider.host} has its own prices"
    if not counted and not trial.uncertain:
        return "$0.00: every request was refused, so nothing was charged"
    if trial.uncertain == 0:
        return f"{format_usd(counted)}, at standard prices: these were ordinary requests"
    known = sum((tried.cost_usd for tried in trial.tried if tried.cost_usd is not None), Decimal(0))
    if trial.plan.agreed.is_bounded:
        return f"at most {format_most(counted)}, at standard prices: part of it is not known"
    some = f" {format_usd(known)} of it is known;" if known else ""
    return f"not known:{some} {format_most(counted)} counts towards the operator's limits"


def _notes(trial: "Trial") -> Iterator[str]:
    plan = trial.plan
    for variant in plan.variants:
        yield from (f"{variant.recipe.model}: {warning.text}" for warning in variant.warnings)
    if trial.is_cut_off:
        is_own = plan.job.provider.kind == "embedded"
        why = " The model may still be loading: try again in a minute." if is_own else ""
        yield f"Time ran out before all requests were answered; those already sent may be charged.{why}"
    if trial.uncertain and plan.agreed.is_bounded:
        yield f"The cost of {trial.uncertain} of the requests is not known: each counts as the most that it may cost."
    if len(plan.columns) > MAX_SHOWN_COLUMNS:
        yield f"{len(plan.columns) - MAX_SHOWN_COLUMNS} more columns of the prompt are not shown."
    if len(plan.variants) > 1:
        yield "Variant 1 is the draft. With this few rows, a difference of one or two means little."


def _next_call(trial: "Trial") -> Advice:
    job = trial.plan.job
    anew = "create_batch_file" if job.submitted_at is None else Call("retry_job", job_id=job.id)
    own, best = trial.tried[0], max(trial.tried, key=_worth)
    if not _answer_count(best) and _is_nowhere(trial):
        other = (anew, f" with another endpoint, or a base URL that has {job.recipe.endpoint}")
        if job.provider.kind != "service" or not job.drafted_parts:
            return other
        return "the server may answer only batches, so without a trial: ", *submit_call(job), "; ", *other
    if not _answer_count(best):
        return anew, " with the problems fixed, then try_requests again"
    unchanged = _continue(job)
    if len(trial.tried) == 1:
        return unchanged
    if _worth(own) >= _worth(best):
        why = ", which was right as often as any" if trial.plan.truth else ""
        return *unchanged, f" for variant 1{why}; or ", anew, " with the model and prompt of another"
    why = "was right most often" if _worth(best)[0] > _worth(own)[0] else "has more good answers"
    number = trial.tried.index(best) + 1
    return anew, f" with the model and prompt of variant {number}, which {why}; or ", *unchanged


def _continue(job: Job) -> Advice:
    """Return the call that continues with the job unchanged."""
    if job.drafted_parts:
        return submit_call(job)
    return (Call("check_job" if job.ended_at is None else "get_results", job_id=job.id),)


def _is_nowhere(trial: "Trial") -> bool:
    """Whether the server has nothing at the address for single requests."""
    results = [result for tried in trial.tried for result in tried.results]
    return all(cause_of(result.outcome, result.problem).name == "wrong_address" for result in results)


def _worth(tried: "Tried") -> tuple[int, int]:
    """Return what variants are ranked by: right answers, then good ones."""
    return tried.right[0] if tried.right else 0, _answer_count(tried)


def _answer_count(tried: "Tried") -> int:
    return sum(result.outcome == "answered" for result in tried.results)
