"""The user's consent to what is sent, spent or deleted: one way to ask, bound to what was shown.

The SDK asks as the client's version of the protocol does, and accepts an answer only to the question that was shown,
for the same tool and arguments. This module detects what changed after that.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, Resolve
from pydantic import BaseModel, Field

from batchwright.core.errors import NotAgreed
from batchwright.jobs.terms import Terms
from batchwright.mcp_server.context import App

_CHANGED = "What the user was asked about has changed since, so nothing was done. Call it again."


class Approval(BaseModel):
    """The user's answer."""

    agreed: bool = Field(description="Agree?")


@dataclass(frozen=True, slots=True)
class Consent:
    """The user's consent, without which a tool that needs it is not called."""

    question: str | None
    """What the user agreed to; None: nothing was asked."""
    can_ask: bool

    def hold_to(self, terms: Terms, *, changed: str = _CHANGED) -> None:
        """Check that the *terms* are those that the user agreed to, or no longer need a question.

        Raises:
            NotAgreed: The terms have *changed*, or nobody can be asked and nobody named a maximum.
        """
        if not self.can_ask and terms.refusal is not None:
            raise NotAgreed(terms.refusal)
        if self.can_ask and terms.question not in {self.question, None}:
            raise NotAgreed(changed)


def asking(terms_of: Callable[..., Awaitable[Terms]], *, declined: str) -> Resolve:
    """Ask the user to agree to the terms that the resolver *terms_of* returns, if the client can ask.

    If they decline, the error is *declined*, with `{job_id}` for the job.
    """

    async def asked(ctx: Context[App], terms: Annotated[Terms, Resolve(terms_of)]) -> Approval | Elicit[Approval]:
        return Elicit(terms.question, Approval) if terms.question and can_ask(ctx) else Approval(agreed=True)

    async def consent(
        ctx: Context[App],
        terms: Annotated[Terms, Resolve(terms_of)],
        approval: Annotated[ElicitationResult[Approval], Resolve(asked)],
        job_id: str,
    ) -> Consent:
        if not (isinstance(approval, AcceptedElicitation) and approval.data.agreed):
            raise NotAgreed(declined.format(job_id=job_id))
        return Consent(terms.question if can_ask(ctx) else None, can_ask(ctx))

    return Resolve(consent)


def can_ask(ctx: Context[App]) -> bool:
    """Whether the client can show the user a form; an empty capability means that it can."""
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)
