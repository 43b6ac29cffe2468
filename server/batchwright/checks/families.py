"""What each family of OpenAI's models accepts, as data, and what it refuses of a request. Pure.

How far each source is trusted:

* Sampling: OpenAI's guide to reasoning (the o-series, gpt-5, gpt-5-mini and gpt-5-nano refuse it), and its guide to the
  latest model: gpt-5.1 and later accept temperature, top_p and logprobs only at the effort none, which is the default
  of gpt-5.1, gpt-5.2 and gpt-5.4. Later models are known only from users' reports, so they get only a warning.
* Efforts: the documentation of `reasoning_effort`: models before gpt-5.1 do not accept none, and xhigh came after it.
* `max_tokens`: its docstring refuses it for the o-series, and the API's own error text for every gpt-5.
* Which models answer where: the SDK's `ChatModel`, `ResponsesModel` and `EmbeddingModel`.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from batchwright.checks.parameters import DEFAULTS, EFFORT, GUIDED_SAMPLING, MAX_NAME_CHARACTERS
from batchwright.core.model import Endpoint, Fault, Json

Sampling = Literal["taken", "refused", "at effort none", "unsure"]
"""Whether a model accepts sampling parameters; `at effort none`: only there, and that is its default."""


@dataclass(frozen=True, slots=True)
class Family:
    """Models that accept the same parameters.

    Attributes:
        names: A pattern of the whole name.
        reasons: None: some of its models do, or it is unknown.
        takes_max_tokens: On the chat endpoint; None: unknown.
        refused_efforts: Those that are certainly refused; any other that the API knows may be accepted.
        max_dimensions: Of embeddings; 0: the parameter is refused.
    """

    names: str
    endpoints: tuple[Endpoint, ...] = ("/v1/chat/completions", "/v1/responses")
    reasons: bool | None = True
    sampling: Sampling = "unsure"
    takes_max_tokens: bool | None = None
    refused_efforts: frozenset[str] = frozenset()
    max_dimensions: int | None = None


ROOM_TO_REASON = 256
"""Tokens that even a little reasoning may take."""

_DATE = r"(-\d{4}-\d\d-\d\d)?"
_FINE_TUNED = re.compile(r"ft:([^:]+):.*")
_CHAT_ENDPOINT: tuple[Endpoint, ...] = ("/v1/chat/completions",)
_RESPONSES: tuple[Endpoint, ...] = ("/v1/responses",)
_EMBEDDINGS: tuple[Endpoint, ...] = ("/v1/embeddings",)


FAMILIES = (
    Family(
        rf"(o[134](-mini)?|gpt-5(-mini|-nano)?){_DATE}",
        sampling="refused",
        takes_max_tokens=False,
        refused_efforts=frozenset({"none", "xhigh", "max"}),
    ),
    Family(
        rf"gpt-5\.1(-mini)?{_DATE}",
        sampling="at effort none",
        takes_max_tokens=False,
        refused_efforts=frozenset({"xhigh", "max"}),
    ),
    Family(rf"gpt-5\.[24](-mini|-nano)?{_DATE}", sampling="at effort none", takes_max_tokens=False),
    Family(r"gpt-5-chat-latest", reasons=None, sampling="taken"),
    Family(r"gpt-5\.\d-chat-latest", reasons=None),
    # The SDK's `ResponsesModel` names them beside the chat models; users were refused on the chat endpoint.
    Family(rf"(o\d-pro|gpt-5(\.\d)?-pro|.*-deep-research|computer-use-preview){_DATE}", endpoints=_RESPONSES),
    Family(rf"gpt-5(\.\d)?-codex(-max|-mini)?{_DATE}|codex-mini-latest", endpoints=_RESPONSES),
    Family(r"gpt-5\.\d(-.+)?", takes_max_tokens=False),
    Family(r"gpt-[6-9](\.\d)?(-.+)?|gpt-(daybreak|rosalind)-.+|o\d(-.+)?|gpt-5-.+", reasons=None),
    Family(
        r"gpt-(4o|4o-mini)-(search|audio|realtime|transcribe).*|gpt-audio.*",
        endpoints=_CHAT_ENDPOINT,
        reasons=False,
        takes_max_tokens=True,
    ),
    Family(
        r"(gpt-4o|gpt-4\.[15]|gpt-4|gpt-3\.5-turbo|chatgpt-4o)(-.+)?",
        reasons=False,
        sampling="taken",
        takes_max_tokens=True,
    ),
    Family(r"text-embedding-ada-002", endpoints=_EMBEDDINGS, reasons=False, max_dimensions=0),
    Family(r"text-embedding-3-small", endpoints=_EMBEDDINGS, reasons=False, max_dimensions=1536),
    Family(r"text-embedding-3-large", endpoints=_EMBEDDINGS, reasons=False, max_dimensions=3072),
)

MODELS = (
    *("gpt-6-astra", "gpt-6.1-sol", "gpt-6.1-terra", "gpt-6-sol", "gpt-6-luna", "gpt-5.6-sol", "gpt-5.6-terra"),
    *("gpt-5.6-luna", "gpt-5.5", "gpt-5.4", "gpt-5.4-mini", "gpt-5.2"),
    *("text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"),
)
"""Names to suggest: models without an announced shutdown."""


def family_of(model: str) -> Family | None:
    """Return the family of an OpenAI model, fine-tuned or not; None if its name fits none."""
    name = _FINE_TUNED.sub(r"\1", model)
    return next((family for family in FAMILIES if re.fullmatch(family.names, name, re.ASCII)), None)


def family_faults(endpoint: Endpoint, body: Mapping[str, Json]) -> Iterator[Fault]:
    """Find what the family of the body's model refuses, or warn that the model is of no known family."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        return
    family = family_of(model)
    if family is None:
        near = difflib.get_close_matches(model.lower(), MODELS, 1, 0.75)
        advice = f"Did you mean '{near[0]}'?" if near else "Check the name, and try a few rows first."
        message = f"'{model[:MAX_NAME_CHARACTERS]}' is not a known OpenAI model. {advice}"
        yield Fault("unknown_model", message, "model", is_certain=False)
        return
    if endpoint not in family.endpoints:
        # Embedding models never write, nor the reverse; which models answer only at /v1/responses changes.
        is_certain = "/v1/embeddings" in (endpoint, *family.endpoints)
        message = f"{model} does not answer at {endpoint}. Use {' or '.join(family.endpoints)}, or another model."
        yield Fault("unsupported_endpoint", message, "model", is_certain, "its family")
    if endpoint == "/v1/embeddings":
        yield from _dimensions(model, family, body)
        return
    if endpoint == "/v1/chat/completions" and body.get("max_tokens") is not None and not family.takes_max_tokens:
        message = f"{model} does not accept 'max_tokens'. Use 'max_completion_tokens' instead."
        is_certain = family.takes_max_tokens is False
        yield Fault("unsupported_parameter", message, "max_tokens", is_certain, "its family")
    yield from _effort(endpoint, model, family, body)
    yield from _sampling(endpoint, model, family, body)


def tight_bound(endpoint: Endpoint, body: Mapping[str, Json]) -> str | None:
    """Warn that reasoning, which counts as output, may use up the output limit before any answer.

    It is not a fault: an answer may come all the same.
    """
    model = body.get("model")
    family = family_of(model) if isinstance(model, str) else None
    effort, effort_param = _effort_of(endpoint, body)
    param = "max_output_tokens" if endpoint == "/v1/responses" else "max_completion_tokens"
    bound = body.get(param)
    if not family or family.reasons is not True or type(bound) is not int or bound >= ROOM_TO_REASON:
        return None
    if effort in {"none", "minimal"} or (effort is None and family.sampling != "refused"):
        return None
    return (
        f"{model} reasons before it answers, and that counts as output: it may use up so low a {param} before any "
        f"text. Try some rows; {ROOM_TO_REASON:,} or more, or {effort_param} minimal, is safer."
    )


def _dimensions(model: str, family: Family, body: Mapping[str, Json]) -> Iterator[Fault]:
    dimensions, most = body.get("dimensions"), family.max_dimensions
    if most is None or not isinstance(dimensions, int):
        return
    if most == 0:
        message = f"{model} does not accept 'dimensions'. Leave it out, or use text-embedding-3-small."
        yield Fault("unsupported_parameter", message, "dimensions", reach="its family")
    elif dimensions > most:
        message = f"{model} returns at most {most:,} numbers, and 'dimensions' asks for more. Give {most} or less."
        yield Fault("invalid_value", message, "dimensions", reach="its family")


def _effort_of(endpoint: Endpoint, body: Mapping[str, Json]) -> tuple[Json, str]:
    """Return the effort that a request asks for, and the name of its parameter."""
    if endpoint == "/v1/responses":
        reasoning = body.get("reasoning")
        effort = cast("Mapping[str, Json]", reasoning).get("effort") if isinstance(reasoning, Mapping) else None
        return effort, "reasoning.effort"
    return body.get("reasoning_effort"), "reasoning_effort"


def _effort(endpoint: Endpoint, model: str, family: Family, body: Mapping[str, Json]) -> Iterator[Fault]:
    effort, param = _effort_of(endpoint, body)
    if effort is None:
        return
    if family.reasons is False:
        message = f"{model} does not reason and accepts no '{param}'. Leave it out, or use a reasoning model."
        yield Fault("unsupported_parameter", message, param, reach="its family")
    elif isinstance(effort, str) and effort in family.refused_efforts:
        words = ", ".join(word for word in EFFORT.words if word not in family.refused_efforts)
        message = f"{model} does not accept this '{param}'. Give one of {words}."
        yield Fault("invalid_value", message, param, reach="its family")


def _sampling(endpoint: Endpoint, model: str, family: Family, body: Mapping[str, Json]) -> Iterator[Fault]:
    if family.sampling == "taken":
        return
    effort = _effort_of(endpoint, body)[0]
    is_none = effort == "none" or (effort is None and family.sampling == "at effort none")
    for name in (*DEFAULTS, "logit_bias"):
        value = body.get(name)
        if value is None or value == DEFAULTS.get(name) or value == {}:
            continue
        if is_none and name in GUIDED_SAMPLING and family.sampling != "refused":
            continue
        only_none = " unless its reasoning effort is none" if family.sampling != "refused" and not is_none else ""
        is_certain = family.sampling == "refused" or (
            family.sampling == "at effort none" and name in GUIDED_SAMPLING and not is_none
        )
        accepts = "does not accept" if is_certain else "may not accept"
        message = f"{model} {accepts} '{name}' other than its default{only_none}. Leave it out."
        yield Fault("unsupported_parameter", message, name, is_certain, "its family")
    if endpoint == "/v1/chat/completions" and body.get("stop") is not None and model.startswith(("o3", "o4-mini")):
        message = f"{model} does not accept 'stop'. Leave it out."
        yield Fault("unsupported_parameter", message, "stop", reach="its family")
