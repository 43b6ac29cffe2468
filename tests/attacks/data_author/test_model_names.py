"""Names of models are checked where they enter: they are shown again in every later conversation."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.errors import InvalidInput
from batchwright.core.settings import Settings
from batchwright.core.untrusted import MAX_MODEL_CHARACTERS, model_name, visible
from tests.support.openai_server import OpenAIServer
from tests.support.session import Session, in_memory, openai_environment

BAD = {
    "escape": "gpt-5\x1b[31m",
    "newline": "gpt\n5",
    "bidi": "gpt\u202e5",
    "zero width": "gpt\u200b5",
    "tag": "gpt\U000e00415",
    "selector": "gpt\ufe0f5",
    "filler": "gpt\u31645",
    "no-break space": "gpt\u00a05",
    "long": "g" * (MAX_MODEL_CHARACTERS + 1),
}


@given(name=st.text(max_size=MAX_MODEL_CHARACTERS + 5))
def test_a_name_is_taken_as_it_is_or_refused_in_a_sentence(name: str) -> None:
    """The name that is sent is the one that is shown."""
    if name == visible(name).strip() and name.isprintable() and 0 < len(name) <= MAX_MODEL_CHARACTERS:
        assert model_name(name) == name
        return
    with pytest.raises(InvalidInput, match="is not the name of a model") as caught:
        model_name(name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name", ["gpt-5-mini", "meta-llama/Llama-3.1-8B:free", "arn:aws:bedrock/model", "Qwen 3", "模型"]
)
def test_names_that_models_have_are_taken(name: str) -> None:
    """Servers of one's own call their models anything."""
    assert model_name(name) == name


@pytest.mark.slow
@pytest.mark.anyio
async def test_every_way_in_refuses_it(tmp_path: Path, server: OpenAIServer) -> None:
    """As an argument of five tools, and in the first line of a ready-made batch file."""
    said: list[str] = []
    async with in_memory(openai_environment(tmp_path, server)) as session:
        job_id = await _failed_job(session, server)
        for name in BAD.values():
            body = {"model": name, "messages": [{"role": "user", "content": "hi"}]}
            line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body}
            (tmp_path / "work" / "batch.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
            said += [
                await session.error("create_batch_file", rows=[{"n": 1}], prompt="{{n}}", model=name),
                await session.error("create_batch_file", batch_file="batch.jsonl"),
                await session.error("try_requests", job_id=job_id, models=["gpt-5-mini", name]),
                await session.error("retry_job", job_id=job_id, outcomes=["unconfirmed"], model=name),
                await session.error("compare_costs", job_id=job_id, models=[name]),
                await session.error("compare_costs", rows=1, input_tokens=1, models=[name]),
            ]

    expected = ("is not the name of a model", "at most 200 characters")
    assert [text for text in said if not any(fact in text for fact in expected)] == []
    assert [text for text in said if not text.isprintable() or visible(text) != text] == []


async def _failed_job(session: Session, server: OpenAIServer) -> str:
    draft: dict[str, Any] = {"rows": [{"n": 1}], "prompt": "{{n}}", "model": "gpt-5-mini"}
    made = await session.call("create_batch_file", **draft, parameters={"max_completion_tokens": 20})
    await session.call("submit_job", job_id=made["job_id"])
    server.finish(next(iter(server.batches)), answered=0)
    await session.finished(made["job_id"])
    return made["job_id"]


@pytest.mark.parametrize("name", BAD.values(), ids=BAD)
def test_a_setting_refuses_it(name: str) -> None:
    """It is the model of every job that names none."""
    with pytest.raises(InvalidInput, match=r"BATCHWRIGHT_MODEL cannot be used: .* is not the name of a model"):
        Settings.from_env({"BATCHWRIGHT_MODEL": name})


def test_the_program_does_not_write_it_to_a_terminal(tmp_path: Path) -> None:
    """An escape there moves the cursor, or sets the clipboard."""
    env = {**os.environ, "BATCHWRIGHT_MODEL": BAD["escape"], "BATCHWRIGHT_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "batchwright"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False, input="")

    assert done.returncode == 2
    assert done.stderr.startswith("batchwright: BATCHWRIGHT_MODEL cannot be used: 'gpt-5' is not the name of a model")
    assert done.stderr.strip().isprintable()


def test_the_log_is_free_of_what_acts_in_a_terminal() -> None:
    """A traceback quotes what a library says of the data."""
    code = (
        "import logging; from batchwright.app.app import log_to_stderr; "
        "from batchwright.core.settings import Settings; log_to_stderr(Settings())\n"
        "try:\n    raise ValueError('cell \\x1b[2J\\u202e\\x9b')\n"
        "except ValueError:\n    logging.getLogger('x').exception('row %s', 'a\\x1b]0;t\\x07')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert "ValueError: cell" in done.stderr
    assert visible(done.stderr) == done.stderr
