"""What requests accept, as data: the parameters of each endpoint. Pure: `rules` judges by them.

Source: the types of the `openai` package 3.52 with their docstrings (`chat/completion_create_params`,
`responses/response_create_params`, `embedding_create_params`), and OpenAI's API reference for bounds that these leave
out (`n` to 128, `top_logprobs` to 20, `max_output_tokens` from 16).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from batchwright.core.model import Endpoint

Kind = Literal["number", "whole number", "true or false", "string", "list", "object"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """What one parameter may be.

    Attributes:
        kinds: Of its value; null is always accepted.
        low, high: Bounds of a number, both included.
        words: The strings that are accepted; empty: any.
        most: Items of a list.
        is_general: Whether every server has these bounds, not only OpenAI.
    """

    kinds: tuple[Kind, ...]
    low: float | None = None
    high: float | None = None
    words: tuple[str, ...] = ()
    most: int | None = None
    is_general: bool = False


_NUMBER: tuple[Kind, ...] = ("number",)
_WHOLE: tuple[Kind, ...] = ("whole number",)
_FLAG = Parameter(("true or false",))
_TEXT = Parameter(("string",))
_LIST = Parameter(("list",))
_OBJECT = Parameter(("object",))
_TEMPERATURE = Parameter(_NUMBER, 0, 2)
_SHARE = Parameter(_NUMBER, 0, 1, is_general=True)
_PENALTY = Parameter(_NUMBER, -2, 2)
_TOKENS = Parameter(_WHOLE, 1, is_general=True)
_TOP_LOGPROBS = Parameter(_WHOLE, 0, 20)
_CHOICE = Parameter(("string", "object"))
_VERBOSITY = Parameter(("string",), words=("low", "medium", "high"))
_TIER = Parameter(("string",), words=("auto", "default", "flex", "scale", "priority", "fast"))
_RETENTION = Parameter(("string",), words=("in_memory", "24h"))

EFFORT = Parameter(("string",), words=("none", "minimal", "low", "medium", "high", "xhigh", "max"))
_SHARED = {
    "model": _TEXT,
    "metadata": _OBJECT,
    "moderation": _OBJECT,
    "parallel_tool_calls": _FLAG,
    "prompt_cache_key": _TEXT,
    "prompt_cache_options": _OBJECT,
    "prompt_cache_retention": _RETENTION,
    "safety_identifier": _TEXT,
    "service_tier": _TIER,
    "store": _FLAG,
    "stream": _FLAG,
    "stream_options": _OBJECT,
    "temperature": _TEMPERATURE,
    "tool_choice": _CHOICE,
    "tools": _LIST,
    "top_logprobs": _TOP_LOGPROBS,
    "top_p": _SHARE,
    "user": _TEXT,
}
PARAMETERS: Mapping[Endpoint, Mapping[str, Parameter]] = {
    "/v1/chat/completions": {
        **_SHARED,
        "messages": _LIST,
        "audio": _OBJECT,
        "frequency_penalty": _PENALTY,
        "function_call": _CHOICE,
        "functions": _LIST,
        "logit_bias": _OBJECT,
        "logprobs": _FLAG,
        "max_completion_tokens": _TOKENS,
        "max_tokens": _TOKENS,
        "modalities": _LIST,
        "n": Parameter(_WHOLE, 1, 128),
        "prediction": _OBJECT,
        "presence_penalty": _PENALTY,
        "reasoning_effort": EFFORT,
        "response_format": _OBJECT,
        "seed": Parameter(_WHOLE),
        "stop": Parameter(("string", "list"), most=4),
        "verbosity": _VERBOSITY,
        "web_search_options": _OBJECT,
    },
    "/v1/responses": {
        **_SHARED,
        "input": Parameter(("string", "list")),
        "access_programs": Parameter(("list", "object")),
        "background": _FLAG,
        "context_management": _LIST,
        "conversation": _CHOICE,
        "image": _OBJECT,
        "include": _LIST,
        "instructions": _TEXT,
        "max_output_tokens": Parameter(_WHOLE, 16),
        "max_tool_calls": Parameter(_WHOLE, 1),
        "previous_response_id": _TEXT,
        "prompt": _OBJECT,
        "reasoning": _OBJECT,
        "text": _OBJECT,
        "truncation": Parameter(("string",), words=("auto", "disabled")),
    },
    "/v1/embeddings": {
        "model": _TEXT,
        "input": Parameter(("string", "list")),
        "dimensions": Parameter(_WHOLE, 1, is_general=True),
        "encoding_format": Parameter(("string",), words=("float", "base64")),
        "user": _TEXT,
        "stream": _FLAG,
    },
}

_LEAVE_OUT = "Leave it out, or use the endpoint that accepts it."
_OTHERS = PARAMETERS["/v1/responses"].keys() | PARAMETERS["/v1/embeddings"].keys()
_MAY_BE_ACCEPTED = frozenset({"access_programs", "image"})
INSTEAD: Mapping[Endpoint, Mapping[str, str]] = {
    "/v1/chat/completions": {
        **dict.fromkeys(_OTHERS - PARAMETERS["/v1/chat/completions"].keys() - _MAY_BE_ACCEPTED, _LEAVE_OUT),
        "max_output_tokens": "Use 'max_completion_tokens' instead.",
        "input": "Use 'messages' instead.",
        "instructions": "Put it into a message with the role system instead.",
        "text": "Use 'response_format' for its format and 'verbosity' for its verbosity instead.",
        "reasoning": "Use 'reasoning_effort' instead.",
    },
    "/v1/responses": {
        "messages": "Use 'input' instead.",
        "max_tokens": "Use 'max_output_tokens' instead.",
        "max_completion_tokens": "Use 'max_output_tokens' instead.",
        "response_format": "Use 'text' with a 'format' instead.",
        "reasoning_effort": "Use 'reasoning' with an 'effort' instead.",
        "verbosity": "Use 'text' with a 'verbosity' instead.",
        "functions": "Use 'tools' instead.",
        "function_call": "Use 'tool_choice' instead.",
        "n": "Leave it out: each request gives one answer.",
        "dimensions": _LEAVE_OUT,
        "encoding_format": _LEAVE_OUT,
    },
    "/v1/embeddings": {
        "messages": "Use 'input' instead.",
        **dict.fromkeys(
            (PARAMETERS["/v1/chat/completions"].keys() | PARAMETERS["/v1/responses"].keys())
            - PARAMETERS["/v1/embeddings"].keys()
            - {"messages", "metadata", "stream", "stream_options"},
            "Leave it out: it is for models that write text.",
        ),
    },
}
"""What to do with a parameter that another endpoint accepts and this one certainly refuses."""

DEFAULTS: Mapping[str, float | bool] = {
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logprobs": False,
    "top_logprobs": 0,
}
"""Sampling parameters with the value that changes nothing; `logit_bias` is one too, and changes nothing if empty."""
GUIDED_SAMPLING = frozenset({"temperature", "top_p", "logprobs", "top_logprobs"})
"""Those that OpenAI's guides name for families that accept sampling only at the effort none."""

ROLES = ("developer", "system", "user", "assistant", "tool", "function")
MAX_NAME_CHARACTERS = 64
"""Of a name that a sentence repeats."""

FREE = ("seed", "user", "metadata", "safety_identifier", "prompt_cache_key")
"""Parameters that are judged by the kind of their value alone, and often differ on every line."""

TOKEN_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
"""Parameters that bound the length of an answer, on one endpoint or another."""
