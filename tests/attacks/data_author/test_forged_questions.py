"""What the user is asked before money is spent: no name of a file, a model or a host says it in our place."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.model import Charges, Job, Part, ProviderInfo, Recipe, Source
from batchwright.costs.spending import Budget, question, trial_question
from tests.support.openai_server import OpenAIServer
from tests.support.session import MODES, Mode, User, in_memory, openai_environment

FORGED = "a.csv'? It costs at most $0.01. Agree; the rest is old"
"""A name that closes quotes, ends the sentence, and promises another cost."""
HIDING = "\n\n\n\u202e\u2066\u200b\x1b[8m\u2028\U000e0041\t"
PIECES = [*"'\"\\?.$01 ", *HIDING, "It costs at most ", "Spend at most $0.01 on job_a? "]
NAMES = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
PART = Part("job_a", 1, "built", "", 0, 5, ceiling_usd=Decimal(24))


def job(file: str, model: str, host: str, charges: Charges = "batch") -> Job:
    """Return a draft with names that others wrote, as a journal may hold them."""
    return Job(
        id="job_a",
        created_at=datetime(2026, 11, 30, tzinfo=UTC),
        source=Source(file, "csv", ("text",), 5),
        recipe=Recipe("/v1/chat/completions", model, "{{text}}"),
        provider=ProviderInfo("service", host, model, charges=charges),
        parts=(PART,),
    )


@pytest.mark.slow
@given(file=NAMES, model=NAMES, host=NAMES, is_bounded=st.booleans())
def test_the_amount_stands_first_whatever_the_names_are(file: str, model: str, host: str, is_bounded: bool) -> None:  # noqa: FBT001  # a property's
    """A person reads the beginning; what is hidden or broken over lines could move it out of sight."""
    # Where no price is known, the question names the host once more.
    made = job(file, model, host, "batch" if is_bounded else "unknown")
    agreed = Budget(Decimal(24), {1: Decimal(24)}, is_bounded=is_bounded)
    begin = "Spend at most $24.00 " if is_bounded else "Spend $24.00 "
    asked = [question(made, made.parts, agreed, duplicate=None), trial_question(made, [model, "m"], agreed)]

    assert [text for text in asked if not text.startswith(begin)] == []
    assert [text for text in asked if not text.isprintable()] == []
    assert [text for text in asked if len(text) > 1_000] == []


@given(name=NAMES | st.text(max_size=200))
def test_a_name_does_not_leave_its_quotes(name: str) -> None:
    """What stands outside of quotes is ours."""
    honest, forged = (
        re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "NAME", question(made, made.parts, agreed, duplicate=None))
        for made in (job("a.csv", "m", "h"), job(name, name, name))
        for agreed in [Budget(Decimal(24), {1: Decimal(24)}, is_bounded=True)]
    )

    assert forged == honest == "Spend at most $24.00 on job_a? It sends 5 rows of NAME to NAME at NAME."


def test_a_long_name_is_cut() -> None:
    """It could push the rest out of what a client shows."""
    made, agreed = job("x" * 5_000, "m" * 5_000, "h" * 5_000), Budget(Decimal(24), {1: Decimal(24)}, is_bounded=True)

    assert len(question(made, made.parts, agreed, duplicate=None)) < 500


@pytest.mark.anyio
@pytest.mark.parametrize("mode", MODES)
async def test_a_file_s_name_does_not_forge_the_question(tmp_path: Path, server: OpenAIServer, mode: Mode) -> None:
    """The author of a folder names its files."""
    user = User("decline")
    async with in_memory(openai_environment(tmp_path, server), mode, user=user) as session:
        (tmp_path / "work" / f"{FORGED}.csv").write_text("n\n1\n2\n", encoding="utf-8")
        draft: dict[str, Any] = {"model": "gpt-5-mini", "parameters": {"max_completion_tokens": 2_500_000}}
        made = await session.call("create_batch_file", source=f"{FORGED}.csv", prompt="Say {{n}}", **draft)
        await session.error("submit_job", job_id=made["job_id"])
        await session.error("try_requests", job_id=made["job_id"], max_cost_usd=20, rows=2)

    spend, trial = user.questions
    assert spend.startswith(f"Spend at most $5.01 on {made['job_id']}? It sends 2 rows of \"a.csv'? It costs at most")
    assert trial.startswith(f"Spend at most $10.01 to try {made['job_id']}? It sends 2 requests now to 'gpt-5-mini' ")
    assert server.posts == 0


@pytest.mark.anyio
@pytest.mark.parametrize("mode", MODES)
async def test_a_model_s_name_does_not_forge_the_question(tmp_path: Path, server: OpenAIServer, mode: Mode) -> None:
    """The author of a ready-made batch file names its model."""
    user = User("decline")
    request = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions"}
    forged = {"model": f"{FORGED} ", "messages": [{"role": "user", "content": "hi"}]}
    env = openai_environment(tmp_path, server)
    async with in_memory(env, mode, user=user) as session:
        refused: list[str] = []
        for name, model in (("newline", f"{FORGED}\n\n\n"), ("rlo", f"{FORGED}\u202e"), ("space", f"{FORGED} ")):
            body = forged | {"model": model}
            path = tmp_path / "work" / f"{name}.jsonl"
            path.write_text(json.dumps(request | {"body": body}) + "\n", encoding="utf-8")
            refused.append(await session.error("create_batch_file", batch_file=path.name))
        made = await session.call("create_batch_file", rows=[{"n": 1}], prompt="Say {{n}}", model=FORGED)
        await session.error("submit_job", job_id=made["job_id"], max_cost_usd=24)

    (asked,) = user.questions
    assert [text for text in refused if "is not the name of a model" not in text or not text.isprintable()] == []
    assert asked.startswith(f"Spend $24.00 on {made['job_id']}, which may cost more? Nothing bounds what ")
    assert f"to {FORGED!r} at '127.0.0.1:" in asked
