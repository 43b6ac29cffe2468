"""What would make requests fail once they are sent, judged from their parameters and from who answers. Pure.

What OpenAI accepts is known, so a fault that fails every request there is certain, and is refused. Elsewhere the same
names may mean something else: an Azure deployment may be called gpt-4o without being one, vLLM and Ollama have
parameters of their own, and a local server may ignore what it does not know. So elsewhere no fault is ever certain:

=========================  ==========================================================================================
who answers                what is reported
=========================  ==========================================================================================
OpenAI, in batches         everything; what is certain is refused
OpenAI, one at a time      everything, as warnings: a user may send a new model's requests through the endpoint
another service            warnings of what hardly any server accepts, and of model families if the name is of one
an endpoint, this machine  warnings of what hardly any server accepts: a value of the wrong type, an unknown role
=========================  ==========================================================================================

An unknown parameter is never certain, not even at OpenAI: the API grows faster than this list.
No sentence repeats a value, except the names of models and parameters, which are not the user's data.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import cast

from batchwright.checks import schema
from batchwright.checks.families import family_faults
from batchwright.checks.parameters import EFFORT, INSTEAD, MAX_NAME_CHARACTERS, PARAMETERS, ROLES, Kind, Parameter
from batchwright.core.model import Endpoint, Fault, Json, ProviderInfo, Reach

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)
_NAME_ADVICE = "Use 1 to 64 letters, digits, underscores and dashes."


def faults(endpoint: Endpoint, body: Mapping[str, Json], provider: ProviderInfo) -> list[Fault]:
    """Find why a request with *body* would fail at *provider*, certain faults first.

    *body* may lack whatever differs from row to row: `lacks_json_word` judges what depends on the texts.
    """
    found = [
        *_check_names(endpoint, body),
        *_check_values(endpoint, body),
        *family_faults(endpoint, body),
        *_check_combinations(endpoint, body),
        *_formats(endpoint, body),
        *_messages(endpoint, body),
    ]
    judged = [kept for fault in found if (kept := _judge(fault, provider))]
    return sorted(judged, key=lambda fault: not fault.is_certain)


def lacks_json_word(endpoint: Endpoint, body: Mapping[str, Json], provider: ProviderInfo) -> Fault | None:
    """Return the fault of a request for any JSON object if none of its texts mentions JSON, as OpenAI requires."""
    if _format(endpoint, body).get("type") != "json_object":
        return None
    stored = ("previous_response_id", "conversation", "prompt")  # they may mention it
    if endpoint == "/v1/responses" and any(body.get(name) for name in stored):
        return None
    if any(_mentions_json(body.get(name)) for name in ("messages", "input", "instructions")):
        return None
    field = "messages" if endpoint == "/v1/chat/completions" else "input"
    message = "The json_object format requires the word JSON in a message, and none has it. Ask for JSON in the prompt."
    return _judge(Fault("missing_json_word", message, field), provider)


def _mentions_json(value: Json) -> bool:
    match value:
        case str():
            return "json" in value.lower()
        case list():
            return any(_mentions_json(item) for item in cast("list[Json]", value))
        case dict():
            return any(_mentions_json(item) for item in cast("dict[str, Json]", value).values())
        case _:
            return False


def _judge(fault: Fault, provider: ProviderInfo) -> Fault | None:
    """Return the fault as it counts for *provider*; None if it does not."""
    if provider.is_openai:
        return replace(fault, is_certain=fault.is_certain and provider.kind == "service")
    counts = fault.reach == "anywhere" or (fault.reach == "its family" and provider.kind == "service")
    return replace(fault, is_certain=False) if counts else None


def _check_names(endpoint: Endpoint, body: Mapping[str, Json]) -> Iterator[Fault]:
    known, instead = PARAMETERS[endpoint], INSTEAD[endpoint]
    for name in body.keys() - known.keys():
        shown = name[:MAX_NAME_CHARACTERS]
        if name in instead:
            message = f"{endpoint} does not accept '{name}'. {instead[name]}"
            yield Fault("unsupported_parameter", message, name, reach="anywhere")
            continue
        message = f"'{shown}' is not a known parameter of {endpoint}. {_advice(endpoint, shown)}"
        yield Fault("unknown_parameter", message, shown, is_certain=False)


@lru_cache(maxsize=100)  # it takes longer than all other rules, and every line may need it
def _advice(endpoint: Endpoint, name: str) -> str:
    if elsewhere := next((other for other in PARAMETERS if name in PARAMETERS[other]), None):
        return f"It belongs to {elsewhere}: leave it out, or use that endpoint."
    near = difflib.get_close_matches(name, PARAMETERS[endpoint], 1, 0.75)
    return f"Did you mean '{near[0]}'?" if near else "Check its name, or leave it out."


def _check_values(endpoint: Endpoint, body: Mapping[str, Json]) -> Iterator[Fault]:
    for name, value in body.items():
        if (parameter := PARAMETERS[endpoint].get(name)) and value is not None:
            yield from _check_value(name, value, parameter)
    if endpoint == "/v1/responses" and (effort := _object(body.get("reasoning")).get("effort")) is not None:
        yield from _check_value("reasoning.effort", effort, EFFORT)


def _check_value(name: str, value: Json, parameter: Parameter) -> Iterator[Fault]:
    kinds = _kinds_of(value)
    if not any(kind in parameter.kinds for kind in kinds):
        wanted = " or ".join(map(_with_article, parameter.kinds))
        message = f"'{name}' is {_with_article(kinds[0])}, but must be {wanted}. Change its type."
        yield Fault("invalid_type", message, name, reach="anywhere")
        return
    reach: Reach = "anywhere" if parameter.is_general else "OpenAI"
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = parameter.low, parameter.high
        if low is not None and value < low:
            between = f"from {low:g} to {high:g}" if high is not None else f"{low:g} or more"
            yield Fault("invalid_value", f"'{name}' is too small. Give {between}.", name, reach=reach)
        elif high is not None and value > high:
            yield Fault("invalid_value", f"'{name}' is too large. Give {low or 0:g} to {high:g}.", name, reach=reach)
    if isinstance(value, str) and parameter.words and value not in parameter.words:
        message = f"'{name}' has an unknown value. Give one of {', '.join(parameter.words)}."
        yield Fault("invalid_value", message, name)
    if isinstance(value, list) and parameter.most is not None and len(cast("list[Json]", value)) > parameter.most:
        message = f"'{name}' has more than {parameter.most} items. Give {parameter.most} at most."
        yield Fault("invalid_value", message, name)


def _kinds_of(value: Json) -> tuple[Kind, ...]:
    match value:
        case bool():
            return ("true or false",)
        case int():
            return "number", "whole number"
        case float():
            return ("number", "whole number") if value.is_integer() else ("number",)
        case str():
            return ("string",)
        case list() | tuple():
            return ("list",)
        case _:
            return ("object",)


def _with_article(kind: Kind) -> str:
    return {"true or false": kind, "object": "an object"}.get(kind, f"a {kind}")


def _check_combinations(endpoint: Endpoint, body: Mapping[str, Json]) -> Iterator[Fault]:
    """Find parameters that require or exclude each other."""
    is_chat = endpoint == "/v1/chat/completions"
    if body.get("stream_options") is not None and endpoint != "/v1/embeddings":
        message = "'stream_options' are for streamed answers, and a batch streams nothing. Leave them out."
        yield Fault("invalid_request", message, "stream_options")
    if is_chat and body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        message = "'max_tokens' and 'max_completion_tokens' are both given. Leave 'max_tokens' out."
        yield Fault("invalid_request", message, "max_tokens")
    if is_chat and body.get("top_logprobs") and not body.get("logprobs"):
        message = "'top_logprobs' requires 'logprobs'. Set 'logprobs' to true, or leave it out."
        yield Fault("invalid_request", message, "top_logprobs")
    if endpoint != "/v1/embeddings":
        yield from _tools(endpoint, body)


def _tools(endpoint: Endpoint, body: Mapping[str, Json]) -> Iterator[Fault]:
    tools, choice = body.get("tools"), body.get("tool_choice")
    is_chat = endpoint == "/v1/chat/completions"
    if is_chat and tools == []:
        yield Fault("invalid_value", "'tools' is an empty list. Name a tool, or leave 'tools' out.", "tools")
    given = [_object(tool) for tool in _list(tools)]
    functions = [_object(tool.get("function")) if is_chat else tool for tool in given if tool.get("type") == "function"]
    for function in functions:
        if not _is_name(function.get("name")):
            yield Fault("invalid_value", f"A function of 'tools' has no usable name. {_NAME_ADVICE}", "tools")
        if function.get("strict") is True and (why := _strict_fault(function.get("parameters"))):
            yield Fault("invalid_function_parameters", why.replace("output schema", "schema of a tool"), "tools")
    if choice is None:
        return
    named = _object(choice)
    if not tools and (is_chat or choice == "required" or named):
        yield Fault("invalid_value", "'tool_choice' is given without 'tools'. Name the tools.", "tool_choice")
    elif named.get("type") == "function":
        name = _object(named.get("function")).get("name") if is_chat else named.get("name")
        if name not in [function.get("name") for function in functions]:
            message = "'tool_choice' names a function that is not in 'tools'. Name one of those."
            yield Fault("invalid_value", message, "tool_choice")
    elif isinstance(choice, str) and choice not in {"none", "auto", "required"}:
        message = "'tool_choice' has an unknown value. Give one of none, auto, required."
        yield Fault("invalid_value", message, "tool_choice")


def _format(endpoint: Endpoint, body: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the format that a request asks its answer to have."""
    if endpoint == "/v1/responses":
        return _object(_object(body.get("text")).get("format"))
    return _object(body.get("response_format")) if endpoint == "/v1/chat/completions" else {}


def _formats(endpoint: Endpoint, body: Mapping[str, Json]) -> Iterator[Fault]:
    wanted = _format(endpoint, body)
    is_chat = endpoint == "/v1/chat/completions"
    param = "response_format" if is_chat else "text.format"
    if not wanted:
        if is_chat and isinstance(body.get(param), Mapping):
            yield Fault("missing_required_parameter", f"'{param}' has no type. Give it one, like json_schema.", param)
        return
    if wanted.get("type") != "json_schema":
        if wanted.get("type") not in ("text", "json_object"):
            message = f"The type of '{param}' is unknown. Give one of text, json_object, json_schema."
            yield Fault("invalid_value", message, f"{param}.type")
        return
    inner, place = (_object(wanted.get("json_schema")), f"{param}.json_schema") if is_chat else (wanted, param)
    if not _is_name(inner.get("name")):
        yield Fault("invalid_value", f"The output schema has no usable name. {_NAME_ADVICE}", f"{place}.name")
    if inner.get("strict") is True and (why := _strict_fault(inner.get("schema"))):
        yield Fault("invalid_json_schema", why, f"{place}.schema")


def _strict_fault(value: Json) -> str | None:
    if not isinstance(value, Mapping):
        return "The output schema is missing. Give it as 'schema'."
    return schema.strict_fault(cast("Mapping[str, Json]", value))


def _messages(endpoint: Endpoint, body: Mapping[str, Json]) -> Iterator[Fault]:
    if endpoint != "/v1/chat/completions" or not isinstance(body.get("messages"), list):
        return
    messages = _list(body["messages"])
    if not messages:
        yield Fault("invalid_value", "'messages' is empty. Give at least one.", "messages", reach="anywhere")
    found: dict[str, Fault] = {}
    for place, message in enumerate(messages):
        for fault in _of_message(message, f"messages[{place}]"):
            found.setdefault(fault.message, fault)
    yield from found.values()


def _of_message(message: Json, param: str) -> Iterator[Fault]:
    if not isinstance(message, Mapping):
        yield Fault(
            "invalid_type", "A message is not an object. Give it a role and a content.", param, reach="anywhere"
        )
        return
    fields = cast("Mapping[str, Json]", message)
    role, content = fields.get("role"), fields.get("content")
    if role not in ROLES:
        text = f"The role of a message is unknown. Give one of {', '.join(ROLES)}."
        yield Fault("invalid_value", text, f"{param}.role", reach="anywhere")
    elif content is None and role != "assistant":
        text = "A message has no content. Give it one, or leave the message out."
        yield Fault("missing_required_parameter", text, f"{param}.content", reach="anywhere")
    elif content is not None and not isinstance(content, str | list):
        text = "The content of a message is neither a string nor a list of parts. Give one of these."
        yield Fault("invalid_type", text, f"{param}.content", reach="anywhere")
    elif role == "tool" and not isinstance(fields.get("tool_call_id"), str):
        text = "A tool's message does not name the call that it answers. Give it a tool_call_id."
        yield Fault("missing_required_parameter", text, f"{param}.tool_call_id")


def _is_name(value: Json) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _object(value: Json) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", value) if isinstance(value, Mapping) else {}


def _list(value: Json) -> list[Json]:
    return list(cast("Iterable[Json]", value)) if isinstance(value, list) else []
