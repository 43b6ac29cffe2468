"""Notifies clients of changes, in both eras of the protocol, for as long as their session lives.

Clients of 2026-07-28 listen on their own stream, which the SDK serves from `bus`. Older clients subscribe to resources:
the SDK keeps no list of them, so this module does.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import anyio
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourcesListChanged, ResourceUpdated
from mcp.types import EmptyResult

from batchwright.core.errors import InvalidInput
from batchwright.mcp_server.addresses import JOBS, all_of, parse

if TYPE_CHECKING:
    from mcp.server.connection import Connection
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.types import SubscribeRequestParams, UnsubscribeRequestParams

    from batchwright.journal.changes import Changed
    from batchwright.mcp_server.context import App

MAX_SUBSCRIPTIONS = 1_000
"""Of one session."""
SEND_SECONDS = 5.0
"""How long a client may take to read: others must not wait for it."""

log = logging.getLogger(__name__)


class Updates:
    """The subscriptions, and the notifications sent for them."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self._sessions: dict[Connection, set[str]] = {}

    @property
    def sessions(self) -> int:
        """How many sessions of the older era are subscribed."""
        return len(self._sessions)

    async def __call__(self, ctx: "ServerRequestContext[App, Any]", call_next: "CallNext") -> "HandlerResult":
        """Handle every message of a client, as the SDK's middleware."""
        match ctx.method:
            case "initialize":
                return _announce(await call_next(ctx))
            case "notifications/initialized":
                self._session(ctx)
                return await call_next(ctx)
            case "tools/call":
                try:
                    return await call_next(ctx)
                finally:
                    ctx.lifespan_context.stir()
            case _:
                return await call_next(ctx)

    async def subscribe(self, ctx: "ServerRequestContext[App]", params: "SubscribeRequestParams") -> EmptyResult:
        """Notify this session of changes to a resource from now on.

        Raises:
            NotFound: There is no such resource.
            InvalidInput: The session has too many subscriptions.
        """
        address, wanted = parse(str(params.uri)), self._session(ctx)
        if address.job_id is not None:
            (await ctx.lifespan_context.use_cases()).contents.job(address.job_id)
        if len(wanted) >= MAX_SUBSCRIPTIONS:
            raise InvalidInput(f"This session has {MAX_SUBSCRIPTIONS:,} subscriptions. End one first.")
        wanted.add(str(params.uri))
        return EmptyResult()

    async def unsubscribe(self, ctx: "ServerRequestContext[App]", params: "UnsubscribeRequestParams") -> EmptyResult:
        """Stop notifying; a resource that was never subscribed to is no error."""
        self._session(ctx).discard(str(params.uri))
        return EmptyResult()

    async def tell(self, changed: "Changed") -> None:
        """Notify every subscriber."""
        if not changed.jobs:
            return
        uris = dict.fromkeys([JOBS, *(uri for job_id in sorted(changed.jobs) for uri in all_of(job_id))])
        for uri in uris:
            await self.bus.publish(ResourceUpdated(uri))
        if changed.has_new_entries:
            await self.bus.publish(ResourcesListChanged())
        async with anyio.create_task_group() as tasks:
            for connection, wanted in list(self._sessions.items()):
                told = sorted(uri for uri in wanted if parse(uri).plain in uris)
                tasks.start_soon(_send, connection, told, changed.has_new_entries)

    def _session(self, ctx: "ServerRequestContext[App]") -> set[str]:
        """Return the subscriptions of a session; they end with it."""
        # The SDK makes a new session for each request; only the connection stays.
        connection = ctx.session._connection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if connection not in self._sessions:
            connection.exit_stack.callback(self._sessions.pop, connection, None)
        return self._sessions.setdefault(connection, set())


async def _send(connection: "Connection", uris: list[str], has_new_entries: bool) -> None:  # noqa: FBT001  # a task's
    with anyio.move_on_after(SEND_SECONDS) as scope:
        for uri in uris:
            await connection.send_resource_updated(uri)
        if has_new_entries:
            await connection.send_resource_list_changed()
    if scope.cancelled_caught:
        log.warning("A client does not read its notifications; it missed those of %d resources.", len(uris))


def _announce(result: "HandlerResult") -> "HandlerResult":
    """Announce in the handshake that the list of resources changes: the SDK has no switch for it."""
    if not isinstance(result, Mapping):
        return result
    capabilities = cast("dict[str, Any]", result.get("capabilities", {}))
    resources = cast("dict[str, Any]", capabilities.get("resources", {}))
    return {**result, "capabilities": {**capabilities, "resources": {**resources, "listChanged": True}}}
