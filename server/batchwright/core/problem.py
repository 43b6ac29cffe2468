"""Why something has no good answer or cannot continue: found by this program, or said by somebody else. Pure.

What this program found is identified by its code; its words are for people only.
"""

from dataclasses import dataclass
from typing import Literal

MAX_CODE_CHARACTERS = 100
"""The most that is kept of a provider's code."""

Speaker = Literal["check", "model", "provider"]
"""Whose words a problem has; `check`: this program's."""

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
"""What a part waits for, or what is wrong with it. `not_confirmed`: it is unknown whether it has a batch;
`not_shown`: the provider does not list its batch; `frozen`: the user has to agree first."""

ProblemCode = RowCode | HoldCode


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, in a phrase for people, with a code of this program or of the provider that speaks.

    A provider may also give the HTTP status of its answer and the parameter, by its path in a request's body.
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
        """Return what this program found; if a model refused to answer, the words are the model's."""
        return cls(code, words, speaker, status)

    @classmethod
    def said(
        cls, words: str, *, code: str | None = None, status: int | None = None, param: str | None = None
    ) -> "Problem":
        """Return what a provider said, with its code; a number that cannot be a status is left out."""
        is_status = status is not None and 100 <= status < 1_000
        return cls(code and code[:MAX_CODE_CHARACTERS], words, "provider", status if is_status else None, param)
