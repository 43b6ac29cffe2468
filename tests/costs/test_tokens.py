"""Counting tokens: what each endpoint's bodies hold, and what is said of what cannot be counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.model import Endpoint, Json
from batchwright.costs.tokens import (
    ANSWER_TOKENS,
    MESSAGE_TOKENS,
    RequestTokens,
    counter,
    encoding_of,
    is_encoding_known,
)

CHAT: Endpoint = "/v1/chat/completions"
RESPONSES: Endpoint = "/v1/responses"
EMBEDDINGS: Endpoint = "/v1/embeddings"
FRAME = MESSAGE_TOKENS + 1 + ANSWER_TOKENS
"""Of one message: its role is one token."""
SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def count(body: dict[str, Json], endpoint: Endpoint = CHAT, *, model: str = "gpt-5-mini") -> RequestTokens:
    """Give the count of one body."""
    return counter(model)(body, endpoint)


def said(content: Json) -> dict[str, Json]:
    """Give a chat body of one message."""
    return {"messages": [{"role": "user", "content": content}]}


@pytest.mark.parametrize(
    ("models", "encoding"),
    [
        ("gpt-4o gpt-4o-mini-2024-07-18 gpt-4.1-nano gpt-5 gpt-5.6-sol gpt-6.1-terra o1 o3-mini o4-mini", "o200k_base"),
        ("ft:gpt-4o-mini-2024-07-18:org::id chatgpt-4o-latest GPT-4o gpt-oss-20b", "o200k_base"),
        ("gpt-4 gpt-4-0613 gpt-4-turbo gpt-4-32k gpt-3.5-turbo-0125 gpt-35-turbo", "cl100k_base"),
        ("ft:gpt-3.5-turbo-0125:org::id ft:gpt-4:org text-embedding-3-small text-embedding-ada-002", "cl100k_base"),
    ],
)
def test_each_model_is_counted_with_its_own_encoding(models: str, encoding: str) -> None:
    """With the other one, a count is wrong by a tenth and nothing shows it."""
    for model in models.split():
        assert (encoding_of(model), is_encoding_known(model)) == (encoding, True)


@pytest.mark.parametrize("model", ["llama3.2", "text-embedding-nomic-embed-text-v1.5", "my-gpt-4", "o200", ""])
def test_the_encoding_of_an_unknown_model_is_a_guess_and_says_so(model: str) -> None:
    """A compatible service runs models with tokenizers of their own."""
    assert encoding_of(model) == "o200k_base"
    assert not is_encoding_known(model)
    assert count(said("hi"), model=model).approximated == {"the text, with another model's tokenizer"}


TWICE: list[Json] = [{"type": "text", "text": "hello world"}] * 2


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
@pytest.mark.parametrize(
    ("body", "tokens"),
    [(said("hello world"), 2 + FRAME), (said(TWICE), 4 + FRAME), ({"messages": []}, ANSWER_TOKENS)],
    ids=["a text", "a list of texts", "nothing but the opening of the answer"],
)
def test_a_chat_is_its_texts_and_the_frame_around_them(body: dict[str, Json], tokens: int, model: str) -> None:
    """`hello world` is two tokens in both encodings."""
    assert count(body, model=model) == RequestTokens(tokens, None)


def test_a_name_counts_with_one_token_more() -> None:
    """OpenAI's cookbook counts it so."""
    named = {"messages": [{"role": "user", "name": "hello world", "content": "hi"}]}

    assert count(named).input_tokens == count(said("hi")).input_tokens + 3


def test_control_tokens_in_a_text_count_as_text() -> None:
    """A row may hold any text; as a control token it would count as one."""
    assert count(said("<|endoftext|>")).input_tokens > FRAME + 1


@pytest.mark.parametrize("endpoint", [CHAT, RESPONSES])
def test_an_output_schema_is_counted_and_called_approximate(endpoint: Endpoint) -> None:
    """It is sent with every row, but how OpenAI shows it to the model is not documented."""
    plain: dict[str, Json] = {"input": "hi", **said("hi")}
    body = plain | {
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}},
        "text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}},
    }
    text = '{"type":"object","properties":{"label":{"type":"string"}}}'

    counted = count(body, endpoint)

    assert counted.input_tokens - count(plain, endpoint).input_tokens == count(said(text)).input_tokens - FRAME
    assert counted.approximated == {"the output schema"}


def test_responses_count_as_the_same_chat() -> None:
    """A text, a list of messages and a chat are one request in three spellings."""
    chat = count({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello world"}]})
    message = {"role": "user", "content": [{"type": "input_text", "text": "hello world"}]}

    assert count({"instructions": "Be brief.", "input": "hello world"}, RESPONSES) == chat
    assert count({"instructions": "Be brief.", "input": [message]}, RESPONSES) == chat
    assert count({"instructions": "Be brief.", "input": [message | {"type": "message"}]}, RESPONSES) == chat


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ("hello world", 2),
        (["hello world", "hello world"], 4),
        ([15339, 1917], 2),
        ([[15339, 1917], [15339]], 3),
        ([], 0),
    ],
)
def test_embeddings_are_their_inputs_alone(content: Json, tokens: int) -> None:
    """No chat is around them; token arrays are counted already."""
    assert count({"input": content}, EMBEDDINGS, model="text-embedding-3-small") == RequestTokens(tokens, 0)


@pytest.mark.parametrize(
    ("endpoint", "body", "name"),
    [
        (CHAT, said([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]), "images"),
        (CHAT, said([{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]), "audio"),
        (CHAT, said([{"type": "file", "file": {"file_id": "file-1"}}]), "files"),
        (CHAT, said([{"type": "hologram"}]), "other content"),
        (CHAT, said(["bare text"]), "other content"),
        (CHAT, said(3), "other content"),
        (CHAT, {**said("hi"), "tools": [{"type": "function"}]}, "tools"),
        (CHAT, {**said("hi"), "prediction": {"type": "content", "content": "hi"}}, "predicted output"),
        (CHAT, {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]}, "tool calls"),
        (RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "images"),
        (RESPONSES, {"input": [{"type": "function_call_output", "output": "x"}]}, "other content"),
        (RESPONSES, {"input": "hi", "tools": [{"type": "web_search"}]}, "tools"),
        (RESPONSES, {"input": "hi", "previous_response_id": "resp-1"}, "a stored conversation"),
        (RESPONSES, {"prompt": {"id": "pmpt-1"}}, "a stored prompt"),
        (EMBEDDINGS, {"input": {"text": "hi"}}, "other content"),
    ],
)
def test_what_cannot_be_counted_here_is_named(endpoint: Endpoint, body: dict[str, Json], name: str) -> None:
    """A count that leaves something out in silence is a cost that surprises."""
    assert count(body, endpoint).uncounted == {name}


@pytest.mark.slow
@given(endpoint=st.sampled_from([CHAT, RESPONSES, EMBEDDINGS]), fields=st.data())
def test_a_body_of_any_shape_can_be_counted(endpoint: Endpoint, fields: st.DataObject) -> None:
    """A ready-made batch file holds what somebody else wrote; its faults are the checks' to name."""
    names = ["messages", "input", "instructions", "response_format", "text", "tools", "n", "max_tokens"]
    body = {name: fields.draw(json_values) for name in names}

    counted = count(body, endpoint)

    assert counted.input_tokens >= 0
    assert (counted.output_bound or 0) >= 0


@given(texts=st.lists(st.text(), max_size=5))
def test_messages_count_one_by_one(texts: list[str]) -> None:
    """No token reaches over the end of a message, so a count is the sum of its messages'."""
    messages = [{"role": "user", "content": text} for text in texts]

    whole = count({"messages": messages}).input_tokens - ANSWER_TOKENS

    assert whole == sum(count({"messages": [message]}).input_tokens - ANSWER_TOKENS for message in messages)


@pytest.mark.parametrize(
    ("endpoint", "body", "bound"),
    [
        (CHAT, {}, None),
        (CHAT, {"max_completion_tokens": 100}, 100),
        (CHAT, {"max_tokens": 100}, 100),
        (CHAT, {"max_tokens": 100, "max_completion_tokens": 50}, 100),
        (CHAT, {"max_completion_tokens": 100, "n": 3}, 300),
        (CHAT, {"max_completion_tokens": 100, "n": None}, 100),
        (CHAT, {"n": 3}, None),
        (CHAT, {"max_completion_tokens": None}, None),
        (CHAT, {"max_completion_tokens": "100"}, None),
        (CHAT, {"max_completion_tokens": True}, None),
        (CHAT, {"max_completion_tokens": -1}, None),
        (CHAT, {"max_completion_tokens": 100, "n": "3"}, None),
        (CHAT, {"max_output_tokens": 100}, None),
        (RESPONSES, {"max_output_tokens": 100}, 100),
        (RESPONSES, {"max_output_tokens": 100, "n": 3}, 100),
        (RESPONSES, {"max_completion_tokens": 100}, None),
        (EMBEDDINGS, {}, 0),
    ],
)
def test_output_is_bounded_by_the_endpoints_own_limit_times_its_answers(
    endpoint: Endpoint, body: dict[str, Json], bound: int | None
) -> None:
    """A limit that the provider ignores is none."""
    assert count(body, endpoint).output_bound == bound
