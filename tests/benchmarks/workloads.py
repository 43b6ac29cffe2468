"""What is measured, each beside a plain loop that does the same with good libraries."""

import asyncio
import csv
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path

import msgspec

from tests.benchmarks import whole
from tests.benchmarks.data import CHAT, MILLION, MODEL, PROMPT, ROWS, request_line, texts_of
from tests.benchmarks.servers import CALLS, EMPTY, OURS, called, started

Work = Callable[[], object]
"""Does the work; what comes before it is not measured. If it gives a number, that is what it took, in CPU seconds."""


@dataclass(frozen=True)
class Workload:
    """Something to be measured.

    Attributes:
        what: In the table's words.
        reference: What it is compared with, in words.
        ours, plain: From a folder with the data, and one for what is written, to the work.
        at_most: How many times the reference's CPU it may take.
        times: How many times the reference's work ours is.
        note: What is to be known of the figures.
    """

    what: str
    reference: str
    ours: Callable[[Path, Path], Work]
    plain: Callable[[Path, Path], Work]
    at_most: float | None = None
    times: int = 1
    note: str = ""


def _load() -> None:
    """Load what a server has loaded after its first job."""
    import duckdb
    import minijinja
    import splintr

    from batchwright.costs.prices import price

    splintr.Tokenizer.from_pretrained("o200k_base")
    assert duckdb, minijinja
    assert price(MODEL, endpoint=CHAT)


def _draft(source: str, data: Path, out: Path) -> Work:
    from batchwright.core.crash_points import pass_by
    from batchwright.core.job_folder import JobFolder
    from batchwright.core.model import Limits, ProviderInfo, Recipe
    from batchwright.jobs.build import DraftPlan, draft
    from batchwright.tables.source import one_file

    _load()
    recipe = Recipe(endpoint=CHAT, model=MODEL, prompt=PROMPT + "{{text}}", parameters={"max_completion_tokens": 100})
    provider = ProviderInfo("service", "api.openai.com", MODEL, charges="batch")
    origin = one_file(data / source, source)
    plan = DraftPlan(JobFolder(out), datetime.now(UTC), origin, None, recipe, provider, Limits(), pass_by)
    return partial(draft, plan)


def _plain_build_csv(data: Path, out: Path) -> Work:
    encode = _encode()

    def work() -> None:
        with (out / "out.jsonl").open("wb") as batch:
            for number, text in enumerate(texts_of(data / "rows.csv"), 1):
                batch.write(request_line(f"row-{number}", PROMPT + text))
                len(encode(PROMPT + text))

    return work


def _plain_build_parquet(data: Path, out: Path) -> Work:
    import duckdb

    encode = _encode()

    def work() -> None:
        with duckdb.connect() as con, (out / "out.jsonl").open("wb") as batch:
            con.execute("SET threads = 1")
            con.execute(f"SELECT text FROM read_parquet('{data}/rows.parquet')")
            number = 0
            while rows := con.fetchmany(2_000):
                for (text,) in rows:
                    number += 1
                    batch.write(request_line(f"row-{number}", PROMPT + text))
                    len(encode(PROMPT + text))

    return work


def _encode() -> Callable[[str], list[int]]:
    from splintr import Tokenizer

    return Tokenizer.from_pretrained("o200k_base").encode


def _check(data: Path, _out: Path) -> Work:
    from batchwright.core.model import ProviderInfo
    from batchwright.jobs.batch_file import check_batch_file

    provider = ProviderInfo("service", "api.openai.com", MODEL, charges="batch")
    path = data / "batch.jsonl"
    return lambda: check_batch_file(path, path.name, CHAT, provider, is_model_known=lambda _: True)


class _Body(msgspec.Struct):
    model: str
    messages: msgspec.Raw
    max_completion_tokens: int | None = None


class _Line(msgspec.Struct):
    custom_id: str
    method: str
    url: str
    body: _Body


def _plain_check(data: Path, _out: Path, *, has_utf8_check: bool) -> Work:
    def work() -> None:
        decode = msgspec.json.Decoder(_Line).decode
        with (data / "batch.jsonl").open("rb") as file:
            for line in file:
                if has_utf8_check:
                    line.decode()
                decode(line)

    return work


def _texts(data: Path) -> list[str]:
    return [PROMPT + text for text in islice(texts_of(data / "rows.csv"), ROWS // 10)]


def _count(data: Path, _out: Path) -> Work:
    from batchwright.costs.tokens import counter

    count = counter(MODEL)
    bodies = [{"model": MODEL, "messages": [{"role": "user", "content": text}]} for text in _texts(data)]
    count(bodies[0], CHAT)
    return lambda: [count(body, CHAT) for body in bodies]


def _plain_count(data: Path, _out: Path) -> Work:
    encode = _encode()
    texts = _texts(data)
    encode(texts[0])
    return lambda: [len(encode(text)) for text in texts]


def _join(data: Path, out: Path) -> Work:
    from batchwright.core import files
    from batchwright.core.jsonl import decode_result
    from batchwright.core.model import Recipe
    from batchwright.results.answers import reader
    from batchwright.results.table import ResultTable
    from batchwright.tables.frozen import freeze
    from batchwright.tables.source import one_file
    from tests.support.results import write_results

    recipe = Recipe(endpoint=CHAT, model=MODEL, prompt=PROMPT + "{{text}}")
    frozen = out / "source.parquet"
    freeze(one_file(data / "rows.csv", "rows.csv"), frozen, id_column=None)

    def work() -> None:
        read = reader(recipe)
        results = (read(decode_result(line)) for line in files.lines(data / "results.jsonl"))
        write_results(results, out / "results.parquet", recipe, frozen)
        table = ResultTable(frozen, out / "results.parquet", ("id", "text"), recipe, ended=True)
        table.save(out / "out.csv", "csv")

    return work


def _plain_join(data: Path, out: Path) -> Work:
    def work() -> None:
        decode = msgspec.json.Decoder().decode
        answers: dict[str, str] = {}
        with (data / "results.jsonl").open("rb") as file:
            for line in file:
                result = decode(line)
                answers[result["custom_id"]] = result["response"]["body"]["choices"][0]["message"]["content"]
        with (
            (data / "rows.csv").open(encoding="utf-8", newline="") as file,
            (out / "out.csv").open("w", encoding="utf-8", newline="") as target,
        ):
            rows, writer = csv.reader(file), csv.writer(target)
            writer.writerow([*next(rows), "answer"])
            writer.writerows([*row, answers.get(f"row-{number}")] for number, row in enumerate(rows, 1))

    return work


REQUESTS = 20_000
MANY_REQUESTS = 100_000
IN_FLIGHT = 64
INSTANT_URL = "INSTANT_URL"
"""Variable with the address of the server that answers at once."""


def _engine(data: Path, out: Path, requests: int = REQUESTS) -> Work:
    import time

    import anyio
    import openai.types

    from batchwright.providers.local.engine import LocalEngine
    from batchwright.providers.local.run import Clock
    from batchwright.providers.local.target import RemoteEndpoint, Upstream

    path = out / "in.jsonl"
    path.write_bytes(b"".join(request_line(f"row-{number}", f"word {number}") for number in range(requests)))
    target = RemoteEndpoint(Upstream(os.environ[INSTANT_URL], None), MODEL, IN_FLIGHT)
    assert openai.types.Batch  # its import takes as long as thousands of requests

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            engine = LocalEngine(out / "engine", target, clock=Clock(time.time_ns), tasks=tasks)
            file = await engine.upload(path, name=path.name)
            batch = await engine.create_batch(input_file_id=file.id, endpoint=CHAT, metadata={})
            while (batch := await engine.batch(batch.id)).status not in {"completed", "failed"}:  # noqa: ASYNC110  # a batch is polled
                await anyio.sleep(0.2)
            assert batch.request_counts is not None
            assert batch.request_counts.completed == requests
            tasks.cancel_scope.cancel()

    return lambda: anyio.run(run)


def _plain_engine(data: Path, _out: Path) -> Work:
    import aiohttp

    url = os.environ[INSTANT_URL] + "/chat/completions"
    bodies = [json.loads(request_line(f"row-{number}", f"word {number}"))["body"] for number in range(REQUESTS)]

    async def worker(session: aiohttp.ClientSession, left: list[object]) -> None:
        while left:
            async with session.post(url, data=msgspec.json.encode(left.pop())) as response:
                msgspec.json.decode(await response.read())

    async def run() -> None:
        left: list[object] = list(bodies)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(worker(session, left) for _ in range(IN_FLIGHT)))

    return lambda: asyncio.run(run())


async def answer_at_once(listening: socket.socket, data: Path) -> None:
    """Serve one and the same answer to every request, with as little work as possible."""
    body = json.loads((data / "results.jsonl").open("rb").readline())["response"]["body"]
    payload = json.dumps(body).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(payload) + payload

    class Instant(asyncio.Protocol):
        def __init__(self) -> None:
            self._held = b""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._write: Callable[[bytes], None] = transport.write  # type: ignore[attr-defined]

        def data_received(self, data: bytes) -> None:
            self._held += data
            while (end := self._held.find(b"\r\n\r\n")) >= 0:
                head = self._held[:end].lower()
                size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                if len(self._held) < end + 4 + size:
                    return
                self._held = self._held[end + 4 + size :]
                self._write(answer)

    server = await asyncio.get_running_loop().create_server(Instant, sock=listening)
    await server.serve_forever()


def _server(data: Path, out: Path, *, take: Callable[[Path, list[str]], float], command: list[str]) -> Work:
    return partial(take, out, command)


WORKLOADS = {
    "build_csv": Workload(
        f"build {ROWS:,} requests from CSV (180 MB)",
        "a loop of `csv`, msgspec and splintr",
        partial(_draft, "rows.csv"),
        _plain_build_csv,
        1.8,
        note="The rows are also frozen, checked, hashed, counted in tokens and priced.",
    ),
    "build_parquet": Workload(
        f"build {ROWS:,} requests from Parquet",
        "a loop of DuckDB's `fetchmany`, msgspec and splintr",
        partial(_draft, "rows.parquet"),
        _plain_build_parquet,
    ),
    "million": Workload(
        f"build {MILLION:,} short requests",
        f"the same with {ROWS:,}, times {MILLION // ROWS}",
        partial(_draft, f"short-{MILLION}.csv"),
        partial(_draft, f"short-{ROWS}.csv"),
        1.1,
        times=MILLION // ROWS,
        note="Memory may be 1.3 times the reference's.",
    ),
    "check": Workload(
        "check a batch file of 190 MB",
        "msgspec's typed decode of the same fields",
        _check,
        partial(_plain_check, has_utf8_check=False),
        3.0,
        note="The reference takes bad UTF-8 for good.",
    ),
    "check_utf8": Workload(
        "check a batch file of 190 MB",
        "the same decode, and of the lines' UTF-8",
        _check,
        partial(_plain_check, has_utf8_check=True),
    ),
    "count": Workload(f"count the tokens of {ROWS // 10:,} requests", "splintr's `encode` alone", _count, _plain_count),
    "join": Workload(
        f"join {ROWS:,} results and save them as CSV", "a loop of msgspec and `csv.writer`", _join, _plain_join, 0.5
    ),
    "engine": Workload(
        f"send {REQUESTS:,} requests, {IN_FLIGHT} in flight, and record the answers",
        "a bare loop of aiohttp",
        _engine,
        _plain_engine,
        1.25,
    ),
    "engine_many": Workload(
        f"send {MANY_REQUESTS:,} requests and record the answers",
        f"the same with {REQUESTS:,}, times {MANY_REQUESTS // REQUESTS}",
        partial(_engine, requests=MANY_REQUESTS),
        _engine,
        times=MANY_REQUESTS // REQUESTS,
    ),
    "whole": Workload(
        f"run a whole job of {ROWS:,} rows of 400 characters, from CSV to CSV",
        "a script of `json` and `csv` that writes the batch file and joins the results",
        whole.job,
        whole.script,
        1.7,
        note="The server has run a job before.",
    ),
    "whole_first": Workload(
        f"run a whole job of {ROWS:,} rows of 400 characters, from CSV to CSV",
        "a script of `json` and `csv` that writes the batch file and joins the results",
        partial(whole.job, is_first=True),
        whole.script,
        2.4,
        note="It is the server's first job.",
    ),
    "whole_million": Workload(
        f"run a whole job of {MILLION:,} rows of 400 characters, from CSV to CSV",
        f"the same with {ROWS:,}, times {MILLION // ROWS}",
        partial(whole.job, rows=MILLION),
        whole.job,
        times=MILLION // ROWS,
        note="It may take 60 CPU seconds and 350 MB.",
    ),
    "start": Workload(
        "start the server and greet a client",
        "an empty server on the same SDK",
        partial(_server, take=started, command=OURS),
        partial(_server, take=started, command=EMPTY),
        1.1,
    ),
    "call": Workload(
        f"answer {CALLS:,} calls of `list_jobs` over stdio",
        "an empty server's tool",
        partial(_server, take=called, command=OURS),
        partial(_server, take=called, command=EMPTY),
    ),
}
