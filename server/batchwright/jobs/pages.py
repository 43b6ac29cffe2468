"""Jobs, a page at a time: what the use cases give to whoever shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

from batchwright.core.model import Job
from batchwright.jobs.adoption import ForeignBatch


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs, how many there are in all, and what else the provider shows.

    Attributes:
        others: Batches that this journal does not know; None: the provider could not be asked.
    """

    jobs: Sequence[Job]
    total: int
    others: Sequence[ForeignBatch] | None
    frozen: str | None
