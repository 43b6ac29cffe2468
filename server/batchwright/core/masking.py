"""Keys that are not to be read: taken out of a provider's words, and in the name of an account. Pure."""

import hashlib
import re
from functools import cache

MAX_CHARACTERS = 1000
_LIKE_A_KEY = re.compile(
    r"(?<![A-Za-z0-9])sk-(?:[A-Za-z0-9_*-]{8,}|[A-Za-z0-9_*-]*(?:\.{3}|…)[A-Za-z0-9]*)|(?<![\w-])[\w-]*\*{3,}[\w-]*"
)
"""Begins only where a word does: a long one would else be tried from each of its letters."""


@cache
def account_name(base_url: str, key: str) -> str:
    """Return a name for who is asked with *key*; slow to make, so that no short key is guessed by it."""
    return hashlib.pbkdf2_hmac("sha256", key.encode(), base_url.encode(), 100_000).hex()[:16]


def mask(text: str, key: str) -> str:
    """Take out *key*, what begins like it, and what looks like any key: a 401 echoes a part of it."""
    text = text.encode(errors="replace").decode()  # half a character may be cut off, which no journal takes
    if len(key) >= 4:  # a shorter one is no secret, but stands in many words
        text = text.replace(key, "[key]")
    if len(key) >= 16:
        text = re.sub(re.escape(key[:8]) + r"[\w*.-]*", "[key]", text)
    return _LIKE_A_KEY.sub("[key]", text)[:MAX_CHARACTERS]
