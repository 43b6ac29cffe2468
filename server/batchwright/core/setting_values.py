"""How the text of a setting is read, or refused in a sentence that shows no secret."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from batchwright.core.errors import InvalidInput, InvalidSetting
from batchwright.core.untrusted import model_name

SettingKind = Literal["text", "secret", "folder", "file", "number"]

MIN_SECRET_CHARACTERS = 16

_HOST = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_KEY_NAMES = {"OPENAI_BASE_URL": "OPENAI_API_KEY", "BATCHWRIGHT_ENDPOINT": "BATCHWRIGHT_ENDPOINT_KEY"}


@dataclass(frozen=True, slots=True)
class Reader:
    """How a setting is read and presented.

    Attributes:
        read: Returns the value of a text, given the variable's name too; raises `InvalidSetting`.
        kind: How a program that asks for the setting presents it; a secret is hidden.
        choices: The possible values; empty: any.
    """

    read: Callable[[str, str], Any]
    kind: SettingKind = "text"
    choices: tuple[str, ...] = ()


def one_of(values: object) -> Reader:
    """Return the reader of a `Literal`, which ignores case."""
    choices = {choice.lower(): choice for choice in get_args(values)}

    def read(name: str, text: str) -> str:
        if found := choices.get(text.lower()):
            return found
        raise InvalidSetting(name, f"is {text[:40]!r}. Set {' or '.join(choices.values())}, or leave it out.")

    return Reader(read, choices=tuple(choices.values()))


def _path(name: str, text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise InvalidSetting(name, "names the home of a user who does not exist. Give the whole path.") from error


def _folders(name: str, text: str) -> tuple[Path, ...]:
    return tuple(_path(name, folder.strip()) for folder in text.split(os.pathsep) if folder.strip())


def _url(name: str, text: str) -> str:
    wrong = "is not an http or https address. Write it like http://localhost:11434/v1."
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1) > 0
    except ValueError as error:
        raise InvalidSetting(name, wrong) from error
    if not is_address or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidSetting(name, wrong)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise secret_in_address(name)
    return text.rstrip("/")


def secret_in_address(name: str) -> InvalidSetting:
    """Build the error for an address with a secret in it: addresses are shown in answers and logs."""
    return InvalidSetting(name, f"holds more than an address. Put the key into {_KEY_NAMES[name]}.")


def _model(name: str, text: str) -> str:
    try:
        return model_name(text)
    except InvalidInput as error:
        raise InvalidSetting(name, f"cannot be used: {error}") from error


def _key(name: str, text: str) -> str:
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise InvalidSetting(name, "holds a space or a character that no key has. Copy the key again.")
    return text


def token(name: str, text: str) -> str:
    """Read a bearer token from *name*, a setting or a file."""
    if len(text) < MIN_SECRET_CHARACTERS:
        raise InvalidSetting(name, f"has fewer than {MIN_SECRET_CHARACTERS} characters. Set a longer one.")
    return _key(name, text)


def _hosts(name: str, text: str) -> tuple[str, ...]:
    read = tuple(host for part in text.split(",") if (host := part.strip().lower()))
    if wrong := [host for host in read if not _HOST.fullmatch(host)]:
        raise InvalidSetting(
            name, f"holds {wrong[0][:80]!r}, which is not a host name. Write it like batches.example.com."
        )
    return read


def _number(
    name: str, text: str, *, read: Callable[[str], float | Decimal], within: tuple[float, float], what: str
) -> float | Decimal:
    with suppress(ValueError, InvalidOperation):
        if text.isascii() and within[0] <= (number := read(text)) <= within[1]:
            return number
    raise InvalidSetting(name, f"is {text[:20]!r}, not {what}")


def _whole(text: str) -> int:
    return int(text.replace(",", ""))


def _up_to(most: int) -> Reader:
    what = f"a whole number from 1 to {most}. Set one."
    return Reader(partial(_number, read=_whole, within=(1, most), what=what), "number")


FILE, FOLDER, FOLDERS = Reader(_path, "file"), Reader(_path, "folder"), Reader(_folders, "folder")
KEY, TOKEN = Reader(_key, "secret"), Reader(token, "secret")
URL, MODEL, HOSTS = Reader(_url), Reader(_model), Reader(_hosts)
_AMOUNT = "an amount in US dollars. Write it like 2.50."
_INTERVAL = "a number of seconds from 0.1 to 3600. Set one."
USD = Reader(partial(_number, read=Decimal, within=(0, 10**9), what=_AMOUNT), "number")
SECONDS = Reader(partial(_number, read=float, within=(0.1, 3600), what=_INTERVAL), "number")
TOKENS, CONNECTIONS = _up_to(10**12), _up_to(1024)
