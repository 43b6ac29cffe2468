"""The architecture: eleven packages, each over those that it may know, and no circle anywhere."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import PACKAGE

MAX_LINES = 400

RANKS: tuple[set[str], ...] = (
    {"core"},
    {"journal", "checks", "tables"},
    {"costs", "providers", "results"},
    {"requests"},
    {"jobs"},
    {"mcp_server"},
    {"app"},
    {"__main__"},
)
"""From the ground up. Packages of one rank do not know each other."""

PURE_PACKAGES = {"checks", "results.causes"}
PURE = {
    *("core.addresses", "core.bounds", "core.calls", "core.error_bodies", "core.errors", "core.former_words"),
    *("core.jsonl", "core.masking", "core.model", "core.money", "core.problem", "core.progress", "core.provenance"),
    *("core.untrusted", "core.usage"),
    *("costs.billing", "costs.comparison", "costs.prices", "costs.request_costs", "costs.spending", "costs.tokens"),
    *("results.answers", "results.equality", "requests.recipe"),
    *("jobs.recovery", "jobs.trials.estimates"),
    *("mcp_server.addresses", "mcp_server.arguments", "mcp_server.views.fitting"),
    *("mcp_server.prompts.common_jobs", "mcp_server.prompts.walkthrough"),
}
"""What decides about money and data, and takes values only."""
IMPURE = {"anyio", "asyncio", "aiohttp", "duckdb", "mcp", "openai", "os", "pathlib", "sqlite3", "subprocess", "time"}

SLOW = {
    "aiohttp",
    "duckdb",
    "genai_prices",
    "jsonschema_rs",
    "matplotlib",
    "minijinja",
    "msgspec",
    "openai",
    "platformdirs",
    "splintr",
}

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def dotted(path: Path) -> str:
    """Return a module's name below `batchwright`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Return the dotted names that statements import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def known(name: str) -> set[str]:
    """Return the modules of this program that a module imports, also inside functions and for its types only."""
    names = {each.removeprefix("batchwright.") for each in imported(ast.walk(MODULES[name]))}
    return names & MODULES.keys() - {name}


def rank(name: str) -> int:
    """Return the rank of a module's package."""
    return next(number for number, packages in enumerate(RANKS) if name.split(".", maxsplit=1)[0] in packages)


def imported_by(code: str, *arguments: str) -> set[str]:
    """Return the packages that are imported by code, which prints the modules."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_there_are_eleven_packages() -> None:
    """Where a thing is has one answer."""
    assert {name.split(".")[0] for name in MODULES} == set[str]().union(*RANKS)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_the_packages_below(name: str) -> None:
    """Whoever reads a module need not know what is above it, or beside its package."""
    own = name.split(".", maxsplit=1)[0]

    assert [other for other in known(name) if other.split(".")[0] != own and rank(other) >= rank(name)] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Of two modules that know each other neither can be read alone."""
    # A package and its `__init__` are one node; raises CycleError with the circle.
    TopologicalSorter({name: known(name) for name in MODULES}).prepare()


@pytest.mark.parametrize("name", [name for name in MODULES if name in PURE or name.rpartition(".")[0] in PURE_PACKAGES])
def test_pure_modules_reach_nothing_outside(name: str) -> None:
    """What decides about money and data is tested as values; it must not touch the world."""
    assert {each.split(".")[0] for each in imported(ast.walk(MODULES[name]))} & IMPURE == set()


def test_no_two_classes_have_one_name() -> None:
    """Whoever reads a name knows which class is meant."""
    nodes = (node for tree in MODULES.values() for node in ast.walk(tree))
    names = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))

    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_a_module_is_short(path: Path) -> None:
    """A long module holds two ideas."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_what_starts_the_server_imports_nothing_slow(tmp_path: Path) -> None:
    """An assistant drops a server that is slow to start."""
    code = (
        "import sys; from batchwright.app.app import build_server; from batchwright.core.settings import Settings; "
        "build_server(Settings.from_env({'BATCHWRIGHT_DATA_DIR': sys.argv[1]})); print(*sys.modules)"
    )

    assert imported_by(code, str(tmp_path)) & SLOW == set()


def test_commands_that_serve_nobody_do_not_import_the_protocol() -> None:
    """It takes longer to import than all that they do."""
    code = "import sys; from batchwright.app import connect, costs, doctor, help, work; print(*sys.modules)"

    assert imported_by(code) & {"mcp", "mcp_types", "openai", "rich", "uvicorn"} == set()
