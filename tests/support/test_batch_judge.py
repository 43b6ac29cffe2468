"""What the test provider refuses a batch file for: by itself, and as the product's own checker does."""

import ast
import json
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from batchwright.checks.batch_file import check_file
from batchwright.core.model import Endpoint
from tests.support.batch_judge import (
    BOM,
    MAX_BYTES,
    MAX_INPUTS,
    MAX_REQUESTS,
    Object,
    judge,
    judge_file,
    numbered,
    read,
)
from tests.support.values import DUPLICATE, MISMATCHED

CHAT: Endpoint = "/v1/chat/completions"
RESPONSES: Endpoint = "/v1/responses"
EMBEDDINGS: Endpoint = "/v1/embeddings"
KNOWN = frozenset({"gpt-4.1", "gpt-5"})

STRICTER = frozenset({"invalid_custom_id", "duplicate_key", "invalid_value"})
"""What the product refuses, and OpenAI is not known to: ids that are blank or longer than 64 characters, and what
parsers do not agree on, which are keys that are there twice and numbers that are too large to be read."""

GOOD: Object = {
    "custom_id": "a",
    "method": "POST",
    "url": CHAT,
    "body": {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Hi"}], "input": "Hi"},
}
ABSENT: Any = object()


def changed(fields: Object, *changes: tuple[str, Any]) -> Object:
    """Give *fields* with values at dotted names; an absent one is taken out."""
    fields = deepcopy(fields)
    for name, value in changes:
        *outer, last = name.split(".")
        given = fields.get(outer[0]) if outer else fields
        if isinstance(given, dict):
            place = cast("Object", given)
            place[last] = deepcopy(value)
            if value is ABSENT:
                del place[last]
    return fields


def line(*changes: tuple[str, Any]) -> bytes:
    """Give a good line with changes."""
    return json.dumps(changed(GOOD, *changes)).encode() + b"\n"


def told(errors: Sequence[Object]) -> list[tuple[Any, ...]]:
    """Give the errors as they are compared."""
    return [(error["line"], error["code"], error["param"], error["message"]) for error in errors]


@pytest.mark.parametrize(
    ("bad", "code", "param", "message"),
    [
        (b"{\n", "invalid_json_line", None, "This line is not parseable as valid JSON."),
        (b"[1]\n", "invalid_json_line", None, None),
        (BOM + line(("custom_id", "b")), "invalid_json_line", None, None),
        (line(("x", "?")).replace(b"?", b"\xff"), "invalid_json_line", None, None),
        (line(("x", "?")).replace(b"?", rb"\ud800"), "invalid_json_line", None, None),
        (line(("x", float("nan"))), "invalid_json_line", None, None),
        (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "invalid_json_line", None, None),
        (
            line(("custom_id", ABSENT)),
            "missing_required_parameter",
            "custom_id",
            "Missing required parameter: 'custom_id'.",
        ),
        (line(("custom_id", 7)), "invalid_request", "custom_id", None),
        (
            line(),
            "duplicate_custom_id",
            None,
            DUPLICATE,
        ),
        (line(("custom_id", "b"), ("method", ABSENT)), "missing_required_parameter", "method", None),
        (line(("custom_id", "b"), ("method", "GET")), "invalid_method", "method", None),
        (line(("custom_id", "b"), ("url", ABSENT)), "missing_required_parameter", "url", None),
        (
            line(("custom_id", "b"), ("url", RESPONSES)),
            "invalid_url",
            "url",
            "The URL provided for this request does not match the batch endpoint.",
        ),
        (line(("custom_id", "b"), ("body", ABSENT)), "missing_required_parameter", "body", None),
        (line(("custom_id", "b"), ("body", [])), "invalid_request", "body", None),
        (
            line(("custom_id", "b"), ("body.model", ABSENT)),
            "invalid_request",
            "body.model",
            "Model parameter is required.",
        ),
        (
            line(("custom_id", "b"), ("body.model", "none")),
            "model_not_found",
            "body.model",
            "The provided model 'none' is not supported by the Batch API.",
        ),
        (
            line(("custom_id", "b"), ("body.model", "gpt-5")),
            "mismatched_model",
            None,
            MISMATCHED,
        ),
        (
            line(("custom_id", "b"), ("body.stream", True)),
            "streaming_unsupported",
            "body.stream",
            "Chat Completions: Streaming is not supported in the Batch API.",
        ),
        (
            line(("custom_id", "b"), ("body.messages", ABSENT)),
            "invalid_request",
            "body.messages",
            "Messages parameter is required.",
        ),
    ],
)
def test_a_bad_line_is_refused_with_its_number(bad: bytes, code: str, param: str | None, message: str | None) -> None:
    """A double that takes everything proves nothing; one blank line stands before the bad one."""
    (error,) = judge([line(), b" \r\n", bad, line(("custom_id", "z"))], CHAT, KNOWN)

    assert (error["line"], error["code"], error["param"]) == (3, code, param)
    assert message is None or error["message"] == message


def test_a_good_file_is_taken_as_it_may_be_written() -> None:
    """A byte order mark, blank lines, other line ends and characters that end lines elsewhere."""
    file = [BOM + line(), b"\n", line(("custom_id", "b"), ("x", "?")).replace(b"?", "\u2028é".encode())]
    file += [line(("custom_id", "c")).replace(b"\n", b"\r\n"), line(("custom_id", "d"), ("body.stream", False)).strip()]

    assert list(judge(file, CHAT, KNOWN)) == []


@pytest.mark.parametrize("file", [[], [b"\n", b" "], [BOM]])
def test_a_file_without_requests_is_refused(file: list[bytes]) -> None:
    """There is nothing to run."""
    message = "The input file is empty. Please ensure that the batch contains at least one request."

    assert told(list(judge(file, CHAT))) == [(None, "empty_file", None, message)]


@pytest.mark.slow
@pytest.mark.parametrize("more", [0, 1])
def test_a_batch_has_at_most_50_000_requests(more: int) -> None:
    """One more is refused, and no single line is to blame."""
    errors = list(judge((line(("custom_id", str(n))) for n in range(MAX_REQUESTS + more)), CHAT))

    assert [(error["code"], error["line"]) for error in errors] == [("invalid_request", None)] * more


@pytest.mark.parametrize("more", [0, 1])
def test_embeddings_have_at_most_50_000_inputs(more: int) -> None:
    """Texts and lists of tokens are counted alike, over all requests."""
    inputs = [["x"] * (MAX_INPUTS - 4 + more), [[1, 2], [3]], [1, 2, 3], "text"]
    file = [line(("custom_id", str(n)), ("url", EMBEDDINGS), ("body.input", given)) for n, given in enumerate(inputs)]

    assert len(list(judge(file, EMBEDDINGS))) == more
    assert list(judge([each.replace(b"embeddings", b"responses") for each in file], RESPONSES)) == []


def test_a_file_above_200_mb_is_refused_unread(tmp_path: Path) -> None:
    """One byte above what OpenAI takes."""
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    (error,) = judge_file(path, CHAT, None)
    with path.open("wb") as file:
        file.write(line())

    assert "larger than the 209715200 maximum" in error["message"]
    assert judge_file(path, CHAT, None) == []


ODD: list[Any] = [ABSENT, None, False, True, 0, 1.5, "", "x", "POST", CHAT, [], {}, ["a"], [[1]]]
PLACES = ["custom_id", "method", "url", "body", "x", *(f"body.{name}" for name in ("model", "stream", "messages", "x"))]
changes = st.tuples(st.sampled_from(PLACES), st.sampled_from(ODD)) | st.tuples(
    st.just("body.model"), st.sampled_from(["gpt-4.1", "gpt-5", "none"])
)
ids = st.sampled_from("abc") | st.sampled_from(["é", 'q"', "\\", "\u2028", " ", "x" * 64, "x" * 65])
more_text = st.sampled_from(
    [
        *(b"NaN", b"-Infinity", b"1e999", b"9" * 30, b"01", b"1.", b"-", b'"\xff"', b'"\x01"', b'"\\q"', b'"\\ud800"'),
        *(b'"\\ud83d\\ude00"', '"\u2028"'.encode(), b'{"a": 1, "a": 2}', b'[{"a": 1}, {"a": 2}]', b"[[]]", b""),
        *(b'1, "custom_id": "b"', b'1, "method": "POST"', b'1, "body": {}', b"1} {", b"1,"),
    ]
)


others = st.sampled_from([b"", b" \t", b"null", b'"a"', b"[1]", b"{}", BOM]) | st.binary(max_size=6)
KINDS = ["good"] * 5 + ["changed"] * 2 + ["more", "more in the body", "cut", "mark", "another"]


@st.composite
def request_lines(draw: st.DrawFn, url: str) -> bytes:
    """Give a line that is good, or has a fault or two."""
    kind = draw(st.sampled_from(KINDS))
    faults = draw(st.lists(changes, max_size=2)) if kind != "good" else []
    fields = changed(GOOD, ("custom_id", draw(ids)), ("url", url), *faults)
    text = json.dumps(fields, ensure_ascii=draw(st.booleans())).encode()
    match kind:
        case "more":
            return text[:-1] + b', "more": ' + draw(more_text) + b"}"
        case "more in the body":
            return text.replace(b'"model"', b'"more": ' + draw(more_text) + b', "model"')
        case "cut":
            return text[: draw(st.integers(0, len(text)))]
        case "mark":
            return BOM + text
        case "another":
            return draw(others)
        case _:
            return text


@st.composite
def batch_files(draw: st.DrawFn) -> tuple[Endpoint, bytes]:
    """Give a batch file and the endpoint it is for."""
    endpoint: Endpoint = draw(st.sampled_from([CHAT, RESPONSES, EMBEDDINGS]))
    lines = draw(st.lists(request_lines(endpoint), max_size=8))
    end = draw(st.sampled_from([b"\n", b"\n", b"\r\n", b"\n\n"]))
    return endpoint, end.join(lines) + draw(st.sampled_from([b"", end]))


@pytest.mark.slow
@settings(max_examples=400)
@given(file=batch_files(), size=st.integers(1, 400))
def test_the_product_refuses_a_batch_file_for_what_the_test_provider_does(
    file: tuple[Endpoint, bytes], size: int
) -> None:
    """Two who do not know each other find the same errors on the same lines, but for the product's stricter rules."""
    endpoint, data = file
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    written = [each + b"\n" for each in data.split(b"\n")]

    report = check_file(blocks, endpoint, None, is_model_known=KNOWN.__contains__, most_errors=99)
    judged = list(judge(written, endpoint, KNOWN))

    checked = [(e.line, e.code, e.param, e.message) for e in report.errors if e.code not in STRICTER]
    assert Counter(checked) == Counter(told(judged))
    event("refused" if judged else "stricter" if report.errors else "taken")
    if not report.errors:
        assert list(report.custom_ids) == [read(text)["custom_id"] for _, text in numbered(written)]


@pytest.mark.parametrize(
    "name", ["batch_judge", "openai_server", "openai_requests", "openai_faults", "endpoint", "model_server"]
)
def test_what_plays_a_provider_knows_nothing_of_the_product(name: str) -> None:
    """A judge that asks the accused finds no fault."""
    tree = ast.parse(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]

    assert [module for module in modules if module.split(".")[0] == "batchwright"] == []
