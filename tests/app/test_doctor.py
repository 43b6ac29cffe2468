"""What the doctor says about whoever answers; what it says about the embedded model is tested with that."""

import os
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from aiohttp import web

from tests.support.loopback import on_loopback
from tests.support.openai_server import running_openai
from tests.support.session import OPENAI_ITSELF, environment, in_memory

pytestmark = pytest.mark.anyio

KEY = "sk-canary-0123456789abcdef"


def at(url: str, tmp_path: Path, *, key: str = KEY, **settings: str) -> dict[str, str]:
    """Return settings for a service at *url*."""
    return environment(tmp_path, max_job_usd="2.50", **settings) | {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": url}


async def doctor(env: dict[str, str]) -> tuple[int, str]:
    """Run the command, and return its exit status and what it prints."""
    command = [sys.executable, "-m", "batchwright", "doctor"]
    done = await anyio.run_process(command, env={**os.environ, **env}, check=False)
    assert done.stderr == b""
    return done.returncode, done.stdout.decode()


@asynccontextmanager
async def serving_models(*ids: str) -> AsyncGenerator[str]:
    """Serve a list of models, and give the base URL."""

    async def models(_request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in ids]})

    app = web.Application()
    app.router.add_get("/v1/models", models)
    async with on_loopback(app) as url:
        yield f"{url}/v1"


async def test_a_service_that_answers_can_run_jobs(tmp_path: Path) -> None:
    """What it has, and what a job may cost there, is what an operator wants to see before the first one."""
    async with serving_models("gpt-5-mini", "gpt-5") as url:
        code, text = await doctor(at(url, tmp_path, model="gpt-5-mini"))

    assert code == 0
    assert f"+ Jobs run at {url}. Its models: gpt-5-mini, gpt-5." in text
    assert "A job may cost up to $2.50, and all jobs together up to $100 in 24 hours." in text
    assert "`batchwright connect` prints setup instructions for each." in text
    assert text.endswith("Ready to run jobs.\n")
    assert KEY not in text


async def test_a_model_that_the_service_does_not_have_is_a_fault(tmp_path: Path) -> None:
    """Every job that names none would fail there."""
    async with serving_models("gpt-5") as url:
        code, text = await doctor(at(url, tmp_path, model="gpt-6"))

    assert code == 1
    assert f"! BATCHWRIGHT_MODEL is 'gpt-6', which {url} does not list. Choose one that it does." in text


async def test_a_service_that_does_not_name_its_models_is_noted(tmp_path: Path) -> None:
    """It may run batches all the same."""
    async with running_openai(state=tmp_path / "state") as server:
        code, text = await doctor(at(server.url, tmp_path, key=server.key))

    assert code == 0
    assert f". Jobs run at {server.url}. It answers 404 when asked for its models" in text
    assert server.key not in text


async def test_a_key_that_is_refused_is_a_fault_and_not_shown(tmp_path: Path) -> None:
    """Its setting is named; the service's own answer would echo a part of it."""
    async with running_openai(state=tmp_path / "state") as server:
        code, text = await doctor(at(server.url, tmp_path))

    assert code == 1
    assert f"! {server.url} refuses the key (401). Check OPENAI_API_KEY.\n" in text
    assert "canary" not in text
    assert "cdef" not in text


async def test_without_a_network_it_says_what_to_check(tmp_path: Path) -> None:
    """Nobody can start api.openai.com."""
    code, text = await doctor(environment(tmp_path) | OPENAI_ITSELF)

    assert code == 1
    assert re.search(
        r"^! Cannot reach https://api\.openai\.com/v1 \(.+\): check the network, proxy or OPENAI_BASE_URL\.$",
        text,
        re.M,
    )
    assert text.endswith("Fix the lines marked ! before running jobs.\n")


async def test_a_server_nearby_that_does_not_run_is_to_be_started(tmp_path: Path) -> None:
    """It is the user's own."""
    async with serving_models() as url:
        pass
    code, text = await doctor(environment(tmp_path, endpoint=url))

    assert code == 1
    assert re.search(rf"^! Cannot reach {url} \(.+\): start the server, or correct BATCHWRIGHT_ENDPOINT\.$", text, re.M)


async def test_what_is_no_list_of_models_points_at_the_address(tmp_path: Path) -> None:
    """A page of a router answers too."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<html>Welcome</html>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/models", page)
    async with on_loopback(app) as url:
        code, text = await doctor(at(url, tmp_path))

    assert code == 1
    assert f"! {url} answers, but not with a list of models. Check OPENAI_BASE_URL" in text


async def test_a_server_without_models_is_noted(tmp_path: Path) -> None:
    """Its list is empty until one is loaded."""
    async with serving_models() as url:
        code, text = await doctor(environment(tmp_path, endpoint=url))

    assert code == 0
    assert f". Jobs run at {url}: reachable, but lists no models." in text


async def test_jobs_are_counted_if_there_are_any(tmp_path: Path) -> None:
    """A new user has none."""
    async with serving_models("m") as url:
        env = environment(tmp_path, endpoint=url)
        _, before = await doctor(env)
        async with in_memory(env) as session:
            await session.call("create_batch_file", rows=[{"t": "a"}], prompt="{{t}}", model="m")
        _, after = await doctor(env)

    assert "+ No jobs yet.\n" in before
    assert "+ Jobs: 1, none of them running.\n" in after


async def test_settings_that_cannot_be_used_hide_nothing_else(tmp_path: Path) -> None:
    """One typing error must not cost the rest of the report."""
    async with serving_models("m") as url:
        code, text = await doctor(environment(tmp_path, endpoint=url, poll_seconds="soon", speed="9"))

    assert code == 1
    assert "! BATCHWRIGHT_POLL_SECONDS is 'soon', not a number of seconds from 0.1 to 3600." in text
    assert "! BATCHWRIGHT_SPEED is not a setting." in text
    assert f"+ Jobs run at {url}. Its models: m." in text
    assert text.endswith("Fix the lines marked ! before running jobs.\n")


async def test_an_address_that_holds_its_key_is_not_shown(tmp_path: Path) -> None:
    """Of the two settings that do not go together, the one that would be printed is left out."""
    code, text = await doctor(environment(tmp_path, endpoint=f"http://127.0.0.1:9/{KEY}/v1", endpoint_key=KEY))

    assert code == 1
    assert "! BATCHWRIGHT_ENDPOINT holds more than an address." in text
    assert KEY not in text


async def test_a_key_that_is_not_used_is_noted(tmp_path: Path) -> None:
    """Whoever set it believes that jobs run at OpenAI."""
    async with serving_models("m") as url:
        code, text = await doctor(environment(tmp_path, endpoint=url) | {"OPENAI_API_KEY": KEY})

    assert code == 0
    assert ". OPENAI_API_KEY is set but not used: jobs run with the endpoint provider." in text
    assert KEY not in text


async def test_what_a_server_takes_is_said(tmp_path: Path) -> None:
    """A gateway looks like a model server, and its bill comes later."""
    async with serving_models("m") as url:
        unknown, free, priced = [
            (await doctor(environment(tmp_path, endpoint=url, prices=prices)))[1] for prices in ("", "free", "openai")
        ]

    assert f". The prices of {url} are unknown, so each job there needs a maximum cost." in unknown
    assert f"+ {url} is free, as BATCHWRIGHT_PRICES says" in free
    assert "BATCHWRIGHT_PRICES" not in priced


async def test_who_would_come_in_over_http_is_said(tmp_path: Path) -> None:
    """A server that others reach is opened on purpose, or not at all."""
    async with serving_models("m") as url:
        env = environment(tmp_path, endpoint=url)
        _, closed = await doctor(env)
        _, half = await doctor(env | {"BATCHWRIGHT_HTTP_HOSTS": "a.example"})
        _, opened = await doctor(env | {"BATCHWRIGHT_HTTP_HOSTS": "a.example", "BATCHWRIGHT_HTTP_TOKEN": KEY})

    assert "HTTP" not in closed
    assert ". BATCHWRIGHT_HTTP_HOSTS is set without BATCHWRIGHT_HTTP_TOKEN: only this machine can connect." in half
    assert "+ HTTP clients must send BATCHWRIGHT_HTTP_TOKEN, and may call the server localhost or a.example." in opened
    assert KEY not in opened
