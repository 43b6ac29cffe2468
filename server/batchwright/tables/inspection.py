"""What is found in a source before a job is made of it. Pure values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from batchwright.core.model import Json, SourceKind


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
    kind: SourceKind
    rows: int
    columns: Sequence[Column]
    sample: Sequence[Mapping[str, Json]]
    id_column: str | None
    """A column that holds a different, short value in every row."""
    warnings: Sequence[str] = ()
    """What should be known of how it was read."""
