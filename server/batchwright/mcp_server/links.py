"""Links to resources in the answers of tools: for clients that show them, beside all that the answer says."""

from mcp.types import ResourceLink

from batchwright.mcp_server.addresses import of_job
from batchwright.mcp_server.views.job import DraftView, JobView
from batchwright.mcp_server.views.result import ResultsView
from batchwright.mcp_server.views.view import View

_ENDED = frozenset({"completed", "cancelled", "expired", "failed"})


def links(view: View) -> list[ResourceLink]:
    """Return a link to the results of the job that *view* shows, or to the job; none where it shows no single job."""
    match view:
        case ResultsView(job_id=job_id):
            return [_link(job_id, has_results=True)]
        case DraftView(job_id=job_id, status=status) | JobView(job_id=job_id, status=status):
            return [_link(job_id, has_results=status in _ENDED)]
        case _:
            return []


def _link(job_id: str, *, has_results: bool) -> ResourceLink:
    uri = of_job(job_id, "results" if has_results else "job")
    name = f"Results of {job_id}" if has_results else job_id
    return ResourceLink(uri=uri, name=name, mime_type="application/json")
