"""Whoever wrote the data knows this program: no row costs more than what was counted for it."""

import csv
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import splintr
from hypothesis import given
from hypothesis import strategies as st

from batchwright.core.crash_points import pass_by
from batchwright.core.job_folder import JobFolder
from batchwright.core.model import Limits, ProviderInfo, Recipe
from batchwright.costs.prices import cost, price
from batchwright.costs.tokens import ANSWER_TOKENS, CONTROL_MARK, MESSAGE_TOKENS, text_counter
from batchwright.jobs.build import Draft, DraftPlan, draft
from batchwright.tables.source import one_file

MODEL = "gpt-4o"
CHAT = "/v1/chat/completions"
PLAIN = "the parcel came late and nobody at the shop could say when it would arrive "
OUTPUT = 10
REFERENCE = {name: splintr.Tokenizer.from_pretrained(name) for name in ("o200k_base", "cl100k_base")}


def dense(characters: int) -> str:
    """Return text of nearly one token per byte."""
    return "".join(random.Random(characters).choices("!^#$*@(&", k=characters))


def drafted(folder: Path, texts: Iterable[str]) -> Draft:
    """Draft a job of one row a text."""
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts)])
    recipe = Recipe(endpoint=CHAT, model=MODEL, prompt="{{text}}", parameters={"max_completion_tokens": OUTPUT})
    provider = ProviderInfo("service", "api.openai.com", MODEL, charges="batch")
    job = JobFolder(folder / "job")
    job.path.mkdir()
    origin = one_file(folder / "rows.csv", "rows.csv")
    return draft(DraftPlan(job, datetime.now(UTC), origin, None, recipe, provider, Limits(), pass_by))


def holds(made: Draft, texts: Sequence[str]) -> bool:
    """Whether the most that a draft names is enough for what OpenAI counts, and no more than that."""
    known = price(MODEL, endpoint=CHAT)
    encode = REFERENCE["o200k_base"].encode_ordinary
    frame = MESSAGE_TOKENS + 1 + ANSWER_TOKENS
    true = [frame + len(encode(text)) for text in texts]
    assert known is not None
    assert made.estimate.cost_batch_usd is not None
    return (
        made.estimate.input_tokens == sum(true)
        and made.estimate.cost_batch_usd.high_usd == cost(known, [(tokens, OUTPUT) for tokens in true])
        and not made.estimate.count_notes
    )


@pytest.mark.slow
def test_the_ceiling_holds_where_the_author_knows_which_rows_a_seed_would_choose(tmp_path: Path) -> None:
    """A sample that can be foretold is the author's to write: plain where it looks, dear elsewhere."""
    plain, dear = PLAIN * 70, dense(5_000)
    chosen = random.Random(0)
    texts = [plain] * 1_000 + [plain if chosen.random() < 1 / 32 else dear for _ in range(500)]

    made = drafted(tmp_path, texts)

    assert holds(made, texts)


def test_the_ceiling_holds_where_the_first_rows_are_unlike_the_others(tmp_path: Path) -> None:
    """What is learned from the first rows, and from their length, says nothing of the rest."""
    texts = [PLAIN * 400] * 200 + [dense(600)] * 2_000

    made = drafted(tmp_path, texts)

    assert holds(made, texts)


def test_every_control_token_has_the_mark_by_which_it_is_known() -> None:
    """One without it would count as a single token in whatever row spells it."""
    for tokenizer in REFERENCE.values():
        assert all(CONTROL_MARK in text for text in tokenizer.special_tokens())


@given(
    text=st.text()
    | st.lists(st.sampled_from(["<|endoftext|>", "<|", "|>", "<|im_end|>", " a", "é", "東"])).map("".join)
)
def test_a_text_has_as_many_tokens_as_the_reference_finds(text: str) -> None:
    """The quick way to count is the same as the plain one, for any text."""
    for model, encoding in (("gpt-4o", "o200k_base"), ("gpt-4", "cl100k_base")):
        assert text_counter(model)(text) == (len(REFERENCE[encoding].encode_ordinary(text)), 0)


@given(text=st.text())
def test_a_text_for_an_unknown_tokenizer_may_have_a_token_for_each_byte(text: str) -> None:
    """No tokenizer of OpenAI's makes more of it."""
    tokens, margin = text_counter("gpt-chat-latest")(text)

    assert tokens + margin >= len(text.encode())
