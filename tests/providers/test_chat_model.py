"""The chat model's process, where files have names of other languages than the system's."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from batchwright.providers.local.models.weights import SMOLLM2, fetch
from tests.support.systems import needs_links

pytestmark = [pytest.mark.anyio, pytest.mark.model, pytest.mark.slow]


@needs_links
async def test_a_model_is_found_in_a_folder_of_any_name(tmp_path: Path, model_cache: Path) -> None:
    """Windows hands a process its standard input in the encoding of one language; names are UTF-8 there."""
    model = tmp_path / "mod\u00e8le.gguf"
    model.symlink_to(await fetch(SMOLLM2, model_cache, lambda _done, _total: None))
    config = {"api_key": "none-but-ours", "slots": 1, "files": {"model": str(model)}}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "batchwright.providers.local.models.chat_model"],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        input=msgspec.json.encode(config) + b"\n",
        capture_output=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b'{"url": "http://127.0.0.1:')
