"""The guide: its pages as assistants read them, through real clients."""

import re
from pathlib import Path

import pytest
from mcp import Client, MCPError
from mcp.types import ResourceTemplateReference, TextResourceContents

from batchwright.core.errors import NotFound
from batchwright.mcp_server.addresses import TEMPLATES, of_guide
from batchwright.mcp_server.guide import INDEX, TOPICS, read_page
from tests.support.session import MODES, Mode, environment, in_memory, over_stdio

TEMPLATE = ResourceTemplateReference(uri=TEMPLATES["guide"])
LINK = re.compile(r"\]\((?P<target>\S+?)\)")


async def read(client: Client, uri: str) -> str:
    """Return the text of a page, which is all that its resource holds."""
    (contents,) = (await client.read_resource(uri)).contents
    assert isinstance(contents, TextResourceContents)
    assert contents.mime_type == "text/markdown"
    return contents.text


@pytest.mark.anyio
@pytest.mark.parametrize("mode", MODES)
async def test_an_assistant_reads_from_the_index_to_every_page(tmp_path: Path, mode: Mode) -> None:
    """It is told of the index alone, so every page has to be reached from there, and every link has to be read."""
    async with in_memory(environment(tmp_path), mode) as session:
        listed = [resource.uri for resource in (await session.client.list_resources()).resources]
        pages: dict[str, str] = {}
        wanted = [uri for uri in listed if uri.startswith("batchwright://guide/")]
        while wanted:
            uri = wanted.pop()
            pages[uri] = await read(session.client, uri)
            links = [found["target"] for found in LINK.finditer(pages[uri])]
            wanted += [link for link in links if link.startswith("batchwright:") and link not in {*pages, *wanted}]

    assert pages.keys() == {of_guide(topic) for topic in (INDEX, *TOPICS)}
    assert "| `BATCHWRIGHT_MAX_JOB_USD` | 25 |" in pages[of_guide("settings")]
    for text in pages.values():
        targets = [found["target"] for found in LINK.finditer(text)]
        assert [target for target in targets if not re.match(r"https?:|goose:|batchwright:", target)] == []
        assert "<!--" not in text


@pytest.mark.anyio
async def test_pages_are_served_by_a_process_too(tmp_path: Path) -> None:
    """They come with the installed program."""
    async with over_stdio(environment(tmp_path)) as session:
        text = await read(session.client, of_guide("costs"))

    assert text.startswith("# Costs\n")
    assert not (tmp_path / "data").exists()


@pytest.mark.anyio
@pytest.mark.parametrize("mode", MODES)
async def test_a_page_that_there_is_not_is_refused_with_those_that_there_are(tmp_path: Path, mode: Mode) -> None:
    """An assistant guesses a topic, and corrects itself."""
    async with in_memory(environment(tmp_path), mode) as session:
        for topic in ("prices", "../guide/costs", "..%2Fdashboard%2Fpage", "costs.md", "__init__"):
            with pytest.raises(MCPError) as raised:
                await session.client.read_resource(of_guide(topic))
            assert raised.value.error.code == -32602
        with pytest.raises(MCPError, match=r"The guide has no page 'prices'\. Topics: connect, data, "):
            await session.client.read_resource(of_guide("prices"))


@pytest.mark.anyio
@pytest.mark.parametrize("mode", MODES)
async def test_topics_are_completed(tmp_path: Path, mode: Mode) -> None:
    """A closed set is offered whole, and without opening anything."""
    async with in_memory(environment(tmp_path), mode) as session:
        every = (await session.client.complete(TEMPLATE, {"name": "topic", "value": ""})).completion
        some = (await session.client.complete(TEMPLATE, {"name": "topic", "value": "re"})).completion

    assert every.values == [INDEX, *TOPICS]
    assert some.values == ["requests", "results", "reliability", "failures"]
    assert not (tmp_path / "data").exists()


def test_links_are_written_for_whoever_reads() -> None:
    """A relative link leads nowhere outside of the repository, and a link within the page nowhere in a terminal."""
    text = read_page("reliability", "{words} ({topic})")

    assert "Costs (costs) has the rules." in text
    assert "SECURITY says what this rests on" in text


@pytest.mark.parametrize("topic", ["", "../README", "Costs", "costs.md", "x" * 1_000])
def test_only_a_topic_is_read(topic: str) -> None:
    """The name is part of a path."""
    with pytest.raises(NotFound, match="The guide has no page"):
        read_page(topic, "{words}")
