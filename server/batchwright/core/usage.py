"""The tokens that an answer used. Pure."""

from typing import cast

from batchwright.core.model import Json


def tokens_used(body: Json) -> tuple[int, int]:
    """Return an answer's input and output tokens, by the names of chat or of responses."""
    usage = cast("dict[str, Json]", body).get("usage") if isinstance(body, dict) else None
    if not isinstance(usage, dict):
        return 0, 0
    counts = cast("dict[str, Json]", usage)
    into = _count(counts.get("prompt_tokens")) or _count(counts.get("input_tokens"))
    return into, _count(counts.get("completion_tokens")) or _count(counts.get("output_tokens"))


def _count(value: Json) -> int:
    return max(value, 0) if isinstance(value, int) else 0
