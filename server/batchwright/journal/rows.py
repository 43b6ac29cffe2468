"""Parts and values as rows of the journal's tables: written and read back without loss."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from batchwright.core.former_words import former_note
from batchwright.core.model import Job, LineError, Outcome, Part, ProviderInfo, Recipe, Source
from batchwright.core.money import microusd, usd
from batchwright.core.problem import Problem

PART_COLUMNS = (
    *("job_id", "number", "state", "sha256", "size_bytes", "requests", "file_id", "batch_id", "batch_status"),
    *(
        "output_file_id",
        "error_file_id",
        "completed",
        "failed",
        "note",
        "problem",
        "errors",
        "round",
        "load",
        "file_created_at",
    ),
    *("ceiling_microusd", "least_microusd", "cost_microusd", "used_input_tokens", "used_output_tokens"),
    "expires_at",
)


def job_of(row: sqlite3.Row, current: sqlite3.Row, parts: Sequence[sqlite3.Row]) -> Job:
    """Return a job from its row, that of its current round, and those of its parts."""
    return Job(
        id=row["id"],
        created_at=datetime.fromisoformat(row["created_at"]),
        source=msgspec.json.decode(row["source"], type=Source),
        recipe=msgspec.json.decode(row["recipe"], type=Recipe),
        provider=msgspec.json.decode(row["provider"], type=ProviderInfo),
        parts=tuple(map(part_of, parts)),
        submitted_at=time_of(row["submitted_at"]),
        cancelled_at=time_of(row["cancelled_at"]),
        ended_at=time_of(row["ended_at"]),
        outcomes=msgspec.json.decode(row["outcomes"], type=dict[Outcome, int]) if row["outcomes"] else None,
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        round=row["round"],
        kept=msgspec.json.decode(current["kept"], type=dict[Outcome, int]),
        agreed_usd=money(current["agreed_microusd"]),
        sha256=row["sha256"],
    )


def part_of(row: sqlite3.Row) -> Part:
    """Read a part."""
    fields: dict[str, Any] = {column: row[column] for column in PART_COLUMNS}
    fields["problem"] = _problem(fields.pop("note"), row["problem"])
    fields["errors"] = msgspec.json.decode(row["errors"], type=tuple[LineError, ...])
    for name in ("ceiling", "least", "cost"):
        fields[f"{name}_usd"] = money(fields.pop(f"{name}_microusd"))
    return Part(**fields)


def part_values(part: Part) -> tuple[Any, ...]:
    """Return the values of a part's columns."""
    amounts = {
        "ceiling_microusd": part.ceiling_usd,
        "least_microusd": part.least_usd,
        "cost_microusd": part.cost_usd,
    }
    fields = {column: getattr(part, column) for column in PART_COLUMNS if column not in amounts}
    fields["errors"] = encode(part.errors)
    fields["problem"] = None if part.problem is None else encode(part.problem)
    fields |= {name: None if amount is None else microusd(amount) for name, amount in amounts.items()}
    return tuple(fields[column] for column in PART_COLUMNS)


def _problem(note: str | None, stored: str | None) -> Problem | None:
    if note is None:
        return None
    problem = msgspec.json.decode(stored, type=Problem) if stored else None
    # A process of the version before that still runs writes only the note.
    return problem if problem and problem.words == note else former_note(note)


def money(micro: int | None) -> Decimal | None:
    """Read an amount."""
    return None if micro is None else usd(micro)


def encode(value: object) -> str:
    """Write a value as JSON."""
    return msgspec.json.encode(value).decode()


def time_of(text: str | None) -> datetime | None:
    """Read a time."""
    return datetime.fromisoformat(text) if text else None
