"""Texts that were seen before: each is known, and no other."""

from hypothesis import given
from hypothesis import strategies as st

from batchwright.seen import Seen


@given(st.lists(st.text(max_size=3) | st.integers(0, 5_000).map(str), max_size=200))
def test_what_was_seen_is_known_and_nothing_else(texts: list[str]) -> None:
    """It stands for a set: a duplicate must be found, and an id that is new must be taken."""
    seen, known = Seen(), set[str]()
    for text in texts:
        assert (text in seen) == (text in known)
        seen[text] = None
        known.add(text)

    assert all(text in seen for text in known)


def test_many_texts_are_all_kept_when_the_room_grows() -> None:
    """None may be lost on the way: it would be sent twice."""
    seen = Seen()
    for number in range(20_000):
        assert f"row-{number}" not in seen
        seen[f"row-{number}"] = None

    assert all(f"row-{number}" in seen for number in range(20_000))
    assert "row-20000" not in seen
