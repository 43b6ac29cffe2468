"""Consent: what was agreed to is what is done, and nothing else."""

import pytest

from batchwright.core.errors import NotAgreed
from batchwright.jobs.terms import Terms
from batchwright.mcp_server.consent import Consent

ASKED = Consent("Spend at most $1.00?", can_ask=True)
UNASKED = Consent(None, can_ask=False)


@pytest.mark.parametrize(
    ("consent", "terms"),
    [
        (ASKED, Terms("Spend at most $1.00?")),
        (ASKED, Terms(None)),
        (ASKED, Terms("Spend at most $1.00?", refusal="No maximum was named.")),
        (Consent(None, can_ask=True), Terms(None)),
        (UNASKED, Terms("Spend at most $1.00?")),
    ],
)
def test_what_was_agreed_to_goes_on(consent: Consent, terms: Terms) -> None:
    """So does what needs no question any more; and where nobody can be asked, what has a maximum."""
    consent.hold_to(terms, changed="It was changed.")


@pytest.mark.parametrize(
    ("consent", "terms", "told"),
    [
        (ASKED, Terms("Spend at most $2.00?"), "It was changed."),
        (Consent(None, can_ask=True), Terms("Spend at most $2.00?"), "It was changed."),
        (UNASKED, Terms("Spend at most $1.00?", refusal="No maximum was named."), "No maximum was named."),
    ],
)
def test_what_nobody_agreed_to_is_refused(consent: Consent, terms: Terms, told: str) -> None:
    """Another process may have changed it while the user read the question."""
    with pytest.raises(NotAgreed, match=told):
        consent.hold_to(terms, changed="It was changed.")
