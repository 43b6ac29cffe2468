"""Reads a provider's list page by page, and ends whatever the provider says."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import cast

import anyio

from batchwright.core.bounds import ReadLimits
from batchwright.core.errors import AnswerTooLarge, ProviderUnclear
from batchwright.core.model import Json
from batchwright.providers.services import next_cursor, page_items

PAGE = 100
_MAX_ID_CHARACTERS = 1_000

AskPage = Callable[[Mapping[str, object]], Awaitable[tuple[Json, int]]]
"""Takes the query; returns the decoded page and its size in bytes."""


async def items(ask: AskPage, bounds: ReadLimits) -> AsyncGenerator[dict[str, Json]]:
    """Yield each item of a list once, newest first.

    Some services return the same page for ever, whatever `after` says: a page without a new item is the last.

    Raises:
        ProviderUnclear: It cannot be read. What it does not show may exist.
        AnswerTooLarge: It does not end.
    """
    seen: set[str] = set()
    place: dict[str, object] = {}
    limit, pages, size, seconds = PAGE, 0, 0, 0.0
    while True:
        if pages >= bounds.pages or seconds >= bounds.list_seconds or size >= bounds.list_bytes:
            raise AnswerTooLarge(
                f"The provider's list does not end: {len(seen):,} items on {pages:,} pages were read. "
                "The rest is unknown; try again later."
            )
        began, pages = anyio.current_time(), pages + 1
        try:
            page, page_bytes = await ask({"limit": limit} | place)
        except AnswerTooLarge:
            # A batch that failed in every line is long.
            if limit == 1:
                raise
            limit //= 10
            continue
        finally:
            seconds += anyio.current_time() - began
        size += page_bytes
        new, cursor, is_last = _read(page, seen)
        for item in new.values():
            yield item
        if not new or is_last:
            return
        seen |= new.keys()
        place = {"cursor": cursor} if cursor else {"after": list(new)[-1]}


def _read(page: Json, seen: set[str]) -> tuple[dict[str, dict[str, Json]], str | None, bool]:
    """Return a page's new items by id, the cursor of the next page if there is one, and whether this is the last."""
    fields = cast("dict[str, Json]", page) if isinstance(page, dict) else {}
    if (given := page_items(fields)) is None:
        raise ProviderUnclear("The provider's list could not be read. Check the base URL, or try again later.")
    new = {item["id"]: item for item in map(_item, given) if item and item["id"] not in seen}
    cursor = next_cursor(fields)
    return new, cursor, not cursor and fields.get("has_more") is False


def _item(value: object) -> dict[str, Json] | None:
    """Return an item of a list; None if it has no id, or one too long to be real."""
    fields = cast("dict[str, Json]", value) if isinstance(value, dict) else {}
    name = fields.get("id")
    return fields if isinstance(name, str) and 0 < len(name) <= _MAX_ID_CHARACTERS else None
