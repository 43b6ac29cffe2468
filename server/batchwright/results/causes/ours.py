"""Causes that this program finds itself, as data: by the outcome, and by the words that `answers` and others write."""

from batchwright.core.calls import Call
from batchwright.core.model import Outcome
from batchwright.results.causes.cause import ANOTHER_MODEL, ANOTHER_PROMPT, UNCONFIRMED, Cause, names, words

AGAIN = "Retry these rows as they are."
PAID_AGAIN = (
    f"Ask the user: {Call('retry_job', outcomes=['unconfirmed'])} sends these rows again, and those that were answered "
    "are then paid twice."
)
_CUT: frozenset[Outcome] = frozenset({"cut_short"})
_UNFIT: frozenset[Outcome] = frozenset({"not_fitting"})
_REFUSED: frozenset[Outcome] = frozenset({"refused"})
_FAILED: frozenset[Outcome] = frozenset({"failed"})

OURS = (
    Cause(
        name="given_up",
        meaning="the user gave its batch up, which may have run",
        helps="may be paid again",
        advice=PAID_AGAIN,
        outcomes=UNCONFIRMED,
        words=words(r"was given up"),
        speaker="check",
    ),
    Cause(
        name="answer_lost",
        meaning="its answer was lost on the way each time that it was sent",
        helps="may be paid again",
        advice=PAID_AGAIN,
        outcomes=UNCONFIRMED,
        codes=names("answer_lost"),
        speaker="check",
    ),
    Cause(
        name="answer_unreadable",
        meaning="its answer cannot be read",
        helps="may be paid again",
        advice=PAID_AGAIN,
        outcomes=UNCONFIRMED,
        codes=names("answer_unreadable"),
        speaker="check",
    ),
    Cause(
        name="unconfirmed",
        meaning="it may have been answered, and the provider does not give the answer",
        helps="may be paid again",
        advice=PAID_AGAIN,
        outcomes=UNCONFIRMED,
        speaker="check",
    ),
    Cause(
        name="no_room_for_text",
        meaning="all tokens were used before the first word, as by a model that reasons",
        helps="helps with a change",
        advice="Give many more tokens, or ask for less reasoning effort.",
        outcomes=_CUT,
        words=words(r"before any text"),
        change="many more tokens",
        speaker="",
    ),
    Cause(
        name="cut_short",
        meaning="the answer reached the token limit",
        helps="helps with a change",
        advice="Give more tokens, or ask for shorter answers.",
        outcomes=_CUT,
        change="more tokens",
        speaker="",
    ),
    Cause(
        name="expired",
        meaning="the batch's time was over before the row's turn",
        helps="helps",
        advice=AGAIN,
        outcomes=frozenset({"expired"}),
        speaker="",
    ),
    Cause(
        name="filtered",
        meaning="the provider's content filter stopped the answer",
        helps="seldom helps",
        advice=f"Ask in other words with {ANOTHER_PROMPT}, or leave these rows out.",
        outcomes=_REFUSED,
        words=words(r"^stopped by the provider's content filter$"),
        speaker="",
    ),
    Cause(
        name="refused",
        meaning="the model declined to answer",
        helps="seldom helps",
        advice=f"Ask in other words with {ANOTHER_PROMPT}, or another model with {ANOTHER_MODEL}.",
        outcomes=_REFUSED,
        speaker="model",
    ),
    Cause(
        name="not_json",
        meaning="the answer is not JSON, though a schema was given",
        helps="helps",
        advice="Retry once; if it stays, use a model that follows schemas.",
        outcomes=_UNFIT,
        words=words(r"^the answer is not JSON$", r"^the answer is nested too deep$"),
        speaker="",
    ),
    Cause(
        name="not_fitting",
        meaning="the answer does not fit the output schema",
        helps="helps",
        advice="Retry once; if it stays, make a new job with a simpler schema.",
        outcomes=_UNFIT,
        speaker="check",
        are_alike=False,
    ),
    Cause(
        name="cancelled",
        meaning="it was cancelled before the row's turn",
        helps="helps",
        advice=AGAIN,
        outcomes=frozenset({"never_ran"}),
        words=words(r"^the (?:batch|job) was cancelled before"),
        speaker="",
    ),
    Cause(
        name="budget_used_up",
        meaning="what was agreed was used up before the row's turn",
        helps="helps",
        advice="Retry these rows: the user agrees to their cost anew.",
        outcomes=frozenset({"never_ran"}),
        words=words(r"^what was agreed was used up before"),
        speaker="",
    ),
    Cause(
        name="changed_here",
        meaning="the batch file was changed on this disk, so it was not sent",
        helps="helps",
        advice="Retry: the file is written anew.",
        words=words(r"it was changed on disk"),
        speaker="",
    ),
    Cause(
        name="lost",
        meaning="the provider does not have the result",
        helps="helps",
        advice="Retry, which is paid again.",
        words=words(r"results are lost", r"^the provider has no result for this row$", r"so they are left out$"),
        speaker="check",
    ),
    Cause(
        name="gone",
        meaning="the provider does not have the batch",
        helps="helps",
        advice="Retry, which is paid again if the batch ran.",
        words=words(r"^it is gone at the provider", r"no batch of it was found"),
        speaker="check",
    ),
    Cause(
        name="empty",
        meaning="the answer is empty",
        helps="helps",
        advice="Retry once; if it stays, give more tokens, or ask in other words.",
        outcomes=_FAILED,
        words=words(r"^the answer is empty$"),
        speaker="",
    ),
    Cause(
        name="odd_answer",
        meaning="what came back is no answer of this endpoint",
        helps="helps once mended",
        advice="See that the address is that of an OpenAI-compatible server that has this endpoint, then retry.",
        outcomes=_FAILED,
        words=words(
            r"^the answer (?:is not one of|has (?:no|more than one) vector)", r"^neither an answer nor an error$"
        ),
        speaker="check",
    ),
)
"""In the order in which they are looked for."""
