"""The key under which a question to the user goes out and its answer comes back, in the era without sessions.

It is kept in the data folder, so that a round can be ended by another process than the one that began it.
"""

from pathlib import Path

from mcp.server.request_state import AESGCMRequestStateCodec, InvalidRequestState, RequestStateSecurity

from batchwright.core.secret_file import find_secret, make_secret

ANSWER_SECONDS = 3600.0
"""How long a user may take to answer."""


class KeptKey:
    """Seals with a key that is made at the first question, and found by every process with the same data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._codec: AESGCMRequestStateCodec | None = None

    def seal(self, payload: bytes) -> str:
        """Return what goes to the client."""
        return self._made().seal(payload)

    def unseal(self, token: str) -> bytes:
        """Return what had been sealed.

        Raises:
            InvalidRequestState: It was not sealed here, or was changed.
        """
        if (codec := self._found()) is None:
            raise InvalidRequestState("there is no key yet")
        return codec.unseal(token)

    def _found(self) -> AESGCMRequestStateCodec | None:
        if self._codec is None and (key := find_secret(self._folder)):
            self._codec = AESGCMRequestStateCodec([key])
        return self._codec

    def _made(self) -> AESGCMRequestStateCodec:
        if (codec := self._found()) is None:
            codec = self._codec = AESGCMRequestStateCodec([make_secret(self._folder)])
        return codec


def security(folder: Path) -> RequestStateSecurity:
    """Give how the SDK is to protect what passes through the client."""
    return RequestStateSecurity(codec=KeptKey(folder), ttl=ANSWER_SECONDS)
