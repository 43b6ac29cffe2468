"""What the Batch API refuses one line of a batch file for. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import msgspec

from batchwright.core.jsonl import json_values
from batchwright.core.model import Json, LineError

EMPTY_FILE = LineError(
    "empty_file", "The input file is empty. Please ensure that the batch contains at least one request."
)
INVALID_LINE = LineError("invalid_json_line", "This line is not parseable as valid JSON.")
UNREADABLE = LineError("invalid_value", "The line holds a number that is too large to read. Give a smaller one.")
_CONTENT_FIELD = {"/v1/chat/completions": "messages", "/v1/responses": "input", "/v1/embeddings": "input"}
_ENDPOINT_NAMES = {"/v1/chat/completions": "Chat Completions", "/v1/responses": "Responses"}

_of_any_size = msgspec.json.Decoder(float_hook=float)
"""Reads numbers that are too large as infinite."""


def check_batch(
    lines: Iterable[bytes], endpoint: str, *, is_model_known: Callable[[str], bool] = lambda _: True
) -> Iterator[LineError]:
    """Find why the Batch API would refuse a batch of *endpoint*, line by line, counted from 1.

    *lines* come stripped; blank ones are counted but skipped. An empty file is one error.
    """
    across = Across()
    is_empty = True
    for number, line in enumerate(lines, 1):
        if line:
            is_empty = False
            for error in judge(line, endpoint, across, is_model_known)[1]:
                yield LineError(error.code, error.message, number, error.param)
    if is_empty:
        yield EMPTY_FILE


@dataclass(slots=True)
class Across:
    """What the lines of a batch must agree on: the ids so far, in order, and the first valid model."""

    custom_ids: dict[str, None] = field(default_factory=dict[str, None])
    models: set[str] = field(default_factory=set[str])


def judge(
    line: bytes, endpoint: str, across: Across, is_model_known: Callable[[str], bool]
) -> tuple[Mapping[str, Json], list[LineError]]:
    """Read a line, find why it would be refused in a batch of *endpoint*, and note its id and model in *across*.

    An unreadable line has no fields.
    """
    try:
        value, errors = _decoded(line)
    except (ValueError, RecursionError):
        return {}, [INVALID_LINE]
    if not isinstance(value, dict):
        return {}, errors or [INVALID_LINE]
    fields = cast("dict[str, Json]", value)
    errors += _field_errors(fields, endpoint, across.custom_ids)
    if "body" in fields:
        errors += _body_errors(fields["body"], endpoint, across.models, is_model_known)
    return fields, errors


def _decoded(line: bytes) -> tuple[Json, list[LineError]]:
    """Decode a line, also if it holds a number that is too large.

    Raises:
        ValueError: It is not strict JSON.
        RecursionError: It is nested too deeply.
    """
    with suppress(msgspec.ValidationError):
        return json_values.decode(line), []
    with suppress(msgspec.ValidationError):
        return _of_any_size.decode(line), [UNREADABLE]
    return None, [UNREADABLE]


def _field_errors(fields: Mapping[str, Json], endpoint: str, seen: dict[str, None]) -> Iterator[LineError]:
    for name in ("custom_id", "method", "url", "body"):
        if name not in fields:
            yield LineError("missing_required_parameter", f"Missing required parameter: '{name}'.", param=name)
    if "custom_id" in fields:
        custom_id = fields["custom_id"]
        if not isinstance(custom_id, str):
            yield LineError("invalid_request", "Invalid type for 'custom_id': expected a string.", param="custom_id")
        elif custom_id in seen:
            message = (
                f"The custom_id '{custom_id}' for this request is a duplicate of another request. "
                "The custom_id parameter must be unique for each request in a batch."
            )
            yield LineError("duplicate_custom_id", message)
        else:
            seen[custom_id] = None
    if fields.get("method", "POST") != "POST":
        yield LineError("invalid_method", "Invalid method: expected 'POST'.", param="method")
    if fields.get("url", endpoint) != endpoint:
        message = "The URL provided for this request does not match the batch endpoint."
        yield LineError("invalid_url", message, param="url")


def _body_errors(
    body: Json, endpoint: str, models: set[str], is_model_known: Callable[[str], bool]
) -> Iterator[LineError]:
    if not isinstance(body, dict):
        yield LineError("invalid_request", "Invalid type for 'body': expected an object.", param="body")
        return
    fields = cast("dict[str, Json]", body)
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        yield LineError("invalid_request", "Model parameter is required.", param="body.model")
    elif not is_model_known(model):
        message = f"The provided model '{model}' is not supported by the Batch API."
        yield LineError("model_not_found", message, param="body.model")
    elif models and model not in models:
        message = (
            f"The model '{model}' for this request does not match the rest of the batch. "
            "Each batch must contain requests for a single model."
        )
        yield LineError("mismatched_model", message)
    else:
        models.add(model)
    if fields.get("stream"):
        name = _ENDPOINT_NAMES.get(endpoint, "Requests")
        message = f"{name}: Streaming is not supported in the Batch API."
        yield LineError("streaming_unsupported", message, param="body.stream")
    field = _CONTENT_FIELD.get(endpoint)
    if field and fields.get(field) is None:
        yield LineError("invalid_request", f"{field.capitalize()} parameter is required.", param=f"body.{field}")
