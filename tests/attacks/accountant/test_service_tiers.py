"""The most that a single request may cost holds whatever tier its project at OpenAI is set to."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.endpoint import running_endpoint
from tests.support.openai_server import OpenAIServer
from tests.support.session import environment, in_memory, openai_environment

pytestmark = pytest.mark.anyio

DRAFT: dict[str, Any] = {"rows": [{"n": 1}], "prompt": "Say {{n}}", "model": "gpt-5-mini"}


@pytest.mark.parametrize("given", [None, "auto", "flex"])
async def test_single_requests_are_charged_at_the_standard_price(tmp_path: Path, given: str | None) -> None:
    """A project at OpenAI may be set to a tier that costs twice as much, which the answer alone would tell."""
    parameters: dict[str, Any] = {"max_completion_tokens": 5} | ({"service_tier": given} if given else {})
    async with (
        running_endpoint() as endpoint,
        in_memory(environment(tmp_path, endpoint=endpoint.url, prices="openai")) as session,
    ):
        job_id = (await session.call("create_batch_file", **DRAFT, parameters=parameters))["job_id"]
        await session.call("try_requests", job_id=job_id, rows=1)
        await session.call("submit_job", job_id=job_id)
        await session.finished(job_id)

    assert [body["service_tier"] for body in endpoint.bodies] == ["flex" if given == "flex" else "default"] * 2


async def test_trials_at_openai_are_charged_at_the_standard_price(tmp_path: Path, server: OpenAIServer) -> None:
    """They go at once, outside any batch, and so at the project's tier."""
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = (await session.call("create_batch_file", **DRAFT, parameters={"max_completion_tokens": 5}))["job_id"]
        await session.call("try_requests", job_id=job_id, rows=1)

    assert [request["service_tier"] for request in server.asked] == ["default"]
