"""What single requests to one model cost, each at the standard price. Pure."""

from decimal import Decimal

from batchwright.core.model import Endpoint, Request
from batchwright.costs.prices import Price, cost, price
from batchwright.costs.tokens import counter
from batchwright.costs.totals import add_up, estimate


class RequestCosts:
    """What requests to a model cost, in US dollars."""

    def __init__(self, rates: Price, model: str, endpoint: Endpoint) -> None:
        self._rates = rates
        self._endpoint: Endpoint = endpoint
        self._count = counter(model)

    def most_usd(self, request: Request) -> Decimal | None:
        """Return the most that a request may cost; None: nothing bounds it."""
        expected = estimate(self._rates, add_up([self._count(request.body, self._endpoint)])).cost_standard_usd
        return expected.high_usd if expected else None

    def paid_usd(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return what an answer with these tokens costs."""
        return cost(self._rates, [(input_tokens, output_tokens)], processing="standard")


def request_costs(model: str, endpoint: Endpoint) -> RequestCosts | None:
    """Return what requests to *model* cost; None if its price is unknown."""
    rates = price(model, endpoint=endpoint)
    return RequestCosts(rates, model, endpoint) if rates else None
