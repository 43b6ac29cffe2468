"""What can go wrong between a client and OpenAI, switched on by name for an operation and a number of times.

Knows how a broken answer looks on the wire, not what the API does.

A name is a kind of broken answer. Alone, or with `_before`, nothing was done for the request; with `_after_creation`
all of it was: `lost_before`, `lost_after_creation`, `429`, `500_after_creation`, `html_502_after_creation`.
"""

import gzip
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from aiohttp import web

OPERATIONS = frozenset(
    {f"files.{name}" for name in ("create", "list", "retrieve", "content", "delete")}
    | {f"batches.{name}" for name in ("create", "list", "retrieve", "cancel")}
    | {f"{name}.create" for name in ("chat.completions", "responses", "embeddings")}
)
ANY_GET = "GET"

_SERVER_ERROR = "The server had an error while processing your request. Sorry about that!"
_QUOTA = "You exceeded your current quota, please check your plan and billing details."
_STATUSES: dict[str, tuple[str, str, str | None]] = {
    "402": ("Account balance is too low.", "billing_error", None),
    "404": ("Not Found", "invalid_request_error", None),
    "408": ("Request timed out.", "invalid_request_error", None),
    "409": ("The resource is locked by another request.", "invalid_request_error", None),
    "425": ("Too early.", "invalid_request_error", None),
    "429": ("Rate limit reached for requests.", "requests", "rate_limit_exceeded"),
    "500": (_SERVER_ERROR, "server_error", None),
    "503": ("The engine is currently overloaded, please try again later.", "server_error", None),
}

_DETAILS: dict[str, object] = {
    "422_detail": {
        "detail": [{"type": "missing", "loc": ["body", "completion_window"], "msg": "Field required", "input": {}}]
    },
    "400_detail": {
        "error": {
            "detail": {"errors": [{"loc": ["body", "endpoint"], "msg": "Invalid endpoint: /v1/chat/completions"}]}
        }
    },
}
"""Refusals as FastAPI, and servers made with it, write them."""
_KINDS = (
    *_DETAILS,
    "429_retry_after",
    "insufficient_quota",
    "html_502",
    "redirect_307",
    "no_id",
    "lost",
    "cut_answer",
    "held",
)
_CUT = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{"id": "batch_0'
ANSWERS = frozenset(f"{kind}{when}" for kind in (*_STATUSES, *_KINDS) for when in ("", "_before", "_after_creation"))
"""`held` waits for the server's `release()` and then answers well; `no_id` is a 200 that names nothing; `lost` closes
the connection before an answer, `cut_answer` within it."""


class Refusal(Exception):
    """The API says no, in OpenAI's shape."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.response = refused(status, message, param=param, code=code)


@dataclass
class Faults:
    """Faults that wait for the next requests they fit.

    Attributes:
        waiting: Operation and name, the next first; a test may assert that none is left.
        retry_after_seconds: What `429_retry_after` says.
    """

    waiting: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    retry_after_seconds: int = 120

    def add(self, operation: str, name: str, *, times: int = 1) -> None:
        """Break the next answers of an operation, or of any GET.

        Several waiting faults of one kind follow each other. `list_lag` goes together with any of them.

        Raises:
            ValueError: This fault could never happen.
        """
        is_operation = operation in OPERATIONS or operation == ANY_GET
        if not is_operation or name not in ANSWERS | _ONLY.get(operation, frozenset()):
            raise ValueError(f"No fault {name!r} of {operation!r}.")
        self.waiting += [(operation, name)] * times

    def take(self, operation: str, names: Collection[str], *, method: str = "") -> str | None:
        """Use up the first waiting fault that is one of *names*."""
        for number, (where, name) in enumerate(self.waiting):
            if where in {operation, method} and name in names:
                del self.waiting[number]
                return name
        return None


def kind_of(name: str) -> str:
    """Give the kind of broken answer a name stands for."""
    return name.removesuffix("_after_creation").removesuffix("_before")


def is_done_first(name: str) -> bool:
    """Whether the request takes effect before its answer breaks."""
    return name.endswith("_after_creation")


def refused(
    status: int, message: str, *, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> web.Response:
    """Give an error in OpenAI's shape."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return web.json_response({"error": error}, status=status)


def broken(kind: str, request: web.Request, retry_after_seconds: int) -> web.Response:  # noqa: PLR0911  # a kind each
    """Give the broken answer of a kind."""
    if kind in _DETAILS:
        return web.json_response(_DETAILS[kind], status=int(kind[:3]))
    match kind:
        case "lost" | "cut_answer":
            return lost(request, _CUT if kind == "cut_answer" else b"")
        case "html_502":
            page = "<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
            return web.Response(status=502, text=page, content_type="text/html")
        case "redirect_307":
            # Whoever follows it sends the request a second time.
            return web.Response(status=307, headers={"Location": f"{request.path}?redirected=1"})
        case "no_id":
            return web.json_response({"object": "batch"})
        case "insufficient_quota":
            return refused(429, _QUOTA, kind="insufficient_quota", code="insufficient_quota")
        case _:
            status = kind.removesuffix("_retry_after")
            message, error_kind, code = _STATUSES[status]
            response = refused(int(status), message, kind=error_kind, code=code)
            if status != kind:
                response.headers["Retry-After"] = str(retry_after_seconds)
            return response


def lost(request: web.Request, raw: bytes = b"") -> web.Response:
    """Close the connection after *raw*; the response given is never sent."""
    if request.transport:
        request.transport.write(raw)
        request.transport.close()
    return web.Response()


def begun(body: bytes) -> bytes:
    """Give the head of a raw HTTP answer, and the first half of *body*."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n" + _short_body(body)


def damaged(name: str, body: bytes) -> bytes:
    """Give the raw HTTP answer of a download that loses a part of *body*."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n" + DAMAGES[name](body)


def _short_body(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % len(body) + body[: len(body) // 2]


def _cut_chunk(body: bytes) -> bytes:
    return b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body[: len(body) // 2]


def _truncated(body: bytes) -> bytes:
    # Whole lines, so that neither HTTP nor a parser sees that some are missing.
    lines = body.splitlines(keepends=True)
    return b"Connection: close\r\n\r\n" + b"".join(lines[: len(lines) // 2])


def _cut_line(body: bytes) -> bytes:
    cut = body[:-10]
    return b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(cut) + cut


def _cut_gzip(body: bytes) -> bytes:
    packed = gzip.compress(body)
    return b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + packed[: len(packed) * 3 // 4]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "short_body": _short_body,
    "cut_chunk": _cut_chunk,
    "truncated": _truncated,
    "cut_line": _cut_line,
    "cut_gzip": _cut_gzip,
}
_ONLY: dict[str, frozenset[str]] = {
    "batches.create": frozenset({"late_creation", "list_lag"}),
    "batches.retrieve": frozenset({"unknown_status"}),
    "files.content": frozenset({*DAMAGES, "stalled"}),
}
