"""What a cause is, and how a problem shows it. Knows no single one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from batchwright.core.calls import OPEN, Blank, Call
from batchwright.core.model import OUTCOMES, Json, Outcome
from batchwright.core.problem import Problem, RowCode

Helps = Literal[
    "helps", "helps with a change", "helps once mended", "may be paid again", "seldom helps", "does not help"
]
"""Whether a retry helps: as it is; with another recipe; once something outside is mended; only for what may be the
price of the same answer again; or not."""

Change = Literal["", "more tokens", "many more tokens", "fewer tokens", "parameter", "model", "one model", "no stream"]
"""What of the recipe a retry changes, where that can be said for certain."""

ANOTHER_PROMPT = Call("retry_job", prompt=OPEN)
ANOTHER_MODEL = Call("retry_job", model=OPEN)
OTHER_PARAMETERS = Call("retry_job", parameters=Blank("{...}"))
"""What advice names, whatever the job is: that is named by the answer in which the advice stands."""

_LIMIT = Blank("LIMIT")
CHANGED: Mapping[Change, Mapping[str, Json]] = {
    "": {},
    "more tokens": {"parameters": {_LIMIT: Blank("twice as many")}},
    "many more tokens": {"parameters": {_LIMIT: Blank("four times as many")}},
    "fewer tokens": {"parameters": {_LIMIT: Blank("as many as it takes")}},
    "parameter": {"parameters": {Blank("NAME"): None}},
    "model": {"model": "the name that is meant"},
    "one model": {"model": "that of the first line"},
    "no stream": {"parameters": {"stream": None}},
}
"""How the call of a remedy says a change."""

Argument = Literal["prompt", "model", "parameters"]
"""Of `retry_job`, with which a user may change the recipe."""

UNCONFIRMED: frozenset[Outcome] = frozenset({"unconfirmed"})

FAILED: frozenset[Outcome] = frozenset({"failed", "never_ran", "running"})
"""What a refusal leads to: a whole batch that was refused never ran, and a part may be refused while its job runs."""


_UNCALLED: frozenset[Helps] = frozenset({"may be paid again", "seldom helps", "does not help"})
"""A remedy that nobody is to make without a thought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why rows have no good answer.

    Attributes:
        meaning: In one phrase.
        advice: What to do, in a sentence or two; `...` stands for what only the user knows.
        outcomes: That it can have; empty: any.
        found: Codes of this program.
        codes, statuses, words: Of the provider. With none of these, nor of the above, the outcome tells it.
        change: What a retry changes that helps, where that can be said.
        mended_by: What a user may change so that a retry helps, where only the user can say how.
        says_it_all: Whether the words of a problem add nothing to it.
        are_alike: Whether all rows with it are one group, whatever the words are.
    """

    name: str
    meaning: str
    helps: Helps
    advice: str
    outcomes: frozenset[Outcome] = FAILED
    found: tuple[RowCode, ...] = ()
    codes: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()
    words: re.Pattern[str] | None = None
    change: Change = ""
    mended_by: frozenset[Argument] = frozenset()
    says_it_all: bool = False
    are_alike: bool = True

    def fits(self, outcome: Outcome, problem: Problem | None) -> bool:
        """Whether a problem has this cause; only of a provider's are the words looked at."""
        if self.outcomes and outcome not in self.outcomes:
            return False
        if not (self.found or self.codes or self.statuses or self.words):
            return True
        if problem is None:
            return False
        if problem.status in self.statuses:
            return True
        if problem.speaker != "provider":
            return problem.code in self.found
        return problem.code in self.codes or bool(self.words and self.words.search(problem.words))

    @property
    def call(self) -> Call | None:
        """The call of its remedy, for a table; None: there is none that can be made as it stands."""
        if self.helps in _UNCALLED or (self.helps == "helps with a change" and not self.change):
            return None
        names = [name for name in OUTCOMES if name in self.outcomes - {"running"}]
        named = names[0] if len(names) == 1 else Blank("OUTCOME")
        return Call("retry_job", outcomes=[named], **CHANGED[self.change])


def words(*patterns: str) -> re.Pattern[str]:
    """Return the pattern that finds one of *patterns*, in small letters or large."""
    return re.compile("|".join(patterns), re.IGNORECASE)


def by(*arguments: Argument) -> frozenset[Argument]:
    """Return the arguments that mend something."""
    return frozenset(arguments)


def names(text: str) -> frozenset[str]:
    """Return the names in a text."""
    return frozenset(text.split())
