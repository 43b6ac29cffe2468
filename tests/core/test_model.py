"""The nouns that compute: a job's status and its counts, and the sentences about who answers."""

from dataclasses import replace
from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batchwright.core.model import (
    OUTCOMES,
    TERMINAL_BATCH_STATUSES,
    Job,
    JobStatus,
    Limits,
    Outcome,
    Part,
    PartState,
    ProviderInfo,
    Recipe,
    Source,
)
from tests.support.values import START


def part(
    state: PartState,
    *,
    number: int = 1,
    requests: int = 10,
    completed: int = 0,
    failed: int = 0,
    ended_as: str | None = None,
) -> Part:
    """Give a part in *state*, whose batch ended as *ended_as*."""
    return Part(
        "job",
        number,
        state,
        sha256="",
        size_bytes=1,
        requests=requests,
        completed=completed,
        failed=failed,
        batch_status=ended_as,
    )


def job(
    *parts: Part,
    submitted: bool = True,
    cancelled: bool = False,
    outcomes: dict[Outcome, int] | None = None,
) -> Job:
    """Give a job of *parts*, with a row for each of their requests; it has ended where all of them have."""
    rows = sum(part.requests for part in parts)
    is_over = submitted and all(part.state in {"verified", "failed", "split"} for part in parts)
    return Job(
        id="job",
        created_at=START,
        source=Source("reviews.csv", "csv", ("text",), rows),
        recipe=Recipe("/v1/chat/completions", "m", "{{text}}"),
        provider=ProviderInfo("endpoint", "localhost", "m"),
        parts=parts,
        submitted_at=START if submitted else None,
        cancelled_at=START if cancelled else None,
        ended_at=START if is_over else None,
        outcomes=outcomes,
    )


@st.composite
def parts_with_counts(draw: st.DrawFn) -> Part:
    """Give a part in any state, whose counts are possible."""
    requests = draw(st.integers(1, 20))
    completed = draw(st.integers(0, requests))
    failed = draw(st.integers(0, requests - completed))
    state: PartState = draw(st.sampled_from(get_args(PartState)))
    return part(state, requests=requests, completed=completed, failed=failed)


@given(parts=st.lists(parts_with_counts(), min_size=1, max_size=5), submitted=st.booleans())
def test_outcomes_always_add_up_to_the_rows(parts: list[Part], submitted: bool) -> None:  # noqa: FBT001
    """The invariant that users trust: no row is lost, and none is counted twice."""
    counts = job(*parts, submitted=submitted).counts

    assert sum(counts.values()) == sum(part.requests for part in parts)
    assert min(counts.values()) >= 0
    assert tuple(counts) == OUTCOMES


@given(parts=st.lists(parts_with_counts(), min_size=1, max_size=5), more=st.integers(1, 50), kept=st.integers(0, 9))
def test_outcomes_add_up_to_the_rows_where_several_share_a_request(parts: list[Part], more: int, kept: int) -> None:
    """A job whose every request was answered has every row answered, also before the answers are read."""
    requests = sum(part.requests for part in parts)
    done = job(*parts)
    source = replace(done.source, rows=requests + more + kept, requests=requests)
    shared = replace(done, source=source, kept={"refused": kept})

    counts = shared.counts

    assume(any(part.state != "split" for part in parts))  # a part is split into others
    finished = sum(part.completed + part.failed for part in parts)
    assert sum(counts.values()) == requests + more + kept
    assert min(counts.values()) >= 0
    assert counts["refused"] == kept
    assert counts["answered"] >= done.counts["answered"]
    assert finished < requests or counts["running"] == 0


@pytest.mark.parametrize(
    ("made", "counts"),
    [
        (job(part("built"), submitted=False), {"never_ran": 10}),
        (
            job(part("submitted", completed=6, failed=1), part("built", number=2)),
            {"answered": 6, "failed": 1, "running": 13},
        ),
        (job(part("failed"), part("verified", number=2, completed=10)), {"answered": 10, "never_ran": 10}),
        (
            job(part("verified", completed=10), outcomes={"answered": 7, "refused": 2, "cut_short": 1}),
            {"answered": 7, "refused": 2, "cut_short": 1},
        ),
    ],
    ids=["a draft", "on its way", "a batch that failed as a whole", "read"],
)
def test_rows_are_counted_by_what_is_known_of_them(made: Job, counts: dict[Outcome, int]) -> None:
    """The provider's counts until the results are read; those of a batch that failed whole never ran."""
    assert made.counts == {**dict.fromkeys(OUTCOMES, 0), **counts}


def test_the_outcomes_are_all_named_once() -> None:
    """A row with an outcome outside the tuple would be missing from every count."""
    assert get_args(Outcome) == OUTCOMES


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (job(part("built"), submitted=False), "draft"),
        (job(part("built")), "running"),
        (job(part("ended", ended_as="completed")), "running"),
        (job(part("verified", ended_as="completed"), part("submitted", number=2)), "running"),
        (job(part("submitted"), cancelled=True), "cancelling"),
        (job(part("verified", ended_as="completed")), "completed"),
        (job(part("verified", ended_as="completed"), cancelled=True), "completed"),
        (job(part("verified", ended_as="completed"), part("verified", number=2, ended_as="expired")), "expired"),
        (job(part("verified", ended_as="completed"), part("verified", number=2, ended_as="cancelled")), "cancelled"),
        (job(part("verified", ended_as="cancelled"), part("verified", number=2, ended_as="expired")), "expired"),
        (job(part("verified", ended_as="completed"), part("failed", number=2)), "failed"),
        (job(part("failed"), part("verified", number=2, ended_as="expired")), "failed"),
        (job(part("failed"), part("submitted", number=2)), "running"),
        (job(part("unknown"), part("submitted", number=2)), "unknown"),
        (job(part("unknown"), part("failed", number=2), cancelled=True), "unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_status_of_a_job_follows_from_its_parts(made: Job, status: JobStatus) -> None:
    """It is never stored, so it cannot disagree: the worst ending names the job, doubt comes before all."""
    assert made.status == status


def test_only_the_four_endings_are_terminal() -> None:
    """A status in this set is believed for ever."""
    assert {"completed", "failed", "expired", "cancelled"} == TERMINAL_BATCH_STATUSES


@pytest.mark.parametrize(
    ("provider", "sentence"),
    [
        (
            ProviderInfo("embedded", "this machine", "tiny-1b", is_demonstration=True),
            "tiny-1b, a small model on this machine: free, and a demonstration, not a substitute for a GPT",
        ),
        (ProviderInfo("embedded", "this machine", "mine"), "mine, on this machine: free"),
        (
            ProviderInfo("endpoint", "localhost:11434", "llama3"),
            "llama3 at localhost:11434, called one request at a time: any cost there is not counted here",
        ),
        (
            ProviderInfo("endpoint", "api.openai.com", "gpt-5-mini", charges="standard"),
            "gpt-5-mini at api.openai.com, called one request at a time",
        ),
        (
            ProviderInfo("service", "api.openai.com", "gpt-5-mini", charges="batch"),
            "gpt-5-mini at api.openai.com, in batches",
        ),
    ],
    ids=["demonstration", "own model", "unknown prices", "known prices", "service"],
)
def test_who_answers_is_said_with_the_price(provider: ProviderInfo, sentence: str) -> None:
    """Nobody should take a demonstration for a GPT, or a cost that is not counted for none."""
    assert provider.sentence == sentence


def test_who_answers_is_the_same_whatever_it_charges() -> None:
    """A price that was learned later does not make it another provider; another model or host does."""
    service = ProviderInfo("service", "api.openai.com", "gpt-5-mini", charges="batch")
    others = [
        replace(service, kind="endpoint"),
        replace(service, host="localhost"),
        replace(service, model="gpt-5"),
    ]

    assert service.is_same(replace(service, charges="unknown"))
    assert not any(service.is_same(other) for other in others)


def test_a_job_runs_until_its_results_are_joined() -> None:
    """Who reads that it is completed asks for results, which are not there before."""
    over = job(part("verified", requests=2, completed=2, ended_as="completed"))

    assert (over.status, replace(over, ended_at=None).status) == ("completed", "running")


def test_a_part_that_was_split_counts_by_its_pieces() -> None:
    """Its rows would be counted twice, and a job would never end."""
    pieces = [part("verified", number=number, requests=5, completed=5, ended_as="completed") for number in (2, 3)]
    made = replace(job(part("split"), *pieces), source=Source("reviews.csv", "csv", ("text",), 10))

    assert made.status == "completed"
    assert made.running_parts == tuple(pieces)
    assert made.counts == {**dict.fromkeys(OUTCOMES, 0), "answered": 10}


def test_a_job_is_what_its_current_round_is() -> None:
    """A batch that failed in the first round does not fail the retry that fixed it."""
    first = part("failed", requests=4, ended_as="failed")
    second = replace(part("verified", number=2, requests=4, completed=4, ended_as="completed"), round=2)
    made = replace(job(first, second), round=2, kept={"answered": 3, "refused": 1})
    made = replace(made, source=Source("reviews.csv", "csv", ("text",), 8))

    assert (made.status, made.running_parts) == ("completed", (second,))
    assert made.counts == {**dict.fromkeys(OUTCOMES, 0), "answered": 7, "refused": 1}


def test_what_would_be_submitted_is_the_draft_or_the_round_that_follows() -> None:
    """Once it is submitted, there is nothing more to submit."""
    first, second = part("built"), replace(part("built", number=2), round=2)

    assert job(first, submitted=False).drafted_parts == (first,)
    assert job(first).drafted_parts == ()
    assert job(first, second).drafted_parts == (second,)
    assert replace(job(first, second), round=2).drafted_parts == ()


def test_what_a_job_has_cost_is_the_sum_of_what_is_known_over_all_rounds() -> None:
    """A retry is paid on top."""
    costs = [Decimal("0.1"), None, Decimal("0.25")]
    parts = [replace(part("verified", number=n), cost_usd=cost, round=n) for n, cost in enumerate(costs, 1)]

    assert job(*parts).spent_usd == Decimal("0.35")
    assert job(part("built")).spent_usd == 0


def test_the_limits_are_those_of_openais_batch_api() -> None:
    """From its guide: 50,000 requests, 200 MiB, and 50,000 embedding inputs over all lines."""
    assert Limits() == Limits(max_requests=50_000, max_bytes=209_715_200, max_inputs=50_000, max_load=None)
