"""OpenAI's Files and Batch API on loopback, and the endpoints that answer single requests.

A batch moves on when a test says so, or at each look at it.

Knows what the API does; what can go wrong on the way to it is in `openai_faults`. As a process of its own it is driven
by `POST /control/NAME` beside `/v1`, and outlives its clients.
"""

import argparse
import asyncio
import json
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Literal, cast, get_args

from aiohttp import BodyPartReader, web

from tests.support.batch_judge import Object, batch_error, input_count, judge_file, numbered, read
from tests.support.loopback import on_loopback
from tests.support.openai_faults import (
    ANSWERS,
    DAMAGES,
    Faults,
    Refusal,
    begun,
    broken,
    damaged,
    is_done_first,
    kind_of,
    lost,
)
from tests.support.openai_requests import refuse

Answer = Callable[[str, Object], str | Object | tuple[int, Object]]
"""A request's custom_id and body to the model's text, a whole answer, or a status and an error body."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Outcome = Literal["completed", "failed", "expired", "cancelled"]
Difference = Literal[
    "capital_statuses",
    "null_counts",
    "errors_as_string",
    "empty_output_file_id",
    "empty_error_file",
    "string_bodies",
    "bom_and_blank_lines",
    "no_deadline",
]
"""How another service's answers differ from OpenAI's."""

WAIT_SECONDS = 60
LIFE_SECONDS = 900
"""Of a server process that nobody ends."""

_DAY_SECONDS = 86_400
_ENDPOINTS = frozenset(
    {"/v1/responses", "/v1/chat/completions", "/v1/embeddings", "/v1/completions", "/v1/moderations"}
    | {"/v1/images/generations", "/v1/images/edits", "/v1/videos"}
)
_SINGLE = {
    "chat.completions": "/v1/chat/completions",
    "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
}
_TIMES = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
_NEVER_RAN = {
    "expired": {
        "code": "batch_expired",
        "message": "This request could not be executed before the completion window expired.",
    },
    "cancelled": {
        "code": "batch_cancelled",
        "message": "This request was not executed because the batch was cancelled.",
    },
}


def echo(_custom_id: str, body: Object) -> str:
    """Answer with the user's text."""
    return f"answer to {body['messages'][-1]['content'] if 'messages' in body else body.get('input')}"


@dataclass
class StoredFile:
    """A file as the API shows it, and where its content is."""

    id: str
    filename: str
    purpose: str
    path: Path
    created_at: int
    expires_at: int

    def shown(self) -> Object:
        """Give the file's JSON object."""
        fields = {name: value for name, value in vars(self).items() if name != "path"}
        return fields | {"object": "file", "bytes": self.path.stat().st_size, "status": "processed"}


@dataclass
class OpenAIServer:
    """A running server: its state, and what a test may set, count and do.

    Attributes:
        key: The one API key that is accepted.
        automatic: Whether each GET of a batch moves it one status on.
        seed: Of the order of output lines.
        models: The known ones; None means all.
        shutdown_dates: What the list of models says of each that it has.
        enqueued_limit: Input tokens, or for embeddings requests, that one model's live batches may hold.
        names_output: Whether a batch says in which file its answers are.
        hidden: Batches that the list does not show yet.
        late: Fields of batches that are not made yet.
        posts: Every POST /batches that arrived, also the refused and the lost.
        requests: Every request that arrived, as `GET /v1/batches/batch_1`.
        asked: The bodies of the single requests that were answered, in order.
        cut_off: Requests whose client was gone before all of it was read.
        holding: Set when a request is held.
    """

    folder: Path
    key: str = "sk-test-0123456789abcdef"
    automatic: bool = False
    answer: Answer = echo
    seed: int = 0
    url: str = ""
    clock: Callable[[], float] = time.time
    models: frozenset[str] | None = None
    enqueued_limit: int | None = None
    shutdown_dates: dict[str, str | None] = field(default_factory=dict[str, str | None])
    names_output: bool = True
    differences: set[Difference] = field(default_factory=set[Difference])
    faults: Faults = field(default_factory=Faults)
    files: dict[str, StoredFile] = field(default_factory=dict[str, StoredFile])
    batches: dict[str, Object] = field(default_factory=dict[str, Object])
    hidden: set[str] = field(default_factory=set[str])
    batches_created: int = 0
    posts: int = 0
    uploads: int = 0
    deletes: int = 0
    cut_off: int = 0
    bytes_uploaded: int = 0
    bytes_downloaded: int = 0
    requests: Counter[str] = field(default_factory=Counter[str])
    asked: list[Object] = field(default_factory=list[Object])
    holding: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    late: list[Object] = field(default_factory=list[Object])
    _inputs: dict[str, Path] = field(default_factory=dict[str, Path])
    _enqueued: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def step(self, batch_id: str) -> Object:
        """Move a batch one status on; a final one stays."""
        batch = self.batches[batch_id]
        match batch["status"]:
            case "validating":
                self._validate(batch)
            case "in_progress":
                self._enter(batch, "finalizing")
            case "finalizing":
                self._end(batch, "completed", None)
            case "cancelling":
                self._end(batch, "cancelled", None)
            case _:
                pass
        return batch

    def finish(self, batch_id: str, outcome: Outcome = "completed", answered: int | None = None) -> Object:
        """End a batch, unless validation fails it.

        Its first *answered* requests were run: by default all when it completes, and none otherwise. A batch that
        passed validation and is told to fail has no errors.
        """
        batch = self.batches[batch_id]
        if batch["status"] == "validating":
            self._validate(batch)
        if not _is_final(batch):
            self._end(batch, outcome, answered)
        return batch

    def appear(self) -> None:
        """Let the late creations happen, and the list show everything."""
        late, self.late = self.late, []
        for fields in late:
            with suppress(Refusal):  # its input file may be gone by now
                self.create_batch(fields)
        self.hidden.clear()

    def release(self) -> None:
        """Let held requests go on."""
        self.released.set()

    def live_batches_of(self, file_id: str) -> list[str]:
        """Give the ids of the batches of an input file that have not ended."""
        return [b["id"] for b in self.batches.values() if b["input_file_id"] == file_id and not _is_final(b)]

    def new_path(self) -> Path:
        """Give a path for a file's content."""
        return self.folder / f"content-{next(self._numbers)}"

    def add_file(self, path: Path, filename: str, *, purpose: str, life_seconds: int | None = None) -> StoredFile:
        """Take a file in."""
        now = int(self.clock())
        expires_at = now + (life_seconds or 30 * _DAY_SECONDS)
        stored = StoredFile(f"file-{next(self._numbers):024d}", filename, purpose, path, now, expires_at)
        self.files[stored.id] = stored
        return stored

    def create_batch(self, fields: Object) -> Object:
        """Make a batch of a POST's checked fields."""
        source = self.files.get(fields["input_file_id"])
        if source is None:
            raise _unknown_file(fields["input_file_id"])
        self.batches_created += 1
        now = int(self.clock())
        batch: Object = dict.fromkeys([f"{status}_at" for status in _TIMES])
        batch |= dict.fromkeys(["errors", "output_file_id", "error_file_id", "model", "usage", "metadata"]) | fields
        batch |= {"id": f"batch_{self.batches_created:032x}", "object": "batch", "status": "validating"}
        batch |= {"created_at": now, "expires_at": now + _DAY_SECONDS}
        batch["request_counts"] = {"total": 0, "completed": 0, "failed": 0}
        self.batches[batch["id"]] = batch
        self._inputs[batch["id"]] = source.path
        return batch

    def cancel(self, batch: Object) -> None:
        """Start to cancel a batch."""
        if _is_final(batch):
            raise Refusal(409, f"Cannot cancel a batch with status '{batch['status']}'.")
        if batch["status"] != "cancelling":
            self._enter(batch, "cancelling")

    def shown(self, batch: Object) -> Object:
        """Give a batch's JSON object, as the service that is played writes it."""
        shown = dict(batch)
        if "capital_statuses" in self.differences:
            shown["status"] = shown["status"].upper()
        if "null_counts" in self.differences:
            shown["request_counts"] = None
        if "errors_as_string" in self.differences and batch["errors"]:
            shown["errors"] = "; ".join(error["message"] for error in batch["errors"]["data"])
        if "empty_output_file_id" in self.differences:
            shown["output_file_id"] = batch["output_file_id"] or ""
        if not self.names_output:
            shown["output_file_id"] = None
        if "no_deadline" in self.differences:
            shown["expires_at"] = None
        return shown

    def _enter(self, batch: Object, status: str) -> None:
        batch["status"] = status
        batch[f"{status}_at"] = int(self.clock())

    def _validate(self, batch: Object) -> None:
        path = self._inputs[batch["id"]]
        if batch["input_file_id"] not in self.files:
            # OpenAI documents no code for this.
            errors = [batch_error("invalid_request", f"No such File object: {batch['input_file_id']}")]
        else:
            errors = judge_file(path, batch["endpoint"], self.models)
        lines = [] if errors else _lines_of(path)
        errors = errors or self._over_limit(batch, lines)
        if errors:
            batch["errors"] = {"object": "list", "data": errors}
            self._enter(batch, "failed")
        else:
            self._enter(batch, "in_progress")
            batch["request_counts"]["total"] = len(lines)

    def _over_limit(self, batch: Object, lines: list[bytes]) -> list[Object]:
        is_embedding = batch["endpoint"] == "/v1/embeddings"
        model = read(lines[0])["body"]["model"]
        size = sum(input_count(read(line)["body"]) if is_embedding else _tokens(line) for line in lines)
        self._enqueued[batch["id"]] = model, size
        loads = [self._enqueued.get(other["id"]) for other in self.batches.values() if not _is_final(other)]
        enqueued = sum(load[1] for load in loads if load and load[0] == model)
        if self.enqueued_limit is None or enqueued <= self.enqueued_limit:
            return []
        one, many = ("request", "requests") if is_embedding else ("token", "tokens")
        message = (
            f"Enqueued {one} limit reached for {model} in organization org-X. Limit: {self.enqueued_limit:,} enqueued "
            f"{many}. Please try again once some in_progress batches have been completed."
        )
        return [batch_error("token_limit_exceeded", message)]

    def _end(self, batch: Object, outcome: Outcome, answered: int | None) -> None:
        requests = [read(line) for line in _lines_of(self._inputs[batch["id"]])]
        if answered is None:
            answered = len(requests) if outcome == "completed" else 0
        good: list[Object] = []
        bad: list[Object] = []
        for number, request in enumerate(requests[:answered]):
            status, body = self.result(batch["endpoint"], request["custom_id"], request["body"])
            response = {"status_code": status, "request_id": f"req_{number}", "body": body}
            line = {"custom_id": request["custom_id"], "response": response, "error": None}
            (good if 200 <= status < 300 else bad).append(line)
        # Requests that never ran are counted neither as completed nor as failed.
        batch["request_counts"] = {"total": len(requests), "completed": len(good), "failed": len(bad)}
        batch["model"] = requests[0]["body"]["model"]
        batch["usage"] = _usage([line["response"]["body"] for line in good])
        if outcome in _NEVER_RAN:
            never_ran = {"response": None, "error": _NEVER_RAN[outcome]}
            bad += [{"custom_id": request["custom_id"]} | never_ran for request in requests[answered:]]
        batch["output_file_id"] = self._write(batch["id"], "output", good)
        batch["error_file_id"] = self._write(batch["id"], "error", bad)
        self._enter(batch, outcome)

    def result(self, endpoint: str, custom_id: str, body: Object) -> tuple[int, Any]:
        """Give the status and the body of the answer to a request, whether it came in a batch or alone."""
        match self.answer(custom_id, dict(body)):
            case str(text):
                return 200, answer_body(endpoint, body, text)
            case (int(status), error):
                return status, error
            case answer:
                return 200, answer

    def _write(self, batch_id: str, kind: str, results: list[Object]) -> str | None:
        if not results and not (kind == "error" and "empty_error_file" in self.differences):
            return None
        lines: list[bytes] = []
        for number, result in enumerate(results):
            line: Object = {"id": f"batch_req_{number}"} | result
            if line["response"] and "string_bodies" in self.differences:
                line["response"] |= {"body": json.dumps(line["response"]["body"])}
            lines.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        Random(f"{self.seed} {batch_id} {kind}").shuffle(lines)
        if "bom_and_blank_lines" in self.differences:
            lines = [b"\xef\xbb\xbf", *(b"\n" + line for line in lines), b"\n"]
        path = self.new_path()
        path.write_bytes(b"".join(lines))
        return self.add_file(path, f"{batch_id}_{kind}.jsonl", purpose="batch_output").id


class _API:
    """The server over HTTP."""

    def __init__(self, server: OpenAIServer) -> None:
        self.server = server

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1 << 30, middlewares=[self._answered])
        for method, path, name, handler in (
            ("POST", "/v1/files", "files.create", self.create_file),
            ("GET", "/v1/files", "files.list", self.list_files),
            ("GET", "/v1/files/{id}", "files.retrieve", self.retrieve_file),
            ("GET", "/v1/files/{id}/content", "files.content", self.content),
            ("DELETE", "/v1/files/{id}", "files.delete", self.delete_file),
            ("POST", "/v1/batches", "batches.create", self.create_batch),
            ("GET", "/v1/batches", "batches.list", self.list_batches),
            ("GET", "/v1/batches/{id}", "batches.retrieve", self.retrieve_batch),
            ("POST", "/v1/batches/{id}/cancel", "batches.cancel", self.cancel_batch),
            ("GET", "/v1/models/{id}", "models.retrieve", self.retrieve_model),
            *(("POST", path, f"{name}.create", self.answer_now) for name, path in _SINGLE.items()),
            ("POST", "/control/{name}", None, self.control),
        ):
            app.router.add_route(method, path, handler, name=name)
        return app

    @web.middleware
    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/control/"):
            return await handler(request)
        self.server.requests[f"{request.method} {request.path}"] += 1
        self.server.posts += (request.method, request.path) == ("POST", "/v1/batches")
        try:
            _authorize(request.headers.get("Authorization", ""), self.server.key)
            return await self._through_faults(request, handler)
        except Refusal as refusal:
            return refusal.response
        except ConnectionError:
            self.server.cut_off += 1
            return web.Response()
        except web.HTTPException as error:
            return Refusal(error.status, f"Invalid URL ({request.method} {request.path})").response

    async def _through_faults(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        faults = self.server.faults
        operation = request.match_info.route.name or ""
        name = faults.take(operation, ANSWERS, method=request.method)
        if name is None:
            return await handler(request)
        answer = await handler(request) if is_done_first(name) else None
        if kind_of(name) != "held":
            async for _ in request.content.iter_any():
                pass  # a client that is still sending would miss the answer
            return broken(kind_of(name), request, faults.retry_after_seconds)
        if not request.content_type.startswith("multipart/"):
            await request.read()  # all of it is here, so it takes effect also when its client is gone
        await self._released()
        return answer or await handler(request)

    async def _released(self) -> None:
        self.server.released.clear()
        self.server.holding.set()
        async with asyncio.timeout(WAIT_SECONDS):
            await self.server.released.wait()
        self.server.holding.clear()

    async def create_file(self, request: web.Request) -> web.Response:
        if not request.content_type.startswith("multipart/"):
            raise Refusal(400, "Expected a multipart form.")
        server, fields, filename = self.server, dict[str, str](), None
        path = server.new_path()
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise Refusal(400, "Unexpected nested multipart form.")
            if part.name == "file":
                filename = part.filename or ""
                size = await _save(part, path)
                server.bytes_uploaded += size
            else:
                fields[part.name or ""] = await part.text()
        life_seconds = _lifetime(fields.get("expires_after[seconds]"), "expires_after")
        if filename is None:
            raise _missing("file")
        if fields.get("purpose") != "batch":
            raise Refusal(400, f"{fields.get('purpose')!r} is not one of ['batch'] - 'purpose'", param="purpose")
        if not filename.endswith(".jsonl"):
            raise Refusal(400, "Invalid file format for Batch API. Must be .jsonl")
        _check_first_line(path)
        server.uploads += 1
        return web.json_response(server.add_file(path, filename, purpose="batch", life_seconds=life_seconds).shown())

    async def list_files(self, request: web.Request) -> web.Response:
        purpose = request.query.get("purpose")
        files = [file.shown() for file in self.server.files.values() if purpose in {None, file.purpose}]
        if request.query.get("order", "desc") == "desc":
            files.reverse()
        return _page(request, files, default=10_000, most=10_000)

    async def retrieve_file(self, request: web.Request) -> web.Response:
        return web.json_response(self._file(request).shown())

    async def content(self, request: web.Request) -> web.StreamResponse:
        path = self._file(request).path
        if damage := self.server.faults.take("files.content", DAMAGES):
            return lost(request, damaged(damage, path.read_bytes()))
        if self.server.faults.take("files.content", {"stalled"}) and request.transport:
            request.transport.write(begun(path.read_bytes()))
            await self._released()
            return lost(request)
        self.server.bytes_downloaded += path.stat().st_size
        return web.FileResponse(path)

    async def delete_file(self, request: web.Request) -> web.Response:
        # The content stays for the batches that were validated with it.
        file = self.server.files.pop(self._file(request).id)
        self.server.deletes += 1
        return web.json_response({"id": file.id, "object": "file", "deleted": True})

    async def create_batch(self, request: web.Request) -> web.Response:
        fields = await _batch_fields(request)
        server = self.server
        if server.faults.take("batches.create", {"late_creation"}):
            server.late.append(fields)
            return lost(request)
        batch = server.create_batch(fields)
        if server.faults.take("batches.create", {"list_lag"}):
            server.hidden.add(batch["id"])
        return web.json_response(server.shown(batch))

    async def list_batches(self, request: web.Request) -> web.Response:
        newest_first = reversed(self.server.batches.values())
        batches = [self.server.shown(batch) for batch in newest_first if batch["id"] not in self.server.hidden]
        return _page(request, batches, default=20, most=100)

    async def retrieve_batch(self, request: web.Request) -> web.Response:
        batch = self._batch(request)
        if self.server.faults.take("batches.retrieve", {"unknown_status"}):
            return web.json_response(self.server.shown(batch) | {"status": "preparing_output"})
        if self.server.automatic:
            self.server.step(batch["id"])
        return web.json_response(self.server.shown(batch))

    async def cancel_batch(self, request: web.Request) -> web.Response:
        batch = self._batch(request)
        self.server.cancel(batch)
        return web.json_response(self.server.shown(batch))

    async def retrieve_model(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        if name not in self.server.shutdown_dates:
            raise Refusal(404, f"The model '{name}' does not exist or you do not have access to it.")
        model: Object = {"id": name, "object": "model", "created": 1_750_000_000, "owned_by": "openai"}
        return web.json_response(model | {"shutdown_date": self.server.shutdown_dates[name]})

    async def answer_now(self, request: web.Request) -> web.Response:
        """Answer a single request; it has no custom_id."""
        body = await _object_of(request)
        refuse(request.path, body, self.server.models)
        self.server.asked.append(body)
        status, answer = self.server.result(request.path, "", body)
        return web.json_response(answer, status=status)

    async def control(self, request: web.Request) -> web.Response:
        """Do what a test in another process asks for, and give everything that can be counted."""
        server = self.server
        arguments: Object = await request.json() if request.can_read_body else {}
        match request.match_info["name"]:
            case "step" | "finish" | "appear" | "release" as name:
                getattr(server, name)(**arguments)
            case "fault":
                server.faults.add(**arguments)
            case "set":
                vars(server).update(arguments)
            case "look":
                pass
            case _:
                raise web.HTTPNotFound
        names = (
            "batches_created",
            "posts",
            "uploads",
            "deletes",
            "cut_off",
            "bytes_uploaded",
            "bytes_downloaded",
            "requests",
        )
        seen: Object = {name: getattr(server, name) for name in names}
        seen |= {"batches": server.batches, "files": list(server.files), "faults": server.faults.waiting}
        seen |= {"hidden": sorted(server.hidden), "late": len(server.late)}
        return web.json_response(seen | {"is_holding": server.holding.is_set()})

    def _file(self, request: web.Request) -> StoredFile:
        file = self.server.files.get(request.match_info["id"])
        if file is None:
            raise _unknown_file(request.match_info["id"])
        return file

    def _batch(self, request: web.Request) -> Object:
        batch = self.server.batches.get(request.match_info["id"])
        if batch is None:
            raise Refusal(404, f"No batch found with id '{request.match_info['id']}'.")
        return batch


@asynccontextmanager
async def running_openai(
    *,
    key: str = "sk-test-0123456789abcdef",
    automatic: bool = False,
    answer: Answer = echo,
    state: Path | None = None,
    made: type[OpenAIServer] = OpenAIServer,
) -> AsyncGenerator[OpenAIServer]:
    """Serve on a free port until the block ends; file contents are kept in the folder *state*."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = state or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        server = made(folder, key=key, automatic=automatic, answer=answer)
        async with on_loopback(_API(server).application()) as url:
            server.url = f"{url}/v1"
            try:
                yield server
            finally:
                server.release()


def answer_body(endpoint: str, body: Object, text: str) -> Object:
    """Give an endpoint's normal answer that says *text*."""
    used, written = _tokens(json.dumps(body).encode()), _tokens(text.encode())
    total = used + written
    answer: Object = {"model": body["model"]}
    if endpoint == "/v1/embeddings":
        given: Any = body["input"]
        texts = cast("list[Any]", given) if isinstance(given, list) else [given]
        vectors = [[0.5, float(len(str(item)))] for item in texts]
        data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
        return answer | {"object": "list", "data": data, "usage": {"prompt_tokens": used, "total_tokens": used}}
    if endpoint == "/v1/responses":
        content = {"type": "output_text", "text": text, "annotations": list[Any]()}
        message = {"type": "message", "role": "assistant", "status": "completed", "content": [content]}
        usage = {"input_tokens": used, "output_tokens": written, "total_tokens": total}
        answer |= {"id": "resp_1", "object": "response", "status": "completed", "output": [message]}
        return answer | {"usage": usage}
    usage = {"prompt_tokens": used, "completion_tokens": written, "total_tokens": total}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return answer | {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": usage}


def _usage(bodies: list[Object]) -> Object:
    usages: list[dict[str, int]] = [body.get("usage") or {} for body in bodies]
    used = sum(usage.get("input_tokens", usage.get("prompt_tokens", 0)) for usage in usages)
    written = sum(usage.get("output_tokens", usage.get("completion_tokens", 0)) for usage in usages)
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {"input_tokens": used, "output_tokens": written, "total_tokens": used + written} | details


def _tokens(text: bytes) -> int:
    return max(1, len(text) // 4)


def _is_final(batch: Object) -> bool:
    return batch["status"] in get_args(Outcome)


def _lines_of(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return [line for _, line in numbered(file)]


async def _save(part: BodyPartReader, path: Path) -> int:
    size = 0
    with path.open("wb") as file:
        while chunk := await part.read_chunk(1 << 16):
            size += file.write(chunk)
    return size


def _check_first_line(path: Path) -> None:
    with path.open("rb") as file:
        first = next((line for _, line in numbered(file)), b"{}")
    try:
        is_object = isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        hint = first[:40].decode(errors="replace")
        message = "Expected file to have JSONL format, where every line is a JSON dictionary."
        raise Refusal(400, f'{message} Line 1 is not a dictionary (HINT: line starts with: "{hint}...").')


async def _object_of(request: web.Request) -> Object:
    try:
        given = await request.json()
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise Refusal(400, "We could not parse the JSON body of your request.")
    return cast("Object", given)


async def _batch_fields(request: web.Request) -> Object:
    fields = await _object_of(request)
    names = ("input_file_id", "endpoint", "completion_window")
    for name in names:
        if not isinstance(fields.get(name), str):
            raise _missing(name)
    for name, known in (("endpoint", _ENDPOINTS), ("completion_window", {"24h"})):
        if fields[name] not in known:
            raise Refusal(400, f"Invalid value: '{fields[name]}'.", param=name, code="invalid_value")
    metadata: Any = fields.get("metadata")
    if metadata is not None and not _is_metadata(metadata):
        message = "Invalid 'metadata': expected at most 16 pairs of strings of at most 64 and 512 characters."
        raise Refusal(400, message, param="metadata")
    if isinstance(output_life := fields.get("output_expires_after"), dict):
        _lifetime(cast("Object", output_life).get("seconds"), "output_expires_after")
    return {name: fields[name] for name in names} | {"metadata": metadata}


def _is_metadata(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    pairs = cast("dict[str, Any]", value)
    return len(pairs) <= 16 and all(
        len(name) <= 64 and isinstance(text, str) and len(text) <= 512 for name, text in pairs.items()
    )


def _lifetime(seconds: Any, param: str) -> int | None:
    if seconds is None:
        return None
    if not str(seconds).isdecimal() or not 3_600 <= int(seconds) <= 30 * _DAY_SECONDS:
        raise Refusal(400, f"Invalid '{param}.seconds'.", param=param)
    return int(seconds)


def _page(request: web.Request, items: list[Object], *, default: int, most: int) -> web.Response:
    given = request.query.get("limit", str(default))
    if not given.isdecimal() or not 1 <= int(given) <= most:
        raise Refusal(400, f"Invalid 'limit': expected 1 to {most}.", param="limit")
    start, limit = 0, int(given)
    if after := request.query.get("after"):
        ids = [item["id"] for item in items]
        if after not in ids:
            raise Refusal(404, f"No such object: {after}", param="after")
        start = ids.index(after) + 1
    data = items[start : start + limit]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return web.json_response({"object": "list", "data": data, "has_more": start + limit < len(items)} | ends)


def _authorize(header: str, key: str) -> None:
    given = header.removeprefix("Bearer ").strip()
    if not given:
        raise Refusal(401, "You didn't provide an API key.")
    if given != key:
        shown = f"{given[:8]}{'*' * max(0, len(given) - 12)}{given[-4:]}"
        advice = "You can find your API key at https://platform.openai.com/account/api-keys."
        raise Refusal(401, f"Incorrect API key provided: {shown}. {advice}", code="invalid_api_key")


def _missing(param: str) -> Refusal:
    return Refusal(400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def _unknown_file(file_id: str) -> Refusal:
    return Refusal(404, f"No such File object: {file_id}", param="id")


async def _serve(options: argparse.Namespace) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGTERM, lambda _number, _frame: loop.call_soon_threadsafe(ended.set))
    async with running_openai(automatic=options.automatic, state=options.state) as server:
        for fault in options.fault:
            operation, name, *times = fault.split(":")
            server.faults.add(operation, name, times=int(*times) if times else 1)
        written = options.port_file.with_suffix(".new")
        written.write_text(server.url.rpartition(":")[2].removesuffix("/v1"), encoding="ascii")
        written.replace(options.port_file)
        with suppress(TimeoutError):
            async with asyncio.timeout(LIFE_SECONDS):
                await ended.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve in a process of its own until SIGTERM."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port-file", type=Path, required=True, help="gets the port when the server is ready")
    parser.add_argument("--state", type=Path, help="folder for file contents")
    parser.add_argument("--automatic", action="store_true", help="each GET of a batch moves it on")
    parser.add_argument("--fault", action="append", default=[], help="OPERATION:NAME[:TIMES]")
    asyncio.run(_serve(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
