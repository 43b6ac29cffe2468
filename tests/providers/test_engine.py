"""The local engine as a provider of batches: `BatchAPI`, on real files, over a real endpoint on loopback."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest

from batchwright.core.errors import ProviderRefused, ProviderUnreachable
from batchwright.core.model import Request
from batchwright.core.problem import Problem
from batchwright.providers.local.engine import COMPLETION_SECONDS, LocalEngine
from batchwright.providers.local.run import Clock
from batchwright.providers.local.target import RemoteEndpoint, Target, Upstream
from tests.support.endpoint import Endpoint, running_endpoint
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"


def request_line(custom_id: str, text: str = "hello", **changes: Any) -> str:
    """Give one line of a batch file."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body} | changes)


async def told(engine: LocalEngine, batch_id: str) -> Problem:
    """Poll a batch until it says what is wrong with it."""

    async def problem() -> Problem | None:
        return ((await engine.batch(batch_id)).model_extra or {})["problem"]

    found = await until(problem)
    assert found is not None
    return found


def batch_file(tmp_path: Path, *lines: str) -> Path:
    """Write a batch file."""
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@asynccontextmanager
async def running_engine(
    tmp_path: Path,
    endpoint: Endpoint,
    *,
    concurrency: int = 4,
    clock: Callable[[], int] = time.time_ns,
    target: Target | None = None,
) -> AsyncGenerator[LocalEngine]:
    """Run an engine until the block ends; another one on the same folder goes on where it stopped."""
    target = target or RemoteEndpoint(Upstream(endpoint.url, endpoint.key), "m", concurrency)
    async with anyio.create_task_group() as tasks:
        yield LocalEngine(tmp_path / "engine", target, clock=Clock(clock), tasks=tasks)
        tasks.cancel_scope.cancel()


async def ended(engine: LocalEngine, batch_id: str) -> Any:
    """Poll a batch until it is final."""

    async def final() -> Any:
        batch = await engine.batch(batch_id)
        return batch if batch.status in {"completed", "failed", "expired", "cancelled"} else None

    return await until(final)


async def answered(engine: LocalEngine, batch_id: str, count: int) -> None:
    """Poll a batch until so many requests are answered."""

    async def enough() -> bool:
        counts = (await engine.batch(batch_id)).request_counts
        return counts is not None and counts.completed >= count

    await until(enough)


async def waiting(endpoint: Endpoint, requests: int) -> None:
    """Wait until so many requests hang at the endpoint."""

    async def enough() -> bool:
        return endpoint.in_flight >= requests

    await until(enough)


async def submitted(engine: LocalEngine, path: Path, endpoint: str = CHAT) -> str:
    """Upload a file and make a batch of it."""
    file = await engine.upload(path, name=path.name)
    return (await engine.create_batch(input_file_id=file.id, endpoint=endpoint, metadata={"k": "v"})).id


async def content(engine: LocalEngine, file_id: str | None, tmp_path: Path) -> list[dict[str, Any]]:
    """Download a file and decode its lines."""
    assert file_id is not None
    await engine.download(file_id, tmp_path / "downloaded")
    return [json.loads(line) for line in (tmp_path / "downloaded").read_text(encoding="utf-8").splitlines()]


async def test_a_batch_gives_an_output_file_of_the_documented_shape(tmp_path: Path) -> None:
    """Whatever reads OpenAI's output files must read these."""
    path = batch_file(tmp_path, request_line("a", "one"), request_line("b", "two"))
    async with running_endpoint() as endpoint, running_engine(tmp_path, endpoint) as engine:
        batch = await ended(engine, await submitted(engine, path))
        lines = await content(engine, batch.output_file_id, tmp_path)

    assert batch.status == "completed"
    assert batch.error_file_id is None
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (2, 2, 0)
    assert batch.metadata == {"k": "v"}
    assert batch.model == "m"
    assert {line["custom_id"]: line["response"]["body"]["choices"][0]["message"]["content"] for line in lines} == {
        "a": "answer to one",
        "b": "answer to two",
    }
    assert all(set(line) == {"id", "custom_id", "response", "error"} and line["error"] is None for line in lines)
    assert all(set(line["response"]) == {"status_code", "request_id", "body"} for line in lines)


async def test_a_refused_request_goes_to_the_error_file_with_its_status(tmp_path: Path) -> None:
    """A refused line has a top-level error of null: its status tells."""
    path = batch_file(tmp_path, request_line("a", "good"), request_line("b", "bad"))
    async with running_endpoint(statuses={"bad": [400]}) as endpoint, running_engine(tmp_path, endpoint) as engine:
        batch = await ended(engine, await submitted(engine, path))
        lines = await content(engine, batch.error_file_id, tmp_path)

    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 1)
    assert [(line["custom_id"], line["response"]["status_code"], line["error"]) for line in lines] == [("b", 400, None)]
    assert lines[0]["response"]["body"]["error"]["message"] == "told to fail"


async def test_a_batch_whose_requests_all_fail_has_no_output_file(tmp_path: Path) -> None:
    """So it is at OpenAI, and whoever reads results has to bear it."""
    path = batch_file(tmp_path, request_line("a"))
    async with running_endpoint(statuses={"*": [400]}) as endpoint, running_engine(tmp_path, endpoint) as engine:
        batch = await ended(engine, await submitted(engine, path))

    assert (batch.status, batch.output_file_id) == ("completed", None)


async def test_passing_trouble_is_waited_out(tmp_path: Path) -> None:
    """A rate limit or a restart of the endpoint must cost nobody a row."""
    path = batch_file(tmp_path, request_line("a"))
    statuses = {"*": [429, 503]}
    async with (
        running_endpoint(statuses=statuses, headers={"Retry-After": "0"}) as endpoint,
        running_engine(tmp_path, endpoint) as engine,
    ):
        batch = await ended(engine, await submitted(engine, path))

    assert batch.request_counts.completed == 1
    assert endpoint.seen["hello"] == 3


async def test_requests_run_at_once_up_to_the_limit(tmp_path: Path) -> None:
    """One box answers only so many at a time, over all batches together."""
    path = batch_file(tmp_path, *(request_line(f"r{number}") for number in range(30)))
    async with running_endpoint(seconds=0.02) as endpoint, running_engine(tmp_path, endpoint, concurrency=5) as engine:
        first, second = await submitted(engine, path), await submitted(engine, path)
        await ended(engine, first)
        await ended(engine, second)

    assert endpoint.most_in_flight == 5


@pytest.mark.parametrize(
    ("lines", "code", "line", "param"),
    [
        ([request_line("a"), "{not json"], "invalid_json_line", 2, None),
        ([request_line("a"), "", " ", "{not json"], "invalid_json_line", 4, None),
        ([request_line("a"), request_line("b", seed="?").replace('"?"', "1e999")], "invalid_value", 2, None),
        ([request_line("a"), request_line("a")], "duplicate_custom_id", 2, None),
        ([request_line("a", url="/v1/embeddings")], "invalid_url", 1, "url"),
        ([request_line("a", body={"messages": []})], "invalid_request", 1, "body.model"),
        ([""], "empty_file", None, None),
    ],
)
async def test_a_faulty_file_fails_validation_and_nothing_is_sent(
    tmp_path: Path, lines: list[str], code: str, line: int | None, param: str | None
) -> None:
    """OpenAI refuses the whole batch for one bad line, with these codes."""
    path = batch_file(tmp_path, *lines)
    async with running_endpoint() as endpoint, running_engine(tmp_path, endpoint) as engine:
        batch = await ended(engine, await submitted(engine, path))

    assert batch.status == "failed"
    assert [(error.code, error.line, error.param) for error in batch.errors.data] == [(code, line, param)]
    assert not endpoint.bodies


async def test_an_unknown_endpoint_or_file_makes_no_batch(tmp_path: Path) -> None:
    """At OpenAI these are answered before there is a batch."""
    path = batch_file(tmp_path, request_line("a"))
    async with running_endpoint() as endpoint, running_engine(tmp_path, endpoint) as engine:
        with pytest.raises(ProviderRefused, match="Invalid value: '/v1/nothing'"):
            await submitted(engine, path, "/v1/nothing")
        with pytest.raises(ProviderRefused, match="No such File object: file-none"):
            await engine.create_batch(input_file_id="file-none", endpoint=CHAT, metadata={})

        assert [batch async for batch in engine.batches()] == []


async def test_a_cancelled_batch_keeps_its_answers_and_accounts_for_the_rest(tmp_path: Path) -> None:
    """What was answered is worth keeping; what never ran is named, so that it can be run again."""
    path = batch_file(tmp_path, *(request_line(f"r{number}", f"text {number}") for number in range(20)))
    async with running_endpoint() as endpoint, running_engine(tmp_path, endpoint, concurrency=1) as engine:
        endpoint.answer = lambda text: (endpoint.gate.clear() if text == "text 4" else None) or "done"
        batch_id = await submitted(engine, path)
        await answered(engine, batch_id, 5)
        await engine.cancel_batch(batch_id)
        batch = await ended(engine, batch_id)
        good = await content(engine, batch.output_file_id, tmp_path)
        rest = await content(engine, batch.error_file_id, tmp_path)
        with pytest.raises(ProviderRefused, match="Cannot cancel a batch with status 'cancelled'"):
            await engine.cancel_batch(batch_id)

    assert batch.status == "cancelled"
    assert len(good) == 5
    assert {line["error"]["code"] for line in rest} == {"batch_cancelled"}
    assert sorted(line["custom_id"] for line in [*good, *rest]) == sorted(f"r{number}" for number in range(20))


async def test_a_batch_expires_with_its_window(tmp_path: Path) -> None:
    """An expired batch has paid answers in its output file, and the others named in its error file."""
    now = [time.time_ns()]
    path = batch_file(tmp_path, *(request_line(f"r{number}") for number in range(3)))
    async with (
        running_endpoint() as endpoint,
        running_engine(tmp_path, endpoint, concurrency=1, clock=lambda: now[0]) as engine,
    ):
        endpoint.answer = lambda _: endpoint.gate.clear() or "done"
        batch_id = await submitted(engine, path)
        await answered(engine, batch_id, 1)
        now[0] += (COMPLETION_SECONDS + 1) * 1_000_000_000
        batch = await ended(engine, batch_id)
        rest = await content(engine, batch.error_file_id, tmp_path)

    assert batch.status == "expired"
    assert batch.expired_at is not None
    assert {line["error"]["code"] for line in rest} == {"batch_expired"}
    assert (batch.request_counts.completed, len(rest)) == (1, 2)


async def test_a_stopped_engine_goes_on_and_sends_nothing_twice(tmp_path: Path) -> None:
    """A laptop that was closed must not cost the answers that were there already."""
    path = batch_file(tmp_path, *(request_line(f"r{number}", f"text {number}") for number in range(10)))
    async with running_endpoint() as endpoint:
        endpoint.answer = lambda text: (endpoint.gate.clear() if text == "text 3" else None) or "done"
        async with running_engine(tmp_path, endpoint, concurrency=1) as engine:
            batch_id = await submitted(engine, path)
            await answered(engine, batch_id, 4)
            await waiting(endpoint, 1)
        endpoint.gate.set()
        async with running_engine(tmp_path, endpoint, concurrency=1) as engine:
            batch = await ended(engine, batch_id)
            lines = await content(engine, batch.output_file_id, tmp_path)

    assert sorted(line["custom_id"] for line in lines) == sorted(f"r{number}" for number in range(10))
    assert {text for text, times in endpoint.seen.items() if times > 1} == {"text 4"}


async def test_an_unfinished_last_line_is_taken_off_and_sent_again(tmp_path: Path) -> None:
    """A process may die in the middle of a write."""
    path = batch_file(tmp_path, request_line("a"), request_line("b"))
    async with running_endpoint() as endpoint:
        endpoint.gate.clear()
        async with running_engine(tmp_path, endpoint) as engine:
            batch_id = await submitted(engine, path)
            await waiting(endpoint, 2)
        output = tmp_path / "engine" / "batches" / batch_id / "output.jsonl"
        output.write_text('{"id": "x", "custom_id": "a", "respo', encoding="utf-8")
        endpoint.gate.set()
        async with running_engine(tmp_path, endpoint) as engine:
            batch = await ended(engine, batch_id)
            lines = await content(engine, batch.output_file_id, tmp_path)

    assert sorted(line["custom_id"] for line in lines) == ["a", "b"]


async def test_two_engines_on_one_folder_run_a_batch_once(tmp_path: Path) -> None:
    """Two assistants may be open on one machine."""
    path = batch_file(tmp_path, *(request_line(f"r{number}", f"text {number}") for number in range(10)))
    async with (
        running_endpoint(seconds=0.01) as endpoint,
        running_engine(tmp_path, endpoint) as first,
        running_engine(tmp_path, endpoint) as second,
    ):
        batch_id = await submitted(first, path)
        batch = await ended(second, batch_id)

    assert batch.request_counts.completed == 10
    assert set(endpoint.seen.values()) == {1}


async def test_an_endpoint_that_is_away_is_waited_for_and_said(tmp_path: Path) -> None:
    """A server that is started a minute too late must not fail 40,000 rows."""
    path = batch_file(tmp_path, request_line("a"))
    async with running_endpoint() as gone:
        pass
    async with running_engine(tmp_path, gone) as engine:
        batch_id = await submitted(engine, path)
        problem = await told(engine, batch_id)
        batch = await engine.batch(batch_id)

    assert problem.code == "unreachable"
    assert batch.status == "in_progress"
    assert batch.request_counts is not None
    assert batch.request_counts.failed == 0


async def test_a_wrong_key_ends_the_batch_before_every_row_fails(tmp_path: Path) -> None:
    """40,000 rows with HTTP 401 help nobody; one sentence does."""
    path = batch_file(tmp_path, *(request_line(f"r{number}") for number in range(50)))
    async with running_endpoint(key="right") as endpoint:
        endpoint.key = "wrong-for-the-engine"
        target = Endpoint(url=endpoint.url, key="other")
        async with running_engine(tmp_path, target) as engine:
            batch = await ended(engine, await submitted(engine, path))

    assert batch.status == "failed"
    assert "HTTP 401: Incorrect API key provided: [the key]." in batch.errors.data[0].message


async def test_one_refusal_does_not_stop_the_others(tmp_path: Path) -> None:
    """A filter may refuse a single row with 403, and answer first."""
    path = batch_file(tmp_path, *(request_line(f"r{number}", f"text {number}") for number in range(10)))
    statuses = {"text 0": [403]}
    async with (
        running_endpoint(statuses=statuses) as endpoint,
        running_engine(tmp_path, endpoint, concurrency=1) as engine,
    ):
        batch = await ended(engine, await submitted(engine, path))

    assert (batch.request_counts.completed, batch.request_counts.failed) == (9, 1)


async def test_what_was_sent_before_some_rows_were_refused_is_waited_for(tmp_path: Path) -> None:
    """A filter may refuse the first rows at once; the answers on their way are paid, and show that the key is right."""

    class Slow(asyncio.Event):
        """Opens for row 3 only when three others were refused."""

        async def wait(self) -> Literal[True]:
            if list(endpoint.seen)[-1] == "text 3":
                await super().wait()
            return True

    path = batch_file(tmp_path, *(request_line(f"r{number}", f"text {number}") for number in range(20)))
    statuses = {f"text {number}": [403] for number in range(3)}
    async with (
        running_endpoint(statuses=statuses) as endpoint,
        running_engine(tmp_path, endpoint, concurrency=4) as engine,
    ):
        endpoint.gate = gate = Slow()
        batch_id = await submitted(engine, path)

        async def only_one_waits() -> bool:
            return len(endpoint.seen) >= 4 and endpoint.in_flight == 1

        await until(only_one_waits)
        refused = (await engine.batch(batch_id)).status
        gate.set()
        batch = await ended(engine, batch_id)

    assert (refused, batch.status) == ("in_progress", "completed")
    assert (batch.request_counts.completed, batch.request_counts.failed) == (17, 3)
    assert set(endpoint.seen.values()) == {1}
    assert endpoint.most_in_flight > 1


async def test_a_line_that_was_damaged_on_disk_is_sent_again(tmp_path: Path) -> None:
    """A full disk, or a fault of it, may leave half a line between whole ones."""
    path = batch_file(tmp_path, *(request_line(f"r{number}", f"text {number}") for number in range(4)))
    async with running_endpoint() as endpoint:
        endpoint.answer = lambda text: (endpoint.gate.clear() if text == "text 2" else None) or "done"
        async with running_engine(tmp_path, endpoint, concurrency=1) as engine:
            batch_id = await submitted(engine, path)
            await answered(engine, batch_id, 3)
        output = tmp_path / "engine" / "batches" / batch_id / "output.jsonl"
        first, second, third = output.read_text(encoding="utf-8").splitlines(keepends=True)
        output.write_text(first + second[:40] + "\n" + third, encoding="utf-8")
        endpoint.gate.set()
        async with running_engine(tmp_path, endpoint, concurrency=1) as engine:
            batch = await ended(engine, batch_id)
            lines = await content(engine, batch.output_file_id, tmp_path)

    assert sorted(line["custom_id"] for line in lines) == ["r0", "r1", "r2", "r3"]
    assert endpoint.seen["text 0"] == endpoint.seen["text 2"] == 1
    assert endpoint.seen["text 1"] == 2


async def test_where_nothing_can_be_written_nothing_is_sent(tmp_path: Path) -> None:
    """An answer that cannot be kept is paid for in vain; and the engine must live to say so."""
    path = batch_file(tmp_path, request_line("a"))
    async with running_endpoint() as endpoint:
        endpoint.gate.clear()
        async with running_engine(tmp_path, endpoint) as engine:
            batch_id = await submitted(engine, path)
            await waiting(endpoint, 1)
        output = tmp_path / "engine" / "batches" / batch_id / "output.jsonl"
        output.unlink()
        output.mkdir()
        endpoint.gate.set()
        async with running_engine(tmp_path, endpoint) as engine:
            problem = await told(engine, batch_id)
            for _ in range(10):
                await engine.batch(batch_id)

    assert problem.code == "broken_off"
    assert endpoint.seen["hello"] == 1


async def test_files_are_listed_newest_first_and_deleted_once(tmp_path: Path) -> None:
    """A second deletion, after a crash between two of them, is no error."""
    path = batch_file(tmp_path, request_line("a"))
    async with running_endpoint() as endpoint, running_engine(tmp_path, endpoint) as engine:
        batch = await ended(engine, await submitted(engine, path))
        listed = [file.id async for file in engine.files()]
        await engine.delete_file(batch.output_file_id)
        await engine.delete_file(batch.output_file_id)
        left = [file.id async for file in engine.files()]

    assert listed == [batch.output_file_id, batch.input_file_id]
    assert left == [batch.input_file_id]


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "file-\n"])
async def test_an_id_never_becomes_a_path(tmp_path: Path, name: str) -> None:
    """Ids come from tool calls, so from a model."""
    async with running_endpoint() as endpoint, running_engine(tmp_path, endpoint) as engine:
        with pytest.raises(ProviderRefused):
            await engine.download(name, tmp_path / "x")
        with pytest.raises(ProviderRefused):
            await engine.batch(name)


HELLO = Request("a", {"model": "m", "messages": [{"role": "user", "content": "hello"}]})


async def test_single_requests_share_the_slots_of_the_batches(tmp_path: Path) -> None:
    """A server of the user's own is asked no more at once than it was set to."""
    async with running_endpoint(seconds=0.02) as endpoint, running_engine(tmp_path, endpoint, concurrency=2) as engine:
        lines = [request_line(f"a{number}") for number in range(8)]
        batch_id = await submitted(engine, batch_file(tmp_path, *lines))
        async with engine.asking(CHAT) as ask, anyio.create_task_group() as tasks:

            async def asked() -> None:
                await ask(HELLO)

            for _ in range(8):
                tasks.start_soon(asked)
        await ended(engine, batch_id)

    assert endpoint.seen["hello"] == 16
    assert endpoint.most_in_flight == 2


async def test_a_model_that_is_being_fetched_is_fetched_on_when_its_caller_gives_up(tmp_path: Path) -> None:
    """Else a call that waits less long than the network needs would never be answered."""
    begun, gate, there = list[str](), anyio.Event(), anyio.Event()

    class Fetching(RemoteEndpoint):
        """Is there when it was waited for."""

        async def upstream(self, endpoint: str) -> Upstream:
            begun.append(endpoint)
            await gate.wait()
            there.set()
            return self.base

    async with running_endpoint() as endpoint:
        target = Fetching(Upstream(endpoint.url), "m")
        async with running_engine(tmp_path, endpoint, target=target) as engine:
            with anyio.move_on_after(0.05) as waited:
                async with engine.asking(CHAT) as ask:
                    await ask(HELLO)
            seen_before = endpoint.seen["hello"]
            gate.set()
            with anyio.fail_after(60):
                await there.wait()
            async with engine.asking(CHAT) as ask:
                await ask(HELLO)

    assert waited.cancelled_caught
    assert begun[0] == CHAT
    assert (seen_before, endpoint.seen["hello"]) == (0, 1)


async def test_a_model_that_cannot_be_made_ready_is_told_to_who_asks_and_stops_nothing_else(tmp_path: Path) -> None:
    """The engine goes on with what it can do."""
    begun = list[str]()

    class Broken(RemoteEndpoint):
        """Is never there."""

        async def upstream(self, endpoint: str) -> Upstream:
            begun.append(endpoint)
            raise LookupError

    async with (
        running_endpoint() as endpoint,
        running_engine(tmp_path, endpoint, target=Broken(Upstream(endpoint.url), "m")) as engine,
    ):
        async with engine.asking(CHAT) as ask:
            for _ in range(3):
                with pytest.raises(ProviderUnreachable, match=r"could not be made ready \(LookupError\)"):
                    await ask(HELLO)
        batch_id = await submitted(engine, batch_file(tmp_path, request_line("a")))

    assert begun[0] == CHAT
    assert batch_id.startswith("batch_")
