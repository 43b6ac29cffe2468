"""The user's consent to what is sent, spent or deleted: asked for in one way, and bound to what was shown.

The SDK asks as the client's version of the protocol has it, and takes an answer only to the very question that was
shown, for the same tool and arguments. What changed after that is found here.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, Resolve
from pydantic import BaseModel, Field

from batchwright.core.errors import NotAgreed
from batchwright.jobs.terms import Terms
from batchwright.mcp_server.context import App

_CHANGED = "What the user was asked about has changed meanwhile, so nothing was done. Call it once more."


class Approval(BaseModel):
    """What the user answers."""

    agreed: bool = Field(description="Agree?")


@dataclass(frozen=True, slots=True)
class Consent:
    """The user's consent; a tool that needs it is not called without.

    Attributes:
        question: What the user agreed to; None: nothing was asked.
    """

    question: str | None
    can_ask: bool

    def hold_to(self, terms: Terms, *, changed: str = _CHANGED) -> None:
        """Go on only under the *terms* that the user agreed to; what needs no question any more may go on.

        Raises:
            NotAgreed: The terms have *changed*, or nobody can be asked and nobody named a maximum.
        """
        if not self.can_ask and terms.refusal is not None:
            raise NotAgreed(terms.refusal)
        if self.can_ask and terms.question not in {self.question, None}:
            raise NotAgreed(changed)


def asking(terms_of: Callable[..., Awaitable[Terms]], *, declined: str) -> Resolve:
    """Have the user asked about the terms that *terms_of* gives for a tool's arguments, where the client can.

    Args:
        terms_of: A resolver.
        declined: What is said if they do not agree, with `{job_id}` for the job.
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
    """Whether the client shows the user a form; an empty capability means that it does."""
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)
