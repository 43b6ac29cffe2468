"""Where the engine's requests are answered: an OpenAI-compatible endpoint, or whatever else speaks like one."""

import ipaddress
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from batchwright.errors import InvalidInput
from batchwright.model import Charges, Endpoint, Json, ProviderInfo
from batchwright.pricing import OPENAI_HOST


@dataclass(frozen=True, slots=True)
class Connection:
    """A base URL that ends in `/v1` or the like, without a slash, and the key for it."""

    url: str
    key: str | None = field(default=None, repr=False)


class Target(Protocol):
    """Answers requests one by one."""

    @property
    def concurrency(self) -> int:
        """How many requests it is sent at once."""
        ...

    @property
    def note(self) -> str | None:
        """What it is busy with before it can answer, for the user."""
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

    def open(self, endpoint: str) -> AbstractAsyncContextManager[None]:
        """Hold it ready for requests to *endpoint*; it may rest when nobody holds it."""
        ...

    async def connection(self, endpoint: str) -> Connection:
        """Give the address to send to now; it may change when what is behind it was started again."""
        ...

    def request_body(self, endpoint: str, body: Mapping[str, Json]) -> Mapping[str, Json]:
        """Say the body as this server understands it."""
        ...

    def answer_body(self, endpoint: str, request: Mapping[str, Json], answer: Json) -> Json:
        """Say the answer as OpenAI would have."""
        ...


@dataclass(frozen=True, slots=True)
class RemoteEndpoint:
    """A server that the user runs or rents: taken at its word, and waited for when it is away."""

    base: Connection
    model: str | None
    concurrency: int = 16
    has_openai_prices: bool = False
    note: None = None

    def answering(self, model: str | None, endpoint: Endpoint) -> ProviderInfo:  # any may be there
        """Say who answers; any model is taken at its word."""
        name = model or self.model
        if not name:
            raise InvalidInput(f"No model is named for {self._host}. Pass model, or have BATCHWRIGHT_MODEL set.")
        charges = "standard" if self.has_openai_prices else _charges(self._host)
        return ProviderInfo("endpoint", self._host, name, charges=charges)

    def is_model_known(self, model: str) -> bool:  # only the endpoint itself knows
        """Give true: only the endpoint itself knows."""
        return True

    @asynccontextmanager
    async def open(self, endpoint: str) -> AsyncGenerator[None]:  # one address for all
        """Do nothing: it is not ours to start or stop."""
        yield

    async def connection(self, endpoint: str) -> Connection:  # one address for all
        """Give its one address."""
        return self.base

    def request_body(self, endpoint: str, body: Mapping[str, Json]) -> Mapping[str, Json]:
        """Leave the body as it is."""
        return body

    def answer_body(self, endpoint: str, request: Mapping[str, Json], answer: Json) -> Json:
        """Leave the answer as it is."""
        return answer

    @property
    def _host(self) -> str:
        return urlsplit(self.base.url).netloc


def _charges(host: str) -> Charges:
    """Say what the server at *host* takes: nothing if it is in the user's own network."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == OPENAI_HOST:
        return "standard"
    return "nothing" if is_in_own_network(name) else "unknown"


def is_in_own_network(name: str) -> bool:
    """Whether a host, by its name or address, is this machine or one of the user's own network."""
    try:
        return ipaddress.ip_address(name).is_private
    except ValueError:
        return "." not in name or name.endswith((".local", ".localhost", ".internal", ".lan"))
