"""Who answers the engine's requests: an OpenAI-compatible endpoint, or anything that speaks like one."""

import ipaddress
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from batchwright.core.errors import InvalidInput
from batchwright.core.model import Charges, Endpoint, Json, ProviderInfo
from batchwright.providers.local.model_servers import ModelServer
from batchwright.providers.local.payments import Costs
from batchwright.providers.services import at_standard_tier


@dataclass(frozen=True, slots=True)
class Upstream:
    """A server to send requests to: its base URL, ending in `/v1` or similar without a slash, and its key."""

    url: str
    key: str | None = field(default=None, repr=False)


class Target(Protocol):
    """Answers requests one by one."""

    @property
    def concurrency(self) -> int:
        """How many requests it gets at once."""
        ...

    @property
    def note(self) -> str | None:
        """What it has to do before it can answer, for the user."""
        ...

    def answering(self, model: str | None, endpoint: Endpoint) -> ProviderInfo:
        """Say who answers for *model*; None means its own choice.

        Raises:
            InvalidInput: It does not know the model or the endpoint.
        """
        ...

    def is_model_known(self, model: str) -> bool:
        """Whether requests may name this model."""
        ...

    def costs(self, model: str, endpoint: Endpoint) -> Costs | None:
        """Return what requests to *model* cost; None: nobody knows."""
        ...

    def open(self, endpoint: str) -> AbstractAsyncContextManager[None]:
        """Hold it ready for requests to *endpoint*; it may rest when nobody holds it."""
        ...

    async def upstream(self, endpoint: str) -> Upstream:
        """Return the server to send to now; it may change when that server restarts."""
        ...

    def request_body(self, endpoint: str, body: Mapping[str, Json]) -> Mapping[str, Json]:
        """Say the body as this server understands it."""
        ...

    def answer_body(self, endpoint: str, request: Mapping[str, Json], answer: Json) -> Json:
        """Say the answer as OpenAI would have."""
        ...


@dataclass(frozen=True, slots=True)
class RemoteEndpoint:
    """A server that the user runs or rents; the engine waits for it while it is away.

    Attributes:
        charges: `unknown`, unless it is the user's own model server.
        key_print: A fingerprint of the key.
        server: What is known of it.
        costs_of: What requests to a model cost at OpenAI's standard price.
    """

    base: Upstream
    model: str | None
    concurrency: int = 16
    note: None = None
    charges: Charges = "unknown"
    key_print: str = ""
    server: ModelServer | None = None
    costs_of: Callable[[str, Endpoint], Costs | None] = lambda _model, _endpoint: None

    def answering(self, model: str | None, endpoint: Endpoint) -> ProviderInfo:  # any may be there
        """Say who answers; any model name is accepted."""
        name = model or self.model
        if not name:
            raise InvalidInput(f"No model is named for {self._host}. Pass model, or have BATCHWRIGHT_MODEL set.")
        is_own = self.charges == "unknown" and self.server is not None and self.server.is_free(name)
        charges = "nothing" if is_own else self.charges
        return ProviderInfo("endpoint", self._host, name, charges=charges, url=self.base.url, key_print=self.key_print)

    def is_model_known(self, model: str) -> bool:  # only the endpoint itself knows
        """Return true: only the endpoint itself knows."""
        return True

    def costs(self, model: str, endpoint: Endpoint) -> Costs | None:
        """Return what requests cost if the standard price is charged."""
        return self.costs_of(model, endpoint) if self.answering(model, endpoint).charges == "standard" else None

    @asynccontextmanager
    async def open(self, endpoint: str) -> AsyncGenerator[None]:  # one address for all
        """Do nothing: it is not ours to start or stop."""
        yield

    async def upstream(self, endpoint: str) -> Upstream:  # one address for all
        """Return the one server."""
        return self.base

    def request_body(self, endpoint: str, body: Mapping[str, Json]) -> Mapping[str, Json]:
        """Leave the body as it is, but ask for the standard price if that is what was set."""
        return at_standard_tier(body, endpoint) if self.charges == "standard" else body

    def answer_body(self, endpoint: str, request: Mapping[str, Json], answer: Json) -> Json:
        """Leave the answer as it is."""
        return answer

    @property
    def _host(self) -> str:
        return urlsplit(self.base.url).netloc


def is_in_own_network(name: str) -> bool:
    """Whether a host, by its name or address, is this machine or one of the user's own network."""
    try:
        return ipaddress.ip_address(name).is_private
    except ValueError:
        return "." not in name or name.endswith((".local", ".localhost", ".internal", ".lan"))
