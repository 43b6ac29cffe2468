"""All causes, in the order in which they are looked for, and why rows with a problem have no good answer.

Those that this program finds are here, known by their codes; `theirs` has those that providers name.
"""

import re

from batchwright.core.calls import OPEN, Call
from batchwright.core.model import Outcome
from batchwright.core.problem import Problem, RowCode
from batchwright.results.causes.cause import ANOTHER_MODEL, ANOTHER_PROMPT, UNCONFIRMED, Cause, by
from batchwright.results.causes.signs import signs
from batchwright.results.causes.theirs import THEIRS

AGAIN = "Retry these rows as they are."
PAID_AGAIN = (
    f"Ask the user: {Call('retry_job', outcomes=['unconfirmed'])} sends these rows again, and those that were answered "
    "are then paid twice."
)
_CUT: frozenset[Outcome] = frozenset({"cut_short"})
_UNFIT: frozenset[Outcome] = frozenset({"not_fitting"})
_REFUSED: frozenset[Outcome] = frozenset({"refused"})
_FAILED: frozenset[Outcome] = frozenset({"failed"})
_NEVER_RAN: frozenset[Outcome] = frozenset({"never_ran"})

_PAID_FOR: tuple[tuple[RowCode, str], ...] = (
    ("given_up", "the user gave its batch up, which may have run"),
    ("answer_lost", "its answer was lost on the way each time that it was sent"),
    ("answer_unreadable", "its answer cannot be read"),
)

_OURS = (
    *(
        Cause(
            name=code,
            meaning=meaning,
            helps="may be paid again",
            advice=PAID_AGAIN,
            found=(code,),
            outcomes=UNCONFIRMED,
        )
        for code, meaning in _PAID_FOR
    ),
    Cause(
        name="unconfirmed",
        meaning="it may have been answered, and the provider does not give the answer",
        helps="may be paid again",
        advice=PAID_AGAIN,
        outcomes=UNCONFIRMED,
    ),
    Cause(
        name="no_room_for_text",
        meaning="all tokens were used before the first word, as by a model that reasons",
        helps="helps with a change",
        advice="Give many more tokens, or ask for less reasoning effort.",
        found=("no_room_for_text",),
        outcomes=_CUT,
        change="many more tokens",
        says_it_all=True,
    ),
    Cause(
        name="cut_short",
        meaning="the answer reached the token limit",
        helps="helps with a change",
        advice="Give more tokens, or ask for shorter answers.",
        outcomes=_CUT,
        change="more tokens",
        says_it_all=True,
    ),
    Cause(
        name="expired",
        meaning="the batch's time was over before the row's turn",
        helps="helps",
        advice=AGAIN,
        outcomes=frozenset({"expired"}),
        says_it_all=True,
    ),
    Cause(
        name="filtered",
        meaning="the provider's content filter stopped the answer",
        helps="seldom helps",
        advice=f"Ask in other words with {ANOTHER_PROMPT}, or leave these rows out.",
        mended_by=by("prompt"),
        found=("filtered",),
        outcomes=_REFUSED,
        says_it_all=True,
    ),
    Cause(
        name="refused",
        meaning="the model declined to answer",
        helps="seldom helps",
        advice=f"Ask in other words with {ANOTHER_PROMPT}, or another model with {ANOTHER_MODEL}.",
        mended_by=by("prompt", "model"),
        outcomes=_REFUSED,
    ),
    Cause(
        name="not_json",
        meaning="the answer is not JSON, though a schema was given",
        helps="helps",
        advice="Retry once; if it stays, use a model that follows schemas.",
        found=("not_json",),
        outcomes=_UNFIT,
        says_it_all=True,
    ),
    Cause(
        name="not_fitting",
        meaning="the answer does not fit the output schema",
        helps="helps",
        advice="Retry once; if it stays, make a new job with a simpler schema.",
        outcomes=_UNFIT,
        are_alike=False,
    ),
    Cause(
        name="cancelled",
        meaning="it was cancelled before the row's turn",
        helps="helps",
        advice=AGAIN,
        found=("cancelled",),
        outcomes=_NEVER_RAN,
        says_it_all=True,
    ),
    Cause(
        name="budget_used_up",
        meaning="what was agreed was used up before the row's turn",
        helps="helps",
        advice="Retry these rows: the user agrees to their cost anew.",
        found=("budget_used_up",),
        outcomes=_NEVER_RAN,
        says_it_all=True,
    ),
    Cause(
        name="changed_here",
        meaning="the batch file was changed on this disk, so it was not sent",
        helps="helps",
        advice="Retry: the file is written anew.",
        found=("changed_here",),
        says_it_all=True,
    ),
    Cause(
        name="lost",
        meaning="the provider does not have the result",
        helps="helps",
        advice="Retry, which is paid again.",
        found=("lost",),
    ),
    Cause(
        name="gone",
        meaning="the provider does not have the batch",
        helps="helps",
        advice="Retry, which is paid again if the batch ran.",
        found=("gone", "no_batch_found"),
    ),
    Cause(
        name="empty",
        meaning="the answer is empty",
        helps="helps",
        advice="Retry once; if it stays, give more tokens, or ask in other words.",
        found=("empty",),
        outcomes=_FAILED,
        says_it_all=True,
    ),
    Cause(
        name="odd_answer",
        meaning="what came back is no answer of this endpoint",
        helps="helps once mended",
        advice="See that the address is that of an OpenAI-compatible server that has this endpoint, then retry.",
        found=("odd_answer",),
        outcomes=_FAILED,
    ),
)

_REST = (
    Cause(
        name="never_ran",
        meaning="its batch did not run",
        helps="helps",
        advice=AGAIN,
        outcomes=_NEVER_RAN,
        are_alike=False,
    ),
    Cause(
        name="unknown",
        meaning="a reason that is not known here: the provider's own words say it",
        helps="helps",
        advice="Retry once; if it stays, change what the words name.",
        outcomes=frozenset(),
        are_alike=False,
    ),
)
CAUSES = (*_OURS, *THEIRS, *_REST)
"""The first that fits counts, so the special ones come first; the last one fits all."""

VARIOUS = Cause(
    name="various",
    meaning="many other reasons, each of a few rows",
    helps="helps",
    advice=f"See their problems with {Call('get_results', outcome=OPEN)}, or retry once.",
    outcomes=frozenset(),
    says_it_all=True,
)
"""Of rows whose problems were too many to be looked at one by one."""

_NO_PARAMETERS = frozenset(
    {"messages", "input", "model", "prompt", "instructions", "custom_id", "method", "url", "body"}
    | {"endpoint", "completion_window", "input_file_id", "metadata"}
)
"""What errors name like parameters, and no retry can change by a parameter."""


def cause_of(outcome: Outcome, problem: Problem | None) -> Cause:
    """Say why rows with this problem have no good answer."""
    told = signs(problem) if problem else None
    is_parameter = told is not None and told.param is not None and root(told.param) not in _NO_PARAMETERS
    fitting = (cause for cause in CAUSES if cause.fits(outcome, told))
    return next(cause for cause in fitting if is_parameter or cause.change != "parameter")


def root(param: str) -> str:
    """Return the parameter that a path begins with: `reasoning` of `reasoning.effort`."""
    return re.split(r"[.\[]", param.removeprefix("body."), maxsplit=1)[0]
