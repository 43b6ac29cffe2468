"""The README says what is so."""

import re
import tomllib

from tests.generate import README
from tests.support.paths import ROOT

TEXT = README.read_text(encoding="utf-8")


def required(*extras: str) -> list[str]:
    """Return the names of the packages that the program requires, and those of some extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for name in extras for line in project["optional-dependencies"][name])]
    return [re.split(r"[<>=!~ \[]", line)[0] for line in lines]


def test_ci_runs_its_test_command() -> None:
    """The command that users are told is the one that is known to work."""
    command = re.findall(r"```sh\n(pip install .*? && python -m pytest)\n```", TEXT)

    assert len(command) == 1
    assert "python -m pytest" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert 'readme_command "python -m pytest"' in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_files_that_it_names_exist() -> None:
    """A broken link says that nobody reads it."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", TEXT)

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_licence_of_every_dependency_is_named() -> None:
    """Who ships it has to know."""
    shipped = required("local", "embeddings", "charts")

    assert [name for name in shipped if f"| {name} |" not in TEXT] == []


def test_the_pinned_versions_carry_hashes_and_no_address() -> None:
    """A build can be repeated from any index."""
    pins = (ROOT / ".ci" / "pins.txt").read_text(encoding="utf-8")

    assert pins.count("--hash=sha256:") > 50
    assert "://" not in pins
    assert "index-url" not in pins


def test_every_requirement_is_pinned() -> None:
    """`.ci/pin` has to be run again after a new one: CI would not install it."""
    pins = (ROOT / ".ci" / "pins.txt").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^([\w-]+)==", pins, re.MULTILINE))

    assert pinned >= set(required("local", "embeddings", "charts", "dev"))
