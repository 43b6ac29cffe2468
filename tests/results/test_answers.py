"""Result lines to results: each kind of answer, refusal and failure is told apart, and nothing is taken for good."""

import re
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.jsonl import decode_result
from batchwright.core.model import OUTCOMES, Endpoint, Json, Outcome, Recipe, Result, ResultLine
from batchwright.core.problem import Problem, RowCode
from batchwright.results.answers import BATCH_CANCELLED, BATCH_EXPIRED, MAX_PROBLEM_CHARACTERS, reader

CHAT: Endpoint = "/v1/chat/completions"
RESPONSES: Endpoint = "/v1/responses"
EMBEDDINGS: Endpoint = "/v1/embeddings"
SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string"}, "stars": {"type": ["integer", "null"]}},
    "required": ["label", "stars"],
    "additionalProperties": False,
}

DECLINED = Problem.found("refused", "I cannot help with that.", "model")


def read(line: ResultLine, endpoint: Endpoint = CHAT, schema: dict[str, Json] | None = None) -> Result:
    """Read *line* as the result of a recipe for *endpoint*."""
    return reader(Recipe(endpoint, "m", "{{text}}", output_schema=schema))(line)


def code(result: Result) -> str | None:
    """Give the code of what is wrong."""
    return result.problem.code if result.problem else None


def words(result: Result) -> str:
    """Say what is wrong."""
    return result.problem.words if result.problem else ""


def ok(body: Json) -> ResultLine:
    """Give the line of an answer with status 200."""
    return ResultLine("r1", status_code=200, body=body)


def chat(content: Json, *, finish_reason: str = "stop", **message: Json) -> dict[str, Json]:
    """Give a chat completion."""
    return {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, "refusal": None, **message},
                "finish_reason": finish_reason,
            }
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
    }


def response(*contents: dict[str, Json], **fields: Json) -> dict[str, Json]:
    """Give an answer of the Responses API, after some reasoning."""
    return {
        "status": "completed",
        "incomplete_details": None,
        "output": [{"type": "reasoning", "summary": []}, {"type": "message", "content": list(contents)}],
        "usage": {"input_tokens": 12, "output_tokens": 3},
        **fields,
    }


def said(text: str) -> dict[str, Json]:
    """Give one text of a response."""
    return {"type": "output_text", "text": text, "annotations": []}


# --- good answers --------------------------------------------------------------------------------------------------


def test_a_chat_answer_is_its_text_and_tokens() -> None:
    """The plain case, of most rows."""
    assert read(ok(chat("late"))) == Result("r1", "answered", text="late", input_tokens=12, output_tokens=3)


def test_a_response_is_its_texts_put_together() -> None:
    """A message may come in pieces, after reasoning that is not part of the answer."""
    result = read(ok(response(said("very "), said("late"))), RESPONSES)

    assert result == Result("r1", "answered", text="very late", input_tokens=12, output_tokens=3)


def test_one_embedding_is_its_numbers() -> None:
    """One text, one vector, as JSON."""
    body = {"data": [{"index": 0, "embedding": [0.5, -1.0]}], "usage": {"prompt_tokens": 4, "total_tokens": 4}}

    assert read(ok(body), EMBEDDINGS) == Result("r1", "answered", text="[0.5,-1.0]", input_tokens=4)


def test_several_embeddings_are_in_the_order_of_their_inputs() -> None:
    """The server may list them in any order; `index` is what counts."""
    body = {"data": [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]}

    assert read(ok(body), EMBEDDINGS).text == "[[1.0],[2.0]]"


def test_a_tool_call_is_the_text_when_there_is_no_other() -> None:
    """A ready-made batch file may use tools, and what the model asked for is its answer."""
    calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]

    result = read(ok(chat(None, tool_calls=calls, finish_reason="tool_calls")))

    assert (result.outcome, result.text) == (
        "answered",
        '[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]',
    )


def test_a_body_that_came_as_a_json_string_is_an_answer_like_any_other() -> None:
    """Some servers encode it twice."""
    line = decode_result(
        b'{"custom_id": "r1", "response": {"status_code": 200, '
        b'"body": "{\\"choices\\": [{\\"message\\": {\\"content\\": \\"late\\"}}]}"}, "error": null}'
    )

    assert read(line) == Result("r1", "answered", text="late")


def test_an_empty_refusal_is_no_refusal() -> None:
    """Some servers fill every field; the answer is there."""
    assert read(ok(chat("late", refusal=""))).outcome == "answered"


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2}, (5, 2)),
        ({"input_tokens": 5, "output_tokens": 2}, (5, 2)),
        ({"prompt_tokens": 5, "completion_tokens": None}, (5, 0)),
        ({"prompt_tokens": 5}, (5, 0)),
        ({}, (0, 0)),
        (None, (0, 0)),
        ([5, 2], (0, 0)),
        ("5", (0, 0)),
        ({"prompt_tokens": "many"}, (0, 0)),
        ({"prompt_tokens": [5]}, (0, 0)),
        ({"prompt_tokens": {"text": 5}, "completion_tokens": 2}, (0, 2)),
        ({"prompt_tokens": -5, "completion_tokens": 2}, (0, 2)),
    ],
    ids=str,
)
def test_tokens_are_read_from_every_form_of_usage(usage: Json, tokens: tuple[int, int]) -> None:
    """A server that counts in its own way must not cost the answer."""
    result = read(ok({**chat("late"), "usage": usage}))

    assert (result.text, (result.input_tokens, result.output_tokens)) == ("late", tokens)


# --- refused, cut, not fitting -------------------------------------------------------------------------------------


def test_a_refusal_of_the_model_is_named_with_its_words() -> None:
    """The status is 200 and there is no error: read carelessly, this is an empty answer."""
    result = read(ok(chat(None, refusal="I cannot help with that.")))

    assert (result.outcome, result.problem) == ("refused", DECLINED)
    assert (result.input_tokens, result.output_tokens) == (12, 3)


def test_a_refusal_in_a_response_is_named_with_its_words() -> None:
    """There it is a content of its own type."""
    result = read(ok(response({"type": "refusal", "refusal": "I cannot help with that."})), RESPONSES)

    assert (result.outcome, result.problem) == ("refused", DECLINED)


def test_an_answer_stopped_by_the_content_filter_is_refused() -> None:
    """What was written before the stop is no answer."""
    by_chat = read(ok(chat("lat", finish_reason="content_filter")))
    by_response = read(
        ok(response(said("lat"), status="incomplete", incomplete_details={"reason": "content_filter"})), RESPONSES
    )

    for result in (by_chat, by_response):
        assert (result.outcome, code(result)) == ("refused", "filtered")


@pytest.mark.parametrize("details", [{"reason": "max_output_tokens"}, None, {}])
def test_an_answer_that_reached_the_token_limit_is_cut_short(details: Json) -> None:
    """Its text is kept, and the user knows that there should be more."""
    by_chat = read(ok(chat("lat", finish_reason="length")))
    by_response = read(ok(response(said("lat"), status="incomplete", incomplete_details=details)), RESPONSES)

    for result in (by_chat, by_response):
        assert (result.outcome, result.text) == ("cut_short", "lat")
        assert code(result) == "cut_short"
        assert result.output_tokens == 3


def test_an_answer_that_is_cut_is_not_also_checked_against_the_schema() -> None:
    """More tokens are the remedy, not another schema."""
    assert read(ok(chat('{"label": "la', finish_reason="length")), schema=SCHEMA).outcome == "cut_short"


def test_an_answer_that_fits_the_schema_gives_its_values() -> None:
    """Each property becomes a column."""
    result = read(ok(chat('{"label": "late", "stars": null}')), schema=SCHEMA)

    assert result.outcome == "answered"
    assert result.values == {"label": "late", "stars": None}
    assert result.text == '{"label": "late", "stars": null}'


def test_without_a_schema_json_is_only_text() -> None:
    """Nobody said what it should hold."""
    result = read(ok(chat('{"label": "late"}')))

    assert (result.outcome, result.values) == ("answered", None)


@pytest.mark.parametrize(
    ("text", "told", "problem"),
    [
        ("late", "not_json", ".+"),
        ('```json\n{"label": "late"}\n```', "not_json", ".+"),
        ('{"label": "late", "stars": NaN}', "not_json", ".+"),
        ('{"label": 1, "stars": 2}', "not_fitting", "label: .+"),
        ('{"label": "late"}', "not_fitting", ".*stars.*"),
        ('{"label": "late", "stars": 1, "x": 1}', "not_fitting", ".+"),
        ('["late"]', "not_fitting", ".+"),
    ],
)
def test_an_answer_that_does_not_fit_the_schema_says_where(text: str, told: str, problem: str) -> None:
    """Servers without strict mode promise a schema and do not keep it; the text is kept for the user to see."""
    result = read(ok(chat(text)), schema=SCHEMA)

    assert (result.outcome, code(result)) == ("not_fitting", told)
    assert re.fullmatch(problem, words(result))
    assert (result.text, result.values) == (text, None)


@pytest.mark.parametrize("depth", [300, 5000])
def test_an_answer_nested_without_end_does_not_fit(depth: int) -> None:
    """A small model that repeats itself writes such texts; the other rows must still be read."""
    cut = read(ok(chat('{"label": ' + "[" * depth)), schema=SCHEMA)
    whole = read(ok(chat('{"label": ' + "[" * depth + "]" * depth + ', "stars": 1}')), schema=SCHEMA)

    assert (cut.outcome, whole.outcome) == ("not_fitting", "not_fitting")


@pytest.mark.parametrize("lost", ["answer_lost", "answer_unreadable"])
def test_a_line_whose_answer_cannot_be_had_is_unconfirmed(lost: RowCode) -> None:
    """It may be paid for: a retry by default would pay for it again without a word."""
    result = read(ResultLine("r1", error_code=lost, error_message="No answer came."))

    assert (result.outcome, result.problem) == ("unconfirmed", Problem.found(lost, f"{lost}: No answer came."))


# --- failed, expired, never ran ------------------------------------------------------------------------------------


def test_a_refused_line_is_failed_though_its_error_is_null() -> None:
    """The Batch API puts the reason into the body: reading only `error` takes it for a success."""
    line = decode_result(
        b'{"id": "b", "custom_id": "r1", "response": {"status_code": 400, "request_id": "q", "body": {"error": '
        b'{"message": "Too many tokens.", "type": "invalid_request_error", "param": null, "code": null}}}, '
        b'"error": null}'
    )

    assert read(line) == Result("r1", "failed", problem=Problem.said("HTTP 400: Too many tokens.", status=400))


@pytest.mark.parametrize("status", [0, 199, 300, 404, 429, 500])
def test_only_a_2xx_status_is_a_success(status: int) -> None:
    """Status 0 has been seen, with a body that looks well."""
    result = read(ResultLine("r1", status_code=status, body=chat("late")))

    assert (result.outcome, result.text) == ("failed", None)
    assert words(result) == f"HTTP {status}: no reason given"


def test_a_line_with_neither_response_nor_error_is_failed_in_plain_words() -> None:
    """There is no status to show, so none is shown."""
    result = read(decode_result(b'{"custom_id": "r1", "response": null, "error": null}'))

    assert result.outcome == "failed"
    assert code(result) == "odd_answer"
    assert "None" not in words(result)


@pytest.mark.parametrize(
    ("code", "outcome", "problem"),
    [
        ("batch_expired", "expired", BATCH_EXPIRED[1]),
        ("batch_cancelled", "never_ran", BATCH_CANCELLED[1]),
        ("request_timeout", "failed", Problem.said("request_timeout: It took too long.", code="request_timeout")),
        ("unheard_of", "failed", Problem.said("unheard_of: It took too long.", code="unheard_of")),
    ],
)
def test_a_line_that_never_ran_says_why(code: str, outcome: Outcome, problem: Problem) -> None:
    """A new round asks the expired again; the reason decides what to do about the others."""
    line = ResultLine("r1", error_code=code, error_message="It took too long.")

    assert read(line) == Result("r1", outcome, problem=problem)


def test_an_error_of_the_line_counts_more_than_a_good_status() -> None:
    """Success is 2xx and no error, nothing less."""
    line = ResultLine("r1", status_code=200, body=chat("late"), error_code="server_error", error_message="Lost.")

    assert read(line) == Result("r1", "failed", problem=Problem.said("server_error: Lost.", code="server_error"))


def test_a_response_that_failed_gives_the_servers_reason() -> None:
    """The status line is 200; the body says what went wrong."""
    body = response(status="failed", output=[], error={"code": "server_error", "message": "The model is overloaded."})

    result = read(ok(body), RESPONSES)

    assert (result.outcome, code(result)) == ("failed", "server_error")
    assert "The model is overloaded." in words(result)


def test_tokens_of_a_failed_request_are_counted() -> None:
    """Some services charge for them."""
    line = ResultLine("r1", status_code=500, body={"error": "x", "usage": {"prompt_tokens": 9}})

    assert read(line).input_tokens == 9


def test_a_problem_is_one_phrase_of_bounded_length() -> None:
    """Servers put whole prompts into their messages."""
    long = "x" * 1000
    lines = [
        ResultLine("r1", status_code=400, body={"error": {"message": long}}),
        ResultLine("r1", error_code="e", error_message=long),
        ok(chat(None, refusal=long)),
        ok(chat(f'{{"label": ["{long}"], "stars": 1}}')),
    ]

    assert [len(words(read(line, schema=SCHEMA))) for line in lines] == [MAX_PROBLEM_CHARACTERS] * 4


# --- whatever a server may send ------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", get_args(Endpoint))
@pytest.mark.parametrize("body", [None, {}, [], "text", 7, True, {"error": "x"}, {"object": "other"}], ids=str)
def test_a_good_status_with_another_body_is_failed(endpoint: Endpoint, body: Json) -> None:
    """An answer is only what has the endpoint's form."""
    result = read(ok(body), endpoint)

    assert (result.outcome, result.text) == ("failed", None)
    assert (code(result), words(result)) == ("odd_answer", f"this is not an answer of {endpoint}")


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (CHAT, {"choices": []}),
        (CHAT, {"choices": [{"message": {"role": "assistant"}, "finish_reason": "stop"}]}),
        (CHAT, chat(None)),
        (RESPONSES, response(output=[])),
        (EMBEDDINGS, {"data": []}),
        (EMBEDDINGS, {"data": [{"index": 0, "embedding": None}]}),
    ],
    ids=["no choice", "no content", "null content", "no output", "no vector", "null vector"],
)
def test_an_answer_without_content_is_not_answered(endpoint: Endpoint, body: Json) -> None:
    """Counted as answered well, the empty row would be found by nobody and asked again by nothing."""
    assert read(ok(body), endpoint).outcome != "answered"


ODD: list[tuple[Endpoint, Json]] = [
    (CHAT, chat([{"type": "text", "text": "late"}])),
    (CHAT, chat(7)),
    (CHAT, chat({"a": 1})),
    (CHAT, chat(None, refusal={"a": 1})),
    (CHAT, chat(None, refusal=7)),
    (CHAT, chat("late", finish_reason="?")),
    (CHAT, {"choices": "none"}),
    (CHAT, {"choices": [{"message": "late"}]}),
    (RESPONSES, {"output": "late"}),
    (RESPONSES, {"output": [{"type": "message", "content": "late"}]}),
    (RESPONSES, response({"type": "output_text", "text": 7})),
    (RESPONSES, response({"type": "refusal", "refusal": 7})),
    (RESPONSES, response({"type": "refusal", "refusal": None})),
    (EMBEDDINGS, {"data": [{"embedding": [1.0], "index": "0"}, {"embedding": [1.0], "index": 1}]}),
    (EMBEDDINGS, {"data": {"embedding": [1.0]}}),
]


@pytest.mark.parametrize("schema", [None, SCHEMA], ids=["plain", "schema"])
@pytest.mark.parametrize(("endpoint", "body"), ODD, ids=lambda value: value if isinstance(value, str) else "")
def test_an_answer_of_odd_types_is_read_without_a_crash(
    endpoint: Endpoint, body: Json, schema: dict[str, Json] | None
) -> None:
    """One such row must not keep the others from being read, and its text must be text."""
    if endpoint == EMBEDDINGS:
        schema = None

    result = read(ok(body), endpoint, schema)

    assert result.text is None or type(result.text) is str
    assert type(words(result)) is str


def test_a_list_of_text_parts_is_their_text() -> None:
    """Several servers give a chat answer as parts, as the request's messages may be."""
    result = read(ok(chat([{"type": "text", "text": "very "}, {"type": "text", "text": "late"}])))

    assert (result.outcome, result.text) == ("answered", "very late")


keys = ["type", "text", "message", "content", "refusal", "status", "reason", "index", "embedding", "error"]
spoken = ["length", "content_filter", "message", "output_text", "refusal", "failed", "incomplete", "{}", ""]
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
anything: st.SearchStrategy[Any] = st.recursive(
    scalars | st.sampled_from(spoken),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(keys), inner, max_size=3),
    max_leaves=5,
)


def fields(*names: str, **others: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Give an object with any of *names*, each holding anything, and of *others*; now and then no such object."""
    return anything | st.fixed_dictionaries({}, optional={**dict.fromkeys(names, anything), **others})


def lists(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Give a short list of *items*."""
    return st.lists(items, min_size=1, max_size=2)


usages = fields("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")
choices = fields("finish_reason", message=fields("content", "refusal", "tool_calls"))
outputs = fields("type", content=lists(fields("text", "refusal", type=st.sampled_from(spoken))))
bodies = fields(
    "status",
    "incomplete_details",
    "error",
    usage=usages,
    choices=lists(choices),
    output=lists(outputs),
    data=lists(fields("index", "embedding")),
)


@given(body=bodies, endpoint=st.sampled_from(get_args(Endpoint)), status=st.sampled_from([None, 0, 200, 400]))
def test_whatever_the_body_every_line_has_one_outcome(body: Json, endpoint: Endpoint, status: int | None) -> None:
    """No JSON may stop the reading of a job's results, and each row is counted by one name."""
    schema = None if endpoint == EMBEDDINGS else SCHEMA

    result = read(ResultLine("r1", status_code=status, body=body), endpoint, schema)

    assert result.custom_id == "r1"
    assert result.outcome in OUTCOMES
    assert (result.outcome == "answered") == (result.problem is None)
    assert result.text is None or type(result.text) is str
    assert min(result.input_tokens, result.output_tokens) >= 0
