"""Token counts of requests, exact or by a sample, and offline. Pure: knows no files.

The frame of a chat is counted as OpenAI's cookbook does ("How to count tokens with tiktoken"): 3 tokens a message and
its role, 1 for a name, 3 that open the answer. What OpenAI counts in ways of its own is named, never passed over.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal, assert_never, cast

import msgspec

from batchwright.model import Endpoint, Json
from batchwright.token_sampling import SampledCount

Encoding = Literal["o200k_base", "cl100k_base"]
Uncounted = Literal[
    "images",
    "audio",
    "files",
    "tools",
    "tool calls",
    "predicted output",
    "a stored conversation",
    "a stored prompt",
    "a service tier",
    "other content",
]
"""What a request may hold that only OpenAI can count, or that is charged otherwise."""
Approximated = Literal["the output schema", "the text, with another model's tokenizer"]

MESSAGE_TOKENS = 3
NAME_TOKENS = 1
ANSWER_TOKENS = 3

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
"""Each is one token in every encoding."""
_O200K = re.compile(r"gpt-(4o|4\.[15]|[5-9]|oss)|chatgpt-4o|o\d(?!\w)|codex-mini|computer-use")
_CL100K = re.compile(r"gpt-4(?![\w.])|gpt-3\.?5|text-embedding-(3|ada)")
_TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal"})
_OTHER_PARTS: Mapping[str, Uncounted] = {
    "image_url": "images",
    "input_image": "images",
    "input_audio": "audio",
    "file": "files",
    "input_file": "files",
}
_BODY_FIELDS: Mapping[str, Uncounted] = {
    "tools": "tools",
    "functions": "tools",
    "web_search_options": "tools",
    "audio": "audio",
    "prediction": "predicted output",
    "previous_response_id": "a stored conversation",
    "conversation": "a stored conversation",
    "prompt": "a stored prompt",
}
_KNOWN_TIERS = (None, "auto", "default", "flex")
"""Tiers that cost at most the standard price; `auto` is what the project is set to."""
_MESSAGE_FIELDS: Mapping[str, Uncounted] = {"tool_calls": "tool calls", "function_call": "tool calls", "audio": "audio"}


@dataclass(frozen=True, slots=True)
class TokenCount:
    """The input tokens of one request.

    Attributes:
        uncounted: What it holds beside them, whose tokens come on top.
        approximated: What is among them, but counted otherwise than OpenAI does.
        error: By how many tokens the sum of all requests so far is less certain for it, where a sample is counted.
    """

    input_tokens: int
    uncounted: frozenset[Uncounted] = frozenset()
    approximated: frozenset[Approximated] = frozenset()
    error: float = 0.0

    @property
    def is_exact(self) -> bool:
        """Whether OpenAI would count the same."""
        return not self.uncounted and not self.approximated and not self.error


def encoding_of(model: str) -> Encoding:
    """Give the encoding of *model*, also of one tuned from it; for a model never heard of, the newest.

    `is_encoding_known` tells the two cases apart. Source: tiktoken's `model.py`.
    """
    return "cl100k_base" if _CL100K.match(_base(model)) else "o200k_base"


def is_encoding_known(model: str) -> bool:
    """Tell whether `encoding_of` knows *model*, or guesses."""
    name = _base(model)
    return bool(_O200K.match(name) or _CL100K.match(name))


def counter(model: str, *, by_sample: bool = False) -> Callable[[Mapping[str, Json], Endpoint], TokenCount]:
    """Give the function that counts the input tokens of request bodies for *model*, whatever their `model` says.

    With *by_sample*, texts are counted by a sample once there are more than a few megabytes of them.
    """
    count_text = text_counter(model, by_sample=by_sample)
    guessed: frozenset[Approximated] = (
        frozenset() if is_encoding_known(model) else frozenset({"the text, with another model's tokenizer"})
    )

    def count(body: Mapping[str, Json], endpoint: Endpoint) -> TokenCount:
        tally = _Tally(count_text)
        match endpoint:
            case "/v1/chat/completions":
                _add_chat(tally, body)
            case "/v1/responses":
                _add_responses(tally, body)
            case "/v1/embeddings":
                _add_embeddings(tally, body)
            case _:
                assert_never(endpoint)
        return TokenCount(tally.tokens, frozenset(tally.uncounted), guessed | tally.approximated, tally.error)

    return count


TextCounter = Callable[[Iterable[str], int], tuple[int, float]]
"""Counts the tokens of texts of so many bytes, and says by how many they make the sum of all less certain."""


def text_counter(model: str, *, by_sample: bool = False) -> TextCounter:
    """Give the function that counts the tokens of texts for *model*."""
    encode = _encode(encoding_of(model))
    return SampledCount(encode) if by_sample else partial(_counted, encode)


def output_bound(body: Mapping[str, Json], endpoint: Endpoint) -> int | None:
    """Give the most output tokens that a request may cost, reasoning included, for all its answers; None: no bound.

    A limit that is not a positive whole number bounds nothing.
    """
    match endpoint:
        case "/v1/chat/completions":
            limits = [_positive(body.get("max_completion_tokens")), _positive(body.get("max_tokens"))]
            answers = 1 if body.get("n") is None else _positive(body["n"])
        case "/v1/responses":
            limits, answers = [_positive(body.get("max_output_tokens"))], 1
        case "/v1/embeddings":
            return 0
        case _:
            assert_never(endpoint)
    given = [limit for limit in limits if limit is not None]
    # Where both limits are given, which one OpenAI heeds is not documented.
    return max(given) * answers if given and answers is not None else None


class _Tally:
    """What was found in one request so far."""

    def __init__(self, count: TextCounter) -> None:
        self._count = count
        self.tokens = 0
        self.error = 0.0
        self.uncounted: set[Uncounted] = set()
        self.approximated: set[Approximated] = set()

    def add_text(self, text: Json) -> None:
        if isinstance(text, str):
            tokens, error = self._count((text,), len(text) if text.isascii() else len(text.encode()))
            self.tokens += tokens
            self.error += error
        elif text is not None:
            self.uncounted.add("other content")

    def add_content(self, content: Json) -> None:
        """Add a message's content: a text or its parts."""
        if not isinstance(content, list):
            self.add_text(content)
            return
        for part in _objects(cast("list[Json]", content)):
            kind = str(part.get("type"))
            if kind in _TEXT_PARTS:
                self.add_text(part.get("refusal" if kind == "refusal" else "text"))
            else:
                self.uncounted.add(_OTHER_PARTS.get(kind, "other content"))

    def add_message(self, role: Json, content: Json, name: Json = None) -> None:
        self.tokens += MESSAGE_TOKENS
        if role in _ROLES:
            self.tokens += 1
        else:
            self.add_text(role)
        self.add_content(content)
        if name is not None:
            self.tokens += NAME_TOKENS
            self.add_text(name)

    def add_schema(self, schema: Json) -> None:
        """Add an output schema as its compact JSON: how OpenAI shows it to the model is not documented."""
        if schema:
            self.add_text(msgspec.json.encode(schema).decode())
            self.approximated.add("the output schema")

    def note(self, fields: Mapping[str, Json], names: Mapping[str, Uncounted]) -> None:
        if not names.keys().isdisjoint(fields):
            self.uncounted.update(what for field, what in names.items() if fields.get(field))
        if fields.get("service_tier") not in _KNOWN_TIERS:
            self.uncounted.add("a service tier")


def _add_chat(tally: _Tally, body: Mapping[str, Json]) -> None:
    tally.tokens += ANSWER_TOKENS
    for message in _objects(body.get("messages")):
        tally.add_message(message.get("role"), message.get("content"), message.get("name"))
        tally.note(message, _MESSAGE_FIELDS)
    tally.add_schema(_object(_object(body.get("response_format")).get("json_schema")).get("schema"))
    tally.note(body, _BODY_FIELDS)


def _add_responses(tally: _Tally, body: Mapping[str, Json]) -> None:
    tally.tokens += ANSWER_TOKENS
    if body.get("instructions") is not None:
        tally.add_message("system", body["instructions"])
    content = body.get("input")
    if not isinstance(content, list):
        tally.add_message("user", content)
    for item in _objects(content):
        if item.get("type", "message") == "message":
            tally.add_message(item.get("role"), item.get("content"))
        else:
            tally.uncounted.add("other content")
    tally.add_schema(_object(_object(body.get("text")).get("format")).get("schema"))
    tally.note(body, _BODY_FIELDS)


def _add_embeddings(tally: _Tally, body: Mapping[str, Json]) -> None:
    content = body.get("input")
    inputs = cast("list[Json]", content) if isinstance(content, list) else [content]
    for item in inputs:
        if isinstance(item, list):
            tally.tokens += len(cast("list[int]", item))
        elif isinstance(item, int):
            tally.tokens += 1
        else:
            tally.add_text(item)


def _counted(encode: Callable[[str], list[int]], texts: Iterable[str], _size: int) -> tuple[int, float]:
    return sum(len(encode(text)) for text in texts), 0.0


@cache
def _encode(encoding: Encoding) -> Callable[[str], list[int]]:
    import splintr

    # The other ways to encode take text such as `<|endoftext|>` for a control token; OpenAI takes it for text.
    return splintr.Tokenizer.from_pretrained(encoding).encode_ordinary


def _base(model: str) -> str:
    return model.lower().removeprefix("ft:")


def _positive(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _object(value: Json) -> dict[str, Json]:
    """Give a JSON object's fields; whatever else stands there has none."""
    return cast("dict[str, Json]", value) if isinstance(value, dict) else {}


def _objects(value: Json) -> list[dict[str, Json]]:
    """Give a JSON list's objects; whatever else stands there is empty, and the provider will refuse it."""
    return [_object(item) for item in cast("list[Json]", value)] if isinstance(value, list) else []
