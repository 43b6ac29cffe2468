"""Addresses: the server's path over HTTP, and `batchwright://...` for jobs and pages of the guide. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote

from batchwright.core.errors import InvalidInput, NotFound

Kind = Literal["jobs", "job", "requests", "results", "table", "guide"]
"""`table`: all results as CSV."""

PATH = "/mcp"
"""Of the server over HTTP."""
JOBS = "batchwright://jobs"
DASHBOARD = "ui://batchwright/dashboard"
"""A page, for hosts that show one beside a tool's answer."""
TEMPLATES: Mapping[Kind, str] = {
    "jobs": "batchwright://jobs{?limit,offset}",
    "job": "batchwright://jobs/{job_id}",
    "requests": "batchwright://jobs/{job_id}/requests",
    "results": "batchwright://jobs/{job_id}/results{?outcome,limit,offset}",
    "table": "batchwright://jobs/{job_id}/results.csv",
    "guide": "batchwright://guide/{topic}",
}

_ADDRESS = re.compile(
    r"batchwright://jobs(?:/(?P<job_id>[^/?#]+)(?:/(?P<what>requests|results\.csv|results))?)?(?:\?(?P<query>[^#]*))?"
)
_GUIDE = re.compile(r"batchwright://guide/(?P<topic>[^/?#]+)")
_KINDS: Mapping[str | None, Kind] = {
    None: "job",
    "requests": "requests",
    "results": "results",
    "results.csv": "table",
}
_OPTIONS: Mapping[Kind, frozenset[str]] = {
    "jobs": frozenset({"limit", "offset"}),
    "results": frozenset({"outcome", "limit", "offset"}),
}


@dataclass(frozen=True, slots=True)
class Address:
    """What a resource's address names: the list of jobs, a job or a page of the guide."""

    kind: Kind
    job_id: str | None = None
    topic: str | None = None
    options: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def plain(self) -> str:
        """The address without options, which updates name."""
        if self.topic is not None:
            return of_guide(self.topic)
        return JOBS if self.job_id is None else of_job(self.job_id, self.kind)

    def number(self, name: str, default: int, most: int) -> int:
        """Return an option that is a number from 0 to *most*.

        Raises:
            InvalidInput: It is not such a number.
        """
        text = self.options.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= most):
            raise InvalidInput(f"{name} is not a number from 0 to {most:,}. Correct it, or leave it out.")
        return int(text)


def parse(uri: str) -> Address:
    """Read an address.

    Raises:
        NotFound: It names no resource of this server.
        InvalidInput: It has an unknown option.
    """
    if page := _GUIDE.fullmatch(uri):
        return Address("guide", topic=unquote(page["topic"]))
    found = _ADDRESS.fullmatch(uri)
    if found is None:
        raise NotFound(f"There is no resource {uri[:200]!r}. {JOBS} lists the jobs, and each job has its own.")
    kind: Kind = _KINDS[found["what"]] if found["job_id"] else "jobs"
    options = dict(parse_qsl(found["query"] or "", keep_blank_values=True))
    known = _OPTIONS.get(kind, frozenset())
    if unknown := sorted(options.keys() - known):
        takes = f"It takes {', '.join(sorted(known))}" if known else "It takes none"
        raise InvalidInput(f"The resource has no option {unknown[0][:80]!r}. {takes}.")
    return Address(kind, unquote(found["job_id"]) if found["job_id"] else None, options=options)


def of_job(job_id: str, kind: Kind = "job") -> str:
    """Return the address of a job, or of its requests or results."""
    return TEMPLATES[kind].partition("{?")[0].replace("{job_id}", job_id)


def of_guide(topic: str) -> str:
    """Return the address of a page of the guide."""
    return TEMPLATES["guide"].replace("{topic}", topic)


def all_of(job_id: str) -> tuple[str, ...]:
    """Return all addresses of a job."""
    return tuple(of_job(job_id, kind) for kind, template in TEMPLATES.items() if "{job_id}" in template)
