"""Parts on disk: each is what its hash, size, load and ceiling say, and together they cost what was estimated."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.core.crash_points import Point, pass_by
from batchwright.core.errors import InvalidInput
from batchwright.core.job_folder import JobFolder
from batchwright.core.model import Charges, Endpoint, Json, Limits, Part, ProviderInfo, Recipe, Request
from batchwright.core.money import microusd
from batchwright.costs.prices import cost, price
from batchwright.costs.tokens import RequestTokens
from batchwright.requests.measure import Line, Measure
from batchwright.requests.parts import PartPlan, first_request, write_parts

MODEL = "gpt-5-mini"
"""$0.125 for a million tokens of input in a batch, $1 of output; twice that one at a time."""
TIERED = "gpt-5.4"
"""Its rates are higher for a request of more than 272,000 tokens of input."""


def plan(
    folder: Path,
    *,
    model: str = MODEL,
    endpoint: Endpoint = "/v1/chat/completions",
    charges: Charges = "batch",
    limits: Limits | None = None,
) -> PartPlan:
    """Plan parts in *folder*."""
    recipe, provider = Recipe(endpoint, model, "{{text}}"), ProviderInfo("service", "h", model, charges=charges)
    return PartPlan("job_a", JobFolder(folder), recipe, provider, limits or Limits(), pass_by)


def line(load: int, bound: int | None = 0, data: bytes = b"{}\n") -> Line:
    """Give a line with so many input tokens, whose answer is bounded."""
    return Line(data, 1, load, RequestTokens(load, bound))


def micro(amount: int) -> Decimal:
    """Give micro-dollars in US dollars."""
    return Decimal(amount).scaleb(-6)


def chat(number: int, text: str, **more: Json) -> Request:
    """Give a request of a chat."""
    return Request(f"row-{number}", {"model": MODEL, "messages": [{"role": "user", "content": text}], **more})


def test_a_part_is_its_lines_put_end_to_end_and_knows_its_hash_and_size(tmp_path: Path) -> None:
    """A file that is changed on disk before it is sent has another hash."""
    lines = [line(3, 10, b'{"a":1}\n'), line(4, 10, b'{"b":2}\n'), line(5, 10, b'{"c":3}\n')]

    folder = JobFolder(tmp_path)

    parts, _ = write_parts(plan(tmp_path, limits=Limits(max_requests=2)), lines)

    contents = [b'{"a":1}\n{"b":2}\n', b'{"c":3}\n']
    assert [folder.requests(part).read_bytes() for part in parts] == contents
    hashes = [hashlib.sha256(content).hexdigest() for content in contents]
    assert parts == (
        Part("job_a", 1, "built", hashes[0], 16, 2, load=7, ceiling_usd=micro(21), least_usd=micro(1)),
        Part("job_a", 2, "built", hashes[1], 8, 1, load=5, ceiling_usd=micro(11), least_usd=micro(1)),
    )


def test_parts_of_a_later_round_have_numbers_and_names_of_their_own(tmp_path: Path) -> None:
    """What was sent before stays as it was sent."""
    made = plan(tmp_path, limits=Limits(max_requests=1))
    later = replace(made, first_number=4, round=2)

    parts, _ = write_parts(later, [line(1), line(1)])

    assert [(part.number, part.round) for part in parts] == [(4, 2), (5, 2)]
    assert set(tmp_path.iterdir()) == set(map(made.folder.requests, parts))


def test_a_file_that_was_left_by_a_crash_is_written_anew(tmp_path: Path) -> None:
    """A part is never what two runs have written."""
    left = JobFolder(tmp_path).requests(Part("job_a", 1, "built", "", 0, 0))
    left.write_bytes(b"old\n" * 1_000)

    parts, _ = write_parts(plan(tmp_path), [line(1, data=b"new\n")])

    assert left.read_bytes() == b"new\n"
    assert parts[0].sha256 == hashlib.sha256(b"new\n").hexdigest()


def test_no_requests_make_no_part_and_cost_nothing(tmp_path: Path) -> None:
    """An empty file would be refused by the provider."""
    parts, expected = write_parts(plan(tmp_path), [])

    assert (parts, expected.input_tokens, list(tmp_path.iterdir())) == ((), 0, [])


def test_a_request_larger_than_a_batch_is_refused(tmp_path: Path) -> None:
    """No part can hold it."""
    with pytest.raises(InvalidInput, match="Request 2"):
        write_parts(plan(tmp_path, limits=Limits(max_bytes=10)), [line(1), line(1, data=b"x" * 11)])


@pytest.mark.parametrize(
    ("charges", "ceiling"),
    [("batch", "2.125"), ("standard", "4.25"), ("nothing", None), ("unknown", None)],
)
def test_the_ceiling_of_a_part_is_at_the_prices_that_its_provider_takes(
    tmp_path: Path, charges: Charges, ceiling: str | None
) -> None:
    """A million tokens in and two million out; what is free or not known has none."""
    parts, _ = write_parts(plan(tmp_path, charges=charges), [line(1_000_000, 2_000_000)])

    assert parts[0].ceiling_usd == (None if ceiling is None else Decimal(ceiling))


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        pytest.param("mystery-1", RequestTokens(5, 10), id="no price"),
        pytest.param(MODEL, RequestTokens(5, None), id="no bound"),
        pytest.param(MODEL, RequestTokens(5, 10, frozenset({"images"})), id="not counted"),
    ],
)
def test_what_nothing_bounds_has_no_ceiling(tmp_path: Path, model: str, tokens: RequestTokens) -> None:
    """One such request is enough; the other parts keep theirs."""
    made = plan(tmp_path, model=model, limits=Limits(max_requests=2))
    bounded, open_ended = line(5, 10), Line(b"{}\n", 1, 5, tokens)

    parts, expected = write_parts(made, [bounded, open_ended, bounded])

    assert parts[0].ceiling_usd is None
    assert (parts[1].ceiling_usd is None) == (model != MODEL)
    assert expected.cost_batch_usd is None or expected.cost_batch_usd.high_usd is None


REQUESTS = st.lists(
    st.builds(line, st.integers(0, 300_000), st.integers(0, 100_000), st.binary(min_size=1, max_size=9)), max_size=12
)


@settings(max_examples=40)
@given(lines=REQUESTS, charges=st.sampled_from(["batch", "standard"]), max_requests=st.integers(1, 5))
def test_the_ceilings_of_all_parts_are_the_highest_cost_of_the_estimate_rounded_up(
    tmp_path_factory: pytest.TempPathFactory, lines: Sequence[Line], charges: Charges, max_requests: int
) -> None:
    """What the user is told and agrees to is what is reserved, however the job is cut."""
    made = plan(tmp_path_factory.mktemp("job"), charges=charges, limits=Limits(max_requests=max_requests))

    parts, expected = write_parts(made, lines)

    known = expected.cost_standard_usd if charges == "standard" else expected.cost_batch_usd
    assert known is not None
    summed = sum((part.ceiling_usd or Decimal(0) for part in parts), Decimal(0))
    assert 0 <= summed - (known.high_usd or Decimal(0)) < micro(max(len(parts), 1))


def test_ceilings_are_whole_micro_dollars_as_they_are_reserved(tmp_path: Path) -> None:
    """Three parts of a fraction more than ten millionths of a dollar take eleven each, and that is what is told."""
    parts, _ = write_parts(plan(tmp_path, limits=Limits(max_requests=1)), [line(81)] * 3)

    assert [part.ceiling_usd for part in parts] == [micro(11)] * 3
    assert sum(microusd(part.ceiling_usd or Decimal(0)) for part in parts) == 33


@settings(max_examples=40)
@given(lines=REQUESTS, max_requests=st.integers(1, 5))
def test_no_part_can_cost_more_than_its_ceiling_also_where_long_requests_cost_more(
    tmp_path_factory: pytest.TempPathFactory, lines: Sequence[Line], max_requests: int
) -> None:
    """Each part is at the rate of its own longest request, all of them together at that of the longest of all."""
    made = plan(tmp_path_factory.mktemp("job"), model=TIERED, limits=Limits(max_requests=max_requests))
    rates = price(TIERED, endpoint="/v1/chat/completions")
    assert rates is not None

    parts, expected = write_parts(made, lines)

    for number, part in enumerate(parts):
        own = lines[number * max_requests : (number + 1) * max_requests]
        most = cost(rates, [(each.tokens.input_tokens, each.tokens.output_bound or 0) for each in own])
        assert most <= (part.ceiling_usd or Decimal(0))
    assert expected.cost_batch_usd is not None
    summed = sum((part.ceiling_usd or Decimal(0) for part in parts), Decimal(0))
    assert summed <= (expected.cost_batch_usd.high_usd or Decimal(0)) + micro(len(parts))


@settings(max_examples=40)
@given(lines=REQUESTS, max_load=st.integers(1, 600_000))
def test_no_part_of_more_than_one_request_is_over_the_enqueued_limit(
    tmp_path_factory: pytest.TempPathFactory, lines: Sequence[Line], max_load: int
) -> None:
    """The provider would refuse it whole, again and again; and no request is lost or moved on the way."""
    folder = tmp_path_factory.mktemp("job")

    parts, expected = write_parts(plan(folder, limits=Limits(max_load=max_load)), lines)

    assert all(part.load <= max_load or part.requests == 1 for part in parts)
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert sum(part.requests for part in parts) == len(lines)
    assert sum(part.load for part in parts) == sum(each.load for each in lines) == expected.input_tokens
    contents = [JobFolder(folder).requests(part).read_bytes() for part in parts]
    assert b"".join(contents) == b"".join(each.data for each in lines)
    assert [(part.size_bytes, part.sha256) for part in parts] == [
        (len(content), hashlib.sha256(content).hexdigest()) for content in contents
    ]


def test_a_chat_is_weighed_by_its_input_tokens_and_bounded_by_its_parameters() -> None:
    """OpenAI counts input tokens for its enqueued limit."""
    found = Measure(MODEL, "/v1/chat/completions").request(chat(1, "hello world", max_completion_tokens=50))

    assert json.loads(found.data) == {
        "custom_id": "row-1",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": MODEL,
            "messages": [{"role": "user", "content": "hello world"}],
            "max_completion_tokens": 50,
        },
    }
    assert found.data.endswith(b"}\n")
    assert found[1:4] == (1, 9, RequestTokens(9, 50))


@pytest.mark.parametrize(
    ("given_input", "inputs", "tokens"),
    [
        ("hello", 1, 1),
        ("[a, b]", 1, 4),
        (["hello", "hello world"], 2, 3),
        ([101, 102], 1, 2),
        ([[101], [102, 103]], 2, 3),
        ([], 0, 0),
    ],
)
def test_embeddings_are_weighed_by_their_inputs(given_input: Json, inputs: int, tokens: int) -> None:
    """There the limits are of texts, however long they are, and the price is of tokens."""
    measure = Measure("text-embedding-3-small", "/v1/embeddings")

    found = measure.request(Request("row-1", {"model": "text-embedding-3-small", "input": given_input}))

    assert found[1:4] == (inputs, inputs, RequestTokens(tokens, 0))


@settings(max_examples=40)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=8))
def test_a_part_that_is_read_again_weighs_what_it_did(
    tmp_path_factory: pytest.TempPathFactory, texts: Sequence[str]
) -> None:
    """A part that is too large is cut along its own lines, which stay as they are, byte for byte."""
    folder = tmp_path_factory.mktemp("job")
    measure = Measure(MODEL, "/v1/chat/completions")
    lines = [measure.request(chat(number, text, max_completion_tokens=5)) for number, text in enumerate(texts)]
    parts, _ = write_parts(plan(folder), lines)

    assert list(measure.lines(JobFolder(folder).requests(parts[0]))) == lines


def test_a_large_part_becomes_pieces_that_hold_the_same_requests(tmp_path: Path) -> None:
    """Cut for a limit that was learned late, it is asked once and costs no more."""
    measure = Measure(MODEL, "/v1/chat/completions")
    requests = [measure.request(chat(number, "word " * number, max_completion_tokens=5)) for number in range(1, 9)]
    (whole,), _ = write_parts(plan(tmp_path), requests)
    small = replace(plan(tmp_path, limits=Limits(max_load=30)), first_number=2)
    file_of = small.folder.requests

    pieces, _ = write_parts(small, measure.lines(file_of(whole)))

    assert len(pieces) > 1
    assert sum(piece.requests for piece in pieces) == whole.requests
    more = sum((piece.ceiling_usd or Decimal(0) for piece in pieces), Decimal(0)) - (whole.ceiling_usd or Decimal(0))
    assert 0 <= more < micro(len(pieces))
    content = b"".join(file_of(piece).read_bytes() for piece in pieces)
    assert content == file_of(whole).read_bytes()


def test_the_first_request_is_that_of_the_first_part(tmp_path: Path) -> None:
    """It is what the user is shown before anything is spent."""
    measure = Measure(MODEL, "/v1/chat/completions")
    requests = [chat(number, f"text {number}") for number in range(3)]
    parts, _ = write_parts(plan(tmp_path, limits=Limits(max_requests=1)), map(measure.request, requests))

    assert first_request(JobFolder(tmp_path), parts) == requests[0]


def test_every_line_and_the_end_are_points_where_a_crash_can_be_tried(tmp_path: Path) -> None:
    """Nothing is known of a part before it is whole on the disk."""
    passed: list[tuple[Point, int]] = []
    made = plan(tmp_path, limits=Limits(max_requests=2))

    def on_point(point: Point) -> None:
        passed.append((point, len(list(tmp_path.iterdir()))))

    write_parts(replace(made, on_point=on_point), [line(1)] * 3)

    assert passed == [("part_writing", 1), ("part_writing", 1), ("part_writing", 2), ("part_written", 2)]
