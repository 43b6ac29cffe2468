"""What a cause is, and how a problem shows it. Knows no single one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from batchwright.core.calls import OPEN, Blank, Call
from batchwright.core.model import OUTCOMES, Json, Outcome
from batchwright.core.problem import Problem, RowCode

Helps = Literal[
    "helps", "helps with a change", "helps once fixed", "may be paid again", "seldom helps", "does not help"
]
"""Whether a retry helps: unchanged; with another recipe; once something outside is fixed; at the risk of paying
twice for one answer; or not."""

Change = Literal["", "more tokens", "many more tokens", "fewer tokens", "parameter", "model", "one model", "no stream"]
"""What a retry changes in the recipe, if that is certain."""

ANOTHER_PROMPT = Call("retry_job", prompt=OPEN)
ANOTHER_MODEL = Call("retry_job", model=OPEN)
OTHER_PARAMETERS = Call("retry_job", parameters=Blank("{...}"))
"""Calls for advice. They name no job: the reply that carries the advice does."""

_LIMIT = Blank("LIMIT")
CHANGED: Mapping[Change, Mapping[str, Json]] = {
    "": {},
    "more tokens": {"parameters": {_LIMIT: Blank("twice as many")}},
    "many more tokens": {"parameters": {_LIMIT: Blank("four times as many")}},
    "fewer tokens": {"parameters": {_LIMIT: Blank("the model's maximum")}},
    "parameter": {"parameters": {Blank("NAME"): None}},
    "model": {"model": "the intended name"},
    "one model": {"model": "the first line's model"},
    "no stream": {"parameters": {"stream": None}},
}
"""The arguments of `retry_job` that stand for a change, in a table."""

Argument = Literal["prompt", "model", "parameters"]
"""Arguments of `retry_job` that change the recipe."""

UNCONFIRMED: frozenset[Outcome] = frozenset({"unconfirmed"})

FAILED: frozenset[Outcome] = frozenset({"failed", "never_ran", "running"})
"""Outcomes of a refusal: a batch that is refused whole never ran, and a part may be refused while its job runs."""

_UNCALLED: frozenset[Helps] = frozenset({"may be paid again", "seldom helps", "does not help"})
"""A retry that nobody should make without thinking about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why rows have no good answer.

    Attributes:
        meaning: One phrase.
        advice: What to do, in a sentence or two; `...` stands for what only the user knows.
        outcomes: Outcomes that its rows can have; empty: any.
        found: This program's codes.
        codes, statuses, words: The provider's. Without these and *found*, the outcome alone identifies the cause.
        fixed_by: Arguments that the user can change to make a retry help, if only the user knows how.
        says_it_all: Whether the problem's own words add nothing.
        are_alike: Whether all its rows form one group, whatever the words.
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
    fixed_by: frozenset[Argument] = frozenset()
    says_it_all: bool = False
    are_alike: bool = True

    def fits(self, outcome: Outcome, problem: Problem | None) -> bool:
        """Whether a problem has this cause; words are matched only if they are a provider's."""
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
        """The call that helps, for a table; None: no call helps without the user's decision."""
        if self.helps in _UNCALLED or (self.helps == "helps with a change" and not self.change):
            return None
        names = [name for name in OUTCOMES if name in self.outcomes - {"running"}]
        named = names[0] if len(names) == 1 else Blank("OUTCOME")
        return Call("retry_job", outcomes=[named], **CHANGED[self.change])


def words(*patterns: str) -> re.Pattern[str]:
    """Compile a pattern that matches any of *patterns*, whatever the case."""
    return re.compile("|".join(patterns), re.IGNORECASE)


def by(*arguments: Argument) -> frozenset[Argument]:
    """Return the arguments that fix something."""
    return frozenset(arguments)


def names(text: str) -> frozenset[str]:
    """Split names separated by spaces."""
    return frozenset(text.split())
