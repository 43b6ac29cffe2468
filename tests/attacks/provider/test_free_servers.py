"""Only what cannot forward to a paid service is free: a model server on this machine, known by its own addresses."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
import pytest
from aiohttp import web

from batchwright.providers.local.model_servers import ModelServer, recognise
from tests.support.endpoint import running_endpoint
from tests.support.loopback import on_loopback
from tests.support.session import environment, in_memory

pytestmark = pytest.mark.anyio

Answers = Mapping[str, Any]
VLLM_MODEL = {"id": "qwen", "object": "model", "owned_by": "vllm", "root": "Qwen/Qwen3", "max_model_len": 4096}
LM_STUDIO_MODEL = {
    "id": "qwen3",
    "object": "model",
    "type": "llm",
    "arch": "qwen3",
    "state": "not-loaded",
    "compatibility_type": "gguf",
    "quantization": "Q4_K_M",
    "max_context_length": 4096,
}
MODEL_SERVERS: Mapping[str, Answers] = {
    "Ollama": {
        "/": "Ollama is running",
        "/api/version": {"version": "0.12.6"},
        "/api/tags": {"models": [{"name": "q"}]},
    },
    "llama-server": {"/props": {"default_generation_settings": {}, "total_slots": 1, "model_path": "m.gguf"}},
    "LM Studio": {"/api/v0/models": {"object": "list", "data": [LM_STUDIO_MODEL]}},
    "vLLM": {"/version": {"version": "0.11.0"}, "/v1/models": {"object": "list", "data": [VLLM_MODEL]}},
}
GATEWAYS: Mapping[str, Answers] = {
    "LiteLLM": {
        "/": "<html>Swagger</html>",
        "/health/liveliness": "I'm alive!",
        "/v1/models": {"data": [{"id": "gpt-5", "object": "model", "created": 1, "owned_by": "openai"}]},
    },
    "a gateway with a version": {
        "/version": {"version": "1.0"},
        "/v1/models": {"data": [VLLM_MODEL, {"id": "gpt-5", "object": "model", "owned_by": "openai"}]},
    },
    "a web page before many servers": {"/": "<html></html>", "/api/version": {"version": "0.6.30"}},
    "Ollama with a model of its cloud": {
        **MODEL_SERVERS["Ollama"],
        "/api/tags": {"models": [{"name": "mine", "remote_host": "https://ollama.com", "remote_model": "gpt-oss"}]},
    },
    "nothing": {},
}


@asynccontextmanager
async def answering(answers: Answers, port: int = 0) -> AsyncGenerator[str]:
    """Serve these answers, and return the base URL."""

    async def answer(request: web.Request) -> web.Response:
        found = answers.get(request.path)
        if found is None:
            return web.json_response({"detail": "Not Found"}, status=404)
        return web.Response(text=found if isinstance(found, str) else json.dumps(found))

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with on_loopback(app, port) as url:
        yield f"{url}/v1"


@pytest.mark.parametrize("name", MODEL_SERVERS)
async def test_a_model_server_on_this_machine_is_known_by_its_own_addresses(name: str) -> None:
    """Whoever runs one should not have to say what it costs."""
    async with answering(MODEL_SERVERS[name]) as url:
        found = await anyio.to_thread.run_sync(recognise, url)

    assert found == name


@pytest.mark.parametrize("name", GATEWAYS)
async def test_a_gateway_is_not_taken_for_a_model_server(name: str) -> None:
    """Whatever it forwards to sends the bill to its operator."""
    async with answering(GATEWAYS[name]) as url:
        found = await anyio.to_thread.run_sync(recognise, url)

    assert found is None


async def test_only_v1_of_a_server_on_this_machine_is_looked_at() -> None:
    """A path is often a gateway's, and a name in the own network is anybody's."""
    async with answering(MODEL_SERVERS["Ollama"]) as url:
        under_a_path = await anyio.to_thread.run_sync(recognise, url.replace("/v1", "/ollama/v1"))
    elsewhere = [recognise(each) for each in ("http://gpu.internal/v1", "http://ollama:11434/v1", "http://10.0.0.9/v1")]

    assert [under_a_path, *elsewhere] == [None] * 4


async def test_a_redirect_is_not_followed() -> None:
    """It leads to another server than the one that gets the requests."""

    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{target.removesuffix('/v1')}{request.path}")

    async with answering(MODEL_SERVERS["Ollama"]) as target:
        app = web.Application()
        app.router.add_get("/{path:.*}", redirect)
        async with on_loopback(app) as url:
            found = await anyio.to_thread.run_sync(recognise, f"{url}/v1")

    assert found is None


async def test_a_model_that_ollama_forwards_is_not_free() -> None:
    """Its service takes money, though the server is one's own."""
    async with answering(MODEL_SERVERS["Ollama"]) as url:
        server = ModelServer(url)
        await server.look()

    assert server.is_free("qwen3:8b")
    assert not server.is_free("gpt-oss:120b-cloud")
    assert not server.is_free("glm-5:cloud")


async def test_what_was_away_is_looked_at_again_and_what_answered_is_not() -> None:
    """A model server is often started after this one; and one that is away for a while is still the user's own."""
    async with answering(MODEL_SERVERS["Ollama"]) as url:
        pass
    server = ModelServer(url)
    await server.look()
    was_free = server.is_free("m")
    async with answering(MODEL_SERVERS["llama-server"], urlsplit(url).port or 0):
        await server.look()
    await server.look()

    assert (was_free, server.name, server.is_free("m")) == (False, "llama-server", True)


async def test_an_unknown_server_at_localhost_needs_a_maximum_or_the_operators_word(tmp_path: Path) -> None:
    """It may be a gateway to a paid service, and would pass every limit."""
    draft: dict[str, Any] = {"rows": [{"n": 1}], "prompt": "Say {{n}}", "model": "m"}
    async with running_endpoint() as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url, prices="")
        async with in_memory(env) as session:
            unpriced = await session.call("create_batch_file", **draft)
            refused = await session.error("submit_job", job_id=unpriced["job_id"])
        sent = len(endpoint.bodies)
        async with in_memory(env | {"BATCHWRIGHT_PRICES": "free"}) as session:
            free = await session.call("create_batch_file", **draft)
            await session.call("submit_job", job_id=free["job_id"])
            ended = await session.finished(free["job_id"])

    assert "it is unpriced, not free" in unpriced["cost"]
    assert "is unpriced, not free. Ask the user how much it may cost" in refused
    assert sent == 0
    assert ended["status"] == "completed"
