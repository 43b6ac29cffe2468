"""What an answer says that it used. Pure."""

from typing import cast

from batchwright.core.model import Json


def tokens_used(body: Json) -> tuple[int, int]:
    """Return an answer's input and output tokens; chat and responses name them differently."""
    counts = _fields(_fields(body).get("usage"))
    into = _count(counts.get("prompt_tokens")) or _count(counts.get("input_tokens"))
    return into, _count(counts.get("completion_tokens")) or _count(counts.get("output_tokens"))


def _fields(value: Json) -> dict[str, Json]:
    return cast("dict[str, Json]", value) if isinstance(value, dict) else {}


def _count(value: Json) -> int:
    return max(value, 0) if isinstance(value, int) else 0
