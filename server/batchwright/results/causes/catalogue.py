"""All causes, in the order in which they are tried, and the one that explains a problem.

Holds the causes that this program finds, known by their codes; `theirs` holds those that providers name.
"""

import re

from batchwright.core.calls import OPEN, Call
from batchwright.core.model import Outcome
from batchwright.core.problem import Problem, RowCode
from batchwright.results.causes.cause import ANOTHER_MODEL, ANOTHER_PROMPT, UNCONFIRMED, Cause, by
from batchwright.results.causes.signs import signs
from batchwright.results.causes.theirs import THEIRS

AGAIN = "Retry these rows unchanged."
PAID_AGAIN = (
    f"Ask the user first: {Call('retry_job', outcomes=['unconfirmed'])} sends these rows again, and rows that were "
    "answered are then paid twice."
)
_CUT: frozenset[Outcome] = frozenset({"cut_short"})
_UNFIT: frozenset[Outcome] = frozenset({"not_fitting"})
_REFUSED: frozenset[Outcome] = frozenset({"refused"})
_FAILED: frozenset[Outcome] = frozenset({"failed"})
_NEVER_RAN: frozenset[Outcome] = frozenset({"never_ran"})

_PAID_FOR: tuple[tuple[RowCode, str], ...] = (
    ("given_up", "the user gave up its batch, which may have run"),
    ("answer_lost", "its answer was lost in transit on every attempt"),
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
        meaning="it may have been answered, but the provider does not return the answer",
        helps="may be paid again",
        advice=PAID_AGAIN,
        outcomes=UNCONFIRMED,
    ),
    Cause(
        name="no_room_for_text",
        meaning="the tokens ran out, for example on reasoning, before the first word of the answer",
        helps="helps with a change",
        advice="Raise the token limit a lot, or lower the reasoning effort.",
        found=("no_room_for_text",),
        outcomes=_CUT,
        change="many more tokens",
        says_it_all=True,
    ),
    Cause(
        name="cut_short",
        meaning="the answer reached the token limit",
        helps="helps with a change",
        advice="Raise the token limit, or ask for shorter answers.",
        outcomes=_CUT,
        change="more tokens",
        says_it_all=True,
    ),
    Cause(
        name="expired",
        meaning="the batch expired before reaching the row",
        helps="helps",
        advice=AGAIN,
        outcomes=frozenset({"expired"}),
        says_it_all=True,
    ),
    Cause(
        name="filtered",
        meaning="the provider's content filter stopped the answer",
        helps="seldom helps",
        advice=f"Rephrase the prompt with {ANOTHER_PROMPT}, or leave these rows out.",
        fixed_by=by("prompt"),
        found=("filtered",),
        outcomes=_REFUSED,
        says_it_all=True,
    ),
    Cause(
        name="refused",
        meaning="the model declined to answer",
        helps="seldom helps",
        advice=f"Rephrase the prompt with {ANOTHER_PROMPT}, or try another model with {ANOTHER_MODEL}.",
        fixed_by=by("prompt", "model"),
        outcomes=_REFUSED,
    ),
    Cause(
        name="not_json",
        meaning="the answer is not JSON, although a schema was given",
        helps="helps",
        advice="Retry once. If it fails again, use a model that follows schemas.",
        found=("not_json",),
        outcomes=_UNFIT,
        says_it_all=True,
    ),
    Cause(
        name="not_fitting",
        meaning="the answer does not match the output schema",
        helps="helps",
        advice="Retry once. If it fails again, make a new job with a simpler schema.",
        outcomes=_UNFIT,
        are_alike=False,
    ),
    Cause(
        name="cancelled",
        meaning="the batch or job was cancelled before reaching the row",
        helps="helps",
        advice=AGAIN,
        found=("cancelled",),
        outcomes=_NEVER_RAN,
        says_it_all=True,
    ),
    Cause(
        name="budget_used_up",
        meaning="the approved budget ran out before reaching the row",
        helps="helps",
        advice="Retry these rows: the user approves their cost again.",
        found=("budget_used_up",),
        outcomes=_NEVER_RAN,
        says_it_all=True,
    ),
    Cause(
        name="changed_here",
        meaning="the batch file was changed on disk, so it was not sent",
        helps="helps",
        advice="Retry: the file is written again.",
        found=("changed_here",),
        says_it_all=True,
    ),
    Cause(
        name="lost",
        meaning="the provider does not have the result",
        helps="helps",
        advice="Retry; this is paid again.",
        found=("lost",),
    ),
    Cause(
        name="gone",
        meaning="the provider does not have the batch",
        helps="helps",
        advice="Retry; this is paid again if the batch ran.",
        found=("gone", "no_batch_found"),
    ),
    Cause(
        name="empty",
        meaning="the answer is empty",
        helps="helps",
        advice="Retry once. If it is empty again, raise the token limit or rephrase the prompt.",
        found=("empty",),
        outcomes=_FAILED,
        says_it_all=True,
    ),
    Cause(
        name="odd_answer",
        meaning="the response is not one of this endpoint",
        helps="helps once fixed",
        advice="Check that the address is an OpenAI-compatible server with this endpoint, then retry.",
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
        meaning="an unknown reason: see the provider's message",
        helps="helps",
        advice="Retry once. If it fails again, change what the message names.",
        outcomes=frozenset(),
        are_alike=False,
    ),
)
CAUSES = (*_OURS, *THEIRS, *_REST)
"""The first that fits counts, so specific ones come first; the last one fits everything."""

VARIOUS = Cause(
    name="various",
    meaning="many other reasons, each for a few rows",
    helps="helps",
    advice=f"See their problems with {Call('get_results', outcome=OPEN)}, or retry once.",
    outcomes=frozenset(),
    says_it_all=True,
)
"""For rows whose problems are too many to examine one by one."""

_NO_PARAMETERS = frozenset(
    {"messages", "input", "model", "prompt", "instructions", "custom_id", "method", "url", "body"}
    | {"endpoint", "completion_window", "input_file_id", "metadata"}
)
"""Named in errors like parameters, but not changeable by one in a retry."""


def cause_of(outcome: Outcome, problem: Problem | None) -> Cause:
    """Return why rows with this problem have no good answer."""
    told = signs(problem) if problem else None
    is_parameter = told is not None and told.param is not None and root(told.param) not in _NO_PARAMETERS
    fitting = (cause for cause in CAUSES if cause.fits(outcome, told))
    return next(cause for cause in fitting if is_parameter or cause.change != "parameter")


def root(param: str) -> str:
    """Return the parameter at the start of a path: `reasoning` for `reasoning.effort`."""
    return re.split(r"[.\[]", param.removeprefix("body."), maxsplit=1)[0]
