"""Problems of rows, put together by what providers say in many spellings. Pure.

Knows how providers put their words, not what they mean; the catalogue does.
"""

import re
from dataclasses import dataclass, replace

from batchwright.checks.parameters import PARAMETERS
from batchwright.core.model import Outcome
from batchwright.core.problem import Problem

MAX_IDS = 3
"""So many rows stand for all that have the same problem."""


@dataclass(frozen=True, slots=True)
class ProblemRows:
    """Rows without a good answer whose problems are alike.

    Attributes:
        problem: Of the first of them; None: it has none.
        ids: Of some of them.
    """

    outcome: Outcome
    problem: Problem | None
    rows: int
    ids: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Of the problem."""
        return self.problem.words if self.problem else ""


_NAMES = "|".join(
    sorted({name for known in PARAMETERS.values() for name in known}, key=lambda name: (-len(name), name))
)
MASKS: tuple[tuple[str, str], ...] = (
    # A quoted parameter is what the words are about, so it stays.
    (rf"""['"`]((?:{_NAMES})(?:[.\[][^'"`]*)?)['"`]""", r"\1"),
    (r"https?://[^\s'\"`]+", "…"),
    (r'"(?:[^"\\]|\\.)*"', "…"),
    (r"(^|[\s(\[:,=])'[^']*'", r"\1…"),
    (r"`[^`]*`", "…"),
    # What is quoted to the end was cut off.
    (r"""(^|[\s(\[:,=])["'`][^"'`]*$""", r"\1…"),
    (r"(^|[\s:])[\[{].*[\]}]", r"\1…"),
    (r"(organization|project) [\w.-]+", r"\1 …"),
    (r"\b(?:req|org|proj|file|batch|resp|chatcmpl|asst|user)[_-][A-Za-z0-9_-]{12,}", "…"),
    (r"[A-Za-z0-9_-]*[0-9][A-Za-z0-9_.,-]*", "0"),
)
"""Patterns of what differs from row to row, and what is put in their place, in turn.

They mean the same to Python and to DuckDB, which makes large tables alike with them.
"""
STATUS = "HTTP [0-9]{3}"
"""The one number that is kept."""

_STATUS = re.compile(STATUS)
_PARAM = re.compile(
    r"(?:unsupported (?:parameter|value)|unknown (?:parameter|field)|unrecognized (?:request )?"
    r"(?:argument|parameter|field)s?(?: supplied)?|invalid type for|invalid(?= ['\"`])|parameter[:=])"
    r"[:\s]*['\"`]?([a-zA-Z_][\w.\[\]]*)",
    re.IGNORECASE,
)


MAX_WORDS = 1_000
"""Characters that are compared: some patterns take the square of them."""


def signs(problem: Problem) -> Problem:
    """Fill in what only the words of a provider tell: its HTTP status, and the parameter that it means."""
    if problem.speaker != "provider":
        return problem
    status, param = problem.status, problem.param
    if status is None and (told := _STATUS.search(problem.words)):
        status = int(told[0].removeprefix("HTTP "))
    if param is None and (told := _PARAM.search(problem.words)):
        param = told[1].rstrip(".")
    return replace(problem, status=status, param=param)


def alike(words: str) -> str:
    """Return the words without what differs from row to row: numbers, ids, addresses and quoted values."""
    status = re.search(STATUS, words)
    words = words[:MAX_WORDS]
    for pattern, instead in MASKS:
        words = re.sub(pattern, instead, words, flags=re.ASCII)
    return f"{status[0] if status else ''} {words}"
