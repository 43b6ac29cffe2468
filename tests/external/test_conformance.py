"""The protocol's own conformance suite, over HTTP: on the product as it is, and with what its scenarios call."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.http_requests import TOKEN
from tests.support.session import environment

CONFORMANCE = shutil.which("conformance")
FIXTURES = Path(__file__).with_name("conformance_fixtures.py")
WITH_TOKEN = Path(__file__).with_name("with_token.mjs")
NOT_OFFERED = {
    # Streams that are closed on purpose and taken up again: no client is known to ask for it.
    "server-sse-polling",
}
"""Run, and counted by no requirement."""

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(CONFORMANCE is None, reason="npm's @modelcontextprotocol/conformance is not on the PATH"),
]

FIXTURE_FREE = {
    "2026-07-28": (
        "completion-complete",
        "tools-list",
        "resources-list",
        "prompts-list",
        "sep-2164-resource-not-found",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
        "caching",
        "http-header-validation",
        "input-required-result-missing-input-response",
        "input-required-result-unsupported-methods",
        "input-required-result-ignore-extra-params",
        "input-required-result-validate-input",
        "tasks-status-notifications",
    ),
    "2025-11-25": (
        "server-initialize",
        "server-session-lifecycle",
        "ping",
        "completion-complete",
        "tools-list",
        "resources-list",
        "prompts-list",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
    ),
}


@contextmanager
def served(tmp_path: Path, *command: str) -> Generator[str]:
    """Run a server, and give its address."""
    env = {**os.environ, **environment(tmp_path, http_token=TOKEN)}
    with subprocess.Popen([sys.executable, *command], env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = process.stderr.readline()
            assert said.startswith("Batchwright serves MCP at http://"), said
            yield said.split()[-1]
        finally:
            process.kill()


def run(tmp_path: Path, url: str, *arguments: str) -> tuple[int, str]:
    """Run the suite, and give its exit status and what it printed."""
    command = [CONFORMANCE or "", "server", "--url", url, "-o", str(tmp_path / "checks"), *arguments]
    env = {**os.environ, "BATCHWRIGHT_HTTP_TOKEN": TOKEN, "NODE_OPTIONS": f"--import={WITH_TOKEN.as_uri()}"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("revision", FIXTURE_FREE)
def test_all_that_a_revision_requires_passes(tmp_path: Path, revision: str) -> None:
    """The set is frozen: what passes today passes for every client of that revision."""
    with served(tmp_path, str(FIXTURES)) as url:
        status, printed = run(tmp_path, url, "--requirements", revision)

    summary = printed.partition("=== SUMMARY ===")[2]
    failing = set(re.findall(r"^✗ ([a-z0-9-]+):", summary, re.MULTILINE))
    assert status == 0, summary
    assert failing <= NOT_OFFERED, summary
    assert len(re.findall(r"^✓ ", summary, re.MULTILINE)) >= 30, summary


@pytest.mark.parametrize("revision", FIXTURE_FREE)
def test_the_product_itself_passes_all_that_needs_nothing_added(tmp_path: Path, revision: str) -> None:
    """No fixture stands between the suite and what users get."""
    with served(tmp_path, "-m", "batchwright", "serve", "--http", "--port", "0") as url:
        ran = {
            name: run(tmp_path, url, "--spec-version", revision, "--scenario", name) for name in FIXTURE_FREE[revision]
        }

    assert {name: printed for name, (status, printed) in ran.items() if status != 0} == {}
