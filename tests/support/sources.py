"""What a user names as a source, looked at and read as a job would."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from batchwright.core.workspace import Workspace
from batchwright.tables.frozen import freeze, frozen_rows
from batchwright.tables.inspection import Profile, profile
from batchwright.tables.source import BOUNDS, ReadingBounds, find


def look(
    work: Path, source: str, options: Mapping[str, object] | None = None, bounds: ReadingBounds = BOUNDS
) -> Profile:
    """Profile what *source* means in the workspace *work*; nothing is left behind, whether it works or not."""
    folder = work.parent / "job"
    folder.mkdir(exist_ok=True)
    try:
        return profile(find(Workspace([work]), source, options or {}, bounds), folder=folder, sample_rows=20)
    finally:
        assert list(folder.iterdir()) == []


def rows(work: Path, source: str, **options: object) -> list[dict[str, Any]]:
    """Return the rows of *source* as a job would have them."""
    frozen = work.parent / "frozen.parquet"
    source_of = freeze(find(Workspace([work]), source, options), frozen, id_column=None).source
    found = [dict(row) for _, row in frozen_rows(frozen, source_of.columns)]
    frozen.unlink()
    return found


def parquet(path: Path, query: str) -> Path:
    """Write what *query* returns as a Parquet file."""
    with duckdb.connect() as con:
        con.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path
