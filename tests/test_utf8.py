"""Bytes that are UTF-8 or not: told as Python's own decoder tells it."""

from hypothesis import given
from hypothesis import strategies as st

from batchwright import utf8

PIECES = st.text(max_size=4).map(lambda text: text.encode(errors="surrogatepass")) | st.binary(max_size=3)


def is_good(data: bytes) -> bool:
    """Ask the decoder."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(
    st.lists(PIECES | st.sampled_from([b"\n", "é".encode(), "東".encode(), b"\xed\xa0\x80", b"\xc0\x80"]), max_size=8)
)
def test_what_the_decoder_refuses_is_refused_and_nothing_else(pieces: list[bytes]) -> None:
    """Bad bytes that pass would reach the provider; good ones that do not would stop a good file."""
    data = b"".join(pieces)

    assert utf8.is_utf8(data) == is_good(data)


@given(
    st.lists(PIECES | st.sampled_from([b"\n", "é".encode(), "\U0001f600".encode()]), max_size=12),
    st.integers(1, 5),
    st.sampled_from([3, 1 << 20]),
)
def test_it_does_not_matter_where_the_chunks_end(pieces: list[bytes], size: int, waiting: int) -> None:
    """A letter may lie in two of them, and a line in many."""
    data = b"".join(pieces)
    before, utf8.MOST_WAITING_BYTES = utf8.MOST_WAITING_BYTES, waiting
    try:
        found = utf8.are_utf8(data[start : start + size] for start in range(0, len(data), size))
    finally:
        utf8.MOST_WAITING_BYTES = before

    assert found == is_good(data)
