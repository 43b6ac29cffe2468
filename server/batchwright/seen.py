"""Texts that were seen before, in little memory: by their digests, whatever their length. Pure."""

import hashlib

_DIGEST_BYTES = 16
"""Wide enough that two of a billion texts do not meet by chance."""
_NONE = bytearray(_DIGEST_BYTES)
_FIRST_SLOTS = 1 << 10


class Seen:
    """Remembers texts: about 32 bytes each, where a set of them takes four times as much."""

    def __init__(self) -> None:
        self._slots = bytearray(_FIRST_SLOTS * _DIGEST_BYTES)
        self._count = 0

    def __contains__(self, text: str) -> bool:
        place = self._place(_digest(text))
        return self._slots[place : place + _DIGEST_BYTES] != _NONE

    def __setitem__(self, text: str, _nothing: None) -> None:
        """Remember *text*, as a dictionary without values does."""
        digest = _digest(text)
        place = self._place(digest)
        if self._slots[place : place + _DIGEST_BYTES] == _NONE:
            self._slots[place : place + _DIGEST_BYTES] = digest
            self._count += 1
            if 2 * self._count * _DIGEST_BYTES > len(self._slots):
                self._grow()

    def _place(self, digest: bytearray) -> int:
        """Give where the digest is, or else where there is room for it."""
        slots, size = self._slots, len(self._slots)
        place = int.from_bytes(digest[:8], "little") * _DIGEST_BYTES % size
        while (found := slots[place : place + _DIGEST_BYTES]) != digest and found != _NONE:
            place = (place + _DIGEST_BYTES) % size
        return place

    def _grow(self) -> None:
        before = self._slots
        self._slots = bytearray(2 * len(before))
        for start in range(0, len(before), _DIGEST_BYTES):
            digest = before[start : start + _DIGEST_BYTES]
            if digest != _NONE:
                place = self._place(digest)
                self._slots[place : place + _DIGEST_BYTES] = digest


def _digest(text: str) -> bytearray:
    return bytearray(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest())
