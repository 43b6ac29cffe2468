"""What is generated is what the code gives: `python -m tests.generate` writes it anew."""

import json

import pytest

from tests.external.distribution import written
from tests.generate import DOCUMENTS, SNAPSHOT, TABLES, generated, listed
from tests.support.session import MODES, Mode


def test_the_tables_of_the_readme_and_the_guide_are_those_that_the_code_gives() -> None:
    """A table that is written by hand is wrong after the next change."""
    texts = {document.name: document.read_text(encoding="utf-8") for document in DOCUMENTS}
    whole = "".join(texts.values())

    assert [name for name in TABLES if whole.count(f"<!-- {name}: generated -->\n") != 1] == []
    assert [name for name, text in texts.items() if generated(text) != text] == []


def test_the_published_files_are_those_that_the_code_gives() -> None:
    """Settings and tools change."""
    assert [path.name for path, text in written().items() if path.read_text(encoding="utf-8") != text] == []


@pytest.mark.anyio
@pytest.mark.parametrize("mode", MODES)
async def test_the_tools_are_those_of_the_snapshot(mode: Mode) -> None:
    """Assistants rely on names and schemas: a change is to be seen."""
    assert await listed(mode) == json.loads(SNAPSHOT.read_text(encoding="utf-8"))
