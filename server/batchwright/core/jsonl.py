"""Lines of JSONL to and from requests and results. Pure: knows neither files nor the network."""

import ast
import json
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, cast

import msgspec

from batchwright.core.error_bodies import error_text
from batchwright.core.model import Json, Request, ResultLine

MAX_CUSTOM_ID_CHARACTERS = 64
"""The longest that is known to work everywhere; OpenAI documents no limit."""

KEPT_BYTES = 64 << 10
"""Kept of a line that is too long to read: its beginning has its custom_id."""
ANSWER_UNREADABLE: Final = "answer_unreadable"
"""The code of a result that arrived, but cannot be read."""
ANSWER_LOST: Final = "answer_lost"
"""The code of a request that was sent and may be paid for, but whose answer is lost."""
BUDGET_USED_UP: Final = "budget_used_up"
"""The code of a request that was not sent because earlier ones may have used all that was agreed."""

_BOM = b"\xef\xbb\xbf"

_CUSTOM_ID = re.compile(rb'"custom_id"\s*:\s*("(?:[^"\\]|\\.){0,512}")')
_WRAPPED = re.compile(r"Error code: ([345]\d\d) - (.*)", re.DOTALL)
"""How OpenAI's client formats an error, which some servers put into the result line instead of the error."""
_MAX_WRAPPED = 10_000

_encoder = msgspec.json.Encoder()


class _RequestBody(msgspec.Struct):
    body: msgspec.Raw


class _RequestLine(_RequestBody):
    custom_id: str


json_values = msgspec.json.Decoder()
_bodies = msgspec.json.Decoder(_RequestBody)
_request_lines = msgspec.json.Decoder(_RequestLine)


def encode_request(request: Request, endpoint: str) -> bytes:
    """Return the input line of *request*, with its newline."""
    line = {"custom_id": request.custom_id, "method": "POST", "url": endpoint, "body": request.body}
    return _encoder.encode(line) + b"\n"


def decode_request(line: bytes) -> Request:
    """Read one line of a batch file that passed `check_batch`.

    Raises:
        ValueError: The line is not a request.
    """
    fields = _object(json_values.decode(line))
    custom_id, body = fields.get("custom_id"), fields.get("body")
    if not isinstance(custom_id, str) or not isinstance(body, dict):
        raise ValueError("a request line needs a custom_id and a body")
    return Request(custom_id=custom_id, body=cast("dict[str, Json]", body))


def custom_id_of(line: bytes) -> str:
    """Read only the custom_id of a request line.

    Raises:
        ValueError: The line is not a request.
    """
    return _request_lines.decode(line).custom_id


def encoded_body(line: bytes) -> bytes:
    """Return the body of a request line, byte for byte."""
    return bytes(_bodies.decode(line).body)


def encode_result(line: ResultLine, *, id: str, request_id: str) -> bytes:  # noqa: A002  # the Batch API's name
    """Return the line of an output or error file, with its newline."""
    response = error = None
    if line.status_code is not None:
        response = {"status_code": line.status_code, "request_id": request_id, "body": line.body}
    if line.error_code is not None:
        error = {"code": line.error_code, "message": line.error_message}
    return _encoder.encode({"id": id, "custom_id": line.custom_id, "response": response, "error": error}) + b"\n"


def decode_result(line: bytes) -> ResultLine:
    """Read one line of an output or error file; its body may be a JSON string.

    Raises:
        ValueError: The line is not the result of a request.
    """
    try:
        return _result(json_values.decode(line))
    except RecursionError as error:
        raise ValueError("a result line is nested too deep") from error


def any_result(line: bytes) -> ResultLine | None:
    """Read one line of a result file as well as it can be: the answer in it is paid for.

    NaN and infinite numbers are read as null; half characters and invalid bytes as U+FFFD. A line that cannot be read
    still belongs to a request if its beginning says so; None: nobody can say to which.
    """
    with suppress(ValueError):
        return decode_result(line)
    with suppress(ValueError, RecursionError):
        return _result(repair_value(line))
    if found := _CUSTOM_ID.search(line, 0, KEPT_BYTES):
        message = "its answer came, and is too long or too damaged to be read"
        with suppress(ValueError):
            custom_id = str(json_values.decode(found[1]))
            return ResultLine(custom_id, error_code=ANSWER_UNREADABLE, error_message=message)
    return None


def repair_value(text: bytes | str) -> Json:
    """Decode JSON that is not strictly valid, as `any_result` does.

    Raises:
        ValueError: Nobody can read it.
        RecursionError: It is nested too deep.
    """
    decoded = text if isinstance(text, str) else text.decode(errors="replace")
    return repair(json.loads(decoded, strict=False, parse_constant=lambda _: None))


def repair(value: Json) -> Json:
    """Return a decoded value without what JSON cannot hold: half characters, NaN and infinite numbers."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case float():
            return value if math.isfinite(value) else None
        case list():
            return [repair(item) for item in cast("list[Json]", value)]
        case dict():
            return {repair(name): repair(item) for name, item in cast("dict[str, Json]", value).items()}
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
        body=_decode_body(response.get("body")),
        error_code=str(_object(error).get("code") or _object(error).get("type") or "unknown") if error else None,
        error_message=error_text({"error": error}) if error else None,
    )


def _decode_body(body: Json) -> Json:
    if not isinstance(body, str):
        return body
    for decode in (json_values.decode, repair_value):
        with suppress(ValueError, RecursionError):
            return decode(body)
    return {"error": {"message": body}}


def whole_lines(chunks: Iterable[bytes], *, longest: int | None = None) -> Iterator[bytes]:
    """Split a byte stream into lines as `split_lines` does, without the blank ones."""
    return filter(None, split_lines(chunks, longest=longest))


def split_lines(chunks: Iterable[bytes], *, longest: int | None = None) -> Iterator[bytes]:
    r"""Split a byte stream into stripped lines, on `\n` only, without a leading byte order mark.

    A line of more than *longest* bytes is cut to its first `KEPT_BYTES`.
    """
    most = math.inf if longest is None else longest
    pieces: list[bytes] = []
    size, mark = 0, _BOM
    for chunk in chunks:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            line = b"".join(_held(pieces, size, end, most)) if pieces or len(end) > most else end
            yield line.removeprefix(mark).strip()
            pieces, size, mark = [], 0, b""
        if rest:
            pieces = _held(pieces, size, rest, most)
            size += len(rest)
    yield b"".join(pieces).removeprefix(mark).strip()


def _held(pieces: list[bytes], size: int, piece: bytes, most: float) -> list[bytes]:
    """Add a piece to those of a line of *size* bytes; of a line longer than *most* bytes, keep only the beginning."""
    if size + len(piece) <= most:
        pieces.append(piece)
        return pieces
    return [b"".join((*pieces, piece[:KEPT_BYTES]))[:KEPT_BYTES]]


def _python_value(text: str) -> Json:
    """Read an error body in Python's or JSON's notation; what cannot be read becomes its message."""
    try:
        value: Json = ast.literal_eval(text) if len(text) < _MAX_WRAPPED else text
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return _decode_body(text)
    return repair(value) if isinstance(value, dict) else {"error": {"message": str(value)}}


def duplicate_key(line: bytes) -> str | None:
    """Return a key that an object of a JSON line has twice: parsers disagree about which value counts."""
    found: list[str] = []

    def look(pairs: list[tuple[str, Json]]) -> None:
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys):
            found.append(next(key for key in keys if keys.count(key) > 1))

    json.loads(line, object_pairs_hook=look)
    return found[0] if found else None


def _object(value: Json) -> dict[str, Json]:
    """Return the fields of a JSON object; other values have none."""
    return cast("dict[str, Json]", value) if isinstance(value, dict) else {}
