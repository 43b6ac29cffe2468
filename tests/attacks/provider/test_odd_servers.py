"""What servers other than OpenAI say in their own way is understood, and leads to advice that helps."""

import json
from pathlib import Path
from typing import Any

import pytest

from batchwright.core.jsonl import encode_request
from batchwright.core.model import Request
from tests.support import five_rows
from tests.support.openai_server import Object, OpenAIServer, answer_body
from tests.support.session import environment, in_memory, openai_environment

pytestmark = pytest.mark.anyio

ROWS = five_rows.ROWS[:3]
CHAT: dict[str, Any] = five_rows.DRAFT | {"rows": ROWS}
RESPONSES: dict[str, Any] = CHAT | {"endpoint": "/v1/responses", "parameters": {"max_output_tokens": 32}}
SCHEMA = {
    "type": "object",
    "properties": {"word": {"type": "string"}},
    "required": ["word"],
    "additionalProperties": False,
}
PYTHON_ERROR = "{'error': {'message': \"Model 'm' doesn't take it.\", 'type': 'bad', 'param': 'seed', 'code': None}}"


def filled(text: str) -> Object:
    """Give a complete answer of the Responses API whose tokens are as many as the limit."""
    answer = answer_body("/v1/responses", {"model": "m", "input": "x"}, text)
    return answer | {"usage": {"input_tokens": 5, "output_tokens": 32, "total_tokens": 37}}


@pytest.mark.parametrize(
    ("schema", "text", "outcome"),
    [
        ({}, "a text that ends in the mid", "cut_short"),
        (SCHEMA, '{"word": "who', "cut_short"),
        (SCHEMA, '{"word": "whole"}', "answered"),
    ],
)
async def test_an_answer_as_long_as_its_limit_is_cut_unless_it_fits_the_schema(
    tmp_path: Path, server: OpenAIServer, schema: dict[str, Any], text: str, outcome: str
) -> None:
    """Some servers call an answer of the Responses API completed that their limit has cut."""
    server.answer = lambda _id, _body: filled(text)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await five_rows.submitted(session, **RESPONSES, output_schema=schema)
        server.finish(next(iter(server.batches)))
        job = await session.finished(job_id)

    assert job["counts"] == {outcome: 3}


async def test_a_server_without_the_responses_api_is_not_said_to_be_at_another_address(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Its base URL is right: chat completions are there."""
    server.faults.add("responses.create", "404", times=20)
    settings = {"endpoint": server.url, "endpoint_key": server.key}
    async with in_memory(environment(tmp_path, **settings)) as session:
        job_id = await five_rows.submitted(session, 1, **RESPONSES)
        job = await session.finished(job_id)

    (problem,) = job["problems"]
    assert (problem["problem"], problem["retry"]) == ("the server has no /v1/responses", "does not help")
    assert 'endpoint="/v1/chat/completions"' in problem["advice"]
    assert "remedy" not in problem


async def test_a_trial_at_a_server_of_batches_only_leads_to_a_submission(tmp_path: Path, server: OpenAIServer) -> None:
    """Nothing is wrong with the draft: it cannot be tried there, that is all."""
    server.faults.add("chat.completions.create", "404", times=20)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("create_batch_file", **CHAT))["job_id"]
        trial = await session.call("try_requests", job_id=job_id, max_cost_usd=1)

    assert trial["next"].startswith("the server may answer only batches, so without a trial: tell the user the cost")
    assert f'submit_job(job_id="{job_id}"' in trial["next"]


async def test_a_batch_that_failed_for_its_lines_names_them_when_it_is_adopted(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """The provider says which lines are at fault: whoever made the file can repair it."""
    path = server.new_path()
    path.write_bytes(
        encode_request(Request("a", {"model": "m", "messages": []}), "/v1/chat/completions") + b"not JSON\n"
    )
    file = server.add_file(path, "made.jsonl", purpose="batch")
    fields = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch_id = server.create_batch(fields)["id"]
    server.finish(batch_id)
    async with in_memory(openai_environment(tmp_path, server)) as session:
        refused = await session.error("adopt_batch", batch_id=batch_id)

    assert "line 2: invalid_json_line: This line is not parseable as valid JSON." in refused


async def test_a_server_that_does_not_embed_is_not_helped_by_one_text_at_a_time(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """The texts are not to blame."""
    message = "This server does not support embeddings. Start it with `--embeddings`"
    server.answer = lambda _id, _body: (501, {"error": {"message": message, "type": "not_supported_error"}})
    draft = {"rows": ROWS, "prompt": "{{n}}", "model": "text-embedding-3-small", "endpoint": "/v1/embeddings"}
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("create_batch_file", **draft, inputs_per_request=3))["job_id"]
        await session.call("submit_job", job_id=job_id)
        server.finish(next(iter(server.batches)))
        job = await session.finished(job_id)

    (problem,) = job["problems"]
    assert (problem["cause"], problem["retry"]) == ("wrong_endpoint", "helps with a change")
    assert "one by one" not in problem["advice"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            {"type": "request_failed", "message": f"Error code: 400 - {PYTHON_ERROR}"},
            "HTTP 400 (param seed): Model 'm' doesn't take it.",
        ),
        ({"type": "runner_lost", "message": "It went away."}, "runner_lost: It went away."),
        ({"message": "Error code: 503 - <html>away</html>"}, "HTTP 503: ‹html>away‹/h… (4 more)"),
    ],
)
async def test_an_error_without_a_code_is_read_from_its_type_and_its_words(
    tmp_path: Path, server: OpenAIServer, error: Object, words: str
) -> None:
    """A server that is a client of another one writes down what its client library says."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await five_rows.submitted(session, **CHAT)
        server.answer = lambda _id, _body: (500, {"error": {"message": "It broke."}})
        batch = server.finish(next(iter(server.batches)))
        path = server.files[batch["error_file_id"]].path
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        path.write_text("".join(json.dumps(line | {"response": None, "error": error}) + "\n" for line in lines))
        await session.finished(job_id)
        shown = await session.call("get_results", job_id=job_id)

    assert {row["problem"] for row in shown["shown"]} == {words}
