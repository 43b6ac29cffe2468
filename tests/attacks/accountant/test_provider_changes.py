"""What was agreed for one account, address and price list is not spent at another."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.endpoint import running_endpoint
from tests.support.openai_server import OpenAIServer
from tests.support.session import environment, in_memory, openai_environment

pytestmark = pytest.mark.anyio

DRAFT: dict[str, Any] = {"rows": [{"n": 1}], "prompt": "Say {{n}}", "model": "gpt-5-mini"}
BOUNDED = DRAFT | {"parameters": {"max_completion_tokens": 5}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"BATCHWRIGHT_PRICES": ""}, "The prices of 127.0.0.1:PORT have changed since"),
        ({"BATCHWRIGHT_ENDPOINT_KEY": "sk-another"}, "The key of 127.0.0.1:PORT has changed since"),
        ({"BATCHWRIGHT_ENDPOINT": "/team-b/v1"}, "The address of 127.0.0.1:PORT has changed since"),
        (
            {"BATCHWRIGHT_ENDPOINT": "/b/v1", "BATCHWRIGHT_ENDPOINT_KEY": ""},
            "The address and key of 127.0.0.1:PORT have changed since",
        ),
    ],
)
async def test_a_draft_for_another_account_or_price_is_not_sent(
    tmp_path: Path, change: dict[str, str], told: str
) -> None:
    """Its cost was told for the one that there was."""
    async with running_endpoint() as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url, endpoint_key="sk-one", prices="openai")
        async with in_memory(env) as session:
            job_id = (await session.call("create_batch_file", **BOUNDED))["job_id"]
        url = endpoint.url.removesuffix("/v1")
        changed = {name: url + value if name.endswith("ENDPOINT") else value for name, value in change.items()}
        async with in_memory(env | changed) as session:
            refused = await session.error("submit_job", job_id=job_id, max_cost_usd=1)
        async with in_memory(env) as session:
            await session.call("submit_job", job_id=job_id, max_cost_usd=1)
            ended = await session.finished(job_id)

    port = url.rpartition(":")[2]
    assert refused == f"{told.replace('PORT', port)} {job_id} was drafted. Draft it again with `create_batch_file`."
    assert (ended["status"], len(endpoint.bodies)) == ("completed", 1)


async def test_a_job_that_runs_goes_on_with_a_new_key(tmp_path: Path, server: OpenAIServer) -> None:
    """Keys are changed while jobs run, and their results are paid for."""
    env = openai_environment(tmp_path, server)
    async with in_memory(env) as session:
        job_id = (await session.call("create_batch_file", **BOUNDED))["job_id"]
        await session.call("submit_job", job_id=job_id)
    server.key = "sk-the-new-key-of-the-project"
    server.finish(next(iter(server.batches)))
    async with in_memory(env | {"OPENAI_API_KEY": server.key}) as session:
        ended = await session.finished(job_id)

    assert ended["status"] == "completed"
    assert server.posts == 1


async def test_what_is_unconfirmed_is_not_sent_again_with_another_key(tmp_path: Path, server: OpenAIServer) -> None:
    """Whether it arrived can only be seen with the key that it was sent with."""
    server.faults.add("batches.create", "lost_before")
    env = openai_environment(tmp_path, server)
    async with in_memory(env) as session:
        job_id = (await session.call("create_batch_file", **BOUNDED))["job_id"]
        await session.call("submit_job", job_id=job_id)
    posts, server.key = server.posts, "sk-the-key-of-another-project"
    async with in_memory(env | {"OPENAI_API_KEY": server.key}) as session:
        refused = await session.error("submit_job", job_id=job_id, user_says="resend")

    assert f"The key of {server.url[7:-3]} has changed since {job_id} was drafted. Start the server with the" in refused
    assert server.posts == posts


async def test_the_key_is_nowhere_in_what_is_kept(tmp_path: Path) -> None:
    """What tells keys apart is of no use without the secret of the data folder."""
    key = "sk-canary-0123456789abcdef"
    async with (
        running_endpoint() as endpoint,
        in_memory(environment(tmp_path, endpoint=endpoint.url, endpoint_key=key)) as session,
    ):
        await session.call("create_batch_file", **DRAFT)

    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    prints = set(re.findall(rb'"key_print":"([0-9a-f]+)"', kept))
    assert len(prints) == 1
    assert key.encode() not in kept
    assert hashlib.sha256(key.encode()).hexdigest()[:16].encode() not in prints
