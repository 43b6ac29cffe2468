"""The dashboard: one page that shows jobs in a host with MCP Apps, assembled from its parts. It needs no network."""

import base64
import hashlib
from functools import cache
from importlib import resources

from batchwright import __version__

SCRIPTS = ("texts", "host", "elements", "charts", "jobs", "job", "actions", "results", "costs", "main")
"""The page's scripts, in their order: each uses only those before it."""


@cache
def page() -> str:
    """Return the page as one document in which only its own script runs."""
    return _put_together("page", SCRIPTS)


@cache
def outer_page() -> tuple[str, str]:
    """Return the small host for a plain browser, and its content security policy."""
    text = _put_together("outer", ("outer",))
    more = "connect-src 'self'; frame-src 'self'; frame-ancestors 'none'"
    return text, f"{policy(_script(('outer',)), _part('outer.css'))}; {more}"


@cache
def framed_policy() -> str:
    """Return the content security policy of the served page, which gives it no origin even when opened alone."""
    return f"sandbox allow-scripts; {policy(_script(SCRIPTS), _part('page.css'))}; frame-ancestors 'self'"


def policy(script: str, style: str) -> str:
    """Return the content security policy for a page with only this script and this style."""
    own = f"script-src {_hash(script)}; style-src {_hash(style)}"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def _put_together(name: str, scripts: tuple[str, ...]) -> str:
    script, style = _script(scripts), _part(f"{name}.css")
    text = _part(f"{name}.html")
    for place, value in (("policy", policy(script, style)), ("style", style), ("script", script)):
        text = text.replace(f"{{{{{place}}}}}", value)
    return text


def _script(names: tuple[str, ...]) -> str:
    parts = (_part(f"{name}.js") for name in names)
    return "\n".join(['"use strict";', "(() => {", *parts, "})();"]).replace("{{version}}", __version__)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _part(name: str) -> str:
    return resources.files("batchwright.mcp_server.dashboard").joinpath(name).read_text(encoding="utf-8")
