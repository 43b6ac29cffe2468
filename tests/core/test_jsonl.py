"""Lines of batch files: what is written, what is read, and what a batch would be refused for."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.checks.lines import check_batch
from batchwright.core.error_bodies import error_text
from batchwright.core.jsonl import (
    any_result,
    decode_request,
    decode_result,
    duplicate_key,
    encode_request,
    encode_result,
    whole_lines,
)
from batchwright.core.model import Json, LineError, Request, ResultLine
from tests.support.values import DUPLICATE, MISMATCHED

CHAT = "/v1/chat/completions"
BOM = b"\xef\xbb\xbf"
DEEP = b"[" * 100_000 + b"]" * 100_000

scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars | st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


def line(**fields: Json) -> bytes:
    """Give a good chat request line with *fields* in place of its own; `...` leaves one out."""
    good = {"custom_id": "a", "method": "POST", "url": CHAT, "body": body()}
    return json.dumps({name: value for name, value in {**good, **fields}.items() if value is not ...}).encode()


def body(**fields: Json) -> dict[str, Json]:
    """Give a good chat body with *fields* in place of its own; `...` leaves one out."""
    good: dict[str, Json] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hi"}]}
    return {name: value for name, value in {**good, **fields}.items() if value is not ...}


def errors(*lines: bytes, endpoint: str = CHAT) -> list[LineError]:
    """Check *lines* as a batch of *endpoint*, for which one model is unknown."""
    return list(check_batch(lines, endpoint, is_model_known=lambda model: model != "gpt-nope"))


# --- writing and reading -------------------------------------------------------------------------------------------


@pytest.mark.slow
@given(custom_id=st.text(), fields=st.dictionaries(st.text(), values))
def test_a_request_survives_its_line(custom_id: str, fields: dict[str, Json]) -> None:
    """Whatever the row held, the model is sent exactly that."""
    encoded = encode_request(Request(custom_id, fields), CHAT)

    assert list(whole_lines([encoded])) == [encoded[:-1]]
    assert decode_request(encoded) == Request(custom_id, fields)


def test_a_request_line_has_the_four_fields_of_the_batch_api() -> None:
    """A line with any other form fails the batch after upload."""
    encoded = encode_request(Request("r1", {"model": "m", "n": 1}), CHAT)

    assert encoded == (b'{"custom_id":"r1","method":"POST","url":"/v1/chat/completions","body":{"model":"m","n":1}}\n')


@pytest.mark.parametrize("bad", [b"no json", b"[]", b"{}", b'"x"', b"null", b'{"custom_id": "a"}'])
def test_a_line_that_is_no_request_is_a_value_error(bad: bytes) -> None:
    """Its callers catch what its docstring names."""
    with pytest.raises(ValueError, match=r"."):
        decode_request(bad)


@pytest.mark.slow
@given(fields=st.dictionaries(st.text(), values))
def test_a_result_survives_its_line(fields: dict[str, Json]) -> None:
    """What the engine wrote before it was killed is what it reads afterwards."""
    ran = ResultLine("r1", status_code=200, body=fields)
    never_ran = ResultLine("r2", error_code="batch_expired", error_message="Too late.")

    assert decode_result(encode_result(ran, id="b1", request_id="q1")) == ran
    assert decode_result(encode_result(never_ran, id="b2", request_id="q2")) == never_ran


def test_result_lines_are_those_of_the_batch_api() -> None:
    """Clients of the engine read them with the same code as OpenAI's."""
    ran = encode_result(ResultLine("r1", 400, {"error": {"message": "No."}}), id="b1", request_id="q1")
    never_ran = encode_result(
        ResultLine("r2", error_code="batch_cancelled", error_message="Stopped."), id="b2", request_id="q2"
    )

    assert json.loads(ran) == {
        "id": "b1",
        "custom_id": "r1",
        "response": {"status_code": 400, "request_id": "q1", "body": {"error": {"message": "No."}}},
        "error": None,
    }
    assert json.loads(never_ran) == {
        "id": "b2",
        "custom_id": "r2",
        "response": None,
        "error": {"code": "batch_cancelled", "message": "Stopped."},
    }


def test_a_body_that_is_a_json_string_is_read() -> None:
    """Some servers encode it twice."""
    result = {"custom_id": "a", "response": {"status_code": 200, "body": '{"choices": []}'}, "error": None}

    assert decode_result(json.dumps(result).encode()) == ResultLine("a", 200, {"choices": []})


def test_a_body_that_is_plain_text_becomes_an_error_message() -> None:
    """A proxy's "Bad gateway" is the only reason that there is."""
    result = {"custom_id": "a", "response": {"status_code": 502, "body": "Bad gateway"}, "error": None}

    assert decode_result(json.dumps(result).encode()) == ResultLine("a", 502, {"error": {"message": "Bad gateway"}})


def test_a_line_error_without_code_or_message_is_still_an_error() -> None:
    """A row that never ran must not be taken for an answer."""
    result = decode_result(b'{"custom_id": "a", "response": null, "error": {"code": null, "message": null}}')

    assert (result.error_code, result.error_message) == ("unknown", "no reason given")


@pytest.mark.parametrize("bad", [b"", b"{", b"\xff", b"[]", b"null", b"{}", b'{"custom_id": 1}'])
def test_a_line_that_is_no_result_is_a_value_error(bad: bytes) -> None:
    """A download that was cut is found by this, and fetched again."""
    with pytest.raises(ValueError, match=r"."):
        decode_result(bad)


@pytest.mark.parametrize(
    "bad",
    [
        b'{"custom_id": "a", "response": {"status_code": "200", "body": {}}}',
        b'{"custom_id": "a", "response": {"status_code": 200, "body": "' + DEEP + b'"}}',
        DEEP,
    ],
    ids=["status is text", "deep body", "deep line"],
)
def test_a_result_line_of_an_odd_shape_is_read_or_is_a_value_error(bad: bytes) -> None:
    """Any other error would stop the collection of every other row of the job."""
    try:
        result = decode_result(bad)
    except ValueError:
        return

    assert result.custom_id == "a"
    assert result.status_code in {None, 200}


@given(response=values, error=values)
def test_no_response_or_error_makes_reading_fail_in_another_way(response: Json, error: Json) -> None:
    """The server's JSON may be anything: text or a list where an object belongs."""
    encoded = json.dumps({"custom_id": "a", "response": response, "error": error}).encode()

    try:
        result = decode_result(encoded)
    except ValueError:
        return

    assert result.custom_id == "a"
    assert result.status_code is None or type(result.status_code) is int


# --- splitting -----------------------------------------------------------------------------------------------------


@given(
    chunks=st.lists(
        st.sampled_from([b"\n", BOM, b"\xef", b"\xbb\xbf", b" ", b"\r\n", b"a", b"\x0c", b"\xc2\x85", b"\xe2\x80\xa8"])
    )
)
def test_lines_do_not_depend_on_how_the_bytes_arrive(chunks: list[bytes]) -> None:
    """A chunk may end anywhere, also inside a BOM or a character; Unicode's separators end no line."""
    whole = b"".join(chunks).removeprefix(BOM)

    assert list(whole_lines(chunks)) == [text.strip() for text in whole.split(b"\n") if text.strip()]


def test_lines_are_given_before_the_stream_ends() -> None:
    """A file of 200 MB is read in the memory of one line."""
    chunks = iter([b"a\nb", b"\nc"])

    assert next(whole_lines(chunks)) == b"a"
    assert next(chunks) == b"\nc"


# --- the Batch API's checks ----------------------------------------------------------------------------------------


def test_good_lines_have_no_errors() -> None:
    """A false alarm would keep a good file from being sent."""
    assert errors(line(), line(custom_id="b", body=body(stream=False)), line(custom_id="c", extra=1)) == []


@pytest.mark.parametrize(
    ("bad", "code", "param", "message"),
    [
        (
            line(custom_id=...),
            "missing_required_parameter",
            "custom_id",
            "Missing required parameter: 'custom_id'.",
        ),
        (line(custom_id="b", method=...), "missing_required_parameter", "method", None),
        (line(custom_id="b", url=...), "missing_required_parameter", "url", "Missing required parameter: 'url'."),
        (line(custom_id="b", body=...), "missing_required_parameter", "body", "Missing required parameter: 'body'."),
        (
            line(custom_id="b", url="/v1/responses"),
            "invalid_url",
            "url",
            "The URL provided for this request does not match the batch endpoint.",
        ),
        (
            line(custom_id="b", body=body(model="gpt-nope")),
            "model_not_found",
            "body.model",
            "The provided model 'gpt-nope' is not supported by the Batch API.",
        ),
        (
            line(custom_id="b", body=body(stream=True)),
            "streaming_unsupported",
            "body.stream",
            "Chat Completions: Streaming is not supported in the Batch API.",
        ),
        (line(custom_id="b", body=body(model=...)), "invalid_request", "body.model", "Model parameter is required."),
        (line(custom_id="b", body=body(model="")), "invalid_request", "body.model", "Model parameter is required."),
        (
            line(custom_id="b", body=body(messages=...)),
            "invalid_request",
            "body.messages",
            "Messages parameter is required.",
        ),
        (line(custom_id=7), "invalid_request", "custom_id", "Invalid type for 'custom_id': expected a string."),
        (line(custom_id="b", body=[]), "invalid_request", "body", "Invalid type for 'body': expected an object."),
        (line(custom_id="b", method="GET"), "invalid_method", "method", "Invalid method: expected 'POST'."),
    ],
)
def test_a_bad_line_is_refused_in_the_words_of_the_batch_api(
    bad: bytes, code: str, param: str, message: str | None
) -> None:
    """Found before the upload, or hours after it: users search for these very words."""
    message = message or f"Missing required parameter: '{param}'."

    assert errors(line(), bad) == [LineError(code, message, 2, param)]


@pytest.mark.parametrize(
    ("lines", "code", "message", "number"),
    [
        ([line(), b'{"custom_id": '], "invalid_json_line", "This line is not parseable as valid JSON.", 2),
        ([line(), line()], "duplicate_custom_id", DUPLICATE, 2),
        ([line(), line(custom_id="b", body=body(model="gpt-5"))], "mismatched_model", MISMATCHED, 2),
        (
            [],
            "empty_file",
            "The input file is empty. Please ensure that the batch contains at least one request.",
            None,
        ),
    ],
    ids=["invalid_json_line", "duplicate_custom_id", "mismatched_model", "empty_file"],
)
def test_a_fault_of_the_file_is_refused_in_the_words_of_the_batch_api(
    lines: list[bytes], code: str, message: str, number: int | None
) -> None:
    """These are about a line and its neighbours, or about the file, so they name no parameter."""
    assert errors(*lines) == [LineError(code, message, number)]


@pytest.mark.parametrize(
    ("endpoint", "name"), [("/v1/responses", "Responses"), (CHAT, "Chat Completions"), ("/v1/embeddings", "Requests")]
)
def test_streaming_is_refused_on_every_endpoint(endpoint: str, name: str) -> None:
    """The text names the endpoint where it has a name."""
    fields = body(stream=True, input="Hi")

    assert errors(line(url=endpoint, body=fields), endpoint=endpoint) == [
        LineError("streaming_unsupported", f"{name}: Streaming is not supported in the Batch API.", 1, "body.stream")
    ]


@pytest.mark.parametrize("endpoint", ["/v1/responses", "/v1/embeddings"])
def test_the_other_endpoints_want_an_input(endpoint: str) -> None:
    """Messages are the chat endpoint's word."""
    assert errors(line(url=endpoint), endpoint=endpoint) == [
        LineError("invalid_request", "Input parameter is required.", 1, "body.input")
    ]


@pytest.mark.parametrize("number", [b"1e999", b"-1e999"])
def test_a_number_that_is_too_large_is_named_beside_what_else_is_wrong(number: bytes) -> None:
    """Neither the line nor its body is what cannot be read."""
    found = errors(line(body=body(model="?")).replace(b'"?"', number), line(method="GET").replace(b'"Hi"', number))

    assert [(error.line, error.code, error.param) for error in found] == [
        (1, "invalid_value", None),
        (1, "invalid_request", "body.model"),
        (2, "invalid_value", None),
        (2, "duplicate_custom_id", None),
        (2, "invalid_method", "method"),
    ]


def test_a_number_of_thousands_of_digits_is_too_large() -> None:
    """It is no float, and is told alike."""
    assert [error.code for error in errors(line(body=body(seed="?")).replace(b'"?"', b"9" * 5_000))] == [
        "invalid_value"
    ]


def test_blank_lines_are_counted() -> None:
    """The number is what the user looks the line up by."""
    assert [error.line for error in errors(b"", line(), b"", b"{")] == [4]


def test_every_error_of_a_file_is_found_on_its_own_line() -> None:
    """One round of repairs must be enough."""
    found = errors(
        b"not json",
        line(),
        line(method="PUT", url="/v1/embeddings"),
        line(custom_id="b", body=body(model="gpt-5", stream=True, messages=...)),
        b"[1]",
        b"{}",
        line(custom_id="c"),
        b"\xff",
    )

    assert [(error.line, error.code, error.param) for error in found if error.line not in {3, 4}] == [
        (1, "invalid_json_line", None),
        (5, "invalid_json_line", None),
        (6, "missing_required_parameter", "custom_id"),
        (6, "missing_required_parameter", "method"),
        (6, "missing_required_parameter", "url"),
        (6, "missing_required_parameter", "body"),
        (8, "invalid_json_line", None),
    ]
    assert [error.code for error in found if error.line == 3] == [
        "duplicate_custom_id",
        "invalid_method",
        "invalid_url",
    ]
    assert [error.code for error in found if error.line == 4] == [
        "mismatched_model",
        "streaming_unsupported",
        "invalid_request",
    ]


def test_the_first_good_model_is_the_batchs_model() -> None:
    """A line whose model is unknown says nothing about the others."""
    found = errors(
        line(body=body(model="gpt-nope")), line(custom_id="b"), line(custom_id="c", body=body(model="gpt-5"))
    )

    assert [(error.line, error.code) for error in found] == [(1, "model_not_found"), (3, "mismatched_model")]


@pytest.mark.parametrize(
    "text",
    [
        rb'{"custom_id": "\ud800"}',
        rb'{"custom_id": "a", "x": "\ud800"}',
        rb'{"custom_id": "a", "x": "\q"}',
        b'{"custom_id": "a", "x": "\xff"}',
        b'{"custom_id": "a", "x": "\x01"}',
        b'{"custom_id": "a", "x": NaN}',
        b'{"custom_id": "a"} {}',
        b'{"custom_id": "a",}',
        b'"a"',
        b"null",
    ],
)
def test_what_is_not_strictly_a_json_object_is_an_invalid_line(text: bytes) -> None:
    """Lone surrogates, NaN, bad escapes and bad UTF-8 pass some parsers, and fail at the provider."""
    assert errors(text) == [LineError("invalid_json_line", "This line is not parseable as valid JSON.", 1)]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (line().replace(b'"custom_id": "a"', b'"custom_id": "a", "custom_id": "b"'), "custom_id"),
        (line().replace(b'"model": "gpt-5-mini"', b'"model": "gpt-5-mini", "model": "gpt-5"'), "model"),
        (line(), None),
    ],
    ids=["custom_id", "body.model", "none"],
)
def test_a_key_that_is_there_twice_is_found(text: bytes, key: str | None) -> None:
    """Parsers disagree about which one counts, so the batch could run another model or lose a row's name."""
    assert duplicate_key(text) == key


@pytest.mark.parametrize("field", [b'"gpt-5-mini"', b'"a"', b'"Hi"'], ids=["model", "custom_id", "content"])
def test_nesting_that_no_parser_takes_makes_the_line_invalid(field: bytes) -> None:
    """One odd line must not stop the check of the others."""
    found = errors(line().replace(field, DEEP), line(custom_id="b"))

    assert {error.line for error in found} == {1}


# --- error bodies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error_body", "text"),
    [
        ({"error": {"message": "Too long.", "code": "x"}}, "Too long."),
        ({"error": "model not found"}, "model not found"),
        ({"error": {"message": None}}, "no reason given"),
        ({"error": {}}, "no reason given"),
        ({"error": None}, "no reason given"),
        ({}, "no reason given"),
        (None, "no reason given"),
        ([1], "no reason given"),
        ("text", "no reason given"),
    ],
)
def test_the_reason_is_found_in_every_usual_error_body(error_body: Json, text: str) -> None:
    """OpenAI gives an object, Ollama a string, a proxy anything."""
    assert error_text(error_body) == text


@given(error_body=values)
def test_any_error_body_has_a_text(error_body: Json) -> None:
    """It is read when something has gone wrong already."""
    assert error_text(error_body) != ""
    assert error_text({"error": error_body}) != ""


def test_a_result_that_is_not_quite_json_is_read_as_well_as_it_can_be() -> None:
    """NaN beside an answer, or half an emoji in it, is no reason to lose what is paid for."""
    body = rb'{"x":NaN,"y":1e999,"z":[-Infinity,2.5],"t":"\ud83d!"}'
    line = b'{"custom_id":"a","response":{"status_code":200,"body":' + body + b"}}"
    cut = line.replace(rb"\ud83d", b"\xf0\x9f\x98")

    assert any_result(line) == any_result(cut)
    assert any_result(line) == ResultLine("a", 200, {"x": None, "y": None, "z": [None, 2.5], "t": "\ufffd!"})
    with pytest.raises(ValueError, match="JSON"):
        decode_result(line)


def test_a_body_in_a_string_is_mended_too() -> None:
    """Some servers give it so."""
    body = '{"x":NaN,"t":"yes"}'
    line = json.dumps({"custom_id": "a", "response": {"status_code": 200, "body": body}}).encode()

    assert decode_result(line).body == {"x": None, "t": "yes"}


@pytest.mark.parametrize("line", [b"", b"garbage", b'{"custom_id":', b"[]", b"[" * 100_000, b'{"n":' + b"9" * 9_000])
def test_a_line_that_nobody_can_read_is_none(line: bytes) -> None:
    """It is named, and the other lines are read."""
    assert any_result(line) is None
