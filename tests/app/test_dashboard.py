"""`batchwright dashboard`, as a process: who may come in, and that the page in it works."""

import http.client
import json
import os
import stat
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from tests.support.browser_host import hosting
from tests.support.browser_host import marks as in_a_browser
from tests.support.endpoint import running_endpoint
from tests.support.openai_server import running_openai
from tests.support.session import environment, in_memory, openai_environment
from tests.support.systems import needs_modes

pytestmark = pytest.mark.anyio

CALL: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {
        "name": "list_jobs",
        "arguments": {},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    },
}


@dataclass
class Dashboard:
    """A running dashboard."""

    address: str
    text: str

    @property
    def place(self) -> str:
        """Give host and port."""
        return self.address.removeprefix("http://").partition("/")[0]

    @property
    def key(self) -> str:
        """Give what must be known to come in."""
        return self.address.partition("#")[2]

    async def asked(
        self, method: str, path: str, body: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """Ask for something, and give the status, the headers and the text."""

        def ask() -> tuple[int, dict[str, str], str]:
            connection = http.client.HTTPConnection(self.place, timeout=30)
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text

        return await anyio.to_thread.run_sync(ask)

    async def called(self, **headers: str) -> tuple[int, str]:
        """Call a tool as the page's host does, but with other headers, and give status and text."""
        given = {
            "authorization": f"Bearer {self.key}",
            "content_type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp_protocol_version": "2026-07-28",
            "mcp_method": "tools/call",
            "mcp_name": "list_jobs",
        }
        status, _, text = await self.asked("POST", "/mcp", json.dumps(CALL), **given | headers)
        return status, text


@asynccontextmanager
async def dashboard(env: Mapping[str, str], *arguments: str, **more: str) -> AsyncGenerator[Dashboard]:
    """Run the command until the block ends."""
    passed = {name: value for name, value in os.environ.items() if name.startswith(("PYTHON", "HOME", "PATH"))}
    command = [sys.executable, "-m", "batchwright", "dashboard", *arguments]
    process = await create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env={**passed, **env, **more})
    assert process.stdout is not None
    try:
        lines = [(await process.stdout.readline()).decode() for _ in range(2)]
        assert lines[0], await process.stderr.read() if process.stderr else ""
        yield Dashboard(lines[0].split()[-1], "".join(lines))
    finally:
        process.terminate()
        await process.wait()


async def test_only_who_has_the_key_may_ask(tmp_path: Path) -> None:
    """Other users of the machine, and every page in the browser, reach loopback too."""
    async with dashboard(environment(tmp_path)) as at:
        good = await at.called()
        wrong_keys = [await at.called(authorization=given) for given in ("", "Bearer x", f"Basic {at.key}", at.key)]
        wrong_host = await at.called(host="evil.example")
        rebound = await at.called(host=f"{at.place}.evil.example")
        wrong_origins = [
            await at.called(origin=origin)
            for origin in ("http://evil.example", "null", f"http://{at.place}.evil.example")
        ]
        own_origin = await at.called(origin=f"http://{at.place}")

    assert good[0] == own_origin[0] == 200
    assert json.loads(good[1])["result"]["structuredContent"]["total"] == 0
    assert [status for status, _ in wrong_keys] == [401] * 4
    assert [wrong_host[0], rebound[0]] == [421, 421]
    assert [status for status, _ in wrong_origins] == [403] * 3
    assert all(at.key not in text for _, text in (*wrong_keys, wrong_host, *wrong_origins))
    assert len(at.key) >= 43
    assert "keep it to yourself" in at.text


@pytest.mark.slow
async def test_the_pages_are_served_to_anybody_but_hold_nothing(tmp_path: Path) -> None:
    """They are the same for all; what is shown in them needs the key."""
    async with dashboard(environment(tmp_path)) as at:
        outer, framed = await at.asked("GET", "/"), await at.asked("GET", "/app")
        wrong_host = await at.asked("GET", "/", host="evil.example")
        elsewhere = [(await at.asked("GET", path))[0] for path in ("/x", "/app/", "/../etc/passwd", "/mcpx")]
        posted = await at.asked("POST", "/")
        without = await at.asked("GET", "/mcp")

    for status, headers, text in (outer, framed):
        assert status == 200
        assert at.key not in text
        assert "default-src 'none'" in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
    assert "frame-ancestors 'none'" in outer[1]["content-security-policy"]
    assert framed[1]["content-security-policy"].startswith("sandbox allow-scripts;")
    assert (wrong_host[0], elsewhere, posted[0], without[0]) == (421, [404] * 4, 404, 401)


@pytest.mark.slow
async def test_it_listens_on_loopback_alone_and_says_when_a_port_is_taken(tmp_path: Path) -> None:
    """It is for one person at one machine."""
    async with dashboard(environment(tmp_path)) as at:
        port = at.place.partition(":")[2]
        command = [sys.executable, "-m", "batchwright", "dashboard", "--port", port]
        env = {**os.environ, **environment(tmp_path)}
        second = await create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=env)
        _, said = await second.communicate()

    assert at.address.startswith("http://127.0.0.1:")
    assert second.returncode == 2
    assert f"Cannot listen at 127.0.0.1, port {port}: " in said.decode()


@needs_modes
@pytest.mark.slow
async def test_a_browser_is_opened_without_telling_other_users_the_key(tmp_path: Path) -> None:
    """With what a program is started is for all to see: so it gets a file that only this user can read."""
    told = tmp_path / "told"
    browser = tmp_path / "browser.py"
    browser.write_text(f"import sys; open({str(told)!r}, 'w').write(sys.argv[1])", encoding="utf-8")
    env = environment(tmp_path) | {"BROWSER": f"{sys.executable} {browser} %s"}
    async with dashboard(env, "--open") as at:
        with anyio.fail_after(30):
            while not (told.exists() and told.read_text(encoding="utf-8")):  # noqa: ASYNC110  # another process's file
                await anyio.sleep(0.01)
        shortcut = Path(told.read_text(encoding="utf-8").removeprefix("file://"))
        text, mode = shortcut.read_text(encoding="utf-8"), stat.S_IMODE(shortcut.stat().st_mode)

    assert at.key not in told.read_text(encoding="utf-8")
    assert at.address in text
    assert mode == 0o600
    assert not shortcut.exists()


def browser_test(test: object) -> object:
    """Mark a test that needs a browser."""
    for mark in in_a_browser:
        test = mark(test)
    return test


@browser_test
async def test_the_page_opens_and_its_buttons_work(tmp_path: Path) -> None:
    """It is the same page as in an assistant's host, with the same calls."""
    async with running_endpoint() as endpoint:
        env = environment(tmp_path, endpoint=endpoint.url)
        (tmp_path / "work" / "rows.csv").write_text("id,text\n1,a\n2,b\n", encoding="utf-8")
        async with in_memory(env) as session:
            await session.call("create_batch_file", source="rows.csv", prompt="{{text}}", model="m")
        async with dashboard(env) as at, hosting(env) as host:
            visited = await host.do("visit", address=at.address)
            await host.texts("rows.csv")
            await host.do("click", name="rows.csv")
            await host.do("click", name="Submit …")
            endpoint.gate.clear()
            await host.do("click", name="Run it: cost not counted")
            await host.do("click", name="Watch live")
            endpoint.gate.set()
            await host.texts("All rows answered", "2 answered")
            heard = await host.do("heard")
            reached = await host.do("run", script="fetch('/mcp').then(() => 'reached', () => 'refused')")
            parent = await host.do(
                "run", script="(() => { try { return parent.sessionStorage.key; } catch { return 0; } })()"
            )

    assert visited == {"title": "Batchwright", "address": f"http://{at.place}/"}
    assert heard["log"] == []
    assert {url.partition("#")[0] for url in heard["strange"]} == {
        f"http://{at.place}{path}" for path in ("/", "/app", "/mcp")
    }
    assert (reached, parent) == ("refused", 0)


@browser_test
async def test_the_servers_question_is_put_outside_of_the_page(tmp_path: Path) -> None:
    """Above the operator's threshold the user is asked by the host: the page itself cannot say yes."""
    async with running_openai() as server:
        env = openai_environment(tmp_path, server, ask_above_usd="0.01")
        (tmp_path / "work" / "rows.csv").write_text("text\n" + "row\n" * 20, encoding="utf-8")
        draft = {"source": "rows.csv", "prompt": "{{text}}", "model": "gpt-5-mini"}
        async with in_memory(env) as session:
            await session.call("create_batch_file", **draft, parameters={"max_completion_tokens": 2_000})
        async with dashboard(env) as at, hosting(env) as host:
            await host.do("visit", address=at.address)
            await host.do("click", name="rows.csv")
            await host.do("click", name="Submit …")
            await host.do("click", name="Run it for at most $0.05")
            await host.do("outer", name="Decline")
            await host.texts("The user declined, so nothing was submitted")
            posts = server.posts
            await host.do("click", name="Run it for at most $0.05")
            await host.do("outer", name="Agree")
            await host.texts("running", "$0.05 agreed")

    assert (posts, server.posts) == (0, 1)


@browser_test
async def test_without_the_key_the_page_shows_nothing(tmp_path: Path) -> None:
    """And says what to do."""
    env = environment(tmp_path)
    async with dashboard(env) as at, hosting(env) as host:
        await host.do("visit", address=f"http://{at.place}/")
        none = await host.do("outerText")
        await host.do("visit", address=f"http://{at.place}/#wrong")
        await host.do("outerWait", text="no longer valid")

    assert "with the full address" in none
