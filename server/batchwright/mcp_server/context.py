"""What tools and other handlers find in the server's lifespan."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from batchwright.jobs.adoption import Adoption
    from batchwright.jobs.contents import Contents
    from batchwright.jobs.costs import Comparing
    from batchwright.jobs.decisions import Decisions
    from batchwright.jobs.draft import Drafting
    from batchwright.jobs.explain import Failures
    from batchwright.jobs.overview import Overviews
    from batchwright.jobs.remote_files import RemoteFiles
    from batchwright.jobs.results import Asking
    from batchwright.jobs.retry import Retrying
    from batchwright.jobs.terms import SubmissionTerms
    from batchwright.jobs.trials.send import Trying
    from batchwright.jobs.watch import Watch
    from batchwright.journal.changes import Changes


@dataclass(frozen=True, slots=True)
class UseCases:
    """What a user can do, independent of MCP; each tool calls one of them."""

    adoption: "Adoption"
    changes: "Changes"
    contents: "Contents"
    costs: "Comparing"
    decisions: "Decisions"
    drafting: "Drafting"
    failures: "Failures"
    files: "RemoteFiles"
    overviews: "Overviews"
    results: "Asking"
    retrying: "Retrying"
    terms: "SubmissionTerms"
    trying: "Trying"
    watch: "Watch"


class App(Protocol):
    """What lives as long as the server."""

    async def use_cases(self) -> UseCases:
        """Return the use cases, built at the first call so that the server starts fast."""
        ...

    async def use_cases_if_any(self) -> UseCases | None:
        """Return the use cases; None: there are no jobs yet, and nothing is opened to find out."""
        ...

    def now(self) -> "datetime":
        """Return the time."""
        ...

    def stir(self) -> None:
        """Check soon whether any job has changed."""
        ...
