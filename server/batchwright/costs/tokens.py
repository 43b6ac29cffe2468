"""Token counts of requests, offline. Pure: knows no files.

The frame of a chat is counted as in OpenAI's cookbook ("How to count tokens with tiktoken"): 3 tokens a message and its
role, 1 for a name, 3 that open the answer. Whatever OpenAI counts in a way that is not public is named, never skipped.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Literal, NamedTuple, assert_never, cast

import msgspec

from batchwright.core.model import Endpoint, Json
from batchwright.costs.billing import MESSAGE, TEXT_PART, Uncounted, added_by, uncounted

Encoding = Literal["o200k_base", "cl100k_base"]
Approximated = Literal["the output schema", "the text, with another model's tokenizer"]

MESSAGE_TOKENS = 3
NAME_TOKENS = 1
ANSWER_TOKENS = 3
FORMAT_TOKENS = 64
"""What may surround an output schema when the model is shown it."""

LAST_TEXTS = 4
"""Texts whose counts are remembered: system texts and schemas, which all requests share, are counted once."""

CONTROL_MARK = "<|"
"""In every control token."""

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
"""Each is one token in every encoding."""
_O200K = re.compile(r"gpt-(4o|4\.[15]|[5-9]|oss)|chatgpt-4o|o\d(?!\w)|codex-mini|computer-use")
_CL100K = re.compile(r"gpt-4(?![\w.])|gpt-3\.?5|text-embedding-(3|ada)")
_TEXT_PARTS: Mapping[str, str] = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
}
"""The kinds of parts that are texts, and the field of each."""
_OTHER_PARTS: Mapping[str, Uncounted] = {
    "image_url": "images",
    "input_image": "images",
    "input_audio": "audio",
    "file": "files",
    "input_file": "files",
}
_PLAIN_MESSAGE = frozenset({"role", "content"})
"""The fields of nearly all messages."""
_TEXT_FIELDS = ("refusal", "tool_call_id", "phase")
"""In a message, besides its content and its name."""


class RequestTokens(NamedTuple):
    """The tokens of one request before it is sent.

    Attributes:
        output_bound: The most output tokens, reasoning included, for all its answers; None: no limit.
        uncounted: What else it holds, whose tokens come on top.
        approximated: What is counted, but differently than by OpenAI.
        margin: The most input tokens that may come on top for what is approximated.
    """

    input_tokens: int
    output_bound: int | None
    uncounted: frozenset[str] = frozenset()
    approximated: frozenset[str] = frozenset()
    margin: int = 0


def encoding_of(model: str) -> Encoding:
    """Return the encoding of *model*, also if it is fine-tuned; for an unknown model, the newest.

    `is_encoding_known` distinguishes the two cases. Source: tiktoken's `model.py`.
    """
    return "cl100k_base" if _CL100K.match(_base(model)) else "o200k_base"


def is_encoding_known(model: str) -> bool:
    """Whether `encoding_of` knows *model* instead of guessing."""
    name = _base(model)
    return bool(_O200K.match(name) or _CL100K.match(name))


def counter(model: str) -> Callable[[Mapping[str, Json], Endpoint], RequestTokens]:
    """Return a function that counts the tokens of request bodies for *model*, whatever their `model` says."""
    count_text = lru_cache(LAST_TEXTS)(text_counter(model))
    guessed: frozenset[Approximated] = (
        frozenset() if is_encoding_known(model) else frozenset({"the text, with another model's tokenizer"})
    )

    def count(body: Mapping[str, Json], endpoint: Endpoint) -> RequestTokens:
        tally = _Tally(count_text)
        tally.uncounted.update(uncounted(body, endpoint))
        match endpoint:
            case "/v1/chat/completions":
                _add_chat(tally, body)
            case "/v1/responses":
                _add_responses(tally, body)
            case "/v1/embeddings":
                _add_embeddings(tally, body)
            case _:
                assert_never(endpoint)
        names = frozenset(tally.uncounted), guessed | tally.approximated
        return RequestTokens(tally.tokens, _output_bound(body, endpoint), *names, tally.margin)

    return count


TextCounter = Callable[[str], tuple[int, int]]
"""Returns the tokens of a text, and the most that may come on top."""


def text_counter(model: str) -> TextCounter:
    """Return a function that counts the tokens of a text for *model*.

    If its tokenizer is a guess, the most is one token a byte, as with every tokenizer that OpenAI has published.
    """
    count = _counter_of(encoding_of(model))
    if is_encoding_known(model):
        return lambda text: (count(text), 0)

    def guess(text: str) -> tuple[int, int]:
        tokens = count(text)
        return tokens, max(0, len(text.encode()) - tokens)

    return guess


def _output_bound(body: Mapping[str, Json], endpoint: Endpoint) -> int | None:
    """Return the most output tokens of a request; a limit that is not a positive whole number is none."""
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
    # If both limits are given, it is not documented which one OpenAI applies.
    return max(given) * answers if given and answers is not None else None


class _Tally:
    """What was found in one request so far."""

    def __init__(self, count: TextCounter) -> None:
        self._count = count
        self.tokens = 0
        self.margin = 0
        self.uncounted: set[Uncounted] = set()
        self.approximated: set[Approximated] = set()

    def add_text(self, text: Json) -> None:
        if isinstance(text, str):
            tokens, margin = self._count(text)
            self.tokens += tokens
            self.margin += margin
        elif text is not None:
            self.uncounted.add("other content")

    def add_content(self, content: Json) -> None:
        """Add a message's content: a text or a list of parts."""
        if not isinstance(content, list):
            self.add_text(content)
            return
        for part in _objects(cast("list[Json]", content)):
            kind = str(part.get("type"))
            if field := _TEXT_PARTS.get(kind):
                self.add_text(part.get(field))
                self.uncounted.update(added_by(part, TEXT_PART, "other content"))
            else:
                self.uncounted.add(_OTHER_PARTS.get(kind, "other content"))

    def add_message(self, message: Mapping[str, Json], endpoint: Endpoint) -> None:
        """Add a message with everything in it."""
        self.tokens += MESSAGE_TOKENS
        if (role := message.get("role")) in _ROLES:
            self.tokens += 1
        elif role is None:
            self.uncounted.add("other content")
        else:
            self.add_text(role)
        self.add_content(message.get("content"))
        if message.keys() <= _PLAIN_MESSAGE:
            return
        if (name := message.get("name")) is not None:
            self.tokens += NAME_TOKENS
            self.add_text(name)
        for field in _TEXT_FIELDS:
            self.add_text(message.get(field))
        self.uncounted.update(added_by(message, MESSAGE[endpoint], "other content"))

    def add_format(self, answer_format: Json) -> None:
        """Add the format of the answer, with its schema as compact JSON.

        How OpenAI shows it to the model is not documented. The most is one token a byte, written with spaces and
        escapes.
        """
        fields = _object(answer_format)
        if answer_format is None or fields in ({"type": "text"}, {"type": "json_object"}):
            return
        before = self.tokens
        shown = _object(fields.get("json_schema", fields))
        self.add_text(shown.get("description"))
        if schema := shown.get("schema"):
            self.add_text(msgspec.json.encode(schema).decode())
        most = FORMAT_TOKENS + _spaced_bytes(msgspec.json.encode(answer_format))
        self.margin += max(0, most - (self.tokens - before))
        self.approximated.add("the output schema")


@lru_cache(LAST_TEXTS)
def _spaced_bytes(value: bytes) -> int:
    """Return the length of a JSON value, written with spaces and escapes."""
    return len(json.dumps(msgspec.json.decode(value)))


def _add_chat(tally: _Tally, body: Mapping[str, Json]) -> None:
    tally.tokens += ANSWER_TOKENS
    for message in _objects(body.get("messages")):
        tally.add_message(message, "/v1/chat/completions")
    tally.add_format(body.get("response_format"))


def _add_responses(tally: _Tally, body: Mapping[str, Json]) -> None:
    tally.tokens += ANSWER_TOKENS
    if body.get("instructions") is not None:
        tally.add_message({"role": "system", "content": body["instructions"]}, "/v1/responses")
    content = body.get("input")
    if not isinstance(content, list):
        tally.add_message({"role": "user", "content": content}, "/v1/responses")
    for item in _objects(content):
        if item.get("type", "message") == "message":
            tally.add_message(item, "/v1/responses")
        else:
            tally.uncounted.add("other content")
    tally.add_format(_object(body.get("text")).get("format"))


def _add_embeddings(tally: _Tally, body: Mapping[str, Json]) -> None:
    content = body.get("input")
    inputs = cast("list[Json]", content) if isinstance(content, list) else [content]
    for item in inputs:
        if isinstance(item, list) and all(isinstance(token, int) for token in cast("list[Json]", item)):
            tally.tokens += len(cast("list[int]", item))
        elif isinstance(item, int):
            tally.tokens += 1
        else:
            tally.add_text(item)


@cache
def _counter_of(encoding: Encoding) -> Callable[[str], int]:
    import splintr

    tokenizer = splintr.Tokenizer.from_pretrained(encoding)
    flat, ordinary = tokenizer.encode_flat, tokenizer.encode_ordinary

    def count(text: str) -> int:
        # Four bytes a token, and twice as fast as a list of them. But it reads `<|endoftext|>` and the like as control
        # tokens; OpenAI reads them as text.
        return len(ordinary(text)) if CONTROL_MARK in text else len(flat(text)) // 4

    return count


def _base(model: str) -> str:
    return model.lower().removeprefix("ft:")


def _positive(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _object(value: Json) -> dict[str, Json]:
    """Return the fields of a JSON object; any other value has none."""
    return cast("dict[str, Json]", value) if isinstance(value, dict) else {}


def _objects(value: Json) -> list[dict[str, Json]]:
    """Return the objects in a JSON list; any other value counts as empty, and the provider will refuse it."""
    return [_object(item) for item in cast("list[Json]", value)] if isinstance(value, list) else []
