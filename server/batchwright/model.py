"""The nouns of the program: jobs, recipes, parts, requests and results. Pure values: no I/O, no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Endpoint = Literal["/v1/chat/completions", "/v1/responses", "/v1/embeddings"]
Json = Any
"""A decoded JSON value: None, bool, int, float, str, list or dict."""

PartState = Literal[
    "built", "uploading", "uploaded", "submitting", "unknown", "submitted", "cancelling", "ended", "verified", "failed"
]
"""Where a part stands. `unknown`: its batch may or may not exist, and nothing is sent until that is found out."""

JobStatus = Literal["draft", "running", "cancelling", "completed", "cancelled", "expired", "failed", "unknown"]

Outcome = Literal["answered", "refused", "cut_short", "not_fitting", "failed", "expired", "never_ran", "running"]
"""What became of one row. For every job, at any time, the outcomes of its rows add up to its rows."""

OUTCOMES: tuple[Outcome, ...] = (
    "answered",
    "refused",
    "cut_short",
    "not_fitting",
    "failed",
    "expired",
    "never_ran",
    "running",
)

TERMINAL_BATCH_STATUSES = frozenset({"completed", "failed", "expired", "cancelled"})
"""A status outside this set, also one never heard of, is not final."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What turns a row into a request.

    For embeddings, *prompt* is the text to embed, and *system* and *output_schema* are absent.
    A ready-made batch file has no recipe of its own: *prompt* is None.
    """

    endpoint: Endpoint
    model: str
    prompt: str | None = None
    system: str | None = None
    output_schema: Mapping[str, Json] | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True)
class Source:
    """The rows that a job was made from, as the user named them."""

    name: str
    kind: Literal["csv", "jsonl", "parquet", "rows", "batch"]
    columns: tuple[str, ...]
    rows: int
    id_column: str | None = None
    path: str | None = None
    """Of the user's file; None for rows given inline."""


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """Who answers, as it stood when the job was drafted."""

    kind: Literal["embedded", "endpoint", "service"]
    host: str
    model: str
    is_demonstration: bool = False

    @property
    def sentence(self) -> str:
        """Who answers, and at what price, in words for the user."""
        if self.kind == "service":
            return f"{self.model} at {self.host}, in batches"
        if self.kind == "endpoint":
            return f"{self.model} at {self.host}, called one request at a time: any cost there is not counted here"
        if self.is_demonstration:
            return f"{self.model}, a small model on this machine: free, and a demonstration, not a substitute for a GPT"
        return f"{self.model}, on this machine: free"


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive requests of a job that make one batch file, and one batch."""

    job_id: str
    number: int
    state: PartState
    sha256: str
    size_bytes: int
    requests: int
    file_id: str | None = None
    batch_id: str | None = None
    batch_status: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    completed: int = 0
    failed: int = 0
    note: str | None = None
    errors: tuple["LineError", ...] = ()

    @property
    def file_name(self) -> str:
        """The name of its batch file in the job's folder."""
        return f"part-{self.number:04d}.jsonl"


@dataclass(frozen=True, slots=True)
class Job:
    """What the user asked for: one source, one recipe, one set of results."""

    id: str
    created_at: datetime
    source: Source
    recipe: Recipe
    provider: ProviderInfo
    parts: tuple[Part, ...] = ()
    submitted_at: datetime | None = None
    cancelled_at: datetime | None = None
    ended_at: datetime | None = None
    outcomes: Mapping[Outcome, int] | None = None
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def status(self) -> JobStatus:
        """Follows from the parts, so it can never disagree with them."""
        states = {part.state for part in self.parts}
        if self.submitted_at is None:
            return "draft"
        if "unknown" in states:
            return "unknown"
        if not states <= {"verified", "failed"}:
            return "cancelling" if self.cancelled_at else "running"
        endings = {part.batch_status for part in self.parts}
        if "failed" in states:
            return "failed"
        if "expired" in endings:
            return "expired"
        return "cancelled" if "cancelled" in endings else "completed"

    @property
    def counts(self) -> dict[Outcome, int]:
        """Rows by outcome; the sum is the number of rows.

        Until a part's results are read, a finished answer counts as answered and an error as failed.
        """
        if self.outcomes is not None:
            return {name: self.outcomes.get(name, 0) for name in OUTCOMES}
        # What a provider counts is bounded by what it was given.
        answered = sum(min(part.completed, part.requests) for part in self.parts)
        failed = sum(min(part.failed, part.requests - min(part.completed, part.requests)) for part in self.parts)
        invalid = sum(
            max(0, part.requests - part.completed - part.failed) for part in self.parts if part.state == "failed"
        )
        counts = dict.fromkeys(OUTCOMES, 0)
        counts |= {"answered": answered, "failed": failed, "never_ran": invalid}
        counts["running" if self.submitted_at else "never_ran"] += self.source.rows - answered - failed - invalid
        return counts


@dataclass(frozen=True, slots=True)
class Request:
    """One line of a batch's input file."""

    custom_id: str
    body: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class ResultLine:
    """One line of a batch's output or error file, as the provider wrote it.

    Attributes:
        status_code: Of the answer to this request; None if the request never ran.
        body: The endpoint's normal answer, or an `{"error": ...}` object.
        error_code, error_message: Of the line itself: the request never ran.
    """

    custom_id: str
    status_code: int | None = None
    body: Json = None
    error_code: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one request, in words and numbers.

    Attributes:
        text: What the model wrote; for embeddings, the numbers as JSON.
        values: The properties of the output schema, when the answer fits it.
        problem: Why there is no good answer, in one phrase.
    """

    custom_id: str
    outcome: Outcome
    text: str | None = None
    values: Mapping[str, Json] | None = None
    problem: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class LineError:
    """One fault of a batch file, in the words of the Batch API's `batch.errors.data`."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How much fits one batch. OpenAI's, from its Batch API guide, unless a provider has others."""

    max_requests: int = 50_000
    max_bytes: int = 209_715_200
    max_inputs: int = 50_000
    """Embedding inputs over all lines."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a source, described."""

    name: str
    type: str
    empty: int
    distinct: int | None
    longest: int | None
    """Characters of the longest text; None for what is not text."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What `inspect_data` found in a source."""

    name: str
    kind: Literal["csv", "jsonl", "parquet"]
    rows: int
    columns: Sequence[Column]
    sample: Sequence[Mapping[str, Json]]
    id_column: str | None
    """A column that holds a different, short value in every row."""
