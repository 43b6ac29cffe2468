"""How much an honest provider may send: anything larger, slower or longer is not read to its end. Pure."""

from dataclasses import dataclass

from batchwright.core.model import Part, Recipe

MAX_FILE_BYTES = 1 << 30
"""Of an input file. The largest that is documented has 512 MB."""
MAX_RESULTS_BYTES = 1 << 34
"""Of the results of a batch of which nothing is known."""
MAX_LINE_BYTES = 32 << 20
"""Of one answer: images as base64 are the longest."""
MAX_VECTORS_BYTES = 160 << 20
"""Of one answer that may hold 2,048 vectors."""
_LEAST_BYTES = 64 << 20
_ECHO = 16
"""An answer may repeat its request, with each letter escaped."""
_OPEN_ANSWER_BYTES = 4 << 20
_TOKEN_BYTES = 32
_AROUND_BYTES = 64 << 10
_MAX_DIMENSIONS = 8192
_NUMBER_BYTES = 32
_MAX_INPUTS = 50_000
_LONGEST = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_PLAIN = frozenset(
    {*_LONGEST, "model", "temperature", "top_p", "seed", "reasoning_effort", "reasoning", "verbosity", "text"}
    | {"response_format", "service_tier", "stop", "user", "metadata", "frequency_penalty", "presence_penalty"}
)
"""Parameters that do not make an answer longer than its tokens."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What an answer over HTTP may take.

    Attributes:
        json_bytes: Decoded, of an answer about batches and files.
        read_seconds: From the first byte of a request that only reads to the last of its answer.
        pages, list_seconds, list_bytes: For one walk through a list.
        grace_seconds: How long a download may be slow at first.
        slowest_bytes_a_second: Its average from then on.
    """

    json_bytes: int = 16 << 20
    read_seconds: float = 120.0
    pages: int = 1_000
    list_seconds: float = 120.0
    list_bytes: int = 256 << 20
    grace_seconds: float = 60.0
    slowest_bytes_a_second: int = 8 << 10
    download_seconds: float = 3 * 3600.0


def longest_answer(endpoint: str) -> int:
    """Return the most bytes that one answer of *endpoint* may have."""
    return MAX_VECTORS_BYTES if endpoint.endswith("/embeddings") else MAX_LINE_BYTES


def longest_line(recipe: Recipe) -> int:
    """Return the most bytes that one line of results may have."""
    if recipe.endpoint != "/v1/embeddings":
        return MAX_LINE_BYTES
    # It is not known how many inputs each request of a ready-made file has.
    return MAX_LINE_BYTES + recipe.inputs_per_request * _vector_bytes(recipe) if recipe.prompt else MAX_VECTORS_BYTES


def most_results(recipe: Recipe, part: Part) -> int:
    """Return the most bytes that a result file of *part* may have."""
    sent = _LEAST_BYTES + _ECHO * part.size_bytes + part.requests * _AROUND_BYTES
    if recipe.endpoint == "/v1/embeddings":
        return sent + (part.load or _MAX_INPUTS) * _vector_bytes(recipe)
    longest = next((recipe.parameters[name] for name in _LONGEST if name in recipe.parameters), None)
    is_plain = recipe.prompt is not None and recipe.parameters.keys() <= _PLAIN
    answer = longest * _TOKEN_BYTES if is_plain and isinstance(longest, int) else _OPEN_ANSWER_BYTES
    return sent + part.requests * answer


def _vector_bytes(recipe: Recipe) -> int:
    dimensions = recipe.parameters.get("dimensions")
    return (dimensions if isinstance(dimensions, int) else _MAX_DIMENSIONS) * _NUMBER_BYTES
