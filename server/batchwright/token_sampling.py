"""Token counts of many texts by a sample, with the error that this leaves. Pure.

Texts in one language, of one kind, have nearly the same number of tokens a byte: one text in 32 tells the others.
"""

import random
from collections.abc import Callable, Iterable
from math import sqrt

COUNTED_BYTES = 5_000_000
"""Text up to here is counted whole: more than a million tokens, in a tenth of a second."""
COUNTED_TEXTS = 200
"""At least so many texts are counted, however long they are."""
ONE_IN = 32
LONG = 8
"""A text of so many times the usual length is always counted: few such texts may be a large part of the whole."""
STANDARD_ERRORS = 4
"""How far from what the sample says the truth is taken to be at most: one in thirty thousand jobs is further off."""
LEAST_ERROR = 0.005
"""Of what was not counted: what is rare may be in no sample."""
_MEMORY = 64
"""Texts after which the number of tokens a byte is mostly learned anew: data often changes on its way."""


class SampledCount:
    """Counts the tokens of texts, one after the other: the first ones with *encode*, then a random one in 32.

    The others are taken to have as many tokens a byte as those that were counted last. What a counted text has beyond
    that stands for 31 more, and is added to the next texts: so the sum has no bias, also where the data changes
    on its way (the difference estimator of a Bernoulli sample). The sample is the same each time.
    """

    def __init__(self, encode: Callable[[str], list[int]]) -> None:
        self._encode = encode
        self._random = random.Random(0).random  # noqa: S311  # a sample, not a secret
        self._counted_bytes = self._counted = 0
        self._tokens = self._bytes = 0.0
        self._owed = 0.0
        self._squares = self._error = 0.0

    def __call__(self, texts: Iterable[str], size: int) -> tuple[int, float]:
        """Give the tokens of texts that are *size* bytes together, and by how much they make the sum less certain."""
        if self._counted_bytes < COUNTED_BYTES or self._counted < COUNTED_TEXTS:
            return self._learn(self._count(texts), size), 0.0
        if size > LONG * self._counted_bytes / self._counted:
            return self._count(texts), 0.0
        expected = self._expected(size)
        if self._random() < 1 / ONE_IN:
            tokens = self._learn(self._count(texts), size)
            return tokens, self._stand_for_others(tokens - expected)
        tokens = max(1, round(expected + self._owed / ONE_IN))
        self._owed -= tokens - expected
        return tokens, LEAST_ERROR * expected

    def _count(self, texts: Iterable[str]) -> int:
        return sum([len(self._encode(text)) for text in texts])

    def _learn(self, tokens: int, size: int) -> int:
        self._counted_bytes += size
        self._counted += 1
        self._tokens += tokens - self._tokens / _MEMORY
        self._bytes += size - self._bytes / _MEMORY
        return tokens

    def _stand_for_others(self, off: float) -> float:
        """Take up how far a counted text is off what was expected, and give what that adds to the error."""
        self._owed += (ONE_IN - 1) * off
        self._squares += off * off
        before, self._error = self._error, STANDARD_ERRORS * sqrt(ONE_IN * (ONE_IN - 1) * self._squares)
        return self._error - before

    def _expected(self, size: int) -> float:
        return size * self._tokens / self._bytes
