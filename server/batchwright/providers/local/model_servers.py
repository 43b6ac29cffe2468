"""Tells the user's own model servers from gateways: only a server that cannot forward to a paid service is free.

Each is recognised by paths that only it has. A server on another machine, at a path other than `/v1`, or with unknown
answers may forward to anybody.
"""

import ipaddress
import json
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import cast
from urllib.parse import urlsplit

import anyio.to_thread

from batchwright.core.model import Json

TIMEOUT_SECONDS = 2.0
LOOK_SECONDS = 5.0
"""For all probes together: a call waits for them."""
GOOD = 200
MOST_BYTES = 1_000_000
CLOUD_ENDINGS = ("-cloud", ":cloud")
"""Of models that Ollama forwards to its own service."""

Get = Callable[[str], Json]
"""Returns a server's answer at a path: JSON if it is JSON, otherwise text; empty unless the status is 200."""


class ModelServer:
    """What answers at a base URL: probed until it answers, then remembered."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self._url = url
        self._key = key
        self._is_known = not _is_here(url)
        self.name: str | None = None

    async def look(self) -> None:
        """Find out what answers, unless that is known."""
        if not self._is_known:
            with suppress(OSError, HTTPException), anyio.move_on_after(LOOK_SECONDS):
                found = anyio.to_thread.run_sync(recognise, self._url, self._key, abandon_on_cancel=True)
                self.name, self._is_known = await found, True

    def is_free(self, model: str) -> bool:
        """Whether the user's own model server answers *model*."""
        return self.name is not None and not model.endswith(CLOUD_ENDINGS)


def recognise(url: str, key: str | None = None) -> str | None:
    """Return the name of the model server on this machine that answers at *url*; None: it may be anything else.

    Raises:
        OSError, HTTPException: Nothing answers.
    """
    if not _is_here(url):
        return None
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection

    def get(path: str) -> Json:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # It follows no redirect and uses no proxy: either would lead to another server.
        with closing(kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)) as connection:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            data = response.read(MOST_BYTES) if response.status == GOOD else b""
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            return data.decode(errors="replace")

    return next((name for name, is_it in _SERVERS.items() if is_it(get)), None)


def _is_here(url: str) -> bool:
    """Whether a URL is `/v1` of a server on this machine."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    with suppress(ValueError):
        return parts.path == "/v1" and ipaddress.ip_address(name).is_loopback
    return parts.path == "/v1" and name == "localhost"


def _is_ollama(get: Get) -> bool:
    """Whether it is Ollama, with no model that it forwards (docs.ollama.com/api, /cloud)."""
    if get("/") != "Ollama is running" or set(_fields(get("/api/version"))) != {"version"}:
        return False
    return not any(_fields(each).get("remote_host") for each in _list(_fields(get("/api/tags")).get("models")))


def _is_llama_server(get: Get) -> bool:
    """Whether it is llama.cpp's server (github.com/ggml-org/llama.cpp, tools/server)."""
    return _fields(get("/props")).keys() >= {"default_generation_settings", "total_slots", "model_path"}


def _is_lm_studio(get: Get) -> bool:
    """Whether it is LM Studio, which says how each model is stored (lmstudio.ai/docs/developer/rest)."""
    return _all(get("/api/v0/models"), lambda model: model.keys() >= {"state", "compatibility_type", "quantization"})


def _is_vllm(get: Get) -> bool:
    """Whether it is vLLM with only its own models (docs.vllm.ai, OpenAI-compatible server)."""
    return set(_fields(get("/version"))) == {"version"} and _all(
        get("/v1/models"), lambda model: model.get("owned_by") == "vllm" and "max_model_len" in model
    )


_SERVERS: Mapping[str, Callable[[Get], bool]] = {
    "Ollama": _is_ollama,
    "llama-server": _is_llama_server,
    "LM Studio": _is_lm_studio,
    "vLLM": _is_vllm,
}


def _all(answer: Json, is_right: Callable[[Mapping[str, Json]], bool]) -> bool:
    """Whether a list has models, and all are right."""
    models = _list(_fields(answer).get("data"))
    return len(models) > 0 and all(is_right(_fields(each)) for each in models)


def _fields(value: Json) -> Mapping[str, Json]:
    return cast("dict[str, Json]", value) if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return cast("list[Json]", value) if isinstance(value, list) else []
