"""Updates, through real clients of both eras, in memory and over HTTP."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.client.subscriptions import ResourcesListChanged, ResourceUpdated, Subscription
from mcp.types import (
    EmptyResult,
    ResourceListChangedNotification,
    ResourceUpdatedNotification,
    SubscribeRequest,
    SubscribeRequestParams,
    TextResourceContents,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)

from batchwright.app.app import build_server
from batchwright.core.settings import Settings
from batchwright.mcp_server.addresses import JOBS, of_job
from batchwright.mcp_server.server import Server
from batchwright.mcp_server.updates import MAX_SUBSCRIPTIONS, Updates
from tests.support.endpoint import running_endpoint
from tests.support.sample import DRAFT
from tests.support.session import MODES, Mode, Session, client_over_http, environment, in_memory, over_stdio, serving
from tests.support.waiting import WAIT_SECONDS, until

pytestmark = pytest.mark.anyio


class Told:
    """What a client of the older era was told."""

    def __init__(self) -> None:
        self.uris: list[str] = []
        self.lists = 0

    async def __call__(self, message: Any) -> None:
        """Keep a notification."""
        match message:
            case ResourceUpdatedNotification(params=params):
                self.uris.append(params.uri)
            case ResourceListChangedNotification():
                self.lists += 1
            case _:
                pass

    async def of(self, uri: str) -> None:
        """Wait until it was told of a resource."""

        async def is_told() -> bool:
            return uri in self.uris

        await until(is_told)


async def subscribe(client: Client, uri: str) -> None:
    """Subscribe as clients did before 2026-07-28: the SDK's own method warns that it is of that time."""
    await client.session.send_request(SubscribeRequest(params=SubscribeRequestParams(uri=uri)), EmptyResult)


async def unsubscribe(client: Client, uri: str) -> None:
    """End a subscription."""
    await client.session.send_request(UnsubscribeRequest(params=UnsubscribeRequestParams(uri=uri)), EmptyResult)


async def heard(subscription: Subscription, event: object) -> None:
    """Wait for an event."""
    with anyio.fail_after(WAIT_SECONDS):
        async for each in subscription:
            if each == event:
                return


def updates_of(server: Server[Any]) -> Updates:
    """Give what tells the clients of a server."""
    return next(each for each in server.middleware if isinstance(each, Updates))


async def submitted(session: Session) -> str:
    """Let a job run, and give its id."""
    job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
    await session.call("submit_job", job_id=job_id)
    return job_id


@asynccontextmanager
async def legacy(env: dict[str, str], told: Told) -> AsyncGenerator[Session]:
    """Talk to a server in this process as clients did before 2026-07-28."""
    async with Client(build_server(Settings.from_env(env)), mode="legacy", message_handler=told) as client:
        yield Session(client)


async def test_a_listening_client_is_told_of_the_job_that_it_asked_for(tmp_path: Path, sample: Path) -> None:
    """A view of a job stays true without asking again and again."""
    assert sample.exists()
    async with (
        running_endpoint() as endpoint,
        in_memory(environment(tmp_path, endpoint=endpoint.url)) as session,
        session.client.listen(resources_list_changed=True, resource_subscriptions=[JOBS]) as listening,
    ):
        job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
        await heard(listening, ResourceUpdated(JOBS))
        await heard(listening, ResourcesListChanged())
        kinds = (of_job(job_id), of_job(job_id, "results"), of_job(job_id, "table"))
        async with session.client.listen(resource_subscriptions=kinds) as of_this_job:
            await session.call("submit_job", job_id=job_id)
            await heard(of_this_job, ResourceUpdated(of_job(job_id)))
            await session.finished(job_id)
            for uri in kinds:
                await heard(of_this_job, ResourceUpdated(uri))
            job = json.loads(await text_of(session.client, of_job(job_id)))

    assert job["status"] == "completed"


async def test_a_subscribed_client_is_told_until_it_unsubscribes(tmp_path: Path, sample: Path) -> None:
    """The same for clients of the older era; a page of results is told when the results change."""
    assert sample.exists()
    told = Told()
    async with (
        running_endpoint() as endpoint,
        legacy(environment(tmp_path, endpoint=endpoint.url), told) as session,
    ):
        client = session.client
        resources = client.server_capabilities.resources
        await subscribe(client, JOBS)
        first, second = [(await session.call("create_batch_file", **DRAFT))["job_id"] for _ in range(2)]
        await told.of(JOBS)
        page = f"{of_job(second, 'results')}?limit=5"
        for uri in (of_job(first), page):
            await subscribe(client, uri)
        endpoint.gate.clear()
        await session.call("submit_job", job_id=first)
        await told.of(of_job(first))
        for uri in (JOBS, of_job(first)):
            await unsubscribe(client, uri)
        told.uris.clear()
        endpoint.gate.set()
        await session.finished(first)
        await session.call("submit_job", job_id=second)
        await session.finished(second)
        await told.of(page)

        async def lists() -> bool:
            return told.lists > 0

        await until(lists)

    assert resources is not None
    assert (resources.subscribe, resources.list_changed) == (True, True)
    assert set(told.uris) == {page}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
async def test_a_client_is_told_of_what_another_process_does(tmp_path: Path, sample: Path, mode: Mode) -> None:
    """Two assistants may be open, and the job runs in the other one."""
    assert sample.exists()
    told = Told()
    async with running_endpoint() as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url, poll_seconds="1")
        async with over_stdio(env) as other:
            job_id = (await other.call("create_batch_file", **DRAFT))["job_id"]
            server = build_server(Settings.from_env(env))
            async with Client(server, mode=mode, message_handler=told) as client:
                if mode == "legacy":
                    await subscribe(client, of_job(job_id))
                    await other.call("submit_job", job_id=job_id)
                    await told.of(of_job(job_id))
                else:
                    await Session(client).call("list_jobs")
                    async with client.listen(resource_subscriptions=[of_job(job_id)]) as listening:
                        await other.call("submit_job", job_id=job_id)
                        await heard(listening, ResourceUpdated(of_job(job_id)))


async def test_a_client_is_told_of_what_the_server_does_by_itself(tmp_path: Path, sample: Path) -> None:
    """A job ends while nobody asks: that is when it matters."""
    assert sample.exists()
    async with running_endpoint() as endpoint:
        endpoint.gate.clear()
        env = environment(tmp_path, endpoint=endpoint.url, poll_seconds="1")
        async with in_memory(env) as session:
            job_id = await submitted(session)
            results = of_job(job_id, "results")
            async with session.client.listen(resource_subscriptions=[results]) as listening:
                endpoint.gate.set()

                async def ended() -> bool:
                    await heard(listening, ResourceUpdated(results))
                    return json.loads(await text_of(session.client, of_job(job_id)))["status"] == "completed"

                await until(ended)


@pytest.mark.parametrize("mode", MODES)
async def test_a_session_over_http_is_told_and_its_subscriptions_end_with_it(
    tmp_path: Path, sample: Path, mode: Mode
) -> None:
    """A server runs for months: what a client wanted must not be kept when it is gone."""
    assert sample.exists()
    told = Told()
    async with running_endpoint() as endpoint, serving(environment(tmp_path, endpoint=endpoint.url)) as (url, server):
        async with client_over_http(url, mode, message_handler=told) as client:
            session = Session(client)
            job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
            wanted = [JOBS, of_job(job_id)]
            if mode == "legacy":
                for uri in wanted:
                    await subscribe(client, uri)
                await session.call("submit_job", job_id=job_id)
                for uri in wanted:
                    await told.of(uri)
                during = updates_of(server).sessions
            else:
                async with client.listen(resource_subscriptions=wanted) as listening:
                    await session.call("submit_job", job_id=job_id)
                    for uri in wanted:
                        await heard(listening, ResourceUpdated(uri))
                during = updates_of(server).sessions

        async def all_gone() -> bool:
            return updates_of(server).sessions == 0

        await until(all_gone)
        async with client_over_http(url, mode) as client:
            await submitted(Session(client))

    assert during == (1 if mode == "legacy" else 0)


async def test_one_client_that_leaves_takes_nothing_from_another(tmp_path: Path, sample: Path) -> None:
    """They share the server, not their fate."""
    assert sample.exists()
    told, others = Told(), Told()
    async with (
        running_endpoint() as endpoint,
        serving(environment(tmp_path, endpoint=endpoint.url)) as (url, _),
        client_over_http(url, "legacy", message_handler=told) as client,
    ):
        await subscribe(client, JOBS)
        await heard_and_left(url, others)
        told.uris.clear()
        await submitted(Session(client))
        await told.of(JOBS)


async def heard_and_left(url: str, told: Told) -> None:
    """Subscribe, be told, and go."""
    async with client_over_http(url, "legacy", message_handler=told) as client:
        await subscribe(client, JOBS)
        await submitted(Session(client))
        await told.of(JOBS)


async def test_what_does_not_exist_cannot_be_subscribed_to(tmp_path: Path, sample: Path) -> None:
    """Waiting for ever for a job that was misspelt is worse than an error."""
    assert sample.exists()
    async with legacy(environment(tmp_path), Told()) as session:
        for uri in ("file:///etc/passwd", of_job("job_none"), f"{JOBS}?x=1"):
            with pytest.raises(MCPError) as raised:
                await subscribe(session.client, uri)
            assert raised.value.error.code == -32602
        for number in range(MAX_SUBSCRIPTIONS):
            await subscribe(session.client, f"{JOBS}?offset={number}")
        with pytest.raises(MCPError, match="This session has 1,000 subscriptions"):
            await subscribe(session.client, JOBS)
        await unsubscribe(session.client, "file:///etc/passwd")


async def text_of(client: Client, uri: str) -> str:
    """Read a resource anew."""
    (contents,) = (await client.read_resource(uri)).contents
    assert isinstance(contents, TextResourceContents)
    return contents.text
