"""How long this program waits where no setting says it. Whoever runs it within a test may have it wait for less."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is waited for, and how long.

    Attributes:
        quiet_seconds: How long an unconfirmed attempt is left alone before the user may have it sent again.
        pause_seconds: How long a part rests after its first refusal for now; each further rest takes twice as long.
        poll_seconds: How soon a job is looked at again while somebody waits for it.
        for_disk: Whether each write of the journal waits until it is on the disk, where a power failure leaves it.
    """

    quiet_seconds: float = 60.0
    pause_seconds: float = 5.0
    poll_seconds: float = 0.5
    for_disk: bool = True
