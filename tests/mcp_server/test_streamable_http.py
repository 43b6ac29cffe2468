"""MCP over streamable HTTP, in both eras: who comes in, and what goes on when a client leaves or the server ends."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
import anyio
import anyio.abc
import anyio.to_thread
import pytest
from mcp.types import INVALID_PARAMS

from batchwright.core.errors import InvalidInput
from batchwright.mcp_server import streamable_http
from tests.support.endpoint import Endpoint, running_endpoint
from tests.support.http_requests import CAN_ASK, TOKEN, Answer, ask, call
from tests.support.openai_server import running_openai
from tests.support.sample import DRAFT
from tests.support.session import (
    MODES,
    Mode,
    Session,
    User,
    environment,
    http_process,
    openai_environment,
    over_http,
    serving,
)
from tests.support.systems import needs_modes, needs_signals
from tests.support.waiting import WAIT_SECONDS, until

pytestmark = pytest.mark.anyio


async def ended(served: "subprocess.Popen[str]") -> int:
    """Wait for the end of a process, and give its exit status."""
    return await anyio.to_thread.run_sync(lambda: served.wait(timeout=WAIT_SECONDS))


@pytest.mark.parametrize("mode", MODES)
async def test_the_main_job_runs_over_http(tmp_path: Path, sample: Path, mode: Mode) -> None:
    """The same tools, whatever the way to them."""
    async with (
        running_endpoint() as endpoint,
        serving(environment(tmp_path, endpoint=endpoint.url)) as (url, _),
        over_http(url, mode) as session,
    ):
        draft = await session.call("create_batch_file", **DRAFT)
        await session.call("submit_job", job_id=draft["job_id"])
        job = await session.finished(draft["job_id"])
        results = await session.call("get_results", job_id=draft["job_id"], save_as="out.csv")

    assert (job["status"], results["counts"]) == ("completed", {"answered": 5})
    assert session.progress
    assert (sample / "out.csv").exists()


async def test_clients_of_both_eras_share_one_server(tmp_path: Path, sample: Path) -> None:
    """What one assistant began, another can end."""
    assert sample.exists()
    async with (
        running_endpoint() as endpoint,
        serving(environment(tmp_path, endpoint=endpoint.url)) as (url, _),
        over_http(url, "legacy") as first,
        over_http(url, "auto") as second,
    ):
        job_id = (await first.call("create_batch_file", **DRAFT))["job_id"]
        await second.call("submit_job", job_id=job_id)
        again = await first.call("submit_job", job_id=job_id)
        job = await first.finished(job_id)

    assert again["notes"] == ["Already submitted: nothing was sent again."]
    assert job["status"] == "completed"
    assert set(endpoint.seen.values()) == {1}


async def test_a_job_goes_on_while_no_client_is_there(tmp_path: Path, sample: Path) -> None:
    """Work belongs to the server, not to a request or a session."""
    assert sample.exists()
    async with running_endpoint() as endpoint, serving(environment(tmp_path, endpoint=endpoint.url)) as (url, _):
        endpoint.gate.clear()
        async with over_http(url) as session:
            job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
            await session.call("submit_job", job_id=job_id)
        endpoint.gate.set()
        await all_seen(endpoint)
        async with over_http(url) as session:
            job = await session.finished(job_id)

    assert job["counts"] == {"answered": 5}


async def all_seen(endpoint: Endpoint) -> None:
    """Wait until every row came to the endpoint."""

    async def are_seen() -> bool:
        return endpoint.seen.total() >= 5

    await until(are_seen)


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_that_is_given_up_in_the_middle_harms_nothing(tmp_path: Path, sample: Path, mode: Mode) -> None:
    """Clients give calls up after a minute, and users press stop."""
    assert sample.exists()
    async with running_endpoint() as endpoint, serving(environment(tmp_path, endpoint=endpoint.url)) as (url, _):
        endpoint.gate.clear()
        async with over_http(url, mode) as session:
            job_id = (await session.call("create_batch_file", **DRAFT))["job_id"]
            await session.call("submit_job", job_id=job_id)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(session.finished, job_id)
                await told_something(session)
                tasks.cancel_scope.cancel()
            still = await session.call("check_job", job_id=job_id)
            endpoint.gate.set()
            job = await session.finished(job_id)

    assert still["status"] == "running"
    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})


async def told_something(session: Session) -> None:
    """Wait for a report of progress: the call is then in its middle."""

    async def is_told() -> bool:
        return bool(session.progress)

    await until(is_told)


async def test_a_client_that_vanishes_while_it_submits_has_its_job_submitted_once(tmp_path: Path, sample: Path) -> None:
    """What is being paid for is not cut off, and a second call finds it."""
    assert sample.exists()
    async with running_openai() as server, serving(openai_environment(tmp_path, server)) as (url, _):
        drafted = {"source": "sample.csv", "prompt": "{{text}}", "parameters": {"max_completion_tokens": 9}}
        draft = (await call(url, "create_batch_file", **drafted, model="gpt-5-mini")).result["structuredContent"]
        server.faults.add("batches.create", "held_after_creation")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: call(url, "submit_job", job_id=draft["job_id"]))
            await server.holding.wait()
            tasks.cancel_scope.cancel()
        server.release()
        again = (await call(url, "submit_job", job_id=draft["job_id"])).result["structuredContent"]

    assert again["status"] == "running"
    assert server.posts == server.batches_created == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost:{port}.evil.example"}, 421),
        ({"Host": "localhost"}, 421),
        ({"Host": "localhost:1{port}"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:{port}.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:{port}", "Origin": "http://localhost:{port}"}, 200),
        ({"Host": "[::1]:{port}"}, 200),
    ],
    ids=str,
)
@pytest.mark.parametrize("mode", MODES)
async def test_only_who_calls_it_by_its_name_is_heard(
    tmp_path: Path, headers: dict[str, str], status: int, mode: Mode
) -> None:
    """A web page that the user looks at must not reach the server by a name that leads to this machine."""
    async with serving(environment(tmp_path)) as (url, _):
        port = url.split(":")[2].split("/")[0]
        sent = {name: value.format(port=port) for name, value in headers.items()}
        answer = await greeted(url, sent) if mode == "legacy" else await ask(url, "tools/list", {}, headers=sent)

    assert answer.status == status


async def greeted(url: str, headers: dict[str, str]) -> Answer:
    """Shake hands as clients did before 2026-07-28, with these headers."""
    info = {"name": "by hand", "version": "0"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    sent = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {TOKEN}", **headers}
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=sent) as response:
        return Answer(response.status, response.headers, {"text": await response.text()})


@needs_signals
async def test_nobody_is_let_in_without_the_token(tmp_path: Path) -> None:
    """Other users of this machine reach it too; what they are told is what a client of before has to do."""
    async with http_process(environment(tmp_path)) as (url, served):
        assert served.stderr is not None
        without = await ask(url, "tools/list", {}, token=None)
        given = ["Bearer wrong-but-long-enough-as-well", f"Basic {TOKEN}", TOKEN, "Bearer", f"Bearer {TOKEN}x", "é"]
        wrong = [await ask(url, "tools/list", {}, headers={"Authorization": value}) for value in given]
        right = await ask(url, "tools/list", {}, headers={"Authorization": f"bearer {TOKEN}"})
        async with aiohttp.ClientSession() as session, session.get(url.replace("/mcp", "/health")) as response:
            health = response.status, await response.json()
        served.send_signal(signal.SIGTERM)
        said = await anyio.to_thread.run_sync(served.stderr.read)

    port = url.split(":")[2].split("/")[0]
    advice = f"`batchwright connect --http --port {port}`, run by the same user, shows how each assistant sends it."
    assert without.status == 401
    assert without.headers["WWW-Authenticate"] == 'Bearer realm="batchwright"'
    assert without.message == {"error": f"The bearer token is missing. {advice}"}
    assert {answer.status for answer in wrong} == {401}
    assert {answer.headers["WWW-Authenticate"] for answer in wrong} == {
        'Bearer realm="batchwright", error="invalid_token"'
    }
    assert right.status == 200
    assert health == (200, {"status": "ok"})
    assert [line for line in said.splitlines() if "refused" in line] == [
        f"A client was refused. The bearer token is missing. {advice}"
    ]
    assert TOKEN not in said


@pytest.mark.slow
async def test_a_server_for_other_machines_answers_by_its_further_names(tmp_path: Path) -> None:
    """Behind a proxy it is called by the proxy's name; the SDK's own default would check nothing at 0.0.0.0."""
    env = environment(tmp_path, http_hosts="batches.example.com, other.example:8443")
    async with http_process(env, "--host", "0.0.0.0") as (url, _):
        port = url.split(":")[2].split("/")[0]
        here = f"http://127.0.0.1:{port}/mcp"
        names = {
            "batches.example.com": 200,
            f"batches.example.com:{port}": 200,
            "other.example:8443": 200,
            f"localhost:{port}": 200,
            "other.example": 421,
            "evil.example": 421,
            f"localhost:{port}.evil.com": 421,
            "batches.example.com.evil.com": 421,
        }
        seen = {name: (await ask(here, "tools/list", {}, headers={"Host": name})).status for name in names}
        without = await ask(here, "tools/list", {}, headers={"Host": "batches.example.com"}, token=None)

    assert seen == names
    assert without.status == 401


@pytest.mark.slow
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_nobody_else_is_let_in_without_a_token(tmp_path: Path, host: str) -> None:
    """One forgotten setting must not open the user's files and money to the network."""
    command = [sys.executable, "-m", "batchwright", "serve", "--http", "--port", "0", "--host", host]
    env = {**os.environ, **environment(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)

    assert done.returncode == 2
    assert done.stderr == (
        f"batchwright: {host} can be reached from other machines, so a server there needs BATCHWRIGHT_HTTP_TOKEN, a "
        "secret of at least 16 characters that clients send. Set it, or omit --host.\n"
    )


def test_an_address_that_cannot_be_had_is_said() -> None:
    """Another server may be there already."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for host, number in (("127.0.0.1", port), ("no.such.host.invalid", 0), ("x" * 300, 0)):
            with pytest.raises(InvalidInput, match="Use another address, or port 0"):
                streamable_http.listening(host, number, has_token=False)
    with pytest.raises(InvalidInput, match="99999 is not a port"):
        streamable_http.listening("127.0.0.1", 99_999, has_token=False)


def test_host_and_port_need_http(tmp_path: Path) -> None:
    """Who names an address expects to be heard there."""
    command = [sys.executable, "-m", "batchwright", "serve", "--port", "0"]
    env = {**os.environ, **environment(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)

    assert (done.returncode, done.stderr) == (
        2,
        "batchwright: --host and --port need --http. Add it, or leave them out.\n",
    )


@needs_signals
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_when_told_whatever_is_open(tmp_path: Path, sample: Path, number: signal.Signals) -> None:
    """Half a request, an open stream and a waiting call must not hold it, and the job goes on at the next start."""
    assert sample.exists()
    async with running_endpoint() as endpoint:
        endpoint.gate.clear()
        env = environment(tmp_path, endpoint=endpoint.url)
        status = None
        async with http_process(env) as (url, served):
            draft = (await call(url, "create_batch_file", **DRAFT)).result["structuredContent"]
            await call(url, "submit_job", job_id=draft["job_id"])
            writer = await half_a_request(url)
            async with over_http(url, "legacy") as older, anyio.create_task_group() as tasks:
                tasks.start_soon(given_up, older, draft["job_id"])
                tasks.start_soon(lambda: call(url, "check_job", job_id=draft["job_id"], wait_seconds=600))
                await told_something(older)
                served.send_signal(number)
                with anyio.fail_after(streamable_http.GOODBYE_SECONDS):
                    status = await ended(served)
                tasks.cancel_scope.cancel()
            await writer.aclose()
        endpoint.gate.set()
        async with http_process(env) as (url, _), over_http(url) as session:
            job = await session.finished(draft["job_id"])

    assert status == 0
    assert (job["status"], job["counts"]) == ("completed", {"answered": 5})


async def half_a_request(url: str) -> anyio.abc.SocketStream:
    """Begin a request, and do not end it."""
    host, port = url.removeprefix("http://").removesuffix("/mcp").split(":")
    stream = await anyio.connect_tcp(host, int(port))
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 100\r\n\r\n{{"
    )
    await stream.send(head.encode())
    return stream


async def given_up(session: Session, job_id: str) -> None:
    """Wait for a job; that the server goes is no matter."""
    with suppress(Exception):  # however the SDK says that the server is gone
        await session.finished(job_id, wait_seconds=600)


@needs_modes
@pytest.mark.slow
async def test_what_the_user_is_asked_by_one_process_another_one_can_end(tmp_path: Path, sample: Path) -> None:
    """Without sessions a question goes out with one answer, and comes back with a request to whoever is there."""
    assert sample.exists()
    async with running_openai() as server:
        env = openai_environment(tmp_path, server, ask_above_usd="0")
        drafted = {"source": "sample.csv", "prompt": "{{text}}", "parameters": {"max_completion_tokens": 9}}
        async with http_process(env) as (url, _):
            draft = (await call(url, "create_batch_file", **drafted, model="gpt-5-mini")).result["structuredContent"]
            submitting = {"name": "submit_job", "arguments": {"job_id": draft["job_id"], "max_cost_usd": 1}}
            asked = (await ask(url, "tools/call", submitting, capabilities=CAN_ASK)).result
        (key,) = asked["inputRequests"]
        replies = {key: {"action": "accept", "content": {"agreed": True}}}
        again = {**submitting, "inputResponses": replies, "requestState": asked["requestState"]}
        other = {**again, "arguments": {"job_id": draft["job_id"], "max_cost_usd": 2}}
        async with http_process(env) as (first, _), http_process(env) as (second, _):
            of_other = await ask(first, "tools/call", other, capabilities=CAN_ASK)
            changed = {**again, "requestState": asked["requestState"][:-4] + "AAAA"}
            tampered = await ask(first, "tools/call", changed, capabilities=CAN_ASK)
            posts_before = server.posts
            done = (await ask(second, "tools/call", again, capabilities=CAN_ASK)).result["structuredContent"]

    assert asked["resultType"] == "input_required"
    assert [answer.message["error"]["code"] for answer in (of_other, tampered)] == [INVALID_PARAMS] * 2
    assert posts_before == 0
    assert done["status"] == "running"
    assert server.posts == 1
    assert (tmp_path / "data" / "questions.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", MODES)
async def test_the_user_is_asked_over_http_too(tmp_path: Path, sample: Path, mode: Mode) -> None:
    """In the older era the server asks in the middle of the call, in the newer one between two requests."""
    assert sample.exists()
    user = User()
    drafted = {"source": "sample.csv", "prompt": "{{text}}", "parameters": {"max_completion_tokens": 9}}
    async with (
        running_openai() as server,
        serving(openai_environment(tmp_path, server, ask_above_usd="0")) as (url, _),
        over_http(url, mode, user=user) as session,
    ):
        job_id = (await session.call("create_batch_file", **drafted, model="gpt-5-mini"))["job_id"]
        job = await session.call("submit_job", job_id=job_id, max_cost_usd=1)

    assert job["status"] == "running"
    assert len(user.questions) == 1
