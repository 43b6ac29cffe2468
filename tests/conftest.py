"""What every test may ask for."""

import os
import ssl
from collections.abc import AsyncGenerator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from batchwright.core.settings import Settings
from tests.support.openai_server import OpenAIServer, running_openai
from tests.support.sample import SAMPLE
from tests.support.session import CLOSED_PROXY

if TYPE_CHECKING:
    from openai import AsyncOpenAI

# How long an example takes says nothing on a machine that is shared; and CI tries the same examples each time.
settings.register_profile("untimed", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("untimed")

# Every HTTP client would parse all of the system's certificates, which takes longer than most tests. From a folder they
# are read when a host needs one, and none on loopback does. OpenSSL looks in both places anyway.
_TRUSTED = ssl.get_default_verify_paths()
if Path(os.environ.get("SSL_CERT_FILE", _TRUSTED.openssl_cafile)).resolve() == Path(_TRUSTED.openssl_cafile).resolve():
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ.setdefault("SSL_CERT_DIR", _TRUSTED.openssl_capath)


@pytest.fixture
def anyio_backend() -> str:
    """Name the event loop: the engine's sender is made for asyncio."""
    return "asyncio"


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """Make a workspace with a small CSV file, `sample.csv`."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "sample.csv").write_text(SAMPLE, encoding="utf-8")
    return work


@pytest.fixture
async def server() -> AsyncGenerator[OpenAIServer]:
    """Run a server with OpenAI's API."""
    async with running_openai() as server:
        yield server


@pytest.fixture
async def client(server: OpenAIServer) -> "AsyncGenerator[AsyncOpenAI]":
    """Make a client as any other program has one."""
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=server.url, api_key=server.key, max_retries=0) as client:
        yield client


@pytest.fixture
def openai_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing answer for api.openai.com, for servers in this process that are set to ask it."""
    monkeypatch.setenv("HTTPS_PROXY", CLOSED_PROXY)


@pytest.fixture(scope="session")
def model_cache() -> Path:
    """Give the folder where model weights are kept between runs: the user's own, so that they are fetched once."""
    return Settings().cache_folder()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and say why."""
    if find_spec("xllamacpp") is None:
        skip = pytest.mark.skip(reason="the extra `local` is not installed")
        for item in items:
            if item.get_closest_marker("model"):
                item.add_marker(skip)
