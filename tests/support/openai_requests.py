"""What OpenAI refuses of a single request, at once, in its own words and shape. Knows no server."""

import re
from typing import Any

from tests.support.batch_judge import CONTENT
from tests.support.openai_faults import Refusal

_REASONING = re.compile(r"gpt-5|o\d")
_LENGTHS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def refuse(endpoint: str, body: dict[str, Any], models: frozenset[str] | None) -> None:
    """Refuse a request that OpenAI would refuse; *models* are the known ones, None: any."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise Refusal(400, "you must provide a model parameter")
    if models is not None and model not in models:
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise Refusal(404, message, code="model_not_found")
    if CONTENT[endpoint] not in body:
        name = CONTENT[endpoint]
        raise Refusal(400, f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    for name in body:
        if name not in _parameters(endpoint):
            raise Refusal(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    for name in _LENGTHS:
        if isinstance(body.get(name), str):
            message = f"Invalid type for '{name}': expected an integer, but got a string instead."
            raise Refusal(400, message, param=name, code="invalid_type")
    if _REASONING.match(model):
        _refuse_of_reasoning(body)


def _parameters(endpoint: str) -> frozenset[str]:
    """Return the names that an endpoint takes, by OpenAI's own types."""
    # Importing them takes a second, which a server that answers batches alone need not wait for.
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
    from openai.types.embedding_create_params import EmbeddingCreateParams
    from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming

    body = {
        "/v1/chat/completions": CompletionCreateParamsNonStreaming,
        "/v1/responses": ResponseCreateParamsNonStreaming,
        "/v1/embeddings": EmbeddingCreateParams,
    }[endpoint]
    return body.__required_keys__ | body.__optional_keys__


def _refuse_of_reasoning(body: dict[str, Any]) -> None:
    if "max_tokens" in body:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        raise Refusal(400, message, param="max_tokens", code="unsupported_parameter")
    if body.get("temperature", 1) != 1:
        message = (
            f"Unsupported value: 'temperature' does not support {body['temperature']} with this model. "
            "Only the default (1) value is supported."
        )
        raise Refusal(400, message, param="temperature", code="unsupported_value")
