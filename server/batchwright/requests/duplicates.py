"""Rows with identical requests, found in one pass by the requests' bodies alone."""

import hashlib
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from batchwright.core.jsonl import encoded_body

if TYPE_CHECKING:
    from batchwright.requests.measure import Line

_DIGEST_BYTES = 16
"""Wide enough that no two of a billion requests collide by chance."""


def digest(line: bytes) -> bytes:
    """Return a short hash of a request line's body, whatever its custom_id."""
    return hashlib.blake2b(encoded_body(line), digest_size=_DIGEST_BYTES).digest()


class Repeats:
    """Finds rows that repeat an earlier row's request, and lists them for `share_ids`.

    Attributes:
        count: Number of such rows.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Write the list to *file*."""
        self._file = file
        self._first: dict[bytes, str] = {}
        self._tokens = self._tokens_saved = 0
        self._rows = 0
        self.count = 0

    def has(self, custom_id: str, line: "Line") -> bool:
        """Whether an earlier row has the same request as this next row."""
        self._rows += 1
        self._tokens += line.tokens.input_tokens
        first = self._first.setdefault(digest(line.data), custom_id)
        if first == custom_id:
            return False
        self.count += 1
        self._tokens_saved += line.tokens.input_tokens
        self._file.write(msgspec.json.encode({"row": self._rows, "id": first}) + b"\n")
        return True

    @property
    def sentence(self) -> str:
        """The savings, in words for the user."""
        if not self.count:
            return "No row repeats another row's request: deduplicate saves nothing here."
        share = 100 * self._tokens_saved // max(1, self._tokens)
        return (
            f"{self.count:,} of {self._rows:,} rows repeat another row's request: they are sent once, and each row "
            f"gets its answer. Saves about {share}% of the input tokens."
        )
