"""Encoded requests and their size: tokens, and share of a batch's limits."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, cast

from batchwright.core import files
from batchwright.core.jsonl import decode_request, encode_request
from batchwright.core.model import Endpoint, Json, Request
from batchwright.costs.tokens import RequestTokens, counter


class Line(NamedTuple):
    """An encoded request and its size.

    Attributes:
        data: Its line, newline included.
        inputs: Number of embedding inputs; 1 for other endpoints.
        load: What it counts towards the enqueued limit.
        members: The ids of the rows that it packs; empty: it is one row's.
    """

    data: bytes
    inputs: int
    load: int
    tokens: RequestTokens
    members: tuple[str, ...] = ()


class Measure:
    """Measures requests: their tokens, and what they count towards the enqueued limit."""

    def __init__(self, model: str, endpoint: Endpoint) -> None:
        self._endpoint: Endpoint = endpoint
        self._count = counter(model)

    def request(self, request: Request) -> Line:
        """Encode and measure a request."""
        return self._line(encode_request(request, self._endpoint), request.body)

    def lines(self, path: Path) -> Iterator[Line]:
        """Measure the requests of a part's file again."""
        for line in files.lines(path):
            yield self._line(line + b"\n", decode_request(line).body)

    def _line(self, data: bytes, body: Mapping[str, Json]) -> Line:
        tokens = self._count(body, self._endpoint)
        if self._endpoint == "/v1/embeddings":
            inputs = _inputs(body.get("input"))
            return Line(data, inputs, inputs, tokens)
        return Line(data, 1, tokens.input_tokens, tokens)


def _inputs(given: Json) -> int:
    """Count the texts in an embedding request; a list of numbers is one text, given as tokens."""
    if not isinstance(given, list):
        return 1
    items = cast("list[Json]", given)
    return 1 if items and isinstance(items[0], int) else len(items)
