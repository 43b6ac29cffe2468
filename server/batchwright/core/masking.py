"""Keys kept out of sight: removed from a provider's words, and hashed in an account's name. Pure."""

import hashlib
import re
from functools import cache

MAX_CHARACTERS = 1000
_LIKE_A_KEY = re.compile(
    r"(?<![A-Za-z0-9])sk-(?:[A-Za-z0-9_*-]{8,}|[A-Za-z0-9_*-]*(?:\.{3}|…)[A-Za-z0-9]*)|(?<![\w-])[\w-]*\*{3,}[\w-]*"
)
"""Matches only at the start of a word: otherwise each letter of a long one would be tried."""


@cache
def account_name(base_url: str, key: str) -> str:
    """Return a name for the account of *key*; slow to compute, so that a short key cannot be guessed from it."""
    return hashlib.pbkdf2_hmac("sha256", key.encode(), base_url.encode(), 100_000).hex()[:16]


def mask(text: str, key: str) -> str:
    """Remove *key*, what begins like it, and whatever looks like a key: a 401 echoes a part of it."""
    text = text.encode(errors="replace").decode()  # a cut may leave half a character, which no journal takes
    if len(key) >= 4:  # a shorter one is no secret, and occurs in many words
        text = text.replace(key, "[key]")
    if len(key) >= 16:
        text = re.sub(re.escape(key[:8]) + r"[\w*.-]*", "[key]", text)
    return _LIKE_A_KEY.sub("[key]", text)[:MAX_CHARACTERS]
