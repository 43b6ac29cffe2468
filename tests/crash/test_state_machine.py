"""Any sequence of what users, providers and crashes may do leaves money and results in order.

More are tried with BATCHWRIGHT_TEST_SEQUENCES, their number; by default there are few, and more among the slow tests.
"""

import csv
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import anyio.from_thread
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, invariant, multiple, rule

from batchwright.app.use_cases import open_use_cases
from batchwright.core import model
from batchwright.core.clock import Uptime
from batchwright.core.crash_points import Point
from batchwright.core.errors import BatchwrightError
from batchwright.core.job_folder import JobFolders
from batchwright.core.model import Job, SpendingLimits, UserSays
from batchwright.core.waiting import Waiting
from batchwright.core.workspace import Workspace
from batchwright.jobs.draft import DraftRequest
from batchwright.jobs.retry_request import RetryRequest
from batchwright.jobs.submission import Rules
from batchwright.journal.journal import Journal
from batchwright.mcp_server.context import UseCases
from batchwright.providers.openai import OpenAIAPI
from batchwright.providers.shutdown_dates import ShutdownDates
from tests.crash.crashing import delete_files, ignore, ignore_job
from tests.support.openai_faults import DAMAGES
from tests.support.openai_server import Object, OpenAIServer, Outcome, running_openai

SEQUENCES = int(os.environ.get("BATCHWRIGHT_TEST_SEQUENCES", "8"))
STEPS = 30
MAX_JOBS = 3
MAX_LIVES = 25

# A part of two rows may cost $0.00009, so that either limit is met now and then.
LIMITS = SpendingLimits(job_usd=Decimal("0.0004"), day_usd=Decimal("0.0006"), ask_above_usd=Decimal(1))
ENQUEUED_TOKENS = 100
"""With requests of about 16 tokens: a job has parts of two rows, of which three may be enqueued together."""

CREATION_FAULTS = (
    *("lost_before", "lost_after_creation", "late_creation", "408_after_creation", "409_after_creation", "429"),
    *("500_before", "500_after_creation", "html_502_after_creation", "no_id_after_creation", "insufficient_quota"),
    *("cut_answer_after_creation", "redirect_307_before"),
)
OTHER_FAULTS = (
    *(("files.content", damage) for damage in sorted(DAMAGES)),
    *(("files.create", name) for name in ("lost_before", "lost_after_creation", "500_before", "429")),
    *(("batches.cancel", name) for name in ("lost_before", "500_after_creation", "409")),
    *(("files.delete", name) for name in ("lost_before", "500_after_creation")),
    *(("batches.retrieve", "unknown_status"), ("batches.list", "500"), ("files.list", "500")),
)
ENDINGS: tuple[Outcome, ...] = ("completed", "completed", "completed", "expired", "cancelled", "failed")


class Killed(BaseException):
    """The process would be dead from here on."""


class Batchwright(RuleBasedStateMachine):
    """A user, a provider and a program that is stopped now and then."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="states-"))
        self.open.callback(shutil.rmtree, self.folder, ignore_errors=True)
        (self.folder / "work").mkdir()
        self.portal = self.open.enter_context(anyio.from_thread.start_blocking_portal("asyncio"))
        running = running_openai(answer=self.answered)
        self.server: OpenAIServer = self.open.enter_context(self.portal.wrap_async_context_manager(running))
        self.server.enqueued_limit = ENQUEUED_TOKENS
        self.hours = 0
        self.server.clock = lambda: self.now().timestamp()
        self.boots = 0
        self.fails = False
        self.deadly: Point | None = None
        self.resent: Counter[tuple[str, int]] = Counter()
        self.most_answered: Counter[str] = Counter()
        self.paid: set[str] = set()
        self.made: list[str] = []
        self.life = ExitStack()
        self.begin()

    # --- the program ---

    def begin(self) -> None:
        """Start the program anew."""
        self.life.close()
        self.deadly = None
        self.life = ExitStack()
        self.running: UseCases = self.life.enter_context(self.portal.wrap_async_context_manager(self.program()))

    @asynccontextmanager
    async def program(self) -> AsyncGenerator[UseCases]:
        """Hold the program open."""
        opening = OpenAIAPI.opened(key=self.server.key, base_url=self.server.url, charges="batch")
        with closing(Journal(self.folder / "journal.db", now=self.now, uptime=self.up)) as journal:
            async with opening as api:
                yield await open_use_cases(
                    journal=journal,
                    api=api,
                    workspace=Workspace((self.folder / "work",)),
                    folders=JobFolders.in_data(self.folder),
                    now=self.now,
                    shutdown_dates=ShutdownDates(self.server.url, self.server.key, now=self.now),
                    rules=Rules(LIMITS, ENQUEUED_TOKENS, waiting=Waiting(quiet_seconds=0.0)),
                    on_point=self.pass_point,
                )

    def now(self) -> datetime:
        """Give the time, which goes on only where a sequence says so."""
        return datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=self.hours)

    def up(self) -> Uptime:
        """Give how long the machine is up."""
        return Uptime("boot", self.hours * 3600.0)

    def pass_point(self, point: Point) -> None:
        """Die, if this is the point."""
        if point == self.deadly:
            self.deadly = None
            raise Killed

    def did(self, act: Callable[..., Awaitable[Any]], *args: Any, **named: Any) -> Any:
        """Have the program do something; None: it refused, or was killed and started anew."""

        async def guarded() -> Any:
            try:
                return await act(*args, **named)
            except BatchwrightError as error:
                return self.refused(error)
            except Killed:
                return Killed

        result = self.portal.call(guarded)
        if result is Killed:
            self.begin()
            return None
        return result

    def refused(self, error: BatchwrightError) -> None:
        """Note that the program refused something."""
        assert self.server.key not in str(error)

    def answered(self, _custom_id: str, body: Object) -> str | tuple[int, Object]:
        """Answer as the provider; what is answered well is paid for."""
        text = body["messages"][-1]["content"]
        if self.fails and text.endswith(("1", "3")):
            return 400, {"error": {"message": "This row is not to be answered.", "code": "bad_row"}}
        self.paid.add(text)
        return f"answer to {text}"

    # --- the user ---

    @rule(target=jobs, rows=st.integers(1, 5))
    def draft(self, rows: int) -> "str | MultipleResults[str]":
        """Draft a job whose rows no other has."""
        if len(self.made) >= MAX_JOBS:
            return multiple()
        request = DraftRequest(
            rows=[{"n": number} for number in range(rows)],
            prompt=f"Say {len(self.made)} {{{{n}}}}",
            model="gpt-5-mini",
            parameters={"max_completion_tokens": 40},
        )
        draft = self.did(self.running.drafting.create, request)
        if draft is None:
            return multiple()
        self.made.append(draft.job.id)
        return draft.job.id

    @rule(job_id=jobs, says=st.sampled_from(["", "", "", "resend", "go_on", "give_up"]))
    def submit(self, job_id: str, says: UserSays) -> None:
        """Submit a job, or pass on the user's word."""
        job = self.portal.call(self.running.contents.job, job_id)
        if says == "resend":
            # Counted before: it may be killed after it was sent again.
            self.resent.update((job_id, part.number) for part in job.parts if part.state == "unknown")
        self.did(self.running.decisions.submit, job_id, user_says=says)

    @rule(job_id=jobs)
    def check(self, job_id: str) -> None:
        """Look at a job."""
        self.did(self.running.watch.check, job_id, wait_seconds=0, on_job=ignore_job)

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        """Have a job end early."""
        self.did(self.running.decisions.cancel, job_id)

    @rule(job_id=jobs)
    def retry(self, job_id: str) -> None:
        """Draft another round."""
        outcomes = [name for name in get_args(model.Outcome) if name not in {"answered", "running"}]
        self.did(self.running.retrying.draft, job_id, RetryRequest(outcomes=outcomes), ignore)

    @rule(job_id=jobs)
    def delete_files(self, job_id: str) -> None:
        """Tidy up at the provider."""
        self.did(delete_files, self.running, job_id)

    @rule(hours=st.integers(1, 24))
    def wait(self, hours: int) -> None:
        """Let time pass."""
        self.hours += hours

    # --- the provider ---

    @rule(name=st.sampled_from(CREATION_FAULTS), lags=st.booleans())
    def break_creation(self, name: str, *, lags: bool) -> None:
        """Break the next answer to a new batch."""
        self.server.faults.add("batches.create", name)
        if lags:
            self.server.faults.add("batches.create", "list_lag")

    @rule(fault=st.sampled_from(OTHER_FAULTS))
    def break_other(self, fault: tuple[str, str]) -> None:
        """Break another answer."""
        self.server.faults.add(*fault)

    @rule(data=st.data(), ending=st.sampled_from(ENDINGS), answered=st.integers(0, 2), fails=st.booleans())
    def end_batch(self, data: st.DataObject, ending: Outcome, answered: int, *, fails: bool) -> None:
        """Have a batch end, with some or all of its answers."""
        if batches := self.unfinished_batches():
            self.fails = fails
            batch_id = data.draw(st.sampled_from(batches))
            self.server.finish(batch_id, ending, None if ending in {"completed", "failed"} else answered)

    @rule()
    def step_batches(self) -> None:
        """Move every batch one status on."""
        for batch_id in self.unfinished_batches():
            self.server.step(batch_id)

    @rule()
    def appear(self) -> None:
        """Let everything show up."""
        self.server.appear()

    # --- the machine ---

    @rule(point=st.sampled_from(get_args(Point)))
    def die_at(self, point: Point) -> None:
        """Have the program die at a point, should it pass there."""
        self.deadly = point

    @rule()
    def restart(self) -> None:
        """Start the program anew, which goes on where it was."""
        self.begin()
        self.did(self.running.watch.resume)

    # --- what holds at every moment ---

    @invariant()
    def no_part_is_paid_twice(self) -> None:
        """Count the batches of each part: one, and another for each time that the user had it sent again."""
        made = Counter(
            (batch["metadata"]["batchwright_job"], int(batch["metadata"]["batchwright_part"]))
            for batch in self.server.batches.values()
            if batch["status"] != "failed"
        )
        assert all(count <= 1 + self.resent[part] for part, count in made.items()), made

    @invariant()
    def every_row_is_counted(self) -> None:
        """Once, whatever became of it; and an answer stays one."""
        for job in self.known_jobs():
            assert sum(job.counts.values()) == job.source.rows
            assert all(count >= 0 for count in job.counts.values())
            if job.ended_at is not None:
                assert job.counts["answered"] >= self.most_answered[job.id]
                self.most_answered[job.id] = job.counts["answered"]

    @invariant()
    def no_limit_is_passed(self) -> None:
        """Add up the ledger: all was agreed to, and is within the operator's limits; at the end nothing is reserved."""
        taken = "sum(iif(kind = 'release', -microusd, microusd))"
        with self.database() as db:
            rounds = db.execute(
                f"SELECT {taken}, (SELECT agreed_microusd FROM round r WHERE r.job_id = l.job_id AND number = l.round) "
                "FROM ledger l GROUP BY job_id, round"
            ).fetchall()
            jobs = db.execute(f"SELECT {taken} FROM ledger GROUP BY job_id").fetchall()
            day = db.execute(
                f"SELECT {taken} FROM ledger WHERE kind <> 'settle' OR at > ?",
                ((self.now() - timedelta(days=1)).isoformat(),),
            ).fetchone()
            left = db.execute(
                "SELECT job_id, part FROM ledger JOIN job ON job.id = job_id WHERE kind <> 'settle' "
                "AND ended_at IS NOT NULL GROUP BY job_id, part HAVING sum(iif(kind = 'reserve', microusd, -microusd))"
            ).fetchall()
            opened = db.execute(
                "SELECT job_id FROM attempt JOIN job ON job.id = job_id WHERE outcome = 'open' AND ended_at"
            )
            assert all(sum_ <= agreed for sum_, agreed in rounds), rounds
            assert all(sum_ <= LIMITS.job_usd * 10**6 for (sum_,) in jobs), jobs
            assert (day[0] or 0) <= LIMITS.day_usd * 10**6
            assert not left
            assert not opened.fetchall()

    def teardown(self) -> None:
        """Bring every job to its end, as its user would, and see what it came to."""
        try:
            self.bring_to_an_end()
            self.check_results()
        finally:
            self.life.close()
            self.open.close()

    def bring_to_an_end(self) -> None:
        """Let all be well at the provider, and go on until every job is over."""
        self.server.faults.waiting.clear()
        for _ in range(MAX_LIVES):
            self.hours += 25  # there is room again under the day's limit
            self.server.appear()
            self.begin()
            for job_id in self.made:
                self.check(job_id)  # of what was given up a batch may have shown up
            for batch_id in self.unfinished_batches():
                self.server.finish(batch_id)
            if not (unfinished := [job for job in self.known_jobs() if job.submitted_at and not job.ended_at]):
                return
            for job in unfinished:
                self.submit(job.id, "resend" if job.status == "unknown" else "go_on")
                self.check(job.id)
        raise AssertionError([(job.id, job.status, job.parts) for job in self.known_jobs()])

    def check_results(self) -> None:
        """Compare what was saved with what the provider answered."""
        ended = [job for job in self.known_jobs() if job.ended_at]
        for job in ended:
            self.portal.call(lambda job=job: self.running.results.page(job.id, **_SAVED_WHOLE))
            with (self.folder / "work" / "out.csv").open(encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file))
            words = f"Say {self.made.index(job.id)}"
            answers = {f"{words} {row['n']}": row["answer"] for row in rows if row["answer"]}
            assert [row["n"] for row in rows] == [str(number) for number in range(job.source.rows)]
            assert all(answer == f"answer to {text}" for text, answer in answers.items()), answers
            # Whoever asks for results may hear of a batch that was given up, and has come after all.
            job = next(known for known in self.known_jobs() if known.id == job.id)  # noqa: PLW2901  # the same, as it is now
            assert len(answers) == job.counts["answered"]
            paid = {text for text in self.paid if text.startswith(f"{words} ")}
            # Of a batch that was sent again or given up by the user's word the answers may never come here.
            was_left = any(part.state == "given_up" or self.resent[job.id, part.number] for part in job.parts)
            assert answers.keys() == paid or was_left
            self.did(delete_files, self.running, job.id)
        if not self.resent and not any(part.state == "given_up" for job in ended for part in job.parts):
            assert not self.server.files, [vars(file) for file in self.server.files.values()]

    def known_jobs(self) -> list[Job]:
        """Give all jobs as they stand in the journal."""
        return [self.portal.call(self.running.contents.job, job_id) for job_id in self.made]

    def unfinished_batches(self) -> list[str]:
        """Give the ids of the batches at the provider that have not ended."""
        final = {"completed", "failed", "expired", "cancelled"}
        return [batch_id for batch_id, batch in self.server.batches.items() if batch["status"] not in final]

    @contextmanager
    def database(self) -> Generator[sqlite3.Connection]:
        """Read the journal beside the program."""
        with closing(sqlite3.connect(f"file:{self.folder / 'journal.db'}?mode=ro", uri=True)) as db:
            yield db


_SAVED_WHOLE: dict[str, Any] = {"save_as": "out.csv", "overwrite": True, "outcome": None, "offset": 0, "limit": 5}


_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
_FEW = settings(max_examples=SEQUENCES, stateful_step_count=STEPS, suppress_health_check=_SLOW)
Batchwright.TestCase.settings = _FEW
test_any_sequence = Batchwright.TestCase


class Longer(Batchwright):
    """The same, more often."""


Longer.TestCase.settings = settings(_FEW, max_examples=3 * SEQUENCES)
test_many_sequences = pytest.mark.slow(Longer.TestCase)
