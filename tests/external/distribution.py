"""What is published beside the package: the registry's `server.json`, and the MCP bundle for desktop hosts.

`python -m tests.generate` writes the files of `.distribution` anew, and `python -m tests.external.distribution
FILE.mcpb` packs the bundle with npm's `mcpb`.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchwright import __version__
from batchwright.core.settings import SETTINGS, Setting
from batchwright.mcp_server.tools.catalogue import all_tools
from tests.support.paths import ROOT

SERVER_JSON = ROOT / ".distribution" / "server.json"
BUNDLE = ROOT / ".distribution" / "bundle"

REGISTRY_NAME = "io.github.batchwright/batchwright"
TITLE = "Batchwright"
BUNDLED_EXTRAS = ("local", "charts")
"""The extras with wheels for every system that a host runs on: one that is missing there would stop the whole."""

PRIVACY_POLICIES = ("https://openai.com/policies/privacy-policy/",)
LONG_DESCRIPTION = (
    "Batchwright answers one prompt for every row of a table: thousands of rows, in bulk, from the conversation. "
    "It builds and checks the batch files, says what they cost, submits them, watches them, and joins every answer to "
    "its row.\n\n"
    "With an OpenAI key it runs on the Batch API at half the price; with an address, on any OpenAI-compatible server. "
    "With neither, a small language model on this machine answers, for free, as a demonstration.\n\n"
    "The first start installs what it needs, about 130 MB to download; the demonstration model is 93 MB more."
)


@dataclass(frozen=True, slots=True)
class Field:
    """What a host asks its user for, for one setting; without a text, the setting's own meaning is shown."""

    name: str
    title: str
    text: str = ""
    is_required: bool = False

    @property
    def key(self) -> str:
        """The name of the field in the manifest."""
        return self.name.removeprefix("BATCHWRIGHT_").lower()


FIELDS = (
    Field(
        "BATCHWRIGHT_WORKSPACE",
        "Folder with your data",
        "Its files may be read, and results are saved there. Nothing outside it is opened.",
        is_required=True,
    ),
    Field("OPENAI_API_KEY", "OpenAI API key", "To run jobs at OpenAI. Leave it empty to use another server, or none."),
    Field("OPENAI_BASE_URL", "Address of a service with OpenAI's Batch API"),
    Field("BATCHWRIGHT_ENDPOINT", "Address of an OpenAI-compatible server"),
    Field("BATCHWRIGHT_ENDPOINT_KEY", "API key for that server"),
    Field("BATCHWRIGHT_MODEL", "Model"),
    Field("BATCHWRIGHT_MAX_JOB_USD", "Most that one job may cost, in US dollars"),
    Field("BATCHWRIGHT_MAX_DAY_USD", "Most that all jobs may cost in 24 hours, in US dollars"),
    Field("BATCHWRIGHT_ASK_ABOVE_USD", "Ask me above this cost, in US dollars"),
)


def project() -> dict[str, Any]:
    """Give what `pyproject.toml` says of the project."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def server_json() -> dict[str, Any]:
    """Give what the MCP registry is told."""
    return {
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": REGISTRY_NAME,
        "title": TITLE,
        "description": project()["description"],
        "version": __version__,
        "packages": [
            {
                "registryType": "pypi",
                "registryBaseUrl": "https://pypi.org",
                "identifier": project()["name"],
                "version": __version__,
                "runtimeHint": "uvx",
                # So that a model answers on the user's own machine where neither a key nor a server is set.
                "runtimeArguments": [{"type": "named", "name": "--with", "value": f"{project()['name']}[local]"}],
                "transport": {"type": "stdio"},
                "environmentVariables": [_variable(setting) for setting in SETTINGS],
            }
        ],
    }


def manifest() -> dict[str, Any]:
    """Give the bundle's manifest."""
    about = project()
    return {
        "manifest_version": "0.4",
        "name": about["name"],
        "display_name": TITLE,
        "version": __version__,
        "description": about["description"],
        "long_description": LONG_DESCRIPTION,
        "author": {"name": "The Batchwright authors"},
        "server": {
            "type": "uv",
            "entry_point": "main.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--project", "${__dirname}", "${__dirname}/main.py"],
                "env": {field.name: f"${{user_config.{field.key}}}" for field in FIELDS},
            },
        },
        "tools": [{"name": tool.name, "description": " ".join(tool.description.split())} for tool in all_tools()],
        "tools_generated": False,
        "prompts_generated": True,
        "keywords": about["keywords"],
        "license": about["license"],
        "privacy_policies": list(PRIVACY_POLICIES),
        "compatibility": {
            "platforms": ["darwin", "win32", "linux"],
            "runtimes": {"python": about["requires-python"]},
        },
        "user_config": {field.key: _option(field) for field in FIELDS},
    }


def bundle_project() -> str:
    """Give the bundle's `pyproject.toml`: a host installs what it requires, and no extras."""
    about = project()
    extras = about["optional-dependencies"]
    needed = dict.fromkeys([*about["dependencies"], *(line for name in BUNDLED_EXTRAS for line in extras[name])])
    return f"""\
# Written by `python -m tests.generate`.
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{about["name"]}"
version = "{__version__}"
requires-python = "{about["requires-python"]}"
dependencies = {json.dumps(list(needed), indent=2)}

[project.scripts]
batchwright = "batchwright.__main__:main"

[tool.hatch.build.targets.wheel]
packages = ["server/batchwright"]
"""


def written() -> dict[Path, str]:
    """Give every generated file of `.distribution`, with its text."""
    return {
        SERVER_JSON: json.dumps(server_json(), indent=2, ensure_ascii=False) + "\n",
        BUNDLE / "manifest.json": json.dumps(manifest(), indent=2, ensure_ascii=False) + "\n",
        BUNDLE / "pyproject.toml": bundle_project(),
    }


def stage(folder: Path) -> None:
    """Copy what belongs in the bundle, and nothing else, into *folder*."""
    shutil.copytree(BUNDLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copytree(
        ROOT / "server" / "batchwright",
        folder / "server" / "batchwright",
        ignore=shutil.ignore_patterns("__pycache__", ".*", "*.pyc", "*.log"),
    )
    for name in ("LICENSE", "README.md"):
        shutil.copy(ROOT / name, folder)


def pack(file: Path) -> None:
    """Pack the bundle into *file*, with npm's `mcpb`."""
    mcpb = shutil.which("mcpb")
    if mcpb is None:
        sys.exit("`mcpb` is not on the PATH. Install it with: npm install --global @anthropic-ai/mcpb")
    with tempfile.TemporaryDirectory() as folder:
        stage(Path(folder) / "batchwright")
        subprocess.run([mcpb, "pack", str(Path(folder) / "batchwright"), str(file.absolute())], check=True)


def _variable(setting: Setting) -> dict[str, Any]:
    described: dict[str, Any] = {"name": setting.name, "description": _plain(setting.meaning)}
    match setting.kind:
        case "secret":
            described["isSecret"] = True
        case "number":
            described["format"] = "number"
        case "folder" | "file":
            described["format"] = "filepath"
        case "text":
            pass
    if setting.choices:
        described["choices"] = list(setting.choices)
    if _is_literal(setting):
        described["default"] = setting.default
    return described


def _option(field: Field) -> dict[str, Any]:
    setting = next(setting for setting in SETTINGS if setting.name == field.name)
    kinds = {"text": "string", "secret": "string", "number": "number", "folder": "directory", "file": "file"}
    option: dict[str, Any] = {
        "type": kinds[setting.kind],
        "title": field.title,
        "description": field.text or _plain(setting.meaning),
        "required": field.is_required,
    }
    if setting.kind == "secret":
        option["sensitive"] = True
    if setting.kind == "number":
        option |= {"default": int(setting.default), "min": 0}
    return option


def _is_literal(setting: Setting) -> bool:
    """Whether the default is a value, and not words about it."""
    is_number = setting.kind == "number" and re.fullmatch(r"[\d.]+", setting.default) is not None
    return is_number or setting.default in setting.choices or setting.default.startswith("https://")


def _plain(meaning: str) -> str:
    """Give a meaning as plain text."""
    return meaning.replace("`", "").replace(" (secret)", "")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Give the name of the file: python -m tests.external.distribution batchwright.mcpb")
    pack(Path(sys.argv[1]))
