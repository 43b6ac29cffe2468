"""Arguments as models write them: what has one meaning is understood, and nothing else is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from batchwright.core.model import Json
from batchwright.mcp_server.arguments import understood
from tests.support.session import at_endpoint

SCHEMA: Mapping[str, Json] = {
    "required": ["job_id"],
    "properties": {
        "job_id": {"type": "string"},
        "sql": {"type": "string"},
        "which": {"type": "string", "enum": ["random", "first"]},
        "user_says": {"type": "string", "enum": ["", "resend"]},
        "rows": {"type": "integer"},
        "max_cost_usd": {"type": "number"},
        "columns": {"type": "array", "items": {"type": "string"}},
        "inline": {"type": "array", "items": {"type": "object"}},
        "parameters": {"type": "object"},
    },
}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"sql": None, "rows": None, "columns": None, "parameters": None}, {}),
        ({"which": "", "rows": "", "columns": "", "parameters": ""}, {}),
        ({"sql": "", "user_says": ""}, {"sql": "", "user_says": ""}),
        ({"parameters": {"temperature": None}}, {"parameters": {"temperature": None}}),
        ({"columns": "topic"}, {"columns": ["topic"]}),
        ({"columns": "a, b"}, {"columns": ["a, b"]}),
        ({"columns": '["a", "b"]'}, {"columns": ["a", "b"]}),
        ({"columns": [1, "b", True]}, {"columns": ["1", "b", True]}),
        ({"columns": 7}, {"columns": ["7"]}),
        ({"job_id": " job_1\n", "sql": " x "}, {"job_id": "job_1", "sql": " x "}),
    ],
)
def test_what_has_one_meaning_is_read_as_that(given: dict[str, Json], meant: dict[str, Json]) -> None:
    """A round trip for a pair of brackets is a waste."""
    assert understood(SCHEMA, given) == meant


@pytest.mark.parametrize(
    "given",
    [
        {"job_id": None},
        {"job_id": ""},
        {"unknown": None},
        {"rows": "ten"},
        {"inline": "a"},
        {"which": "last"},
        {"max_cost_usd": "$5"},
    ],
)
def test_what_is_wrong_or_unknown_stays_for_whoever_checks_it(given: dict[str, Json]) -> None:
    """To drop it would be to guess."""
    assert understood(SCHEMA, given) == given


@pytest.mark.anyio
async def test_a_client_may_fill_in_every_argument_with_null(tmp_path: Path) -> None:
    """Strict function calling has models write all of them."""
    rows = [{"n": 1}, {"n": 2}]
    nothing: dict[str, Any] = dict.fromkeys(
        ("source", "batch_file", "system", "output_schema", "parameters", "id_column", "inputs_per_request", "endpoint")
    )
    async with at_endpoint(tmp_path) as (_, session):
        draft = await session.call("create_batch_file", rows=rows, prompt="say {{n}}", model="m", **nothing)
        job_id = draft["job_id"]
        trial = await session.call("try_requests", job_id=f" {job_id} ", named=[2, 1], truth=None, max_cost_usd=None)
        await session.call("submit_job", job_id=job_id, max_cost_usd=None, user_says=None)
        await session.call("check_job", job_id=job_id, wait_seconds="60")
        page = await session.call("get_results", job_id=job_id, columns="answer", save_as=None, outcome=None)
        refused = await session.error("check_job", job_id=None)
        wrong = await session.error("create_batch_file", rows=["one"], output_schema=[1])

    assert sorted(row["row"] for row in trial["rows"]) == [1, 2]
    assert [list(row) for row in page["shown"]] == [["row", "answer"]] * 2
    assert refused.startswith("check_job was called with wrong arguments; nothing was done. job_id: ")
    assert "rows.0: Input should be an object; output_schema: Input should be an object." in wrong
