"""`batchwright dashboard`: the dashboard in a plain browser, for people whose assistant cannot show it.

It is served on loopback only. Other users of the machine can reach loopback too, so every call needs a key. The printed
address holds it after the `#`, which browsers send to nobody.
"""

import os
import secrets
import socket
import sys
from html import escape
from pathlib import Path

import anyio
import anyio.to_thread
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from batchwright.app.app import build_server, log_to_stderr
from batchwright.core.children import DESKTOP, Child
from batchwright.core.settings import Settings
from batchwright.mcp_server.dashboard import framed_policy, outer_page, page
from batchwright.mcp_server.streamable_http import Access, Gate, Web, application, listening

ADDRESS = "127.0.0.1"
_BROWSER_SECONDS = 30
_BROWSE = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"
_HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
}


async def pages(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the pages, which hold no data."""
    if scope["method"] not in {"GET", "HEAD"} or scope["path"] not in {"/", "/app"}:
        answer: Response = PlainTextResponse("There is nothing here.", status_code=404, headers=_HEADERS)
    else:
        text, policy = outer_page() if scope["path"] == "/" else (page(), framed_policy())
        answer = HTMLResponse(text, headers={**_HEADERS, "Content-Security-Policy": policy})
    await answer(scope, receive, send)


class DashboardServer(Web):
    """Prints its address once it can answer, and removes the shortcut when it ends."""

    def __init__(self, gate: Gate, *, log_level: str, address: str, shortcut: Path | None) -> None:
        super().__init__(gate, log_level=log_level)
        self._address = address
        self._shortcut = shortcut

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and print the address."""
        await super().startup(sockets)
        print(f"The dashboard is at {self._address}")
        print("Anyone with this address can see your jobs and run drafts: keep it to yourself.")
        print("Ctrl+C stops the dashboard.", flush=True)
        if self._shortcut is not None and not await anyio.to_thread.run_sync(_open_browser, self._shortcut.as_uri()):
            print("No browser could be opened: open the address yourself.", file=sys.stderr)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Remove the shortcut, and stop."""
        # A signal to stop is passed on to the system afterwards, so nothing after this is sure to run.
        if self._shortcut is not None:
            self._shortcut.unlink(missing_ok=True)
        await super().shutdown(sockets)


def run_dashboard(settings: Settings, *, port: int, opens: bool) -> int:
    """Serve the dashboard until it is stopped; with *opens*, open it in a browser.

    Raises:
        InvalidInput: The port is taken.
    """
    key = secrets.token_urlsafe(32)
    taken = listening(ADDRESS, port, has_token=True)
    own_port = taken.getsockname()[1]
    hosts = (f"{ADDRESS}:{own_port}", f"localhost:{own_port}")
    address = f"http://{hosts[0]}/#{key}"
    log_to_stderr(settings)
    allowed = Access(hosts, key, "It is in the address that `batchwright dashboard` printed, after the `#`.")
    gate = application(build_server(settings), allowed, pages)
    shortcut = _shortcut(settings.data_folder(), address) if opens else None
    server = DashboardServer(gate, log_level=settings.log_level, address=address, shortcut=shortcut)
    anyio.run(server.serve, [taken])
    return 0


def _open_browser(uri: str) -> bool:
    """Open the user's browser without passing it any key, and return whether that worked."""
    status, _ = Child(("-c", _BROWSE, uri), DESKTOP).run(wait_seconds=_BROWSER_SECONDS)
    return status == 0


def _shortcut(folder: Path, address: str) -> Path:
    """Write a private page that leads to *address*: all users can see a browser's command line."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"dashboard-{secrets.token_hex(8)}.html"
    text = f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={escape(address)}">'
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return path
