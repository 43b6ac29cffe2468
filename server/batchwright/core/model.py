"""The nouns of the program: jobs, recipes, parts, requests and results. Pure values: no I/O, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, get_args

from batchwright.core.problem import Problem

Endpoint = Literal["/v1/chat/completions", "/v1/responses", "/v1/embeddings"]
Json = Any
"""A decoded JSON value: None, bool, int, float, str, list or dict."""
OPENAI_HOST = "api.openai.com"

PartState = Literal[
    "built",
    "uploading",
    "uploaded",
    "submitting",
    "unknown",
    "submitted",
    "cancelling",
    "ended",
    "verified",
    "failed",
    "given_up",
    "split",
]
"""The state of a part. `unknown`: its batch may or may not exist, and nothing is sent until that is known.
`given_up`: the user gave it up, though it may be paid for. `split`: smaller parts have replaced it."""

LIVE_STATES: tuple[PartState, ...] = ("submitting", "unknown", "submitted", "cancelling")
"""In these a part has, or may have, a batch that has not finished."""

ENDED_STATES: tuple[PartState, ...] = ("verified", "failed", "given_up")
"""In these a part is finished."""

JobStatus = Literal["draft", "running", "cancelling", "completed", "cancelled", "expired", "failed", "unknown"]

SourceKind = Literal["csv", "json", "jsonl", "parquet", "excel", "files", "query", "rows", "batch", "results"]
"""`files`: several of one shape; `rows`: given inline; `batch`: a ready-made batch file; `results`: of a batch without
its requests."""

UserSays = Literal["", "resend", "go_on", "give_up"]
"""What only the user decides: to resend an unconfirmed batch, continue after a freeze, or give up what is stuck."""

Outcome = Literal[
    "answered",
    "refused",
    "cut_short",
    "not_fitting",
    "failed",
    "expired",
    "never_ran",
    "unconfirmed",
    "running",
]
"""The outcome of one row. At any time, the outcomes of a job's rows add up to its rows.
`unconfirmed`: its answer may have been paid for, and is not available."""

Charges = Literal["nothing", "batch", "standard", "unknown"]
"""What a provider charges: nothing, OpenAI's batch prices, OpenAI's standard prices, or unknown prices."""

Reach = Literal["anywhere", "OpenAI", "its family"]
"""Who refuses it: nearly every server, OpenAI, or this family of OpenAI's models."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

TERMINAL_BATCH_STATUSES = frozenset({"completed", "failed", "expired", "cancelled"})
"""Any other status, known or not, is not final."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What turns a row into a request; *prompt* is None for a ready-made batch file.

    For embeddings, *prompt* is the text to embed; only they may have several inputs per request.
    """

    endpoint: Endpoint
    model: str
    prompt: str | None = None
    system: str | None = None
    output_schema: Mapping[str, Json] | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict[str, Json])
    inputs_per_request: int = 1


@dataclass(frozen=True, slots=True)
class Source:
    """The rows that a job was made from, as the user named them."""

    name: str
    kind: SourceKind
    columns: tuple[str, ...]
    rows: int
    id_column: str | None = None
    path: str | None = None
    """Of the user's file, or the first of several; None: the rows were given inline."""
    more_paths: tuple[str, ...] = ()
    """Of the other files."""
    requests: int | None = None
    """If several rows share a request: how many requests there are. None: one for each row."""


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """Who answers, as known when the job was drafted; *key_print* identifies its key, and is empty without one."""

    kind: Literal["embedded", "endpoint", "service"]
    host: str
    model: str
    is_demonstration: bool = False
    charges: Charges = "nothing"
    url: str | None = None
    key_print: str = ""

    @property
    def is_openai(self) -> bool:
        """Whether this is OpenAI itself, at its main or a regional address."""
        name = self.host.partition(":")[0]
        return name == OPENAI_HOST or name.endswith(f".{OPENAI_HOST}")

    def is_same(self, other: "ProviderInfo") -> bool:
        """Whether one may answer in place of the other."""
        return (self.kind, self.host, self.model) == (other.kind, other.host, other.model)

    @property
    def sentence(self) -> str:
        """Who answers, and at what price, in words for the user."""
        if self.kind == "service":
            return f"{self.model} at {self.host}, in batches"
        if self.kind == "endpoint":
            counted = "" if self.charges == "standard" else ": any cost there is not counted here"
            return f"{self.model} at {self.host}, called one request at a time{counted}"
        if self.is_demonstration:
            return f"{self.model}, a small model on this machine: free, and a demonstration, not a substitute for a GPT"
        return f"{self.model}, on this machine: free"


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive requests of a job that make one batch file, and one batch.

    Attributes:
        load: What it uses of the provider's enqueued limit: input tokens, for embeddings inputs.
        ceiling_usd: The most that it may cost; None: unbounded, or the price is not known.
        least_usd: What its input alone costs.
        problem: What it waits for, or what is wrong with it.
        used_input_tokens, used_output_tokens: As counted by the provider at the end of the batch.
        file_created_at, expires_at: When its file was created and when its batch expires, in Unix seconds of the
            provider's clock.
    """

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
    problem: Problem | None = None
    errors: tuple["LineError", ...] = ()
    round: int = 1
    load: int = 0
    ceiling_usd: Decimal | None = None
    least_usd: Decimal | None = None
    cost_usd: Decimal | None = None
    file_created_at: int | None = None
    used_input_tokens: int | None = None
    used_output_tokens: int | None = None
    expires_at: int | None = None

    @property
    def note(self) -> str | None:
        """Its problem in words."""
        return self.problem.words if self.problem else None


@dataclass(frozen=True, slots=True)
class Job:
    """What the user asked for: one source, one recipe, one set of results.

    Attributes:
        recipe, provider: Of the current round; *parts* are those of all rounds.
        outcomes: Rows by outcome; None until the current round has finished.
        kept: Rows that the current round leaves as they were, by outcome.
        sha256: Of all requests as drafted.
        agreed_usd: The most that the current round may cost; None: nothing is charged, or nothing is agreed yet.
    """

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
    round: int = 1
    kept: Mapping[Outcome, int] = field(default_factory=dict[Outcome, int])
    agreed_usd: Decimal | None = None
    sha256: str = ""

    @property
    def spent_usd(self) -> Decimal:
        """What finished batches have cost, as far as known."""
        return sum((part.cost_usd for part in self.parts if part.cost_usd is not None), Decimal(0))

    @property
    def running_parts(self) -> tuple[Part, ...]:
        """The parts of the current round; a split part is replaced by its pieces."""
        return tuple(part for part in self.parts if part.round == self.round and part.state != "split")

    @property
    def drafted_parts(self) -> tuple[Part, ...]:
        """The parts of the round that `submit` would run."""
        wanted = 1 if self.submitted_at is None else self.round + 1
        return tuple(part for part in self.parts if part.round == wanted and part.state != "split")

    @property
    def status(self) -> JobStatus:
        """Derived from the parts of the current round, so it cannot disagree with them."""
        states = {part.state for part in self.running_parts}
        if self.submitted_at is None:
            return "draft"
        if "unknown" in states:
            return "unknown"
        if self.ended_at is None or not states <= {*ENDED_STATES}:
            return "cancelling" if self.cancelled_at else "running"
        endings = {part.batch_status for part in self.running_parts}
        if "failed" in states or "failed" in endings:
            return "failed"
        if "expired" in endings:
            return "expired"
        return "cancelled" if "cancelled" in endings or "given_up" in states else "completed"

    @property
    def counts(self) -> dict[Outcome, int]:
        """Rows by outcome; the sum is the number of rows.

        Until results are read, the provider's counts are used; if rows share requests, in proportion to the requests.
        """
        if self.outcomes is not None:
            return {name: self.outcomes.get(name, 0) for name in OUTCOMES}
        # A provider cannot have completed more than it was sent.
        parts = self.running_parts
        read = [part for part in parts if part.state != "given_up"]
        invalid = sum(max(0, part.requests - part.completed - part.failed) for part in read if part.state == "failed")
        counts: dict[Outcome, int] = {name: self.kept.get(name, 0) for name in OUTCOMES}
        rest = self.source.rows - sum(counts.values())
        told: tuple[tuple[Outcome, int], ...] = (
            ("answered", sum(min(part.completed, part.requests) for part in read)),
            ("failed", sum(min(part.failed, part.requests) for part in read)),
            ("never_ran", invalid),
            ("unconfirmed", sum(part.requests for part in parts if part.state == "given_up")),
        )
        requests = sum(part.requests for part in parts)
        are_shared = self.source.requests is not None and 0 < requests < rest
        rows, of_requests = (rest, requests) if are_shared else (1, 1)
        done = counted = 0
        for name, count in told:
            done += count
            added = min(done * rows // of_requests - counted, rest)
            counts[name] += added
            counted += added
            rest -= added
        counts["running" if self.submitted_at else "never_ran"] += rest
        return counts


@dataclass(frozen=True, slots=True)
class Request:
    """One line of a batch's input file."""

    custom_id: str
    body: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class ResultLine:
    """One line of a batch's output or error file, as the provider wrote it.

    It has the status and body of the answer (the endpoint's, or an `{"error": ...}` object), or an error code and
    message of its own: then the request never ran.
    """

    custom_id: str
    status_code: int | None = None
    body: Json = None
    error_code: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one request: its text (for embeddings, numbers as JSON), its values if it fits the schema."""

    custom_id: str
    outcome: Outcome
    text: str | None = None
    values: Mapping[str, Json] | None = None
    problem: Problem | None = None
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class LineError:
    """One fault of a batch file, in the words of the Batch API's `batch.errors.data`; lines count from 1."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None
    custom_id: str | None = None

    @property
    def problem(self) -> Problem:
        """The same as the problem of a row."""
        return Problem.said(f"{self.code}: {self.message}", code=self.code)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why requests would fail: certainly, or as a suspicion. *param* is a path in the body."""

    code: str
    message: str
    param: str
    is_certain: bool = True
    reach: Reach = "OpenAI"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one batch may hold; by default the limits of OpenAI's Batch API guide."""

    max_requests: int = 50_000
    max_bytes: int = 209_715_200
    max_inputs: int = 50_000
    """Embedding inputs over all lines."""
    max_load: int | None = None
    """Input tokens, for embeddings inputs, that may be enqueued at once; None: not known."""


@dataclass(frozen=True, slots=True)
class SpendingLimits:
    """What the operator lets one job, and all jobs within 24 hours, cost; above *ask_above_usd* the user is asked."""

    job_usd: Decimal = Decimal(25)
    day_usd: Decimal = Decimal(100)
    ask_above_usd: Decimal = Decimal(1)
