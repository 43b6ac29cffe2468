"""Secrets that this program generates, each in a file that only its user can read. Does not know what they open."""

import hashlib
import hmac
import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path

from batchwright.core import system
from batchwright.core.errors import InvalidInput

SECRET_BYTES = 32
_FOLDER_FILE = "questions.key"
_PRINT_CHARACTERS = 16
_MAX_BYTES = 4096
# Not every system knows each of them.
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))

log = logging.getLogger(__name__)


def read(path: Path) -> bytes | None:
    """Return the secret in a file; None if there is no such file.

    Raises:
        InvalidInput: Others could have read or written it, or it is unreadable.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}. Remove it: a new one is made.") from error
    try:
        if not system.is_private(os.fstat(descriptor)):
            raise InvalidInput(f"{path} is open to other users of this machine. Remove it: a new one is made.")
        return os.read(descriptor, _MAX_BYTES)
    finally:
        os.close(descriptor)


def make(path: Path, secret: bytes) -> bytes:
    """Save *secret* in a file and return it; if another process was first, return its secret instead.

    Raises:
        InvalidInput: The other's file is open to others.
        OSError: It cannot be saved.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secret)
            system.to_disk(file.fileno())
        os.link(temporary, path)  # unlike a rename, this does not replace a file that was just made
    except FileExistsError:
        return read(path) or secret
    finally:
        with suppress(OSError):
            temporary.unlink()
    return secret


def fingerprint(folder: Path, key: str | None) -> str:
    """Return a hash that tells keys apart, but reveals nothing without the data folder's secret; empty for none."""
    if key is None:
        return ""
    secret = find_secret(folder) or make_secret(folder)
    return hmac.new(secret, b"provider key " + key.encode(), hashlib.sha256).hexdigest()[:_PRINT_CHARACTERS]


def find_secret(folder: Path) -> bytes | None:
    """Return the secret of a data folder; None: there is none yet, or it is not usable."""
    try:
        secret = read(folder / _FOLDER_FILE)
    except InvalidInput:
        return None
    return secret if secret and len(secret) == SECRET_BYTES else None


def make_secret(folder: Path) -> bytes:
    """Make the secret of a data folder; of several processes at once, one wins, and all use its secret."""
    path, secret = folder / _FOLDER_FILE, os.urandom(SECRET_BYTES)
    try:
        if path.exists() and find_secret(folder) is None:
            path.unlink(missing_ok=True)  # a file of another size, or one that others can read, is no secret
        return make(path, secret)
    except OSError as error:
        log.warning(
            "The secret of the data folder cannot be saved: %s. It is valid for this process only.", error.strerror
        )
    return secret
