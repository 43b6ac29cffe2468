"""A provider's list, page by page. It ends, whatever the provider says."""

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
"""From the query to a decoded page, and its size in bytes."""


async def items(ask: AskPage, bounds: ReadLimits) -> AsyncGenerator[dict[str, Json]]:
    """Give each item of a list once, newest first.

    Some services give the same page for ever, whatever comes after: a page without a new item is the last.

    Raises:
        ProviderUnclear: It cannot be read. What it does not show may exist.
        AnswerTooLarge: It does not end.
    """
    walk = _Walk(ask, bounds)
    while True:
        page = await walk.page()
        for item in page:
            yield item
        if not page or walk.is_over:
            return


class _Walk:
    """How far a list was read, and what that took."""

    def __init__(self, ask: AskPage, bounds: ReadLimits) -> None:
        self._ask, self._bounds = ask, bounds
        self._seen: set[str] = set()
        self._query: dict[str, object] = {}
        self._limit = PAGE
        self._pages = self._bytes = 0
        self._seconds = 0.0
        self.is_over = False

    async def page(self) -> list[dict[str, Json]]:
        """Return the new items of the next page."""
        page = await self._asked()
        given = page_items(page)
        if given is None:
            raise ProviderUnclear("The provider's list could not be read.")
        new = {item["id"]: item for item in map(_item, given) if item and item["id"] not in self._seen}
        self._seen |= new.keys()
        cursor = next_cursor(page)
        self.is_over = not (cursor or page.get("has_more") is not False)
        if new:
            self._query = {"cursor": cursor} if cursor else {"after": list(new)[-1]}
        return list(new.values())

    async def _asked(self) -> dict[str, Json]:
        while True:
            self._check()
            began = anyio.current_time()
            self._pages += 1
            try:
                page, size = await self._ask({"limit": self._limit} | self._query)
            except AnswerTooLarge:
                # A batch that failed in every line is long.
                if self._limit == 1:
                    raise
                self._limit //= 10
            else:
                self._bytes += size
                return cast("dict[str, Json]", page) if isinstance(page, dict) else {}
            finally:
                self._seconds += anyio.current_time() - began

    def _check(self) -> None:
        bounds = self._bounds
        if self._pages >= bounds.pages or self._seconds >= bounds.list_seconds or self._bytes >= bounds.list_bytes:
            raise AnswerTooLarge(
                f"The provider's list does not end: {len(self._seen):,} items on {self._pages:,} pages were read. "
                "What else it has is not known; try again later."
            )


def _item(value: object) -> dict[str, Json] | None:
    """Return an item of a list; what has no id, or none that can be meant, is none."""
    fields = cast("dict[str, Json]", value) if isinstance(value, dict) else {}
    name = fields.get("id")
    return fields if isinstance(name, str) and 0 < len(name) <= _MAX_ID_CHARACTERS else None
