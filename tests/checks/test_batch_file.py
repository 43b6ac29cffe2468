"""Every check of a ready-made batch file: what is wrong is found on its own line, however fast the rest goes by."""

import json
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.checks.batch_file import MAX_VERDICTS, BatchFileReport, check_file
from batchwright.checks.lines import check_batch
from batchwright.checks.outline import outline
from batchwright.checks.rules import faults, lacks_json_word
from batchwright.core.model import Endpoint, Fault, Json, ProviderInfo
from tests.support.values import OLLAMA, OPENAI

CHAT: Endpoint = "/v1/chat/completions"
RESPONSES: Endpoint = "/v1/responses"
BOM = b"\xef\xbb\xbf"
DEEP = "[" * 100_000 + "]" * 100_000


def line(custom_id: Json = "a", content: Json = "Hi", url: str = CHAT, **body: Json) -> bytes:
    """Give a request line, newline included."""
    fields = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": content}], **body}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": url, "body": fields}).encode() + b"\n"


def lines(count: int, **body: Json) -> list[bytes]:
    """Give good lines that differ in their texts alone."""
    return [line(f"row-{number}", f"Text {number}", **body) for number in range(1, count + 1)]


def check(*parts: bytes, endpoint: Endpoint = CHAT, provider: ProviderInfo | None = OPENAI) -> BatchFileReport:
    """Check a file that holds *parts*."""
    return check_file([b"".join(parts)], endpoint, provider, most_errors=1_000)


def errors(report: BatchFileReport) -> list[tuple[int | None, str]]:
    """Give where what error was found."""
    return [(error.line, error.code) for error in report.errors]


def found(report: BatchFileReport) -> list[tuple[str, int, int]]:
    """Give which parameter was found at fault, where first, and how often."""
    return [(finding.fault.param, finding.line, finding.lines) for finding in report.findings]


def test_a_good_file_has_nothing_against_it_and_gives_its_ids_in_order() -> None:
    """A false alarm would keep it from being sent; its results are joined by these ids."""
    report = check(*lines(5), line("ä", "日本"), line('q"', 'a "quoted" \\ text'))

    assert (errors(report), found(report)) == ([], [])
    assert list(report.custom_ids) == ["row-1", "row-2", "row-3", "row-4", "row-5", "ä", 'q"']


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"{\n", "invalid_json_line"),
        (BOM + line("x"), "invalid_json_line"),
        (line("x", "Hé").replace(rb"\u00e9", b"\xe9"), "invalid_json_line"),
        (line("x", "H?").replace(b"H?", b"\xed\xa0\x80"), "invalid_json_line"),
        (line("x", "H?").replace(b"H?", rb"\ud800"), "invalid_json_line"),
        (line("x", "H?").replace(b"H?", rb"\udc00 \ud800"), "invalid_json_line"),
        (line("x", "H?").replace(b'"H?"', b"NaN"), "invalid_json_line"),
        (line("x", seed=1).replace(b": 1", b": Infinity"), "invalid_json_line"),
        (line("x", seed=1).replace(b": 1", b": 1e999"), "invalid_value"),
        (line("x", ["?"]).replace(b'"?"', b"1e999"), "invalid_value"),
        (line("x", "?").replace(b'"?"', DEEP.encode()), "invalid_json_line"),
        (line("x", seed=1, user="b").replace(b'"user": "b"', b'"seed": 1'), "duplicate_key"),
        (line("x").replace(b'"content": "Hi"', b'"content": "Hi", "content": "Hi"'), "duplicate_key"),
        (line("x").replace(b'"content": "Hi"', b'"content": "H", "content": "Hi", "role": "user"'), "duplicate_key"),
        (line("x").replace(b'"role": "user"', b'"role": "user", "role": "user"'), "duplicate_key"),
        (line("x").replace(b'"method"', b'"custom_id": "x", "method"'), "duplicate_key"),
        (
            line("x", [{"type": "text", "text": "a"}]).replace(b'"text": "a"', b'"text": "a", "text": ""'),
            "duplicate_key",
        ),
        (line("x").replace(b"POST", b"GET"), "invalid_method"),
        (line("x", url="/v1/embeddings"), "invalid_url"),
        (line("x", stream=True), "streaming_unsupported"),
        (line("x", model="gpt-5"), "mismatched_model"),
        (line("x", model=None), "invalid_request"),
        (line("row-1"), "duplicate_custom_id"),
        (line(7), "invalid_request"),
        (line("  "), "invalid_custom_id"),
        (line("x" * 65), "invalid_custom_id"),
        (b'{"custom_id": "x"}\n', "missing_required_parameter"),
    ],
)
@pytest.mark.parametrize("first", [0, 3], ids=["at the start", "after good lines"])
def test_a_line_that_cannot_be_taken_is_found_by_its_number(bad: bytes, code: str, first: int) -> None:
    """Also among lines that are like others: the line before must not vouch for it."""
    needs_another = bad.startswith(BOM) or code in {"mismatched_model", "duplicate_custom_id"}
    before = lines(first or int(needs_another))

    report = check(*before, bad, line("y"), line("z"))

    assert {number for number, _ in errors(report)} == {len(before) + 1}
    assert code in [code for _, code in errors(report)]


def test_blank_lines_count_as_an_editor_counts_them() -> None:
    """The number is what the user looks the line up by."""
    report = check(BOM, b"\n", line("a"), b"  \r\n", b"{\n", line("b").replace(b"\n", b"\r\n"), line("c").rstrip())

    assert errors(report) == [(4, "invalid_json_line")]
    assert list(report.custom_ids) == ["a", "b", "c"]


@pytest.mark.parametrize("content", [b"", b"\n \n", BOM])
def test_a_file_without_requests_is_empty(content: bytes) -> None:
    """The Batch API's word for it."""
    assert errors(check(content)) == [(None, "empty_file")]


def test_a_parameter_that_fails_every_line_is_told_once_with_its_lines() -> None:
    """50,000 times the same sentence would hide the others."""
    report = check(
        *lines(2), line("x", max_tokens=5), line("y", max_tokens=6), *[line(f"z{n}", n=129) for n in range(3)]
    )

    assert found(report) == [("max_tokens", 3, 2), ("n", 5, 3)]
    assert [finding.fault.is_certain for finding in report.certain] == [True, True]


def test_a_role_that_is_not_known_is_found_after_a_thousand_good_ones() -> None:
    """Lines are like others but for their texts, and a role is none."""
    report = check(*lines(1_000), line("x").replace(b'"role": "user"', b'"role": "bott"'), line("y"))

    assert found(report) == [("messages[0].role", 1_001, 1)]


def test_only_lines_without_the_word_json_are_counted() -> None:
    """In json_object mode OpenAI refuses each of them."""
    form = {"type": "json_object"}
    rows = [line(f"r{n}", "as JSON" if n % 3 else "as you like", response_format=form) for n in range(9)]

    system = [{"role": "system", "content": "Answer in JSON"}, {"role": "user", "content": "Hi"}]
    asked_by_all = [line(f"r{n}", messages=system, response_format=form) for n in range(3)]

    assert found(check(*rows)) == [("messages", 1, 3)]
    assert found(check(*rows, provider=OLLAMA)) == []
    assert found(check(*asked_by_all)) == []


def test_instructions_and_inputs_of_responses_are_looked_at() -> None:
    """The other endpoint has other names for the same things."""

    def request(number: int, **fields: Json) -> bytes:
        body = {"model": "gpt-5", "input": f"Text {number}", "text": {"format": {"type": "json_object"}}, **fields}
        return json.dumps({"custom_id": f"{number}", "method": "POST", "url": RESPONSES, "body": body}).encode() + b"\n"

    report = check(request(1, instructions="JSON"), request(2), request(3, input="json"), endpoint=RESPONSES)

    assert found(report) == [("input", 2, 1)]


def test_parameters_that_differ_on_every_line_are_all_judged() -> None:
    """Only so many verdicts are kept; beyond that they are found anew."""
    report = check(*[line(f"r{n}", seed=n, n=200 if n == MAX_VERDICTS + 7 else 1) for n in range(MAX_VERDICTS + 9)])

    assert (errors(report), found(report)) == ([], [("n", MAX_VERDICTS + 8, 1)])


@pytest.mark.parametrize(
    ("name", "values", "bad"),
    [
        ("seed", range(40), "x"),
        ("seed", range(40), 1.5),
        ("user", [f"u{n}" for n in range(40)], 7),
        ("metadata", [{"row": str(n)} for n in range(40)], "x"),
        ("max_completion_tokens", range(20, 60), 0),
        ("max_completion_tokens", range(20, 60), -1),
        ("max_completion_tokens", range(20, 60), "many"),
        ("temperature", [n / 100 for n in range(1, 41)], 2.5),
        ("top_p", [n / 100 for n in range(1, 41)], 1.5),
        ("presence_penalty", [n / 100 for n in range(1, 41)], -3),
    ],
)
def test_a_bad_value_among_many_that_differ_is_found_on_its_line(name: str, values: list[Json], bad: Json) -> None:
    """Values that are judged alike are passed over together; one that is not is none of them."""
    rows = [line(f"r{number}", model="gpt-4.1", **{name: value}) for number, value in enumerate(values)]

    report = check(*rows[:30], line("bad", model="gpt-4.1", **{name: bad}), *rows[30:])

    assert errors(report) == []
    assert found(report) == [(name, 31, 1)]


@pytest.mark.parametrize(
    ("inside", "code"),
    [
        (b'"seed": 1e999', "invalid_value"),
        (b'"seed": 99999999999999999999999999999999999', None),
        (b'"seed": 3, "seed": 3', "duplicate_key"),
        (b'"seed": 3, "seed": 4', "duplicate_key"),
        (b'"metadata": {"a": "1", "a": "2"}, "seed": 3', "duplicate_key"),
        (rb'"user": "\ud800", "seed": 3', "invalid_json_line"),
        (b'"seed": 03', "invalid_json_line"),
        (b'"seed": NaN', "invalid_json_line"),
    ],
)
def test_what_parsers_do_not_agree_on_is_found_where_values_differ(inside: bytes, code: str | None) -> None:
    """What may differ is not compared, so it is looked at."""
    rows = [line(f"r{number}", seed=number, metadata={"row": str(number)}) for number in range(9)]
    bad = line("bad", seed=1).replace(b'"seed": 1', inside)

    assert errors(check(*rows, bad, line("z", seed=7))) == ([(10, code)] if code else [])


def test_lines_that_differ_in_an_unknown_parameter_are_judged_together() -> None:
    """A misspelt name is on every line, and to judge each whole takes ten times as long."""
    outlines = {outline(line(f"r{n}", f"T{n}", temperatur=n, more={"n": n})) for n in range(3)}

    assert len({found[1] for found in outlines if found}) == 1
    assert found(check(*[line(f"r{n}", temperatur=n) for n in range(3)])) == [("temperatur", 1, 3)]


@pytest.mark.parametrize("name", [rb"a\u0022", rb"a\"", rb"\u0061", rb"a\\u0022"])
def test_no_spelling_of_names_hides_a_repeated_key(name: bytes) -> None:
    """The quotes of a line are counted, and a name may hold some, written in more than one way."""
    inside = b'"' + name + b'": 1, "b' + name + b'": 1, "x": 1, "x": 1'
    rows = [line(f"r{n}", seed=1).replace(b'"seed": 1', b'"x": 1') for n in range(3)]

    assert errors(check(*rows, line("bad", seed=1).replace(b'"seed": 1', inside))) == [(4, "duplicate_key")]


def test_spaces_cannot_stand_for_a_key_that_is_there_twice() -> None:
    """The line is as long as those before it, and holds the same values."""
    spaced = [line(f"row-{n}", seed=1).replace(b'"seed": 1', b'"seed": 1           ') for n in range(3)]
    doubled = line("row-9", seed=1).replace(b'"seed": 1', b'"seed": 1, "seed": 1')
    assert len(doubled) == len(spaced[0])

    assert errors(check(*spaced, doubled)) == [(4, "duplicate_key")]


@pytest.mark.parametrize("depth", [300, 450, 600, 900, 990])
def test_a_line_that_is_nested_deep_is_taken_or_refused_by_its_number(depth: int) -> None:
    """However deep that is, the other lines are looked at."""
    deep = line("x", ["?"], response_format={"type": "json_object"}).replace(b'"?"', b"[" * depth + b"]" * depth)

    report = check(line("a", "JSON", response_format={"type": "json_object"}), deep, line("b", n=200))

    assert errors(report) in ([], [(2, "invalid_json_line")])
    assert ("n", 3, 1) in found(report)


part = st.fixed_dictionaries({"type": st.just("text"), "text": st.sampled_from(["Hi", "as json", 'a "b"', "\n"])})
VALUES: list[Json] = ["Hi", "as JSON", "", 'a "b"\\', None, 7, True, 0.5, {}]
asked = st.sampled_from(VALUES) | st.lists(part, max_size=2)


@pytest.mark.slow
@given(
    bodies=st.lists(
        st.fixed_dictionaries(
            {"model": st.sampled_from(["gpt-4.1", "gpt-5", "gpt-5-mini", "o3", "gpt-5.2"])},
            optional={
                "messages": st.lists(
                    st.fixed_dictionaries(
                        {"content": asked},
                        optional={"role": st.sampled_from(["user", "tool", "bott", 3]), "more": asked},
                    ),
                    max_size=2,
                ),
                "input": asked,
                "instructions": asked,
                "seed": asked | st.integers(-2, 3),
                "user": st.sampled_from(["a", "seed", '"user": 1', 3]),
                "metadata": asked | st.sampled_from([{"a": "1"}, {"seed": "1"}, {"user": "a"}, []]),
                "max_tokens": st.sampled_from([0, 1, 15, 16, 17, 4_000, "16", 16.0]),
                "temperature": st.sampled_from([0, 0.0, 0.3, 0.25, 1, 1.0, 2, 3, "1", -0.5]),
                "top_p": st.sampled_from([0, 0.3, 0.9, 1, 1.1]),
                "response_format": st.sampled_from([{"type": "json_object"}, {"type": "text"}]),
                "text": st.just({"format": {"type": "json_object"}}),
                "temperatur": asked,
            },
        ),
        min_size=1,
        max_size=8,
    ),
    endpoint=st.sampled_from([CHAT, RESPONSES]),
    is_compact=st.booleans(),
)
def test_a_line_has_the_faults_of_its_body(
    bodies: list[dict[str, Json]], endpoint: Endpoint, *, is_compact: bool
) -> None:
    """Whatever it has in common with the lines before it, and however it is written."""
    separators = (",", ":") if is_compact else None
    fields = {"method": "POST", "url": endpoint}
    written = [
        json.dumps({"custom_id": f"{number}", **fields, "body": body}, separators=separators).encode()
        for number, body in enumerate(bodies)
    ]

    report = check(b"\n".join(written), endpoint=endpoint)

    expected: dict[Fault, list[int]] = defaultdict(list)
    for number, body in enumerate(bodies, 1):
        lacking = lacks_json_word(endpoint, body, OPENAI)
        for fault in [*faults(endpoint, body, OPENAI), *([lacking] if lacking else [])]:
            expected[fault].append(number)
    seen = {finding.fault: (finding.line, finding.lines) for finding in report.findings}
    assert seen == {fault: (numbers[0], len(numbers)) for fault, numbers in expected.items()}


def test_files_with_several_kinds_of_requests_are_judged_by_each() -> None:
    """Kinds that take turns are each compared with their own."""
    kinds: list[dict[str, Json]] = [{}, {"n": 2}, {"top_p": 0.5}, {"max_tokens": 5}, {"stop": ["x"]}, {"n": 200}]
    rows = [line(f"r{number}", f"T{number}", **kinds[number % 6]) for number in range(60)]

    report = check(*rows)

    assert found(report) == [("top_p", 3, 10), ("max_tokens", 4, 10), ("n", 6, 10)]
    assert list(report.custom_ids) == [f"r{number}" for number in range(60)]


def test_elsewhere_the_same_file_is_taken_with_warnings() -> None:
    """What OpenAI refuses, another server may take."""
    report = check(*lines(3, max_tokens=5, temperature="0"), provider=OLLAMA)

    assert (report.certain, [finding.fault.param for finding in report.suspected]) == ([], ["temperature"])
    assert found(check(*lines(3, max_tokens=5), provider=None)) == []


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ['"content":"x"', '","role":"user', "\\", 'a"', '"custom_id"', "}]}}"]
)
contents = texts | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": texts}), max_size=2) | st.none()
bodies = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["gpt-5", "o3"]),
        "messages": st.lists(
            st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": contents}), max_size=2
        ),
    },
    optional={
        "stream": st.booleans(),
        "seed": st.integers(0, 1),
        "metadata": st.dictionaries(texts, texts, max_size=2),
    },
)
requests = st.fixed_dictionaries(
    {"custom_id": texts.filter(str.strip), "method": st.just("POST"), "url": st.sampled_from([CHAT, CHAT, RESPONSES])},
    optional={"body": bodies},
)


@given(
    rows=st.lists(requests, min_size=1, max_size=8),
    size=st.integers(1, 400),
    is_compact=st.booleans(),
    is_ascii=st.booleans(),
)
def test_a_file_is_refused_for_what_the_batch_api_refuses_each_line_for(
    rows: list[dict[str, Json]], size: int, *, is_compact: bool, is_ascii: bool
) -> None:
    """However the lines look alike, and wherever the blocks end."""
    separators = (",", ":") if is_compact else None
    encoded = [json.dumps(row, separators=separators, ensure_ascii=is_ascii).encode() for row in rows]
    data = b"\n".join(encoded)
    blocks = [data[start : start + size] for start in range(0, len(data), size)]

    report = check_file(blocks, CHAT, None, most_errors=99)

    assert errors(report) == [(error.line, error.code) for error in check_batch(encoded, CHAT)]


@given(rows=st.lists(st.tuples(contents, st.integers(0, 2)), min_size=1, max_size=8))
def test_a_key_that_is_there_twice_is_found_on_whatever_line_it_is(rows: list[tuple[Json, int]]) -> None:
    """No text may hide it, and no line before it."""
    written = [
        line(f"r{number}", content, seed=1).replace(b'"seed": 1', b", ".join([b'"seed": 1'] * (times or 1)))
        for number, (content, times) in enumerate(rows)
    ]

    doubled = [(number, "duplicate_key") for number, (_, times) in enumerate(rows, 1) if times == 2]
    assert errors(check(*written)) == doubled
