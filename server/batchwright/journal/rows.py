"""Jobs and parts as rows of the journal's tables, written and read back without loss."""

import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from batchwright.core.former_words import former_note
from batchwright.core.model import Job, LineError, Outcome, Part, ProviderInfo, Recipe, Source
from batchwright.core.money import microusd, usd
from batchwright.core.problem import Problem

_FIELDS = tuple(field.name for field in fields(Part))
_AMOUNTS = {name: name.replace("_usd", "_microusd") for name in _FIELDS if name.endswith("_usd")}
PART_COLUMNS = (*(_AMOUNTS.get(name, name) for name in _FIELDS), "note")


def job_of(row: sqlite3.Row, current: sqlite3.Row, parts: Sequence[sqlite3.Row]) -> Job:
    """Return a job from its row, its current round's and its parts'."""
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
    values: dict[str, Any] = {name: row[_AMOUNTS.get(name, name)] for name in _FIELDS}
    values |= {name: money(values[name]) for name in _AMOUNTS}
    values["problem"] = _problem(row["note"], row["problem"])
    values["errors"] = msgspec.json.decode(row["errors"], type=tuple[LineError, ...])
    return Part(**values)


def part_values(part: Part) -> tuple[Any, ...]:
    """Return the values of a part's columns."""
    values = {name: getattr(part, name) for name in (*_FIELDS, "note")}
    values |= {name: None if values[name] is None else microusd(values[name]) for name in _AMOUNTS}
    values["problem"] = None if part.problem is None else encode(part.problem)
    values["errors"] = encode(part.errors)
    return tuple(values.values())


def _problem(note: str | None, stored: str | None) -> Problem | None:
    if note is None:
        return None
    problem = msgspec.json.decode(stored, type=Problem) if stored else None
    # A process of the former version, if one still runs, writes only the note.
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
