"""The key under which questions go out and come back."""

from pathlib import Path

import anyio.to_thread
import pytest
from mcp.server.request_state import InvalidRequestState

from batchwright.mcp_server.question_key import KeptKey
from tests.support.systems import needs_modes

pytestmark = pytest.mark.anyio


@needs_modes
def test_what_one_process_sealed_another_opens(tmp_path: Path) -> None:
    """They share the data folder, and nothing else."""
    token = KeptKey(tmp_path / "data").seal(b"asked")

    assert KeptKey(tmp_path / "data").unseal(token) == b"asked"
    (key,) = (tmp_path / "data").iterdir()
    assert key.stat().st_mode & 0o777 == 0o600


def test_what_was_sealed_elsewhere_or_changed_is_refused(tmp_path: Path) -> None:
    """It comes from the client, which may be anybody."""
    ours, theirs = KeptKey(tmp_path / "ours"), KeptKey(tmp_path / "theirs")
    token = theirs.seal(b"asked")
    own = ours.seal(b"asked")

    for wrong in (token, own[:-4] + "AAAA", "", "v1."):
        with pytest.raises(InvalidRequestState):
            ours.unseal(wrong)


def test_opening_makes_no_key(tmp_path: Path) -> None:
    """A server that was asked nothing leaves the disk as it is."""
    with pytest.raises(InvalidRequestState):
        KeptKey(tmp_path / "data").unseal("v1.anything")

    assert list(tmp_path.iterdir()) == []


def test_a_broken_key_is_made_anew(tmp_path: Path) -> None:
    """A disk that was full must not end all questions."""
    (tmp_path / "questions.key").write_bytes(b"half a k")
    token = KeptKey(tmp_path).seal(b"asked")

    assert KeptKey(tmp_path).unseal(token) == b"asked"


def test_where_no_key_can_be_kept_this_process_still_asks(tmp_path: Path) -> None:
    """A question that only this process can end is better than none."""
    (tmp_path / "data").write_text("a file where the folder should be")
    kept = KeptKey(tmp_path / "data")

    assert kept.unseal(kept.seal(b"asked")) == b"asked"


async def test_of_several_that_make_it_at_once_all_have_the_same(tmp_path: Path) -> None:
    """Two assistants start two servers in the same second."""
    tokens: list[str] = []

    def seal() -> None:
        tokens.append(KeptKey(tmp_path).seal(b"asked"))

    async with anyio.create_task_group() as tasks:
        for _ in range(16):
            tasks.start_soon(anyio.to_thread.run_sync, seal)

    assert {KeptKey(tmp_path).unseal(token) for token in tokens} == {b"asked"}
    assert [path.name for path in tmp_path.iterdir()] == ["questions.key"]
