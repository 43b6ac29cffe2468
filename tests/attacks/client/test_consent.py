"""A client that spends without asking, or says how much in ways that can be misread: nobody pays unasked."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from batchwright.app.app import open_runtime
from batchwright.core.errors import NotAgreed
from batchwright.core.settings import Settings
from batchwright.mcp_server.consent import Consent
from batchwright.mcp_server.tools.catalogue import all_tools
from batchwright.mcp_server.tools.jobs import submit_job
from tests.support.five_dollars import drafted
from tests.support.openai_server import OpenAIServer
from tests.support.session import MODES, Mode, at_endpoint, in_memory, openai_environment

pytestmark = pytest.mark.anyio


def test_what_spends_or_removes_says_so() -> None:
    """Clients let tools that call themselves harmless pass without a question."""
    hints = {tool.name: tool.annotations for tool in all_tools()}
    destructive = {name for name, hint in hints.items() if hint and hint.destructive_hint}
    read_only = {name for name, hint in hints.items() if hint and hint.read_only_hint}

    assert destructive == {
        *("submit_job", "try_requests", "cancel_job", "delete_files"),
        *("get_results", "query_results"),  # they may write over a file
    }
    assert read_only == {"inspect_data", "check_job", "list_jobs", "list_files"}


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_dear_is_not_submitted_unless_somebody_named_a_maximum(
    tmp_path: Path, server: OpenAIServer, mode: Mode
) -> None:
    """Where the client cannot ask, the assistant has to, and no figure is put into its mouth."""
    async with in_memory(openai_environment(tmp_path, server), mode) as session:
        job_id = await drafted(session)
        refused = await session.error("submit_job", job_id=job_id)
        sent_before = server.posts
        job = await session.call("submit_job", job_id=job_id, max_cost_usd=5.5)
        again = await session.call("submit_job", job_id=job_id)

    assert refused == (
        f"{job_id} may cost up to $5.00, and no maximum was named. Nothing was sent. Ask the user, then "
        f'submit_job(job_id="{job_id}", max_cost_usd=...).'
    )
    assert sent_before == 0
    assert job["status"] == again["status"] == "running"


async def test_a_named_maximum_does_not_lift_the_operators_limits(tmp_path: Path, server: OpenAIServer) -> None:
    """Whatever an assistant names."""
    async with in_memory(openai_environment(tmp_path, server, max_job_usd="2")) as session:
        refused = await session.error("submit_job", job_id=await drafted(session), max_cost_usd=1_000)

    assert "the operator allows $2.00 a job" in refused
    assert server.posts == 0


async def test_a_dear_retry_needs_a_maximum_too(tmp_path: Path, server: OpenAIServer) -> None:
    """It is a new agreement."""
    server.faults.add("batches.create", "insufficient_quota")
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session)
        await session.call("submit_job", job_id=job_id, max_cost_usd=6)
        await session.call("retry_job", job_id=job_id)
        refused = await session.error("submit_job", job_id=job_id)
        job = await session.call("submit_job", job_id=job_id, max_cost_usd=6)

    assert "may cost up to $5.00, and no maximum was named." in refused
    assert job["status"] == "running"
    assert server.batches_created == 1


async def test_an_unconfirmed_dear_batch_is_not_sent_again_without_a_maximum(
    tmp_path: Path, server: OpenAIServer
) -> None:
    """Both may be paid."""
    server.faults.add("batches.create", "lost_before")
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session)
        job = await session.call("submit_job", job_id=job_id, max_cost_usd=6)
        refused = await session.error("submit_job", job_id=job_id, user_says="resend")

    assert job["status"] == "unknown"
    assert refused.startswith(f"{job_id} may cost up to $5.00, and no maximum was named. Nothing was sent.")
    assert refused.endswith(f'submit_job(job_id="{job_id}", user_says="resend", max_cost_usd=...).')


async def test_a_trial_above_the_threshold_needs_a_maximum(tmp_path: Path, server: OpenAIServer) -> None:
    """A threshold of nothing means that every cent is asked about."""
    async with in_memory(openai_environment(tmp_path, server, ask_above_usd="0")) as session:
        job_id = await drafted(session, parameters={"max_completion_tokens": 900})
        refused = await session.error("try_requests", job_id=job_id)
        was_sent = bool(server.asked)
        await session.call("try_requests", job_id=job_id, max_cost_usd=0.1)

    assert refused.startswith(f"Trying {job_id} may cost up to $0.005")
    assert refused.endswith(f'Nothing was sent. Ask the user, then try_requests(job_id="{job_id}", max_cost_usd=...).')
    assert not was_sent


async def test_an_amount_is_a_number(tmp_path: Path, server: OpenAIServer) -> None:
    """What could be read as one dollar, or as something else, is nobody's word on money."""
    amounts = (True, "1", "$1", "1 USD", "1e3", [1], {"usd": 1}, -1, 1e7)
    calls = [(tool, amount) for tool in ("submit_job", "try_requests") for amount in amounts]
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await drafted(session, parameters={"max_completion_tokens": 900})
        refusals = [await session.error(tool, job_id=job_id, max_cost_usd=amount) for tool, amount in calls]

    for (tool, _), refused in zip(calls, refusals, strict=True):
        assert refused.startswith(f"{tool} was called with wrong arguments; nothing was done. max_cost_usd: ")
        assert refused.endswith("Correct them.")
    assert (server.posts, server.asked) == (0, [])


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("list_jobs", {"limit": True}),
        ("list_jobs", {"offset": False}),
        ("check_job", {"job_id": "job_a", "wait_seconds": True}),
        ("try_requests", {"job_id": "job_a", "rows": True}),
        ("try_requests", {"job_id": "job_a", "seed": True}),
        ("compare_costs", {"rows": True, "input_tokens": 1, "output_tokens": 1}),
        ("inspect_data", {"source": "x.csv", "sample_rows": True}),
        ("create_batch_file", {"rows": [{"n": 1}], "prompt": "x", "inputs_per_request": True}),
    ],
)
async def test_yes_is_not_the_number_one(tmp_path: Path, tool: str, arguments: dict[str, Any]) -> None:
    """Whoever writes true does not mean 1."""
    async with at_endpoint(tmp_path) as (_, session):
        refused = await session.error(tool, **arguments)

    assert refused.startswith(f"{tool} was called with wrong arguments; nothing was done. ")
    assert any(f"{name}: " in refused for name in arguments)


async def test_what_became_dear_after_no_question_was_due_is_asked_about(tmp_path: Path, server: OpenAIServer) -> None:
    """Between the look and the call another process may draft a dearer round in the place of a cheap one."""
    env = openai_environment(tmp_path, server)
    async with in_memory(env) as session:
        job_id = await drafted(session)
    async with open_runtime(Settings.from_env(env)) as app:
        ctx: Any = SimpleNamespace(request_context=SimpleNamespace(lifespan_context=app))
        with pytest.raises(NotAgreed, match="changed while the user was deciding"):
            await submit_job(ctx, job_id, Consent(question=None, can_ask=True))

    assert server.posts == 0
