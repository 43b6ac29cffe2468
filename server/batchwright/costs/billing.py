"""What OpenAI bills in a request's body, field by field. Pure: `tokens` does the counting.

A field that is not listed here may be charged in some unknown way, so it leaves the cost without a limit.
Source: the types of the `openai` package 3.57 with their docstrings.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, cast

from batchwright.core.model import Endpoint, Json

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
    "a reasoning mode",
    "prompt cache options",
    "other content",
    "other parameters",
]
"""What a request may hold that only OpenAI can count, or that it charges differently."""

_SHARED: Mapping[str, Uncounted | None] = {
    **dict.fromkeys(
        (
            "model",
            "metadata",
            "moderation",
            "parallel_tool_calls",
            "prompt_cache_key",
            "prompt_cache_retention",
            "safety_identifier",
            "service_tier",
            "store",
            "stream",
            "stream_options",
            "temperature",
            "tool_choice",
            "top_logprobs",
            "top_p",
            "user",
        )
    ),
    "prompt_cache_options": "prompt cache options",
    "tools": "tools",
}
BODY: Mapping[Endpoint, Mapping[str, Uncounted | None]] = {
    "/v1/chat/completions": {
        **_SHARED,
        **dict.fromkeys(
            (
                "messages",
                "frequency_penalty",
                "function_call",
                "logit_bias",
                "logprobs",
                "max_completion_tokens",
                "max_tokens",
                "modalities",
                "n",
                "presence_penalty",
                "reasoning_effort",
                "response_format",
                "seed",
                "stop",
                "verbosity",
            )
        ),
        "audio": "audio",
        "functions": "tools",
        "prediction": "predicted output",
        "web_search_options": "tools",
    },
    "/v1/responses": {
        **_SHARED,
        **dict.fromkeys(
            (
                "input",
                "background",
                "include",
                "instructions",
                "max_output_tokens",
                "max_tool_calls",
                "reasoning",
                "text",
                "truncation",
            )
        ),
        "access_programs": "other parameters",
        "context_management": "other parameters",
        "conversation": "a stored conversation",
        "image": "images",
        "previous_response_id": "a stored conversation",
        "prompt": "a stored prompt",
    },
    "/v1/embeddings": dict.fromkeys(("model", "input", "dimensions", "encoding_format", "stream", "user")),
}
"""The fields of each endpoint's body, and what each adds that cannot be counted; None: nothing."""
MESSAGE: Mapping[Endpoint, Mapping[str, Uncounted | None]] = {
    "/v1/chat/completions": {
        **dict.fromkeys(("role", "content", "name", "refusal", "tool_call_id")),
        "audio": "audio",
        "function_call": "tool calls",
        "tool_calls": "tool calls",
    },
    "/v1/responses": dict.fromkeys(("type", "role", "content", "id", "phase", "status")),
}
"""The same for a message."""
TEXT_PART: Mapping[str, Uncounted | None] = {
    **dict.fromkeys(("type", "text", "refusal")),
    "prompt_cache_breakpoint": "prompt cache options",
}
"""The same for a text among the parts of a message."""

_FREE = {endpoint: frozenset(field for field, adds in BODY[endpoint].items() if adds is None) for endpoint in BODY}
_TIERS = (None, "auto", "default", "flex")
"""Tiers that cost at most the standard price; `auto` is the project's own setting."""
INNER: Mapping[str, frozenset[str]] = {
    "reasoning": frozenset({"context", "effort", "generate_summary", "mode", "summary"}),
    "text": frozenset({"format", "verbosity"}),
}
"""What an object among the fields may hold, if that could be charged."""


def uncounted(body: Mapping[str, Json], endpoint: Endpoint) -> Iterator[Uncounted]:
    """Yield whatever the parameters of a body add to its cost that cannot be counted."""
    if not body.keys() <= _FREE[endpoint]:
        yield from added_by(body, BODY[endpoint], "other parameters")
    if body.get("service_tier") not in _TIERS:
        yield "a service tier"
    if endpoint == "/v1/chat/completions" and body.get("modalities") not in (None, ["text"]):
        yield "audio"
    if endpoint == "/v1/responses":
        yield from _added_within(body)


def added_by(
    fields: Mapping[str, Json], known: Mapping[str, Uncounted | None], other: Uncounted
) -> Iterator[Uncounted]:
    """Yield whatever *fields* add that cannot be counted; a field that is not *known* adds *other*."""
    for field, value in fields.items():
        adds = known.get(field, other)
        if adds is not None and value is not None and value != []:
            yield adds


def _added_within(body: Mapping[str, Json]) -> Iterator[Uncounted]:
    for field, known in INNER.items():
        inner = body.get(field)
        if inner is None:
            continue
        if not isinstance(inner, dict) or not cast("dict[str, Json]", inner).keys() <= known:
            yield "other parameters"
        elif cast("dict[str, Json]", inner).get("mode") not in (None, "standard"):
            yield "a reasoning mode"
