"""Why rows have no good answer, in the words that are kept with them: written, read again, and made alike. Pure.

Knows how the words are put together, not what they mean; `causes` does.
"""

import re
from dataclasses import dataclass

from batchwright.checks.parameters import PARAMETERS
from batchwright.core.model import Outcome

MAX_IDS = 3
"""So many rows stand for all that have the same problem."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Rows without a good answer whose words are alike.

    Attributes:
        words: Of the first of them; None: there are none.
        ids: Of some of them.
    """

    outcome: Outcome
    words: str | None
    rows: int
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signs:
    """What the words of a problem say of it.

    Attributes:
        status: The HTTP status, where one is named.
        param: Of the body, with its path.
        text: The message itself.
    """

    text: str
    status: int | None = None
    code: str | None = None
    param: str | None = None
    is_of_part: bool = False
    """Whether it is what became of a whole part."""


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

_BATCH = re.compile(r"its batch failed \((.*)\)", re.DOTALL)
_HTTP = re.compile(
    r"HTTP (\d{3})(?: \((?:code (?P<code>[^\s,)]+))?(?:, )?(?:param (?P<param>[^)]+))?\))?:? ?(.*)", re.DOTALL
)
_CODE = re.compile(r"([A-Za-z]+(?:_[A-Za-z]+)+): (.*)", re.DOTALL)
_PARAM = re.compile(
    r"(?:unsupported (?:parameter|value)|unknown (?:parameter|field)|unrecognized (?:request )?"
    r"(?:argument|parameter|field)s?(?: supplied)?|invalid type for|invalid(?= ['\"`])|parameter[:=])"
    r"[:\s]*['\"`]?([a-zA-Z_][\w.\[\]]*)",
    re.IGNORECASE,
)


MAX_WORDS = 1_000
"""Characters that are compared: some patterns take the square of them."""


def signs(words: str) -> Signs:
    """Read the words of a problem, also those that are wrapped in what became of the whole batch."""
    wrapped = _BATCH.fullmatch(words)
    text = wrapped[1] if wrapped else words
    code = None
    if told := _CODE.match(text):
        code, text = told[1], told[2]
    status = param = None
    if told := _HTTP.search(text):
        status, code, param = int(told[1]), told["code"] or code, told["param"]
        text = told[4] or text
    if param is None and (found := _PARAM.search(text)):
        param = found[1].rstrip(".")
    return Signs(text, status, code, param, is_of_part=wrapped is not None)


def alike(words: str) -> str:
    """Give the words without what differs from row to row: numbers, ids, addresses and quoted values."""
    status = re.search(STATUS, words)
    words = words[:MAX_WORDS]
    for pattern, instead in MASKS:
        words = re.sub(pattern, instead, words, flags=re.ASCII)
    return f"{status[0] if status else ''} {words}"
