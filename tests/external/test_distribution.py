"""What is published beside the package is true, fits the published forms, and starts."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from mcp import Client, StdioServerParameters

from batchwright.core.settings import SETTINGS
from tests.external.distribution import (
    FIELDS,
    REGISTRY_NAME,
    manifest,
    pack,
    project,
    server_json,
    stage,
)
from tests.support.paths import ROOT, UV
from tests.support.session import Session

MCPB = shutil.which("mcpb")

needs_mcpb = pytest.mark.skipif(MCPB is None, reason="npm's @anthropic-ai/mcpb is not on the PATH")
needs_uv = pytest.mark.skipif(UV is None, reason="uv is not installed")

TEXT = {"type": "string", "minLength": 1}
INPUT = {
    "properties": {
        "description": TEXT,
        "default": TEXT,
        "format": {"enum": ["string", "number", "boolean", "filepath"]},
        "isSecret": {"type": "boolean"},
        "choices": {"type": "array", "items": TEXT},
        "name": TEXT,
        "value": TEXT,
        "type": {"const": "named"},
    },
    "required": ["name"],
    "additionalProperties": False,
}
PACKAGE = {
    "properties": {
        "registryType": {"const": "pypi"},
        "registryBaseUrl": {"const": "https://pypi.org"},
        "identifier": TEXT,
        "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "runtimeHint": {"const": "uvx"},
        "runtimeArguments": {"items": {**INPUT, "required": ["type", "name"]}},
        "transport": {"const": {"type": "stdio"}},
        "environmentVariables": {"items": INPUT},
    },
    "required": ["registryType", "identifier", "transport"],
    "additionalProperties": False,
}
RULES = {
    "properties": {
        "$schema": {"const": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"},
        "name": {"type": "string", "maxLength": 200, "pattern": "^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$"},
        "title": {**TEXT, "maxLength": 100},
        "description": {**TEXT, "maxLength": 100},
        "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "packages": {"items": PACKAGE},
    },
    "required": ["name", "description", "version"],
    "additionalProperties": False,
}


def test_the_registry_takes_the_server() -> None:
    """The rules are those of the schema that `$schema` names, of the fields in use, and of the registry's own page.

    That page takes only pypi.org as the index of Python packages, and no range of versions.
    """
    jsonschema_rs.validate(RULES, server_json())


def test_the_registry_finds_in_the_readme_whose_the_package_is() -> None:
    """It looks for the name in the package's description, which is the README, with a border after it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert project()["readme"] == "README.md"
    assert re.findall(r"mcp-name: (\S+)(?=\s|-->)", readme) == [REGISTRY_NAME]


def test_every_setting_that_is_a_secret_is_hidden_by_hosts() -> None:
    """A key that is shown while it is typed, or kept as plain text, is no longer one."""
    secrets = {setting.name for setting in SETTINGS if setting.kind == "secret"}
    variables = server_json()["packages"][0]["environmentVariables"]
    options = manifest()["user_config"]

    assert secrets >= {
        setting.name for setting in SETTINGS if re.search("KEY|TOKEN|SECRET|PASSWORD|DSN", setting.name)
    } - {"BATCHWRIGHT_ENQUEUED_TOKENS"}
    assert secrets == {variable["name"] for variable in variables if variable.get("isSecret")}
    assert {field.name for field in FIELDS if options[field.key].get("sensitive")} == secrets & {
        field.name for field in FIELDS
    }


def test_only_what_belongs_there_is_put_into_the_bundle(tmp_path: Path) -> None:
    """A cache or a key that lies about in the checkout must not be published."""
    stage(tmp_path / "bundle")
    found = {path.relative_to(tmp_path / "bundle") for path in (tmp_path / "bundle").rglob("*")}
    names = {path.name for path in found}

    assert {path.parts[0] for path in found} == {
        "LICENSE",
        "README.md",
        "main.py",
        "manifest.json",
        "pyproject.toml",
        "server",
    }
    assert {"__main__.py", "0001.sql", "reviews.csv", "costs.md", "py.typed"} <= names
    assert [name for name in names if name.startswith(".") or name == "__pycache__" or name.endswith(".pyc")] == []


def filled(folder: Path, user_config: dict[str, str]) -> dict[str, Any]:
    """Give the command of an unpacked bundle as a host fills it, with the code that hosts use."""
    assert MCPB is not None
    package = Path(MCPB).resolve().parents[1] / "index.js"
    script = """
        const { getMcpConfigForManifest } = await import(process.argv[1]);
        const [folder, userConfig] = process.argv.slice(2);
        const { readFileSync } = await import("node:fs");
        const manifest = JSON.parse(readFileSync(folder + "/manifest.json", "utf8"));
        const given = { manifest, extensionPath: folder, systemDirs: {}, userConfig: JSON.parse(userConfig) };
        console.log(JSON.stringify(await getMcpConfigForManifest({ ...given, pathSeparator: "/" })));
    """
    command = ["node", "--input-type=module", "--eval", script, package.as_uri(), str(folder), json.dumps(user_config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """Pack the bundle and unpack it again, with the tool that is published for it."""
    pack(tmp_path / "batchwright.mcpb")
    command = [MCPB or "", "unpack", str(tmp_path / "batchwright.mcpb"), str(tmp_path / "unpacked")]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    return tmp_path / "unpacked"


@pytest.mark.node
@needs_mcpb
@needs_uv
@pytest.mark.model
@pytest.mark.anyio
async def test_the_packed_bundle_starts_and_runs_a_job_with_only_a_folder_chosen(
    tmp_path: Path, unpacked: Path, sample: Path, model_cache: Path
) -> None:
    """Whoever opens it has no terminal: what the manifest says is all there is, and most fields stay empty."""
    config = filled(unpacked, {"workspace": str(sample), "openai_api_key": ""})
    kept = ("HOME", "PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "UV_CACHE_DIR", "XDG_CACHE_HOME")
    env = {name: os.environ[name] for name in kept if name in os.environ} | {
        **config["env"],
        "BATCHWRIGHT_DATA_DIR": str(tmp_path / "data"),
        "BATCHWRIGHT_CACHE_DIR": str(model_cache),
        "UV_PYTHON": sys.executable,
    }
    assert "${user_config.endpoint}" in env.values()
    assert config["command"] == "uv"
    parameters = StdioServerParameters(command=UV or "", args=config["args"], env=env, cwd=str(unpacked))

    async with Client(parameters, read_timeout_seconds=300) as client:
        session = Session(client)
        look = await session.call("inspect_data", source="sample.csv")
        few = {"max_completion_tokens": 4}
        draft = await session.call("create_batch_file", source="sample.csv", prompt="Say {{text}}", parameters=few)
        await session.call("submit_job", job_id=draft["job_id"])
        job = await session.finished(draft["job_id"])
        tools = (await client.list_tools()).tools

    assert look["rows"] == 5
    assert "SmolLM2" in job["answered_by"]
    assert job["status"] == "completed"
    assert {tool["name"] for tool in manifest()["tools"]} == {tool.name for tool in tools}


@pytest.mark.slow
@needs_uv
def test_the_command_that_the_registry_s_clients_make_starts_the_program(tmp_path: Path) -> None:
    """They put it together: the runner, its arguments, the package and its version."""
    subprocess.run([UV or "", "build", "--quiet", "--wheel", "--out-dir", tmp_path, ROOT], timeout=120, check=True)
    (package,) = server_json()["packages"]
    arguments = [f"{argument['name']}={argument['value']}" for argument in package["runtimeArguments"]]
    wanted = f"{package['identifier']}=={package['version']}"
    command = [UV or "", "tool", "run", "--find-links", tmp_path, "--python", sys.executable, *arguments, wanted]

    done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=300, check=True)

    assert done.stdout == f"batchwright {package['version']}\n"
