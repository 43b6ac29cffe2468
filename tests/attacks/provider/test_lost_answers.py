"""A provider that bills single requests, and whose answers get lost: no row costs more than was agreed."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from batchwright.core.model import Request
from batchwright.costs.request_costs import request_costs
from batchwright.providers.local.payments import Payments, ceilings
from batchwright.providers.local.send import Sender
from batchwright.providers.local.target import RemoteEndpoint, Upstream
from tests.support.endpoint import Endpoint, running_endpoint
from tests.support.session import Session, environment, in_memory, over_stdio
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

MODEL = "gpt-5-mini"
CENT = {"max_completion_tokens": 5_000}
"""Of output for each row, at two dollars for a million tokens, and a fraction of a cent of input: just above $0.01."""
FEW = 4


def paid(tmp_path: Path, endpoint: Endpoint, **settings: str) -> dict[str, str]:
    """Give settings for an endpoint that takes OpenAI's standard prices."""
    return environment(tmp_path, endpoint=endpoint.url, prices="openai", ask_above_usd="50", **settings)


async def drafted(session: Session, rows: int = FEW, parameters: dict[str, Any] = CENT) -> str:
    """Draft a job whose rows cost at most a cent each."""
    numbers = [{"n": f"{number:03d}"} for number in range(rows)]
    draft = await session.call("create_batch_file", rows=numbers, prompt="{{n}}", model=MODEL, parameters=parameters)
    return draft["job_id"]


async def ran(session: Session, rows: int = FEW) -> dict[str, Any]:
    """Run a new job to its end."""
    job_id = await drafted(session, rows)
    await session.call("submit_job", job_id=job_id)
    return await session.finished(job_id)


async def arrived(endpoint: Endpoint, requests: int) -> None:
    """Wait until the endpoint has these requests and has not answered them."""

    async def has_arrived() -> bool:
        return endpoint.in_flight == requests

    await until(has_arrived)


def spent(job: dict[str, Any]) -> Decimal:
    """Give what a job says that it has cost."""
    return Decimal(job["cost"].split(";")[0].removeprefix("$"))


async def problems(session: Session, job_id: str) -> list[str]:
    """Give what is said of the rows without an answer."""
    answer = await session.call("query_results", job_id=job_id, sql="SELECT problem FROM results ORDER BY ALL")
    return [row["problem"] for row in answer["shown"]]


@pytest.mark.slow
async def test_an_answer_that_is_always_lost_is_paid_once_and_told(tmp_path: Path) -> None:
    """Each request arrived, and may be billed: a second sending would cost more than was agreed."""
    async with running_endpoint() as endpoint, in_memory(paid(tmp_path, endpoint)) as session:
        endpoint.cuts["*"] = 1_000
        job = await ran(session)
        said = await problems(session, job["job_id"])

    assert set(endpoint.seen.values()) == {1}
    assert len(endpoint.seen) == FEW
    assert Decimal("0.04") < spent(job) <= Decimal("0.0401")
    assert "never_ran" not in job["counts"]
    assert len(said) == FEW
    assert all(problem.startswith("answer_lost: ") for problem in said)


async def test_a_fault_of_the_server_counts_as_paid(tmp_path: Path) -> None:
    """Whether it bills what it failed to answer, nobody knows."""
    statuses = {"*": [500] * 1_000}
    async with running_endpoint(statuses=statuses) as endpoint, in_memory(paid(tmp_path, endpoint)) as session:
        job = await ran(session)

    assert set(endpoint.seen.values()) == {1}
    assert spent(job) > Decimal("0.04")
    assert job["counts"].keys() == {"unconfirmed"}


async def test_the_limit_of_a_day_counts_answers_that_were_lost(tmp_path: Path) -> None:
    """Otherwise a bad line lets every job of the day be paid and none be counted."""
    async with running_endpoint() as endpoint, in_memory(paid(tmp_path, endpoint, max_day_usd="0.05")) as session:
        endpoint.cuts["*"] = 1_000
        await ran(session)
        second = await drafted(session)
        refused = await session.error("submit_job", job_id=second)

    assert "within 24 hours, of which $0.04" in refused
    assert endpoint.seen.total() == FEW


async def test_what_cheap_answers_leave_pays_for_those_that_were_lost(tmp_path: Path) -> None:
    """Most answers cost far less than they could: a row is not given up while there is money for it."""
    async with (
        running_endpoint(headers={"Retry-After": "0"}) as endpoint,
        in_memory(paid(tmp_path, endpoint)) as session,
    ):
        endpoint.cuts["000"] = 2
        job = await ran(session, rows=20)

    assert job["counts"] == {"answered": 20}
    assert endpoint.seen["000"] == 3
    assert Decimal("0.02") < spent(job) < Decimal("0.03")
    assert endpoint.seen.total() == 22


@pytest.mark.slow
async def test_a_refusal_costs_nothing_and_is_tried_again(tmp_path: Path) -> None:
    """A rate limit says that nothing was done, so nothing of what was agreed is used up by it."""
    statuses = {"000": [429, 429]}
    async with (
        running_endpoint(statuses=statuses, headers={"Retry-After": "0"}) as endpoint,
        in_memory(paid(tmp_path, endpoint)) as session,
    ):
        job = await ran(session, rows=1)

    assert job["counts"] == {"answered": 1}
    assert endpoint.seen["000"] == 3
    assert spent(job) < Decimal("0.0001")


@pytest.mark.slow
async def test_rows_that_what_was_agreed_does_not_reach_for_are_never_sent(tmp_path: Path) -> None:
    """Nothing bounds these answers' length: when they are dearer than the user said, the rest stays unsent."""
    dear = {"prompt_tokens": 10, "completion_tokens": 20_000, "total_tokens": 20_010}
    async with (
        running_endpoint(raw=json.dumps({"model": MODEL, "usage": dear}).encode()) as endpoint,
        in_memory(paid(tmp_path, endpoint, concurrency="1")) as session,
    ):
        job_id = await drafted(session, rows=10, parameters={})
        await session.call("submit_job", job_id=job_id, max_cost_usd=0.1)
        job = await session.finished(job_id)
        said = await problems(session, job_id)

    assert endpoint.seen.total() == 3
    assert job["counts"] == {"failed": 3, "never_ran": 7}
    assert said.count("the approved budget ran out before this row") == 7


async def test_an_unpriced_endpoint_is_sent_no_request_twice(tmp_path: Path) -> None:
    """What was agreed covers each row once, whatever a request costs there."""
    path = tmp_path / "payments"
    most = ceilings([Request(name, {}) for name in "ab"], costs=None, budget_usd=Decimal(1))
    payments = Payments(path, most, Decimal(1), None)

    assert [await payments.begin(number) for number in (0, 1, 0, 1)] == [True, True, False, False]
    assert payments.spent_usd is None
    payments.close()


async def test_a_request_that_is_not_answered_in_time_is_not_paid_twice(tmp_path: Path) -> None:
    """It may be answered, and billed, a second after nobody waits for it any more."""
    request = Request("a", {"model": MODEL, "messages": [{"role": "user", "content": "x"}]} | CENT)
    costs = request_costs(MODEL, "/v1/chat/completions")
    most = ceilings([request], costs=costs, budget_usd=Decimal("0.0101"))
    payments = Payments(tmp_path / "payments", most, Decimal("0.0101"), costs)
    async with running_endpoint() as endpoint:
        endpoint.gate.clear()
        target = RemoteEndpoint(Upstream(endpoint.url, None), None)
        async with Sender(target, "/v1/chat/completions", payments=payments, seconds=0.3) as sender:
            line = await sender.answer(request)
        endpoint.gate.set()

    assert line is None
    assert endpoint.seen == {"x": 1}
    assert payments.may_have_paid(0)
    assert payments.spent_usd is not None
    assert payments.spent_usd > Decimal("0.01")
    payments.close()


async def test_a_server_that_is_killed_counts_what_was_on_its_way_as_paid(tmp_path: Path) -> None:
    """Whatever is sent again after that is paid from what is left."""
    async with running_endpoint() as endpoint:
        env, pid_file = paid(tmp_path, endpoint, concurrency="2"), tmp_path / "pid"
        endpoint.gate.clear()
        with pytest.raises(Exception):  # noqa: B017, PT011, PT012  # however the SDK says that the server is gone
            async with over_stdio(env, pid_file=pid_file) as session:
                job_id = await drafted(session)
                await session.call("submit_job", job_id=job_id)
                await arrived(endpoint, 2)
                psutil.Process(int(pid_file.read_text())).kill()
                await session.call("list_jobs")
        sent_before = endpoint.seen.total()
        endpoint.gate.set()
        async with in_memory(env) as session:
            (listed,) = (await session.call("list_jobs"))["jobs"]
            job = await session.finished(listed["job_id"])

    assert sent_before == 2
    assert endpoint.seen.total() == 6
    assert job["counts"] == {"answered": 4}
    assert Decimal("0.02") < spent(job) < Decimal("0.0202")


async def test_an_early_end_tells_what_was_sent_from_what_never_was(tmp_path: Path) -> None:
    """A request that is on its way when the job is cancelled may be paid."""
    async with running_endpoint() as endpoint, in_memory(paid(tmp_path, endpoint, concurrency="1")) as session:
        endpoint.gate.clear()
        job_id = await drafted(session)
        await session.call("submit_job", job_id=job_id)
        await arrived(endpoint, 1)
        await session.call("cancel_job", job_id=job_id)
        job = await session.finished(job_id)
        endpoint.gate.set()

    assert job["counts"] == {"unconfirmed": 1, "never_ran": 3}
    assert Decimal("0.01") < spent(job) < Decimal("0.0101")


async def test_a_free_endpoint_is_asked_again_as_before(tmp_path: Path) -> None:
    """Where nothing is paid, only the rows count."""
    async with running_endpoint() as endpoint, in_memory(environment(tmp_path, endpoint=endpoint.url)) as session:
        endpoint.cuts["000"] = 1
        job = await ran(session, rows=1)

    assert job["counts"] == {"answered": 1}
    assert endpoint.seen["000"] == 2
    assert not list(tmp_path.rglob("payments"))


async def test_many_sendings_share_one_sync(tmp_path: Path) -> None:
    """A hundred thousand rows must not wait for a hundred thousand disks."""
    most = [1] * 1_000
    payments = Payments(tmp_path / "payments", most, Decimal("1e-9"), None)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for number in range(1_000):
                tasks.start_soon(payments.begin, number)
    payments.close()

    assert len((tmp_path / "payments").read_bytes().splitlines()) == 1_000
