"""Problems of former versions, which stored only words: recognised by the sentences of those versions. Pure.

Used to migrate their journals, to read what one of them still writes beside this version, and to read their results.
Nothing new belongs here.
"""

import re
from dataclasses import replace

from batchwright.core.model import Outcome
from batchwright.core.problem import Problem, ProblemCode

_WHOLE = re.compile(r"its batch failed(?: \((.*)\))?", re.DOTALL)
_HTTP = re.compile(r"HTTP (\d{3})(?: \((?:code (?P<code>[^\s,)]+))?(?:, )?(?:param (?P<param>[^)]+))?\))?")
_CODE = re.compile(r"([A-Za-z]+(?:_[A-Za-z]+)+): ")

_FOUND: tuple[tuple[str, ProblemCode], ...] = (
    (r"the (?:batch|job) was cancelled before this row", "cancelled"),
    (r"what was agreed was used up before this row", "budget_used_up"),
    (r"the batch's time was over before this row", "expired"),
    (r"it was given up|its batch .{1,200} was given up while", "given_up"),
    (r"it is not confirmed whether its batch was made", "not_confirmed"),
    (r"it waits until earlier batches have ended", "waits"),
    (r".*it was changed on disk, so it was not sent$", "changed_here"),
    (r"its one request is larger than what the provider lets be enqueued", "too_large_to_enqueue"),
    (r"it is gone at the provider", "gone"),
    (r"no batch of it was found when its journal was made anew", "no_batch_found"),
    (r"the provider has no result for this row$|.*results are lost|.*so they are left out$", "lost"),
    (r"[\d,]+ (?:requests have|results are for|results come|lines of the results)", "not_whole"),
    (r"its time ended .{1,20} ago, and the provider still calls it", "overdue"),
    (r"it could not be cancelled", "not_cancelled"),
    (r"the provider does not show batch", "not_shown"),
    (r'.*then pass user_says="go_on"', "frozen"),
    (r"the endpoint does not answer|The endpoint does not answer|The provider cannot be reached", "unreachable"),
    (r"the endpoint breaks off", "connection_lost"),
    (r"its run broke off", "broken_off"),
    (r"the answer is empty$", "empty"),
    (r"the answer is not one of|the answer has (?:no|more than one) vector|neither an answer nor", "odd_answer"),
    (r"the answer reached the token limit before any text$", "no_room_for_text"),
    (r"the answer reached the token limit$", "cut_short"),
    (r"the answer is not JSON$|the answer is nested too deep$", "not_json"),
    (r"answer_lost: ", "answer_lost"),
    (r"answer_unreadable: ", "answer_unreadable"),
)
_STATUSES = (
    ("The API key is not valid. Set the right one.", 401),
    ("The account has used up its quota; nothing was sent again.", 402),
    ("The provider is still reading the uploaded file.", 429),
    ("Check the base URL.", 404),
)
"""Sentences of those versions for a provider's HTTP status."""
_OF_OUTCOMES: dict[Outcome, ProblemCode] = {"unconfirmed": "may_be_paid", "not_fitting": "not_fitting"}
"""The problem of a row with these outcomes and none of the words above."""


def former_problem(outcome: Outcome, words: str) -> Problem:
    """Return the problem of a row from its outcome and its words."""
    if outcome == "refused":
        is_filtered = words == "stopped by the provider's content filter"
        return Problem.found("filtered", words) if is_filtered else Problem.found("refused", words, "model")
    if whole := _WHOLE.fullmatch(words):
        return replace(former_note(whole[1]), words=words) if whole[1] else Problem.found("batch_failed", words)
    if code := _found(words) or _OF_OUTCOMES.get(outcome):
        return Problem.found(code, words)
    return _said(words)


def former_note(words: str) -> Problem:
    """Return the problem of a part from its note."""
    if code := _found(words):
        return Problem.found(code, words)
    for start, status in _STATUSES:
        if start in words:
            return Problem.found("unclear", words, status=status)
    return _said(words)


def _found(words: str) -> ProblemCode | None:
    return next((code for pattern, code in _FOUND if re.match(pattern, words, re.DOTALL)), None)


def _said(words: str) -> Problem:
    """Read a provider's words: its code, HTTP status and parameter."""
    code = named[1] if (named := _CODE.match(words)) else None
    if told := _HTTP.search(words):
        return Problem.said(words, code=told["code"] or code, status=int(told[1]), param=told["param"])
    return Problem.said(words, code=code)
