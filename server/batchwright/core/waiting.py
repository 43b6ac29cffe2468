"""How long this program waits if no setting says it. Tests make it wait for less."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long each wait takes.

    Attributes:
        quiet_seconds: Before the user may resend an unconfirmed attempt.
        pause_seconds: After a part's first refusal for now; each further pause is twice as long.
        poll_seconds: Between polls of a job that somebody waits for.
        late_seconds: Until a finished batch that counts answers has to name the file that holds them.
        trial_seconds: For all requests of a trial: many clients give up a call after 60 seconds.
        trial_requests: How many requests of a trial are sent at a time.
        for_disk: Whether the journal waits until each write is on the disk, where it survives a power failure.
    """

    quiet_seconds: float = 60.0
    pause_seconds: float = 5.0
    poll_seconds: float = 0.5
    late_seconds: float = 120.0
    trial_seconds: float = 40.0
    trial_requests: int = 8
    for_disk: bool = True
