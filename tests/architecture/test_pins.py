"""What is written in two places is the same in both: versions of linters, and what CI runs."""

import re
from typing import Any, cast

import yaml

from tests.support.paths import PACKAGE, ROOT

LINTERS = {"ruff", "bandit"}


def loaded(name: str) -> dict[str, Any]:
    """Return what a YAML file of the checkout holds."""
    return cast("dict[str, Any]", yaml.safe_load((ROOT / name).read_text(encoding="utf-8")))


def test_linters_before_a_commit_have_the_versions_of_ci() -> None:
    """Otherwise what passes before a commit fails after it."""
    pins = (ROOT / ".ci" / "pins.txt").read_text(encoding="utf-8")
    pinned = {line.split(" ")[0] for line in pins.splitlines() if line.split("==")[0] in LINTERS}
    hooks = [hook for repo in loaded(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]

    assert {package for hook in hooks for package in hook.get("additional_dependencies", ())} == pinned
    assert {package.split("==")[0] for package in pinned} == LINTERS


def test_every_linter_of_ci_also_runs_before_a_commit() -> None:
    """A check that comes only after a push is a push for nothing."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    run = {" ".join(found) for found in re.findall(r"^ +(ruff|bandit|pyright)( check| format)?", script, re.MULTILINE)}
    hooks = [hook for repo in loaded(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]

    assert {hook["name"] for hook in hooks} == {" ".join(name.split()) for name in run}


def test_ci_runs_every_python_that_the_package_names_and_may_do_nothing_else() -> None:
    """Its token is handed to whatever the tests install."""
    workflow = loaded(".github/workflows/ci.yml")
    (job,) = workflow["jobs"].values()
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))

    assert set(named) <= set(job["strategy"]["matrix"]["python"])
    assert workflow["permissions"] == {"contents": "read"}
    assert all(re.search(r"@v\d+\.\d+\.\d+$", step["uses"]) for step in job["steps"] if "uses" in step)


def test_the_checkout_has_no_links() -> None:
    """Git for Windows checks them out as files that hold a path."""
    folders = (PACKAGE, ROOT / "tests", ROOT / "examples")

    assert [path for folder in folders for path in folder.rglob("*") if path.is_symlink()] == []


def test_the_demonstration_has_the_reviews_of_the_example() -> None:
    """What the example says of them is then true of the demonstration too."""
    example = ROOT / "examples" / "classify_reviews" / "reviews.csv"

    assert (PACKAGE / "app" / "demo" / "reviews.csv").read_bytes() == example.read_bytes()
