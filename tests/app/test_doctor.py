"""What the doctor says about whoever answers; what it says about the embedded model is tested with that."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import anyio.to_thread
import pytest
from aiohttp import web

from batchwright.app.doctor import run_doctor
from batchwright.core.settings import Settings
from tests.support.loopback import on_loopback
from tests.support.openai_server import running_openai

pytestmark = pytest.mark.anyio

KEY = "sk-canary-0123456789abcdef"


def at(url: str, tmp_path: Path, *, key: str = KEY, model: str | None = None) -> Settings:
    """Give settings for a service at *url*."""
    return Settings(
        workspace=(tmp_path,),
        provider="openai",
        openai_key=key,
        openai_url=url,
        model=model,
        max_job_usd=Decimal("2.50"),
        data_dir=tmp_path / "data",
    )


async def said(settings: Settings, output: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Give what the doctor returns and prints; it waits for the service, which is in this process too."""
    code = await anyio.to_thread.run_sync(run_doctor, settings)
    return code, output.readouterr().out


@asynccontextmanager
async def serving_models(*ids: str) -> AsyncGenerator[str]:
    """Serve a list of models, and give the base URL."""

    async def models(_request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in ids]})

    app = web.Application()
    app.router.add_get("/v1/models", models)
    async with on_loopback(app) as url:
        yield f"{url}/v1"


async def test_a_service_that_answers_can_run_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it has, and what a job may cost there, is what an operator wants to see before the first one."""
    async with serving_models("gpt-5-mini", "gpt-5") as url:
        code, text = await said(at(url, tmp_path, model="gpt-5-mini"), capsys)

    assert code == 0
    assert f"+ Jobs run at {url}, which answers and has the models gpt-5-mini, gpt-5." in text
    assert "A job may cost up to $2.50, all jobs up to $100 within 24 hours" in text
    assert "`batchwright connect` says how each is told." in text
    assert text.endswith("A job can run.\n")
    assert KEY not in text


async def test_a_model_that_the_service_does_not_have_is_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every job that names none would fail there."""
    async with serving_models("gpt-5") as url:
        code, text = await said(at(url, tmp_path, model="gpt-6"), capsys)

    assert code == 1
    assert "! BATCHWRIGHT_MODEL is 'gpt-6', which is not among them." in text


async def test_a_service_that_does_not_name_its_models_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may run batches all the same."""
    async with running_openai(state=tmp_path / "state") as server:
        code, text = await said(at(server.url, tmp_path, key=server.key), capsys)

    assert code == 0
    assert f". Jobs run at {server.url}, which answers 404 when asked for its models." in text
    assert server.key not in text


async def test_a_key_that_is_refused_is_a_fault_and_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its setting is named; the service's own answer would echo a part of it."""
    async with running_openai(state=tmp_path / "state") as server:
        code, text = await said(at(server.url, tmp_path), capsys)

    assert code == 1
    assert "which answers 401 when asked for its models. Check OPENAI_API_KEY." in text
    assert "canary" not in text
    assert "cdef" not in text


async def test_a_service_that_is_not_there_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The address may be wrong, or the network."""
    async with serving_models() as url:
        pass
    code, text = await said(at(url, tmp_path), capsys)

    assert code == 1
    assert f"! Jobs run at {url}, which does not answer" in text
    assert KEY not in text


async def test_a_key_that_is_not_used_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever set it believes that jobs run at OpenAI."""
    async with serving_models("m") as url:
        settings = Settings(
            workspace=(tmp_path,), provider="endpoint", endpoint=url, openai_key=KEY, data_dir=tmp_path / "data"
        )
        code, text = await said(settings, capsys)

    assert code == 0
    assert ". OPENAI_API_KEY is set and not used: jobs run with the endpoint provider." in text
    assert KEY not in text


async def test_what_a_server_takes_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A gateway looks like a model server, and its bill comes later."""
    async with serving_models("m") as url:
        gateway = Settings(workspace=(tmp_path,), provider="endpoint", endpoint=url, data_dir=tmp_path / "data")
        _, unknown = await said(gateway, capsys)
        _, free = await said(replace(gateway, prices="free"), capsys)
        _, priced = await said(replace(gateway, prices="openai"), capsys)

    assert f". The prices of {url} are not known, so each job there needs a maximum" in unknown
    assert f"+ BATCHWRIGHT_PRICES says that {url} takes nothing" in free
    assert "BATCHWRIGHT_PRICES" not in priced


async def test_who_would_come_in_over_http_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that others reach is opened on purpose, or not at all."""
    async with serving_models("m") as url:
        plain = Settings(workspace=(tmp_path,), provider="endpoint", endpoint=url, data_dir=tmp_path / "data")
        _, closed = await said(plain, capsys)
        _, half = await said(replace(plain, http_hosts=("a.example",)), capsys)
        _, opened = await said(replace(plain, http_hosts=("a.example",), http_token=KEY), capsys)

    assert "HTTP" not in closed
    assert ". BATCHWRIGHT_HTTP_HOSTS is set without BATCHWRIGHT_HTTP_TOKEN: only this machine is let in." in half
    assert "+ Over HTTP the server lets in who has the token, on this machine and called a.example." in opened
    assert KEY not in opened
