"""The key under which a question to the user goes out and its answer comes back, in the era without sessions.

It is kept in the data folder, so that a round can be ended by another process than the one that began it.
"""

import logging
import os
from pathlib import Path

from mcp.server.request_state import AESGCMRequestStateCodec, InvalidRequestState, RequestStateSecurity

from batchwright import secret_file
from batchwright.errors import InvalidInput

KEY_BYTES = 32
ANSWER_SECONDS = 3600.0
"""How long a user may take to answer."""
_FILE = "questions.key"

log = logging.getLogger(__name__)


class KeptKey:
    """Seals with a key that is made at the first question, and found by every process with the same data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._codec: AESGCMRequestStateCodec | None = None

    def seal(self, payload: bytes) -> str:
        """Give what goes to the client."""
        return self._made().seal(payload)

    def unseal(self, token: str) -> bytes:
        """Give what had been sealed.

        Raises:
            InvalidRequestState: It was not sealed here, or was changed.
        """
        if (codec := self._found()) is None:
            raise InvalidRequestState("there is no key yet")
        return codec.unseal(token)

    def _found(self) -> AESGCMRequestStateCodec | None:
        if self._codec is None and (key := _read(self._folder / _FILE)):
            self._codec = AESGCMRequestStateCodec([key])
        return self._codec

    def _made(self) -> AESGCMRequestStateCodec:
        if (codec := self._found()) is None:
            codec = self._codec = AESGCMRequestStateCodec([_make(self._folder)])
        return codec


def security(folder: Path) -> RequestStateSecurity:
    """Give how the SDK is to protect what passes through the client."""
    return RequestStateSecurity(codec=KeptKey(folder), ttl=ANSWER_SECONDS)


def _read(path: Path) -> bytes | None:
    try:
        key = secret_file.read(path)
    except InvalidInput:
        return None
    return key if key and len(key) == KEY_BYTES else None


def _make(folder: Path) -> bytes:
    """Make the key; of several processes that do so at once, one wins, and all use its key."""
    path, key = folder / _FILE, os.urandom(KEY_BYTES)
    try:
        if path.exists() and _read(path) is None:
            path.unlink(missing_ok=True)  # a file of another size is no key, and one that others can read is no secret
        return secret_file.make(path, key)
    except OSError as error:
        log.warning(
            "The key for questions cannot be kept: %s. They have to be answered to this process.", error.strerror
        )
    return key
