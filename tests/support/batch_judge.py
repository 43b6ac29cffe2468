"""What OpenAI refuses a batch file for, in its own codes and words. Knows no server, and nothing of the product.

Source: OpenAI's guide to the Batch API, and `batch.errors.data` as its users report them.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

Object = dict[str, Any]

MAX_REQUESTS = 50_000
MAX_BYTES = 209_715_200
MAX_INPUTS = 50_000
"""Of all embedding requests in a batch together."""

_UNDOCUMENTED = "invalid_request"
"""Stands for the codes of limits of the whole batch, which OpenAI does not tell."""
BOM = b"\xef\xbb\xbf"
_STREAMING = {"/v1/chat/completions": "Chat Completions", "/v1/responses": "Responses"}
CONTENT = {"/v1/chat/completions": "messages", "/v1/responses": "input", "/v1/embeddings": "input"}
"""The parameter that a request cannot be without, beside its model."""


def judge_file(path: Path, endpoint: str, models: frozenset[str] | None) -> list[Object]:
    """Return what a batch of *endpoint* is refused for; *models* are the known ones, None: any."""
    if path.stat().st_size > MAX_BYTES:
        return [batch_error(_UNDOCUMENTED, f"The batch input file is larger than the {MAX_BYTES} maximum.")]
    with path.open("rb") as file:
        return list(judge(file, endpoint, models))


def judge(file: Iterable[bytes], endpoint: str, models: frozenset[str] | None = None) -> Iterator[Object]:
    """Yield the errors of the lines of a file, and then those of the whole."""
    batch = _Batch(endpoint, models)
    for number, line in numbered(file):
        for error in batch.errors_of(line):
            yield error | {"line": number}
    if batch.requests == 0:
        message = "The input file is empty. Please ensure that the batch contains at least one request."
        yield batch_error("empty_file", message)
    for count, most, name in (batch.requests, MAX_REQUESTS, "requests"), (batch.inputs, MAX_INPUTS, "inputs"):
        if count > most:
            yield batch_error(_UNDOCUMENTED, f"The batch has {count} {name}, which is more than the {most} maximum.")


def numbered(file: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    r"""Yield the lines of a file that are not blank, each with its number; only `\n` ends a line."""
    for number, line in enumerate(file, 1):
        text = (line.removeprefix(BOM) if number == 1 else line).strip()
        if text:
            yield number, text


def read(line: bytes) -> Object:
    """Read a line as strict JSON.

    Raises:
        ValueError: It is not a JSON object.
    """
    try:
        value = json.loads(line.decode(), parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no character
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return cast("Object", value)


def input_count(body: Object) -> int:
    """Count the texts that an embedding request asks for; a list of numbers is one text, as tokens."""
    given: Any = body.get("input")
    if not isinstance(given, list):
        return 1
    items = cast("list[Any]", given)
    return 1 if items and isinstance(items[0], int) else len(items)


@dataclass
class _Batch:
    """What the lines so far have said."""

    endpoint: str
    models: frozenset[str] | None
    custom_ids: set[str] = field(default_factory=set[str])
    model: str | None = None
    requests: int = 0
    inputs: int = 0

    def errors_of(self, line: bytes) -> Iterator[Object]:
        self.requests += 1
        try:
            request = read(line)
        except ValueError:
            yield batch_error("invalid_json_line", "This line is not parseable as valid JSON.")
            return
        for name in ("custom_id", "method", "url", "body"):
            if name not in request:
                yield batch_error("missing_required_parameter", f"Missing required parameter: '{name}'.", name)
        if "custom_id" in request:
            yield from self._custom_id(request["custom_id"])
        if request.get("method", "POST") != "POST":
            yield batch_error("invalid_method", "Invalid method: expected 'POST'.", "method")
        if request.get("url", self.endpoint) != self.endpoint:
            message = "The URL provided for this request does not match the batch endpoint."
            yield batch_error("invalid_url", message, "url")
        if "body" in request:
            yield from self._body(request["body"])

    def _custom_id(self, custom_id: Any) -> Iterator[Object]:
        if not isinstance(custom_id, str):
            yield batch_error("invalid_request", "Invalid type for 'custom_id': expected a string.", "custom_id")
        elif custom_id in self.custom_ids:
            message = (
                f"The custom_id '{custom_id}' for this request is a duplicate of another request. "
                "The custom_id parameter must be unique for each request in a batch."
            )
            yield batch_error("duplicate_custom_id", message)
        else:
            self.custom_ids.add(custom_id)

    def _body(self, given: Any) -> Iterator[Object]:
        if not isinstance(given, dict):
            yield batch_error("invalid_request", "Invalid type for 'body': expected an object.", "body")
            return
        body = cast("Object", given)
        yield from self._model(body.get("model"))
        if body.get("stream"):
            name = _STREAMING.get(self.endpoint, "Requests")
            message = f"{name}: Streaming is not supported in the Batch API."
            yield batch_error("streaming_unsupported", message, "body.stream")
        content = CONTENT.get(self.endpoint)
        if content and body.get(content) is None:
            yield batch_error("invalid_request", f"{content.capitalize()} parameter is required.", f"body.{content}")
        if self.endpoint == "/v1/embeddings":
            self.inputs += input_count(body)

    def _model(self, model: Any) -> Iterator[Object]:
        if not isinstance(model, str) or not model:
            yield batch_error("invalid_request", "Model parameter is required.", "body.model")
        elif self.models is not None and model not in self.models:
            message = f"The provided model '{model}' is not supported by the Batch API."
            yield batch_error("model_not_found", message, "body.model")
        elif model != (self.model or model):
            message = (
                f"The model '{model}' for this request does not match the rest of the batch. "
                "Each batch must contain requests for a single model."
            )
            yield batch_error("mismatched_model", message)
        else:
            self.model = model


def batch_error(code: str, message: str, param: str | None = None) -> Object:
    """Build an error as `batch.errors.data` has it; of no line, unless one is put into it."""
    return {"code": code, "line": None, "message": message, "param": param}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
