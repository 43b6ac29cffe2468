"""What a former version left on disk: a journal, its jobs' folders, and what the provider has of them.

`python -m tests.support.former_files` writes `former_files/` anew, with this version. Run it on the last commit
before the form of the journal or of a job's folder changes, and commit it there: the next version then has to go on
with it.
"""

import json
import re
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import anyio

from tests.support.endpoint import running_endpoint
from tests.support.openai_server import Object, OpenAIServer, StoredFile, echo, running_openai
from tests.support.session import Session, environment, over_stdio

FOLDER = Path(__file__).parent.parent / "stories" / "former_files"
ADDRESS = "http://batches.example/v1"
"""Jobs belong to an address: it has to be the same wherever the test's server listens, so it is reached as a proxy."""
DRAFT: dict[str, Any] = {
    "source": "words.csv",
    "prompt": "Say {{word}}",
    "id_column": "id",
    "model": "gpt-5-mini",
    "parameters": {"max_completion_tokens": 100},
}
NAMES = ("ended", "running", "draft", "unconfirmed", "local")
"""Of the jobs, in the order in which they are made."""
_MACHINE = re.compile(r'(?<="batchwright_machine":)( ?)"\w+"')
"""Which machine made a batch is nobody's business."""


@asynccontextmanager
async def talking(folder: Path, server: OpenAIServer, **settings: str) -> AsyncGenerator[Session]:
    """Talk to a server process that keeps to *folder* and has its jobs run by *server*."""
    own = {"OPENAI_API_KEY": server.key, "OPENAI_BASE_URL": ADDRESS, "HTTP_PROXY": server.url.removesuffix("/v1")}
    async with over_stdio(environment(folder, prices="openai", **settings) | own) as session:
        yield session


def copy(folder: Path, server: OpenAIServer) -> dict[str, str]:
    """Put the files into *folder*, and what the provider has into *server*; give the jobs' ids by name."""
    shutil.copytree(FOLDER / "data", folder / "data")
    shutil.copytree(FOLDER / "work", folder / "work")
    for path in (folder / "data").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)  # Git keeps no such modes
    kept = json.loads((FOLDER / "provider.json").read_text(encoding="utf-8"))
    for fields in kept["files"]:
        # A file takes two numbers, one in its path and one in its id: no new file gets the id of one of these.
        _, path = server.new_path(), server.new_path()
        path.write_text(fields.pop("content"), encoding="utf-8")
        server.files[fields["id"]] = StoredFile(path=path, **fields)
    for batch in kept["batches"]:
        server.create_batch({"input_file_id": batch["input_file_id"]}).update(batch)
    assert list(server.batches) == [batch["id"] for batch in kept["batches"]]
    return kept["jobs"]


def some_refused(custom_id: str, body: Object) -> str | tuple[int, Object]:
    """Refuse every second row, each for a reason of its own; a trial names none."""
    match custom_id:
        case "2":
            return 400, {"error": {"message": "Too long.", "param": "messages", "code": "context_length_exceeded"}}
        case "4":
            return 429, {"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}}
        case _:
            return echo(custom_id, body)


async def made(folder: Path, server: OpenAIServer) -> list[str]:
    """Make a job of each kind, and give their ids."""
    server.answer = some_refused
    async with talking(folder, server) as session:
        ended = await submit(session)
        server.finish(next(iter(server.batches)))
        await session.finished(ended)
        running = await submit(session, prompt="Once more {{word}}")
        server.step(list(server.batches)[-1])
        await session.call("check_job", job_id=running)
        draft = (await session.call("create_batch_file", **DRAFT | {"prompt": "Later {{word}}"}))["job_id"]
        await session.call("try_requests", job_id=draft, rows=1)
    async with talking(folder, server, enqueued_tokens="70") as session:
        server.faults.add("batches.create", "lost_before")
        unconfirmed = await submit(session, model="gpt-5-nano")
        await session.call("check_job", job_id=unconfirmed)
    async with running_endpoint() as endpoint, over_stdio(environment(folder, endpoint=endpoint.url)) as session:
        local = await submit(session, model="m")
        await session.finished(local)
    return [ended, running, draft, unconfirmed, local]


async def submit(session: Session, **changes: Any) -> str:
    """Draft and submit a job, and give its id."""
    job_id = (await session.call("create_batch_file", **DRAFT | changes))["job_id"]
    await session.call("submit_job", job_id=job_id)
    return job_id


async def write() -> None:
    """Write the files anew."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "work").mkdir()
        (folder / "work" / "words.csv").write_text("id,word\n1,red\n2,green\n3,blue\n4,grey\n", encoding="utf-8")
        async with running_openai() as server:
            jobs = dict(zip(NAMES, await made(folder, server), strict=True))
            files = [file.shown() | {"content": file.path.read_text("utf-8")} for file in server.files.values()]
        with closing(connect(folder / "data" / "journal.db")) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.rmtree(FOLDER, ignore_errors=True)
        shutil.copytree(folder / "data", FOLDER / "data", ignore=shutil.ignore_patterns("*-wal", "*-shm", "*.token"))
        shutil.copytree(folder / "work", FOLDER / "work")
    for file in files:
        del file["object"], file["bytes"], file["status"]
    kept = {"jobs": jobs, "files": files, "batches": list(server.batches.values())}
    (FOLDER / "provider.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    for path in FOLDER.rglob("*.json"):
        path.write_text(_MACHINE.sub(r'\1"0"', path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    anyio.run(write)
