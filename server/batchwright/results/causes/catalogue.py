"""All causes, in the order in which they are looked for, and why rows with a problem have no good answer."""

import re

from batchwright.core.calls import OPEN, Call
from batchwright.core.model import Outcome
from batchwright.results.causes.cause import Cause
from batchwright.results.causes.ours import AGAIN, OURS
from batchwright.results.causes.signs import signs
from batchwright.results.causes.theirs import THEIRS

_REST = (
    Cause(
        name="never_ran",
        meaning="its batch did not run",
        helps="helps",
        advice=AGAIN,
        outcomes=frozenset({"never_ran"}),
        speaker="check",
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
CAUSES = (*OURS, *THEIRS, *_REST)
"""The first that fits counts, so the special ones come first; the last one fits all."""

VARIOUS = Cause(
    name="various",
    meaning="many other reasons, each of a few rows",
    helps="helps",
    advice=f"See their problems with {Call('get_results', outcome=OPEN)}, or retry once.",
    outcomes=frozenset(),
    speaker="",
)
"""Of rows whose problems were too many to be looked at one by one."""

_NO_PARAMETERS = frozenset(
    {"messages", "input", "model", "prompt", "instructions", "custom_id", "method", "url", "body"}
    | {"endpoint", "completion_window", "input_file_id", "metadata"}
)
"""What errors name like parameters, and no retry can change by a parameter."""


def cause_of(outcome: Outcome, words: str | None) -> Cause:
    """Say why rows with this problem have no good answer."""
    found = signs(words or "")
    is_parameter = found.param is not None and root(found.param) not in _NO_PARAMETERS
    fitting = (cause for cause in CAUSES if cause.fits(outcome, found))
    return next(cause for cause in fitting if is_parameter or cause.change != "parameter")


def root(param: str) -> str:
    """Give the parameter that a path begins with: `reasoning` of `reasoning.effort`."""
    return re.split(r"[.\[]", param.removeprefix("body."), maxsplit=1)[0]
