"""The MCP prompts: walkthroughs of the common jobs, which a user starts from a menu or as a command."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mcp.types import GetPromptResult, Prompt, PromptArgument, PromptMessage, TextContent

from batchwright.core.errors import InvalidInput, NotFound
from batchwright.mcp_server.prompts.common_jobs import WALKTHROUGHS
from batchwright.mcp_server.prompts.walkthrough import MAX_ARGUMENT_CHARACTERS, Walkthrough, rendered

if TYPE_CHECKING:
    from batchwright.mcp_server.context import App


def prompts() -> list[Prompt]:
    """Return all prompts."""
    return [
        Prompt(
            name=walkthrough.name,
            title=walkthrough.title,
            description=walkthrough.description,
            arguments=[
                PromptArgument(name=argument.name, description=argument.description, required=argument.is_required)
                for argument in walkthrough.arguments
            ],
        )
        for walkthrough in WALKTHROUGHS.values()
    ]


async def render(app: "App", name: str, values: Mapping[str, str]) -> GetPromptResult:
    """Fill in a prompt, with the source's columns if they can be read quickly.

    Raises:
        NotFound: There is no such prompt, or no such file.
        InvalidInput: An argument is missing, unknown or cannot be used.
    """
    walkthrough = WALKTHROUGHS.get(name)
    if walkthrough is None:
        raise NotFound(f"No prompt {name[:80]!r}. Prompts: {', '.join(WALKTHROUGHS)}.")
    _refuse_wrong(walkthrough, values)
    columns = await (await app.use_cases()).contents.columns(values["source"].strip())
    message = TextContent(text=rendered(walkthrough, values, columns))
    return GetPromptResult(description=walkthrough.description, messages=[PromptMessage(role="user", content=message)])


def _refuse_wrong(walkthrough: Walkthrough, values: Mapping[str, str]) -> None:
    known = {argument.name: argument for argument in walkthrough.arguments}
    if unknown := sorted(values.keys() - known.keys()):
        raise InvalidInput(
            f"{walkthrough.name} has no argument {unknown[0][:80]!r}. Its arguments: {', '.join(known)}."
        )
    missing = [name for name, argument in known.items() if argument.is_required and not values.get(name, "").strip()]
    if missing:
        raise InvalidInput(f"{walkthrough.name} needs {' and '.join(missing)}. Fill it in.")
    if long := [name for name, value in values.items() if len(value) > MAX_ARGUMENT_CHARACTERS]:
        raise InvalidInput(f"{long[0]} is longer than {MAX_ARGUMENT_CHARACTERS:,} characters. Shorten it.")
