"""Kill Batchwright at every point where that could cost money or results, whatever a provider may do meanwhile.

Each case is one job of three parts. A process that works on it is killed with SIGKILL at one point, and the provider, a
process of its own, breaks the answer to a new batch in one way. Others are started in its place until the job is over.
Where only the user may decide, the state has to say so; then the user of the case decides.

What must hold in every case: no part has two batches and no row is paid for twice; what the provider answered is in the
results; nothing is left at the provider that the journal does not know; nothing stays reserved in the ledger; the
counts add up to the rows.

    python -m tests.crash.matrix [--fast] [--point POINT] [--mode MODE]

The matrix is itself tried now and then, on a copy of the program, and has to turn red where

* `recovery.made_by` gives an empty list, so that no batch is ever found again;
* the index `one_live_attempt` is dropped, and `recovery.next_actions` says "create" for a part that is `submitting`.
"""

import argparse
import csv
import itertools
import json
import multiprocessing
import os
import signal
import sqlite3
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, get_args

from batchwright.core.crash_points import Point
from tests.crash import crashing
from tests.crash.crashing import HUNG_UP, LOG, PARTS, REPORT, RESULTS, ROWS, Death, Life, Report, Wish, read_report
from tests.support import openai_server

if TYPE_CHECKING:
    from batchwright.core.model import UserSays

LIFE_SECONDS = 60
"""Of one process, at most."""
MAX_LIVES = 12
PAUSE_SECONDS = 0.01

Release = Literal["at_once", "when_unknown", "when_resent"]


@dataclass(frozen=True)
class Crash:
    """How a process comes to its early end.

    Attributes:
        death: The point at which it kills itself.
        held: An operation and a fault: while the provider holds such a request, the process is killed.
        hangs_up: While the request is held, the call that submits the job is cancelled first.
        release: When the provider goes on with what it held.
        times: So many processes die there.
        loses_journal: The journal cannot be read afterwards.
    """

    death: Death | None = None
    held: tuple[str, str] | None = None
    hangs_up: bool = False
    release: Release = "at_once"
    wish: Wish = ""
    times: int = 1
    loses_journal: bool = False

    @property
    def is_answered(self) -> bool:
        """Whether the process lives to see what became of the held request."""
        return self.held is not None and (self.death is not None or not self.times)


@dataclass(frozen=True)
class Mode:
    """What the provider does to the first new batch.

    Attributes:
        faults: Of `openai_faults`.
        is_unclear: Whether the client cannot tell what became of its request.
        is_lost: Whether no batch is ever made of it, so that only the user can have it sent again.
        is_resent_early: The user has it sent again before it shows up.
        refusals: So many requests are refused for now, and may be sent again.
        ends_failed: The part is refused for good.
    """

    faults: tuple[str, ...] = ()
    is_unclear: bool = True
    is_lost: bool = False
    is_resent_early: bool = False
    refusals: int = 0
    ends_failed: bool = False


_POST = "batches.create"
_DELICATE = ("submission_meant", "post_held", "submission_answered", "submitted")
_OF_EACH_STAGE = (
    *("drafted", "upload_answer_held", "submission_answered", "call_cancelled_survived", "cancel_held", "renamed"),
    *("finished", "deletion_answered", "journal_lost_submission_answered"),
)
_ONLY_IN_FULL = frozenset(
    {"submission_meant_twice", "submission_answered_twice", "submitted_twice"}
    | {f"journal_lost_{point}" for point in ("agreed", "upload_answered", "uploaded", "unknown_written")}
    | {f"journal_lost_{point}" for point in ("end_seen", "renamed", "verified", "deletion_answered")}
)
_JOURNAL_LOST_AT: tuple[Point, ...] = (
    *("drafted", "agreed", "upload_answered", "uploaded", "submission_meant", "submission_answered"),
    *("unknown_written", "submitted", "end_seen", "renamed", "verified", "finished", "deletion_answered"),
)
CRASHES: dict[str, Crash] = {
    **{point: Crash(point) for point in get_args(Point)},
    "cancel_answered": Crash("cancel_answered", wish="cancelled"),
    "cancel_held": Crash(held=("batches.cancel", "held_before"), wish="cancelled"),
    "cancel_answer_held": Crash(held=("batches.cancel", "held_after_creation"), wish="cancelled"),
    "upload_held": Crash(held=("files.create", "held_before")),
    "upload_answer_held": Crash(held=("files.create", "held_after_creation")),
    "post_held": Crash(held=(_POST, "held_before")),
    "post_held_until_unknown": Crash(held=(_POST, "held_before"), release="when_unknown"),
    "post_held_until_resent": Crash(held=(_POST, "held_before"), release="when_resent"),
    "post_answer_held": Crash(held=(_POST, "held_after_creation")),
    "call_cancelled": Crash(held=(_POST, "held_before"), hangs_up=True),
    "call_cancelled_answered": Crash("hung_up", held=(_POST, "held_before"), hangs_up=True),
    "call_cancelled_survived": Crash(held=(_POST, "held_before"), hangs_up=True, times=0),
    "download_held": Crash(held=("files.content", "held_before")),
    "download_stalled": Crash(held=("files.content", "stalled")),
    "deletion_held": Crash(held=("files.delete", "held_before")),
    "deletion_answer_held": Crash(held=("files.delete", "held_after_creation")),
    **{f"{point}_twice": Crash(point, times=2) for point in ("submission_meant", "submission_answered", "submitted")},
    **{f"journal_lost_{point}": Crash(point, loses_journal=True) for point in _JOURNAL_LOST_AT},
}
"""By the name of the point, or of what happens there."""

MODES: dict[str, Mode] = {
    "normal": Mode(is_unclear=False),
    "lost_before": Mode(("lost_before",), is_lost=True),
    "lost_after_creation": Mode(("lost_after_creation",)),
    "late_creation": Mode(("late_creation",)),
    "list_lag": Mode(("list_lag",), is_unclear=False),
    "lost_and_list_lag": Mode(("lost_after_creation", "list_lag")),
    "408_after_creation": Mode(("408_after_creation",)),
    "409_after_creation": Mode(("409_after_creation",)),
    "429": Mode(("429",), is_unclear=False, refusals=1),
    "500_after_creation": Mode(("500_after_creation",)),
    "html_502_after_creation": Mode(("html_502_after_creation",)),
    "cut_answer_after_creation": Mode(("cut_answer_after_creation",)),
    "no_id_after_creation": Mode(("no_id_after_creation",)),
    "500_before": Mode(("500_before",), is_lost=True),
    "insufficient_quota": Mode(("insufficient_quota",), is_unclear=False, ends_failed=True),
    "late_creation_resent": Mode(("late_creation",), is_resent_early=True),
    "lost_and_list_lag_resent": Mode(("lost_after_creation", "list_lag"), is_resent_early=True),
}


@dataclass(frozen=True)
class Case:
    """One field of the matrix."""

    point: str
    mode: str

    def __str__(self) -> str:
        return f"{self.point}-{self.mode}"

    @property
    def needs_word(self) -> bool:
        """Whether the user has to have something sent again, or left; that must be asked for then, and only then."""
        crash, mode = CRASHES[self.point], MODES[self.mode]
        is_early = mode.is_resent_early or crash.release == "when_resent"
        if "list_lag" in mode.faults and crash.is_answered:
            is_early = False  # the held request met the lag, and the next one lost its answer
        return mode.is_lost or is_early or crash.death == "submission_meant"

    @property
    def is_reachable(self) -> bool:
        """Whether the program passes the point in this mode."""
        return "unknown_written" not in self.point or MODES[self.mode].is_unclear


@dataclass
class Outcome:
    """What became of a case.

    Attributes:
        kills: Processes that died by SIGKILL.
        doubles: Batches beyond the first of a part, and answers beyond the first of a row.
        losses: Rows that the provider answered, and whose answers are not in the results.
        trail: What happened, in order.
    """

    case: Case
    kills: int = 0
    doubles: int = 0
    losses: int = 0
    problems: list[str] = field(default_factory=list[str])
    trail: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        return f"{self.case}: {'; '.join(self.problems)}\n    " + "\n    ".join(self.trail)


def all_cases() -> Sequence[Case]:
    """Give every point in every mode."""
    return [Case(point, mode) for point, mode in itertools.product(CRASHES, MODES)]


def few_cases() -> Sequence[Case]:
    """Return one point of each stage."""
    return [Case(point, "normal") for point in _OF_EACH_STAGE]


def fast_cases() -> Sequence[Case]:
    """Give every point once, and every mode at the points where most is at stake."""
    points = [point for point in CRASHES if point not in _ONLY_IN_FULL]
    plain = [Case(point, "500_after_creation" if point == "unknown_written" else "normal") for point in points]
    return list(dict.fromkeys([*plain, *(Case(point, mode) for point, mode in itertools.product(_DELICATE, MODES))]))


def tried(case: Case) -> Outcome:
    """Try one case, from the draft of a job to its end."""
    outcome = Outcome(case)
    with tempfile.TemporaryDirectory(prefix="crash-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        crashing.make_source(folder)
        try:
            with _provider(folder, case) as provider:
                _Trial(outcome, folder, provider).run()
        except Exception as error:  # noqa: BLE001  # the other cases are still tried
            outcome.problems.append(f"{type(error).__name__}: {error}")
        log = folder / LOG
        if outcome.problems and log.exists():
            outcome.trail += log.read_text(encoding="utf-8").splitlines()[-30:]
    return outcome


class _Child:
    """A process, forked from one that has imported everything; used from several threads."""

    # A process that is waited for is looked after by whichever thread starts another: they take turns.
    _turn = Lock()

    def __init__(self, target: Callable[[Any], None], argument: object) -> None:
        with self._turn:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["pytest", *crashing.preloaded()])
            self._process = context.Process(target=target, args=(argument,), daemon=True)
            self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def ended(self, seconds: float) -> int | None:
        """Wait so long for its end; gives its exit code, or None if it still runs."""
        wait([self._process.sentinel], seconds)
        with self._turn:
            return self._process.exitcode

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._wait_for_end()

    def terminate(self) -> None:
        """Have it end."""
        self._process.terminate()
        self._wait_for_end()

    def _wait_for_end(self) -> None:
        if self.ended(LIFE_SECONDS) is None:
            raise TimeoutError(f"Process {self.pid} does not end.")


class _Provider:
    """The provider, as the hand that drives it sees it."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.url = f"{root}/v1"

    def told(self, name: str, **arguments: object) -> dict[str, Any]:
        """Have it do something, and give how it stands then."""
        data = json.dumps(arguments).encode()
        request = urllib.request.Request(f"{self._root}/control/{name}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=LIFE_SECONDS) as answer:
            return json.load(answer)


@contextmanager
def _provider(folder: Path, case: Case) -> Generator[_Provider]:
    """Run a provider as a process of its own, whose batches move on each time that they are looked at."""
    held = CRASHES[case.point].held
    faults = [*([":".join(held)] if held else []), *(f"{_POST}:{name}" for name in MODES[case.mode].faults)]
    port_file = folder / "port"
    options = ["--port-file", str(port_file), "--state", str(folder / "provider"), "--automatic"]
    child = _Child(openai_server.main, [*options, *itertools.chain(*(("--fault", fault) for fault in faults))])
    try:
        _until(port_file.exists)
        yield _Provider(f"http://127.0.0.1:{port_file.read_text(encoding='ascii')}")
    finally:
        child.terminate()


class _Trial:
    """One case on its way."""

    def __init__(self, outcome: Outcome, folder: Path, provider: _Provider) -> None:
        case = outcome.case
        self._outcome = outcome
        self._crash = CRASHES[case.point]
        self._mode = MODES[case.mode]
        self._folder = folder
        self._provider = provider
        self._says: UserSays = ""
        self._resent = 0
        self._is_resent_early = False
        self._surplus: frozenset[str] = frozenset()
        self._deaths = 0
        self._adopted: list[str] = []
        self._adopted_jobs = 0
        self._journal: Literal["kept", "damaged", "lost"] = "kept"
        self._posts_at_loss = 0
        self._may_post_again = False
        self._is_held = self._crash.held is not None

    def run(self) -> None:
        """Live until the job is over, or something is wrong."""
        for _ in range(MAX_LIVES):
            report = self._life()
            if self._outcome.problems or (report is not None and not self._goes_on(report)):
                break
        else:
            self._fail(f"the job is not over after {MAX_LIVES} lives")

    def _fail(self, problem: str) -> None:
        self._outcome.problems.append(problem)

    def _note(self, text: str) -> None:
        self._outcome.trail.append(text)

    def _check(self, holds: bool, problem: str) -> None:  # noqa: FBT001  # reads like an assertion
        if not holds:
            self._fail(problem)

    def _life(self) -> Report | None:
        """Run one process to its end; gives its report, or None if it was killed."""
        for name in (REPORT, HUNG_UP):
            (self._folder / name).unlink(missing_ok=True)
        is_early = self._is_resent_early and self._says == "resend"
        death = self._crash.death if self._deaths < self._crash.times else None
        if is_early:
            death = "submitted"  # the first batch shows up while the second runs
        wish: Wish = "retried" if self._journal == "lost" and self._may_post_again else self._crash.wish
        life = Life(self._folder, self._provider.url, death, self._says, wish, tuple(self._adopted))
        self._note(f"life {death=} says={self._says!r} {wish=} adopted={len(self._adopted)}")
        child = _Child(crashing.live, life)
        if self._is_held:
            self._while_held(child)
        code = child.ended(LIFE_SECONDS)
        if code is None:
            self._fail(f"the process still runs after {LIFE_SECONDS} seconds")
            child.kill()
        elif code == -signal.SIGKILL:
            self._died(is_early=is_early)
        elif code == 0 and (report := read_report(self._folder)):
            self._note(f"  {report.status} {_nonzero(report.counts)} {report.refusal or ''} frozen={report.frozen}")
            self._note(f"  {report.parts}")
            self._says = ""
            return report
        else:
            self._fail(f"the process ended with {code}")
        self._check_provider(exempt=self._surplus)
        return None

    def _died(self, *, is_early: bool) -> None:
        """Do what happens between two lives."""
        self._outcome.kills += 1
        self._note("  killed")
        if is_early:
            self._says = ""
            self._show()
            return
        self._deaths += 1
        if self._crash.release == "at_once":
            self._release()
        if self._crash.loses_journal:
            self._journal = "damaged"
            self._posts_at_loss = self._provider.told("look")["posts"]
            for path in (self._folder / "data").glob("journal.db*"):
                path.write_bytes(b"\xa5" * path.stat().st_size)

    def _while_held(self, child: _Child) -> None:
        """Do what is to be done while the provider holds a request, if it comes to that in this life."""
        _until(lambda: self._provider.told("look")["is_holding"] or child.ended(0) is not None)
        if child.ended(0) is not None:
            return
        self._is_held = False
        if self._crash.hangs_up:
            os.kill(child.pid, signal.SIGUSR1)
            _until((self._folder / HUNG_UP).exists)
        if self._crash.death is None and self._crash.times:
            child.kill()
        else:
            self._release()

    def _release(self) -> None:
        if self._provider.told("look")["is_holding"]:
            self._provider.told("release")
            _until(lambda: not self._provider.told("look")["is_holding"])

    def _goes_on(self, report: Report) -> bool:
        """Check what a life left, and decide as its user would; false: all is over."""
        seen = self._check_provider()
        if self._journal == "damaged":
            self._move_journal(report.refusal or "")
            return True
        self._check_report(report)
        if self._outcome.problems:
            return False
        is_pending = bool(seen["hidden"] or seen["late"] or seen["is_holding"])
        others = [other for other in report.others if _is_live(seen["batches"][other])]
        is_incomplete = report.counts["answered"] < ROWS and not self._may_post_again
        if self._journal == "lost" and (is_incomplete or others or self._adopted):
            return self._after_loss(report, seen, others, is_pending=is_pending)
        if report.is_over and not is_pending:
            self._check_end(report, seen)
            return False
        if report.status == "unknown":
            self._decide(report, seen, is_pending=is_pending)
        elif report.is_over:
            self._show()
        else:
            self._check(report.frozen is not None, f"the job stands still: {report.refusal}")
            self._says, self._may_post_again = "go_on", True
        return True

    def _decide(self, report: Report, seen: dict[str, Any], *, is_pending: bool) -> None:
        """Wait until what is pending shows up; where nothing is, have the part sent again."""
        unknown = [number for number, state, _ in report.parts if state == "unknown"]
        problems = [problem for _, state, problem in report.parts if state == "unknown"]
        is_told = all(problem is not None and problem.code == "not_confirmed" for problem in problems)
        self._check(is_told, f"the user is not told what to decide: {problems}")
        is_early = self._mode.is_resent_early or self._crash.release == "when_resent"
        if is_pending and (not is_early or self._resent):
            self._show()
            return
        if is_pending:
            self._is_resent_early = True
            self._surplus = frozenset(seen["hidden"])
            for batch_id in self._surplus:
                self._provider.told("step", batch_id=batch_id)
        made = {int(batch["metadata"]["batchwright_part"]) for batch in seen["batches"].values() if _is_live(batch)}
        if not is_pending:
            self._check(not made & set(unknown), f"parts {made & set(unknown)} are unknown, and have batches")
        self._resent += len(unknown)
        self._says = "resend"

    def _after_loss(self, report: Report, seen: dict[str, Any], others: Sequence[str], *, is_pending: bool) -> bool:
        """Take up the job of a lost journal, as its freeze advises: first see that nothing is missing."""
        is_frozen = report.frozen is not None or self._may_post_again
        self._check(is_frozen, "nothing is frozen, though the journal was lost")
        if is_pending:
            self._show()
        elif self._adopted:
            answers = report.counts["answered"] + report.adopted_answers
            self._check(not others, f"the journal does not know {others}")
            self._check(answers == _paid(seen), f"{_paid(seen)} answers are paid for, {answers} are here")
            self._adopted = []
            self._says, self._may_post_again = "go_on", True
            # Whether rows without an answer are to be sent once more is left to the user.
            return report.counts["answered"] == ROWS
        elif report.status != "draft" and others:
            self._adopted = list(others)
        else:
            self._says, self._may_post_again = "go_on", True
        return True

    def _show(self) -> None:
        """Let everything show up at the provider that has not so far."""
        self._release()
        self._provider.told("appear")
        self._note("  appear")

    def _move_journal(self, refusal: str) -> None:
        self._check(
            "cannot be read" in refusal and "move it" in refusal, f"the damaged journal is not named: {refusal}"
        )
        aside = self._folder / "aside"
        aside.mkdir()
        for path in (self._folder / "data").glob("journal.db*"):
            path.rename(aside / path.name)
        self._journal = "lost"

    def _check_report(self, report: Report) -> None:
        self._adopted_jobs += report.adopted_jobs
        self._check(report.jobs == 1 + self._adopted_jobs, f"there are {report.jobs} jobs")
        self._check(sum(report.counts.values()) == ROWS, f"the counts do not add up: {report.counts}")
        if self._journal == "kept":
            self._check(not report.others, f"the journal does not know {report.others}")
            foreign = [file_id for file_id, job_id in report.files if job_id != report.job_id]
            self._check(not foreign, f"files of no job: {foreign}")
            self._check(report.refusal is None, f"refused: {report.refusal}")
            self._check(report.frozen is None or self._is_resent_early, f"frozen: {report.frozen}")

    def _check_provider(self, exempt: Collection[str] = ()) -> dict[str, Any]:
        """Look for a second batch of a part, and for a request that should not have been sent.

        A batch that the user had sent again before it showed up may run until it is seen: of that the user was told.
        """
        seen = self._provider.told("look")
        names = ("batchwright_job", "batchwright_part")
        exempt = {*exempt, *(self._surplus & set(seen["hidden"]))}
        batches = [batch for batch in seen["batches"].values() if batch["id"] not in exempt]
        made = [batch["metadata"] for batch in batches if _is_live(batch)]
        live = Counter(tuple(metadata[name] for name in names) for metadata in made)
        self._outcome.doubles = sum(count - 1 for count in live.values()) + max(0, _paid(seen) - ROWS)
        self._check(not self._outcome.doubles, f"{self._outcome.doubles} doubles: {live}, {_paid(seen)} answers")
        if self._journal == "kept":
            allowed = PARTS + self._resent + self._mode.refusals
            self._check(seen["posts"] <= allowed, f"{seen['posts']} batches were asked for, at most {allowed} may be")
        elif not self._may_post_again:
            self._check(seen["posts"] == self._posts_at_loss, "a batch was asked for, though the journal was lost")
        return seen

    def _check_end(self, report: Report, seen: dict[str, Any]) -> None:
        """Check what the job came to, what is left at the provider, and the ledger."""
        saved = self._saved()
        answered = report.counts["answered"]
        paid = _paid(seen)
        self._outcome.losses = max(0, paid - saved)
        self._check(saved == answered, f"{answered} rows are answered, {saved} answers were saved")
        self._check(answered >= paid, f"{paid} answers are paid for, {answered} are here")
        if self._mode.ends_failed and self._journal == "kept":
            codes = {problem.code for _, _, problem in report.parts if problem}
            self._check(report.status == "failed" and "insufficient_quota" in codes, f"{report.status}, {codes}")
        elif self._crash.wish == "cancelled":
            self._check(report.status in {"cancelled", "completed"}, f"the cancelled job is {report.status}")
        else:
            self._check(answered == ROWS, f"{report.status}: {_nonzero(report.counts)}")
        # A new journal cannot know which batches of an old one were given up.
        others = [each for each in report.others if self._journal == "kept" or _is_live(seen["batches"][each])]
        self._check(not others, f"the journal does not know {others}")
        self._check(not seen["files"], f"left at the provider: {seen['files']}, said to be {report.files}")
        if self._journal == "kept":
            needs_word = self._outcome.case.needs_word
            given_up = self._given_up()
            said = f"{needs_word=}, and {self._resent} parts were sent again, {given_up} given up"
            # Having a job cancelled is a word too: what is not confirmed by then is left.
            may_leave = self._crash.wish == "cancelled"
            is_unasked = not self._resent and (may_leave or not given_up)
            is_right = bool(self._resent or given_up) if needs_word else is_unasked
            self._check(is_right, said)
        self._check(not seen["faults"], f"faults that never happened: {seen['faults']}")
        self._check_journal()
        if not self._outcome.kills and self._crash.times and self._outcome.case.is_reachable:
            self._fail("the point was never reached")

    def _saved(self) -> int:
        """Count the rows that were saved with their own answers."""
        with (self._folder / "work" / RESULTS).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        self._check([row["id"] for row in rows] == [str(n) for n in range(1, ROWS + 1)], "not every row was saved")
        answers = [(row["answer"], crashing.expected_answer(row["text"])) for row in rows if row["answer"]]
        self._check(all(answer == right for answer, right in answers), f"answers of other rows: {answers}")
        return len(answers)

    def _given_up(self) -> int:
        """Count the parts that were left because the user had the job cancelled."""
        with closing(sqlite3.connect(f"file:{self._folder / 'data' / 'journal.db'}?mode=ro", uri=True)) as db:
            return db.execute("SELECT count(*) FROM part WHERE state = 'given_up'").fetchone()[0]

    def _check_journal(self) -> None:
        data = self._folder / "data"
        with closing(sqlite3.connect(f"file:{data / 'journal.db'}?mode=ro", uri=True)) as db:
            reserved = db.execute(
                "SELECT part, sum(iif(kind = 'reserve', microusd, -microusd)) AS left FROM ledger "
                "WHERE kind <> 'settle' GROUP BY job_id, part HAVING left <> 0"
            ).fetchall()
            open_attempts = db.execute("SELECT part FROM attempt WHERE outcome = 'open'").fetchall()
            jobs = db.execute("SELECT count(*) FROM job").fetchone()[0]
        self._check(not reserved, f"still reserved: {reserved}")
        self._check(not open_attempts, f"open attempts: {open_attempts}")
        folders = [path.name for path in (data / "jobs").iterdir()]
        self._check(len(folders) == jobs, f"{jobs} jobs, and the folders {folders}")


def _is_live(batch: dict[str, Any]) -> bool:
    """Whether a batch ran anything, or may do so."""
    return batch["status"] not in {"failed", "cancelling", "cancelled"} or batch["request_counts"]["completed"] > 0


def _paid(seen: dict[str, Any]) -> int:
    """Count the answers of all batches, from what the provider shows of itself."""
    return sum(batch["request_counts"]["completed"] for batch in seen["batches"].values())


def _nonzero(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _until(is_so: Callable[[], object]) -> None:
    """Look again and again, for a bounded time, until it is so."""
    deadline = time.monotonic() + LIFE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Nothing came of it within {LIFE_SECONDS} seconds.")
        time.sleep(PAUSE_SECONDS)


def _chosen(options: argparse.Namespace) -> Iterable[Case]:
    cases = fast_cases() if options.fast else all_cases()
    if options.point and options.mode:
        cases = [Case(options.point, options.mode)]
    return [case for case in cases if options.point in {None, case.point} and options.mode in {None, case.mode}]


def main() -> int:
    """Try the matrix, and tell of each case that went wrong."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--fast", action="store_true", help="every point once, every mode at the most delicate points")
    parser.add_argument("--point", choices=CRASHES, help="only this one")
    parser.add_argument("--mode", choices=MODES, help="only this one")
    parser.add_argument("--workers", type=int, default=(os.cpu_count() or 1) + 2)
    options = parser.parse_args()
    started = time.monotonic()
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(options.workers) as pool:
        for outcome in pool.map(tried, _chosen(options)):
            outcomes.append(outcome)
            if outcome.problems:
                print(f"FAILED {outcome}", flush=True)
    unreached = [str(outcome.case) for outcome in outcomes if not outcome.kills and CRASHES[outcome.case.point].times]
    failed = [outcome for outcome in outcomes if outcome.problems]
    if unreached:
        print(f"never killed, since the point is not passed in that mode: {', '.join(unreached)}")
    print(
        f"{len(outcomes)} cases, {sum(outcome.kills for outcome in outcomes)} kills, {len(failed)} failed, "
        f"{len(unreached)} never killed, {sum(outcome.doubles for outcome in outcomes)} doubles, "
        f"{sum(outcome.losses for outcome in outcomes)} losses, {time.monotonic() - started:.0f} seconds"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
