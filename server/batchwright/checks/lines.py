"""What the Batch API refuses one line of a batch file for. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from batchwright.core.jsonl import RequestLine, json_values, request_bodies, request_lines
from batchwright.core.model import LineError

EMPTY_FILE = LineError(
    "empty_file", "The input file is empty. Please ensure that the batch contains at least one request."
)
INVALID_LINE = LineError("invalid_json_line", "This line is not parseable as valid JSON.")
_CONTENT_FIELD = {"/v1/chat/completions": "messages", "/v1/responses": "input", "/v1/embeddings": "input"}
_ENDPOINT_NAMES = {"/v1/chat/completions": "Chat Completions", "/v1/responses": "Responses"}


def check_batch(
    lines: Iterable[bytes], endpoint: str, *, is_model_known: Callable[[str], bool] = lambda _: True
) -> Iterator[LineError]:
    """Find what a batch of *endpoint* would be refused for, line by line, counted from 1.

    *lines* come without newlines and without blank ones. An empty file is one error.
    """
    across = Across()
    number = 0
    for number, line in enumerate(lines, 1):  # used after the loop
        for error in line_errors(line, endpoint, across, is_model_known):
            yield LineError(error.code, error.message, number, error.param)
    if number == 0:
        yield EMPTY_FILE


@dataclass(slots=True)
class Across:
    """What the lines of a batch have to agree on.

    Attributes:
        custom_ids: Seen so far, in their order.
        models: The first good one.
    """

    custom_ids: dict[str, None] = field(default_factory=dict[str, None])
    models: set[str] = field(default_factory=set[str])


def line_errors(line: bytes, endpoint: str, across: Across, is_model_known: Callable[[str], bool]) -> list[LineError]:
    """Find what a batch of *endpoint* would be refused for in one line; adds to *across* what the line says."""
    try:
        line.decode()
        fields = request_lines.decode(line)
        return [
            *_field_errors(fields, endpoint, across.custom_ids),
            *_body_errors(fields, endpoint, across.models, is_model_known),
        ]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [INVALID_LINE]


def _field_errors(line: RequestLine, endpoint: str, seen: dict[str, None]) -> Iterator[LineError]:
    for name in ("custom_id", "method", "url", "body"):
        if not bytes(getattr(line, name)):
            yield LineError("missing_required_parameter", f"Missing required parameter: '{name}'.", param=name)
    if bytes(line.custom_id):
        custom_id = _text(line.custom_id)
        if custom_id is None:
            yield LineError("invalid_request", "Invalid type for 'custom_id': expected a string.", param="custom_id")
        elif custom_id in seen:
            message = (
                f"The custom_id '{custom_id}' for this request is a duplicate of another request. "
                "The custom_id parameter must be unique for each request in a batch."
            )
            yield LineError("duplicate_custom_id", message)
        else:
            seen[custom_id] = None
    if bytes(line.method) and _text(line.method) != "POST":
        yield LineError("invalid_method", "Invalid method: expected 'POST'.", param="method")
    if bytes(line.url) and _text(line.url) != endpoint:
        message = "The URL provided for this request does not match the batch endpoint."
        yield LineError("invalid_url", message, param="url")


def _body_errors(
    line: RequestLine, endpoint: str, models: set[str], is_model_known: Callable[[str], bool]
) -> Iterator[LineError]:
    if not bytes(line.body):
        return
    try:
        body = request_bodies.decode(line.body)
    except msgspec.DecodeError:
        yield LineError("invalid_request", "Invalid type for 'body': expected an object.", param="body")
        return
    if not isinstance(body.model, str) or not body.model:
        yield LineError("invalid_request", "Model parameter is required.", param="body.model")
    elif not is_model_known(body.model):
        message = f"The provided model '{body.model}' is not supported by the Batch API."
        yield LineError("model_not_found", message, param="body.model")
    elif models and body.model not in models:
        message = (
            f"The model '{body.model}' for this request does not match the rest of the batch. "
            "Each batch must contain requests for a single model."
        )
        yield LineError("mismatched_model", message)
    else:
        models.add(body.model)
    if body.stream:
        name = _ENDPOINT_NAMES.get(endpoint, "Requests")
        message = f"{name}: Streaming is not supported in the Batch API."
        yield LineError("streaming_unsupported", message, param="body.stream")
    field = _CONTENT_FIELD.get(endpoint)
    if field and bytes(body.content(field)) in {b"", b"null"}:
        yield LineError("invalid_request", f"{field.capitalize()} parameter is required.", param=f"body.{field}")


def _text(raw: msgspec.Raw) -> str | None:
    value = json_values.decode(raw)
    return value if isinstance(value, str) else None
