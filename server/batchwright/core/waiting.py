"""How long this program waits if no setting says so. A test that runs it in its own process may shorten each wait."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is waited for, and how long.

    Attributes:
        quiet_seconds: How long an unconfirmed attempt is left alone before the user may have it sent again.
        pause_seconds: How long a part rests after its first refusal for now; each further rest takes twice as long.
        poll_seconds: How soon a job is polled again while somebody waits for it.
        late_seconds: How long a finished batch that counts answers has to name the file that holds them.
        trial_seconds: How long all requests of a trial may take: many clients give a call up after 60 seconds.
        trial_requests: How many requests of a trial are waited for at a time.
        for_disk: Whether each write of the journal waits until it is on the disk, where a power failure leaves it.
    """

    quiet_seconds: float = 60.0
    pause_seconds: float = 5.0
    poll_seconds: float = 0.5
    late_seconds: float = 120.0
    trial_seconds: float = 40.0
    trial_requests: int = 8
    for_disk: bool = True
