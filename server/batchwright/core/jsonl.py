"""Lines to and from requests and results, and the Batch API's own checks of a batch file.

Pure: takes and gives bytes; knows neither files nor the network. Codes and texts of the checks are OpenAI's, as its
`batch.errors.data` gives them.
"""

import ast
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from batchwright.core.error_bodies import error_text
from batchwright.core.model import Json, LineError, Request, ResultLine

MAX_CUSTOM_ID_CHARACTERS = 64
"""The longest that is known to work everywhere; OpenAI documents no limit."""

EMPTY_FILE = LineError(
    "empty_file", "The input file is empty. Please ensure that the batch contains at least one request."
)
INVALID_LINE = LineError("invalid_json_line", "This line is not parseable as valid JSON.")

KEPT_BYTES = 64 << 10
"""Of a line that is too long to be read: it says whose it is at its beginning."""
ANSWER_UNREADABLE = "answer_unreadable"
"""The code of a result that came, and cannot be read."""
ANSWER_LOST = "answer_lost"
"""The code of a request that was sent and may be paid for, and whose answer cannot be had."""
BUDGET_USED_UP = "budget_used_up"
"""The code of a request that was not sent, since what was sent before it may have taken all that was agreed."""

_BOM = b"\xef\xbb\xbf"
_CONTENT_FIELD = {"/v1/chat/completions": "messages", "/v1/responses": "input", "/v1/embeddings": "input"}
_ENDPOINT_NAMES = {"/v1/chat/completions": "Chat Completions", "/v1/responses": "Responses"}

_CUSTOM_ID = re.compile(rb'"custom_id"\s*:\s*("(?:[^"\\]|\\.){0,512}")')
_WRAPPED = re.compile(r"Error code: ([345]\d\d) - (.*)", re.DOTALL)
"""How OpenAI's client writes an answer with an error, which some servers put into the line that stands for it."""
_MAX_WRAPPED = 10_000

_encoder = msgspec.json.Encoder()


class _Line(msgspec.Struct):
    """An input line: only what the checks look at is decoded."""

    custom_id: msgspec.Raw = msgspec.Raw()
    method: msgspec.Raw = msgspec.Raw()
    url: msgspec.Raw = msgspec.Raw()
    body: msgspec.Raw = msgspec.Raw()


class _Body(msgspec.Struct):
    model: Any = None
    stream: Any = None
    messages: msgspec.Raw = msgspec.Raw()
    input: msgspec.Raw = msgspec.Raw()

    def content(self, field: str) -> msgspec.Raw:
        return self.messages if field == "messages" else self.input


_lines = msgspec.json.Decoder(_Line)
_bodies = msgspec.json.Decoder(_Body)
_values = msgspec.json.Decoder()


def encode_request(request: Request, endpoint: str) -> bytes:
    """Give the input line of *request*, with its newline."""
    line = {"custom_id": request.custom_id, "method": "POST", "url": endpoint, "body": request.body}
    return _encoder.encode(line) + b"\n"


def decode_request(line: bytes) -> Request:
    """Read one line of a batch file that passed `check_batch`.

    Raises:
        ValueError: The line is not a request.
    """
    fields = _object(_values.decode(line))
    custom_id, body = fields.get("custom_id"), fields.get("body")
    if not isinstance(custom_id, str) or not isinstance(body, dict):
        raise ValueError("a request line needs a custom_id and a body")
    return Request(custom_id=custom_id, body=cast("dict[str, Json]", body))


def encoded_body(line: bytes) -> bytes:
    """Give the body of a request line as it stands there."""
    return bytes(_lines.decode(line).body)


def encode_result(line: ResultLine, *, id: str, request_id: str) -> bytes:  # noqa: A002  # the Batch API's name
    """Give the line of an output or error file, with its newline."""
    response = error = None
    if line.status_code is not None:
        response = {"status_code": line.status_code, "request_id": request_id, "body": line.body}
    if line.error_code is not None:
        error = {"code": line.error_code, "message": line.error_message}
    return _encoder.encode({"id": id, "custom_id": line.custom_id, "response": response, "error": error}) + b"\n"


def decode_result(line: bytes) -> ResultLine:
    """Read one line of an output or error file, also one whose body is a JSON string.

    Raises:
        ValueError: The line is not the result of a request.
    """
    try:
        return _result(_values.decode(line))
    except RecursionError as error:
        raise ValueError("a result line is nested too deep") from error


def mended_result(line: bytes) -> ResultLine:
    """Read one line of a result file as well as it can be: the answer in it is paid for.

    NaN and numbers without end are read as null; half a character, or bytes that are none, as U+FFFD.

    Raises:
        ValueError: Nobody can read it, or it is not the result of a request.
    """
    with suppress(ValueError):
        return decode_result(line)
    try:
        return _result(mended_value(line))
    except RecursionError as error:
        raise ValueError("a result line is nested too deep") from error


def any_result(line: bytes) -> ResultLine | None:
    """Read one line of a result file; one that nobody can read is its request's, if its beginning says so.

    None: nobody can say whose it is.
    """
    with suppress(ValueError):
        return mended_result(line)
    found = _CUSTOM_ID.search(line, 0, KEPT_BYTES)
    if found is None:
        return None
    try:
        custom_id = str(_values.decode(found[1]))
    except ValueError:
        return None
    message = "its answer came, and is too long or too damaged to be read"
    return ResultLine(custom_id, error_code=ANSWER_UNREADABLE, error_message=message)


def mended_value(text: bytes | str) -> Json:
    """Decode JSON that is not quite JSON, as `mended_result` does.

    Raises:
        ValueError: Nobody can read it.
        RecursionError: It is nested too deep.
    """
    decoded = text if isinstance(text, str) else text.decode(errors="replace")
    return mended(json.loads(decoded, strict=False, parse_constant=lambda _: None))


def mended(value: Json) -> Json:
    """Give a decoded value as JSON can hold it: without half characters, NaN and numbers without end."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case float():
            return value if math.isfinite(value) else None
        case list():
            return [mended(item) for item in cast("list[Json]", value)]
        case dict():
            return {mended(name): mended(item) for name, item in cast("dict[str, Json]", value).items()}
        case _:
            return value


def _result(value: Json) -> ResultLine:
    fields = _object(value)
    custom_id = fields.get("custom_id")
    if not isinstance(custom_id, str):
        raise ValueError("a result line needs a custom_id")
    response, error = _object(fields.get("response")), fields.get("error")
    if error and (wrapped := _WRAPPED.fullmatch(error_text({"error": error}))):
        return ResultLine(custom_id, status_code=int(wrapped[1]), body=_python_value(wrapped[2]))
    status = response.get("status_code")
    return ResultLine(
        custom_id=custom_id,
        status_code=int(status)
        if isinstance(status, int) or (isinstance(status, str) and status.isdecimal())
        else None,
        body=_decoded_body(response.get("body")),
        error_code=str(_object(error).get("code") or _object(error).get("type") or "unknown") if error else None,
        error_message=error_text({"error": error}) if error else None,
    )


def _decoded_body(body: Json) -> Json:
    if not isinstance(body, str):
        return body
    try:
        return _values.decode(body)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return mended_value(body)
    except (ValueError, RecursionError):
        return {"error": {"message": body}}


def whole_lines(chunks: Iterable[bytes], *, longest: int | None = None) -> Iterator[bytes]:
    r"""Split a byte stream into lines without their newline: on `\n` only, blank ones and a leading BOM left out.

    Of one with more than *longest* bytes, only the first `KEPT_BYTES` are given.
    """
    pieces: list[bytes] = []
    size = 0
    first = True
    for chunk in chunks:
        head, *lines = chunk.split(b"\n")
        size += len(head)
        if longest is not None and size > longest:
            pieces = [b"".join((*pieces, head[:KEPT_BYTES]))[:KEPT_BYTES]]
        else:
            pieces.append(head)
        for line in lines:
            yield from _stripped(b"".join(pieces), first=first)
            pieces = [line]
            size = len(line)
            first = False
    yield from _stripped(b"".join(pieces), first=first)


def _stripped(line: bytes, *, first: bool) -> Iterator[bytes]:
    text = (line.removeprefix(_BOM) if first else line).strip()
    if text:
        yield text


def inputs_of(line: bytes) -> int:
    """Count the embedding inputs of a request line; a line of another endpoint has one."""
    body = _bodies.decode(_lines.decode(line).body)
    if bytes(body.input)[:1] != b"[":
        return 1
    items = cast("list[Json]", _values.decode(body.input))
    # A list of numbers is one text, given as tokens.
    return 1 if items and isinstance(items[0], int) else len(items)


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
        fields = _lines.decode(line)
        return [
            *_field_errors(fields, endpoint, across.custom_ids),
            *_body_errors(fields, endpoint, across.models, is_model_known),
        ]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [INVALID_LINE]


def _field_errors(line: _Line, endpoint: str, seen: dict[str, None]) -> Iterator[LineError]:
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
    line: _Line, endpoint: str, models: set[str], is_model_known: Callable[[str], bool]
) -> Iterator[LineError]:
    if not bytes(line.body):
        return
    try:
        body = _bodies.decode(line.body)
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
    value = _values.decode(raw)
    return value if isinstance(value, str) else None


def _python_value(text: str) -> Json:
    """Read an error body as Python, or JSON, writes it; whatever cannot be read is its message."""
    try:
        value: Json = ast.literal_eval(text) if len(text) < _MAX_WRAPPED else text
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return _decoded_body(text)
    return mended(value) if isinstance(value, dict) else {"error": {"message": str(value)}}


def duplicate_key(line: bytes) -> str | None:
    """Give a key that some object of a JSON line has twice: parsers keep one of its values, and not all the same."""
    found: list[str] = []

    def look(pairs: list[tuple[str, Json]]) -> None:
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys):
            found.append(next(key for key in keys if keys.count(key) > 1))

    json.loads(line, object_pairs_hook=look)
    return found[0] if found else None


def _object(value: Json) -> dict[str, Json]:
    """Give a JSON object's fields; whatever else stands there has none."""
    return cast("dict[str, Json]", value) if isinstance(value, dict) else {}
