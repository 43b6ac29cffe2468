"""Counting by a sample: the stated error holds, whatever the order of the texts, and little is counted."""

import random
from collections.abc import Callable

import pytest

from batchwright.model import Request
from batchwright.part_files import Measure
from batchwright.token_sampling import COUNTED_BYTES, SampledCount
from batchwright.tokens import counter, text_counter

MODEL = "gpt-5-mini"
CHAT = "/v1/chat/completions"
WORDS = ["the", "parcel", "came", "late", "and", "nobody", "at", "the", "shop", "could", "say", "when", "it", "would"]


def words(number: int) -> list[int]:
    """Stand for the tokens of a text: one a word."""
    return [0] * number


def total(texts: list[str], encode: Callable[[str], list[int]]) -> tuple[int, float]:
    """Give the tokens of all texts as the sample has them, and by how many they may be off."""
    count = SampledCount(encode)
    found = [count((text,), len(text.encode())) for text in texts]
    return sum(tokens for tokens, _ in found), sum(error for _, error in found)


def spoken(number: int, random_: random.Random) -> list[str]:
    """Give English texts of 5 to 900 words."""
    return [" ".join(random_.choices(WORDS, k=random_.randint(5, 900))) for _ in range(number)]


def hidden(number: int, random_: random.Random) -> list[str]:
    """Give texts without spaces, each of one token a byte."""
    return ["x" * random_.randint(200, 4_000) for _ in range(number)]


def tokens_of(text: str) -> list[int]:
    """Split as a tokenizer would: words are one token, anything else one a character."""
    return words(len(text) if " " not in text else text.count(" ") + 1)


def shuffled(texts: list[str], random_: random.Random) -> list[str]:
    """Give texts in another order."""
    return random_.sample(texts, len(texts))


def alike(random_: random.Random) -> list[str]:
    """Give texts of one kind."""
    return spoken(12_000, random_)


def others_last(random_: random.Random) -> list[str]:
    """Give texts of another kind at the end."""
    return spoken(9_000, random_) + hidden(1_500, random_)


def others_first(random_: random.Random) -> list[str]:
    """Give texts of another kind at the start."""
    return hidden(9_000, random_) + spoken(3_000, random_)


def mixed(random_: random.Random) -> list[str]:
    """Give texts of two kinds."""
    return shuffled([*spoken(10_000, random_), *hidden(900, random_)], random_)


def with_few_others(random_: random.Random) -> list[str]:
    """Give a few texts of another kind."""
    return shuffled([*spoken(9_990, random_), *hidden(10, random_)], random_)


def with_one_huge(random_: random.Random) -> list[str]:
    """Give a text that is a tenth of all."""
    return [*spoken(9_000, random_), "y" * 3_000_000, *spoken(500, random_)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("made", [alike, others_last, others_first, mixed, with_few_others, with_one_huge])
def test_the_sum_of_a_sample_is_within_its_stated_error(made: Callable[[random.Random], list[str]], seed: int) -> None:
    """The most that a job may cost is made of it, whatever order the data has."""
    texts = made(random.Random(seed))

    found, error = total(texts, tokens_of)

    true = sum(len(tokens_of(text)) for text in texts)
    assert sum(map(len, texts)) > 2 * COUNTED_BYTES
    assert 0 < error < 0.2 * true
    assert abs(found - true) <= error


def test_few_texts_are_all_counted() -> None:
    """Where counting is quick, nothing is guessed."""
    texts = spoken(500, random.Random(1))

    assert total(texts, tokens_of) == (sum(len(tokens_of(text)) for text in texts), 0)


def test_the_same_texts_give_the_same_sample() -> None:
    """A job that is drafted again costs the same."""
    texts = spoken(12_000, random.Random(3))

    assert total(texts, tokens_of) == total(texts, tokens_of)


def test_little_is_counted_of_much() -> None:
    """That is what the sample is for."""
    counted = 0

    def encode(text: str) -> list[int]:
        nonlocal counted
        counted += len(text)
        return tokens_of(text)

    texts = spoken(30_000, random.Random(4))
    total(texts, encode)

    assert counted < COUNTED_BYTES + 0.06 * sum(map(len, texts))


def test_with_the_real_tokenizer_the_error_is_small() -> None:
    """Texts of one kind have nearly the same tokens a byte: the figure stays useful."""
    texts = spoken(7_000, random.Random(5))
    by_sample, exact = text_counter(MODEL, by_sample=True), text_counter(MODEL)

    found = [by_sample((text,), len(text)) for text in texts]
    true = sum(exact((text,), len(text))[0] for text in texts)

    assert abs(sum(tokens for tokens, _ in found) - true) <= sum(error for _, error in found) < 0.02 * true


def test_only_embedding_inputs_are_always_counted() -> None:
    """They are packed by their tokens, and one that is too long takes others with it."""
    text = "late parcel " * 20_000
    count = counter("text-embedding-3-small")({"input": text}, "/v1/embeddings").input_tokens
    measure = Measure("text-embedding-3-small", "/v1/embeddings")

    lines = [measure.request(Request(f"r{number}", {"model": "m", "input": text})) for number in range(250)]

    assert {line.tokens.input_tokens for line in lines} == {count}
    assert {line.tokens.error for line in lines} == {0}
