"""What a result line says: the model's text, whether it is a good answer, and why not. Pure.

A refused line has no top-level error, and a good status may carry a refusal or an answer that was cut:
each is told apart here, once for all endpoints.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import msgspec

from batchwright.jsonl import error_text
from batchwright.model import Endpoint, Json, Outcome, Recipe, Result, ResultLine

if TYPE_CHECKING:
    import jsonschema_rs

MAX_PROBLEM_CHARACTERS = 300

_NEVER_RAN: Mapping[str, tuple[Outcome, str]] = {
    "batch_expired": ("expired", "the batch's time was over before this row's turn"),
    "batch_cancelled": ("never_ran", "the batch was cancelled before this row's turn"),
}
_decoder = msgspec.json.Decoder()


def reader(recipe: Recipe) -> Callable[[ResultLine], Result]:
    """Give the function that reads the result lines of *recipe*."""
    validator = None
    if recipe.output_schema is not None:
        import jsonschema_rs

        validator = jsonschema_rs.validator_for(dict(recipe.output_schema))
    return lambda line: _read(line, recipe.endpoint, validator)


def _read(line: ResultLine, endpoint: Endpoint, validator: "jsonschema_rs.Validator | None") -> Result:
    if line.error_code is not None:
        outcome, problem = _NEVER_RAN.get(line.error_code, ("failed", f"{line.error_code}: {line.error_message}"))
        return _flawed(Result(line.custom_id, outcome), outcome, problem)
    body = _fields(line.body)
    tokens_in, tokens_out = _tokens(body)
    if line.status_code is None or not 200 <= line.status_code < 300:
        problem = f"HTTP {line.status_code}: {error_text(line.body)}"
        return Result(line.custom_id, "failed", problem=problem[:MAX_PROBLEM_CHARACTERS], input_tokens=tokens_in)
    try:
        text, refusal, cut = _READERS[endpoint](body)
    except (KeyError, IndexError, TypeError, AttributeError):
        return Result(line.custom_id, "failed", problem=f"the answer is not one of {endpoint}")
    result = Result(line.custom_id, "answered", text=text, input_tokens=tokens_in, output_tokens=tokens_out)
    if refusal is not None:
        return _flawed(result, "refused", refusal)
    if cut is not None:
        return _flawed(result, "cut_short", cut)
    return _fitted(result, validator) if validator is not None else result


def _fitted(result: Result, validator: "jsonschema_rs.Validator") -> Result:
    try:
        value = _decoder.decode(result.text or "")
    except msgspec.DecodeError:
        return _flawed(result, "not_fitting", "the answer is not JSON")
    for error in validator.iter_errors(value):
        place = "/".join(map(str, error.instance_path))
        return _flawed(result, "not_fitting", f"{place + ': ' if place else ''}{error.message}")
    return replace(result, values=value)


def _flawed(result: Result, outcome: Outcome, problem: str) -> Result:
    return replace(result, outcome=outcome, problem=problem[:MAX_PROBLEM_CHARACTERS])


Read = tuple[str | None, str | None, str | None]
"""The text, the refusal, and why the answer was cut; the last two are None for a good answer."""


def _chat(body: Mapping[str, Json]) -> Read:
    choice = body["choices"][0]
    message = choice["message"]
    text, refusal, cut = message.get("content"), message.get("refusal"), None
    if text is None and message.get("tool_calls"):
        text = msgspec.json.encode(message["tool_calls"]).decode()
    match choice.get("finish_reason"):
        case "length":
            cut = "the answer reached the token limit"
        case "content_filter":
            refusal = refusal or "stopped by the provider's content filter"
        case _:
            pass
    return text, refusal, cut


def _response(body: Mapping[str, Json]) -> Read:
    contents = list(_contents(body))
    texts = [part["text"] for part in contents if part.get("type") == "output_text"]
    refusals = [part["refusal"] for part in contents if part.get("type") == "refusal"]
    if body.get("status") == "failed":
        raise KeyError("the response failed")
    reason = _fields(body.get("incomplete_details")).get("reason")
    refusal = refusals[0] if refusals else None
    if reason == "content_filter":
        refusal = refusal or "stopped by the provider's content filter"
    is_cut = body.get("status") == "incomplete" and refusal is None
    return "".join(texts), refusal, "the answer reached the token limit" if is_cut else None


def _contents(body: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    for item in body["output"]:
        if item.get("type") == "message":
            yield from item["content"]


def _embedding(body: Mapping[str, Json]) -> Read:
    vectors = [item["embedding"] for item in sorted(body["data"], key=lambda item: item.get("index", 0))]
    return msgspec.json.encode(vectors[0] if len(vectors) == 1 else vectors).decode(), None, None


_READERS: Mapping[Endpoint, Callable[[Mapping[str, Json]], Read]] = {
    "/v1/chat/completions": _chat,
    "/v1/responses": _response,
    "/v1/embeddings": _embedding,
}


def _tokens(body: Mapping[str, Json]) -> tuple[int, int]:
    """Input and output tokens; chat and responses name them differently."""
    counts = _fields(body.get("usage"))
    into = counts.get("prompt_tokens") or counts.get("input_tokens") or 0
    out = counts.get("completion_tokens") or counts.get("output_tokens") or 0
    return int(into), int(out)


def _fields(value: Json) -> Mapping[str, Json]:
    """Give a JSON object's fields; whatever else the server put there has none."""
    return cast("Mapping[str, Json]", value) if isinstance(value, dict) else {}
