"""Result lines to results: the model's text, whether it is a good answer, and if not, why. Pure.

A refused line has no top-level error, and a good status may carry a refusal or a truncated answer:
this module distinguishes them for all endpoints.
"""

from base64 import b64decode
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec

from batchwright.core.error_bodies import body_error, refusal
from batchwright.core.jsonl import ANSWER_LOST, ANSWER_UNREADABLE, BUDGET_USED_UP
from batchwright.core.model import Endpoint, Json, Outcome, Recipe, Result, ResultLine
from batchwright.core.problem import Problem, RowCode
from batchwright.core.usage import tokens_used

if TYPE_CHECKING:
    import jsonschema_rs

MAX_PROBLEM_CHARACTERS = 300

BATCH_EXPIRED: tuple[Outcome, Problem] = (
    "expired",
    Problem.found("expired", "the batch expired before reaching this row"),
)
BATCH_CANCELLED: tuple[Outcome, Problem] = (
    "never_ran",
    Problem.found("cancelled", "the batch was cancelled before reaching this row"),
)
_NEVER_RAN: Mapping[str, tuple[Outcome, Problem]] = {
    "batch_expired": BATCH_EXPIRED,
    "batch_cancelled": BATCH_CANCELLED,
    BUDGET_USED_UP: ("never_ran", Problem.found(BUDGET_USED_UP, "the approved budget ran out before this row")),
}
_UNCONFIRMED: Mapping[str, RowCode] = {code: code for code in (ANSWER_LOST, ANSWER_UNREADABLE)}
"""Codes of lines whose answer may be paid for, but is lost or unreadable."""
_CUT = Problem.found("cut_short", "the answer reached the token limit")
_NO_ROOM = Problem.found("no_room_for_text", f"{_CUT.words} before any text")
_FILTERED = Problem.found("filtered", "stopped by the provider's content filter")
_decoder = msgspec.json.Decoder()


def reader(recipe: Recipe) -> Callable[[ResultLine], Result]:
    """Return the function that reads the result lines of *recipe*."""
    validator = None
    if recipe.output_schema is not None:
        import jsonschema_rs

        validator = jsonschema_rs.validator_for(dict(recipe.output_schema))
    most = recipe.parameters.get("max_output_tokens") if recipe.endpoint == "/v1/responses" else None

    def read(line: ResultLine) -> Result:
        result = _read(line, recipe.endpoint, validator)
        # Some servers report an answer as complete although their limit cut it.
        is_full = isinstance(most, int) and result.output_tokens >= most
        is_text = result.values is None and result.outcome in {"answered", "not_fitting"}
        return _with_problem(result, "cut_short", _CUT) if is_full and is_text else result

    return read


def unpack(line: ResultLine, rows: Sequence[str]) -> Iterator[Result]:
    """Yield the result of each row packed into an embeddings request, matched by index, whatever their order.

    A failed request fails all its rows. Its tokens are counted with its first row.
    """
    tokens_in, tokens_out = _tokens(line)
    whole = Result(line.custom_id, "answered", None, None, None, tokens_in, tokens_out)
    if failure := _failure(line):
        whole = _with_problem(whole, *failure)
    vectors: dict[int, list[Json]] = defaultdict(list)
    if whole.outcome == "answered":
        items = _fields(line.body).get("data")
        for place, item in enumerate(cast("list[Json]", items) if isinstance(items, list) else ()):
            index = _fields(item).get("index", place)
            if isinstance(index, int):
                vectors[index].append(_fields(item).get("embedding"))
    for place, custom_id in enumerate(rows):
        result = replace(whole, custom_id=custom_id)
        whole = replace(whole, input_tokens=0, output_tokens=0)
        if whole.outcome != "answered":
            yield result
        elif len(found := vectors.pop(place, [])) == 1 and _is_vector(found[0]):
            yield replace(result, text=msgspec.json.encode(found[0]).decode())
        else:
            what = "more than one vector" if len(found) > 1 else "no vector"
            yield _with_problem(result, "failed", Problem.found("odd_answer", f"the answer has {what} for this row"))


def _is_vector(value: Json) -> bool:
    """Whether this is a list, or 4-byte floats in base64, as `encoding_format` may request."""
    if not isinstance(value, str):
        return isinstance(value, list) and value != []
    try:
        size = len(b64decode(value, validate=True))
    except ValueError:
        return False
    return size > 0 and size % 4 == 0


def _read(line: ResultLine, endpoint: Endpoint, validator: "jsonschema_rs.Validator | None") -> Result:
    read, flaw = _Read(), _failure(line)
    if flaw is None:
        try:
            read = _READERS[endpoint](_fields(line.body))
            flaw = _flaw(read)
        except (KeyError, IndexError, TypeError, AttributeError):
            flaw = "failed", Problem.found("odd_answer", f"this is not an answer of {endpoint}")
    tokens_in, tokens_out = _tokens(line)
    result = Result(line.custom_id, "answered", read.text, None, None, tokens_in, tokens_out)
    if flaw is not None:
        return _with_problem(result, *flaw)
    return _fit(result, validator) if validator is not None else result


def _tokens(line: ResultLine) -> tuple[int, int]:
    return tokens_used(line.body) if line.error_code is None else (0, 0)


def _failure(line: ResultLine) -> tuple[Outcome, Problem] | None:
    """Return why there is no answer at all; None: there is one."""
    if line.error_code is not None:
        return _line_error(line.error_code, line.error_message)
    if line.status_code is None:
        return "failed", Problem.found("odd_answer", "neither an answer nor an error")
    if not 200 <= line.status_code < 300:
        return "failed", refusal(line.status_code, line.body)
    return None


def _line_error(code: str, message: str | None) -> tuple[Outcome, Problem]:
    """Return what a line's error means: the request never ran, or its answer is lost."""
    if code in _NEVER_RAN:
        return _NEVER_RAN[code]
    words = f"{code}: {message}"
    if lost := _UNCONFIRMED.get(code):
        return "unconfirmed", Problem.found(lost, words)
    return "failed", Problem.said(words, code=code)


def _flaw(read: "_Read") -> tuple[Outcome, Problem] | None:
    if read.failure:
        return "failed", read.failure
    if read.refusal:
        return "refused", read.refusal
    if read.cut:
        return "cut_short", _CUT if read.text else _NO_ROOM
    return None if read.text else ("failed", Problem.found("empty", "the answer is empty"))


def _fit(result: Result, validator: "jsonschema_rs.Validator") -> Result:
    try:
        value = _decoder.decode(result.text or "")
    except (msgspec.DecodeError, RecursionError):
        return _with_problem(result, "not_fitting", Problem.found("not_json", "the answer is not JSON"))
    try:
        for error in validator.iter_errors(value):
            place = "/".join(map(str, error.instance_path))
            words = f"{place + ': ' if place else ''}{error.message}"
            return _with_problem(result, "not_fitting", Problem.found("not_fitting", words))
    except (ValueError, RecursionError):
        return _with_problem(result, "not_fitting", Problem.found("not_json", "the answer is nested too deep"))
    return replace(result, values=value)


def _with_problem(result: Result, outcome: Outcome, problem: Problem) -> Result:
    short = replace(problem, words=problem.words[:MAX_PROBLEM_CHARACTERS])
    return replace(result, outcome=outcome, problem=short)


class _Read(NamedTuple):
    """The contents of an endpoint's answer; a good one has only a text."""

    text: str | None = None
    refusal: Problem | None = None
    cut: bool = False
    failure: Problem | None = None


def _chat(body: Mapping[str, Json]) -> _Read:
    choice = body["choices"][0]
    message = choice["message"]
    text = _join(message.get("content"))
    if not text and message.get("tool_calls"):
        text = msgspec.json.encode(message["tool_calls"]).decode()
    reason = choice.get("finish_reason")
    declined = _declined(message.get("refusal"), is_filtered=reason == "content_filter")
    return _Read(text, declined, cut=reason == "length")


def _response(body: Mapping[str, Json]) -> _Read:
    if body.get("status") == "failed":
        return _Read(failure=body_error(body))
    contents = list(_contents(body))
    text = "".join(part["text"] for part in contents if part.get("type") == "output_text")
    refused = next((part["refusal"] for part in contents if part.get("type") == "refusal"), None)
    is_filtered = _fields(body.get("incomplete_details")).get("reason") == "content_filter"
    declined = _declined(refused, is_filtered=is_filtered)
    return _Read(text, declined, cut=body.get("status") == "incomplete")


def _declined(refused: Json, *, is_filtered: bool) -> Problem | None:
    """Return why the model did not answer: its own words, or that the provider stopped it."""
    if words := _text(refused):
        return Problem.found("refused", words, "model")
    return _FILTERED if is_filtered else None


def _contents(body: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    for item in body["output"]:
        if item.get("type") == "message":
            yield from item["content"]


def _embedding(body: Mapping[str, Json]) -> _Read:
    vectors = [item["embedding"] for item in sorted(body["data"], key=lambda item: item.get("index", 0))]
    if not all(vectors):
        return _Read()
    return _Read(msgspec.json.encode(vectors[0] if len(vectors) == 1 else vectors).decode() if vectors else None)


def _join(content: Json) -> str | None:
    """Return the text of a message; some servers send it in parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (_fields(part) for part in cast("list[Json]", content))
        return "".join(_text(part.get("text")) or "" for part in parts)
    return _text(content)


def _text(value: Json) -> str | None:
    """Return a text unchanged, and any other value as JSON."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


_READERS: Mapping[Endpoint, Callable[[Mapping[str, Json]], _Read]] = {
    "/v1/chat/completions": _chat,
    "/v1/responses": _response,
    "/v1/embeddings": _embedding,
}


def _fields(value: Json) -> Mapping[str, Json]:
    """Return a JSON object's fields; any other value has none."""
    return cast("Mapping[str, Json]", value) if isinstance(value, dict) else {}
