"""Why something has no good answer, or does not go on: what this program found, or what somebody else said. Pure.

What this program found is known by its code: its words are for people, and nothing is told from them.
"""

from dataclasses import dataclass
from typing import Literal

MAX_CODE_CHARACTERS = 100
"""Of a provider's code: no more are kept."""

Speaker = Literal["check", "model", "provider"]
"""Whose words a problem has; `check`: our own, of what was looked at."""

RowCode = Literal[
    "answer_lost",
    "answer_unreadable",
    "batch_failed",
    "budget_used_up",
    "cancelled",
    "changed_here",
    "connection_lost",
    "cut_short",
    "empty",
    "expired",
    "filtered",
    "given_up",
    "gone",
    "lost",
    "may_be_paid",
    "no_answer",
    "no_batch_found",
    "no_room_for_text",
    "not_fitting",
    "not_json",
    "not_sent",
    "odd_answer",
    "refused",
    "refused_often",
    "too_large_to_enqueue",
    "unreachable",
]
"""Why rows have no good answer. Each has a cause."""

HoldCode = Literal[
    "broken_off",
    "disk",
    "frozen",
    "not_cancelled",
    "not_confirmed",
    "not_shown",
    "not_whole",
    "other_provider",
    "over_limit",
    "overdue",
    "preparing",
    "unable",
    "unclear",
    "waits",
]
"""What a part waits for, or what is odd about it. `not_confirmed`: nobody knows whether it has a batch;
`not_shown`: the provider does not show its batch; `frozen`: the user has to agree first."""

ProblemCode = RowCode | HoldCode


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem.

    Attributes:
        code: Of this program, or where a provider speaks, its own; None: it names none.
        words: In one phrase, for people.
        status: The HTTP status that a provider answered with.
        param: That a provider names: of a request's body, with its path.
    """

    code: str | None
    words: str
    speaker: Speaker
    status: int | None = None
    param: str | None = None

    @classmethod
    def found(
        cls, code: ProblemCode, words: str, speaker: Speaker = "check", *, status: int | None = None
    ) -> "Problem":
        """Return what this program found; where a model refused to answer, the words are its own."""
        return cls(code, words, speaker, status)

    @classmethod
    def said(
        cls, words: str, *, code: str | None = None, status: int | None = None, param: str | None = None
    ) -> "Problem":
        """Return what a provider said, with its own code; what can be neither a code nor a status is left out."""
        is_status = status is not None and 100 <= status < 1_000
        return cls(code and code[:MAX_CODE_CHARACTERS], words, "provider", status if is_status else None, param)
