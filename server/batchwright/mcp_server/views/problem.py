"""How causes of failures are shown, with the calls that fix them: as facts to pass on, and in words."""

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field

from batchwright.core.calls import Advice
from batchwright.core.model import Job, Json, Outcome
from batchwright.core.untrusted import MARK, one_line
from batchwright.mcp_server.views.view import Facts, Name, Sentence, View, Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchwright.results.causes.remedies import Explained

MAX_SHOWN = 5

Problems = Annotated[
    list[Facts] | None,
    Field(description="by cause; the call of a remedy can be made as is"),
]


class RemedyView(View):
    """A call that helps."""

    call: Name
    arguments: Facts
    takes_up: int | None = None
    """Rows that the call retries, if they are more than those with this cause."""


class ProblemView(View):
    """Rows that have no good answer, for the same cause."""

    cause: Name
    outcome: Outcome
    rows: int
    problem: Sentence
    provider_says: Words | None = None
    model_says: Words | None = None
    details: Words | None = None
    ids: list[Name] | None = None
    retry: Sentence
    advice: Sentence | None = None
    remedy: RemedyView | None = None

    @classmethod
    def of(cls, found: "Explained", job: Job, *, is_met: bool = False) -> Self:
        """Show a cause, with others' words apart from ours, and without the remedy if it is met already."""
        said, speaker, remedy = found.words or None, found.speaker, None
        if found.retry and not is_met:
            rows = sum(job.counts[name] for name in found.retry.outcomes)
            remedy = RemedyView(**found.retry.call.facts(), takes_up=rows if rows > found.rows else None)
        return cls(
            cause=found.cause.name,
            outcome=found.outcome,
            rows=found.rows,
            problem=found.meaning,
            provider_says=said if speaker == "provider" else None,
            model_says=said if speaker == "model" else None,
            details=said if speaker == "check" else None,
            ids=list(found.ids) or None,
            retry=found.helps,
            advice=None if is_met else found.advice,
            remedy=remedy,
        )


def show(
    found: "Sequence[Explained]", job: Job, *, unmet: "Sequence[Explained] | None" = None
) -> list[dict[str, Json]] | None:
    """Show the most frequent causes; of a drafted retry, what helps only those that are still *unmet*."""
    views = [ProblemView.of(each, job, is_met=unmet is not None and each not in unmet) for each in found[:MAX_SHOWN]]
    return [view.facts() for view in views] or None


def in_phrases(found: "Sequence[Explained]", most: int) -> list[str] | None:
    """Explain in one phrase a cause why rows have no good answer, and whether a retry helps."""
    phrases = [
        f"{each.rows:,} {each.outcome}: {one_line(each.meaning, 120)}; a retry {each.helps}" for each in found[:most]
    ]
    if others := sum(each.rows for each in found[most:]):
        phrases.append(f"{others:,} with other causes, in check_job")
    return phrases or None


def notes(found: "Sequence[Explained]") -> list[str]:
    """Return notes on what is left out, and on words that others wrote."""
    others = found[MAX_SHOWN:]
    rows = sum(each.rows for each in others)
    said = [f"Rows with other causes, not shown: {rows:,}. get_results shows them by outcome."] if others else []
    # What does not fit is quoted by the words that say so.
    is_quoted = any(
        (each.speaker == "model" or each.outcome == "not_fitting") and each.words for each in found[:MAX_SHOWN]
    )
    return [*said, *([MARK] if is_quoted else [])]


def remedy_call(found: "Sequence[Explained]", job: Job) -> Advice:
    """Return the call that helps most, and what to do before it; empty: no call is known to help."""
    from batchwright.results.causes.remedies import best

    retry = best(found)
    if retry is None:
        return ()
    rows = sum(job.counts[name] for name in retry.outcomes)
    first = next(each for each in found if each.retry)
    before = "once the cause is fixed, as problems says: " if first.helps == "helps once fixed" else ""
    return before, retry.call, f" drafts a retry of {rows:,} rows"


def instead(found: "Sequence[Explained]") -> Advice:
    """Return what to do instead of a retry as drafted; empty: nothing better is known."""
    from batchwright.results.causes.remedies import best

    if retry := best(found):
        return retry.call, " fixes it."
    return (found[0].advice,) if found else ()
