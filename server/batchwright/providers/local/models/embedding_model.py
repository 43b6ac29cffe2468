"""The embedding model as a child process: OpenAI's `POST /v1/embeddings` on loopback.

Knows BERT's inputs, ONNX Runtime and HTTP. Does not know where the model's files come from, nor what a job is.
The parent writes one line of JSON to standard input and reads a line with the address from standard output.
The process ends when standard input closes. What users send is never logged.
"""

import hmac
import os
import re
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Annotated, Any, Literal, NoReturn

import anyio.to_thread
import msgspec
import numpy as np
import onnxruntime  # pyright: ignore[reportMissingTypeStubs]  # it ships no types
import splintr
from aiohttp import web

MODEL_NAME = "all-MiniLM-L6-v2"
WIDTH = 384
MAX_TOKENS = 512
PAD = 0  # also the id of [PAD], which no text is encoded to
MAX_TEXTS_IN_GROUP = 32
# Memory grows with texts times length squared: 32 texts of 512 tokens would take 4.5 GB, and be slower than one by one.
MAX_TOKENS_IN_GROUP = 1024
MAX_BODY_BYTES = 16 * 2**20

ADVICE = (
    "`input` is a text or 1 to 2048 texts, none empty; token arrays are not accepted; `dimensions` is absent or 384."
)
Vectors = np.ndarray[Any, np.dtype[np.float32]]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Files = dict[Literal["model", "tokenizer"], str]
ort: Any = onnxruntime


class ServerConfig(msgspec.Struct):
    """The parent's line; *slots* requests are computed at once."""

    api_key: str
    slots: Annotated[int, msgspec.Meta(ge=1)]
    files: Files


class EmbeddingRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request, as OpenAI names its fields."""

    model: str
    input: Text | Annotated[list[Text], msgspec.Meta(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Literal[384] = WIDTH
    user: str | None = None


class Embedder:
    """The loaded model: turns requests into answers."""

    def __init__(self, files: Files) -> None:
        self._tokenizer = splintr.from_json(files["tokenizer"])
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(files["model"], options, providers=["CPUExecutionProvider"])

    def answer(self, body: bytes) -> bytes:
        """Return the JSON that answers *body*, or raise what is wrong with it."""
        request = read_request(body)
        texts = [request.input] if isinstance(request.input, str) else request.input
        # Ordinary: names of special tokens in a text are text.
        tokens = [self._tokenizer.encode_ordinary(text) for text in texts]
        for index, count in enumerate(map(len, tokens)):
            if count > MAX_TOKENS:
                message = (
                    f"Input {index} has {count} tokens; this model reads at most {MAX_TOKENS}. Shorten or split it."
                )
                raise refuse(message, "input", "context_length_exceeded")
        rows = np.empty((len(tokens), WIDTH), dtype="<f4")
        for group in groups([len(ids) for ids in tokens]):
            rows[group] = self._vectors([tokens[index] for index in group])
        as_floats = request.encoding_format == "float"
        vectors = rows.tolist() if as_floats else [b64encode(row.data).decode() for row in rows]
        data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        usage = dict.fromkeys(("prompt_tokens", "total_tokens"), sum(map(len, tokens)))
        return msgspec.json.encode({"object": "list", "data": data, "model": MODEL_NAME, "usage": usage})

    def _vectors(self, tokens: Sequence[Sequence[int]]) -> Vectors:
        ids = np.array([*zip_longest(*tokens, fillvalue=PAD)], dtype=np.int64).T
        mask = (ids != PAD).astype(np.int64)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden: Vectors = self._session.run(["last_hidden_state"], inputs)[0]
        # The mean points in the same direction as the sum, and vectors are scaled to length 1 anyway.
        sums: Vectors = (hidden * mask[:, :, np.newaxis].astype(np.float32)).sum(axis=1)
        return sums / np.linalg.norm(sums, axis=1, keepdims=True)


def read_request(body: bytes) -> EmbeddingRequest:
    """Read *body*, or raise what is wrong with it."""
    try:
        return msgspec.json.decode(body, type=EmbeddingRequest)
    except ValueError as error:  # not UTF-8, not JSON, or not such a request
        field = re.search(r"(?:\$\.|field `)(\w+)", str(error))
        raise refuse(f"{error}. {ADVICE}", field[1] if field else None) from error


def refuse(
    message: str, param: str | None = None, code: str | None = None, kind: type[web.HTTPError] = web.HTTPBadRequest
) -> web.HTTPError:
    """Return an error in OpenAI's shape, for aiohttp to answer with."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return kind(text=msgspec.json.encode({"error": error}).decode(), content_type="application/json")


def groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Group the indexes of *lengths* to compute together, shortest first to keep padding small."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if len(group) == MAX_TEXTS_IN_GROUP or (len(group) + 1) * lengths[index] > MAX_TOKENS_IN_GROUP:
            yield group
            group = []
        group.append(index)
    yield group


def build_app(config: ServerConfig, embedder: Embedder) -> web.Application:
    """Build the HTTP application."""
    slots = anyio.CapacityLimiter(config.slots)

    async def embeddings(request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if not hmac.compare_digest(given, f"Bearer {config.api_key}".encode()):
            raise refuse("The API key is missing or wrong.", code="invalid_api_key", kind=web.HTTPUnauthorized)
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise refuse(f"The body is larger than {MAX_BODY_BYTES} bytes. Send fewer texts at a time.") from error
        answer = await anyio.to_thread.run_sync(embedder.answer, body, limiter=slots)
        return web.Response(body=answer, content_type="application/json")

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_post("/v1/embeddings", embeddings)
    return app


async def serve(config: ServerConfig) -> None:
    """Serve until the process ends; write the address once requests are accepted."""
    # A request whose client has gone is never started.
    runner = web.AppRunner(build_app(config, Embedder(config.files)), access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f'{{"url": "http://127.0.0.1:{runner.addresses[0][1]}/v1"}}\n')
    sys.stdout.flush()
    await anyio.sleep_forever()


def end_with_standard_input() -> NoReturn:
    """Wait until the parent closes standard input or dies, then exit at once, even in the middle of native code."""
    for _ in sys.stdin.buffer:
        pass
    os._exit(0)


def main() -> None:
    """Run the child process."""
    config = msgspec.json.decode(sys.stdin.buffer.readline(), type=ServerConfig)
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    anyio.run(serve, config)


if __name__ == "__main__":
    main()
