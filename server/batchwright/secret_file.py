"""The secret of a data folder: made when it is first needed, and found by every process with the same folder."""

import hashlib
import hmac
import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path

SECRET_BYTES = 32
_FILE = "questions.key"
_PRINT_CHARACTERS = 16

log = logging.getLogger(__name__)


def fingerprint(folder: Path, key: str | None) -> str:
    """Give what tells keys apart, and says nothing of them without the secret of the data folder; empty for none."""
    if key is None:
        return ""
    secret = find_secret(folder) or make_secret(folder)
    return hmac.new(secret, b"provider key " + key.encode(), hashlib.sha256).hexdigest()[:_PRINT_CHARACTERS]


def find_secret(folder: Path) -> bytes | None:
    """Give the secret; None: there is none yet."""
    try:
        secret = (folder / _FILE).read_bytes()
    except OSError:
        return None
    return secret if len(secret) == SECRET_BYTES else None


def make_secret(folder: Path) -> bytes:
    """Make the secret; of several processes that do so at once, one wins, and all use its secret."""
    path, secret = folder / _FILE, os.urandom(SECRET_BYTES)
    temporary = folder / f"{_FILE}.{secrets.token_hex(4)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secret)
            os.fsync(file.fileno())
        if path.exists() and find_secret(folder) is None:
            path.unlink(missing_ok=True)  # a file of another size is no secret
        try:
            os.link(temporary, path)  # unlike a renaming, this leaves a secret alone that has just been made
        except FileExistsError:
            return find_secret(folder) or secret
    except OSError as error:
        log.warning(
            "The secret of the data folder cannot be kept: %s. It holds for this process alone.", error.strerror
        )
    finally:
        with suppress(OSError):
            temporary.unlink()
    return secret
