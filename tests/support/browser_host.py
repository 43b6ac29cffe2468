"""A real host with MCP Apps, in a real browser, driven from here: `browser/host.mjs`."""

import json
import os
import shutil
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

NODE = shutil.which("node")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NEEDED = ("@modelcontextprotocol/ext-apps", "@modelcontextprotocol/client", "puppeteer-core", "axe-core")
HOST = Path(__file__).parent / "browser" / "host.mjs"
MAX_LINE_BYTES = 64 << 20
CLOSING_SECONDS = 20


def _modules() -> Path | None:
    """Find the folder of npm packages on the PATH that has what the host is made of."""
    bins = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder.endswith(".bin")]
    return next((each.parent for each in bins if all((each.parent / name).exists() for name in NEEDED)), None)


MODULES = _modules()

marks = [
    pytest.mark.chromium,
    pytest.mark.anyio,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.skipif(NODE is None or MODULES is None, reason=f"npm's {', '.join(NEEDED)} are not on the PATH"),
]


@dataclass
class Host:
    """A running host."""

    process: Process

    async def do(self, name: str, /, **given: Any) -> Any:
        """Have it do one thing, and give what it says."""
        into, out = self.process.stdin, self.process.stdout
        assert into is not None
        assert out is not None
        into.write(json.dumps({"do": name, **given}).encode() + b"\n")
        await into.drain()
        line = await out.readline()
        assert line, "the host has ended"
        answer = json.loads(line)
        assert "error" not in answer, f"{answer.get('error')}\n{answer.get('log')}"
        return answer["ok"]

    async def texts(self, *wanted: str) -> None:
        """Wait until the page shows each of some texts."""
        for text in wanted:
            await self.do("wait", text=text)

    async def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """Give the tools that the page called, in order."""
        return [(call["name"], call["arguments"]) for call in (await self.do("heard"))["calls"]]

    async def assert_quiet(self) -> None:
        """See that nothing was said on the console, and nothing asked of the network."""
        heard = await self.do("heard")
        assert heard["log"] == []
        assert heard["strange"] == []


@asynccontextmanager
async def hosting(env: Mapping[str, str]) -> AsyncGenerator[Host]:
    """Run a host that is connected to a server process with these settings."""
    # Node and the server it starts need the way to their own programs.
    passed = {name: value for name, value in os.environ.items() if name.startswith(("PYTHON", "HOME", "PATH", "TMP"))}
    process = await create_subprocess_exec(
        NODE or "", str(HOST), str(MODULES), stdin=PIPE, stdout=PIPE, env=passed, limit=MAX_LINE_BYTES
    )
    host = Host(process)
    try:
        await host.do(
            "start",
            command=sys.executable,
            args=["-P", "-m", "batchwright"],
            env={**passed, **env},
            chromium=CHROMIUM,
        )
        yield host
    finally:
        # At the end of its input it closes the browser and the server.
        if process.stdin is not None:
            process.stdin.close()
        with anyio.move_on_after(CLOSING_SECONDS, shield=True):
            await process.wait()
        if process.returncode is None:
            process.kill()
