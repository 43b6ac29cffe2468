"""Encoded requests and what they take: their tokens, and their share of a batch's limits."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from batchwright.core import files
from batchwright.core.jsonl import decode_request, encode_request, inputs_of
from batchwright.core.model import Endpoint, Json, Recipe, Request
from batchwright.costs.prices import RequestTokens
from batchwright.costs.tokens import counter, output_bound, text_counter
from batchwright.requests.recipe import shared_body, texts_of


class Line(NamedTuple):
    """An encoded request, newline included, and what it takes.

    Attributes:
        members: The ids of the rows whose inputs it packs; empty: it is one row's.
    """

    data: bytes
    inputs: int
    load: int
    tokens: RequestTokens
    members: tuple[str, ...] = ()


class Measure:
    """Weighs requests: their tokens, and what they take of the enqueued limit."""

    def __init__(self, model: str, endpoint: Endpoint) -> None:
        self._endpoint: Endpoint = endpoint
        self._count = counter(model)

    def line(self, data: bytes, body: Mapping[str, Json]) -> Line:
        """Weigh an encoded request, given with its body."""
        count = self._count(body, self._endpoint)
        bound = output_bound(body, self._endpoint)
        tokens = RequestTokens(count.input_tokens, bound, count.uncounted, count.approximated, count.margin)
        if self._endpoint == "/v1/embeddings":
            inputs = inputs_of(data)
            return Line(data, inputs, inputs, tokens)
        return Line(data, 1, count.input_tokens, tokens)

    def request(self, request: Request) -> Line:
        """Encode a request, and weigh it."""
        return self.line(encode_request(request, self._endpoint), request.body)

    def lines(self, path: Path) -> Iterator[Line]:
        """Weigh the requests of a part's file again."""
        for line in files.lines(path):
            yield self.line(line + b"\n", decode_request(line).body)


class RecipeMeasure:
    """Weighs the requests of one recipe as `Measure` does, but counts only their texts: all else is the same in all."""

    def __init__(self, recipe: Recipe) -> None:
        self._endpoint: Endpoint = recipe.endpoint
        shared = shared_body(recipe)
        frame = counter(recipe.model)(shared, recipe.endpoint)
        self._count = text_counter(recipe.model)
        bound = output_bound(shared, recipe.endpoint)
        self._frame = RequestTokens(frame.input_tokens, bound, frame.uncounted, frame.approximated, frame.margin)
        self._load = 1 if recipe.endpoint == "/v1/embeddings" else None

    def request(self, request: Request) -> Line:
        """Encode a request that the recipe made, and weigh it."""
        return self.line(encode_request(request, self._endpoint), texts_of(request.body, self._endpoint))

    def line(self, data: bytes, texts: Iterable[str]) -> Line:
        """Weigh an encoded request, given with its texts."""
        frame = self._frame
        tokens, margin = frame.input_tokens, frame.margin
        for text in texts:
            counted, more = self._count(text)
            tokens += counted
            margin += more
        weighed = RequestTokens(tokens, frame.output_bound, frame.uncounted, frame.approximated, margin)
        return Line(data, 1, self._load or tokens, weighed)
