"""The MCP prompts: guides through the common jobs, which a user starts from a menu or as a command."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mcp.types import GetPromptResult, Prompt, PromptArgument, PromptMessage, TextContent

from batchwright.core.errors import InvalidInput, NotFound
from batchwright.mcp_server.prompts.common_jobs import GUIDES
from batchwright.mcp_server.prompts.guide import MAX_ARGUMENT_CHARACTERS, Guide, rendered

if TYPE_CHECKING:
    from batchwright.mcp_server.context import App


def prompts() -> list[Prompt]:
    """Give all prompts."""
    return [
        Prompt(
            name=guide.name,
            title=guide.title,
            description=guide.description,
            arguments=[
                PromptArgument(name=argument.name, description=argument.description, required=argument.is_required)
                for argument in guide.arguments
            ],
        )
        for guide in GUIDES.values()
    ]


async def render(app: "App", name: str, values: Mapping[str, str]) -> GetPromptResult:
    """Fill in a prompt; the source's columns are looked at, where that is quick.

    Raises:
        NotFound: There is no such prompt, or no such file.
        InvalidInput: An argument is missing, unknown or cannot be used.
    """
    guide = GUIDES.get(name)
    if guide is None:
        raise NotFound(f"There is no prompt {name[:80]!r}. There are {', '.join(GUIDES)}.")
    _refuse_wrong(guide, values)
    columns = await (await app.use_cases()).contents.columns(values["source"].strip())
    message = TextContent(text=rendered(guide, values, columns))
    return GetPromptResult(description=guide.description, messages=[PromptMessage(role="user", content=message)])


def _refuse_wrong(guide: Guide, values: Mapping[str, str]) -> None:
    known = {argument.name: argument for argument in guide.arguments}
    if unknown := sorted(values.keys() - known.keys()):
        raise InvalidInput(f"{guide.name} has no argument {unknown[0][:80]!r}. Its arguments: {', '.join(known)}.")
    missing = [name for name, argument in known.items() if argument.is_required and not values.get(name, "").strip()]
    if missing:
        raise InvalidInput(f"{guide.name} needs {' and '.join(missing)}. Fill that in.")
    if long := [name for name, value in values.items() if len(value) > MAX_ARGUMENT_CHARACTERS]:
        raise InvalidInput(f"{long[0]} is longer than {MAX_ARGUMENT_CHARACTERS:,} characters. Give less.")
