"""What a cause is, and how it is told from the words of a problem. Knows no single one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from batchwright.core.calls import OPEN, Blank, Call
from batchwright.core.model import OUTCOMES, Json, Outcome
from batchwright.results.causes.signs import Signs

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

Speaker = Literal["provider", "model", "check", ""]
"""Whose words a problem has; `check`: our own, of what was looked at; with none, the cause says it all."""

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
        codes, statuses, words: Of the provider: one that fits is enough. With none of them the outcome tells it.
        are_alike: Whether all rows with it are one group, whatever the words are.
    """

    name: str
    meaning: str
    helps: Helps
    advice: str
    outcomes: frozenset[Outcome] = FAILED
    codes: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()
    words: re.Pattern[str] | None = None
    change: Change = ""
    speaker: Speaker = "provider"
    are_alike: bool = True

    def fits(self, outcome: Outcome, found: Signs) -> bool:
        """Whether a problem with these signs has this cause."""
        if self.outcomes and outcome not in self.outcomes:
            return False
        if not (self.codes or self.statuses or self.words):
            return True
        is_named = found.code in self.codes or found.status in self.statuses
        return is_named or (self.words is not None and self.words.search(found.text) is not None)

    @property
    def call(self) -> Call | None:
        """The call of its remedy, for a table; None: there is none that can be made as it stands."""
        if self.helps in _UNCALLED or (self.helps == "helps with a change" and not self.change):
            return None
        names = [name for name in OUTCOMES if name in self.outcomes - {"running"}]
        named = names[0] if len(names) == 1 else Blank("OUTCOME")
        return Call("retry_job", outcomes=[named], **CHANGED[self.change])


def words(*patterns: str) -> re.Pattern[str]:
    """Give the pattern that finds one of *patterns*, in small letters or large."""
    return re.compile("|".join(patterns), re.IGNORECASE)


def names(text: str) -> frozenset[str]:
    """Give the names in a text."""
    return frozenset(text.split())
