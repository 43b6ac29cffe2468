"""What a body makes OpenAI charge for is counted wherever it stands, or leaves the cost without a bound."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from openai.types import embedding_create_params
from openai.types.chat import (
    ChatCompletionContentPartRefusalParam,
    ChatCompletionContentPartTextParam,
    ChatCompletionMessageParam,
    completion_create_params,
)
from openai.types.responses import (
    EasyInputMessageParam,
    ResponseInputTextParam,
    ResponseOutputMessageParam,
    ResponseTextConfigParam,
    response_create_params,
    response_input_item_param,
)
from openai.types.shared_params import Reasoning

from batchwright.checks.parameters import PARAMETERS
from batchwright.core.model import Endpoint, Json
from batchwright.costs.billing import BODY, INNER, MESSAGE, TEXT_PART
from batchwright.costs.tokens import RequestTokens, counter, text_counter
from tests.support.openai_server import OpenAIServer
from tests.support.session import in_memory, openai_environment

CHAT: Endpoint = "/v1/chat/completions"
RESPONSES: Endpoint = "/v1/responses"
EMBEDDINGS: Endpoint = "/v1/embeddings"
LONG = "!^#$*@(& a text of many tokens " * 200
ASKED: Mapping[Endpoint, Mapping[str, Json]] = {
    CHAT: {"messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 5},
    RESPONSES: {"input": "hi", "max_output_tokens": 16},
    EMBEDDINGS: {"input": "hi"},
}
BODIES = {
    CHAT: completion_create_params.CompletionCreateParamsBase,
    RESPONSES: response_create_params.ResponseCreateParamsBase,
    EMBEDDINGS: embedding_create_params.EmbeddingCreateParams,
}


def count(endpoint: Endpoint, **fields: Json) -> RequestTokens:
    """Count a small request with more *fields*."""
    return counter("gpt-5-mini")({**ASKED[endpoint], **fields}, endpoint)


def fields_of(*kinds: Any) -> set[str]:
    """Give the fields of the SDK's types."""
    return {field for kind in kinds for field in kind.__annotations__}


@pytest.mark.parametrize("endpoint", get_args(Endpoint))
def test_a_parameter_of_the_sdk_that_nobody_has_judged_leaves_no_bound(endpoint: Endpoint) -> None:
    """Newer versions of the SDK know more: until one is looked up, nobody relies on the cost of a request with it."""
    unjudged = fields_of(BODIES[endpoint]) - BODY[endpoint].keys()

    assert BODY[endpoint].keys() == PARAMETERS[endpoint].keys()
    assert len(unjudged) < len(BODY[endpoint])
    assert [name for name in unjudged if not count(endpoint, **{name: {"a": "b"}}).uncounted] == []


def test_a_field_within_that_nobody_has_judged_leaves_no_bound() -> None:
    """What is charged may stand at any depth."""
    message = {"role": "user", "content": "hi"}
    chat = fields_of(*get_args(ChatCompletionMessageParam)) - MESSAGE[CHAT].keys()
    responses = fields_of(EasyInputMessageParam, ResponseOutputMessageParam, response_input_item_param.Message)
    parts = fields_of(ChatCompletionContentPartTextParam, ChatCompletionContentPartRefusalParam, ResponseInputTextParam)
    text = set(get_type_hints(ResponseTextConfigParam)) - INNER["text"]
    reasoning = fields_of(Reasoning) - INNER["reasoning"]
    part = {"type": "text", "text": "hi"}
    counts = [
        *(count(CHAT, messages=[{**message, name: "x"}]) for name in {*chat, "of_tomorrow"}),
        *(
            count(RESPONSES, input=[{**message, name: "x"}])
            for name in {*(responses - MESSAGE[RESPONSES].keys()), "of_tomorrow"}
        ),
        *(
            count(CHAT, messages=[{"role": "user", "content": [{**part, name: "x"}]}])
            for name in {*(parts - TEXT_PART.keys()), "of_tomorrow"}
        ),
        *(count(RESPONSES, reasoning={name: "x"}) for name in {*reasoning, "of_tomorrow"}),
        *(count(RESPONSES, text={name: "x"}) for name in {*text, "of_tomorrow"}),
    ]

    assert all(each.uncounted for each in counts)


@pytest.mark.parametrize("endpoint", get_args(Endpoint))
@pytest.mark.parametrize("value", [True, {}, {"agents": 8}, "on"])
def test_a_parameter_that_nobody_has_heard_of_leaves_the_cost_without_a_bound(endpoint: Endpoint, value: Json) -> None:
    """It may have more models at work, or more than once."""
    assert count(endpoint, multi_agent=value).uncounted == {"other parameters"}


UNCOUNTED: list[tuple[Endpoint, dict[str, Json], str]] = [
    (CHAT, {"web_search_options": {}}, "tools"),
    (CHAT, {"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    (CHAT, {"audio": {}}, "audio"),
    (CHAT, {"modalities": ["text", "audio"]}, "audio"),
    (CHAT, {"prediction": {}}, "predicted output"),
    (CHAT, {"prompt_cache_options": {}}, "prompt cache options"),
    (CHAT, {"service_tier": "priority"}, "a service tier"),
    (CHAT, {"service_tier": "ultrafast"}, "a service tier"),
    (CHAT, {"messages": [{"role": "assistant", "content": "hi", "audio": {"id": "audio_1"}}]}, "audio"),
    (CHAT, {"messages": [{"role": "assistant", "function_call": {}}]}, "tool calls"),
    (CHAT, {"messages": [{"role": "user", "content": "hi", "reasoning_content": "long"}]}, "other content"),
    (CHAT, {"messages": ["hi"]}, "other content"),
    (
        CHAT,
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "more": "x"}]}]},
        "other content",
    ),
    (RESPONSES, {"prompt": {}}, "a stored prompt"),
    (RESPONSES, {"context_management": [{"type": "compaction"}]}, "other parameters"),
    (RESPONSES, {"background_options": {}}, "other parameters"),
    (RESPONSES, {"reasoning": {"mode": "pro"}}, "a reasoning mode"),
    (RESPONSES, {"reasoning": {"agents": 8}}, "other parameters"),
    (RESPONSES, {"text": {"voice": "loud"}}, "other parameters"),
    (RESPONSES, {"input": ["hi"]}, "other content"),
    (EMBEDDINGS, {"input": [[1, "a long text"]]}, "other content"),
]


@pytest.mark.parametrize(("endpoint", "fields", "name"), UNCOUNTED)
def test_what_cannot_be_counted_is_named_wherever_it_stands(
    endpoint: Endpoint, fields: dict[str, Json], name: str
) -> None:
    """Also where it is empty: what an empty object means is OpenAI's to say."""
    assert count(endpoint, **fields).uncounted == {name}


@pytest.mark.parametrize(
    ("endpoint", "fields"),
    [
        (CHAT, {"service_tier": "flex", "modalities": ["text"], "tools": [], "web_search_options": None}),
        (CHAT, {"seed": 1, "user": "u", "metadata": {"a": "b"}, "store": False, "temperature": 0}),
        (RESPONSES, {"reasoning": {"effort": "low", "mode": "standard"}, "text": {"verbosity": "low"}}),
        (RESPONSES, {"tools": [], "previous_response_id": None, "truncation": "auto"}),
        (EMBEDDINGS, {"dimensions": 256, "encoding_format": "base64"}),
    ],
)
def test_what_costs_nothing_leaves_the_cost_bounded(endpoint: Endpoint, fields: dict[str, Json]) -> None:
    """Most requests say more than their texts, and nobody should have to name a maximum for that."""
    assert count(endpoint, **fields).uncounted == set()


def schema(**fields: Json) -> Json:
    """Give a format of an answer with a schema and more *fields*."""
    return {"name": "answer", "schema": {"type": "object", "properties": {"a": {"type": "string"}}}, **fields}


@pytest.mark.parametrize(
    ("endpoint", "fields"),
    [
        (CHAT, {"response_format": {"type": "json_schema", "json_schema": schema(description=LONG)}}),
        (CHAT, {"response_format": {"type": "json_schema", "json_schema": schema(name=LONG)}}),
        (CHAT, {"response_format": {"type": "json_schema", "json_schema": schema(schema={"title": LONG})}}),
        (CHAT, {"response_format": {"type": "json_schema", "json_schema": schema(schema={LONG: {"enum": [LONG]}})}}),
        (CHAT, {"response_format": {"type": "json_schema", "json_schema": schema(), "note": LONG}}),
        (RESPONSES, {"text": {"format": {"type": "json_schema", **schema(description=LONG)}}}),
        (RESPONSES, {"text": {"format": {"type": "json_schema", **schema(schema={"examples": [LONG]})}}}),
        (RESPONSES, {"text": {"format": LONG}}),
        (CHAT, {"messages": [{"role": "assistant", "refusal": LONG}]}),
        (CHAT, {"messages": [{"role": "assistant", "content": [{"type": "refusal", "refusal": LONG}]}]}),
        (CHAT, {"messages": [{"role": "user", "name": LONG, "content": "hi"}]}),
        (CHAT, {"messages": [{"role": "tool", "tool_call_id": LONG, "content": "hi"}]}),
        (CHAT, {"messages": [{"role": LONG, "content": "hi"}]}),
        (RESPONSES, {"instructions": LONG}),
        (RESPONSES, {"input": [{"role": "assistant", "phase": LONG, "content": "hi"}]}),
    ],
)
def test_a_text_counts_wherever_it_stands(endpoint: Endpoint, fields: dict[str, Json]) -> None:
    """The author of a ready-made file may put it anywhere."""
    counted = count(endpoint, **fields)

    assert counted.uncounted == set()
    assert counted.input_tokens + counted.margin >= text_counter("gpt-5-mini")(LONG)[0]


@pytest.mark.anyio
@pytest.mark.parametrize("place", ["description", "refusal"])
async def test_a_ready_made_file_costs_at_most_what_its_draft_names(
    tmp_path: Path, server: OpenAIServer, place: str
) -> None:
    """Text that a draft overlooks is paid by whoever agreed to the draft."""
    said: dict[str, Json] = {
        "description": {"response_format": {"type": "json_schema", "json_schema": schema(description=LONG)}},
        "refusal": {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "refusal": LONG}]},
    }
    body = {**ASKED[CHAT], "model": "gpt-5-mini", **said[place]}
    lines = [json.dumps({"custom_id": f"r{n}", "method": "POST", "url": CHAT, "body": body}) + "\n" for n in range(100)]
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "ready.jsonl").write_text("".join(lines), encoding="utf-8")
    true_usd = 100 * text_counter("gpt-5-mini")(LONG)[0] * 0.125e-6

    async with in_memory(openai_environment(tmp_path, server)) as session:
        draft = await session.call("create_batch_file", batch_file="ready.jsonl")
        refused = await session.error("submit_job", job_id=draft["job_id"], max_cost_usd=true_usd * 0.9)

    most = draft["cost"].split(" to $")[1].split()[0]
    assert float(most) >= true_usd
    assert "above max_cost_usd" in refused
    assert server.posts == 0
