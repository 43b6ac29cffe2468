"""What a result line says: the model's text, whether it is a good answer, and why not. Pure.

A refused line has no top-level error, and a good status may carry a refusal or an answer that was cut:
each is told apart here, once for all endpoints.
"""

from base64 import b64decode
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

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
    Problem.found("expired", "the batch's time was over before this row's turn"),
)
BATCH_CANCELLED: tuple[Outcome, Problem] = (
    "never_ran",
    Problem.found("cancelled", "the batch was cancelled before this row's turn"),
)
_NEVER_RAN: Mapping[str, tuple[Outcome, Problem]] = {
    "batch_expired": BATCH_EXPIRED,
    "batch_cancelled": BATCH_CANCELLED,
    BUDGET_USED_UP: ("never_ran", Problem.found(BUDGET_USED_UP, "what was agreed was used up before this row's turn")),
}
_UNCONFIRMED: Mapping[str, RowCode] = {code: code for code in (ANSWER_LOST, ANSWER_UNREADABLE)}
"""Codes of lines whose answer may be paid for: it never came, or cannot be read."""
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
        # Some servers call an answer complete that their limit has cut.
        is_whole = result.values is not None or result.outcome not in {"answered", "not_fitting"}
        is_full = isinstance(most, int) and result.output_tokens >= most
        return result if is_whole or not is_full else _with_problem(result, "cut_short", _CUT)

    return read


def unpack(line: ResultLine, rows: Sequence[str]) -> Iterator[Result]:
    """Yield the result of each row whose input an embeddings request packed: by its index, whatever the order is.

    A request that failed did so for all. Its tokens stand with its first row.
    """
    whole = _told(line)
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
    """Whether this is a list, or floats of 4 bytes in base64, as `encoding_format` may ask for them."""
    if not isinstance(value, str):
        return isinstance(value, list) and value != []
    try:
        size = len(b64decode(value, validate=True))
    except ValueError:
        return False
    return size > 0 and size % 4 == 0


def _read(line: ResultLine, endpoint: Endpoint, validator: "jsonschema_rs.Validator | None") -> Result:
    result = _told(line)
    if result.outcome != "answered":
        return result
    try:
        read = _READERS[endpoint](_fields(line.body))
    except (KeyError, IndexError, TypeError, AttributeError):
        return _with_problem(result, "failed", Problem.found("odd_answer", f"the answer is not one of {endpoint}"))
    into, out = result.input_tokens, result.output_tokens
    result = Result(line.custom_id, "answered", read.text, input_tokens=into, output_tokens=out)
    if flaw := _flaw(read):
        return _with_problem(result, *flaw)
    return _fit(result, validator) if validator is not None else result


def _told(line: ResultLine) -> Result:
    """Say whether there is an answer at all, and what it took."""
    if line.error_code is not None:
        return _with_problem(Result(line.custom_id, "failed"), *_line_error(line.error_code, line.error_message))
    tokens_in, tokens_out = tokens_used(line.body)
    result = Result(line.custom_id, "answered", input_tokens=tokens_in, output_tokens=tokens_out)
    if line.status_code is None:
        return _with_problem(result, "failed", Problem.found("odd_answer", "neither an answer nor an error"))
    if not 200 <= line.status_code < 300:
        return _with_problem(result, "failed", refusal(line.status_code, line.body))
    return result


def _line_error(code: str, message: str | None) -> tuple[Outcome, Problem]:
    """Say what the error of a line means: the request never ran, or nobody has its answer."""
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


@dataclass(frozen=True, slots=True)
class _Read:
    """What an endpoint's answer holds; a good one has only a text."""

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
    is_filtered = choice.get("finish_reason") == "content_filter"
    declined = _declined(message.get("refusal"), is_filtered=is_filtered)
    return _Read(text, declined, cut=choice.get("finish_reason") == "length")


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
    """Say why the model did not answer: in its own words, or since the provider stopped it."""
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
    """Return the text of a message; some servers give it in parts."""
    if isinstance(content, list):
        parts = (_fields(part) for part in cast("list[Json]", content))
        return "".join(_text(part.get("text")) or "" for part in parts)
    return _text(content)


def _text(value: Json) -> str | None:
    """Return a text as it is, and whatever else a server put there as JSON."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


_READERS: Mapping[Endpoint, Callable[[Mapping[str, Json]], _Read]] = {
    "/v1/chat/completions": _chat,
    "/v1/responses": _response,
    "/v1/embeddings": _embedding,
}


def _fields(value: Json) -> Mapping[str, Json]:
    """Return a JSON object's fields; whatever else the server put there has none."""
    return cast("Mapping[str, Json]", value) if isinstance(value, dict) else {}
