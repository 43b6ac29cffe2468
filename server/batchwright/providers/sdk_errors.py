"""Turns errors of OpenAI's SDK into ours: what a refusal says, and what would help."""

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from openai import APIStatusError

from batchwright.core.error_bodies import refusal, words_in
from batchwright.core.errors import ProviderGone, ProviderNotNow, ProviderRefused
from batchwright.core.problem import Problem
from batchwright.providers.retry_after import retry_after_seconds

if TYPE_CHECKING:
    from batchwright.core.model import Json

_NO_SUCH_CALL = frozenset({404, 405, 501})
_WRONG_ADDRESS = re.compile(r"invalid url|no route|not found\.?$", re.IGNORECASE)


@contextmanager
def no_such_call(what: str) -> Generator[None]:
    """Read HTTP 404, 405 or 501, whatever the message, as a service without this call: it *what*."""
    try:
        yield
    except APIStatusError as error:
        if error.status_code in _NO_SUCH_CALL:
            words = f"The service {what}: it answered HTTP {error.status_code}."
            raise ProviderRefused(words, told=Problem.said(words, status=error.status_code)) from error
        raise


def message_of(error: APIStatusError) -> str | None:
    """Return the message of the provider's own error; None if the answer is a gateway's page."""
    body = cast("Json", error.body)
    if isinstance(body, dict):
        return words_in(cast("Json", body)) or None
    is_json = "json" in error.response.headers.get("content-type", "")
    return body if is_json and isinstance(body, str) and body else None


def refusal_of(error: APIStatusError, message: str, *, mask: Callable[[str], str]) -> ProviderRefused:
    """Return our error for a refusal, by what would help, with its status, code and words masked."""
    refused = _refusal(error, mask(message))
    body = cast("Json", error.body)
    told = refusal(error.status_code, {"message": message} if isinstance(body, str) else body)
    code, param = (name and mask(name) for name in (told.code, told.param))
    refused.told = replace(told, words=mask(told.words), code=code, param=param)
    return refused


def _refusal(error: APIStatusError, message: str) -> ProviderRefused:
    if error.status_code == 404:
        # A server without this address has not lost the batch or file.
        is_wrong_address = _WRONG_ADDRESS.match(message) is not None
        return ProviderRefused(f"{message} Check the base URL.") if is_wrong_address else ProviderGone(message)
    if error.code == "invalid_api_key":
        return ProviderNotNow("The API key is not valid. Set the right one.")
    if error.status_code == 402 or "insufficient_quota" in {error.code, error.type}:
        return ProviderRefused(
            "The account has used up its quota; nothing was sent again. Add credit at the provider, then submit again."
        )
    if error.status_code == 429:
        return ProviderNotNow(message, after_seconds=retry_after_seconds(error.response.headers))
    return ProviderNotNow(message) if error.status_code in {401, 403} else ProviderRefused(message)
