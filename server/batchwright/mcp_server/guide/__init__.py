"""The guide: a page of Markdown for each topic, read in the repository, in a terminal and by assistants."""

import re
from importlib import resources

from batchwright.core.errors import NotFound

INDEX = "index"
"""The page that lists the others."""
TOPICS = (
    *("connect", "data", "requests", "results", "failures", "costs", "providers", "tools", "dashboard", "settings"),
    *("reliability", "glossary", "speed", "licences", "changelog"),
)
"""In the order in which a user meets them."""

_COMMENT = re.compile(r"<!--.*?-->\n", re.DOTALL)
_RELATIVE_LINK = re.compile(r"\[(?P<words>[^\]]+)\]\((?!\w+:)(?:(?P<topic>\w+)\.md)?[^)\s]*\)")


def source(topic: str) -> str:
    """Return the Markdown of a page as it is in the repository.

    Raises:
        NotFound: There is no such page.
    """
    if topic not in {INDEX, *TOPICS}:
        raise NotFound(f"The guide has no page {topic[:80]!r}. Topics: {', '.join(TOPICS)}.")
    return resources.files("batchwright.mcp_server.guide").joinpath(f"{topic}.md").read_text(encoding="utf-8")


def read_page(topic: str, link: str) -> str:
    """Return the Markdown of a page for readers who are not in the repository.

    Args:
        topic: The page's name.
        link: How a link to another page is written, with its `{words}` and its `{topic}`. Links to anything else in the
            repository keep their words only.

    Raises:
        NotFound: There is no such page.
    """

    def rewritten(found: re.Match[str]) -> str:
        return link.format_map(found.groupdict()) if found["topic"] else found["words"]

    return _RELATIVE_LINK.sub(rewritten, _COMMENT.sub("", source(topic)))


def heading(topic: str) -> tuple[str, str]:
    """Return the title of a page, and the sentence that says what it answers."""
    title, _, sentence, *_ = source(topic).splitlines()
    return title.removeprefix("# "), sentence
