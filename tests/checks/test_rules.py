"""What makes requests fail later is found before they are sent; what another server may take is not refused."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.checks.families import MODELS, family_of
from batchwright.checks.parameters import INSTEAD, PARAMETERS
from batchwright.checks.rules import faults, lacks_json_word
from batchwright.core.model import Endpoint, Json, ProviderInfo
from tests.support.values import OLLAMA, OPENAI

CHAT, RESPONSES, EMBEDDINGS = get_args(Endpoint)
REGIONAL = ProviderInfo("service", "eu.api.openai.com", "gpt-5-mini")
AZURE = ProviderInfo("service", "mine.openai.azure.com", "gpt-4o")
EMBEDDED = ProviderInfo("embedded", "this machine", "SmolLM2-135M-Instruct")
THROUGH_ENGINE = ProviderInfo("endpoint", "api.openai.com", "gpt-5-mini", charges="standard")
ELSEWHERE = [AZURE, OLLAMA, EMBEDDED, THROUGH_ENGINE]

OPEN: dict[str, Json] = {"type": "object", "properties": {"a": {"type": "string"}}}
CLOSED: dict[str, Json] = {**OPEN, "required": ["a"], "additionalProperties": False}
TOOL: dict[str, Json] = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}

values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def answers(**json_schema: Json) -> dict[str, Json]:
    """Give the chat parameters of an output schema."""
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", **json_schema}}}


CERTAIN: list[tuple[Endpoint, str, dict[str, Json], str, str, str]] = [
    # chat: names
    (CHAT, "gpt-5-mini", {"max_tokens": 9}, "unsupported_parameter", "max_tokens", "max_completion_tokens"),
    (CHAT, "o3", {"max_tokens": 9}, "unsupported_parameter", "max_tokens", "max_completion_tokens"),
    (CHAT, "o1-2024-12-17", {"max_tokens": 9}, "unsupported_parameter", "max_tokens", "max_completion_tokens"),
    (CHAT, "gpt-5.5", {"max_tokens": 9}, "unsupported_parameter", "max_tokens", "max_completion_tokens"),
    (CHAT, "ft:o4-mini-2025-04-16:org::id", {"max_tokens": 9}, "unsupported_parameter", "max_tokens", "max_comp"),
    (CHAT, "gpt-4.1", {"max_output_tokens": 9}, "unsupported_parameter", "max_output_tokens", "max_completion_tokens"),
    (CHAT, "gpt-4.1", {"input": "x"}, "unsupported_parameter", "input", "messages"),
    (CHAT, "gpt-4.1", {"instructions": "x"}, "unsupported_parameter", "instructions", "role system"),
    (CHAT, "gpt-4.1", {"text": {}}, "unsupported_parameter", "text", "response_format"),
    (CHAT, "gpt-5", {"reasoning": {"effort": "low"}}, "unsupported_parameter", "reasoning", "reasoning_effort"),
    (CHAT, "gpt-4.1", {"stream_options": {}}, "invalid_request", "stream_options", "Leave"),
    (CHAT, "gpt-4.1", {"max_tokens": 9, "max_completion_tokens": 9}, "invalid_request", "max_tokens", "Leave"),
    (CHAT, "gpt-4.1", {"top_logprobs": 2}, "invalid_request", "top_logprobs", "logprobs"),
    # chat: sampling and effort
    (CHAT, "gpt-5-mini", {"temperature": 0}, "unsupported_parameter", "temperature", "Leave it out"),
    (CHAT, "gpt-5-mini", {"top_p": 0.5}, "unsupported_parameter", "top_p", "Leave it out"),
    (CHAT, "o4-mini", {"presence_penalty": 1}, "unsupported_parameter", "presence_penalty", "Leave it out"),
    (CHAT, "o4-mini", {"frequency_penalty": 1}, "unsupported_parameter", "frequency_penalty", "Leave it out"),
    (CHAT, "o3-mini", {"logprobs": True}, "unsupported_parameter", "logprobs", "Leave it out"),
    (CHAT, "o3-mini", {"logit_bias": {"1": 2}}, "unsupported_parameter", "logit_bias", "Leave it out"),
    (CHAT, "o3", {"stop": "x"}, "unsupported_parameter", "stop", "Leave it out"),
    (CHAT, "gpt-5.1", {"temperature": 0, "reasoning_effort": "low"}, "unsupported_parameter", "temperature", "none"),
    (CHAT, "gpt-5", {"reasoning_effort": "none"}, "invalid_value", "reasoning_effort", "minimal, low, medium, high"),
    (CHAT, "gpt-5.1", {"reasoning_effort": "xhigh"}, "invalid_value", "reasoning_effort", "none"),
    (CHAT, "gpt-4o-mini", {"reasoning_effort": "low"}, "unsupported_parameter", "reasoning_effort", "Leave it out"),
    (CHAT, "gpt-5", {"reasoning_effort": "huge"}, "invalid_value", "reasoning_effort", "Give one of"),
    # chat: values
    (CHAT, "gpt-4.1", {"temperature": "0.5"}, "invalid_type", "temperature", "a number"),
    (CHAT, "gpt-4.1", {"temperature": True}, "invalid_type", "temperature", "a number"),
    (CHAT, "gpt-4.1", {"temperature": 2.1}, "invalid_value", "temperature", "0 to 2"),
    (CHAT, "gpt-4.1", {"top_p": -0.1}, "invalid_value", "top_p", "0 to 1"),
    (CHAT, "gpt-4.1", {"max_completion_tokens": "100"}, "invalid_type", "max_completion_tokens", "whole number"),
    (CHAT, "gpt-4.1", {"max_completion_tokens": 0}, "invalid_value", "max_completion_tokens", "1 or more"),
    (CHAT, "gpt-4.1", {"max_completion_tokens": -1}, "invalid_value", "max_completion_tokens", "1 or more"),
    (CHAT, "gpt-4.1", {"max_completion_tokens": 1.5}, "invalid_type", "max_completion_tokens", "whole number"),
    (CHAT, "gpt-4.1", {"n": 129}, "invalid_value", "n", "1 to 128"),
    (CHAT, "gpt-4.1", {"stop": list("abcde")}, "invalid_value", "stop", "4"),
    (CHAT, "gpt-4.1", {"verbosity": "loud"}, "invalid_value", "verbosity", "low, medium, high"),
    # chat: formats, tools, messages
    (CHAT, "gpt-4.1", {"response_format": {"type": "json"}}, "invalid_value", "response_format.type", "json_object"),
    (CHAT, "gpt-4.1", {"response_format": {}}, "missing_required_parameter", "response_format", "type"),
    (CHAT, "gpt-4.1", {"response_format": "json_object"}, "invalid_type", "response_format", "object"),
    (CHAT, "gpt-4.1", answers(name="my answer"), "invalid_value", "response_format.json_schema.name", "letters"),
    (CHAT, "gpt-4.1", answers(name="a" * 65), "invalid_value", "response_format.json_schema.name", "64"),
    (CHAT, "gpt-4.1", answers(name="answer\n"), "invalid_value", "response_format.json_schema.name", "64"),
    (CHAT, "gpt-4.1", answers(strict=True), "invalid_json_schema", "response_format.json_schema.schema", "Give it"),
    (
        CHAT,
        "gpt-4.1",
        answers(strict=True, schema=OPEN),
        "invalid_json_schema",
        "response_format.json_schema.schema",
        "f",
    ),
    (CHAT, "gpt-4.1", {"tools": []}, "invalid_value", "tools", "empty"),
    (CHAT, "gpt-4.1", {"tool_choice": "auto"}, "invalid_value", "tool_choice", "Name the tools"),
    (
        CHAT,
        "gpt-4.1",
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "see"}}},
        "invalid_value",
        "tool_choice",
        "Name one",
    ),
    (CHAT, "gpt-4.1", {"messages": []}, "invalid_value", "messages", "empty"),
    (CHAT, "gpt-4.1", {"messages": [{"role": "bot", "content": "x"}]}, "invalid_value", "messages[0].role", "system"),
    (CHAT, "gpt-4.1", {"messages": [{"role": "user"}]}, "missing_required_parameter", "messages[0].content", "content"),
    (CHAT, "gpt-4.1", {"messages": [{"role": "user", "content": 1}]}, "invalid_type", "messages[0].content", "parts"),
    (CHAT, "gpt-4.1", {"messages": "x"}, "invalid_type", "messages", "a list"),
    (CHAT, "text-embedding-3-small", {}, "unsupported_endpoint", "model", EMBEDDINGS),
    # responses
    (RESPONSES, "gpt-5", {"messages": []}, "unsupported_parameter", "messages", "'input'"),
    (RESPONSES, "gpt-5", {"max_tokens": 99}, "unsupported_parameter", "max_tokens", "max_output_tokens"),
    (RESPONSES, "gpt-5", {"max_completion_tokens": 99}, "unsupported_parameter", "max_completion_tokens", "max_output"),
    (RESPONSES, "gpt-5", {"response_format": {}}, "unsupported_parameter", "response_format", "'text'"),
    (RESPONSES, "gpt-5", {"reasoning_effort": "low"}, "unsupported_parameter", "reasoning_effort", "'reasoning'"),
    (RESPONSES, "gpt-5", {"max_output_tokens": 15}, "invalid_value", "max_output_tokens", "16 or more"),
    (RESPONSES, "gpt-5", {"temperature": 0.2}, "unsupported_parameter", "temperature", "Leave it out"),
    (RESPONSES, "gpt-4.1", {"reasoning": {"effort": "low"}}, "unsupported_parameter", "reasoning.effort", "Leave"),
    (RESPONSES, "gpt-5", {"reasoning": {"effort": "huge"}}, "invalid_value", "reasoning.effort", "minimal"),
    (
        RESPONSES,
        "gpt-5",
        {"text": {"format": {"type": "json_schema", "name": "a", "strict": True, "schema": OPEN}}},
        "invalid_json_schema",
        "text.format.schema",
        "false",
    ),
    (RESPONSES, "gpt-5", {"tool_choice": "required"}, "invalid_value", "tool_choice", "Name the tools"),
    # embeddings
    (EMBEDDINGS, "text-embedding-ada-002", {"dimensions": 9}, "unsupported_parameter", "dimensions", "Leave it out"),
    (EMBEDDINGS, "text-embedding-3-small", {"dimensions": 2000}, "invalid_value", "dimensions", "1536"),
    (EMBEDDINGS, "text-embedding-3-small", {"temperature": 0}, "unsupported_parameter", "temperature", "Leave it out"),
    (EMBEDDINGS, "text-embedding-3-small", {"messages": []}, "unsupported_parameter", "messages", "'input'"),
    (EMBEDDINGS, "gpt-5", {}, "unsupported_endpoint", "model", CHAT),
]


@pytest.mark.parametrize(("endpoint", "model", "fields", "code", "param", "advice"), CERTAIN)
def test_what_fails_every_request_is_certain_at_openai_alone_and_says_what_to_do(
    endpoint: Endpoint, model: str, fields: dict[str, Json], code: str, param: str, advice: str
) -> None:
    """Found hours later, it costs a day; an assistant has only the sentence to fix it by."""
    found = faults(endpoint, {"model": model, **fields}, OPENAI)

    [fault] = [fault for fault in found if fault.is_certain and (fault.code, fault.param) == (code, param)]
    assert advice in fault.message
    assert fault.message.count(". ") == 1 or code == "invalid_json_schema"
    assert fault in faults(endpoint, {"model": model, **fields}, REGIONAL)
    # Elsewhere a deployment may have any name, and a local server may ignore the rest.
    for provider in ELSEWHERE:
        assert not any(found.is_certain for found in faults(endpoint, {"model": model, **fields}, provider))


FINE: list[tuple[Endpoint, str, dict[str, Json]]] = [
    (CHAT, "gpt-5-mini", {"max_completion_tokens": 9, "temperature": 1, "reasoning_effort": "minimal", "seed": 1}),
    (CHAT, "gpt-5-mini", {"temperature": None, "max_tokens": None, "logit_bias": {}, "top_p": 1.0, "logprobs": False}),
    (CHAT, "gpt-5.1", {"temperature": 0, "top_p": 0.5, "logprobs": True, "top_logprobs": 2}),
    (CHAT, "gpt-5.2", {"temperature": 0, "reasoning_effort": "none"}),
    (CHAT, "gpt-5-chat-latest", {"temperature": 0.3}),
    (CHAT, "gpt-4o-mini", {"max_tokens": 9, "temperature": 0, "n": 128, "stop": list("abcd"), "logit_bias": {"1": 2}}),
    (CHAT, "ft:gpt-4.1-mini-2025-04-14:org::id", {"max_tokens": 9.0, "temperature": 2}),
    (CHAT, "gpt-4.1", answers(strict=True, schema=CLOSED)),
    (CHAT, "gpt-4.1", answers(schema=OPEN)),
    (CHAT, "gpt-4.1", {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "look"}}}),
    (CHAT, "gpt-4.1", {"messages": [{"role": role, "content": "x"} for role in ("system", "developer", "user")]}),
    (CHAT, "gpt-4.1", {"messages": [{"role": "assistant", "content": None, "tool_calls": []}]}),
    (CHAT, "o1", {"messages": [{"role": "system", "content": [{"type": "text", "text": "x"}]}]}),
    (RESPONSES, "gpt-5", {"input": "x", "instructions": "y", "max_output_tokens": 16, "reasoning": {"effort": "low"}}),
    (
        RESPONSES,
        "gpt-4.1",
        {"input": [], "text": {"format": {"type": "text"}}, "temperature": 0, "tool_choice": "auto"},
    ),
    (RESPONSES, "o3-pro", {"input": "x"}),
    (EMBEDDINGS, "text-embedding-3-large", {"input": ["x"], "dimensions": 3072, "encoding_format": "float"}),
    (EMBEDDINGS, "text-embedding-ada-002", {"input": [1, 2]}),
]


@pytest.mark.parametrize(("endpoint", "model", "fields"), FINE)
def test_what_openai_takes_is_not_even_warned_of(endpoint: Endpoint, model: str, fields: dict[str, Json]) -> None:
    """A false alarm keeps a good file from being sent."""
    assert faults(endpoint, {"model": model, **fields}, OPENAI) == []


@pytest.mark.parametrize(
    ("endpoint", "fields", "code", "advice"),
    [
        (CHAT, {"model": "gpt-4.1", "temperatur": 0}, "unknown_parameter", "Did you mean 'temperature'?"),
        (CHAT, {"model": "gpt-4.1", "frobnicate": 0}, "unknown_parameter", "leave it out"),
        (RESPONSES, {"model": "gpt-4.1", "seed": 0}, "unknown_parameter", "It belongs to /v1/chat/completions"),
        (CHAT, {"model": "gpt6-luna"}, "unknown_model", "Did you mean 'gpt-6-luna'?"),
        (CHAT, {"model": "zebra"}, "unknown_model", "try a few rows"),
        (CHAT, {"model": "gpt-5.5", "temperature": 0}, "unsupported_parameter", "effort is none"),
        (CHAT, {"model": "gpt-6-sol", "max_tokens": 9}, "unsupported_parameter", "max_completion_tokens"),
        (CHAT, {"model": "gpt-5-pro"}, "unsupported_endpoint", RESPONSES),
    ],
)
def test_a_suspicion_is_a_warning_with_the_nearest_known_name(
    endpoint: Endpoint, fields: dict[str, Json], code: str, advice: str
) -> None:
    """The API grows faster than this list: what is not known here may be new."""
    [fault] = faults(endpoint, fields, OPENAI)

    assert (fault.code, fault.is_certain) == (code, False)
    assert advice in fault.message


@pytest.mark.parametrize(
    ("provider", "fields", "params"),
    [
        (OLLAMA, {"model": "llama3.2", "top_k": 5, "max_tokens": 9, "temperature": 0, "n": 500}, []),
        (OLLAMA, {"model": "gpt-5-mini", "max_tokens": 9}, []),
        (OLLAMA, {"model": "llama3.2", "temperature": "0.5"}, ["temperature"]),
        (EMBEDDED, {"model": "SmolLM2-135M-Instruct", "temperature": 0, "max_output_tokens": 9}, ["max_output_tokens"]),
        (AZURE, {"model": "my-deployment", "max_tokens": 9, "temperature": 0}, []),
        (AZURE, {"model": "gpt-5-mini", "max_tokens": 9}, ["max_tokens"]),
        (THROUGH_ENGINE, {"model": "gpt-5-mini", "max_tokens": 9}, ["max_tokens"]),
    ],
)
def test_elsewhere_only_what_is_likely_to_matter_is_told(
    provider: ProviderInfo, fields: dict[str, Json], params: list[str]
) -> None:
    """A warning that is mostly wrong is not read when it is right."""
    assert [fault.param for fault in faults(CHAT, fields, provider)] == params


@pytest.mark.parametrize(
    ("endpoint", "fields", "is_lacking"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "Label it"}]}, True),
        (CHAT, {"messages": [{"role": "user", "content": "As Json"}]}, False),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": "JSON!"}]}]}, False),
        (RESPONSES, {"input": "Label it"}, True),
        (RESPONSES, {"input": "Label it", "instructions": "Give JSON"}, False),
        (RESPONSES, {"input": "Label it", "previous_response_id": "r"}, False),
    ],
)
def test_json_mode_wants_the_word_json(endpoint: Endpoint, fields: dict[str, Json], *, is_lacking: bool) -> None:
    """OpenAI refuses each such request."""
    form = {"type": "json_object"}
    asked = {"text": {"format": form}} if endpoint == RESPONSES else {"response_format": form}

    fault = lacks_json_word(endpoint, {**fields, **asked}, OPENAI)

    assert (fault is not None and fault.is_certain) is is_lacking
    assert lacks_json_word(endpoint, fields, OPENAI) is None
    assert lacks_json_word(endpoint, {**fields, **asked}, OLLAMA) is None


@pytest.mark.slow
@given(
    endpoint=st.sampled_from(get_args(Endpoint)),
    body=st.dictionaries(st.text(max_size=5) | st.sampled_from([*PARAMETERS[CHAT], *PARAMETERS[RESPONSES]]), values),
)
def test_any_body_is_judged_and_no_value_of_it_is_repeated(endpoint: Endpoint, body: dict[str, Json]) -> None:
    """A body may hold anything, and what the rows hold is the user's own."""
    secret = "Xq7-secret"
    body = {name: secret if isinstance(value, str) else value for name, value in body.items()} | {"model": "gpt-5"}

    assert not any(secret in fault.message for fault in faults(endpoint, body, OPENAI))


def test_the_names_that_are_suggested_are_of_known_families() -> None:
    """Advice that would be refused next is no advice."""
    assert [model for model in MODELS if family_of(model) is None] == []
    for endpoint in get_args(Endpoint):
        assert INSTEAD[endpoint].keys() & PARAMETERS[endpoint].keys() == set()
