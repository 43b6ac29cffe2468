"""The main job at servers of the Batch API that others wrote: npm's @copilotkit/aimock and PyPI's llmock."""

import csv
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import anyio.abc
import pytest
from aiohttp import web

from tests.support.loopback import on_loopback
from tests.support.session import Session, environment, in_memory
from tests.support.waiting import until

AIMOCK = shutil.which("aimock")
# Not what the PATH has by that name: npm's aimock installs another `llmock`.
LLMOCK = str(Path(sys.executable).with_name("llmock"))

CREATION = "POST /v1/batches"
OUTCOME_HEADER = "X-AIMock-Batch-Outcome"
END_SECONDS = 20

_READY = re.compile(r"http://127\.0\.0\.1:[1-9]\d*(?=\s)")
"""In a server's log once it listens; its banner may name port 0, which was asked for."""

needs_aimock = pytest.mark.skipif(AIMOCK is None, reason="npm's @copilotkit/aimock is not on the PATH")

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running(command: list[str], log: Path) -> AsyncGenerator[str]:
    """Run a server that chooses its port, and give its address; what it writes goes to *log*."""
    with log.open("wb") as output:
        process = await anyio.open_process(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent
        )

    async def address() -> str:
        text = log.read_text(encoding="utf-8", errors="replace")
        assert process.returncode is None, text
        return found[0] if (found := _READY.search(text)) else ""

    try:
        yield await until(address)
    finally:
        await _end(process)


async def _end(process: anyio.abc.Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
        with anyio.move_on_after(END_SECONDS):
            await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def aimock(tmp_path: Path) -> AsyncGenerator[str]:
    """Run npm's server, whose batches end at the second look with one and the same answer for every row."""
    config = tmp_path / "aimock.json"
    config.write_text("{}", encoding="utf-8")
    command = [AIMOCK or "", "--config", str(config), "--host", "127.0.0.1", "--port", "0"]
    async with running(command, tmp_path / "aimock.log") as url:
        yield url


@asynccontextmanager
async def llmock(tmp_path: Path) -> AsyncGenerator[str]:
    """Run PyPI's server, whose batches end after three seconds with answers that repeat the prompt."""
    command = [LLMOCK, "serve", "--host", "127.0.0.1", "--port", "0", "--response-style", "echo"]
    async with running(command, tmp_path / "llmock.log") as url:
        yield url


Running = Callable[[Path], AbstractAsyncContextManager[str]]
SERVERS = [
    pytest.param(aimock, marks=[pytest.mark.node, needs_aimock], id="aimock"),
    pytest.param(llmock, marks=pytest.mark.slow, id="llmock"),
]


@dataclass
class Between:
    """What stands before a server; *requests* are those that passed, like `GET /v1/batches`."""

    url: str = ""
    requests: list[str] = field(default_factory=list[str])


@asynccontextmanager
async def between(
    server: str, *, outcome: str | None = None, is_creation_lost: bool = False
) -> AsyncGenerator[Between]:
    """Stand before a server: have its batches end as *outcome*, or cut the first answer that names a new batch."""
    proxy = Between()

    async def forward(request: web.Request) -> web.StreamResponse:
        headers = request.headers.copy()
        headers.popall("Host")
        if outcome:
            headers[OUTCOME_HEADER] = outcome
        body = await request.read()
        async with upstream.request(request.method, server + request.path_qs, headers=headers, data=body) as answer:
            content = await answer.read()
        proxy.requests.append(f"{request.method} {request.path}")
        is_first_creation = proxy.requests[-1] == CREATION and proxy.requests.count(CREATION) == 1
        if is_creation_lost and is_first_creation and request.transport:
            request.transport.abort()
        return web.Response(status=answer.status, body=content, content_type=answer.content_type)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", forward)
    async with aiohttp.ClientSession() as upstream, on_loopback(application) as proxy.url:
        yield proxy


@asynccontextmanager
async def at(url: str, tmp_path: Path) -> AsyncGenerator[Session]:
    """Talk to a Batchwright whose jobs go to the service at *url*."""
    service = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": f"{url}/v1"}
    async with in_memory({**environment(tmp_path), **service}) as session:
        yield session


async def submitted(session: Session, endpoint: str = "/v1/chat/completions") -> str:
    """Submit a job of the sample's five rows, with a maximum cost, as these servers' prices are unknown."""
    draft = await session.call(
        "create_batch_file", source="sample.csv", prompt="say {{text}}", model="gpt-5-mini", endpoint=endpoint
    )
    await session.call("submit_job", job_id=draft["job_id"], max_cost_usd=1)
    return draft["job_id"]


async def finished(session: Session, job_id: str, folder: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Wait until a job has finished and save its results; return the job, and the rows as the file has them."""
    job = await session.finished(job_id)
    rows = await saved(session, job_id, folder)
    assert [(row["id"], row["text"]) for row in rows] == SAMPLE
    return job, rows


async def saved(session: Session, job_id: str, folder: Path) -> list[dict[str, str]]:
    """Save a job's results, and give the rows as the file has them."""
    results = await session.call("get_results", job_id=job_id, save_as="out.csv")
    with (folder / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(results["counts"].values()) == results["rows"] == len(rows)
    return rows


SAMPLE = [(str(number), f"row {number}") for number in range(1, 6)]


@pytest.mark.parametrize("server", SERVERS)
async def test_the_main_job_runs(server: Running, tmp_path: Path, sample: Path) -> None:
    """Our own test server has our own misunderstandings; theirs were written from the same documents by others."""
    async with server(tmp_path) as url, at(url, tmp_path) as session:
        job, rows = await finished(session, await submitted(session), sample)

    assert job["status"] == "completed"
    assert job["counts"] == {"answered": 5}
    said = [""] * 5 if server is aimock else [f"say {text}" for _, text in SAMPLE]
    assert all(row["answer"] and words in row["answer"] for row, words in zip(rows, said, strict=True))


@pytest.mark.parametrize("server", SERVERS)
async def test_embeddings_run(server: Running, tmp_path: Path, sample: Path) -> None:
    """A row's answer is its vector, however long the server's vectors are."""
    async with server(tmp_path) as url, at(url, tmp_path) as session:
        job, rows = await finished(session, await submitted(session, "/v1/embeddings"), sample)

    assert job["counts"] == {"answered": 5}
    lengths = {row["embedding"].count(",") + 1 for row in rows}
    assert lengths == ({3} if server is aimock else {1536})


@pytest.mark.parametrize("server", SERVERS)
async def test_a_batch_whose_creation_was_not_confirmed_is_found_again(
    server: Running, tmp_path: Path, sample: Path
) -> None:
    """The batch is in the server's list with the metadata it was given, so it is not asked for a second time."""
    async with (
        server(tmp_path) as url,
        between(url, is_creation_lost=True) as proxy,
        at(proxy.url, tmp_path) as session,
    ):
        job, _ = await finished(session, await submitted(session), sample)

    assert job["status"] == "completed"
    assert job["counts"] == {"answered": 5}
    assert proxy.requests.count(CREATION) == 1
    assert "GET /v1/batches" in proxy.requests


@pytest.mark.node
@needs_aimock
@pytest.mark.parametrize(
    ("outcome", "row_outcome"),
    [("completed", "answered"), ("failed", "failed"), ("expired", "expired"), ("cancelled", "never_ran")],
)
async def test_however_a_batch_ends_every_row_is_accounted_for(
    outcome: str, row_outcome: str, tmp_path: Path, sample: Path
) -> None:
    """Here a failed batch has an error file, and an expired or cancelled one has no file at all."""
    async with (
        aimock(tmp_path) as url,
        between(url, outcome=outcome) as proxy,
        at(proxy.url, tmp_path) as session,
    ):
        job, rows = await finished(session, await submitted(session), sample)

    assert job["status"] == outcome
    assert job["counts"] == {row_outcome: 5}
    assert [row["outcome"] for row in rows] == [row_outcome] * 5


@pytest.mark.node
@needs_aimock
async def test_responses_run_and_their_files_are_cleaned_up(tmp_path: Path, sample: Path) -> None:
    """Input and output lie at the server until the user is done with them."""
    async with aimock(tmp_path) as url, at(url, tmp_path) as session:
        job_id = await submitted(session, "/v1/responses")
        _, rows = await finished(session, job_id, sample)
        before = await session.call("list_files")
        deleted = await session.call("delete_files", job_id=job_id)
        after = await session.call("list_files")

    assert all(row["answer"] for row in rows)
    assert [file["job_id"] for file in before["files"]] == [job_id, job_id]
    assert len(deleted["deleted"]) == 2
    assert after["total"] == 0


@pytest.mark.slow
async def test_a_job_ends_early_when_it_is_cancelled(tmp_path: Path, sample: Path) -> None:
    """PyPI's server cancels at once, without the status `cancelling`, and writes no file."""
    async with llmock(tmp_path) as url, at(url, tmp_path) as session:
        job_id = await submitted(session)
        await session.call("cancel_job", job_id=job_id)
        job, _ = await finished(session, job_id, sample)

    assert job["status"] == "cancelled"
    assert job["counts"] == {"never_ran": 5}


@pytest.mark.slow
async def test_an_endpoint_that_the_server_lacks_fails_each_row_in_its_words(tmp_path: Path, sample: Path) -> None:
    """PyPI's server takes such a batch, and fails its lines; others refuse the batch."""
    async with llmock(tmp_path) as url, at(url, tmp_path) as session:
        job, rows = await finished(session, await submitted(session, "/v1/responses"), sample)

    assert job["status"] == "failed"
    assert job["counts"] == {"failed": 5}
    assert all(row["problem"] for row in rows)
