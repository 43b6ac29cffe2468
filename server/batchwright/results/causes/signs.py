"""Facts and groups from the words of providers. Pure.

Knows how providers phrase errors, not what they mean; the catalogue does.
"""

import re
from dataclasses import dataclass, replace

from batchwright.checks.parameters import PARAMETERS
from batchwright.core.model import Outcome
from batchwright.core.problem import Problem

MAX_IDS = 3
"""Example rows shown for each problem."""


@dataclass(frozen=True, slots=True)
class ProblemRows:
    """Rows without a good answer whose problems are alike.

    Attributes:
        problem: The first row's; None: it has none.
        ids: Of some of the rows.
    """

    outcome: Outcome
    problem: Problem | None
    rows: int
    ids: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The problem's words, or an empty text."""
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
"""Patterns of what differs from row to row, and their replacements, applied in order.

They match the same in Python and in DuckDB, which groups large tables with them.
"""
STATUS = "HTTP [0-9]{3}"
"""The only number that is kept."""

_STATUS = re.compile(STATUS)
_PARAM = re.compile(
    r"(?:unsupported (?:parameter|value)|unknown (?:parameter|field)|unrecognized (?:request )?"
    r"(?:argument|parameter|field)s?(?: supplied)?|invalid type for|invalid(?= ['\"`])|parameter[:=])"
    r"[:\s]*['\"`]?([a-zA-Z_][\w.\[\]]*)",
    re.IGNORECASE,
)


MAX_WORDS = 1_000
"""Characters that are compared: some patterns take quadratic time."""


def signs(problem: Problem) -> Problem:
    """Fill in the HTTP status and the parameter that only a provider's words name."""
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
