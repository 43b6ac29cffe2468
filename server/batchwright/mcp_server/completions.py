"""Argument completion: values for an argument of a prompt or a resource that match what was typed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, get_args

from mcp.shared.uri_template import UriTemplate
from mcp.types import Completion, CompletionArgument, PromptReference, ResourceTemplateReference

from batchwright.core.errors import BatchwrightError
from batchwright.core.model import Outcome
from batchwright.core.untrusted import one_line
from batchwright.mcp_server.addresses import TEMPLATES
from batchwright.mcp_server.guide import INDEX, TOPICS
from batchwright.mcp_server.prompts.common_jobs import LANGUAGES, WALKTHROUGHS

if TYPE_CHECKING:
    from batchwright.core.model import Endpoint
    from batchwright.mcp_server.context import App
    from batchwright.mcp_server.prompts.walkthrough import Completes

MAX_VALUES = 100
"""The protocol's own."""
_MAX_NAME_CHARACTERS = 200


async def complete(
    app: "App",
    ref: PromptReference | ResourceTemplateReference,
    argument: CompletionArgument,
    given: Mapping[str, str],
) -> Completion:
    """Complete an argument; *given* are the arguments that are already filled in.

    What does not exist has no completions: the conformance suite asks for that.
    """
    if isinstance(ref, ResourceTemplateReference):
        return await _of_template(app, ref.uri, argument)
    arguments = WALKTHROUGHS[ref.name].arguments if ref.name in WALKTHROUGHS else ()
    wanted = next((each for each in arguments if each.name == argument.name), None)
    return await _of_prompt(app, wanted.completes if wanted else "nothing", argument.value, given)


async def _of_template(app: "App", template: str, argument: CompletionArgument) -> Completion:
    is_known = template in TEMPLATES.values() and argument.name in UriTemplate.parse(template).variable_names
    if is_known and argument.name == "outcome":
        return _matching(["all", *(outcome for outcome in get_args(Outcome) if outcome != "running")], argument.value)
    if is_known and argument.name == "topic":
        return _matching((INDEX, *TOPICS), argument.value)
    use_cases = await app.use_cases_if_any() if is_known and argument.name == "job_id" else None
    if use_cases is None:
        return _cap((), 0)
    return _cap(*use_cases.contents.ids(argument.value.strip(), MAX_VALUES))


async def _of_prompt(app: "App", wanted: "Completes", typed: str, given: Mapping[str, str]) -> Completion:
    if wanted != "columns":
        return _matching(await _values(app, wanted, given), typed)
    # The last name is being typed; earlier ones stay.
    before, comma, last = typed.rpartition(",")
    named = {name.strip() for name in before.split(",")}
    columns = [column for column in await _columns(app, given) if column not in named]
    return _matching(columns, last.strip(), before=f"{before}{comma} " if comma else "")


async def _values(app: "App", wanted: "Completes", given: Mapping[str, str]) -> Iterable[str]:
    match wanted:
        case "source":
            return (await app.use_cases()).contents.data_files()
        case "column" | "columns":
            return await _columns(app, given)
        case "model":
            return await _models(app, "/v1/chat/completions")
        case "embedding model":
            return await _models(app, "/v1/embeddings")
        case "language":
            return LANGUAGES
        case "nothing":
            return ()


async def _columns(app: "App", given: Mapping[str, str]) -> Sequence[str]:
    source = given.get("source", "").strip()
    try:
        return (await (await app.use_cases()).contents.columns(source) if source else None) or ()
    except BatchwrightError:  # an incomplete source is no error
        return ()


async def _models(app: "App", endpoint: "Endpoint") -> Iterable[str]:
    from batchwright.checks.deprecations import deprecation_of
    from batchwright.checks.families import MODELS, family_of
    from batchwright.costs.comparison import CHAT_MODELS, EMBEDDING_MODELS
    from batchwright.costs.prices import priced_models

    use_cases = await app.use_cases_if_any()
    listed = (*CHAT_MODELS, *EMBEDDING_MODELS, *MODELS, *priced_models())
    known = [model for model in listed if not deprecation_of(model)]
    answering = [model for model in known if (family := family_of(model)) and endpoint in family.endpoints]
    return (*(use_cases.contents.models(endpoint) if use_cases else ()), *answering)


def _matching(values: Iterable[str], typed: str, *, before: str = "") -> Completion:
    """Return values that begin with what was typed, then those that contain it, without hidden characters."""
    wanted = typed.casefold()
    found = [
        value
        for value in dict.fromkeys(values)
        if wanted in value.casefold() and one_line(value, _MAX_NAME_CHARACTERS) == value
    ]
    found.sort(key=lambda value: not value.casefold().startswith(wanted))
    return _cap([before + value for value in found[:MAX_VALUES]], len(found))


def _cap(values: Sequence[str], total: int) -> Completion:
    return Completion(values=list(values), total=total, has_more=total > len(values))
