"""The architecture: who may import whom."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import batchwright

PACKAGE = Path(batchwright.__file__).parent
MAX_LINES = 400

LAYERS: tuple[set[str], ...] = (
    {"model", "errors"},
    {"untrusted", "error_bodies", "provenance", "usage", "money"},
    {
        "settings",
        "recipe",
        "schema",
        "jsonl",
        "inspection",
        "parts",
        "recovery",
        "agreement",
        "parameters",
        "billing",
        "addresses",
        "connecting",
        "arguments",
        "progress",
        "bounds",
        "masking",
    },
    {"deprecations", "families", "tokens", "shapes"},
    {"faults", "spelling", "guides"},
    {"causes", "pricing"},
    {"request_costs", "answers", "checking", "comparison", "common_jobs", "sampling", "fitting"},
    {"descriptors", "clock"},
    {
        "batch_api",
        "shutdown_dates",
        "workspace",
        "files",
        "points",
        "database",
        "services",
        "charts",
        "children",
        "machine",
    },
    {"folder", "secret_file", "connections", "sessions", "chart_process"},
    {"elapsed"},
    {"listing", "transport"},
    {"sdk_errors"},
    {"ledger", "standing", "attempts", "catalog", "history", "looks"},
    {"records", "trials"},
    {"local", "journal", "openai_api", "tables"},
    {"part_files", "part_results"},
    {"packing", "repeats", "filling"},
    {"drafts"},
    {"submission", "confirmation"},
    {"collection"},
    {"rounds", "adoption", "trial_rows"},
    {"runs", "trial_plans"},
    {"drafting", "failures", "remote_files", "comparing", "asking", "pages", "changes", "trying", "overviews", "watch"},
    {"contents", "consent"},
    {"jobs"},
    {"answer", "server", "lifespan", "sealing", "stdio", "web"},
    {"problem_views", "cost_views"},
    {"views", "job_views", "updates", "tasks"},
    {"trial_views", "result_views"},
    {"links", "dashboard"},
    {"tooling"},
    {"trying_tools", "result_tools"},
    {"tools", "resources", "prompts", "completions"},
    {"surface"},
    {"app"},
    {"connect", "costs", "demo", "loopback", "work"},
    {"doctor"},
    {"__main__"},
)
PURE = set[str]().union(*LAYERS[:7]) - {"settings"}
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

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def unit(path: Path) -> str:
    """Give the module's name in the layers: a package counts as one."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def dotted(path: Path) -> str:
    """Give the name by which a module is imported."""
    steps = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(steps).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Give the dotted names that a module imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def level(name: str) -> int:
    """Give the number of the layer that a module is in."""
    return next(number for number, layer in enumerate(LAYERS) if name in layer)


def test_every_module_has_a_layer() -> None:
    """A module outside the layers would be outside the rules too."""
    named = {name for layer in LAYERS for name in layer}

    assert {unit(path) for path in MODULES} == named


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_the_layers_below(path: Path) -> None:
    """Whoever reads a module need not know what is above it or beside it."""
    own = unit(path)
    used = {name.split(".")[1] for name in imports(path) if name.startswith("batchwright.")} - {"__version__", own}

    assert [name for name in used if level(name) >= level(own)] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Of a circle nothing can be read, tested or moved alone; packages and functions hide none."""
    modules = {dotted(path) for path in MODULES}

    graph = TopologicalSorter({dotted(path): modules & {*imports(path)} - {dotted(path)} for path in MODULES})

    graph.prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("path", [path for path in MODULES if unit(path) in PURE], ids=lambda path: path.stem)
def test_pure_modules_reach_nothing_outside(path: Path) -> None:
    """What decides about money and data is tested as values; it must not touch the world."""
    roots = {name.split(".")[0] for name in imports(path)}

    assert roots & IMPURE == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_short(path: Path) -> None:
    """A long module holds two ideas."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize(
    "name",
    [
        *(
            "addresses",
            "answer",
            "app",
            "errors",
            "lifespan",
            "links",
            "model",
            "result_tools",
            "result_views",
            "server",
        ),
        *(
            "sealing",
            "server",
            "settings",
            "surface",
            "tasks",
            "tooling",
            "tools",
            "trial_views",
            "trying_tools",
            "untrusted",
            "updates",
            "views",
        ),
    ],
)
def test_what_starts_the_server_imports_nothing_slow(name: str) -> None:
    """An assistant drops a server that is slow to start."""
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    roots = {
        root.split(".")[0]
        for node in top
        for root in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }

    assert roots & SLOW == set()
