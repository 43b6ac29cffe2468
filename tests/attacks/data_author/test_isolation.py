"""Whoever wrote the data runs nothing: no child of this program imports, runs or follows what lies in its folder."""

import ast
import os
import re
import signal
import site
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from aiohttp import web
from mcp import Client, StdioServerParameters

from batchwright.__main__ import main
from batchwright.app.connect import PUBLISHED
from batchwright.core import children
from batchwright.core.children import Child
from tests.support.endpoint import running_endpoint
from tests.support.hostile_folder import KEYS, MODULES, HostileFolder, hostile_folder, watched_children
from tests.support.loopback import on_loopback
from tests.support.paths import PACKAGE, ROOT, SCRIPT, UV
from tests.support.session import Session
from tests.support.systems import needs_scripts, needs_signals
from tests.support.xlsx_file import write_book

pytestmark = pytest.mark.anyio

BUNDLE = ROOT / ".distribution" / "bundle" / "main.py"
WAIT_SECONDS = 300
CHART = ["costs", "--rows", "9", "--input-tokens", "9", "--output-tokens", "9", "--model", "gpt-5-mini", "--png"]
"""The arguments that draw a chart, without its file."""


@pytest.fixture
def hostile(tmp_path: Path) -> HostileFolder:
    """Make a hostile folder."""
    return hostile_folder(tmp_path)


@asynccontextmanager
async def conversation(hostile: HostileFolder, env: Mapping[str, str], *command: str) -> AsyncGenerator[Session]:
    """Talk to a server that was started in the hostile folder."""
    program, *arguments = command or (SCRIPT,)
    parameters = StdioServerParameters(command=program, args=arguments, env=dict(env), cwd=hostile.path)
    async with Client(parameters) as client:
        yield Session(client)


def assert_no_key(found: Mapping[str, Mapping[str, str]]) -> None:
    """Check that no child has a key, a setting of the interpreter, or a folder that depends on the current one."""
    for command, env in found.items():
        held = "\n".join(f"{name}={value}" for name, value in env.items())
        assert [name for name, key in KEYS.items() if key in held] == [], command
        assert [name for name in env if name.startswith(("PYTHON", "OPENAI", "BATCHWRIGHT"))] == [], command
        assert [folder for folder in env["PATH"].split(os.pathsep) if not folder.startswith("/")] == [], command


@pytest.mark.parametrize("name", MODULES)
def test_what_is_planted_would_run_if_the_folder_were_searched(hostile: HostileFolder, name: str) -> None:
    """Otherwise the other tests here would show nothing."""
    command = [sys.executable, "-S", "-c", f"import {name}"]
    subprocess.run(command, cwd=hostile.path, env=hostile.environment(), capture_output=True, timeout=60, check=False)

    assert name in hostile.what_ran()


@pytest.mark.model
async def test_a_job_in_a_hostile_folder_runs_nothing_of_it(hostile: HostileFolder, model_cache: Path) -> None:
    """A model, a query and a sheet each need a process of their own, and none needs a key."""
    write_book(hostile.path / "book.xlsx", {"Sheet1": [["id", "text"], ["1", "good"]]})
    env = hostile.environment(BATCHWRIGHT_CACHE_DIR=str(model_cache))
    with watched_children() as found:
        async with conversation(hostile, env) as session:
            sheet = await session.call("inspect_data", source="book.xlsx")
            query = await session.call("inspect_data", source="SELECT * FROM 'reviews.csv'")
            draft = {"prompt": "{{text}}", "parameters": {"max_completion_tokens": 4}}
            job = await session.call("create_batch_file", source="reviews.csv", **draft)
            trial = await session.call("try_requests", job_id=job["job_id"])
            await session.call("submit_job", job_id=job["job_id"])
            await session.finished(job["job_id"], WAIT_SECONDS)
            asked = await session.call("query_results", job_id=job["job_id"], sql="SELECT count(*) AS n FROM results")

    assert (sheet["rows"], query["rows"], asked["shown"]) == (1, 2, [{"n": 2}])
    assert trial["rows"][0]["answer"]
    assert hostile.what_ran() == []
    modules = ("tables.excel_file", "tables.query_process", "providers.local.models.chat_model")
    assert [name for name in modules if not any(f"batchwright.{name}" in command for command in found)] == []
    assert_no_key(found)


@pytest.mark.model
@pytest.mark.parametrize("command", ["doctor", "connect", "work"])
def test_a_command_in_a_hostile_folder_runs_nothing_of_it(
    hostile: HostileFolder, model_cache: Path, command: str
) -> None:
    """The terminal is often open in the folder with the data."""
    env = hostile.environment(BATCHWRIGHT_CACHE_DIR=str(model_cache))
    with watched_children() as found:
        done = subprocess.run(
            [SCRIPT, command], cwd=hostile.path, env=env, capture_output=True, text=True, timeout=600, check=False
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert hostile.what_ran() == []
    assert_no_key(found)


@pytest.mark.slow
async def test_the_demonstration_in_a_hostile_folder_runs_nothing_of_it(hostile: HostileFolder) -> None:
    """It starts a whole server."""
    async with running_endpoint(answer=lambda _text: '{"sentiment": "positive"}') as endpoint:
        env = hostile.environment(
            BATCHWRIGHT_PROVIDER="endpoint",
            BATCHWRIGHT_ENDPOINT=endpoint.url,
            BATCHWRIGHT_MODEL="m",
            BATCHWRIGHT_PRICES="free",
        )
        done = await anyio.run_process([SCRIPT, "demo", "--plain"], cwd=hostile.path, env=env, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert hostile.what_ran() == []


@pytest.mark.slow
async def test_the_bundle_in_a_hostile_folder_runs_nothing_of_it(hostile: HostileFolder) -> None:
    """Its host may start it anywhere."""
    env = hostile.environment()
    async with conversation(hostile, env, sys.executable, str(BUNDLE)) as session:
        query = await session.call("inspect_data", source="SELECT * FROM 'reviews.csv'")

    assert query["rows"] == 2
    assert hostile.what_ran() == []


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.skipif(UV is None, reason="uv is not installed")
def test_the_published_command_in_a_hostile_folder_runs_nothing_of_it(hostile: HostileFolder, tmp_path: Path) -> None:
    """Most assistants start it with `uvx`, in the folder that is open."""
    uv = UV or ""
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path, ROOT], timeout=120, check=True)
    cache = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    index = 'index-url = "http://127.0.0.1:9/simple"\n'
    (hostile.path / "uv.toml").write_text(index, encoding="utf-8")
    (hostile.path / "pyproject.toml").write_text(f"[tool.uv]\n{index}", encoding="utf-8")
    options = ["tool", "run", "--find-links", str(tmp_path), "--python", sys.executable]
    command = [uv, *options, *PUBLISHED.arguments, "doctor"]

    done = subprocess.run(
        command,
        cwd=hostile.path,
        env=hostile.environment(UV_CACHE_DIR=cache),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert "The embedded SmolLM2-135M-Instruct answers" in done.stdout, done.stdout + done.stderr
    assert hostile.what_ran() == []


@needs_signals
@pytest.mark.slow
def test_the_dashboard_opens_the_browser_of_the_user_and_not_of_the_folder(hostile: HostileFolder) -> None:
    """And it hands the browser no key: that lives as long as the user works."""
    told = hostile.marks.with_name("told")
    browser = hostile.marks.with_name("browser.py")
    browser.write_text(
        f"import os; file = open({str(told)!r}, 'w'); file.write(chr(10).join(os.environ.values())); file.close()",
        encoding="utf-8",
    )
    env = hostile.environment(BROWSER=f"./xdg-open{os.pathsep}{sys.executable} {browser} %s")
    with subprocess.Popen(
        [SCRIPT, "dashboard", "--open"], cwd=hostile.path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as served:
        assert served.stdout is not None
        lines = [served.stdout.readline() for _ in range(2)]
        served.send_signal(signal.SIGINT)
        served.wait(60)

    assert lines[0].startswith(b"The dashboard is at http://127.0.0.1:")
    assert hostile.what_ran() == []
    assert [name for name, key in KEYS.items() if key in told.read_text(encoding="utf-8")] == []


@needs_scripts
async def test_what_matplotlib_runs_for_a_chart_has_no_key(hostile: HostileFolder, tmp_path: Path) -> None:
    """It runs the system's `fc-list`, and hands on the whole environment that it has itself."""
    told, programs = tmp_path / "told", tmp_path / "programs"
    programs.mkdir()
    (programs / "fc-list").write_text(f"#!/bin/sh\nexec env > '{told}'\n", encoding="utf-8")
    (programs / "fc-list").chmod(0o755)
    env = hostile.environment(PATH=os.pathsep.join([".", "", str(programs), os.environ["PATH"]]))
    amounts = {"rows": 9, "input_tokens": 9, "output_tokens": 9, "models": ["gpt-5-mini"]}
    async with conversation(hostile, env | {"XDG_CACHE_HOME": str(tmp_path / "cache")}) as session:
        saved = await session.call("compare_costs", **amounts, save_chart_as="c.png")

    assert Path(saved["saved_as"]).read_bytes().startswith(b"\x89PNG")
    assert hostile.what_ran() == []
    lines = told.read_text(encoding="utf-8").splitlines()
    assert_no_key({"fc-list": {name: value for name, _, value in (line.partition("=") for line in lines)}})


@pytest.mark.slow
def test_a_chart_looks_as_it_does_elsewhere(hostile: HostileFolder, tmp_path: Path) -> None:
    """Matplotlib reads `matplotlibrc` in the current folder, which may have it run TeX."""
    with watched_children() as found:
        command = [SCRIPT, *CHART, str(tmp_path / "there.png")]
        env = hostile.environment()
        subprocess.run(command, cwd=hostile.path, env=env, capture_output=True, timeout=120, check=True)
    assert main([*CHART, str(tmp_path / "here.png")]) == 0

    assert (tmp_path / "there.png").read_bytes() == (tmp_path / "here.png").read_bytes()
    assert hostile.what_ran() == []
    assert [command for command in found if "batchwright.costs.chart_process" in command]
    assert_no_key(found)


@asynccontextmanager
async def package_index(asked: list[web.Request]) -> AsyncGenerator[str]:
    """Serve a package index on loopback that has nothing; give its address without a scheme."""

    async def refuse(request: web.Request) -> web.Response:
        asked.append(request)
        return web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{path:.*}", refuse)
    async with on_loopback(app) as url:
        yield url.removeprefix("http://")


@pytest.mark.slow
@pytest.mark.model
async def test_pip_follows_the_user_and_not_the_folder(hostile: HostileFolder, tmp_path: Path) -> None:
    """The weights come from the user's index, whose password nobody else hears of."""
    users: list[web.Request] = []
    folders: list[web.Request] = []
    password = "hunter2-of-the-index"
    async with package_index(users) as index, package_index(folders) as planted:
        for name in ("pip.conf", "pip.ini", "pip/pip.conf", ".config/pip/pip.conf"):
            path = hostile.path / name
            if path.parent.name != "pip" or not (hostile.path / "pip").is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"[global]\nextra-index-url = http://{planted}/simple\n", encoding="utf-8")
        env = hostile.environment(
            BATCHWRIGHT_CACHE_DIR=str(tmp_path / "cache"),
            PIP_CONFIG_FILE="pip.conf",
            XDG_CONFIG_HOME=".config",
            PIP_INDEX_URL=f"http://user:{password}@{index}/simple",
            PIP_FIND_LINKS="",
            PIP_RETRIES="0",
        )
        with watched_children() as found:
            async with conversation(hostile, env) as session:
                job = await session.call("create_batch_file", rows=[{"text": "hello"}], prompt="{{text}}")
                told = await session.error("try_requests", job_id=job["job_id"])

    credentials = b64encode(f"user:{password}".encode()).decode()
    assert {request.headers.get("Authorization") for request in users} == {f"Basic {credentials}"}
    assert "cannot be fetched" in told
    assert (password in told, index in told) == (False, False)
    assert folders == []
    assert hostile.what_ran() == []
    assert [command for command in found if "-m pip download" in command]
    assert_no_key(found)


def test_children_find_what_is_installed_for_one_user_alone(tmp_path: Path) -> None:
    """`pip install --user` is the way where there is no virtual environment."""
    base = str(vars(sys)["_base_executable"])  # of a virtual environment
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    where = [base, "-c", "import site; print(site.getusersitepackages())"]
    packages = Path(subprocess.run(where, env=env, capture_output=True, text=True, timeout=60, check=True).stdout[:-1])
    packages.mkdir(parents=True)
    lines = [str(PACKAGE.parent), *site.getsitepackages()]
    lines += [line for path in lines[1:] for pth in Path(path).glob("*.pth") for line in pth.read_text().splitlines()]
    (packages / "all.pth").write_text("\n".join(line for line in lines if line.startswith("/")), encoding="utf-8")
    code = "from batchwright.core.children import Child; import sys; "
    code += "sys.exit(Child(('-c', 'import batchwright.tables.query_process')).run(wait_seconds=60)[1])"

    done = subprocess.run([base, "-c", code], env=env, capture_output=True, text=True, timeout=120, check=False)

    assert done.stderr == "\n"


def test_a_child_that_hangs_is_ended() -> None:
    """Native code may wait for ever when it is loaded."""
    status, _said = Child(("-c", "import time; print('x', flush=True); time.sleep(600)")).run(wait_seconds=1)

    assert status != 0


def test_one_module_starts_every_process() -> None:
    """A process that is started elsewhere would be outside these rules."""
    starters = {"subprocess", "multiprocessing", "webbrowser", "pty"}
    calls = re.compile(
        r"(anyio\.(open|run)_process|asyncio\.create_subprocess|os\.(system|popen|exec|spawn|posix_spawn))"
    )
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            imported = {alias.name for alias in node.names} if isinstance(node, ast.Import) else set[str]()
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
            if imported & starters or (isinstance(node, ast.Attribute) and calls.match(ast.unparse(node))):
                found.add(path.relative_to(PACKAGE).as_posix())

    # `process` ends what `children` has started, and asks whether it still runs.
    assert found == {"core/children.py", "tables/process.py"}
    assert children.FOLDER == PACKAGE
