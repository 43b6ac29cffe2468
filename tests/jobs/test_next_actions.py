"""What comes next for the parts of a job: nothing is sent twice, and nothing is left lying."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core import transitions
from batchwright.core.model import (
    ENDED_STATES,
    LIVE_STATES,
    Job,
    LineError,
    Part,
    PartState,
    ProviderInfo,
    Recipe,
    Source,
)
from batchwright.core.problem import Problem
from batchwright.jobs.recovery import WAITING, Action, Room, Shown, next_actions, stuck_parts

NOW = datetime(2026, 11, 30, tzinfo=UTC)
ODD = Problem.found("unclear", "no answer came")
OVER = LineError("token_limit_exceeded", "Enqueued token limit reached for m. Limit: 900,000 enqueued tokens.")
MAX_PASSES = 12


def part(state: PartState, number: int = 1, **fields: object) -> Part:
    """Return a part in *state*."""
    return replace(Part("job", number, state, sha256="", size_bytes=1, requests=2, load=5), **fields)


def job(*parts: Part, is_cancelled: bool = False) -> Job:
    """Return a running job."""
    source, recipe = Source("rows", "rows", (), 2), Recipe("/v1/chat/completions", "m")
    provider = ProviderInfo("service", "api.example", "m")
    return Job("job", NOW, source, recipe, provider, parts, NOW, NOW if is_cancelled else None)


def action(state: PartState, shown: Shown = Shown(), room: Room = Room(), *, is_cancelled: bool = False) -> Action:  # noqa: B008  # frozen
    """Return what comes next for the one part of a job."""
    ((_, found),) = next_actions(job(part(state), is_cancelled=is_cancelled), {1: shown}, room)
    return found


def seen(status: str, *errors: LineError) -> Shown:
    """Return what a poll showed of a part's batch."""
    return Shown(part("submitted", batch_status=status, errors=errors))


@pytest.mark.parametrize(
    ("state", "wanted", "of_cancelled"),
    [
        ("built", "upload", "leave_out"),
        ("uploading", "upload", "leave_out"),
        ("uploaded", "create", "leave_out"),
        ("submitting", "look_for_batch", "look_for_batch"),
        ("unknown", "look_for_batch", "look_for_batch"),
        ("submitted", "poll", "poll"),
        ("cancelling", "poll", "poll"),
        ("ended", "collect", "collect"),
        ("verified", "rest", "rest"),
        ("failed", "rest", "rest"),
        ("given_up", "rest", "rest"),
    ],
)
def test_every_state_has_its_next_action(state: PartState, wanted: Action, of_cancelled: Action) -> None:
    """A part in a state without one would stand still for ever."""
    assert action(state) == wanted
    assert action(state, is_cancelled=True) == of_cancelled
    assert action(state, Shown(is_done=True)) == "rest"


@pytest.mark.parametrize("state", ["submitting", "unknown"])
def test_a_batch_that_was_looked_for_in_vain_waits_for_the_user(state: PartState) -> None:
    """It may exist all the same; once the user has cancelled the job, and it is not to be expected, it is given up."""
    in_vain = Shown(has_no_batch=True)

    assert action(state, in_vain) == "wait_for_user"
    assert action(state, in_vain, is_cancelled=True) == "wait_for_user"
    assert action(state, replace(in_vain, is_quiet=True)) == "wait_for_user"
    assert action(state, replace(in_vain, is_quiet=True), is_cancelled=True) == "give_up"


@pytest.mark.parametrize(
    ("state", "shown", "wanted", "of_cancelled"),
    [
        ("submitted", seen("in_progress"), "record", "cancel"),
        ("cancelling", seen("cancelling"), "record", "record"),
        ("submitted", seen("unheard_of"), "record", "cancel"),
        ("submitted", seen("completed"), "end", "end"),
        ("cancelling", seen("cancelled"), "end", "end"),
        ("submitted", seen("failed"), "end", "end"),
        ("submitted", seen("failed", OVER), "take_back", "take_back"),
    ],
)
def test_what_a_batch_shows_decides(state: PartState, shown: Shown, wanted: Action, of_cancelled: Action) -> None:
    """A live batch is watched, or cancelled once; one that ran nothing since too much was enqueued is made again."""
    assert action(state, shown) == wanted
    assert action(state, shown, is_cancelled=True) == of_cancelled


def test_a_batch_that_another_journal_submitted_is_not_made_again() -> None:
    """It was agreed to there: nobody has agreed to have it sent here."""
    charged = ProviderInfo("service", "api.example", "m", charges="batch")
    adopted = replace(job(part("submitted")), provider=charged)

    assert next_actions(adopted, {1: seen("failed", OVER)}, Room())[0][1] == "end"


def test_parts_share_the_room_in_their_order_after_those_that_have_a_batch() -> None:
    """What is sent first takes its share; what rests, or is too large, keeps nobody waiting."""
    parts = [
        part("built", 1),
        part("built", 2),
        part("uploaded", 3, load=6),
        part("built", 4, load=11),
        part("built", 5, load=11, requests=1),
        part("built", 6, load=2),
        part("submitted", 7, load=3),
    ]
    found = next_actions(job(*parts), {}, Room(limit=10, enqueued=3, paused=frozenset({1})))

    assert [(each.number, what) for each, what in found] == [
        (7, "poll"),
        (1, "pause"),
        (2, "upload"),
        (3, "wait_for_room"),
        (4, "split"),
        (5, "upload"),
        (6, "wait_for_room"),
    ]


@pytest.mark.parametrize(("state", "late"), [("ended", False), ("submitted", True), ("cancelling", True)])
def test_what_may_never_move_on_is_stuck(state: PartState, *, late: bool) -> None:
    """Results that cannot be had at any time; a batch only when its time is over."""
    before, after = int(NOW.timestamp()) - 1, int(NOW.timestamp()) + 1

    assert stuck_parts(job(part(state, expires_at=before)), NOW)
    assert bool(stuck_parts(job(part(state, expires_at=after)), NOW)) != late
    assert not stuck_parts(job(part("verified", expires_at=before)), NOW)


@dataclass
class World:
    """A job and its provider: what the actions do to both, however it goes."""

    data: st.DataObject
    limit: int | None
    parts: dict[int, Part]
    made: dict[int, int] = field(default_factory=dict[int, int])
    is_cancelled: bool = False
    is_kind: bool = False
    """From here on the provider answers, and shows all that it has."""

    def draw(self, good: str, *others: str) -> str:
        """Decide how something goes."""
        return good if self.is_kind else self.data.draw(st.sampled_from((good, *others)))

    def live_pass(self) -> bool:
        """Take the actions of one pass; false: the process died in it."""
        shown: dict[int, Shown] = {}
        paused: set[int] = set()
        for _ in range(200):
            live = sum(each.load for each in self.parts.values() if each.state in LIVE_STATES)
            actions = next_actions(self.job(), shown, Room(self.limit, live, frozenset(paused)))
            if not (to_do := [each for each in actions if each[1] not in WAITING]):
                return True
            before, what = to_do[0]
            after = self.after(what, before, shown)
            if after is None:
                return False
            self.parts[before.number] = after
            if what == "take_back":
                paused.add(before.number)
            if after.state == before.state or what == "collect":
                is_known = what in {"poll", "look_for_batch"}
                shown[before.number] = shown[before.number] if is_known else Shown(is_done=True)
            elif after.state != "unknown" or what == "create":
                shown.pop(before.number, None)
        raise AssertionError("the pass does not come to an end")

    def job(self) -> Job:
        """Return the job as it stands."""
        return job(*(self.parts[number] for number in sorted(self.parts)), is_cancelled=self.is_cancelled)

    def after(self, what: Action, before: Part, shown: dict[int, Shown]) -> Part | None:  # noqa: C901, PLR0911, PLR0912  # an action each
        """Return the part after an action; None: the process died."""
        number = before.number
        match what:
            case "upload":
                return transitions.uploaded(before, "file", 1)
            case "create":
                return self.created(before)
            case "look_for_batch":
                if self.made[number] and self.draw("shown", "hidden") == "shown":
                    return transitions.submitted(before, "batch")
                shown[number] = Shown(has_no_batch=True, is_quiet=self.draw("quiet", "early") == "quiet")
                return replace(before, state="unknown") if before.state == "submitting" else before
            case "give_up":
                return transitions.given_up(before, ODD)
            case "poll":
                status = self.draw("completed", "in_progress", "failed", "expired", "over")
                is_over = status == "over"
                seen = replace(before, batch_status="failed" if is_over else status, errors=(OVER,) * is_over)
                shown[number] = Shown(seen)
                return before
            case "cancel":
                return transitions.cancelling(before) if self.draw("done", "refused") == "done" else before
            case "take_back":
                self.made[number] -= 1
                return transitions.built(before)
            case "end":
                return transitions.ended(before)
            case "collect":
                return self.collected(before)
            case "split":
                first = max(self.parts) + 1
                for piece in (first, first + 1):
                    self.made[piece] = 0
                    self.parts[piece] = replace(before, number=piece, requests=1, load=max(1, before.load // 2))
                return transitions.split(before)
            case "leave_out":
                assert not self.made[number]
                return transitions.left_out(before)
            case _:
                return before

    def created(self, before: Part) -> Part | None:
        """Ask for a batch."""
        assert not self.made[before.number], "a second batch is made"
        self.parts[before.number] = transitions.submitting(before)
        how = self.draw("made", "refused", "died before", "died after", "lost before", "lost after")
        self.made[before.number] += how in {"made", "died after", "lost after"}
        if how.startswith("died"):
            return None
        if how.startswith("lost"):
            return transitions.unconfirmed(before, ODD)
        return transitions.submitted(before, "batch") if how == "made" else transitions.not_sent(before, None)

    def collected(self, before: Part) -> Part:
        """Fetch results."""
        how = self.draw("whole", "cut", "not now")
        if how == "whole":
            return transitions.collected(before, None, None, is_failed=False)
        return transitions.reopened(before) if how == "cut" else before


@given(
    data=st.data(),
    states=st.lists(st.sampled_from([each for each in get_args(PartState) if each != "split"]), min_size=1, max_size=4),
    limit=st.none() | st.integers(1, 12),
)
def test_whatever_happens_no_batch_is_made_twice_and_only_the_user_is_waited_for(
    data: st.DataObject, states: list[PartState], limit: int | None
) -> None:
    """From any states, through deaths, lost answers and cancellations; once the provider is well, all ends."""
    parts = {number: part(state, number, load=3 * number) for number, state in enumerate(states, 1)}
    made = {number: each in {"submitted", "cancelling", "ended"} for number, each in enumerate(states, 1)}
    made |= {n: data.draw(st.booleans()) for n, each in enumerate(states, 1) if each in {"submitting", "unknown"}}
    world = World(data, limit, parts, {number: int(is_made) for number, is_made in made.items()})
    for _ in range(data.draw(st.integers(0, 4))):
        world.live_pass()
        world.is_cancelled = world.is_cancelled or data.draw(st.booleans())
    world.is_kind = True
    for _ in range(MAX_PASSES):
        world.live_pass()
        unknown = {number: each for number, each in world.parts.items() if each.state == "unknown"}
        assert not any(world.made[number] for number in unknown)
        world.parts |= {
            number: transitions.built(each) for number, each in unknown.items()
        }  # the user has it sent again

    assert {each.state for each in world.parts.values()} <= {*ENDED_STATES, "split"}
