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
"""Where a part stands. `unknown`: its batch may or may not exist, and nothing is sent until that is found out.
`given_up`: the user left it, though it may be paid for. `split`: smaller parts have taken its place."""

LIVE_STATES: tuple[PartState, ...] = ("submitting", "unknown", "submitted", "cancelling")
"""A part in one of these has, or may have, a batch that has not ended."""

ENDED_STATES: tuple[PartState, ...] = ("verified", "failed", "given_up")
"""A part in one of these has come to its end."""

JobStatus = Literal["draft", "running", "cancelling", "completed", "cancelled", "expired", "failed", "unknown"]

SourceKind = Literal["csv", "json", "jsonl", "parquet", "excel", "files", "query", "rows", "batch", "results"]
"""`files`: several of one shape; `rows`: given inline; `batch`: a ready-made batch file; `results`: those of a batch
whose requests are gone."""

UserSays = Literal["", "resend", "go_on", "give_up"]
"""What only the user decides: to send an unconfirmed batch again, to go on after a freeze, to leave what is stuck."""

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
"""What became of one row. For every job, at any time, the outcomes of its rows add up to its rows.
`unconfirmed`: its answer may have been paid for, and cannot be had."""

Charges = Literal["nothing", "batch", "standard", "unknown"]
"""What a provider takes: nothing, OpenAI's batch prices, OpenAI's standard prices, or prices that are not known."""

Reach = Literal["anywhere", "OpenAI", "its family"]
"""Whom a rule holds for: hardly any server takes it, OpenAI does not, or this family of OpenAI's models does not."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

TERMINAL_BATCH_STATUSES = frozenset({"completed", "failed", "expired", "cancelled"})
"""A status outside this set, also one never heard of, is not final."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What turns a row into a request.

    For embeddings, *prompt* is the text to embed, and *system* and *output_schema* are absent; only there
    *inputs_per_request* may be more than 1.
    A ready-made batch file has no recipe of its own: *prompt* is None.
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
    """Of the user's file, or the first of them; None for rows given inline."""
    more_paths: tuple[str, ...] = ()
    """Of the other files."""
    requests: int | None = None
    """How many requests were made of the rows, where they are fewer: several rows share one. None: one a row."""


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """Who answers, as it stood when the job was drafted.

    Attributes:
        url: Where it is asked; None: that was not written down.
        key_print: Tells its key from others; empty: it has none.
    """

    kind: Literal["embedded", "endpoint", "service"]
    host: str
    model: str
    is_demonstration: bool = False
    charges: Charges = "nothing"
    url: str | None = None
    key_print: str = ""

    @property
    def is_openai(self) -> bool:
        """Whether OpenAI itself is asked, at its address or a regional one."""
        name = self.host.partition(":")[0]
        return name == OPENAI_HOST or name.endswith(f".{OPENAI_HOST}")

    def is_same(self, other: "ProviderInfo") -> bool:
        """Whether one may answer in the other's name."""
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
        round: Of the job, from 1.
        load: What it takes of the provider's enqueued limit: input tokens, for embeddings inputs.
        ceiling_usd: The most that it may cost; None: nothing bounds it, or the price is not known.
        least_usd: What its input alone costs; None: the price is not known.
        cost_usd: What it did cost; None: not known, or not yet.
        problem: Why it does not go on, or what is odd about it.
        used_input_tokens, used_output_tokens: As the provider counted at the end of the batch.
        file_created_at: When the provider took its file, in Unix seconds of the provider's clock.
        expires_at: When its batch has to be over, by the same clock; None: not known.
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
        parts: Of all rounds.
        recipe, provider: Of the current round.
        outcomes: What became of the rows; None until the current round has ended.
        kept: Rows that the current round leaves as they were, by outcome.
        sha256: Of all requests as they were drafted.
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
        """What the batches that have ended did cost, as far as that is known."""
        return sum((part.cost_usd for part in self.parts if part.cost_usd is not None), Decimal(0))

    @property
    def running_parts(self) -> tuple[Part, ...]:
        """The parts of the current round; what was split gives way to its pieces."""
        return tuple(part for part in self.parts if part.round == self.round and part.state != "split")

    @property
    def drafted_parts(self) -> tuple[Part, ...]:
        """The parts of the round that `submit` would run."""
        wanted = 1 if self.submitted_at is None else self.round + 1
        return tuple(part for part in self.parts if part.round == wanted and part.state != "split")

    @property
    def status(self) -> JobStatus:
        """Follows from the parts of its current round, so it can never disagree with them."""
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

        Until a part's results are read, a finished answer counts as answered and an error as failed; where several
        rows share a request, as many rows as its share of all requests.
        """
        if self.outcomes is not None:
            return {name: self.outcomes.get(name, 0) for name in OUTCOMES}
        # What a provider counts is bounded by what it was given.
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
        problem: Why there is no good answer.
    """

    custom_id: str
    outcome: Outcome
    text: str | None = None
    values: Mapping[str, Json] | None = None
    problem: Problem | None = None
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class LineError:
    """One fault of a batch file, in the words of the Batch API's `batch.errors.data`.

    Attributes:
        line: In the file, from 1.
        custom_id: Of the request in that line.
    """

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
    """Why requests would fail.

    Attributes:
        message: One sentence of fact, one of advice.
        param: Of the body, with its path.
        is_certain: Whether every request with it fails; else it is a suspicion.
    """

    code: str
    message: str
    param: str
    is_certain: bool = True
    reach: Reach = "OpenAI"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much fits one batch. OpenAI's, from its Batch API guide, unless a provider has others."""

    max_requests: int = 50_000
    max_bytes: int = 209_715_200
    max_inputs: int = 50_000
    """Embedding inputs over all lines."""
    max_load: int | None = None
    """Input tokens, for embeddings inputs, that may be enqueued at a time; None: not known."""


@dataclass(frozen=True, slots=True)
class SpendingLimits:
    """What the operator lets jobs cost, in US dollars.

    Attributes:
        day_usd: Of all jobs together, within any 24 hours.
        ask_above_usd: From here on the user is asked, where that is possible.
    """

    job_usd: Decimal = Decimal(25)
    day_usd: Decimal = Decimal(100)
    ask_above_usd: Decimal = Decimal(1)
