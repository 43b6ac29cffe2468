"""The README and the guide say what is so, and lead to what they name."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwright.mcp_server.guide import INDEX, TOPICS, heading
from tests.generate import DOCUMENTS, GUIDE, README
from tests.support.paths import ROOT

MAX_LINES = 250
MAX_BYTES = 16_000
MAX_PICTURE_BYTES = 150_000
LINKING = (*DOCUMENTS, *sorted((ROOT / ".github").glob("*.md")), *sorted((ROOT / "examples").rglob("*.md")))


def required(*extras: str) -> list[str]:
    """Return the names of the packages that the program requires, and those of some extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for name in extras for line in project["optional-dependencies"][name])]
    return [re.split(r"[<>=!~ \[]", line)[0] for line in lines]


def prose(document: Path) -> str:
    """Return a document without its blocks of code, where nothing is a heading or a link."""
    return re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as the repository's site makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(document: Path) -> Iterator[str]:
    """Return the links of a document that lead nowhere in this checkout."""
    for link in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", prose(document)):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


def test_ci_runs_its_test_command() -> None:
    """The command that users are told is the one that is known to work."""
    command = re.findall(r"```sh\n(pip install .*? && python -m pytest)\n```", README.read_text(encoding="utf-8"))

    assert len(command) == 1
    assert 'readme_command "python -m pytest"' in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", LINKING, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    """A broken link says that nobody reads it."""
    assert list(broken(document)) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """The test above must be able to fail."""
    page = tmp_path / "page.md"
    page.write_text("# A `b` c: d\n[x](#a-b-c-d) [x](#a) [x](other.md) [x](page.md#b) [x](page.md)\n", encoding="utf-8")

    assert list(broken(page)) == ["#a", "other.md", "page.md#b"]


def test_the_readme_is_read_in_five_minutes() -> None:
    """What is longer belongs in the guide, and what is there has to be found."""
    text = README.read_text(encoding="utf-8")
    pictures = re.findall(r"!\[.+\]\((.+)\)", text)

    assert len(text.splitlines()) <= MAX_LINES
    assert len(text.encode()) <= MAX_BYTES
    assert [topic for topic in (INDEX, *TOPICS) if f"/{topic}.md)" not in text] == []
    assert pictures
    assert all((ROOT / picture).stat().st_size < MAX_PICTURE_BYTES for picture in pictures)


def test_every_file_of_the_guide_is_a_topic() -> None:
    """A page that nobody can ask for is lost."""
    assert sorted(path.stem for path in GUIDE.glob("*.md")) == sorted((INDEX, *TOPICS))


@pytest.mark.parametrize("topic", [INDEX, *TOPICS])
def test_a_page_begins_with_its_title_and_one_sentence_of_what_it_answers(topic: str) -> None:
    """The list of topics shows both, and nothing else."""
    title, sentence = heading(topic)

    assert re.fullmatch(r"[A-Z][\w ,]+", title)
    assert re.fullmatch(r"(What|Why|Which|Where|Who|How|Under which) [^.]+\.", sentence)


def test_the_licence_of_every_dependency_is_named() -> None:
    """Who ships it has to know."""
    text = (GUIDE / "licences.md").read_text(encoding="utf-8")

    assert [name for name in required("local", "embeddings", "charts") if f"| {name} |" not in text] == []


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
