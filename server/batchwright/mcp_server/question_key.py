"""The key that seals a question to the user until its answer comes back, in the era without sessions.

It is kept in the data folder, so that another process can finish a round.
"""

from pathlib import Path

from mcp.server.request_state import AESGCMRequestStateCodec, InvalidRequestState, RequestStateSecurity

from batchwright.core.secret_file import find_secret, make_secret

ANSWER_SECONDS = 3600.0
"""How long a user may take to answer."""


class KeptKey:
    """Seals with a key that is created at the first question and shared by all processes with the same data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._codec: AESGCMRequestStateCodec | None = None

    def seal(self, payload: bytes) -> str:
        """Return what goes to the client."""
        codec = self._codec = self._find() or AESGCMRequestStateCodec([make_secret(self._folder)])
        return codec.seal(payload)

    def unseal(self, token: str) -> bytes:
        """Return what was sealed.

        Raises:
            InvalidRequestState: It was not sealed here, or was changed.
        """
        if (codec := self._find()) is None:
            raise InvalidRequestState("there is no key yet")
        return codec.unseal(token)

    def _find(self) -> AESGCMRequestStateCodec | None:
        if self._codec is None and (key := find_secret(self._folder)):
            self._codec = AESGCMRequestStateCodec([key])
        return self._codec


def security(folder: Path) -> RequestStateSecurity:
    """Return how the SDK protects what passes through the client."""
    return RequestStateSecurity(codec=KeptKey(folder), ttl=ANSWER_SECONDS)
