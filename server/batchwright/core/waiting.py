"""How long this program waits if no setting says it. Tests make it wait for less."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long each wait takes.

    Attributes:
        quiet_seconds: Before the user may resend an unconfirmed attempt.
        pause_seconds: After a part's first refusal for now; each further pause is twice as long.
        poll_seconds: Between polls of a job that somebody waits for.
        for_disk: Whether the journal waits until each write is on the disk, where it survives a power failure.
    """

    quiet_seconds: float = 60.0
    pause_seconds: float = 5.0
    poll_seconds: float = 0.5
    for_disk: bool = True
