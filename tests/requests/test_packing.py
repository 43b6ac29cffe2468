"""Many rows' inputs in one embeddings request: every row has its own vector, and its own outcome."""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.core.crash_points import pass_by
from batchwright.core.job_folder import JobFolder
from batchwright.core.jsonl import decode_request, whole_lines
from batchwright.core.model import Json, Limits, ProviderInfo, Recipe, Request, Result, ResultLine
from batchwright.jobs.build import draft
from batchwright.requests.measure import Line, Measure
from batchwright.requests.packing import MAX_INPUT_TOKENS, MAX_REQUEST_TOKENS, lines_again, members_of, pack
from batchwright.requests.parts import PartPlan, write_parts
from batchwright.results.answers import unpack
from batchwright.results.table import ResultTable
from batchwright.tables.rows import write_rows
from tests.jobs.test_build import plan
from tests.jobs.test_retry import looked_at
from tests.requests.test_duplicates import answers
from tests.support.endpoint import running_endpoint
from tests.support.five_rows import newest
from tests.support.openai_server import Object, OpenAIServer, running_openai
from tests.support.results import write_results
from tests.support.session import HURRIED, MODES, Mode, Session, environment, in_memory, openai_environment
from tests.support.unknown_batches import lose_the_journal
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

MODEL = "text-embedding-3-small"
DRAFT: dict[str, Any] = {"prompt": "{{text}}", "model": MODEL, "endpoint": "/v1/embeddings"}


@pytest.fixture
async def server() -> AsyncGenerator[OpenAIServer]:
    """Run a server with OpenAI's API that embeds as `vector_of` does."""
    async with running_openai(answer=lambda _id, body: embedded(body["input"])) as server:
        yield server


def vector_of(text: str) -> list[float]:
    """Give a vector that no other text has."""
    return [float(place) + ord(letter) / 1_000_000 for place, letter in enumerate(text)]


def embedded(given: str | list[str], order: Callable[[list[Object]], None] = lambda _: None) -> Object:
    """Give an endpoint's answer to these inputs, its vectors in any *order*."""
    texts = given if isinstance(given, list) else [given]
    data: list[Object] = [{"index": number, "embedding": vector_of(text)} for number, text in enumerate(texts)]
    order(data)
    used = sum(map(len, texts))
    return {"object": "list", "data": data, "model": MODEL, "usage": {"prompt_tokens": used, "total_tokens": used}}


def rows(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Give a row for each text."""
    return [{"n": number, "text": text} for number, text in enumerate(texts)]


def sent(server: OpenAIServer, batch_id: str) -> list[Any]:
    """Give the inputs of a batch's requests."""
    path = server.files[server.batches[batch_id]["input_file_id"]].path
    return [decode_request(line).body["input"] for line in whole_lines([path.read_bytes()])]


async def submitted(session: Session, texts: Sequence[str], **changes: Any) -> dict[str, Any]:
    """Draft and submit a job, and give its draft."""
    made = await session.call("create_batch_file", **DRAFT | {"rows": rows(texts), "inputs_per_request": 4} | changes)
    await session.call("submit_job", job_id=made["job_id"], max_cost_usd=0.5)
    return made


def fails_with(text: str) -> Callable[[str, Object], Object | tuple[int, Object]]:
    """Refuse every request that holds *text*, as OpenAI does: whole."""

    def answer(_id: str, body: Object) -> Object | tuple[int, Object]:
        refusal: Object = {"error": {"message": "'$.input' is invalid."}}
        return (400, refusal) if text in body["input"] else embedded(body["input"])

    return answer


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
async def test_every_row_of_a_packed_job_has_its_own_vector_whatever_the_order(
    tmp_path: Path, server: OpenAIServer, mode: Mode
) -> None:
    """Two thousand rows in eight requests, whose vectors and lines come back shuffled."""
    texts = [f"text {number}" for number in range(2_000)]
    server.answer = lambda custom_id, body: embedded(body["input"], Random(custom_id).shuffle)
    async with in_memory(openai_environment(tmp_path, server), mode) as session:
        each = await session.call("create_batch_file", **DRAFT, rows=rows(texts))
        made = await submitted(session, texts, inputs_per_request=256)
        server.finish(newest(server))
        job = await looked_at(session, made["job_id"])
        found = await answers(session, tmp_path, made["job_id"])

    assert (made["rows"], made["requests"], made["parts"]) == (2_000, 8, 1)
    assert made["input_tokens"] == each["input_tokens"]
    assert [text for request in sent(server, newest(server)) for text in request] == texts
    assert (job["status"], job["counts"]) == ("completed", {"answered": 2_000})
    assert job["input_tokens"] == sum(map(len, texts))
    assert [(row["text"], row["embedding"]) for row in found] == [(text, vector_of(text)) for text in texts]


async def test_rows_that_repeat_are_packed_once(tmp_path: Path, server: OpenAIServer) -> None:
    """Both savings together: each different text is one input."""
    texts = [f"text {number % 7}" for number in range(100)]
    async with in_memory(openai_environment(tmp_path, server)) as session:
        made = await submitted(session, texts, deduplicate=True)
        running = await looked_at(session, made["job_id"])
        server.finish(newest(server))
        job = await looked_at(session, made["job_id"])
        found = await answers(session, tmp_path, made["job_id"])

    assert made["requests"] == 2
    assert running["counts"] == {"running": 100}
    assert sent(server, newest(server)) == [texts[:4], texts[4:7]]
    assert job["counts"] == {"answered": 100}
    assert [row["embedding"] for row in found] == [vector_of(text) for text in texts]


@pytest.mark.slow
async def test_a_failed_request_fails_its_rows_which_a_retry_sends_one_by_one(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """One bad input fails all those beside it: alone, it fails only itself, and the others get their vectors."""
    texts = [f"text {number}" for number in range(10)]
    server.answer = fails_with("text 5")
    async with in_memory(openai_environment(tmp_path, server)) as session:
        made = await submitted(session, texts)
        server.finish(newest(server))
        first = await looked_at(session, made["job_id"])
        retry = await session.call("retry_job", **first["problems"][0]["remedy"]["arguments"])
        await session.call("submit_job", job_id=made["job_id"])
        running = await looked_at(session, made["job_id"])
        server.finish(newest(server))
        job = await looked_at(session, made["job_id"])
        found = await answers(session, tmp_path, made["job_id"])

    assert first["counts"] == {"answered": 6, "failed": 4}
    (problem,) = first["problems"]
    assert (problem["provider_says"], problem["rows"]) == ("HTTP 400: '$.input' is invalid.", 4)
    assert problem["retry"] == "helps"
    assert retry["requests"] == 4
    assert sent(server, newest(server)) == [["text 4"], ["text 5"], ["text 6"], ["text 7"]]
    assert running["counts"] == {"answered": 6, "running": 4}
    assert job["counts"] == {"answered": 9, "failed": 1}
    assert [row["embedding"] for row in found] == [vector_of(text) if text != "text 5" else None for text in texts]


@pytest.mark.slow
async def test_rows_of_a_batch_that_expired_are_packed_again(tmp_path: Path, server: OpenAIServer) -> None:
    """They never ran, so nothing speaks against them; what was answered stays."""
    texts = [f"text {number}" for number in range(10)]
    async with in_memory(openai_environment(tmp_path, server)) as session:
        made = await submitted(session, texts)
        server.step(newest(server))
        server.batches[newest(server)]["request_counts"] = {"total": 3, "completed": 1, "failed": 0}
        await looked_at(session, made["job_id"])
        running = await looked_at(session, made["job_id"])
        server.finish(newest(server), "expired", answered=1)
        expired = await looked_at(session, made["job_id"])
        await session.call("retry_job", job_id=made["job_id"])
        await session.call("submit_job", job_id=made["job_id"])
        server.finish(newest(server))
        job = await looked_at(session, made["job_id"])
        found = await answers(session, tmp_path, made["job_id"])

    assert running["counts"] == {"answered": 3, "running": 7}
    assert expired["counts"] == {"answered": 4, "expired": 6}
    assert sent(server, newest(server)) == [texts[4:8], texts[8:]]
    assert job["counts"] == {"answered": 10}
    assert [row["embedding"] for row in found] == [vector_of(text) for text in texts]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("is_lost", [True, False], ids=["lost journal", "restarted"])
async def test_a_new_server_finds_the_rows_of_each_request_again(
    tmp_path: Path,
    server: OpenAIServer,
    mode: Mode,
    is_lost: bool,  # noqa: FBT001
) -> None:
    """They lie beside the part: what was paid for is joined to its rows, and nothing is sent twice."""
    texts = [f"text {number % 8}" for number in range(20)]
    env = openai_environment(tmp_path, server)
    async with in_memory(env, mode) as session:
        made = await submitted(session, texts, inputs_per_request=3, deduplicate=True)
    if is_lost:
        lose_the_journal(tmp_path)
    server.finish(newest(server), "expired", answered=2)
    async with in_memory(env, mode) as session:
        job = await session.finished(made["job_id"])
        found = await answers(session, tmp_path, made["job_id"])
        retry = await session.call("retry_job", job_id=made["job_id"])

    vectors = [vector_of(text) if text not in {"text 6", "text 7"} else None for text in texts]
    assert job["counts"] == {"answered": 16, "expired": 4}
    assert [row["embedding"] for row in found] == vectors
    assert retry["requests"] == 1
    assert server.posts == 1


async def test_answers_whose_rows_are_not_known_any_more_are_given_to_none(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """A vector at the wrong row is worse than none, and it is said."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        made = await submitted(session, ["a", "b", "c"])
        (tmp_path / "data" / "jobs" / made["job_id"] / "part-0001.members.jsonl").unlink()
        server.finish(newest(server))
        job = await looked_at(session, made["job_id"])

    assert job["counts"] == {"unconfirmed": 3}
    assert job["notes"][0].startswith("part-0001.members.jsonl is gone")


@pytest.mark.slow
@pytest.mark.parametrize("most", [3, 100])
async def test_packed_requests_larger_than_the_enqueued_limit_are_cut(
    tmp_path: Path, server: OpenAIServer, most: int
) -> None:
    """The limit is learned from a refusal, after the requests were packed: smaller ones take their place."""
    server.enqueued_limit, server.automatic = 5, True
    texts = [f"text {number}" for number in range(12)]
    async with in_memory(openai_environment(tmp_path, server, poll_seconds="0.2"), waiting=HURRIED) as session:
        made = await submitted(session, texts, inputs_per_request=most)

        async def ended() -> bool:
            job = await looked_at(session, made["job_id"])
            return job["status"] == "completed"

        await until(ended)
        job = await looked_at(session, made["job_id"])
        found = await answers(session, tmp_path, made["job_id"])
        after = await session.call("create_batch_file", **DRAFT, rows=rows(texts), inputs_per_request=most)

    assert made["parts"] == 1
    assert job["counts"] == {"answered": 12}
    assert [row["embedding"] for row in found] == [vector_of(text) for text in texts]
    assert after["parts"] > 1


async def test_the_local_engine_runs_packed_requests(tmp_path: Path) -> None:
    """Its endpoints take lists too, and one call for many texts is what they are fastest at."""
    texts = ["a" * number for number in range(1, 21)]
    async with (
        running_endpoint() as endpoint,
        in_memory(environment(tmp_path, endpoint=endpoint.url)) as session,
    ):
        made = await session.call("create_batch_file", **DRAFT, rows=rows(texts), inputs_per_request=8)
        await session.call("submit_job", job_id=made["job_id"])
        job = await session.finished(made["job_id"])
        found = await answers(session, tmp_path, made["job_id"])

    assert sorted(len(body["input"]) for body in endpoint.bodies) == [4, 8, 8]
    assert job["counts"] == {"answered": 20}
    assert [row["embedding"] for row in found] == [[0.5, float(len(text))] for text in texts]


async def test_only_embeddings_of_rows_are_packed(tmp_path: Path, server: OpenAIServer) -> None:
    """A chat has one prompt a request, and a ready-made file says itself what is in each."""
    line = {"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"model": "m", "input": "x"}}
    async with in_memory(openai_environment(tmp_path, server)) as session:
        (tmp_path / "work" / "made.jsonl").write_text(json.dumps(line) + "\n")
        file = await session.error("create_batch_file", batch_file="made.jsonl", inputs_per_request=2)
        chat = await session.error(
            "create_batch_file", **DRAFT | {"endpoint": "/v1/responses"}, rows=rows(["a"]), inputs_per_request=2
        )
        many = await session.error("create_batch_file", **DRAFT, rows=rows(["a"]), inputs_per_request=2_049)

    assert file == "A ready-made batch_file is sent line by line, unchanged. Leave inputs_per_request out."
    assert chat == "Only /v1/embeddings accepts several inputs in a request. Leave out inputs_per_request."
    assert "2048" in many


def line(number: int, text: str = "x", tokens: int = 1) -> Line:
    """Give a request of one input of so many tokens."""
    made = Measure(MODEL, "/v1/embeddings").request(Request(f"r{number}", {"model": MODEL, "input": text}))
    return made._replace(tokens=made.tokens._replace(input_tokens=tokens))


def sizes(lines: Sequence[Line], most: int, limits: Limits | None = None, alone: Sequence[str] = ()) -> list[int]:
    """Give how many inputs each packed request has."""
    return [each.inputs for each in pack(lines, most, limits or Limits(), alone=alone)]


def test_a_request_is_packed_within_all_limits() -> None:
    """The endpoint takes so many tokens a request, and a batch so many inputs, however many are wished."""
    large = [line(number, tokens=8_000) for number in range(40)]

    assert sizes(large, 2_048) == [MAX_REQUEST_TOKENS // 8_000, 3]
    assert sizes(large, 2_048, Limits(max_inputs=15)) == [15, 15, 10]
    assert sizes(large, 2_048, Limits(max_load=25)) == [25, 15]
    assert sizes(large, 2_048, Limits(max_bytes=10 * len(large[10].data))) == [10, 10, 10, 10]


def test_what_is_sure_to_be_refused_goes_alone() -> None:
    """An empty text, or one that is too long, would take all others of its request with it."""
    lines = [line(1), line(2, ""), line(3), line(4, tokens=MAX_INPUT_TOKENS + 1), line(5), line(6)]

    made = list(pack(lines, 100, Limits(), alone=["r5"]))

    assert {each.members for each in made} == {("r2",), ("r4",), ("r5",), ("r1", "r3", "r6")}


@settings(max_examples=50)
@given(texts=st.lists(st.text(max_size=5), max_size=30), most=st.integers(2, 9))
def test_every_row_is_packed_once_with_its_own_input_and_nothing_is_lost_of_its_tokens(
    texts: list[str], most: int
) -> None:
    """Whatever the rows: put end to end, the packed inputs are theirs."""
    lines = [line(number, text, tokens=number) for number, text in enumerate(texts)]

    made = list(pack(lines, most, Limits()))

    requests = [decode_request(each.data) for each in made]
    pairs = [
        pair
        for each, request in zip(made, requests, strict=True)
        for pair in zip(each.members, request.body["input"], strict=True)
    ]
    assert sorted(pairs) == sorted((f"r{number}", text) for number, text in enumerate(texts))
    assert all(each.inputs == each.load == len(each.members) <= most for each in made)
    assert [request.custom_id for request in requests] == [each.members[0] for each in made]
    assert sum(each.tokens.input_tokens for each in made) == sum(range(len(texts)))


def joined(path: Path, texts: Sequence[str], limits: Limits, most: int = 1, *, deduplicate: bool = False) -> Any:
    """Draft a job of these texts in an empty folder, answer each request, and give its rows with their vectors."""
    path.mkdir()
    folder = JobFolder(path)
    write_rows(rows(texts), folder.inline_rows)
    recipe = Recipe("/v1/embeddings", MODEL, "{{text|lower}}", inputs_per_request=most)
    planned = replace(plan(folder.inline_rows, limits=limits), recipe=recipe, deduplicate=deduplicate)
    found = draft(planned)
    results: list[Result] = []
    for part in found.job.parts:
        members = members_of(folder, part)
        for request in map(decode_request, whole_lines([folder.requests(part).read_bytes()])):
            answer = ResultLine(request.custom_id, 200, embedded(request.body["input"]))
            results += unpack(answer, members.get(request.custom_id, [request.custom_id]))
    write_results(reversed(results), folder.results, recipe, folder.frozen)
    table = ResultTable(folder.frozen, folder.results, found.job.source.columns, recipe, ended=True)
    return table.rows(outcome=None, offset=0, limit=100).rows


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(
    texts=st.lists(st.text("aAbB", min_size=1, max_size=2), min_size=1, max_size=15),
    most=st.integers(2, 6),
    max_inputs=st.integers(1, 7),
    deduplicate=st.booleans(),
)
def test_the_vectors_of_a_packed_job_are_those_of_the_same_job_without(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    most: int,
    max_inputs: int,
    deduplicate: bool,  # noqa: FBT001
) -> None:
    """Whatever the rows, the limits and how they are packed: joined, nobody can tell."""
    folder = tmp_path_factory.mktemp("jobs")

    packed_rows = joined(folder / "job_a", texts, Limits(max_inputs=max_inputs), most, deduplicate=deduplicate)
    (folder / "job_a").rename(folder / "packed")

    assert packed_rows == joined(folder / "job_a", texts, Limits())
    assert [row["embedding"] for _, row in packed_rows] == [vector_of(text.lower()) for text in texts]


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=20), max_load=st.integers(1, 6))
def test_a_packed_part_cut_smaller_keeps_every_row_with_its_input(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], max_load: int
) -> None:
    """The enqueued limit is often learned only when all is packed already."""
    folder = JobFolder(tmp_path_factory.mktemp("job"))
    provider = ProviderInfo("endpoint", "localhost", MODEL)
    recipe = Recipe("/v1/embeddings", MODEL, "p", inputs_per_request=8)
    parts = PartPlan("job_a", folder, recipe, provider, Limits(), pass_by)
    lines = [line(number, text) for number, text in enumerate(texts)]
    (whole,), _ = write_parts(parts, pack(lines, 8, Limits()))

    limits = Limits(max_load=max_load)
    again = lines_again(folder, whole, Measure(MODEL, "/v1/embeddings"), limits)
    pieces, _ = write_parts(replace(parts, limits=limits, first_number=2), again)

    requests = [
        (members_of(folder, piece), decode_request(each))
        for piece in pieces
        for each in folder.requests(piece).read_bytes().splitlines()
    ]
    pairs = [
        pair
        for members, request in requests
        for pair in zip(members[request.custom_id], request.body["input"], strict=True)
    ]
    assert pairs == [(f"r{number}", text) for number, text in enumerate(texts)]
    assert all(piece.load <= max_load for piece in pieces)
    assert sum(piece.load for piece in pieces) == len(texts)


def outcomes(body: Json) -> list[tuple[str, str | None, str | None]]:
    """Unpack an answer for three rows."""
    results = unpack(ResultLine("a", 200, body), ["a", "b", "c"])
    return [(result.outcome, result.text, result.problem and result.problem.words) for result in results]


@settings(max_examples=50)
@given(data=st.data(), items=st.lists(st.integers(-1, 4), max_size=6))
def test_a_vector_is_given_to_the_row_of_its_index_or_to_none(data: st.DataObject, items: list[int]) -> None:
    """Short, long, shuffled or with one index twice: no row ever gets another row's vector."""
    order = data.draw(st.permutations(items))

    found = outcomes({"data": [{"index": index, "embedding": [index]} for index in order]})

    for place, (outcome, text, problem) in enumerate(found):
        match items.count(place):
            case 0:
                assert (outcome, text, problem) == ("failed", None, "the answer has no vector for this row")
            case 1:
                assert (outcome, text, problem) == ("answered", f"[{place}]", None)
            case _:
                assert (outcome, problem) == ("failed", "the answer has more than one vector for this row")


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "x",
        {"data": None},
        {"data": ["x", None]},
        {"data": [{"index": 0, "embedding": "AAA="}]},
        {"data": [{"index": "0", "embedding": [1]}]},
    ],
    ids=json.dumps,
)
def test_an_answer_of_another_shape_fails_its_rows(body: Json) -> None:
    """A server may answer anything."""
    assert {outcome for outcome, _, _ in outcomes(body)} == {"failed"}


def test_vectors_without_an_index_are_taken_in_their_order() -> None:
    """Some servers leave it out; then the order is all there is."""
    found = outcomes({"data": [{"embedding": [1]}, {"embedding": [2]}, {"embedding": [3]}]})

    assert [text for _, text, _ in found] == ["[1]", "[2]", "[3]"]


def test_the_tokens_of_a_request_are_counted_once() -> None:
    """They are one request's, however many rows it has."""
    body = embedded(["ab", "c", "d"])

    results = list(unpack(ResultLine("a", 200, body), ["a", "b", "c"]))

    assert [result.input_tokens for result in results] == [4, 0, 0]


async def test_packed_vectors_in_base64_are_given_to_their_rows(tmp_path: Path) -> None:
    """`encoding_format` may ask for them so: they are paid for, and were all taken for no vector."""
    encoded = {"a": "AACAPw==", "b": "AAAAQA=="}

    def answer(_id: str, body: Object) -> Object:
        data = [{"index": n, "embedding": encoded[text]} for n, text in enumerate(body["input"])]
        return {"object": "list", "data": data, "usage": {"prompt_tokens": 2, "total_tokens": 2}}

    async with running_openai(answer=answer) as server, in_memory(openai_environment(tmp_path, server)) as session:
        made = await submitted(session, ["a", "b"], inputs_per_request=2, parameters={"encoding_format": "base64"})
        server.finish(next(iter(server.batches)))
        job = await session.finished(made["job_id"])
        results = await session.call("get_results", job_id=made["job_id"])

    assert job["counts"] == {"answered": 2}
    assert [row["embedding"] for row in results["shown"]] == ["AACAPw==", "AAAAQA=="]
