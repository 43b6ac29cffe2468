"""A workspace for the tests of tables."""

from pathlib import Path

import pytest


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Give an empty workspace."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work"
