"""What every part of the MCP surface finds in the server's lifespan."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from batchwright.jobs.jobs import Jobs


class App(Protocol):
    """Lives as long as the server."""

    async def jobs(self) -> "Jobs":
        """Give the use cases; made at the first call, so that the server starts fast."""
        ...

    async def known_jobs(self) -> "Jobs | None":
        """Give the use cases; None: there was never a job, and nothing is opened to say so."""
        ...

    def now(self) -> "datetime":
        """Give the time."""
        ...

    def stir(self) -> None:
        """Have it looked at whether any job has changed."""
        ...
